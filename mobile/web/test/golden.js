/** The golden files that every reader of a bundle is tested against: `mobile/golden`. */

import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

const FOLDER = new URL("../../golden/", import.meta.url);
const ARRAYS = { uint8: Uint8Array, int8: Int8Array, float32: Float32Array, float64: Float64Array };

/** Returns a golden file. */
export function golden(name) {
  return JSON.parse(readFileSync(new URL(`${name}.json`, FOLDER), "utf8"));
}

/** Returns the values that an entry `{file, offset, dtype, shape}` names. */
export function array({ file, offset, dtype, shape }) {
  const type = ARRAYS[dtype];
  const count = shape.reduce((a, b) => a * b, 1);
  const bytes = content(file).subarray(offset);
  return new type(Uint8Array.from(bytes.subarray(0, count * type.BYTES_PER_ELEMENT)).buffer);
}

const contents = new Map();

/** Returns the bytes of a file, unpacked if it is compressed. */
function content(file) {
  if (!contents.has(file)) {
    const bytes = readFileSync(new URL(file, FOLDER));
    contents.set(file, file.endsWith(".gz") ? gunzipSync(bytes) : bytes);
  }
  return contents.get(file);
}
