/** Figures over the last frames. */

/** Keeps the newest `size` durations; a median over them ignores the odd slow frame. */
export function durations(size = 101) {
  const values = new Float64Array(size);
  let count = 0;
  return {
    add(ms) {
      values[count++ % size] = ms;
    },
    reset() {
      count = 0;
    },
    get last() {
      return count ? values[(count - 1) % size] : NaN;
    },
    get median() {
      const kept = values.slice(0, Math.min(count, size)).sort();
      const middle = kept.length >> 1;
      if (!kept.length) return NaN;
      return kept.length % 2 ? kept[middle] : (kept[middle - 1] + kept[middle]) / 2;
    },
  };
}

/** Counts frames per second over the newest `size` frames. */
export function rate(size = 30) {
  const times = [];
  return {
    tick(now) {
      times.push(now);
      if (times.length > size) times.shift();
    },
    reset() {
      times.length = 0;
    },
    get perSecond() {
      return times.length < 2 ? NaN : (1000 * (times.length - 1)) / (times.at(-1) - times[0]);
    },
  };
}

/** Returns milliseconds as text, with no more digits than the browser's clock has. */
export function milliseconds(ms, fine = globalThis.crossOriginIsolated) {
  return Number.isFinite(ms) ? `${ms.toFixed(fine ? 2 : 1)} ms` : "–";
}

/** Returns a number of bytes as text, in units of 1000. */
export function bytes(count) {
  if (count < 1000) return `${count} B`;
  const [divisor, unit] = count < 1e6 ? [1e3, "kB"] : [1e6, "MB"];
  return `${(count / divisor).toFixed(count / divisor < 100 ? 1 : 0)} ${unit}`;
}

/** Returns a ratio as text: "95×", "1.8×". */
export function times(ratio) {
  return `${ratio.toFixed(ratio < 10 ? 1 : 0)}×`;
}
