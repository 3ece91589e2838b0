import assert from "node:assert/strict";
import { test } from "node:test";
import type { Disk, Health, Machine } from "../live/types";
import { problemOf, problemsOf } from "../room/problems";
import { failing, healthOf } from "./health";

const disk = (path: string, health?: Health): Disk => ({ path, size: 1, holds: { blank: true }, health });
const PENDING = ["128 sectors wait for reallocation"];

test("a disk is good or failing, with the numbers that it has", () => {
  assert.equal(healthOf(disk("/dev/sda")), null);
  assert.equal(healthOf(disk("/dev/sda", { failing: [] })), "Health: good");
  const nvme = { endurance_used_percent: 3, spare_percent: 100, spare_threshold_percent: 10, media_errors: 0 };
  assert.equal(
    healthOf(disk("/dev/nvme0n1", { failing: [], power_on_hours: 1, temperature_celsius: -5, ...nvme })),
    "Health: good, switched on for 1 hour, -5 °C, 3 % of its writes used, 100 % of spare blocks left (at least 10 %), 0 media errors",
  );
  assert.equal(
    healthOf(disk("/dev/sda", { failing: PENDING, reallocated_sectors: 8, pending_sectors: 128 })),
    "Health: failing: 128 sectors wait for reallocation, 8 sectors replaced",
  );
});

const machine = (id: string, inventory: Disk[], more: Partial<Machine> = {}) =>
  ({ id, machine: { serial: id, macs: [] }, state: "done", times: {}, waiting_for: [], inventory, ...more }) as Machine;

test("a failing disk is a problem of a machine that is done, and explains that of one that failed", () => {
  const bad = [disk("/dev/sda", { failing: [] }), { ...disk("/dev/sdb", { failing: PENDING }), model: "WD" }];
  const good = machine("good", bad.slice(0, 1));
  assert.deepEqual([failing(good), problemOf(good, 0)], [[], null]);
  const done = problemOf(machine("done", bad), 0);
  assert.deepEqual([done?.what, done?.why], ["Disk is failing", ["/dev/sdb WD: 128 sectors wait for reallocation"]]);
  const broken = { failed_step: "write", error: "no" };
  const failed = problemOf(machine("failed", bad, { state: "failed", ...broken }), 0);
  const why = ["write: no", "A disk is failing: /dev/sdb WD: 128 sectors wait for reallocation"];
  assert.deepEqual([failed?.what, failed?.why], ["Failed", why]);
  const waits = machine("waits", bad, { state: "waiting", waiting_for: ["a word"] });
  const all = [machine("done", bad), good, waits, machine("failed", [], { state: "failed", ...broken })];
  assert.deepEqual(
    problemsOf(all, 0).map(({ machine }) => machine.id),
    ["failed", "waits", "done"],
  );
});
