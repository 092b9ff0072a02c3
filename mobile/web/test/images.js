/** Golden images as the pixels that `src/preprocess.js` takes. */

import { array } from "./golden.js";

/** Returns an image whose pixels are all there. */
export function whole(rgba, height, width) {
  return { width, height, held: { x: 0, y: 0, width, height }, rgba };
}

/** Returns a gray image; of an array of several, the one with the index. */
export function gray(entry, index = 0) {
  const [height, width] = entry.shape.slice(-2);
  const pixels = array(entry).subarray(index * height * width, (index + 1) * height * width);
  return whole(Uint8ClampedArray.from({ length: 4 * pixels.length },
    (_, i) => (i % 4 === 3 ? 255 : pixels[i >> 2])), height, width);
}
