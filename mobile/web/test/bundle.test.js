import assert from "node:assert/strict";
import test from "node:test";

import { BundleError, goldenError, readBundle } from "../src/bundle.js";
import { golden } from "./golden.js";

const plain = (text) => text.replace(/[\s"']/g, "");

for (const bundle of golden("bundles").bundles) {
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
      assert.equal(error.kind, bundle.kind, error.message);
      assert.ok(!error.message.includes("\n"));
      for (const part of [bundle.expected, bundle.found]) {
        assert.ok(plain(error.message).includes(plain(part)), `${error.message} lacks ${part}`);
      }
      return true;
    });
  });
}

test("the distance from the golden output is the largest, and infinite for what is no number", () => {
  const meta = { golden: { output: [0.25, 0.75] } };
  assert.equal(goldenError([0.25, 0.5], meta), 0.25);
  assert.equal(goldenError([0.25, NaN], meta), Infinity);
});
