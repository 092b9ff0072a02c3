/**
 * Finds a digit in an image, and makes of it what the authors of MNIST made of theirs.
 *
 * To the last bit `find` of `distill/export/digits.py`, where each step is explained.
 */

import { taps } from "./preprocess.js";

export const GRID = 70;
const CELLS = GRID * GRID;
const [SIZE, BOX, MIDDLE] = [28, 20, 14.5];
const [STEPS, HALF] = [16, 0.5 + 2 ** -20];
const [AROUND, REACH] = [17, 12];
const WINDOW = 2 * REACH + 1;
const DEPTH = 9 * STEPS;
const BIN = 16;
const [DARKEST, CONTRAST, NOISE, SPECK] = [17, (12 * DEPTH) / BIN, 9, 9];
const [PART, EDGE, OTHER] = [60, 8, 4];
const [NEAR, WHITE] = [2, 20];

// Room for every step, so that nothing is allocated for an image.
const steps = new Int32Array(CELLS);
const sums = new Int32Array((GRID + 1) ** 2);
const smooth = new Int32Array(CELLS);
const background = new Int32Array(CELLS);
const bins = new Int32Array(CELLS);
const counts = new Int32Array((255 * DEPTH) / BIN + 1);
const turned = new Int32Array(CELLS);
const [ahead, behind] = [new Int32Array(GRID), new Int32Array(GRID)];
const labels = new Int32Array(CELLS);
const waiting = new Int32Array(CELLS);
const [ink, wide] = [new Int32Array(CELLS), new Int32Array(CELLS)];
const top20 = new Float64Array(WHITE); // the brightest pixels, the darkest of them first
const across = new Float64Array(GRID * SIZE);

/**
 * Finds the largest digit.
 *
 * @param {Float64Array} cells `[GRID, GRID]` from 0 to 255, the square in the middle of an image.
 * @param {string} polarity `as_is` is light ink on dark, `invert` dark ink on light, `auto` either.
 * @return {{cells: Float64Array, inverted: boolean, notice: string}} `[28, 28]`, light on dark;
 *     whether the ink is dark; `blank`, `cut`, `several`, or "" where nothing is unusual.
 */
export function findDigit(cells, polarity) {
  for (let i = 0; i < CELLS; i++) steps[i] = cells[i] * STEPS + HALF;
  const inverted = polarity === "invert" || (polarity === "auto" && isInkDark());
  if (!inverted) for (let i = 0; i < CELLS; i++) steps[i] = 255 * STEPS - steps[i];
  const blank = { cells: new Float64Array(SIZE * SIZE), inverted, notice: "blank" };

  estimateBackground();
  counts.fill(0);
  for (let i = 0; i < CELLS; i++) counts[bins[i] = ((background[i] - smooth[i]) / BIN) | 0]++;
  const middle = ranked(CELLS / 2);
  const contrast = ranked(CELLS - DARKEST) - middle;
  counts.fill(0);
  for (let i = 0; i < CELLS; i++) counts[Math.abs(bins[i] - middle)]++;
  if (contrast < Math.max(CONTRAST, NOISE * ranked(CELLS / 2))) return blank;

  const parts = findParts(middle + (contrast >> 2));
  const main = mainPart(parts);
  const isCut = main.atEdge;
  if (main.size < SPECK || (isCut && contrast < 3 * CONTRAST)) return blank;
  const { kept, box } = keepDigit(parts, main);
  const least = contrast >> 4;
  const placed = place(kept, box, BIN * (middle + least), BIN * (contrast - least));
  const others = parts.some((part) =>
    !kept.has(part) && !part.atEdge && part.size * OTHER >= main.size);
  return { cells: placed, inverted, notice: isCut ? "cut" : others ? "several" : "" };
}

/** Returns the value at a rank, from 0, of those that are counted. */
function ranked(rank) {
  let value = -1;
  for (let seen = 0; seen <= rank;) seen += counts[++value];
  return value;
}

/** Says whether there is less that is dark than that is light, wherever it is. */
function isInkDark() {
  const width = GRID + 1;
  for (let row = 0; row < GRID; row++) {
    let sum = 0;
    for (let column = 0, at = (row + 1) * width + 1; column < GRID; column++, at++) {
      sum += steps[row * GRID + column];
      sums[at] = sums[at - width] + sum;
    }
  }
  let total = 0;
  for (let row = 0; row < GRID; row++) {
    const top = Math.max(row - AROUND, 0);
    const bottom = Math.min(row + AROUND + 1, GRID);
    for (let column = 0; column < GRID; column++) {
      const left = Math.max(column - AROUND, 0);
      const right = Math.min(column + AROUND + 1, GRID);
      const sum = sums[bottom * width + right] - sums[top * width + right] -
        sums[bottom * width + left] + sums[top * width + left];
      const mean = sum / ((bottom - top) * (right - left));
      const error = (steps[row * GRID + column] - mean) / (mean + 128 * STEPS);
      total += error * error * error;
    }
  }
  return total < 0;
}

/** Fills `smooth` with the sums of nine cells, and `background` with the closing of these. */
function estimateBackground() {
  for (let row = 0; row < GRID; row++) {
    const above = Math.max(row - 1, 0) * GRID;
    const here = row * GRID;
    const below = Math.min(row + 1, GRID - 1) * GRID;
    let middle = steps[above] + steps[here] + steps[below];
    let before = middle;
    for (let column = 0; column < GRID; column++) {
      const next = Math.min(column + 1, GRID - 1);
      const after = steps[above + next] + steps[here + next] + steps[below + next];
      smooth[here + column] = before + middle + after;
      before = middle;
      middle = after;
    }
  }
  widen(smooth, turned);
  widen(turned, background);
  for (let i = 0; i < CELLS; i++) background[i] = -background[i]; // the minimum is a maximum then
  widen(background, turned);
  widen(turned, background);
  for (let i = 0; i < CELLS; i++) background[i] = -background[i];
}

/**
 * Writes the largest value within reach of each cell along its row (van Herk, 1992), rows and columns
 * exchanged: done twice, it is that of a square.
 */
function widen(from, to) {
  for (let row = 0; row < GRID; row++) {
    const start = row * GRID;
    const end = start + GRID - 1;
    // Blocks of a window's length, the first of which begins `REACH` cells before the row.
    for (let first = start - REACH; first <= end + REACH; first += WINDOW) {
      const last = first + WINDOW - 1;
      let most = from[Math.max(first, start)];
      for (let i = Math.max(first, start); i <= last && i <= end; i++) {
        const value = from[i];
        if (value > most) most = value;
        ahead[i - start] = most;
      }
      most = from[Math.min(last, end)];
      for (let i = Math.min(last, end); i >= first && i >= start; i--) {
        const value = from[i];
        if (value > most) most = value;
        behind[i - start] = most;
      }
    }
    for (let column = 0; column < GRID; column++) {
      const left = behind[column < REACH ? 0 : column - REACH];
      const right = ahead[column + REACH < GRID ? column + REACH : GRID - 1];
      to[column * GRID + row] = left > right ? left : right;
    }
  }
}

/**
 * Labels the parts of the ink whose cells touch, corners too, in the order of their first cells.
 *
 * @return {object[]} of each its label, from 1, its number of cells, the box around it, and whether
 *     that touches the edge.
 */
function findParts(least) {
  const parts = [];
  labels.fill(0);
  for (let cell = 0; cell < CELLS; cell++) {
    if (bins[cell] >= least && !labels[cell]) parts.push(fill(cell, parts.length + 1, least));
  }
  return parts;
}

function fill(first, label, least) {
  let [size, top, left, bottom, right] = [0, GRID, GRID, 0, 0];
  let count = 1;
  waiting[0] = first;
  labels[first] = label;
  while (count) {
    const cell = waiting[--count];
    const row = (cell / GRID) | 0;
    const column = cell - row * GRID;
    size++;
    if (row < top) top = row;
    if (column < left) left = column;
    if (row >= bottom) bottom = row + 1;
    if (column >= right) right = column + 1;
    const [r0, r1] = [row ? row - 1 : 0, row < GRID - 1 ? row + 1 : row];
    const [c0, c1] = [column ? column - 1 : 0, column < GRID - 1 ? column + 1 : column];
    for (let r = r0; r <= r1; r++) {
      for (let near = r * GRID + c0; near <= r * GRID + c1; near++) {
        if (labels[near] || bins[near] < least) continue;
        labels[near] = label;
        waiting[count++] = near;
      }
    }
  }
  const atEdge = Math.min(top, left) === 0 || Math.max(bottom, right) === GRID;
  return { label, size, top, left, bottom, right, atEdge };
}

/** Returns the largest part; one at the edge is passed over for one inside. */
function mainPart(parts) {
  const larger = (a, b) => (b.size > a.size ? b : a);
  const largest = parts.reduce(larger);
  const inside = parts.filter(({ atEdge }) => !atEdge).reduce(larger, { size: 0 });
  return inside.size * EDGE >= largest.size ? inside : largest;
}

/** Adds to a part what is so near that it belongs to the same digit; another one stands beside it. */
function keepDigit(parts, main) {
  const kept = new Set([main]);
  const box = { ...main };
  for (let grown = true; grown;) {
    grown = false;
    for (const part of parts) {
      if (kept.has(part) || !belongs(part, box)) continue;
      kept.add(part);
      box.top = Math.min(box.top, part.top);
      box.left = Math.min(box.left, part.left);
      box.bottom = Math.max(box.bottom, part.bottom);
      box.right = Math.max(box.right, part.right);
      grown = true;
    }
  }
  return { kept, box };
}

function belongs(part, box) {
  if (part.atEdge || part.size * PART < box.size) return false;
  const [height, width] = [box.bottom - box.top, box.right - box.left];
  const rows = Math.min(part.bottom, box.bottom) - Math.max(part.top, box.top);
  const columns = Math.min(part.right, box.right) - Math.max(part.left, box.left);
  const isTall = 2 * (part.bottom - part.top) >= height;
  const isBeside = 5 * columns < Math.min(part.right - part.left, width);
  return -8 * Math.min(rows, columns) <= Math.max(height, width) && !(isTall && isBeside);
}

/** Scales the ink to its box and places its centre of mass; the darkest becomes white. */
function place(kept, box, thin, most) {
  const wanted = new Set([...kept].map(({ label }) => label));
  const only = wanted.size === 1 ? [...wanted][0] : 0;
  const [top, bottom] = [Math.max(box.top - NEAR, 0), Math.min(box.bottom + NEAR, GRID)];
  const [left, right] = [Math.max(box.left - NEAR, 0), Math.min(box.right + NEAR, GRID)];
  ink.fill(0);
  wide.fill(0);
  for (let row = box.top; row < box.bottom; row++) {
    const [start, end] = [row * GRID, row * GRID + GRID];
    for (let cell = start + box.left; cell < start + box.right; cell++) {
      const label = labels[cell];
      if (!label || (only ? label !== only : !wanted.has(label))) continue;
      for (let near = Math.max(cell - NEAR, start); near <= cell + NEAR && near < end; near++) wide[near] = 1;
    }
  }
  for (let row = box.top; row < box.bottom; row++) {
    for (let r = Math.max(row - NEAR, top); r <= row + NEAR && r < bottom; r++) {
      for (let c = left; c < right; c++) ink[r * GRID + c] |= wide[row * GRID + c];
    }
  }
  let lightest = 1;
  for (let i = 0; i < CELLS; i++) if (background[i] > lightest) lightest = background[i];
  let [total, down, sideways] = [0, 0, 0];
  for (let row = top; row < bottom; row++) {
    for (let column = left, cell = row * GRID + left; column < right; column++, cell++) {
      if (!ink[cell]) continue;
      const found = Math.max(0, background[cell] - 9 * steps[cell] - thin);
      const depth = Math.min(most, Math.floor((found * lightest) / Math.max(1, background[cell])));
      ink[cell] = depth;
      total += depth;
      down += depth * (2 * row + 1);
      sideways += depth * (2 * column + 1);
    }
  }
  const side = (Math.max(box.bottom - box.top, box.right - box.left) * SIZE) / BOX;
  const corner = GRID - (side * MIDDLE) / SIZE;
  const rows = taps(down / (2 * total) + corner, side, SIZE);
  const columns = taps(sideways / (2 * total) + corner, side, SIZE);
  const pixels = resize(rows, columns, (side / SIZE) * (side / SIZE), top, bottom);
  const [white, brightest] = bright(pixels);
  const scale = Math.max(white, brightest / 2);
  for (let i = 0; i < pixels.length; i++) pixels[i] = Math.min((pixels[i] * 255) / scale, 255);
  return pixels;
}

/** Returns the pixel with the rank `WHITE` from the brightest, and the brightest. */
function bright(pixels) {
  top20.fill(0);
  for (let i = 0; i < pixels.length; i++) {
    const value = pixels[i];
    if (value <= top20[0]) continue;
    let at = 1;
    for (; at < WHITE && top20[at] < value; at++) top20[at - 1] = top20[at];
    top20[at - 1] = value;
  }
  return [top20[0], top20[WHITE - 1]];
}

/** As `resizeArea`, of `ink` with nothing around it; only the rows from `top` to `bottom` have some. */
function resize(rows, columns, area, top, bottom) {
  for (let row = top; row < bottom; row++) {
    for (let c = 0; c < SIZE; c++) {
      const { first, weights } = columns[c];
      let sum = 0;
      for (let k = 0; k < weights.length; k++) {
        const at = first + k - GRID;
        if (at >= 0 && at < GRID) sum += weights[k] * ink[row * GRID + at];
      }
      across[row * SIZE + c] = sum;
    }
  }
  const pixels = new Float64Array(SIZE * SIZE);
  for (let r = 0; r < SIZE; r++) {
    const { first, weights } = rows[r];
    for (let k = 0; k < weights.length; k++) {
      const at = first + k - GRID;
      if (at < top || at >= bottom) continue;
      for (let c = 0; c < SIZE; c++) pixels[r * SIZE + c] += weights[k] * across[at * SIZE + c];
    }
    for (let c = 0; c < SIZE; c++) pixels[r * SIZE + c] /= area;
  }
  return pixels;
}
