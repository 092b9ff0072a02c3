/** The models in the browser: the numbers of Python, and faults that are told. */

import assert from "node:assert/strict";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test, { after } from "node:test";

import { see, toTensor } from "../../src/preprocess.js";
import { golden } from "../golden.js";
import { gray } from "../images.js";
import { bundleOf, closeAll, open, python, ready, scratch, serve, serveStatic, text } from "./harness.js";
import { draw } from "./strokes.js";

after(closeAll);

/**
 * Returns the outputs of the first bundle for inputs in base64, through the page's own runtime, and
 * by how much the place of new memory has moved after 2,000 runs.
 */
function outputs(page, inputs) {
  return page.evaluate(async (encoded) => {
    const { getGlobalLiteRt } = await import("@litertjs/core");
    const [{ compile }, { readBundle }, { fromBase64 }, { typed }] = await Promise.all(
      ["runtime", "bundle", "manifest", "preprocess"].map((name) => import(`/src/${name}.js`)));
    const { meta, file } = await readBundle(async (name) =>
      new Uint8Array(await (await fetch(`bundles/0/${name}`)).arrayBuffer()));
    const liteRt = getGlobalLiteRt();
    const runtime = { wasm: liteRt.liteRtWasm, environment: liteRt.getDefaultEnvironment() };
    const { run, dispose } = await compile(runtime, file, meta);
    const inputs = encoded.map((input) => typed(meta.input.dtype, fromBase64(input).buffer));
    const found = inputs.map((input) => [...run(input)]);
    const place = () => {
      const address = runtime.wasm._malloc(1e5);
      runtime.wasm._free(address);
      return address;
    };
    const before = place();
    for (let i = 0; i < 2000; i++) run(inputs[0]);
    const moved = place() - before;
    dispose();
    return { found, moved };
  }, inputs);
}

/** Returns a bundle of a type, and one whose outputs in Python it should have. */
function pairOf(dtype, t) {
  if (dtype !== "int4") return [bundleOf(dtype), bundleOf(dtype)];
  const folder = scratch(t);
  python("four_bits", bundleOf("int8"), folder);
  return [join(folder, "int4"), join(folder, "int8")];
}

for (const [dtype, tolerance] of [["float32", 1e-5], ["int8", 0], ["int4", 0]]) {
  test(`${dtype}: the outputs are those of ai_edge_litert`, async (t) => {
    const [bundle, known] = pairOf(dtype, t);
    const page = await open(t, await serve(bundle));
    await ready(page);
    assert.match(await page.textContent(".selftest"), /Self-test passed/);
    const pairs = JSON.parse(python("outputs", known));
    const { found, moved } = await outputs(page, pairs.map(([input]) => input));
    assert.equal(moved, 0);
    const errors = pairs.map(([, expected], i) =>
      Math.max(...expected.map((value, k) => Math.abs(value - found[i][k]))));
    assert.ok(Math.max(...errors) <= tolerance, `largest difference ${Math.max(...errors)}`);
    t.diagnostic(`largest difference ${Math.max(...errors)} over ${pairs.length} inputs`);
  });
}

test("digits are recognised in every condition", async (t) => {
  const bundle = bundleOf("int8");
  const { input } = JSON.parse(readFileSync(join(bundle, "model.json")));
  const { conditions } = golden("digits");
  const page = await open(t, await serve(bundle));
  await ready(page);
  for (const { name, floor, polarity, images, labels } of conditions) {
    const inputs = labels.map((_, i) => {
      const seen = see(gray(images, i), input, polarity);
      return seen.notice === "blank" ? null : Buffer.from(toTensor(seen.cells, input).buffer).toString("base64");
    });
    const { found } = await outputs(page, inputs.filter(Boolean));
    const answers = inputs.map((each) => (each ? argmax(found.shift()) : null));
    const right = answers.filter((answer, i) => answer === labels[i]).length;
    assert.ok(right >= floor * labels.length, `${name}: ${right} of ${labels.length}`);
  }
});

const argmax = (scores) => scores.indexOf(Math.max(...scores));

test("a processor without relaxed SIMD runs the same runtime", async (t) => {
  const page = await open(t, await serve(bundleOf("float32")), { init: () => {
    const { instantiate } = WebAssembly;
    WebAssembly.instantiate = (bytes, ...rest) => // what asks for the feature is a few bytes long
      bytes.byteLength < 100 ? Promise.reject(new Error("no")) : instantiate(bytes, ...rest);
  } });
  await ready(page);
  assert.match(await page.textContent(".selftest"), /Self-test passed/);
  const loaded = await page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => name));
  assert.ok(loaded.some((name) => name.endsWith("litert_wasm_compat_internal.wasm.gz")));
});

test("two models see the same image, with two times and two sizes", async (t) => {
  const page = await open(t, await serve(bundleOf("float32"), bundleOf("int8")));
  await ready(page);
  await page.selectOption("#model-1", { index: 2 });
  await page.waitForFunction(() => document.querySelectorAll(".selftest")[1]?.textContent);
  assert.equal(await draw(page, 3), "3");
  await page.locator("#comparison").waitFor();
  const cards = await page.locator(".answer .label").allTextContents();
  assert.deepEqual(cards, ["3", "3"]);
  assert.match(await page.textContent("#comparison"), /int8 against .*float32:\s+[\d.]+× smaller, (as fast|[\d.]+× \w+er), .* accurate/);
  assert.equal(await page.locator("#comparison-times li").count(), 2);
  for (const time of await page.locator(".median").allTextContents()) assert.match(time, /^[\d.]+ ms$/);
  await page.selectOption("#model-1", "");
  assert.equal(await page.locator(".card").count(), 1);
  assert.ok(await page.isHidden("#comparison"));
});

/** Serves a copy of a bundle in which something is changed after the server has read it. */
async function changed(t, change) {
  const bundle = join(scratch(t), "bundle");
  cpSync(bundleOf("float32"), bundle, { recursive: true });
  const url = await serve(bundle);
  change(bundle);
  return open(t, url, { silent: true });
}

test("a model file that was changed is refused", async (t) => {
  const page = await changed(t, (bundle) => {
    const file = join(bundle, "model.tflite");
    const bytes = readFileSync(file);
    bytes[1000] ^= 1;
    writeFileSync(file, bytes);
  });
  await text(page, ".card .notice", 
    /^model\.tflite has the sha256 [0-9a-f]{64}, model\.json says [0-9a-f]{64}: it was changed$/);
});

test("a model file of 1 GB is refused before it is read", async (t) => {
  const page = await open(t, await serve(bundleOf("float32")));
  await ready(page);
  const large = { status: 200, headers: { "content-length": "1000000000" }, body: "" };
  await page.route("**/model.tflite", (route) => route.fulfill(large));
  await page.reload();
  await text(page, ".card .notice",
    /^model\.tflite has 1000000000 bytes, model\.json says \d+: it is another file$/);
});

test("a model.json that cannot be read is refused", async (t) => {
  const page = await changed(t, (bundle) => writeFileSync(join(bundle, "model.json"), "{"));
  await text(page, ".card .notice", /^model\.json is no JSON: /);
});

test("a bundle that is gone is told", async (t) => {
  const page = await changed(t, (bundle) => rmSync(join(bundle, "model.tflite")));
  await text(page, ".card .notice", /^model\.tflite cannot be read: No such file or directory$/);
});

test("a model that fails its self-test is not used", async (t) => {
  const page = await changed(t, (bundle) => {
    const file = join(bundle, "model.json");
    const meta = JSON.parse(readFileSync(file));
    meta.golden.output[0] = 0.5;
    writeFileSync(file, JSON.stringify(meta));
  });
  await text(page, ".card .notice", 
    /^.* float32 fails its self-test: the output differs by [\d.e-]+ from the golden one, the tolerance is 0\.0001$/);
  assert.equal(await draw(page, 3), "");
});

test("the static files work under any address of any web server", async (t) => {
  const { url } = await serveStatic(t, bundleOf("int8"));
  const page = await open(t, url);
  await ready(page);
  assert.equal(await draw(page, 6), "6");
  assert.match(await page.textContent(".median"), /^\d+\.\d ms$/); // the clock is coarse here
});

test("a browser without WebAssembly is told so", async (t) => {
  const page = await open(t, await serve(bundleOf("float32")),
    { init: () => delete globalThis.WebAssembly });
  await text(page, "#problem", /has no WebAssembly/);
});
