import assert from "node:assert/strict";
import { test } from "node:test";
import { longer, type Run, renewed, together } from "./runs";

const run = (number: number, started: number, ended: number) => ({ number, started, ended }) as Run;
const numbers = (runs: Run[]) => runs.map(({ number }) => number);

test("runs that overlap, or follow each other soon, are one deployment", () => {
  const evening = [run(5, 1300, 1400), run(4, 1000, 1200), run(3, 900, 1150)];
  const found = together([...evening, run(2, 90, 200), run(1, 100, 150)]);
  assert.deepEqual(
    found.map(({ started, ended, runs }) => [started, ended, numbers(runs)]),
    [
      [900, 1400, [5, 4, 3]],
      [90, 200, [2, 1]],
    ],
  );
});

test("a newer page joins what is known, or takes its place", () => {
  const known = [run(4, 0, 0), run(3, 0, 0), run(2, 0, 0)];
  assert.deepEqual(numbers(renewed(known, [run(5, 0, 0), run(4, 0, 0), run(3, 0, 0)])), [5, 4, 3, 2]);
  assert.deepEqual(numbers(renewed(known, [run(9, 0, 0), run(8, 0, 0)])), [9, 8]);
  assert.deepEqual(numbers(renewed([], [run(1, 0, 0)])), [1]);
  assert.deepEqual(renewed([], []), []);
  assert.deepEqual(numbers(longer(known, [run(2, 0, 0), run(1, 0, 0)])), [4, 3, 2, 1]);
});
