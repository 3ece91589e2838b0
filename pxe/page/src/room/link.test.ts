import assert from "node:assert/strict";
import { test } from "node:test";
import type { Card, Machine } from "../live/types";
import { usualLink } from "./link";

const machine = (...cards: [boolean, number?][]) =>
  ({ cards: cards.map(([link, speed_mbps]) => ({ mac: "", link, speed_mbps }) as Card) }) as unknown as Machine;

test("the slowest link that is common counts, and no single bad cable", () => {
  const gigabit = Array.from({ length: 30 }, () => machine([true, 1000], [false, 100]));
  assert.equal(usualLink([...gigabit, machine([true, 100])]), 1000);
  assert.equal(usualLink([...gigabit, ...Array.from({ length: 5 }, () => machine([true, 100]))]), 100);
  assert.equal(usualLink([machine([true, 2500]), machine([true, 100], [true, 1000])]), 1000);
});

test("where no machine says, it is taken for 1 Gbit/s", () => {
  assert.equal(usualLink([]), 1000);
  assert.equal(usualLink([machine([true]), {} as Machine]), 1000);
});
