/**
 * The contents of a `.tflite` file, read as bytes that nobody vouches for.
 *
 * The tables, the order of the checks and the words are those of `distill/export/structure.py`.
 */

const MAX_PARTS = 2 ** 18; // tables and numbers of lists that are read
const SIZES = { i8: 1, u8: 1, i32: 4, u32: 4, i64: 8, f32: 4 };

// A table is a list of its fields in their order: name, kind, and default. A kind is a scalar,
// "text", "bytes", {each: kind}, another table, "options" of the operator whose type stands in the
// field before, or null: a file may not have the field.
const each = (kind) => ({ each: kind });
const TENSOR_MAP = [["name", "text"], ["tensor", "u32", 0]];
const SIGNATURE = [
  ["inputs", each(TENSOR_MAP), []], ["outputs", each(TENSOR_MAP), []], ["key", "text"],
  ["tag", null], ["graph", "u32", 0],
];
const METADATA = [["name", "text"], ["buffer", "u32", 0]];
const BUFFER = [["data", "bytes"]];
const QUANTIZATION = [
  ["min", each("f32"), []], ["max", each("f32"), []], ["scale", each("f32"), []],
  ["zero", each("i64"), []], ["details_type", null], ["details", null], ["axis", "i32", 0],
];
const TENSOR = [
  ["shape", each("i32"), []], ["type", "i8", 0], ["buffer", "u32", 0], ["name", "text"],
  ["quantization", QUANTIZATION], ["variable", null], ["sparsity", null],
  ["signature", each("i32"), []], ["has_rank", "u8", 0],
];
const OPERATOR = [
  ["code", "u32", 0], ["inputs", each("i32"), []], ["outputs", each("i32"), []],
  ["options_type", "u8", 0], ["options", "options"], ["custom", null], ["custom_format", null],
  ["mutating", each("u8"), []], ["intermediates", each("i32"), []], ["large_offset", null],
  ["large_size", null], ["options2_type", null], ["options2", null], ["debug", "i32", 0],
];
const GRAPH = [
  ["tensors", each(TENSOR), []], ["inputs", each("i32"), []], ["outputs", each("i32"), []],
  ["operators", each(OPERATOR), []], ["name", "text"], ["debug", "i32", 0],
];
const CODE = [["old", "i8", 0], ["custom", null], ["version", "i32", 1], ["builtin", "i32", 0]];
const MODEL = [
  ["version", "u32", 0], ["codes", each(CODE), []], ["graphs", each(GRAPH), []],
  ["description", "text"], ["buffers", each(BUFFER), []], ["metadata_buffer", each("i32"), []],
  ["metadata", each(METADATA), []], ["signatures", each(SIGNATURE), []],
];

const FUSED = ["fused", "i8", 0];
const STRIDES = [["padding", "i8", 0], ["stride_w", "i32", 0], ["stride_h", "i32", 0]];
const DILATION = [["dilation_w", "i32", 1], ["dilation_h", "i32", 1]];
const BIAS_TYPE = ["bias_type", "i8", 0];
const OPTIONS = {
  1: [...STRIDES, FUSED, ...DILATION, BIAS_TYPE], // Conv2D
  2: [...STRIDES, ["multiplier", "i32", 0], FUSED, ...DILATION], // DepthwiseConv2D
  5: [...STRIDES, ["filter_w", "i32", 0], ["filter_h", "i32", 0], FUSED], // Pool2D
  8: [FUSED, ["format", "i8", 0], ["keep", "u8", 0], ["asymmetric", "u8", 0], BIAS_TYPE],
  9: [["beta", "f32", 0]], // Softmax
  10: [["axis", "i32", 0], FUSED], // Concatenation
  11: [FUSED, ["pot", "u8", 1]], // Add
  15: [["height", null], ["width", null], ["align", "u8", 0], ["half", "u8", 0]], // ResizeBilinear
  17: [["shape", each("i32"), []]], // Reshape
  21: [FUSED], // Mul
  22: [], // Pad
  26: [], // Transpose
  27: [["keep", "u8", 0]], // Reducer
  28: [FUSED, ["pot", "u8", 1]], // Sub
  29: [FUSED], // Div
  30: [["dims", each("i32"), []]], // Squeeze
  32: [
    ["begin", "i32", 0], ["end", "i32", 0], ["ellipsis", "i32", 0], ["new", "i32", 0],
    ["shrink", "i32", 0], ["offset", "u8", 0],
  ], // StridedSlice
  38: [], // Dequantize
  39: [], // MaximumMinimum
  43: [], // PadV2
  48: [], // Slice
  49: [...STRIDES, FUSED, BIAS_TYPE], // TransposeConv
  74: [["align", "u8", 0], ["half", "u8", 0]], // ResizeNearestNeighbor
  75: [["alpha", "f32", 0]], // LeakyRelu
  76: [], // SquaredDifference
  89: [], // Quantize
  91: [], // HardSwish
};

/** A file is not sound: what in it, what was expected, what was found. */
export class UnsoundError extends Error {
  name = "UnsoundError";

  constructor(what, expected, found) {
    super(`${what}: expected ${worded(expected)}, found ${worded(found)}`);
  }
}

function worded(value) {
  return Array.isArray(value) ? `[${value.join(", ")}]` : String(value);
}

export function need(holds, what, expected, found) {
  if (!holds) throw new UnsoundError(what, expected, found);
}

/**
 * Returns the table `MODEL` of a file: values by name, of bytes where they begin and how many.
 *
 * @param {Uint8Array} data
 * @throws {UnsoundError} for the first offset, length or field that is wrong.
 */
export function read(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const get = {
    i8: (at) => view.getInt8(at), u8: (at) => view.getUint8(at),
    i32: (at) => view.getInt32(at, true), u32: (at) => view.getUint32(at, true),
    i64: (at) => Number(view.getBigInt64(at, true)), f32: (at) => view.getFloat32(at, true),
  };
  let left = MAX_PARTS;

  function inside(at, size, alignment, what) {
    need(at >= 0 && at + size <= data.length, what, `a place in ${data.length} bytes`, at);
    need(at % alignment === 0, what, `a multiple of ${alignment}`, at);
  }

  function spend(parts, what) {
    left -= parts;
    need(left >= 0, what, `at most ${MAX_PARTS} parts`, "more");
  }

  function scalar(at, kind, what) {
    inside(at, SIZES[kind], SIZES[kind], what);
    return get[kind](at);
  }

  /** Returns where an offset leads, always forward. */
  function follow(at, what) {
    const offset = scalar(at, "u32", what);
    need(offset !== 0, what, "an offset", 0);
    return at + offset;
  }

  function table(at, fields, what) {
    spend(1, what);
    const vtable = at - scalar(at, "i32", what);
    inside(vtable, 4, 2, what);
    const bytesOfFields = view.getUint16(vtable, true);
    const length = view.getUint16(vtable + 2, true);
    need(bytesOfFields >= 4 && bytesOfFields % 2 === 0, what,
      "an even number of bytes for its fields", bytesOfFields);
    inside(vtable, bytesOfFields, 2, what);
    inside(at, length, 4, what);
    const values = Object.fromEntries(fields.map(([name, , value = null]) => [name, value]));
    for (let slot = 0; slot < bytesOfFields / 2 - 2; slot++) {
      const offset = view.getUint16(vtable + 4 + 2 * slot, true);
      if (!offset) continue;
      let [name, kind] = fields[slot] ?? [`field ${slot}`, null];
      const inner = `${what}, ${name}`;
      need(kind !== null, inner, "none", "one");
      if (kind === "options") {
        kind = OPTIONS[values.options_type];
        need(kind !== undefined, inner, "a known type", values.options_type);
      }
      need(offset + (SIZES[kind] ?? 4) <= length, inner, `a place in ${length} bytes`, offset);
      values[name] = valueAt(at + offset, kind, inner);
    }
    return values;
  }

  function valueAt(at, kind, what) {
    if (kind in SIZES) return scalar(at, kind, what);
    const start = follow(at, what);
    if (Array.isArray(kind)) return table(start, kind, what);
    const count = scalar(start, "u32", what);
    const first = start + 4;
    if (kind === "text" || kind === "bytes") {
      inside(first, count, 1, what);
      const ascii = kind === "bytes" || data.subarray(first, first + count).every((v) => v < 128);
      need(ascii, what, "a text in ASCII", "another");
      return [first, count];
    }
    const item = kind.each;
    spend(count, what);
    const size = SIZES[item] ?? 4;
    inside(first, size * count, size, what);
    return Array.from({ length: count }, (_, i) => Array.isArray(item)
      ? table(follow(first + 4 * i, what), item, `${what} ${i}`)
      : get[item](first + size * i));
  }

  return table(follow(0, "the file"), MODEL, "the file");
}
