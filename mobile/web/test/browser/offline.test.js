/** The page on a phone: installed, without a network, replaced by a new export. */

import assert from "node:assert/strict";
import test, { after } from "node:test";

import { bundleOf, closeAll, open, ready, serveStatic } from "./harness.js";
import { draw } from "./strokes.js";

after(closeAll);

/** Waits until what keeps the page has all files. */
const kept = (page) => page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));

test("it can be installed", async (t) => {
  const { url } = await serveStatic(t, bundleOf("int8"));
  const page = await open(t, url);
  await ready(page);
  await kept(page);
  const session = await page.context().newCDPSession(page);
  const { errors } = await session.send("Page.getAppManifest");
  assert.deepEqual(errors, []);
  const { installabilityErrors } = await session.send("Page.getInstallabilityErrors");
  const met = installabilityErrors.filter(({ errorId }) => errorId !== "in-incognito"); // as all tests are
  assert.deepEqual(met, []);
  const icon = await page.getAttribute("link[rel=apple-touch-icon]", "href");
  const size = await page.evaluate(async (src) => {
    const image = Object.assign(new Image(), { src });
    await image.decode();
    return [image.naturalWidth, image.naturalHeight];
  }, icon);
  assert.deepEqual(size, [180, 180]);
});

test("it works without a network, and a new export replaces what was kept", async (t) => {
  const site = await serveStatic(t, bundleOf("int8"));
  const page = await open(t, site.url);
  await ready(page);
  await kept(page);
  await page.context().setOffline(true);
  await page.reload();
  await ready(page);
  assert.equal(await draw(page, 5), "5");
  await page.click("#input label:has(input[value=image])");
  assert.equal(await page.locator("#samples button").count(), 10);
  await page.context().setOffline(false);

  site.export(bundleOf("float32"));
  await page.reload();
  await page.locator(".card h2").filter({ hasText: "float32" }).waitFor();
  const caches = await page.evaluate(() => caches.keys());
  assert.equal(caches.length, 1, `${caches}`);
  await ready(page);
  await page.context().setOffline(true);
  await page.reload();
  await ready(page);
  assert.match(await page.textContent(".card h2"), /float32/);
});
