import assert from "node:assert/strict";
import test from "node:test";

import { factor, race, spread } from "../src/race.js";

test("the middle of a measurement is that of its middle half", () => {
  assert.deepEqual(spread([9, 1, 2, 3, 100]), { median: 3, middle: 7 });
});

test("a factor below the noise is none", () => {
  const slow = [2, 2.01, 2.02, 2.01, 2];
  assert.equal(factor([1, 1.01, 1.02, 1.01, 1], slow), 2.01 / 1.01);
  assert.equal(factor(slow, slow), 1);
  assert.equal(factor(slow, slow.map((ms) => 1.04 * ms)), 1); // less than 5 %
  assert.equal(factor([1, 5, 2, 9, 3], [2, 6, 4, 9, 3]), 1); // they lie wider than apart
});

test("models run in turns, warm, and the first is not the slower one for being the first", async () => {
  const order = [];
  const model = (name) => {
    let runs = 0;
    return { warmUp() {
      const until = performance.now() + (runs++ < 4 ? 9 : 2); // cold runs are slower
      while (performance.now() < until);
      order.push(name);
    } };
  };
  const times = await race([model("a"), model("b")], () => true);
  assert.equal(times[0].length, 15);
  assert.equal(factor(...times), 1, `${times.map((each) => spread(each).median)}`);
  const turns = order.filter((name, i) => name !== order[i - 1]).length;
  assert.ok(turns >= 15, `${turns}`);
});

test("a race that nobody waits for ends", async () => {
  assert.equal(await race([{ warmUp() {} }, { warmUp() {} }], () => false), null);
});
