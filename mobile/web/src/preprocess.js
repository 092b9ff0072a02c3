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
  return Array.from({ length: cells }, (_, i) => {
    const from = start + (i * extent) / cells;
    const to = start + ((i + 1) * extent) / cells;
    const first = Math.floor(from);
    const weights = Float64Array.from({ length: Math.ceil(to) - first }, (_, k) =>
      Math.max(Math.min(to, first + k + 1) - Math.max(from, first + k), 0));
    return { first, weights };
  });
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
  const columns = taps(crop.x, crop.width, width);
  for (const column of columns) column.first -= held.x;
  const area = (crop.height / height) * (crop.width / width);
  const cells = new Float64Array(height * width * channels);
  const across = new Float64Array(width * 3);
  const sums = new Float64Array(width * 3);
  for (let r = 0; r < height; r++) {
    sums.fill(0);
    const { first, weights } = rows[r];
    for (let k = 0; k < weights.length; k++) {
      sumAcross(across, rgba, (first + k - held.y) * held.width, columns);
      for (let i = 0; i < sums.length; i++) sums[i] += weights[k] * across[i];
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

/** Sums one row of pixels over the columns of cells, into `[columns, 3]`; all weights within are 1. */
function sumAcross(out, rgba, row, columns) {
  for (let c = 0; c < columns.length; c++) {
    const { first, weights } = columns[c];
    const last = weights.length - 1;
    let p = (row + first) * 4;
    let red = weights[0] * rgba[p];
    let green = weights[0] * rgba[p + 1];
    let blue = weights[0] * rgba[p + 2];
    for (let k = 1; k < last; k++) {
      p += 4;
      red += rgba[p];
      green += rgba[p + 1];
      blue += rgba[p + 2];
    }
    if (last > 0) {
      p += 4;
      red += weights[last] * rgba[p];
      green += weights[last] * rgba[p + 1];
      blue += weights[last] * rgba[p + 2];
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
