/** From something that can be drawn, or a camera's frame, to the pixels of its centre square. */

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

/**
 * Returns the same of the frame that a video shows: the same bytes as by way of a canvas, in a
 * fifth of the time where the browser can convert a frame by itself.
 *
 * @param {HTMLVideoElement} video
 */
export async function framePixels(video) {
  const { videoWidth: width, videoHeight: height } = video;
  return (await convertedPixels(video, width, height)) ?? squarePixels(video, width, height);
}

async function convertedPixels(video, width, height) {
  const square = centerSquare(width, height);
  const { x, y, side } = square;
  if (!globalThis.VideoFrame || side > LARGEST) return null;
  let frame;
  try {
    frame = new VideoFrame(video);
    const { visibleRect, rotation, flip } = frame;
    if (rotation || flip || visibleRect.width !== width || visibleRect.height !== height) return null;
    // These lie in several planes; an answer in one says that the browser has heeded the format.
    if (!/^(I4|NV)/.test(frame.format)) return null;
    const rgba = new Uint8ClampedArray(4 * side * side);
    const rect = { x, y, width: side, height: side };
    const planes = await frame.copyTo(rgba, { rect, format: "RGBA", colorSpace: "srgb" });
    return planes.length === 1 ? { square, rgba } : null;
  } catch {
    return null;
  } finally {
    frame?.close();
  }
}
