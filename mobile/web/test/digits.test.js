import assert from "node:assert/strict";
import test from "node:test";

import { findDigit, GRID } from "../src/digits.js";
import { resizeArea, see, toTensor } from "../src/preprocess.js";
import { array, golden } from "./golden.js";
import { gray } from "./images.js";

const { input, conditions, oddities } = golden("digits");

function same(image, polarity, { inverted, notice, tensor }) {
  const seen = see(image, input, polarity);
  assert.deepEqual([seen.inverted, seen.notice], [inverted, notice]);
  assert.deepEqual(toTensor(seen.cells, input), array(tensor));
}

for (const { name, polarity, images, seen } of conditions) {
  test(`golden digits: ${name}`, () => {
    seen.forEach((expected, i) => same(gray(images, i), polarity, expected));
  });
}

for (const { name, image, ...expected } of oddities) {
  test(`golden oddity: ${name}`, () => same(gray(image), "auto", expected));
}

test("a drawing is never inverted by guess", () => {
  const { images } = conditions.find(({ polarity }) => polarity === "as_is");
  const image = gray(images, 0);
  for (let i = 0; i < image.rgba.length; i++) image.rgba[i] = 255 - image.rgba[i];
  assert.equal(see(image, input, "auto").inverted, true);
  assert.equal(see(image, input, "as_is").inverted, false);
});

test("how long a digit takes to be found is said", (t) => {
  const cells = resizeArea(gray(conditions[10].images, 0), [1, GRID, GRID, 1]);
  const median = () => {
    const times = Array.from({ length: 100 }, () => {
      const start = performance.now();
      findDigit(cells, "auto");
      return performance.now() - start;
    });
    return times.sort((a, b) => a - b)[50];
  };
  const best = Math.min(...Array.from({ length: 10 }, median)); // while nothing else ran
  assert.ok(best > 0);
  t.diagnostic(`a digit is found in ${best.toFixed(3)} ms`); // a busy machine takes longer
});
