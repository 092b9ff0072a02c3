/** Images that are dropped, pasted or chosen. */

const LARGEST = 64e6; // bytes of a file; what it decodes to must fit the browser's memory
const NO_IMAGE = "is not an image that this browser can read; use PNG, JPEG, WebP or GIF.";

/** Returns the first file of a drop or a paste, or null where it has none. */
export function fileFrom(transfer) {
  return transfer?.files?.[0] ?? null;
}

/**
 * Decodes a file; of an animation the first frame, upright as its EXIF says.
 *
 * @param {File} file
 * @return {Promise<ImageBitmap>}
 * @throws {Error} with what to tell, where it is no image or too large.
 */
export async function decode(file) {
  const name = file.name || "What was pasted";
  if (file.type && !file.type.startsWith("image/")) throw new Error(`${name} ${NO_IMAGE}`);
  if (file.size > LARGEST) {
    throw new Error(`${name} has ${Math.round(file.size / 1e6)} MB; the limit is ${LARGEST / 1e6} MB.`);
  }
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch (error) {
    throw new Error(`${name} ${NO_IMAGE}`, { cause: error });
  }
}
