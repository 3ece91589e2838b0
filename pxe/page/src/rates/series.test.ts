import assert from "node:assert/strict";
import { test } from "node:test";
import { average, columnsOf, joined, knownUntil, spread } from "./series";

const RATES = { since: 100, step_s: 2, samples: { 0: [1, 2], 1: [3, 4], 3: [5, 6] } };

test("slots come in their order, and what nobody knows is left open", () => {
  assert.deepEqual(columnsOf(RATES, 2), [
    [100, 102, 104, 106],
    [1, 3, null, 5],
    [2, 4, null, 6],
  ]);
  assert.deepEqual(columnsOf({ since: 0, step_s: 1, samples: {} }, 1), [[], []]);
  assert.equal(average([1, null, 3]), 2);
  assert.equal(average([]), 0);
});

test("what comes later is added, unless it is of another run or in longer slots", () => {
  assert.equal(knownUntil(RATES), 106);
  const later = { since: 100, step_s: 2, samples: { 3: [7, 8], 4: [9, 9] } };
  assert.deepEqual(joined(RATES, later)?.samples, { 0: [1, 2], 1: [3, 4], 3: [7, 8], 4: [9, 9] });
  assert.equal(joined(RATES, { ...later, since: 200 }), null);
  assert.equal(joined(RATES, { ...later, step_s: 4 }), null);
});

test("a long table has its first and its last line, and few between", () => {
  assert.deepEqual(spread(3, 12), [0, 1, 2]);
  const some = spread(240, 12);
  assert.deepEqual([some.length, some[0], some[11]], [12, 0, 239]);
});
