/** Which of two models is faster, as far as that can be told. */

const ROUNDS = 15;
const LEAST = 4; // ms of a measurement; the clock of a page may have no more than 0.1 ms
const NOISE = 1.05; // a smaller factor changes from one time to the next

/** Returns the median and how far apart the middle half lies. */
export function spread(times) {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (part) => sorted[Math.round(part * (sorted.length - 1))];
  return { median: at(0.5), middle: at(0.75) - at(0.25) };
}

/**
 * Returns how many times as long the second took, or 1 where that is less than the noise.
 *
 * @param {number[]} first @param {number[]} second durations of the two, taken in turns.
 */
export function factor(first, second) {
  const [a, b] = [spread(first), spread(second)];
  const ratio = b.median / a.median;
  const apart = Math.abs(a.median - b.median) > (a.middle + b.middle) / 2;
  return apart && Math.max(ratio, 1 / ratio) >= NOISE ? ratio : 1;
}

/**
 * Measures two models in turns, each of them warm; between two rounds the page goes on.
 *
 * @param {{warmUp: function()}[]} models `warmUp` runs one once.
 * @param {function(): boolean} isWanted whether somebody still waits for it.
 * @return {Promise<number[][]|null>} ms of a run, of each model in every round; null if unwanted.
 */
export async function race(models, isWanted) {
  const runs = models.map((model) => Math.max(1, Math.ceil(LEAST / time(model, 3))));
  models.forEach((model, i) => time(model, runs[i])); // warm, and at the full number of runs
  const times = models.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    await new Promise((done) => setTimeout(done));
    if (!isWanted()) return null;
    const order = round % 2 ? [1, 0] : [0, 1];
    for (const i of order) times[i].push(time(models[i], runs[i]));
  }
  return times;
}

function time({ warmUp }, runs) {
  const start = performance.now();
  for (let i = 0; i < runs; i++) warmUp();
  return (performance.now() - start) / runs || 1e-3;
}
