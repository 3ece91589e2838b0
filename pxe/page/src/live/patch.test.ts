import assert from "node:assert/strict";
import { test } from "node:test";
import { merge } from "./patch";

test("the examples of RFC 7396 come out as it says", () => {
  const examples: [unknown, unknown, unknown][] = [
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [
      ["a", "b"],
      ["c", "d"],
      ["c", "d"],
    ],
    [{ a: "b" }, ["c"], ["c"]],
    [{ a: "foo" }, null, null],
    [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [target, patch, merged] of examples) assert.deepEqual(merge(target, patch), merged);
});

test("what a patch does not name stays the same object", () => {
  const room = { machines: { a: { state: "done" }, b: { state: "working" } } };
  const merged = merge(room, { machines: { b: { state: "done" } } });
  assert.equal(merged.machines.a, room.machines.a);
  assert.equal(room.machines.b.state, "working");
});
