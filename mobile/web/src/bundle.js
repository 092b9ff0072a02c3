/**
 * Reading a bundle: `model.json` and `model.tflite` beside it.
 *
 * What is wrong is said in the words of `distill/export/bundle.py`.
 */

import { BundleError, parse, shown } from "./manifest.js";
import { checkSound } from "./sound.js";
import { UnsoundError } from "./structure.js";

const MANIFEST = "model.json";

/**
 * Fetches and checks a bundle.
 *
 * @param {function(string, function(number)): Promise<Uint8Array|null>} read returns a file of the
 *     bundle, or null where there is none; it calls the function with the length before the bytes are
 *     read, where it is known.
 * @return {Promise<{meta: object, file: Uint8Array}>}
 * @throws {BundleError} for the first thing that is missing or wrong, in one line.
 */
export async function readBundle(read) {
  const meta = parse(await present(read, MANIFEST), MANIFEST);
  const file = await present(read, meta.model.file, (length) => checkLength(length, meta));
  await checkModel(file, meta);
  return { meta, file };
}

async function present(read, name, onLength = () => {}) {
  const data = await read(name, onLength);
  if (!data) throw new BundleError(`${name} cannot be read: No such file or directory`);
  return data;
}

function checkLength(length, { model: { file: name, bytes } }) {
  if (length === bytes) return;
  const how = length < bytes ? "truncated" : "another file";
  throw new BundleError(`${name} has ${length} bytes, ${MANIFEST} says ${bytes}: it is ${how}`);
}

async function checkModel(file, meta) {
  const { model: { file: name, sha256 }, input, output } = meta;
  checkLength(file.length, meta);
  const digest = await hash(file);
  if (digest !== null && digest !== sha256) {
    throw new BundleError(`${name} has the sha256 ${digest}, ${MANIFEST} says ${sha256}: it was changed`);
  }
  const identifier = String.fromCharCode(...file.subarray(4, 8));
  if (identifier !== "TFL3") {
    throw new BundleError(`${name} is no TensorFlow Lite file: its identifier is ${shown(identifier)}`);
  }
  try {
    checkSound(file, input, output);
  } catch (error) {
    if (!(error instanceof UnsoundError)) throw error;
    throw new BundleError(`${name} is no sound model: ${error.message}`);
  }
}

/** Returns the SHA-256 as hex digits; null where the page is not secure and the browser has none. */
async function hash(file) {
  if (!globalThis.crypto?.subtle) return null;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", file));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Returns how far an output is from the golden one, at most. */
export function goldenError(output, { golden }) {
  return golden.output.reduce((worst, expected, i) => {
    const error = Math.abs(output[i] - expected);
    return Number.isNaN(error) ? Infinity : Math.max(worst, error);
  }, 0);
}
