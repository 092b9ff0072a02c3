/**
 * Measures the page with SimpLeNet-v1 in float32: `node test/browser/speed.mjs`, on a quiet machine.
 *
 * Prints one line of JSON; all times are medians in ms. `first_classification_ms` is counted from the
 * navigation of a browser without a cache to the first label of a drawing, over `LOADS` loads. The
 * others are the page's own figures of its last 101 camera frames of 640 by 480 pixels: `frame_ms` is
 * preprocessing, inference and writing the answer into the page.
 */

import { bundleOf, closeAll, open, ready, serve, text } from "./harness.js";

const LOADS = 7;
const FRAMES = 200; // the first hundred are forgotten
const CAMERA = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"];

/** In the page: draws a line with the keys once the model is there, and notes when it has a label. */
function drawAtOnce() {
  let drawn = false;
  const press = (key) => document.getElementById("pad").dispatchEvent(new KeyboardEvent("keydown", { key }));
  new MutationObserver((_, observer) => {
    const { dataset } = document.documentElement;
    if (document.querySelector(".answer .label")?.textContent) {
      dataset.classified = performance.now();
      observer.disconnect();
    } else if (dataset.ready && !drawn) {
      drawn = true;
      [" ", ...Array(15).fill("ArrowDown")].forEach(press);
    }
  }).observe(document, { subtree: true, childList: true, attributes: true });
}

const cleanups = [];
const own = { after: (cleanup) => cleanups.push(cleanup) };

async function clean() {
  for (const cleanup of cleanups.splice(0)) await cleanup();
}

async function firstClassification(url) {
  const page = await open(own, url, { init: drawAtOnce });
  const found = await page.waitForSelector("html[data-classified]");
  const time = Number(await found.getAttribute("data-classified"));
  await clean();
  return time;
}

async function camera(url) {
  const page = await open(own, `${url}#camera`, { flags: CAMERA });
  await ready(page);
  await page.click("#toggle-camera");
  await page.waitForFunction((frames) =>
    document.getElementById("video").getVideoPlaybackQuality().totalVideoFrames > frames, FRAMES);
  const figure = async (selector) => parseFloat(await text(page, selector, /\d/));
  const found = {
    inference_ms: await figure(".median"),
    preprocessing_ms: await figure("#preprocessing"),
    frame_ms: await figure("#frame"),
  };
  await clean();
  return found;
}

const url = await serve(bundleOf("float32"));
const times = [];
for (let i = 0; i < LOADS; i++) times.push(await firstClassification(url));
const median = times.sort((a, b) => a - b)[LOADS >> 1];
const figures = await camera(url);
console.log(JSON.stringify({ ...figures, first_classification_ms: Math.round(median) }));
await closeAll();
