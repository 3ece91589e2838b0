// The history on the page: of a room, of one machine, and as a table to take away.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { accessible, launch, open, PAGE } from "./browser.mjs";
import { Room } from "./room.mjs";

const { EZIO_SERVER: url, EZIO_PICTURES: pictures } = process.env;
/** More than the page asks for at a time. */
const ENDED = 103;
const room = new Room(url, ENDED + 1);
const [LATE, FAILS, ...others] = room.machines;

let browser;
before(async () => {
  // Machines that were never deployed are few from one address: so they come a few at a time.
  await room.each(others, async (machine) => {
    await room.begin([machine]);
    await room.finish(machine);
  });
  await room.begin([LATE, FAILS]);
  await room.fail(FAILS);
  browser = await launch();
});
after(() => browser.close());

async function historyView(options) {
  const { page, problems } = await open(browser, { role: "viewer", ...options });
  await page.getByRole("link", { name: "History" }).click();
  const first = page.locator("details").first();
  await first.getByRole("row", { name: "PC-2 failed" }).waitFor();
  return { page, problems, first, rows: first.locator("tbody tr") };
}

test("what went wrong comes first, and what is new comes by itself", async () => {
  const { page, problems, first, rows } = await historyView();
  const failed = rows.first();
  await failed.getByText("failed at write: writing at 12.3 GiB of /dev/nvme0n1: Input/output error").waitFor();
  await first.getByText(/lab on 100 machines in/).waitFor();
  assert.equal(await rows.count(), 100);
  await page.getByRole("button", { name: "Show more" }).click();
  await rows.nth(ENDED - 1).waitFor();
  await page.getByRole("button", { name: "Show more" }).waitFor({ state: "detached" });
  await first.getByText(`${ENDED - 1} done`).waitFor();
  await room.finish(LATE);
  await first.getByText(`${ENDED} done`).waitFor();
  assert.equal(await rows.count(), ENDED + 1);
  assert.deepEqual(problems, []);
  await page.close();
});

test("it is taken away as a table, all of it or a machine's", async () => {
  const { page, first } = await historyView();
  const table = async () => {
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("link", { name: "as a table (CSV)" }).click(),
    ]);
    assert.equal(download.suggestedFilename(), "ezio-history.csv");
    return readFileSync(await download.path(), "utf8")
      .trim()
      .split("\r\n");
  };
  assert.equal((await table()).length, ENDED + 2);
  await first.getByRole("link", { name: "PC-2", exact: true }).click();
  const past = page.getByRole("region", { name: "Its last runs" });
  await past.getByText("failed at write").waitFor();
  await accessible(page, "the machine with its runs");
  await past.getByRole("link", { name: "All of its history" }).click();
  await page.getByText("Only PC-2.").waitFor();
  await page.locator("details tbody tr").waitFor();
  const [, only, ...more] = await table();
  assert.match(only, /^\d+,PC-2,run-1,lab,/);
  assert.deepEqual(more, []);
  await page.getByRole("link", { name: "All machines" }).click();
  await page.locator("details tbody tr").nth(99).waitFor();
  await page.close();
});

for (const [name, width, height, colorScheme] of [
  ["phone", 390, 844, "dark"],
  ["desk", 1280, 900, "light"],
]) {
  test(`it is accessible on a ${name}, in ${colorScheme} colours`, async () => {
    const { page, problems, first } = await historyView({ width, height, colorScheme });
    await accessible(page, "history");
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= width, `it scrolls sideways: ${wide}`);
    await page.screenshot({ path: `${pictures}/history-${name}.png` });
    // By keyboard, the runs are put away.
    await first.locator("summary").focus();
    await page.keyboard.press("Enter");
    await first.getByRole("table").waitFor({ state: "hidden" });
    await page.goto(`${PAGE}#/history/nobody`);
    await page.getByText("No deployment has ended yet.").waitFor();
    assert.deepEqual(problems, []);
    await page.close();
  });
}
