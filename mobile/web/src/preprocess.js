/**
 * From the pixels of a frame to the tensor that the model takes, as `model.json` says.
 *
 * The order of the operations is that of `distill/export/reference.py`, in float64, so that the
 * tensors are equal to the last bit.
 */

/** Returns the square `{x, y, side}` in the middle of an upright image. */
export function centerSquare(width, height) {
  const side = Math.min(width, height);
  return { x: Math.floor((width - side) / 2), y: Math.floor((height - side) / 2), side };
}

/** Returns of every cell of an axis the first pixel under it, and how much of each lies there. */
function taps(start, extent, cells) {
  return Array.from({ length: cells }, (_, i) => {
    const from = start + (i * extent) / cells;
    const to = start + ((i + 1) * extent) / cells;
    const first = Math.floor(from);
    const weights = Float64Array.from({ length: Math.ceil(to) - first }, (_, k) =>
      Math.max(Math.min(to, first + k + 1) - Math.max(from, first + k), 0));
    return { first: first - start, weights };
  });
}

/**
 * Divides a square into cells and returns the mean of each, weighted by area.
 *
 * @param {Uint8ClampedArray} rgba `[side, side, 4]`, the pixels of the square only; opacity is not
 *     looked at.
 * @param {{x: number, y: number, side: number}} square where it lay in its image.
 * @param {number[]} shape the model's `[1, height, width, channels]`; one channel is gray (ITU-R
 *     BT.601, after averaging), three are RGB.
 * @return {Float64Array} `[height, width, channels]`, from 0 to 255.
 */
export function resizeArea(rgba, { x, y, side }, [, height, width, channels]) {
  const rows = taps(y, side, height);
  const columns = taps(x, side, width);
  const area = (side / height) * (side / width);
  const cells = new Float64Array(height * width * channels);
  const across = new Float64Array(width * 3);
  const sums = new Float64Array(width * 3);
  for (let r = 0; r < height; r++) {
    sums.fill(0);
    const { first, weights } = rows[r];
    for (let k = 0; k < weights.length; k++) {
      sumAcross(across, rgba, (first + k) * side, columns);
      for (let i = 0; i < sums.length; i++) sums[i] += weights[k] * across[i];
    }
    for (let c = 0; c < width; c++) {
      const [red, green, blue] = [0, 1, 2].map((channel) => sums[3 * c + channel] / area);
      const at = (r * width + c) * channels;
      if (channels === 1) cells[at] = 0.299 * red + 0.587 * green + 0.114 * blue;
      else cells.set([red, green, blue], at);
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
