import assert from "node:assert/strict";
import { test } from "node:test";
import { alike, keptBy, lostBy, type MachinePlan, type Verdict } from "./plan";

function machine(id: string, verdict: Verdict, blank: boolean): MachinePlan {
  const why = blank ? "it is blank" : "it was approved";
  return { id, verdict, why: [], disks: [{ disk: "/dev/sda", image: "lab", holds: "NTFS", blank, verdict, why }] };
}

test("lost is what is written and holds something", () => {
  const machines = [machine("blank", "write", true), machine("data", "write", false), machine("waits", "wait", false)];
  assert.deepEqual(lostBy({ machines }), [{ id: "data", disk: "/dev/sda", holds: "NTFS" }]);
  assert.deepEqual(keptBy({ machines }), [{ id: "waits", disk: "/dev/sda", holds: "NTFS" }]);
});

test("what is the same of several machines is said once", () => {
  const rows = alike([machine("a", "write", true), machine("b", "write", false), machine("c", "write", true)]);
  assert.deepEqual(
    rows.map(({ ids, lines }) => [ids, lines]),
    [
      [["a", "c"], ["/dev/sda gets lab: it is blank."]],
      [["b"], ["/dev/sda gets lab. It holds NTFS: it was approved."]],
    ],
  );
});
