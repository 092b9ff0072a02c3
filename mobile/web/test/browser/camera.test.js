/** The camera: a film of digits in place of one, and everything that can be wrong with it. */

import assert from "node:assert/strict";
import { join } from "node:path";
import test, { after } from "node:test";

import { bundleOf, closeAll, open, python, ready, scratch, serve, text } from "./harness.js";
import { draw } from "./strokes.js";

after(closeAll);

const FAKE = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"];
const DIGITS = [3, 7, 0, 5, 8]; // of the film
const LATEST = 1000; // ms from a digit's first frame to its label
const PATIENCE = 60e3; // the film begins anew until every digit was in time, once, on a busy machine

/** Opens the page with a camera that shows a film, and starts it. */
async function withFilm(t) {
  const film = join(scratch(t), "digits.y4m");
  python("video", film);
  const page = await open(t, await serve(bundleOf("float32")),
    { flags: [...FAKE, `--use-file-for-fake-video-capture=${film}`] });
  await ready(page);
  await page.click("#input label:has(input[value=camera])");
  await page.click("#toggle-camera");
  await text(page, "#toggle-camera", "Stop camera");
  return page;
}

/**
 * Returns, of every digit of the film, how long its label took to appear: the shortest time, for the
 * film begins anew until all of them were in time.
 */
function delays(page, digits) {
  return page.evaluate(([count, latest, patience]) => new Promise((done) => {
    const video = document.getElementById("video");
    const context = new OffscreenCanvas(8, 8).getContext("2d", { willReadFrequently: true });
    const shortest = {};
    const begin = performance.now();
    let [digit, since, delay] = [null, 0, Infinity]; // of a label that stays as long as its digit
    const timer = setInterval(() => {
      const now = performance.now();
      context.drawImage(video, 0, 100, 8, 8, 0, 0, 8, 8);
      const luma = context.getImageData(4, 4, 1, 1).data[0];
      const shown = Math.round(((luma * 219) / 255 + 16 - 40) / 20); // the film's luma is 16 to 235
      if (shown !== digit) {
        if (since) shortest[digit] = Math.min(delay, shortest[digit] ?? Infinity);
        const times = Object.values(shortest);
        if ((times.length >= count && Math.max(...times) <= latest) || now - begin > patience) {
          clearInterval(timer);
          done(shortest);
          return;
        }
        since = digit === null ? 0 : now; // the first began before anyone looked
        [digit, delay] = [shown, Infinity];
      }
      const right = document.querySelector(".answer .label").textContent === String(digit);
      delay = right ? Math.min(delay, now - since) : Infinity;
    }, 20);
  }), [digits.length, LATEST, PATIENCE]);
}

test("a film of digits gives their labels within a second of each", async (t) => {
  const page = await withFilm(t);
  const found = await delays(page, DIGITS);
  t.diagnostic(Object.entries(found).map(([digit, delay]) => `${digit} after ${Math.round(delay)} ms`).join(", "));
  assert.deepEqual(Object.keys(found).map(Number), DIGITS.toSorted());
  for (const [digit, delay] of Object.entries(found)) assert.ok(delay <= LATEST, `${digit}: ${delay}`);
  await text(page, "#fps", /\d/);
  for (const width of [1100, 400]) { // the window is resized while the camera runs
    await page.setViewportSize({ width, height: 900 });
    const [crop, view] = await page.evaluate(() => ["crop", "viewfinder"].map((id) =>
      document.getElementById(id).getBoundingClientRect().toJSON()));
    assert.ok(view.width <= width);
    assert.ok(Math.abs(crop.width - crop.height) < 1 && Math.abs(crop.height - view.height) < 1);
    assert.ok(Math.abs(crop.x - view.x - (view.width - crop.width) / 2) < 1);
  }
  assert.ok(await page.evaluate(() => document.getElementById("video").srcObject !== null));
});

const running = (page) => page.evaluate(() => document.getElementById("video").srcObject !== null);

/** Makes the page believe that its tab is hidden, or seen again. */
function hide(page, hidden) {
  return page.evaluate((value) => {
    Object.defineProperty(document, "hidden", { value, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
}

test("a hidden tab stops the camera, and it runs again when the tab is seen", async (t) => {
  const page = await open(t, `${await serve(bundleOf("float32"))}#camera`, { flags: FAKE });
  await ready(page);
  await page.click("#toggle-camera");
  await text(page, "#fps", /\d/);
  const track = await page.evaluateHandle(() => document.getElementById("video").srcObject.getTracks()[0]);
  await hide(page, true);
  assert.equal(await track.evaluate((each) => each.readyState), "ended");
  assert.equal(await running(page), false);
  await hide(page, false);
  await text(page, "#toggle-camera", "Stop camera");
  assert.equal(await running(page), true);
  await page.click("#toggle-camera");
  await hide(page, true);
  await hide(page, false); // it was off, and stays off
  await text(page, "#toggle-camera", "Start camera");
  assert.equal(await running(page), false);
});

/** Makes every camera come only when `give` is called. */
function withhold() {
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await open(wanted);
    await new Promise((done) => Object.assign(globalThis, { stream, give: done }));
    delete globalThis.give;
    return stream;
  };
}

test("a camera that comes when the tab is hidden is given back, and asked for again", async (t) => {
  const page = await open(t, `${await serve(bundleOf("float32"))}#camera`, { flags: FAKE, init: withhold });
  await ready(page);
  const asked = () => page.waitForFunction(() => globalThis.give);
  await page.click("#toggle-camera");
  await asked();
  await hide(page, true);
  await page.evaluate(() => globalThis.give());
  await page.waitForFunction(() => globalThis.stream.getTracks()[0].readyState === "ended");
  assert.equal(await running(page), false);
  await hide(page, false);
  await asked();
  await page.evaluate(() => globalThis.give());
  await text(page, "#toggle-camera", "Stop camera");
  assert.equal(await running(page), true);
});

test("what was shown of a camera goes with it", async (t) => {
  const page = await open(t, `${await serve(bundleOf("float32"))}#camera`, { flags: FAKE });
  await ready(page);
  await page.click("#toggle-camera");
  await text(page, "#fps", /\d/);
  await text(page, ".answer .label", /\d/);
  await page.click("#toggle-camera");
  assert.deepEqual(await page.locator(".answer .label, #fps").allTextContents(), ["–", ""]);
});

test("a camera that is unplugged is told, and can be started again", async (t) => {
  const page = await open(t, await serve(bundleOf("float32")), { flags: FAKE });
  await ready(page);
  await page.click("#input label:has(input[value=camera])");
  await page.click("#toggle-camera");
  await text(page, "#fps", /\d/);
  await page.evaluate(() =>
    document.getElementById("video").srcObject.getTracks()[0].dispatchEvent(new Event("ended")));
  await text(page, "#message", /^The camera was disconnected/);
  assert.equal(await running(page), false);
  await page.click("#toggle-camera");
  await text(page, "#toggle-camera", "Stop camera");
  assert.ok(await page.isHidden("#message"));
  await page.click("#input label:has(input[value=draw])");
  assert.equal(await running(page), false);
});

/** Opens the page with two cameras, starts the second one, and returns the page and its device id. */
async function withSecond(t) {
  const page = await open(t, `${await serve(bundleOf("float32"))}#camera`,
    { flags: [FAKE[0], "--use-fake-device-for-media-stream=device-count=2"] });
  await ready(page);
  await page.click("#toggle-camera");
  await page.waitForFunction(() => document.getElementById("camera").options.length === 2);
  const id = await page.evaluate(() => document.getElementById("camera").options[1].value);
  await page.selectOption("#camera", id);
  await runs(page, id);
  return { page, id };
}

/** Waits until the camera of a device id runs, and the list says so. */
const runs = (page, id) => page.waitForFunction((wanted) =>
  document.getElementById("video").srcObject?.getTracks()[0].getSettings().deviceId === wanted &&
  document.getElementById("camera").value === wanted, id);

test("the camera that was chosen comes back after a stop, and after the tab was hidden", async (t) => {
  const { page, id } = await withSecond(t);
  await page.click("#toggle-camera");
  await text(page, "#toggle-camera", "Start camera");
  assert.equal(await page.inputValue("#camera"), id);
  await page.click("#toggle-camera");
  await runs(page, id);
  await text(page, "#toggle-camera", "Stop camera");
  await hide(page, true);
  await text(page, "#toggle-camera", "Start camera");
  await hide(page, false);
  await runs(page, id);
});

test("where the camera that was chosen is gone, another one starts", async (t) => {
  const { page } = await withSecond(t);
  await page.evaluate(() => { // at once: the list is written anew when the browser finds cameras
    const list = document.getElementById("camera");
    list.add(new Option("Gone", "gone"));
    list.value = "gone";
    list.dispatchEvent(new Event("change"));
  });
  await page.waitForFunction(() => document.getElementById("camera").options.length === 2);
  const id = await page.inputValue("#camera");
  await runs(page, id);
  assert.ok(await page.isHidden("#message"));
});

test("one of two cameras is chosen, and the preview is mirrored", async (t) => {
  const { page } = await withSecond(t);
  await page.click("#settings summary");
  await page.check("#mirror");
  assert.equal(await page.evaluate(() => document.getElementById("viewfinder").className), "mirrored");
});

for (const [what, flags, message, init] of [
  ["is not allowed", ["--deny-permission-prompts", FAKE[1]], /^The camera is not allowed/],
  ["is not there", FAKE.slice(0, 1), /^There is no camera/],
  ["needs a secure page", [], /^The camera needs a page from https/, () =>
    Object.defineProperty(navigator, "mediaDevices", { value: undefined })],
]) {
  test(`a camera that ${what} is told, and the page goes on`, async (t) => {
    const page = await open(t, await serve(bundleOf("float32")), { flags, init });
    await ready(page);
    await page.click("#input label:has(input[value=camera])");
    await page.click("#toggle-camera");
    await text(page, "#message", message);
    assert.equal(await page.textContent("#toggle-camera"), "Start camera");
    await page.click("#input label:has(input[value=draw])");
    assert.ok(await page.isHidden("#message"));
    assert.equal(await draw(page, 0), "0");
  });
}
