/** What is seen without scrolling, and what a finger finds: answer, samples, undo, pen, comparison. */

import assert from "node:assert/strict";
import { join } from "node:path";
import test, { after } from "node:test";

import { bundleOf, closeAll, open, ready, serve } from "./harness.js";
import { draw } from "./strokes.js";

after(closeAll);

const FASHION = join(bundleOf("int8"), "..", "fashion_mnist");
const SCREENS = [[390, 664], [360, 480], [412, 732], [844, 390], [640, 360]];

for (const [width, height] of SCREENS) {
  test(`pad and answer are seen together at ${width} by ${height}`, async (t) => {
    const page = await open(t, await serve(bundleOf("int8")), { viewport: { width, height }, hasTouch: true });
    await ready(page);
    await draw(page, 3);
    assert.equal(await page.evaluate(() => scrollY), 0);
    assert.equal(await page.textContent(".verdict .best"), "3");
    for (const part of ["#pad", ".verdict .best", ".verdict .share", "#aside-seen canvas", "#clear", "#undo"]) {
      const box = await page.locator(part).boundingBox();
      assert.ok(box.x >= 0 && box.x + box.width <= width, `${part} from ${box.x} to ${box.x + box.width}`);
      assert.ok(box.y >= 0 && box.y + box.height <= height, `${part} from ${box.y} to ${box.y + box.height}`);
    }
    const pad = await page.locator("#pad").boundingBox();
    assert.ok(Math.min(pad.width, pad.height) >= 190, `a pad of ${pad.width} by ${pad.height}`);
  });
}

test("a stroke is taken back, and the pen has a width", async (t) => {
  const page = await open(t, await serve(bundleOf("int8")));
  await ready(page);
  const ink = () => page.evaluate(() => {
    const { data } = document.getElementById("pad").getContext("2d").getImageData(0, 0, 280, 280);
    return data.filter((value, i) => i % 4 === 0 && value > 127).length;
  });
  await draw(page, 1);
  const thin = await ink();
  await page.click("#undo");
  await page.waitForFunction(() => !document.querySelector(".answer .label").textContent);
  assert.equal(await ink(), 0);
  await page.locator("#pen-width").fill("40");
  await draw(page, 1);
  assert.ok((await ink()) > 1.5 * thin);
});

test("there are samples for each model", async (t) => {
  const page = await open(t, await serve(bundleOf("int8"), FASHION));
  await ready(page);
  const tried = async () => {
    await page.click("#input label:has(input[value=image])");
    const found = [];
    for (let i = 0; i < 10; i++) {
      await page.locator("#samples button").nth(i).click();
      found.push(await page.textContent(".answer .label"));
    }
    return found;
  };
  assert.deepEqual(await tried(), [..."0123456789"]);
  assert.match(await page.textContent(".card .facts"), /a network of [\d,]+ weights .* 10 classes of mnist/);
  await page.selectOption("#model-0", { index: 1 });
  await page.locator(".card .facts").filter({ hasText: "fashion_mnist" }).waitFor();
  await page.waitForFunction(() => document.querySelector("#samples canvas"));
  const found = await tried();
  assert.ok(new Set(found).size >= 8, `${found}`);
});

test("a model is not compared with itself", async (t) => {
  const page = await open(t, await serve(bundleOf("int8"), bundleOf("float32")));
  await ready(page);
  const offered = () => page.locator("#model-1 option:not([disabled])").allTextContents();
  assert.equal((await offered()).length, 2);
  await page.selectOption("#model-1", { index: 2 });
  await page.locator("#comparison").waitFor();
  await page.selectOption("#model-0", { index: 1 });
  assert.ok(await page.isHidden("#comparison"));
  assert.equal(await page.locator(".card").count(), 1);
  assert.equal(await page.inputValue("#model-1"), "");
});
