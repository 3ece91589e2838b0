import assert from "node:assert/strict";
import { test } from "node:test";
import type { Machine } from "../live/types";
import { cardOf, nameOf } from "../words";
import { EVERYTHING, filtered, groupsOf } from "./filter";

const machine = (serial: string, more: Partial<Machine>) =>
  ({ id: serial, machine: { serial, macs: ["52:54:00:12:34:56"] }, state: "done", ...more }) as Machine;

const ROOM = [
  machine("S1", { group: "lab", hostname: "lab-01", image: "debian" }),
  machine("S2", { group: "office", image: "windows" }),
  machine("S3", { group: null, image: "debian" }),
];

test("machines are filtered by group, and by it together with others", () => {
  const ids = (filter: Partial<typeof EVERYTHING>) => filtered(ROOM, { ...EVERYTHING, ...filter }).map(({ id }) => id);
  assert.deepEqual(groupsOf(ROOM), [
    ["lab", 1],
    ["office", 1],
  ]);
  assert.deepEqual(ids({}), ["S1", "S2", "S3"]);
  assert.deepEqual(ids({ group: "lab" }), ["S1"]);
  assert.deepEqual(ids({ group: "lab", image: "windows" }), []);
  assert.deepEqual(ids({ text: "office" }), ["S2"]);
});

test("a machine is called by its host name, else its serial number, else its card", () => {
  assert.deepEqual(ROOM.map(nameOf), ["lab-01", "S2", "S3"]);
  const nameless = machine("S4", {});
  nameless.machine.serial = undefined;
  assert.equal(nameOf(nameless), "52:54:00:12:34:56");
});

test("a card says the rate of its link", () => {
  const mac = "52:54:00:12:34:56";
  assert.equal(cardOf({ mac, link: true, speed_mbps: 2500 }), `${mac}: 2.5 Gbit/s`);
  assert.equal(cardOf({ mac, link: true, speed_mbps: 100 }), `${mac}: 100 Mbit/s`);
  assert.equal(cardOf({ mac, link: true }), `${mac}: linked`);
  assert.equal(cardOf({ mac, link: false }), `${mac}: no link`);
});
