/** From something that can be drawn, or a camera's frame, to the pixels that the models look at. */

const LARGEST = 4096; // pixels a side; a larger part is shrunk, so that memory stays bounded
const canvas = document.createElement("canvas");
const context = canvas.getContext("2d", { willReadFrequently: true });

/**
 * Returns the pixels of a part of an image; what is transparent becomes white paper.
 *
 * @param {CanvasImageSource} image
 * @param {number} width @param {number} height in pixels.
 * @param {{x, y, width, height}} part as of `centerCrop`.
 * @return {{width, height, held, rgba}} as for `resizeArea`; of a part that was shrunk, its own size.
 */
export function cropPixels(image, width, height, part) {
  const scale = Math.min(1, LARGEST / Math.max(part.width, part.height));
  const [wide, high] = [part.width, part.height].map((size) => Math.max(1, Math.round(size * scale)));
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff";
  context.fillRect(0, 0, wide, high);
  context.drawImage(image, part.x, part.y, part.width, part.height, 0, 0, wide, high);
  const { data: rgba } = context.getImageData(0, 0, wide, high);
  if (scale === 1) return { width, height, held: part, rgba };
  return { width: wide, height: high, held: { x: 0, y: 0, width: wide, height: high }, rgba };
}

/**
 * Returns the same of the frame that a video shows: the same bytes as by way of a canvas, in a
 * fifth of the time where the browser can convert a frame by itself.
 *
 * @param {HTMLVideoElement} video
 * @param {function(number, number): object} partOf returns the part for a width and a height.
 */
export async function framePixels(video, partOf) {
  const { videoWidth: width, videoHeight: height } = video;
  const part = partOf(width, height);
  return (await convertedPixels(video, width, height, part)) ?? cropPixels(video, width, height, part);
}

async function convertedPixels(video, width, height, held) {
  if (!globalThis.VideoFrame || Math.max(held.width, held.height) > LARGEST) return null;
  let frame;
  try {
    frame = new VideoFrame(video);
    const { visibleRect, rotation, flip } = frame;
    if (rotation || flip || visibleRect.width !== width || visibleRect.height !== height) return null;
    // These lie in several planes; an answer in one says that the browser has heeded the format.
    if (!/^(I4|NV)/.test(frame.format)) return null;
    const rgba = new Uint8ClampedArray(4 * held.width * held.height);
    const planes = await frame.copyTo(rgba, { rect: held, format: "RGBA", colorSpace: "srgb" });
    return planes.length === 1 ? { width, height, held, rgba } : null;
  } catch {
    return null;
  } finally {
    frame?.close();
  }
}
