import assert from "node:assert/strict";
import test from "node:test";

import * as scores from "../src/scores.js";
import { array, golden } from "./golden.js";

const { filter, softmax, temper, dequantize, top_k: ranked } = golden("scores");

for (const { stages, factor, scores: given, filtered } of filter) {
  test(`golden filter of ${stages} stages and factor ${factor}`, () => {
    const [frames, classes] = given.shape;
    const low = scores.lowPass(classes, { stages, factor });
    const values = array(given);
    const found = Array.from({ length: frames }, (_, i) =>
      [...low(values.subarray(i * classes, (i + 1) * classes))]);
    assert.deepEqual(Float32Array.from(found.flat()), array(filtered));
  });
}

test("golden softmax", () => {
  for (const { logits, probabilities } of softmax.cases) {
    const expected = array(probabilities);
    scores.softmax(logits).forEach((p, i) =>
      assert.ok(Math.abs(p - expected[i]) <= softmax.tolerance));
  }
});

test("golden temperature", () => {
  for (const { kind, temperature, scores: given, probabilities } of temper.cases) {
    const expected = array(probabilities);
    const found = scores.probabilities(Float32Array.from(given), { kind, temperature, quantization: null });
    found.forEach((p, i) => assert.ok(Math.abs(p - expected[i]) <= temper.tolerance));
  }
  assert.equal(temper.cases.length, 9);
});

test("golden dequantisation, and what is made of an output", () => {
  const { values, quantization, real } = dequantize;
  assert.deepEqual(scores.dequantize(values, quantization), array(real));
  const output = { kind: "probabilities", quantization };
  assert.deepEqual(scores.probabilities(Int8Array.from(values), output), array(real));
  const logits = scores.probabilities([0, 0], { kind: "logits", quantization: null });
  assert.deepEqual(logits, Float32Array.of(0.5, 0.5));
});

for (const { scores: given, k, classes } of ranked) {
  test(`golden top ${k} of ${given.length}`, () => {
    assert.deepEqual(scores.topK(given, k).map(({ index }) => index), classes);
  });
}

test("without stages, scores pass as they are", () => {
  const low = scores.lowPass(2, { stages: 0, factor: 0.4 });
  assert.deepEqual(low([0.5, 0.25]), Float32Array.of(0.5, 0.25));
});

test("scores that are no number never reach the filter", () => {
  const low = scores.lowPass(2, { stages: 1, factor: 1 });
  assert.throws(() => low([0, NaN]), /score of class 1: expected a finite number, found NaN/);
  assert.deepEqual(low([0.5, 0.25]), Float32Array.of(0.5, 0.25));
});
