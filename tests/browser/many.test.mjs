// Rooms of 1,000 and 4,000 machines: when the page shows them, and what each change costs it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, newPage, PAGE } from "./browser.mjs";
import { Room } from "./room.mjs";

const url = process.env.EZIO_SERVER;
const CHANGES = 3;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

/** Counts the changes that come, and takes the time when the first machine is drawn. */
function watch() {
  globalThis.changes = 0;
  const listen = EventSource.prototype.addEventListener;
  EventSource.prototype.addEventListener = function (kind, act) {
    listen.call(this, kind, (event) => {
      if (kind === "change") globalThis.changes += 1;
      act(event);
    });
  };
  new MutationObserver((_, observer) => {
    if (!document.querySelector(".tile")) return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => (globalThis.painted = performance.now())));
  }).observe(document, { childList: true, subtree: true });
}

/** The thread's own time, so that the figures do not depend on what else runs on this computer. */
async function costs(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  return async () => {
    const { metrics } = await session.send("Performance.getMetrics");
    const of = (name) => 1000 * metrics.find((metric) => metric.name === name).value;
    return { script: of("ScriptDuration"), all: of("TaskDuration") };
  };
}

let room = new Room(url, 0);
for (const [count, firstMs, scriptMs] of [
  [1000, 1000, 50],
  [4000, 3000, 100],
]) {
  test(`${count} machines`, async () => {
    const bigger = new Room(url, count);
    await bigger.beginAgain(bigger.machines.slice(room.machines.length));
    for (const machine of room.machines) Object.assign(bigger.machines[machine.number], machine);
    room = bigger;
    const page = await newPage(browser, { viewport: { width: 1280, height: 900 } });
    await page.addInitScript(watch);
    const spent = await costs(page);
    await page.goto(PAGE);
    await page.waitForFunction(() => globalThis.painted);
    const painted = await page.evaluate(() => globalThis.painted);
    const before = { ...(await spent()), changes: await page.evaluate(() => globalThis.changes) };
    // Every machine reports all the time, as in a room at work.
    let works = true;
    const feeding = (async () => {
      while (works) await room.each(room.machines, (machine) => works && room.progress(machine));
    })();
    await page.waitForFunction((until) => globalThis.changes >= until, before.changes + CHANGES);
    const after = { ...(await spent()), changes: await page.evaluate(() => globalThis.changes) };
    works = false;
    await feeding;
    const each = (name) => (after[name] - before[name]) / (after.changes - before.changes);
    console.log(
      `${count} machines: first drawn after ${painted.toFixed(0)} ms, ${before.all.toFixed(0)} ms of them work; a change costs ${each("script").toFixed(1)} ms of ` +
        `script, ${each("all").toFixed(1)} ms in all`,
    );
    await page.getByRole("searchbox").fill("pc-999");
    await page.getByRole("status").getByText(`1 of ${count} machines`).waitFor();
    await page.close();
    assert.ok(before.all < firstMs && each("script") < scriptMs);
  });
}
