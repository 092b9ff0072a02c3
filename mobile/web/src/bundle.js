/**
 * Reading a bundle: `model.json` and `model.tflite` beside it.
 *
 * What is wrong is said as in Python and Kotlin: the path of the value, what was expected and what
 * was found, with the same kinds of fault (`mobile/golden/bundles.json`).
 */

export const FORMAT = "distill-bundle/1";
const RANGE = { int8: [-128, 127], uint8: [0, 255] };
const WIDTH = { float32: 4, int8: 1, uint8: 1 };
const CHANNELS = { gray: 1, rgb: 3 };

/** A bundle cannot be used; `kind` says in one word why. */
export class BundleError extends Error {
  constructor(kind, message) {
    super(message);
    this.name = "BundleError";
    this.kind = kind;
  }
}

/**
 * Fetches and checks a bundle.
 *
 * @param {function(string): Promise<Uint8Array|null>} read returns a file of the bundle, or null
 *     where there is none.
 * @return {Promise<{meta: object, file: Uint8Array}>}
 * @throws {BundleError}
 */
export async function readBundle(read) {
  const text = await read("model.json");
  if (!text) throw new BundleError("missing_file", "model.json: expected a file, found none");
  const meta = parse(new TextDecoder().decode(text));
  const name = meta.model.file;
  const file = await read(name);
  if (!file) throw new BundleError("missing_file", `${name}: expected a file, found none`);
  const { bytes, sha256 } = meta.model;
  expect(file.length === bytes, "bytes", "model.bytes", `${bytes} in the file`, file.length);
  const found = await digest(file);
  expect(found === null || found === sha256.toLowerCase(), "hash", "model.sha256", sha256, found);
  const magic = String.fromCharCode(...file.subarray(4, 8));
  expect(magic === "TFL3", "content", name, "a TFLite file (TFL3)", magic);
  return { meta, file };
}

/** Returns the SHA-256 as hex digits; null where the page is not secure and the browser has none. */
async function digest(file) {
  if (!globalThis.crypto?.subtle) return null;
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", file));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Returns the checked content of a `model.json`. */
export function parse(text) {
  let meta;
  try {
    meta = JSON.parse(text);
  } catch (error) {
    throw new BundleError("syntax", `model.json: expected JSON, found ${error.message}`);
  }
  expect(isObject(meta), "type", "model.json", "an object", meta);
  const format = string(meta, "format");
  expect(format === FORMAT, "format", "format", FORMAT, format);
  string(meta, "name");
  checkModel(meta);
  checkTensor(meta, "input", 4);
  checkTensor(meta, "output", 2);
  checkInput(meta);
  oneOf(meta, "output.kind", ["probabilities", "logits"]);
  checkLabels(meta);
  checkDefaults(meta);
  checkGolden(meta);
  value(meta, "provenance", isObject, "an object");
  return meta;
}

function checkModel(meta) {
  const name = string(meta, "model.file");
  expect(/^\w[\w.-]*$/.test(name), "value", "model.file", "the name of a file", name);
  const hash = string(meta, "model.sha256");
  expect(/^[0-9a-f]{64}$/i.test(hash), "value", "model.sha256", "64 hex digits", hash);
  const bytes = integer(meta, "model.bytes");
  expect(bytes > 0, "value", "model.bytes", "1 or more", bytes);
}

function checkTensor(meta, name, rank) {
  const path = `${name}.shape`;
  const shape = list(meta, path, Number.isInteger, "integers");
  expect(shape.length === rank, "shape", path, `${rank} dimensions`, shape);
  expect(shape[0] === 1, "shape", path, `[1, ...], one example`, shape);
  expect(shape.every((n) => n >= 1 && n <= 65535), "shape", path, "1 to 65535 everywhere", shape);
  const dtype = oneOf(meta, `${name}.dtype`, Object.keys(WIDTH));
  checkQuantization(meta, `${name}.quantization`, dtype);
}

function checkQuantization(meta, path, dtype) {
  const found = get(meta, path);
  if (dtype === "float32") {
    expect(found === null, "quantization", path, "null for float32", found);
    return;
  }
  expect(isObject(found), "quantization", path, "scale and zero_point", found);
  const scale = number(meta, `${path}.scale`);
  expect(scale > 0, "quantization", `${path}.scale`, "more than 0", scale);
  const zero = integer(meta, `${path}.zero_point`);
  const [low, high] = RANGE[dtype];
  expect(zero >= low && zero <= high, "quantization", `${path}.zero_point`, `${low} to ${high}`, zero);
}

function checkInput(meta) {
  oneOf(meta, "input.layout", ["NHWC"]);
  const color = oneOf(meta, "input.color", Object.keys(CHANNELS));
  const channels = CHANNELS[color];
  const { shape } = meta.input;
  expect(shape[3] === channels, "shape", "input.shape", `${channels} channels for ${color}`, shape);
  oneOf(meta, "input.crop", ["center_square"]);
  oneOf(meta, "input.resize", ["area"]);
  const polarity = oneOf(meta, "input.polarity", ["as_is", "invert", "auto"]);
  expect(polarity !== "auto" || color === "gray", "value", "input.polarity",
    `as_is or invert for ${color}`, polarity);
  for (const path of ["input.scale", "input.offset"]) {
    const count = list(meta, path, Number.isFinite, "numbers").length;
    expect(count === channels, "shape", path, `${channels} numbers`, count);
  }
}

function checkLabels(meta) {
  const labels = list(meta, "labels", (v) => typeof v === "string", "strings");
  const classes = meta.output.shape[1];
  expect(labels.every(Boolean), "value", "labels", "text for every class", labels);
  expect(labels.length === classes, "labels", "labels", `${classes} names`, labels.length);
}

function checkDefaults(meta) {
  const k = integer(meta, "defaults.top_k");
  expect(k >= 1, "value", "defaults.top_k", "1 or more", k);
  const stages = integer(meta, "defaults.filter.stages");
  expect(stages >= 0 && stages <= 16, "value", "defaults.filter.stages", "0 to 16", stages);
  const factor = number(meta, "defaults.filter.factor");
  expect(factor > 0 && factor <= 1, "value", "defaults.filter.factor", "above 0 and up to 1", factor);
}

function checkGolden(meta) {
  const text = string(meta, "golden.input");
  const bytes = fromBase64(text);
  expect(bytes !== null, "golden", "golden.input", "base64", text);
  const needed = meta.input.shape.reduce((a, b) => a * b) * WIDTH[meta.input.dtype];
  expect(bytes.length === needed, "golden", "golden.input", `${needed} bytes`, bytes.length);
  const output = list(meta, "golden.output", Number.isFinite, "numbers");
  const classes = meta.output.shape[1];
  expect(output.length === classes, "golden", "golden.output", `${classes} numbers`, output.length);
  if (meta.output.dtype in RANGE) {
    const [low, high] = RANGE[meta.output.dtype];
    const bad = output.find((v) => !Number.isInteger(v) || v < low || v > high);
    expect(bad === undefined, "golden", "golden.output", `integers from ${low} to ${high}`, bad);
  }
  const tolerance = number(meta, "golden.tolerance");
  expect(tolerance >= 0, "golden", "golden.tolerance", "0 or more", tolerance);
}

/** Returns the bytes that base64 stands for, or null. */
export function fromBase64(text) {
  try {
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  } catch {
    return null;
  }
}

/** Returns how far an output is from the golden one, at most. */
export function goldenError(output, { golden }) {
  return golden.output.reduce((worst, expected, i) => {
    const error = Math.abs(output[i] - expected);
    return Number.isNaN(error) ? Infinity : Math.max(worst, error);
  }, 0);
}

const isObject = (v) => typeof v === "object" && v !== null && !Array.isArray(v);

function expect(holds, kind, path, expected, found) {
  if (holds) return;
  const shown = typeof found === "string" ? found : JSON.stringify(found) ?? "nothing";
  throw new BundleError(kind, `${path}: expected ${expected}, found ${shown}`);
}

function get(meta, path) {
  return path.split(".").reduce((at, name, i, names) => {
    const here = names.slice(0, i).join(".");
    if (i > 0) expect(isObject(at), "type", here, "an object", at);
    if (!Object.hasOwn(at, name)) {
      const missing = [...names.slice(0, i), name].join(".");
      throw new BundleError("missing_field", `${missing}: expected a value, found none`);
    }
    return at[name];
  }, meta);
}

function value(meta, path, holds, expected) {
  const found = get(meta, path);
  expect(holds(found), "type", path, expected, found);
  return found;
}

const string = (meta, path) => value(meta, path, (v) => typeof v === "string", "a string");
const number = (meta, path) => value(meta, path, Number.isFinite, "a number");
const integer = (meta, path) => value(meta, path, Number.isInteger, "an integer");

function list(meta, path, holds, expected) {
  const found = value(meta, path, Array.isArray, "a list");
  found.forEach((v, i) => expect(holds(v), "type", `${path}[${i}]`, expected, v));
  return found;
}

function oneOf(meta, path, known) {
  const found = string(meta, path);
  expect(known.includes(found), "value", path, known.join(" or "), found);
  return found;
}
