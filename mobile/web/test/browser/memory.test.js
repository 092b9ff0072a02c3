/** The camera leaves memory where it was. */

import assert from "node:assert/strict";
import test, { after } from "node:test";

import { bundleOf, closeAll, open, ready, serve, text } from "./harness.js";

after(closeAll);

const SECONDS = Number(process.env.CAMERA_SECONDS ?? 60);
const ALLOWED = 300e3; // bytes; an array that is kept of every frame would show

/** Returns what is in use between two frames: the film pauses, for a frame at work needs memory. */
async function inUse(page, client) {
  await page.evaluate(() => document.getElementById("video").pause());
  let [heap, buffers] = [Infinity, Infinity];
  for (let i = 0; i < 5; i++) { // what one collection sets free may hold what the next one does
    await client.send("HeapProfiler.collectGarbage");
    const { usedSize, embedderHeapUsedSize = 0, backingStorageSize = 0 } =
      await client.send("Runtime.getHeapUsage");
    heap = Math.min(heap, usedSize + embedderHeapUsedSize);
    buffers = Math.min(buffers, backingStorageSize);
  }
  await page.evaluate(() => document.getElementById("video").play());
  return { heap, buffers };
}

test(`${SECONDS} seconds of camera leave the heap where it was`, async (t) => {
  const page = await open(t, await serve(bundleOf("float32"), bundleOf("int8")),
    { flags: ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"] });
  const client = await page.context().newCDPSession(page);
  await ready(page);
  await page.selectOption("#model-1", { index: 2 });
  await page.click("#input label:has(input[value=camera])");
  await page.click("#toggle-camera");
  await text(page, "#fps", /\d/);
  await page.waitForTimeout(6000); // the meters fill, and the code is compiled
  const before = await inUse(page, client);
  await page.waitForTimeout(1000 * SECONDS);
  const after = await inUse(page, client);
  const fps = await page.textContent("#fps");
  t.diagnostic(`heap ${before.heap} to ${after.heap}, buffers ${before.buffers} to ${after.buffers}, at ${fps}`);
  assert.ok(after.heap - before.heap < ALLOWED, `heap grew by ${after.heap - before.heap}`);
  assert.ok(after.buffers - before.buffers < 4e6, `buffers grew by ${after.buffers - before.buffers}`);
});
