/** The camera leaves memory where it was. */

import assert from "node:assert/strict";
import test from "node:test";

import { bundleOf, open, ready, serve, text } from "./harness.js";

const SECONDS = Number(process.env.CAMERA_SECONDS ?? 60);
const ALLOWED = 300e3; // bytes; an array that is kept of every frame would show

/** Returns the least of several readings: some fall on a frame that is at work. */
async function least(used) {
  const found = await used();
  for (let i = 0; i < 9; i++) {
    await new Promise((done) => setTimeout(done, 730));
    const { heap, buffers } = await used();
    found.heap = Math.min(found.heap, heap);
    found.buffers = Math.min(found.buffers, buffers);
  }
  return found;
}

test(`${SECONDS} seconds of camera leave the heap where it was`, async (t) => {
  const page = await open(t, await serve(bundleOf("float32"), bundleOf("int8")),
    { flags: ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"] });
  const client = await page.context().newCDPSession(page);
  const used = async () => {
    await client.send("HeapProfiler.collectGarbage");
    const { usedSize, embedderHeapUsedSize = 0, backingStorageSize = 0 } =
      await client.send("Runtime.getHeapUsage");
    return { heap: usedSize + embedderHeapUsedSize, buffers: backingStorageSize };
  };
  await ready(page);
  await page.selectOption("#model-1", { index: 2 });
  await page.click("#input label:has(input[value=camera])");
  await page.click("#toggle-camera");
  await text(page, "#fps", /\d/);
  await page.waitForTimeout(4000); // the meters fill, and the code is compiled
  const before = await least(used);
  await page.waitForTimeout(1000 * SECONDS);
  const after = await least(used);
  const fps = await page.textContent("#fps");
  t.diagnostic(`heap ${before.heap} to ${after.heap}, buffers ${before.buffers} to ${after.buffers}, at ${fps}`);
  assert.ok(after.heap - before.heap < ALLOWED, `heap grew by ${after.heap - before.heap}`);
  assert.ok(after.buffers - before.buffers < 4e6, `buffers grew by ${after.buffers - before.buffers}`);
});
