/** From something that can be drawn to the pixels of its centre square. */

import { centerSquare } from "./preprocess.js";

const LARGEST = 4096; // pixels a side; a larger square is shrunk, so that memory stays bounded
const canvas = document.createElement("canvas");
const context = canvas.getContext("2d", { willReadFrequently: true });

/**
 * Returns the pixels of the centre square; what is transparent becomes white paper.
 *
 * @param {CanvasImageSource} image
 * @param {number} width @param {number} height in pixels.
 * @return {{square: {x, y, side}, rgba: Uint8ClampedArray}}
 */
export function squarePixels(image, width, height) {
  const square = centerSquare(width, height);
  const side = Math.min(square.side, LARGEST);
  if (canvas.width !== side) canvas.width = canvas.height = side;
  context.fillStyle = "#fff";
  context.fillRect(0, 0, side, side);
  context.drawImage(image, square.x, square.y, square.side, square.side, 0, 0, side, side);
  const { data } = context.getImageData(0, 0, side, side);
  return { square: side === square.side ? square : { x: 0, y: 0, side }, rgba: data };
}
