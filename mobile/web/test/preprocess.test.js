import assert from "node:assert/strict";
import test from "node:test";

import * as preprocess from "../src/preprocess.js";
import { array, golden } from "./golden.js";

const { images, inputs, cases } = golden("images");

/** Returns the pixels of the centre square, as a canvas would hand them out. */
function cropped(image) {
  const [height, width] = image.shape;
  const square = preprocess.centerSquare(width, height);
  const rgba = array(image);
  const rows = Array.from({ length: square.side }, (_, r) => {
    const start = ((square.y + r) * width + square.x) * 4;
    return rgba.subarray(start, start + square.side * 4);
  });
  return { square, pixels: Uint8ClampedArray.from(rows.flatMap((row) => [...row])) };
}

for (const [i, { image, input, inverted, tensor }] of cases.entries()) {
  test(`golden image ${i}: image ${image}, input ${input}`, () => {
    const spec = inputs[input];
    const { square, pixels } = cropped(images[image]);
    const cells = preprocess.resizeArea(pixels, square, spec.shape);
    assert.equal(preprocess.isInverted(cells, spec.shape, spec.polarity), inverted);
    const seen = inverted ? preprocess.invert(cells) : cells;
    assert.deepEqual(preprocess.toTensor(seen, spec), array(tensor));
  });
}

test("the square is in the middle, to the upper left where it is odd", () => {
  assert.deepEqual(preprocess.centerSquare(640, 480), { x: 80, y: 0, side: 480 });
  assert.deepEqual(preprocess.centerSquare(3, 8), { x: 0, y: 2, side: 3 });
  assert.deepEqual(preprocess.centerSquare(1, 1), { x: 0, y: 0, side: 1 });
});

test("a pixel becomes a constant image", () => {
  const cells = preprocess.resizeArea([10, 20, 30, 255], { x: 0, y: 0, side: 1 }, [1, 3, 3, 3]);
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
