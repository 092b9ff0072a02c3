/**
 * From the output tensor to what is shown: probabilities, smoothed over frames, the best first.
 *
 * As in `distill/export/reference.py`; scores are float32.
 */

/**
 * Returns the probabilities of an output tensor.
 *
 * @param {ArrayLike<number>} values of the tensor, `[classes]`.
 * @param {object} output the section `output` of `model.json`.
 * @return {Float32Array} `[classes]`
 */
export function probabilities(values, { kind, quantization, temperature }) {
  const real = quantization ? dequantize(values, quantization) : Float32Array.from(values);
  if (kind === "logits") return softmax(real, temperature);
  return temperature ? temper(real, temperature) : real;
}

/** Returns what integers stand for. */
export function dequantize(values, { scale, zero_point }) {
  return Float32Array.from(values, (v) => (v - zero_point) * scale);
}

/** Returns the probabilities of logits that are divided by a temperature; computed in float64. */
export function softmax(logits, temperature = 1) {
  const highest = Math.max(...logits);
  return normalized(Array.from(logits, (v) => Math.exp((v - highest) / temperature)));
}

/** Returns probabilities whose logarithms are divided by a temperature; none counts as less than 1/1024. */
export function temper(scores, temperature) {
  return normalized(Array.from(scores, (v) => Math.max(v, 1 / 1024) ** (1 / temperature)));
}

function normalized(powers) {
  const sum = powers.reduce((a, b) => a + b, 0);
  return Float32Array.from(powers, (v) => v / sum);
}

/**
 * Makes the low-pass filter of the thesis (chapter 3): stages that each follow the one before,
 * which has already followed in this frame. They start at zero.
 *
 * @param {number} classes
 * @param {{stages: number, factor: number}} settings
 * @return {function(ArrayLike<number>): Float32Array} takes the scores of a frame, returns the
 *     last stage.
 */
export function lowPass(classes, { stages, factor }) {
  const state = Array.from({ length: stages }, () => new Float32Array(classes));
  const f = Math.fround(factor);
  return (scores) => {
    checkScores(scores);
    let x = Float32Array.from(scores);
    for (const stage of state) {
      for (let i = 0; i < classes; i++) stage[i] += Math.fround(f * Math.fround(x[i] - stage[i]));
      x = stage;
    }
    return x.slice();
  };
}

/** Refuses scores that would stay in a filter for ever. */
export function checkScores(scores) {
  const bad = Array.from(scores).findIndex((score) => !Number.isFinite(score));
  if (bad >= 0) {
    throw new Error(`score of class ${bad}: expected a finite number, found ${scores[bad]}`);
  }
}

/** Returns the `k` best as `{index, score}`, the best first; of equals the lower index. */
export function topK(scores, k) {
  return Array.from(scores)
    .map((score, index) => ({ index, score }))
    .sort((a, b) => b.score - a.score || a.index - b.index)
    .slice(0, Math.max(1, Math.min(k, scores.length)));
}
