/**
 * What `model.json` has to say, checked field by field; one line for each thing that is wrong.
 *
 * The fields, the order of the checks and the words are those of `distill/export/manifest.py`.
 */

const [NAME, MAJOR] = ["distill-bundle", 1];
const FORMAT = `${NAME}/${MAJOR}`;
const RANGES = { int8: [-128, 127], uint8: [0, 255] }; // of the quantised types
const ITEM_BYTES = { float32: 4, int8: 1, uint8: 1 };
const CHANNELS = { gray: 1, rgb: 3 };
const DIGIT = [1, 28, 28, 1]; // the shape of what is normalised as MNIST
const MAX_NUMBER = 1e30; // nothing here comes near it; more would overflow in float32
const MAX_VALUES = 2 ** 22; // of an input or output tensor
const MAX_BYTES = 2 ** 25; // of a `model.json`
const MAX_TEXT = 1000; // characters
// Control characters and escape codes, what breaks lines or turns text around, lone surrogates.
const NOT_SHOWN = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ud800-\udfff]/u;

/** A bundle cannot be used. */
export class BundleError extends Error {
  name = "BundleError";
}

function fail(message) {
  throw new BundleError(message);
}

/**
 * Returns the checked content of a `model.json`.
 *
 * @param {Uint8Array} data the content.
 * @param {string} name of the file, for messages.
 * @throws {BundleError} for the first thing that is wrong.
 */
export function parse(data, name) {
  if (data.length > MAX_BYTES) {
    fail(`${name} has ${data.length} bytes; expected at most ${MAX_BYTES}`);
  }
  let manifest;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
    manifest = JSON.parse(text);
  } catch (error) {
    fail(`${name} is no JSON: ${error.message.split("\n")[0]}`);
  }
  try {
    check(manifest);
  } catch (error) {
    fail(`${name}: ${error.message}`);
  }
  return manifest;
}

function check(manifest) {
  if (!isObject(manifest)) fail(`it holds ${shown(manifest)} where an object is expected`);
  checkFormat(manifest.format);
  for (const [section, fields] of Object.entries(SECTIONS)) {
    checkFields(section ? manifest[section] : manifest, fields, section);
  }
  const { labels, input, output, defaults, golden } = manifest;
  checkFields(defaults.filter, FILTER, "defaults.filter");
  checkTensor(input, "input");
  checkTensor(output, "output");
  checkInput(input);
  for (const [name, { shape }] of Object.entries({ input, output })) {
    if (product(shape) > MAX_VALUES) {
      fail(`${name}.shape is ${shown(shape)}; expected at most ${MAX_VALUES} values`);
    }
  }
  if (input.shape[0] !== output.shape[0]) {
    fail(`input.shape is ${shown(input.shape)}, of another batch than output.shape, ` +
      shown(output.shape));
  }
  const temperature = [(v) => isNumber(v) && v > 0, "a number above 0"];
  checkOptional(output, { temperature }, "output");
  const outputs = output.shape[1];
  if (labels.length !== outputs) fail(`there are ${labels.length} labels for ${outputs} outputs`);
  checkGolden(golden, input, output);
}

function checkFormat(found) {
  const major = typeof found === "string" && found.match(`^${NAME}/(\\d{1,9})$`)?.[1];
  if (!major) fail(`format is ${shown(found)}; expected '${FORMAT}'`);
  if (Number(major) !== MAJOR) {
    fail(`format is '${found}', and this reader knows '${FORMAT}'; export the model again, or ` +
      "update the reader");
  }
}

function checkFields(section, fields, name) {
  if (!isObject(section)) fail(`${name} is ${shown(section)}; expected an object`);
  for (const [key, [test, accepted]] of Object.entries(fields)) {
    const path = name ? `${name}.${key}` : key;
    if (!Object.hasOwn(section, key)) fail(`${path} is missing; expected ${accepted}`);
    if (!test(section[key])) fail(`${path} is ${shown(section[key])}; expected ${accepted}`);
  }
}

function checkOptional(section, fields, name) {
  const given = Object.entries(fields).filter(([key]) => Object.hasOwn(section, key));
  checkFields(section, Object.fromEntries(given), name);
}

/** The quantisation of an input or output has to suit its type. */
function checkTensor({ dtype, quantization }, name) {
  if (!(dtype in RANGES)) {
    if (quantization !== null) fail(`${name}.quantization is given for ${dtype}; expected null`);
    return;
  }
  const [low, high] = RANGES[dtype];
  checkFields(quantization, {
    scale: [(v) => isNumber(v) && v > 0, "a number above 0"],
    zero_point: [whole(low, high), `a whole number from ${low} to ${high}`],
  }, `${name}.quantization`);
}

function checkInput(input) {
  const { color, polarity, normalize, shape } = input;
  const channels = input.shape[3];
  if (channels !== CHANNELS[color]) {
    fail(`input.shape has ${channels} channels; the color ${color} has ${CHANNELS[color]}`);
  }
  for (const key of ["scale", "offset"]) {
    const count = input[key].length;
    if (count !== channels) fail(`input.${key} has ${count} numbers for ${channels} channels`);
  }
  checkOptional(input, { normalize: oneOf("none", "mnist") }, "input");
  if (normalize === "mnist" && String(shape.slice(1)) !== String(DIGIT.slice(1))) {
    fail(`input.normalize is 'mnist' for the shape ${shown(shape)}; expected ${shown(DIGIT)}`);
  }
  if (polarity === "auto" && color !== "gray") {
    fail(`input.polarity is 'auto' for ${color}; expected 'as_is' or 'invert'`);
  }
}

function checkGolden(golden, input, output) {
  const found = fromBase64(golden.input)?.length;
  const expected = product(input.shape) * ITEM_BYTES[input.dtype];
  if (found !== expected) {
    const what = found === undefined ? "no base64" : `${found} bytes`;
    fail(`golden.input is ${what}; the input tensor has ${expected} bytes`);
  }
  const [values, size] = [golden.output, product(output.shape)];
  if (values.length !== size) {
    fail(`golden.output has ${values.length} values; the output tensor has ${size}`);
  }
  if (output.dtype in RANGES) {
    const [low, high] = RANGES[output.dtype];
    const wrong = values.find((value) => !whole(low, high)(value));
    if (wrong !== undefined) {
      fail(`golden.output has ${shown(wrong)}; expected whole numbers from ${low} to ${high}`);
    }
  }
}

/** Returns the bytes that base64 stands for, or null; `atob` alone takes more than Python does. */
export function fromBase64(text) {
  if (text.length % 4 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return null;
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}

/** Returns a JSON value as Python's `json.dumps` writes it, with its end cut off if it is long. */
export function shown(value) {
  const text = dumps(value ?? null);
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}

function dumps(value) {
  if (typeof value === "number") return digits(value);
  if (Array.isArray(value)) return `[${value.map(dumps).join(", ")}]`;
  if (isObject(value)) {
    return `{${Object.entries(value).map(([k, v]) => `${dumps(k)}: ${dumps(v)}`).join(", ")}}`;
  }
  return JSON.stringify(value).replace(/[\u007f-\uffff]/g, (character) =>
    `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Returns a number as Python writes it: exponents begin below 1e-4 and have two digits. */
function digits(value) {
  const text = value && Math.abs(value) < 1e-4 ? value.toExponential() : String(value);
  return text.replace(/e([+-])(\d)$/, "e$10$2");
}

const isObject = (v) => typeof v === "object" && v !== null && !Array.isArray(v);
const isNumber = (v) => typeof v === "number" && Math.abs(v) <= MAX_NUMBER;
const isText = (v) => typeof v === "string" && v !== "" && !NOT_SHOWN.test(v) &&
  v.length <= 2 * MAX_TEXT && [...v].length <= MAX_TEXT;
const whole = (low, high) => (v) => Number.isInteger(v) && low <= v && v <= high;
const listOf = (test) => (v) => Array.isArray(v) && v.length > 0 && v.every(test);
const matches = (pattern) => (v) => typeof v === "string" && pattern.test(v);
const isShape = (rank) => (v) => listOf(whole(1, 65535))(v) && v.length === rank;
const product = (shape) => shape.reduce((a, b) => a * b);
const oneOf = (...names) => [
  (v) => names.includes(v), names.map((name) => JSON.stringify(name)).join(" or "),
];

// Each field is a test of a value, and in words what passes it.
const TEXT = [isText, `a text of 1 to ${MAX_TEXT} characters that can be shown`];
const OBJECT = [isObject, "an object"];
const NUMBERS = [listOf(isNumber), "a list of numbers, one for each channel"];
const SIZE = [whole(1, 2 ** 31 - 1), "a whole number above 0"];
const RATE = [(v) => isNumber(v) && v >= 0 && v <= 1, "a number from 0 to 1"];
const QUANTIZATION = [(v) => v === null || isObject(v), "an object or null"];
const FILTER = {
  stages: [whole(0, 16), "a whole number from 0 to 16"],
  factor: [(v) => isNumber(v) && v > 0 && v <= 1, "a number above 0, at most 1"],
};
const SECTIONS = {
  "": {
    name: TEXT,
    labels: [listOf(isText), "a list of texts that can be shown, one for each output"],
  },
  model: {
    file: [matches(/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/), "a file name without folders"],
    sha256: [matches(/^[0-9a-f]{64}$/), "64 hexadecimal digits in lower case"],
    bytes: SIZE,
  },
  input: {
    shape: [isShape(4), "[1, height, width, channels]; more than 1 for a batch"],
    dtype: oneOf(...Object.keys(ITEM_BYTES)),
    layout: oneOf("NHWC"),
    color: oneOf(...Object.keys(CHANNELS)),
    scale: NUMBERS,
    offset: NUMBERS,
    quantization: QUANTIZATION,
    crop: oneOf("center_square", "center"),
    resize: oneOf("area"),
    polarity: oneOf("as_is", "invert", "auto"),
  },
  output: {
    shape: [isShape(2), "[1, classes]; more than 1 for a batch"],
    dtype: oneOf(...Object.keys(ITEM_BYTES)),
    kind: oneOf("probabilities", "logits"),
    quantization: QUANTIZATION,
  },
  defaults: { top_k: SIZE, filter: OBJECT },
  golden: {
    input: [(v) => typeof v === "string", "a text in base64"],
    output: [listOf(isNumber), "a list of numbers"],
    tolerance: [(v) => isNumber(v) && v >= 0, "a number, 0 or more"],
  },
  provenance: {
    exporter: TEXT,
    config_hash: TEXT,
    commit: TEXT,
    dataset: TEXT,
    model: TEXT,
    num_params: SIZE,
    accuracy: RATE,
    accuracy_flax: RATE,
  },
};
