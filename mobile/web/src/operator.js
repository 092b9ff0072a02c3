/** What the rules of `shapes.js` are made of. */

import { need } from "./structure.js";

const [SAME, VALID] = [0, 1]; // paddings
/** Largest stride, dilation, filter or padding. */
export const MAX_STEP = 2 ** 15;
/** Types of values. */
export const QUANTIZED = ["int8", "uint8"];
export const VALUES = ["float32", ...QUANTIZED];
const BIASES = { float32: "float32", int8: "int32", uint8: "int32" };

/** Returns the product of sizes. */
export const product = (sizes) => sizes.reduce((a, b) => a * b, 1);
/** Says whether two shapes are one. */
export const same = (a, b) => a.length === b.length && a.every((value, i) => value === b[i]);
/** Says whether a number may be a length. */
export const isStep = (value) => value > 0 && value <= MAX_STEP;

/** An operator of a file, and what its checks have in common. */
export class Operator {
  constructor(read, output, options, what) {
    Object.assign(this, { read, output, options, what });
  }

  need(holds, expected, found) {
    need(holds, this.what, expected, found);
  }

  /** An input of values, and an output of the same type. */
  types(index = 0) {
    const { dtype } = this.read[index];
    this.need(VALUES.includes(dtype), "numbers of a known type", dtype);
    this.need(this.output.dtype === dtype, `an output of ${dtype}`, this.output.dtype);
  }

  /** The output has this shape. */
  writes(shape) {
    this.need(same(shape, this.output.shape), shape, this.output.shape);
    return product(shape);
  }

  /** An input has so many dimensions. */
  rank(index, rank) {
    const { shape } = this.read[index];
    this.need(shape.length === rank, `${rank} dimensions`, shape);
    return shape;
  }

  /** Options that are lengths. */
  step(...names) {
    for (const name of names) this.need(isStep(this.options[name]), `${name} from 1 to ${MAX_STEP}`, this.options[name]);
    return names.map((name) => this.options[name]);
  }

  /** The values of an input that has to be a constant of whole numbers. */
  integers(index, count = null) {
    this.need(this.read[index] !== null, "an input", "none");
    const { dtype, constant, elements } = this.read[index];
    this.need(dtype === "int32", "int32", dtype);
    this.need(constant !== null, "a constant", "none");
    this.need(count === null || count === elements, `${count} numbers`, elements);
    return Array.from({ length: elements }, (_, i) => constant.getInt32(4 * i, true));
  }

  /** Weights of the image's type; those of floats may be int8 too, those of int8 `narrower`. */
  weights(image, index, ...narrower) {
    const [of, found] = [this.read[image].dtype, this.read[index].dtype];
    const fits = found === of || (of === "float32" && found === "int8");
    this.need(fits || (of === "int8" && narrower.includes(found)), `weights for ${of}`, found);
  }

  /** An input that may be left out: a number for each channel. */
  bias(image, index, channels) {
    const bias = this.read[index];
    if (!bias) return;
    const dtype = BIASES[this.read[image].dtype];
    this.need(same(bias.shape, [channels]), [channels], bias.shape);
    this.need(bias.dtype === dtype, `a bias of ${dtype}`, bias.dtype);
  }

  /** Returns how often a window fits along a side. */
  window(size, window, stride, dilation = 1) {
    const { padding } = this.options;
    this.need(padding === SAME || padding === VALID, "a known padding", padding);
    const covered = (window - 1) * dilation + 1;
    const count = padding === SAME ? Math.ceil(size / stride) : Math.floor((size - covered) / stride) + 1;
    this.need(count > 0, `a window of at most ${size}`, covered);
    return count;
  }

  /** Returns a dimension that may be counted from the last. */
  axis(axis, rank) {
    this.need(-rank <= axis && axis < rank, `a dimension of ${rank}`, axis);
    return axis < 0 ? axis + rank : axis;
  }
}
