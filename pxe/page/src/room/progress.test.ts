import assert from "node:assert/strict";
import { test } from "node:test";
import type { Machine } from "../live/types";
import { deployment, distance, roomProgress } from "./progress";

const GIB = 2 ** 30;

function machine(id: string, times: Machine["times"], more: Partial<Machine> = {}): Machine {
  const progress = { done_bytes: 0, total_bytes: 10 * GIB, down_bytes_per_s: 0, up_bytes_per_s: 0, peers: 5 };
  const bytes = { from_server_bytes: 0, from_peers_bytes: 0, sent_bytes: 0, zero_bytes: 0, kept_bytes: 0 };
  return {
    id,
    machine: { serial: id, macs: [] },
    disks: [],
    notes: [],
    own_steps: [],
    state: "working",
    silent: false,
    boots_local: false,
    held: false,
    waiting_for: [],
    inventory: [],
    failures: 0,
    times,
    steps: {},
    last_heard: 0,
    deployments: 0,
    ...more,
    progress: { ...progress, ...bytes, ...more.progress },
  };
}

const names = (machines: Machine[]) => machines.map(({ id }) => id).sort();
const receives = (done: number, rate: number) =>
  ({ done_bytes: done * GIB, down_bytes_per_s: rate * 2 ** 20 }) as Machine["progress"];

test("a deployment is the runs that overlap, back from the latest", () => {
  const yesterday = machine("old", { started: 100, done: 200 }, { state: "done" });
  const first = machine("first", { started: 9000, done: 9100 }, { state: "done" });
  const second = machine("second", { started: 9050 });
  const never = machine("never", {});
  assert.deepEqual(names(deployment([second, yesterday, never, first], 9500)), ["first", "second"]);
  assert.deepEqual(names(deployment([yesterday, never], 9500)), ["old"]);
  assert.deepEqual(deployment([never], 9500), []);
});

test("the room ends with its last machine, and is held against its links", () => {
  const fast = machine("fast", { started: 0, "first-byte": 10 }, { progress: receives(8, 100) });
  const slow = machine("slow", { started: 0, "first-byte": 20 }, { progress: receives(2, 20) });
  const progress = roomProgress([fast, slow, machine("third", { started: 1 }, { progress: receives(8, 100) })], 60);
  assert.equal(progress.leftS, (8 * 1024) / 20);
  assert.equal(progress.elapsedS, 50);
  assert.deepEqual(
    progress.slow.map(({ machine, why }) => [machine.id, why]),
    [["slow", "receives 20.0 MiB/s, the middle of the room 100 MiB/s"]],
  );
  const link = 125_000_000;
  assert.equal(distance(progress, link), ((50 + 409.6) * link) / (10 * GIB));
});

test("a disk that still writes is named, and nothing is said of a room where nothing arrives", () => {
  const writes = machine("writes", { started: 0, "first-byte": 1, "last-byte": 40 }, { state: "received" });
  assert.match(roomProgress([writes], 100).slow[0]?.why ?? "", /^has all data since 60 s and still writes/);
  const idle = roomProgress([machine("idle", { started: 0 })], 100);
  assert.deepEqual([idle.leftS, idle.elapsedS, distance(idle, 1), idle.slow], [null, null, null, []]);
});
