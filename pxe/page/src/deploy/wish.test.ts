import assert from "node:assert/strict";
import { test } from "node:test";
import type { Room } from "../live/types";
import { DAYS, imageNames, inWords, NOTHING, repeats, whenOf, wishOf } from "./wish";

test("what is not set is left to ezio.conf", () => {
  assert.deepEqual(wishOf(NOTHING, ["a"]), { machines: "all", wake: false, approve: false });
  const draft = { ...NOTHING, who: "chosen", image: "lab", end: "poweroff", wake: true };
  const wish = JSON.parse('{"machines": ["a"], "image": "lab", "then": "poweroff", "wake": true, "approve": false}');
  assert.deepEqual(wishOf(draft, ["a"]), wish);
  assert.deepEqual(wishOf({ ...NOTHING, who: "group:room-2" }, ["a"]).machines, { group: "room-2" });
  assert.equal(inWords(wish), "image lab, then switch off");
  assert.equal(inWords({}), "as ezio.conf says");
});

test("a time is this computer's, and weekdays become a cron expression that is read again", () => {
  assert.equal(whenOf(NOTHING), null);
  const once = whenOf({ ...NOTHING, when: "once", at: "2026-12-01T03:00" });
  assert.deepEqual(once, { at: new Date(2026, 11, 1, 3).toISOString() });
  const weekly = { ...NOTHING, when: "weekly" as const, time: "03:05", days: ["MON", "FRI"] };
  assert.deepEqual(whenOf(weekly), { cron: "5 3 * * MON,FRI" });
  assert.deepEqual(whenOf({ ...weekly, days: DAYS }), { cron: "5 3 * * *" });
  for (const lacks of [
    { ...weekly, days: [] },
    { ...weekly, time: "" },
    { ...NOTHING, when: "once" as const },
  ]) {
    assert.match(whenOf(lacks) as string, /^Say /);
  }
  assert.equal(repeats("5 3 * * MON,FRI"), "Mondays, Fridays at 03:05");
  assert.equal(repeats("0 22 * * *"), "every day at 22:00");
  assert.equal(repeats("0 3 1 * *"), "by “0 3 1 * *”");
});

test("a set can be ordered whole, and by its disks", () => {
  const images = ["lab", "server/sda", "server/sdb"].map((name) => ({ name }));
  assert.deepEqual(imageNames({ images } as Room), ["lab", "server", "server/sda", "server/sdb"]);
});
