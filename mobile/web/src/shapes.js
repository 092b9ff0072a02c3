/**
 * The operators of a bundle: what each may read, and the shape that it writes.
 *
 * The rules, their order and the words are those of `distill/export/shapes.py`, which says why.
 */

import { MAX_STEP, Operator, QUANTIZED, VALUES, isStep, product, same } from "./operator.js";

const rule = (name, kind, inputs, options) => ({ name, kind, inputs, options });

/** By their numbers: name, kind, how many inputs at least and at most, type of the options. */
export const OPERATORS = {
  0: rule("ADD", "broadcast", [2, 2], 11),
  1: rule("AVERAGE_POOL_2D", "pool", [1, 1], 5),
  2: rule("CONCATENATION", "concatenation", [1, 2 ** 10], 10),
  3: rule("CONV_2D", "conv", [3, 3], 1),
  4: rule("DEPTHWISE_CONV_2D", "depthwise", [3, 3], 2),
  6: rule("DEQUANTIZE", "dequantize", [1, 1], 38),
  9: rule("FULLY_CONNECTED", "dense", [2, 3], 8),
  14: rule("LOGISTIC", "same", [1, 1], 0),
  17: rule("MAX_POOL_2D", "pool", [1, 1], 5),
  18: rule("MUL", "broadcast", [2, 2], 21),
  19: rule("RELU", "same", [1, 1], 0),
  21: rule("RELU6", "same", [1, 1], 0),
  22: rule("RESHAPE", "reshape", [1, 2], 17),
  23: rule("RESIZE_BILINEAR", "resize", [2, 2], 15),
  25: rule("SOFTMAX", "softmax", [1, 1], 9),
  28: rule("TANH", "same", [1, 1], 0),
  34: rule("PAD", "pad", [2, 2], 22),
  39: rule("TRANSPOSE", "transpose", [2, 2], 26),
  40: rule("MEAN", "reduce", [2, 2], 27),
  41: rule("SUB", "broadcast", [2, 2], 28),
  42: rule("DIV", "broadcast", [2, 2], 29),
  43: rule("SQUEEZE", "squeeze", [1, 1], 30),
  45: rule("STRIDED_SLICE", "strided_slice", [4, 4], 32),
  55: rule("MAXIMUM", "broadcast", [2, 2], 39),
  57: rule("MINIMUM", "broadcast", [2, 2], 39),
  60: rule("PADV2", "pad", [3, 3], 43),
  65: rule("SLICE", "slice", [3, 3], 48),
  67: rule("TRANSPOSE_CONV", "transpose_conv", [3, 4], 49),
  74: rule("SUM", "reduce", [2, 2], 27),
  76: rule("RSQRT", "same", [1, 1], 0),
  82: rule("REDUCE_MAX", "reduce", [2, 2], 27),
  97: rule("RESIZE_NEAREST_NEIGHBOR", "resize", [2, 2], 74),
  98: rule("LEAKY_RELU", "leaky", [1, 1], 75),
  99: rule("SQUARED_DIFFERENCE", "broadcast", [2, 2], 76),
  114: rule("QUANTIZE", "quantize", [1, 1], 89),
  117: rule("HARD_SWISH", "same", [1, 1], 91),
};
const PRODUCTS = ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MUL", "TRANSPOSE_CONV"];
const [MIN_RATIO, MAX_RATIO] = [2 ** -48, 2 ** 16];
const NEEDS_OPTIONS = ["pool", "concatenation", "conv", "depthwise", "softmax", "strided_slice", "transpose_conv"];

/**
 * Checks an operator.
 *
 * @param {object} rule of `OPERATORS`.
 * @param {(object|null)[]} read the tensors that it reads; null where one is left out.
 * @param {object} output the tensor that it writes.
 * @param {object|null} options
 * @param {string} what names it in messages.
 * @return {number} how many operations it takes: multiply-accumulates, or values.
 * @throws {UnsoundError} for the first thing that is wrong.
 */
export function checkOperator({ name, kind, inputs: [low, high] }, read, output, options, what) {
  const at = new Operator(read, output, options ?? {}, what);
  const fused = at.options.fused ?? 0;
  at.need(low <= read.length && read.length <= high, `${low} to ${high} inputs`, read.length);
  at.need(read.slice(0, low).every((tensor) => tensor !== null), "an input", "none");
  at.need(options !== null || !NEEDS_OPTIONS.includes(kind), "options", "none");
  at.need(fused >= 0 && fused <= 3, "a known activation", fused);
  at.need(scalesFit(name, read, output), "scales that fit the output's", "another");
  return KINDS[kind](at);
}

/** Says whether the scales of quantised inputs and of the output can be of one computation. */
function scalesFit(name, read, output) {
  const widths = read
    .filter((tensor) => tensor && QUANTIZED.includes(tensor.dtype))
    .map(({ scale }) => scale.reduce((a, b) => Math.max(a, b)));
  if (!QUANTIZED.includes(output.dtype) || !widths.length) return true;
  const [least, most] = [MIN_RATIO, MAX_RATIO].map((ratio) => ratio * output.scale[0]);
  let width = Math.max(...widths);
  if (PRODUCTS.includes(name)) width = product(widths.slice(0, 2));
  else if (name === "SQUARED_DIFFERENCE") width **= 2;
  else if (name === "DIV") width = widths[0] / widths.at(-1);
  return least < width && width < most;
}

function sameShape(at) {
  at.types();
  return at.writes(at.read[0].shape);
}

function convolution(at, isDepthwise) {
  at.types();
  at.weights(0, 1, "int4");
  const [images, rows, columns, channels] = at.rank(0, 4);
  const [first, height, width, last] = at.rank(1, 4);
  const [strideH, strideW, down, across] = at.step("stride_h", "stride_w", "dilation_h", "dilation_w");
  const filters = isDepthwise ? last : first;
  if (isDepthwise) {
    const wanted = channels * at.step("multiplier")[0];
    at.need(first === 1 && last === wanted, [1, wanted], [first, last]);
  } else {
    at.need(channels % last === 0, `a filter for ${channels} channels`, last);
    at.need(filters % (channels / last) === 0, `filters for ${channels / last} groups`, filters);
  }
  at.bias(0, 2, filters);
  const high = at.window(rows, height, strideH, down);
  const wide = at.window(columns, width, strideW, across);
  return at.writes([images, high, wide, filters]) * height * width * (isDepthwise ? 1 : last);
}

function mostDimensions(at, most) {
  const { shape } = at.read[0];
  at.need(shape.length <= most, `at most ${most} dimensions`, shape.length);
  return shape;
}

const KINDS = {
  same: sameShape,
  softmax(at) {
    at.need(at.options.beta > 0 && at.options.beta <= MAX_STEP, "a beta above 0", "another");
    at.need(at.read[0].shape.length > 0, "1 dimension or more", 0);
    return sameShape(at);
  },
  leaky(at) {
    at.need(Math.abs(at.options.alpha ?? 0) <= MAX_STEP, "a finite alpha", "another");
    return sameShape(at);
  },
  quantize(at) {
    at.need(VALUES.includes(at.read[0].dtype), "numbers of a known type", at.read[0].dtype);
    at.need(QUANTIZED.includes(at.output.dtype), "an output of integers", at.output.dtype);
    return at.writes(at.read[0].shape);
  },
  dequantize(at) {
    const { dtype } = at.read[0];
    at.need(dtype === "float16" || QUANTIZED.includes(dtype), "float16 or integers", dtype);
    at.need(at.output.dtype === "float32", "an output of float32", at.output.dtype);
    return at.writes(at.read[0].shape);
  },
  broadcast(at) {
    at.types(0);
    at.types(1);
    const [a, b] = [at.read[0].shape, at.read[1].shape];
    const rank = Math.max(a.length, b.length);
    at.need(rank <= 4, "at most 4 dimensions", rank);
    const [x, y] = [a, b].map((shape) => [...Array(rank - shape.length).fill(1), ...shape]);
    at.need(x.every((size, i) => size === y[i] || size === 1 || y[i] === 1), `sizes that fit [${a.join(", ")}]`, b);
    return at.writes(x.map((size, i) => Math.max(size, y[i])));
  },
  concatenation(at) {
    const first = at.read[0].shape;
    const axis = at.axis(at.options.axis, first.length);
    let total = 0;
    at.read.forEach((tensor, index) => {
      at.need(tensor !== null, "an input", "none");
      at.types(index);
      const { shape } = tensor;
      const fits = shape.length === first.length && shape.every((size, i) => i === axis || size === first[i]);
      at.need(fits, `sizes that fit [${first.join(", ")}]`, shape);
      total += shape[axis];
    });
    return at.writes(first.map((size, i) => (i === axis ? total : size)));
  },
  conv: (at) => convolution(at, false),
  depthwise: (at) => convolution(at, true),
  pool(at) {
    at.types();
    const [images, rows, columns, channels] = at.rank(0, 4);
    const [strideH, strideW, height, width] = at.step("stride_h", "stride_w", "filter_h", "filter_w");
    const high = at.window(rows, height, strideH);
    const wide = at.window(columns, width, strideW);
    return at.writes([images, high, wide, channels]) * height * width;
  },
  dense(at) {
    at.types();
    at.weights(0, 1, "int4");
    const [units, columns] = at.rank(1, 2);
    const layout = at.options.format ?? 0;
    at.need(layout === 0, "weights as usual", layout);
    at.bias(0, 2, units);
    const { shape, elements } = at.read[0];
    at.need(elements % columns === 0, `rows of ${columns}`, shape);
    if (!at.options.keep) return at.writes([elements / columns, units]) * columns;
    at.need(shape.at(-1) === columns, `rows of ${columns}`, shape);
    return at.writes([...shape.slice(0, -1), units]) * columns;
  },
  reshape(at) {
    at.types();
    const { elements } = at.read[0];
    const wanted = at.read.length > 1 ? at.integers(1) : [...(at.options.shape ?? [])];
    const known = product(wanted.filter((size) => size !== -1));
    const free = wanted.filter((size) => size === -1).length;
    at.need(known > 0 && free <= 1, "sizes above 0, but for one", wanted);
    if (free) wanted[wanted.indexOf(-1)] = Math.floor(elements / known);
    at.need(product(wanted) === elements, `sizes of ${elements} values`, wanted);
    return at.writes(wanted);
  },
  squeeze(at) {
    at.types();
    const { shape } = at.read[0];
    const listed = at.options.dims ?? [];
    const axes = new Set(listed.map((axis) => at.axis(axis, shape.length)));
    for (const axis of axes) at.need(shape[axis] === 1, "dimensions of size 1", shape);
    return at.writes(shape.filter((size, i) => !axes.has(i) && (listed.length || size !== 1)));
  },
  reduce(at) {
    at.types();
    const { shape, elements } = at.read[0];
    const axes = new Set(at.integers(1).map((axis) => at.axis(axis, shape.length)));
    const reduced = shape.map((size, i) => (axes.has(i) ? 1 : size));
    at.writes(at.options.keep ? reduced : reduced.filter((_, i) => !axes.has(i)));
    return elements;
  },
  pad(at) {
    at.types();
    const shape = mostDimensions(at, 5);
    const pads = at.integers(1, 2 * shape.length);
    at.need(same(at.read[1].shape, [shape.length, 2]), [shape.length, 2], at.read[1].shape);
    at.need(pads.every((pad) => pad >= 0 && pad <= MAX_STEP), `paddings from 0 to ${MAX_STEP}`, pads);
    if (at.read.length > 2) {
      at.types(2);
      at.need(at.read[2].elements === 1, "1 value to pad with", at.read[2].elements);
    }
    return at.writes(shape.map((size, i) => size + pads[2 * i] + pads[2 * i + 1]));
  },
  slice(at) {
    at.types();
    const shape = mostDimensions(at, 5);
    const [begin, size] = [at.integers(1, shape.length), at.integers(2, shape.length)];
    return at.writes(shape.map((whole, i) => {
      const first = begin[i];
      const count = size[i] === -1 ? whole - first : size[i];
      at.need(first >= 0 && count > 0 && count <= whole - first, `a part of ${whole}`, [first, count]);
      return count;
    }));
  },
  strided_slice(at) {
    at.types();
    const { options } = at;
    const shape = mostDimensions(at, 5);
    const [begin, end, stride] = [1, 2, 3].map((index) => at.integers(index, shape.length));
    for (const name of ["ellipsis", "new", "offset"]) at.need(options[name] === 0, `no ${name}`, options[name]);
    const place = (value, whole) => (value < 0 ? value + whole : value);
    const written = [];
    shape.forEach((whole, i) => {
      at.need(isStep(stride[i]), `strides from 1 to ${MAX_STEP}`, stride[i]);
      const first = (options.begin >> i) & 1 ? 0 : place(begin[i], whole);
      const last = (options.end >> i) & 1 ? whole : place(end[i], whole);
      if ((options.shrink >> i) & 1) {
        at.need(first >= 0 && first < whole && stride[i] === 1, `one of ${whole}`, first);
        return;
      }
      const until = Math.min(last, whole);
      at.need(first >= 0 && first < until, `a part of ${whole}`, [first, last]);
      written.push(Math.ceil((until - first) / stride[i]));
    });
    return at.writes(written);
  },
  transpose(at) {
    at.types();
    const { shape } = at.read[0];
    const order = at.integers(1, shape.length);
    at.need(same([...order].sort((a, b) => a - b), [...shape.keys()]), `an order of ${shape.length}`, order);
    return at.writes(order.map((axis) => shape[axis]));
  },
  resize(at) {
    at.types();
    const [images, , , channels] = at.rank(0, 4);
    const [rows, columns] = at.integers(1, 2);
    at.need(isStep(rows) && isStep(columns), `sizes to ${MAX_STEP}`, [rows, columns]);
    return at.writes([images, rows, columns, channels]);
  },
  transpose_conv(at) {
    at.types(2);
    at.weights(2, 1);
    const shape = at.integers(0, 4);
    const [filters, height, width, depth] = at.rank(1, 4);
    const image = at.rank(2, 4);
    const [strideH, strideW] = at.step("stride_h", "stride_w");
    at.bias(2, 3, filters);
    at.need(isStep(shape[1]) && isStep(shape[2]), `sizes to ${MAX_STEP}`, shape);
    const fits = [shape[0], at.window(shape[1], height, strideH), at.window(shape[2], width, strideW), depth];
    at.need(same(fits, image), fits, image);
    at.need(shape[3] === filters, filters, shape[3]);
    at.writes(shape);
    return at.read[2].elements * height * width * filters;
  },
};
