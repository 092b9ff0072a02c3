import assert from "node:assert/strict";
import test from "node:test";

import * as preprocess from "../src/preprocess.js";
import { array, golden } from "./golden.js";
import { whole } from "./images.js";

const { images, inputs, cases } = golden("images");

/** Returns an image of which only the part that the model looks at is held, as of a canvas. */
function cropped(entry, shape) {
  const [height, width] = entry.shape;
  const held = preprocess.centerCrop(width, height, shape);
  const rgba = array(entry);
  const rows = Array.from({ length: held.height }, (_, r) => {
    const start = ((held.y + r) * width + held.x) * 4;
    return rgba.subarray(start, start + held.width * 4);
  });
  return { width, height, held, rgba: Uint8ClampedArray.from(rows.flatMap((row) => [...row])) };
}

for (const [i, { image, input, inverted, notice, tensor }] of cases.entries()) {
  test(`golden image ${i}: image ${image}, input ${input}`, () => {
    const spec = inputs[input];
    const [height, width] = images[image].shape;
    for (const pixels of [
      cropped(images[image], spec.normalize === "mnist" ? [1, 1, 1, 1] : spec.shape),
      whole(array(images[image]), height, width),
    ]) {
      const seen = preprocess.see(pixels, spec, spec.polarity);
      assert.deepEqual([seen.inverted, seen.notice], [inverted, notice]);
      assert.deepEqual(preprocess.toTensor(seen.cells, spec), array(tensor));
    }
  });
}

test("the crop is in the middle, to the upper left where it is odd, and of the tensor's shape", () => {
  const crop = (width, height, rows, columns) =>
    Object.values(preprocess.centerCrop(width, height, [1, rows, columns, 1]));
  assert.deepEqual(crop(640, 480, 28, 28), [80, 0, 480, 480]);
  assert.deepEqual(crop(3, 8, 1, 1), [0, 2, 3, 3]);
  assert.deepEqual(crop(1, 1, 20, 28), [0, 0, 1, 1]);
  assert.deepEqual(crop(28, 20, 20, 28), [0, 0, 28, 20]);
  assert.deepEqual(crop(100, 100, 20, 28), [0, 14, 100, 71]);
  assert.deepEqual(crop(100, 100, 28, 20), [14, 0, 71, 100]);
  assert.deepEqual(crop(2, 1000, 1, 500), [0, 499, 2, 1]);
});

test("a pixel becomes a constant image", () => {
  const cells = preprocess.resizeArea(whole([10, 20, 30, 255], 1, 1), [1, 3, 3, 3]);
  for (let i = 0; i < cells.length; i++) assert.ok(Math.abs(cells[i] - [10, 20, 30][i % 3]) < 1e-12);
});

test("halves are rounded to the even number", () => {
  const values = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.4999, -0.2, 126.5, 127.5];
  assert.deepEqual(values.map((v) => preprocess.roundHalfEven(v) + 0),
    [-2, -2, 0, 0, 2, 2, 2, 0, 126, 128]);
});

test("quantised values stay within their type", () => {
  const spec = { shape: [1, 1, 2, 1], dtype: "int8", scale: [1], offset: [0],
    quantization: { scale: 1, zero_point: 0 } };
  assert.deepEqual(preprocess.toTensor([255, -300], spec), Int8Array.of(127, -128));
});
