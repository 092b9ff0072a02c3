/** Images to try a model with: ten in a row for the data sets known here, or else that of its self-test. */

import { fromBase64 } from "./manifest.js";
import { typed } from "./preprocess.js";

const STRIPS = { mnist: "mnist", mnist5k: "mnist", fashion_mnist: "fashion_mnist" };
const COUNT = 10;

/**
 * Returns the samples of a model, as canvases.
 *
 * @param {object} meta `model.json`.
 * @return {Promise<HTMLCanvasElement[]>}
 */
export async function samples(meta) {
  const strip = STRIPS[meta.provenance.dataset];
  if (!strip) return [selfTest(meta)];
  const image = new Image();
  image.src = `samples/${strip}.png`;
  await image.decode();
  const side = image.height;
  return Array.from({ length: COUNT }, (_, i) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: side, height: side });
    canvas.getContext("2d").drawImage(image, i * side, 0, side, side, 0, 0, side, side);
    return canvas;
  });
}

/** Draws the input of the golden pair. */
function selfTest({ golden, input }) {
  const [, height, width, channels] = input.shape;
  const values = typed(input.dtype, fromBase64(golden.input).buffer);
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) {
      const own = c % channels;
      const value = values[i * channels + own];
      const { quantization } = input;
      const real = quantization ? (value - quantization.zero_point) * quantization.scale : value;
      image.data[4 * i + c] = Math.round((real - input.offset[own]) / input.scale[own]);
    }
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}
