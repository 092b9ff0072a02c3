/** The page: drawing, images that are dropped, keyboard, widths. */

import assert from "node:assert/strict";
import test, { after } from "node:test";

import { bundleOf, closeAll, open, ready, serve, text } from "./harness.js";
import { DIGITS, draw, drawStrokes } from "./strokes.js";

after(closeAll);

test("every digit that is drawn is recognised", async (t) => {
  const page = await open(t, await serve(bundleOf("float32")));
  await ready(page);
  const found = [];
  for (let digit = 0; digit < 10; digit++) found.push(await draw(page, digit));
  assert.equal(found.join(""), "0123456789");
  assert.equal(await page.locator(".card .bars li").count(), 3);
  const [loaded, preprocessing, frame, inference] = await Promise.all([
    page.getAttribute("html", "data-ready"),
    ...["#preprocessing", "#frame", ".median"].map((id) => page.textContent(id)),
  ]);
  t.diagnostic(`ready after ${loaded} ms; preprocessing ${preprocessing}, frame ${frame}, inference ${inference}`);
  assert.equal(await page.evaluate(() => globalThis.crossOriginIsolated), true);
});

test("two digits, and one that is cut off, have answers of their own", async (t) => {
  const page = await open(t, await serve(bundleOf("float32")));
  await ready(page);
  const placed = (digit, size, right) =>
    DIGITS[digit].map((stroke) => stroke.map(([x, y]) => [size * (x - 140) + right, size * (y - 140) + 140]));
  await drawStrokes(page, [...placed(3, 0.5, 80), ...placed(8, 0.6, 200)]);
  assert.match(await page.textContent("#notice"), /^More than one digit/);
  assert.equal(await page.textContent(".answer .label"), "8");
  await drawStrokes(page, placed(0, 1, 20));
  assert.match(await page.textContent("#notice"), /over the edge/);
  assert.match(await page.textContent(".answer .score"), /^not sure, /);
  assert.equal(await draw(page, 5), "5");
  assert.ok(await page.isHidden("#notice"));
});

test("a digit is drawn with the keyboard", async (t) => {
  const page = await open(t, await serve(bundleOf("float32")));
  await ready(page);
  await page.focus("#pad");
  for (let i = 0; i < 15; i++) await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Space");
  for (let i = 0; i < 30; i++) await page.keyboard.press("ArrowDown");
  await text(page, ".answer .label", "1");
  await text(page, "#announcement", /^\S+, \d+ percent$/);
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => !document.querySelector(".answer .label").textContent);
});

test("the pen of the keyboard is seen, up or down, and is no part of the drawing", async (t) => {
  const page = await open(t, await serve(bundleOf("float32")));
  await ready(page);
  assert.ok(await page.isHidden("#pen"));
  await page.focus("#clear");
  await page.keyboard.press("Shift+Tab");
  assert.ok(await page.isVisible("#pen"));
  await page.getByRole("application", { name: /Arrows.*Space.*Escape/ }).waitFor();
  for (let i = 0; i < 5; i++) await page.keyboard.press("ArrowLeft");
  const [pen, pad] = await Promise.all(["#pen", "#pad"].map((id) => page.locator(id).boundingBox()));
  assert.ok(Math.abs(pen.x + pen.width / 2 - pad.x - (pad.width * 110) / 280) < 1);
  assert.ok(Math.abs(pen.y + pen.height / 2 - pad.y - pad.height / 2) < 1);
  const drawn = () => page.evaluate(() => {
    const { data } = document.getElementById("pad").getContext("2d").getImageData(0, 0, 280, 280);
    const values = data.filter((_, i) => i % 4 < 3);
    return { black: values.every((v) => v === 0), gray: values.every((v, i) => v === values[i - (i % 3)]) };
  });
  const fill = () => page.locator("#pen").evaluate((pen) => getComputedStyle(pen).backgroundColor);
  const up = await fill();
  assert.deepEqual(await drawn(), { black: true, gray: true });
  await page.keyboard.press("Space");
  assert.notEqual(await fill(), up);
  assert.deepEqual(await drawn(), { black: false, gray: true }); // a dot
  await page.keyboard.press("Escape");
  assert.equal(await fill(), up);
  assert.deepEqual(await drawn(), { black: true, gray: true });
  await page.mouse.click(pad.x + pad.width / 2, pad.y + pad.height + 5);
  assert.ok(await page.isHidden("#pen"));
});

test("settings are clamped and change what is shown", async (t) => {
  const page = await open(t, await serve(bundleOf("float32")));
  await ready(page);
  await draw(page, 7);
  await page.click("#settings summary");
  for (const [id, given, kept] of [
    ["top-k", "99", "10"], ["top-k", "0", "1"], ["top-k", "5", "5"], ["stages", "2.4", "2"], ["stages", "-1", "0"],
    ["stages", "", "3"], ["factor", "7", "1"], ["factor", "-1", "0.01"],
  ]) {
    await page.fill(`#${id}`, given);
    await page.press(`#${id}`, "Tab");
    assert.equal(await page.inputValue(`#${id}`), kept, `${id} ${given}`);
  }
  assert.equal(await page.locator(".card .bars li").count(), 5);
  await page.selectOption("#polarity", "invert");
  await text(page, "#seen-size", "28 × 28, inverted");
  await page.click("#defaults");
  await text(page, "#seen-size", /^28 × 28$/);
  assert.equal(await page.inputValue("#factor"), "0.4");
  assert.ok(await page.locator("#factor").evaluate((input) => input.checkValidity()));
});

/** Drops what one of `makers` makes in the page. */
async function drop(page, make, argument) {
  await page.evaluate(async ([maker, value]) => {
    const transfer = new DataTransfer();
    const item = await globalThis.makers[maker](value);
    if (typeof item === "string") transfer.setData("text/plain", item);
    else transfer.items.add(item);
    document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
  }, [make, argument]);
}

/** Makers of files, defined in the page. */
function makers() {
  const seven = (context, size) => {
    context.lineWidth = size / 14;
    context.beginPath();
    [[0.3, 0.22], [0.7, 0.22], [0.58, 0.5], [0.45, 0.82]].forEach(([x, y]) =>
      context.lineTo(x * size, y * size));
    context.stroke();
  };
  const png = ({ width, height, paper, ink, size = Math.min(width, height) }) => {
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const context = canvas.getContext("2d");
    if (paper) {
      context.fillStyle = paper;
      context.fillRect(0, 0, width, height);
    }
    context.translate((width - size) / 2, (height - size) / 2);
    context.strokeStyle = ink;
    seven(context, size);
    return new Promise((done) => canvas.toBlob((blob) => done(new File([blob], "seven.png", { type: "image/png" }))));
  };
  const bytes = ({ base64, zeros = 0, name, type }) =>
    new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)), new Uint8Array(zeros)], name, { type });
  globalThis.makers = { png, bytes, text: (value) => value };
}

const GIF = // two frames of one pixel, white and black
  "R0lGODlhAQABAIAAAP///wAAACH5BAAKAAAALAAAAAABAAEAAAICRAEAIfkEAAoAAAAsAAAAAAEAAQAAAgJMAQA7";
const VAST = // 30,000 by 30,000 pixels, by its header; the rest is cut off
  "iVBORw0KGgoAAAANSUhEUgAAdTAAAHUwAQAAAABOXMUXAAAAG0lEQVR4nO3BMQEAAADCoPVPbQ0PoAAAAODGAA6nAAG1dHxk";

test("images of every kind are classified or refused, and the page goes on", async (t) => {
  const page = await open(t, await serve(bundleOf("float32")), { init: makers });
  await ready(page);
  for (const [what, options] of Object.entries({
    "dark on paper": { width: 400, height: 300, paper: "#eee", ink: "#222" },
    "light on dark": { width: 300, height: 500, paper: "#000", ink: "#fff" },
    transparent: { width: 200, height: 200, ink: "#000" },
    "of 48 megapixels": { width: 8000, height: 6000, paper: "#fff", ink: "#000" },
    tiny: { width: 14, height: 14, paper: "#fff", ink: "#000" },
  })) {
    await page.click("#input label:has(input[value=draw])");
    await drop(page, "png", options);
    await text(page, ".answer .label", /./);
    assert.equal(await page.textContent(".answer .label"), "7", what);
    assert.ok(await page.isHidden("#message"), what);
  }
  for (const nothing of [
    { width: 1, height: 1, paper: "#fff", ink: "#fff" },
    { width: 300, height: 200, paper: "#f4f4f4", ink: "#f4f4f4" },
    { width: 300, height: 200, paper: "#000", ink: "#000" },
  ]) {
    await drop(page, "png", { width: 90, height: 80, paper: "#fff", ink: "#000" });
    await text(page, ".answer .label", "7");
    await drop(page, "png", nothing);
    await text(page, "#notice", /^No digit in sight/);
    assert.equal(await page.textContent(".answer .label"), "");
  }
  await drop(page, "bytes", { base64: GIF, name: "two.gif", type: "image/gif" });
  await page.waitForFunction(() => document.getElementById("picture").ariaLabel === "two.gif");
  assert.ok(await page.isHidden("#message"));
  assert.equal(await page.evaluate(() => // its first frame, white
    document.getElementById("picture").getContext("2d").getImageData(140, 140, 1, 1).data[0]), 255);
  for (const [file, message] of [
    [{ base64: btoa("hello"), name: "a.txt", type: "text/plain" }, /^a\.txt is not an image/],
    [{ base64: btoa("hello"), name: "b.png", type: "image/png" }, /^b\.png is not an image/],
    [{ base64: "", name: "c.jpg", type: "image/jpeg" }, /^c\.jpg is not an image/],
    [{ base64: VAST, name: "vast.png", type: "image/png" }, /^vast\.png is not an image/],
    [{ base64: "", zeros: 65e6, name: "long.png", type: "image/png" }, /^long\.png has 65 MB; the limit is 64 MB\.$/],
  ]) {
    await drop(page, "bytes", file);
    await text(page, "#message", message);
  }
  await drop(page, "text", "https://example.org/image.png");
  await text(page, "#message", /^Drop the file of an image/);
  await page.click("#input label:has(input[value=draw])");
  assert.equal(await draw(page, 4), "4");
});

test("an image that takes long to decode does not replace what was chosen meanwhile", async (t) => {
  const page = await open(t, await serve(bundleOf("float32")), { init: () => {
    const decode = globalThis.createImageBitmap;
    globalThis.createImageBitmap = async (...args) => {
      const image = await decode(...args);
      await new Promise((done) => globalThis.decoded = done);
      return image;
    };
  } });
  await ready(page);
  const image = { name: "two.gif", mimeType: "image/gif", buffer: Buffer.from(GIF, "base64") };
  await page.setInputFiles("#file", image);
  await page.waitForFunction(() => globalThis.decoded);
  await page.click("#input label:has(input[value=draw])");
  assert.equal(await draw(page, 6), "6");
  await page.evaluate(() => globalThis.decoded());
  await page.evaluate(() => new Promise((done) => setTimeout(done)));
  assert.equal(await page.textContent(".answer .label"), "6");
  assert.notEqual(await page.getAttribute("#picture", "aria-label"), "two.gif");
});

test("an image is pasted and one is chosen", async (t) => {
  const page = await open(t, await serve(bundleOf("float32")), { init: makers });
  await ready(page);
  await page.evaluate(async () => {
    const transfer = new DataTransfer();
    transfer.items.add(await globalThis.makers.png({ width: 90, height: 80, paper: "#fff", ink: "#000" }));
    document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
  });
  await text(page, ".answer .label", "7");
  await page.setInputFiles("#file", { name: "two.gif", mimeType: "image/gif", buffer: Buffer.from(GIF, "base64") });
  await page.waitForFunction(() => document.getElementById("picture").ariaLabel === "two.gif");
});

for (const [width, colorScheme] of [[320, "dark"], [768, "light"], [1600, "dark"]]) {
  test(`nothing sticks out at a width of ${width}, and everything has a name`, async (t) => {
    const page = await open(t, await serve(bundleOf("float32"), bundleOf("int8")),
      { viewport: { width, height: 700 }, colorScheme });
    await ready(page);
    await page.selectOption("#model-1", { index: 2 });
    await draw(page, 8);
    await page.click("#settings summary");
    const [inner, scroll] = await page.evaluate(() =>
      [document.documentElement.clientWidth, document.documentElement.scrollWidth]);
    assert.ok(scroll <= inner, `${scroll} > ${inner}`);
    const nameless = await page.evaluate(() =>
      [...document.querySelectorAll("button, input, select, canvas, video, section, ol, ul")]
        .filter((e) => !(e.ariaLabel || e.ariaHidden || e.textContent.trim() && e.matches("button") ||
          [...(e.labels ?? [])].some((label) => label.textContent.trim())))
        .map((e) => e.outerHTML.slice(0, 80)));
    assert.deepEqual(nameless, []);
    await page.setViewportSize({ width: Math.max(300, width / 2), height: 500 });
    assert.equal(await draw(page, 2), "2");
  });
}
