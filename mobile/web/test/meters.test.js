import assert from "node:assert/strict";
import test from "node:test";

import { bytes, durations, milliseconds, rate, times } from "../src/meters.js";

test("median and last of the newest durations", () => {
  const meter = durations(3);
  assert.ok(Number.isNaN(meter.median) && Number.isNaN(meter.last));
  [9, 1, 2].forEach(meter.add);
  assert.deepEqual([meter.median, meter.last], [2, 2]);
  meter.add(5); // drops the 9
  assert.deepEqual([meter.median, meter.last], [2, 5]);
  meter.reset();
  [4, 1].forEach(meter.add);
  assert.equal(meter.median, 2.5);
});

test("frames per second", () => {
  const meter = rate(4);
  [0, 1000, 1050, 1100, 1150].forEach(meter.tick);
  assert.equal(meter.perSecond, 20);
  meter.reset();
  assert.ok(Number.isNaN(meter.perSecond));
});

test("figures as text", () => {
  assert.deepEqual([0.1234, 12, NaN].map((v) => milliseconds(v, true)), ["0.12 ms", "12.00 ms", "–"]);
  assert.equal(milliseconds(0.1234, false), "0.1 ms");
  assert.deepEqual([999, 43856, 139012, 13255096].map(bytes), ["999 B", "43.9 kB", "139 kB", "13.3 MB"]);
  assert.deepEqual([95.3, 1.84].map(times), ["95×", "1.8×"]);
});
