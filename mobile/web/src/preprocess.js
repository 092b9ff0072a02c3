/**
 * From the pixels of a frame to the tensor that the model takes, as `model.json` says.
 *
 * The order of the operations is that of `distill/export/reference.py`, in float64, so that the
 * tensors are equal to the last bit.
 */

import { findDigit, GRID } from "./digits.js";

/**
 * Returns the largest part `{x, y, width, height}` in the middle of an upright image that has the
 * shape of a tensor, in whole pixels.
 */
export function centerCrop(width, height, [, rows, columns]) {
  const isTall = height * columns >= width * rows;
  const high = isTall ? Math.max(Math.floor((width * rows) / columns), 1) : height;
  const wide = isTall ? width : Math.max(Math.floor((height * columns) / rows), 1);
  return { x: (width - wide) >> 1, y: (height - high) >> 1, width: wide, height: high };
}

/**
 * Returns what a model is to see of an image.
 *
 * @param {object} image as of `cropPixels`.
 * @param {object} input the section `input` of `model.json`.
 * @param {string} polarity in place of the model's own.
 * @param {Map<string, Float64Array>} resized of the same image, by shape; filled here, so that models
 *     of one shape share them.
 * @return {{cells: Float64Array, inverted: boolean, notice: string}} `[height, width, channels]` from
 *     0 to 255; whether light and dark have changed places; what is unusual, as of `findDigit`.
 */
export function see(image, { shape, normalize }, polarity, resized = new Map()) {
  const grid = normalize === "mnist" ? [1, GRID, GRID, 1] : shape;
  const key = grid.join();
  if (!resized.has(key)) resized.set(key, resizeArea(image, grid));
  const cells = resized.get(key);
  if (normalize === "mnist") return findDigit(cells, polarity);
  const inverted = isInverted(cells, shape, polarity);
  return { cells: inverted ? invert(cells) : cells, inverted, notice: "" };
}

/** Returns of every cell of an axis the first pixel under it, and how much of each lies there. */
export function taps(start, extent, cells) {
  const found = [];
  for (let i = 0; i < cells; i++) {
    const from = start + (i * extent) / cells;
    const to = start + ((i + 1) * extent) / cells;
    const first = Math.floor(from);
    const weights = new Array(Math.ceil(to) - first);
    for (let k = 0; k < weights.length; k++) {
      const pixel = first + k;
      weights[k] = Math.max(Math.min(to, pixel + 1) - Math.max(from, pixel), 0);
    }
    found.push({ first, weights });
  }
  return found;
}

/**
 * Divides the middle of an image into cells and returns the mean of each, weighted by area.
 *
 * @param {{width, height, held, rgba}} image its size, the part `{x, y, width, height}` of it that
 *     `rgba` holds, and that part's pixels; opacity is not looked at.
 * @param {number[]} shape `[1, height, width, channels]`; one channel is gray (ITU-R BT.601, after
 *     averaging), three are RGB.
 * @return {Float64Array} `[height, width, channels]`, from 0 to 255.
 */
export function resizeArea({ width: wide, height: high, held, rgba }, shape) {
  const [, height, width, channels] = shape;
  const crop = centerCrop(wide, high, shape);
  const rows = taps(crop.y, crop.height, height);
  const columns = flat(taps(crop.x, crop.width, width), held.x);
  const area = (crop.height / height) * (crop.width / width);
  const cells = new Float64Array(height * width * channels);
  const across = new Float64Array(width * 3);
  const sums = new Float64Array(width * 3);
  let summed = -1; // the row that `across` is of; two rows of cells share one
  for (let r = 0; r < height; r++) {
    sums.fill(0);
    const { first, weights } = rows[r];
    for (let k = 0; k < weights.length; k++) {
      const row = first + k - held.y;
      if (row !== summed) sumAcross(across, rgba, row * held.width, columns);
      summed = row;
      const weight = weights[k];
      for (let i = 0; i < sums.length; i++) sums[i] += weight * across[i];
    }
    for (let c = 0; c < width; c++) {
      const red = sums[3 * c] / area;
      const green = sums[3 * c + 1] / area;
      const blue = sums[3 * c + 2] / area;
      const at = (r * width + c) * channels;
      if (channels === 1) {
        cells[at] = 0.299 * red + 0.587 * green + 0.114 * blue;
      } else {
        cells[at] = red;
        cells[at + 1] = green;
        cells[at + 2] = blue;
      }
    }
  }
  return cells;
}

/** Returns the taps as arrays: first and last pixel of each cell, and how much of these two lies in it. */
function flat(columns, left) {
  return {
    firsts: Int32Array.from(columns, ({ first }) => first - left),
    lasts: Int32Array.from(columns, ({ first, weights }) => first - left + weights.length - 1),
    begins: Float64Array.from(columns, ({ weights }) => weights[0]),
    ends: Float64Array.from(columns, ({ weights }) => weights.at(-1)),
  };
}

/** Sums one row of pixels over the columns of cells, into `[columns, 3]`; all weights within are 1. */
function sumAcross(out, rgba, row, { firsts, lasts, begins, ends }) {
  for (let c = 0; c < firsts.length; c++) {
    let p = (row + firsts[c]) * 4;
    const last = (row + lasts[c]) * 4;
    const begin = begins[c];
    let red = begin * rgba[p];
    let green = begin * rgba[p + 1];
    let blue = begin * rgba[p + 2];
    for (p += 4; p < last; p += 4) {
      red += rgba[p];
      green += rgba[p + 1];
      blue += rgba[p + 2];
    }
    if (p === last) {
      const end = ends[c];
      red += end * rgba[p];
      green += end * rgba[p + 1];
      blue += end * rgba[p + 2];
    }
    out[3 * c] = red;
    out[3 * c + 1] = green;
    out[3 * c + 2] = blue;
  }
}

/**
 * Says whether the cells are to be inverted: ink on paper, for a model of light on dark.
 *
 * @param {Float64Array} cells `[height, width, channels]`.
 * @param {string} polarity `as_is`, `invert`, or `auto`: where the border, one cell wide, is
 *     brighter on average than the middle half.
 */
export function isInverted(cells, [, height, width, channels], polarity) {
  if (polarity !== "auto") return polarity === "invert";
  const top = Math.floor(height / 4);
  const left = Math.floor(width / 4);
  const mean = (inside) => {
    let sum = 0;
    let count = 0;
    for (let i = 0; i < cells.length; i++) {
      const cell = Math.floor(i / channels);
      if (!inside(Math.floor(cell / width), cell % width)) continue;
      sum += cells[i];
      count++;
    }
    return sum / count;
  };
  const border = mean((r, c) => r === 0 || c === 0 || r === height - 1 || c === width - 1);
  const middle = mean((r, c) => r >= top && r < height - top && c >= left && c < width - left);
  return border > middle;
}

/** Returns the cells with light and dark exchanged. */
export function invert(cells) {
  return cells.map((cell) => 255 - cell);
}

/** Rounds to the nearest integer, and halves to the even one, as NumPy and Kotlin do. */
export function roundHalfEven(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

const RANGE = { int8: [-128, 127], uint8: [0, 255] };
const ARRAY = { float32: Float32Array, int8: Int8Array, uint8: Uint8Array };

/** Returns an array of the dtype over the bytes of a tensor. */
export function typed(dtype, buffer) {
  return new ARRAY[dtype](buffer);
}

/**
 * Returns the values of the input tensor in its own dtype.
 *
 * @param {Float64Array} cells `[height, width, channels]`, as the model is to see them.
 * @param {object} input the section `input` of `model.json`.
 */
export function toTensor(cells, { shape, dtype, scale, offset, quantization }) {
  const channels = shape[3];
  const out = new ARRAY[dtype](cells.length);
  for (let i = 0; i < cells.length; i++) {
    const c = i % channels;
    const real = cells[i] * scale[c] + offset[c];
    if (!quantization) {
      out[i] = real;
      continue;
    }
    const [low, high] = RANGE[dtype];
    const q = roundHalfEven(real / quantization.scale) + quantization.zero_point;
    out[i] = Math.max(low, Math.min(high, q));
  }
  return out;
}
