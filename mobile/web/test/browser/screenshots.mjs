/**
 * Takes the pictures of `docs/`: `BUNDLES=RUN/export node --test test/browser/screenshots.mjs`.
 *
 * RUN has bundles of a SimpLeNet and of its teacher.
 */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { after } from "node:test";

import { bundleOf, closeAll, open, python, ready, scratch, serve, text } from "./harness.js";
import { drawSmooth } from "./strokes.js";

after(closeAll);

const DOCS = fileURLToPath(new URL("../../../../docs/", import.meta.url));
const MODELS = ["simplenet", "teacher"].map((model) => bundleOf("float32", model));

test("a drawing, on a desktop", async (t) => {
  const page = await open(t, await serve(...MODELS), { viewport: { width: 1100, height: 965 } });
  await ready(page);
  await page.selectOption("#model-1", { index: 2 });
  await page.waitForFunction(() => document.querySelectorAll(".selftest")[1]?.textContent);
  await drawSmooth(page, 3);
  await page.mouse.move(0, 0);
  await page.screenshot({ path: join(DOCS, "web.png"), animations: "disabled" });
});

test("the camera, on a phone", async (t) => {
  const film = join(scratch(t), "digits.y4m");
  python("video", film);
  const page = await open(t, await serve(...MODELS), {
    viewport: { width: 390, height: 844 }, deviceScaleFactor: 1.5, colorScheme: "dark",
    flags: ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
      `--use-file-for-fake-video-capture=${film}`],
  });
  await ready(page);
  await page.click("#input label:has(input[value=camera])");
  await page.click("#toggle-camera");
  await text(page, ".verdict .best", "7");
  await page.waitForTimeout(1200);
  await page.screenshot({ path: join(DOCS, "web-phone.png") });
});
