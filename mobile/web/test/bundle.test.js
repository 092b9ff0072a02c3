import assert from "node:assert/strict";
import test from "node:test";

import { goldenError, readBundle } from "../src/bundle.js";
import { BundleError, fromBase64, parse, shown } from "../src/manifest.js";
import { checkSound } from "../src/sound.js";
import { UnsoundError } from "../src/structure.js";
import { golden } from "./golden.js";

const { bundles, shown: values } = golden("bundles");

for (const bundle of bundles) {
  test(`golden bundle ${bundle.name}`, async () => {
    const files = {
      "model.json": bundle["model.json"] && new TextEncoder().encode(bundle["model.json"]),
      "model.tflite": bundle["model.tflite"] && Buffer.from(bundle["model.tflite"], "base64"),
    };
    const reading = readBundle(async (name) => files[name] ?? null);
    if (bundle.kind === null) {
      const { meta, file } = await reading;
      assert.equal(file.length, meta.model.bytes);
      return;
    }
    await assert.rejects(reading, (error) => {
      assert.ok(error instanceof BundleError, error.stack);
      assert.ok(!error.message.includes("\n"));
      if (bundle.kind !== "syntax") assert.equal(error.message, bundle.message);
      else assert.ok(error.message.startsWith(bundle.message), error.message);
      return true;
    });
  });
}

test("a model file of 1 GB is refused before it is read", async () => {
  const { "model.json": json, name } = bundles.find(({ kind }) => kind === null);
  const reading = readBundle(async (file, onLength) => {
    if (file === "model.json") return new TextEncoder().encode(json);
    onLength(1e9);
    return assert.fail(`${name}: it is read`);
  });
  await assert.rejects(reading, /^BundleError: model\.tflite has 1000000000 bytes, model\.json says \d+: it is another file$/);
});

test("values are shown as in Python", () => {
  assert.ok(values.length > 20);
  for (const { value, text } of values) assert.equal(shown(value), text);
});

test("bytes that are no JSON in UTF-8 are refused in one line", () => {
  for (const bytes of [[0xff], [0xef, 0xbb, 0xbf, 0x7b, 0x7d], [0x7b], [], Buffer.from("[NaN]"), Buffer.from("[".repeat(1e5))]) {
    assert.throws(() => parse(Uint8Array.from(bytes), "model.json"), (error) =>
      error instanceof BundleError && /^model\.json is no JSON: .+$/.test(error.message));
  }
});

test("base64 is as strict as in Python", () => {
  assert.deepEqual([...fromBase64("AP8=")], [0, 255]);
  assert.deepEqual([...fromBase64("")], []);
  for (const text of ["AP8", "AP 8=", "A===", "AP==AP==", "=AAA", "AP-_", "AP8=\n", "ÄP8="]) {
    assert.equal(fromBase64(text), null, text);
  }
});

test("the distance from the golden output is the largest, and infinite for what is no number", () => {
  const meta = { golden: { output: [0.25, 0.75] } };
  assert.equal(goldenError([0.25, 0.5], meta), 0.25);
  assert.equal(goldenError([0.25, NaN], meta), Infinity);
});

test("a model of which bytes were changed is refused in words, or sound", () => {
  const entry = bundles.find(({ name }) => name === "valid_operators");
  const { input, output } = JSON.parse(entry["model.json"]);
  const whole = Buffer.from(entry["model.tflite"], "base64");
  let [state, refused] = [1, 0];
  const random = (below) => (state = (state * 48271) % 2147483647) % below;
  for (let i = 0; i < 2000; i++) {
    const changed = Uint8Array.from(whole);
    for (let j = 0; j <= i % 3; j++) changed[random(changed.length)] = random(4) ? random(256) : 255;
    try {
      checkSound(changed, input, output);
    } catch (error) {
      assert.ok(error instanceof UnsoundError, error.stack);
      refused++;
    }
  }
  assert.ok(refused > 800, `${refused}`);
});
