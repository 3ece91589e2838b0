// A room of 40 machines: what the page shows, and what can be done there, by mouse and by keyboard.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessible, call, launch, newPage, open, PAGE, PASSWORD } from "./browser.mjs";
import { BLANK, FAILING, Room } from "./room.mjs";

const { EZIO_SERVER: url, EZIO_PICTURES: pictures } = process.env;
const room = new Room(url, 40);
const [FAILS, SLOW, SILENT, ASKS, ...others] = room.machines;
const DONE = others.slice(0, 4);
const [WORN, SOUND] = DONE;
const WORK = others.slice(4);
const state = async (machine) => {
  const fleet = await call("GET", "api/fleet");
  return fleet.machines.find(({ id }) => id === `PC-${machine.number + 1}`).state;
};

/** What is shown of one machine, and of none whose name begins with that one's. */
const of = (page, what, name) => page.locator(what, { has: page.getByText(name, { exact: true }) });

/** Something is drawn there. */
const drawn = (chart) =>
  chart.locator("canvas").evaluate((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    if (!data.some((byte) => byte !== 0)) throw new Error("the chart is empty");
  });

let browser;
let works = true;
let working;
before(async () => {
  await room.begin([FAILS, SLOW, SILENT, ...others]);
  await room.report(ASKS, { event: "started", version: "0.1.0", firmware: "uefi", address: "127.0.0.1" });
  await room.asks(ASKS);
  await room.plans(others.at(-2), "kiosk");
  await room.inventory(WORN, BLANK, FAILING);
  await room.inventory(SOUND, BLANK);
  await room.each(DONE, (machine) => room.finish(machine));
  await room.fail(FAILS);
  // Who works, or waits, reports all the time; one does not.
  working = (async () => {
    while (works) {
      await room.progress(SLOW, 3e6);
      if (ASKS.goes) await room.progress(ASKS);
      else if ((await room.asks(ASKS)).go) {
        await room.plans(ASKS);
        ASKS.goes = true;
      }
      await room.each(
        WORK.filter(({ ended }) => !ended),
        (machine) => room.progress(machine),
      );
      await new Promise((go) => setTimeout(go, 500));
    }
  })();
  browser = await launch();
});
after(async () => {
  works = false;
  await working;
  await browser.close();
});

test("problems come first, with why and what to do", async () => {
  const { page, problems } = await open(browser);
  const first = page.locator(".problems li").first();
  await first.getByRole("heading", { name: "PC-1 Failed" }).waitFor();
  await first.getByText("write: writing at 12.3 GiB of /dev/nvme0n1: Input/output error").waitFor();
  await first.getByText("Mend what the error names").waitFor();
  const above = await page.locator(".problems").boundingBox();
  const below = await page.locator(".tiles").boundingBox();
  assert.ok(above.y + above.height <= below.y);
  await page.locator(".slow li").getByText("receives 2.9 MiB/s, the middle of the room 105 MiB/s").waitFor();
  await page.locator(".whole").getByText("of 1.5 TiB on 40 machines").waitFor();
  await of(page, ".problems > ul > li", "PC-3").getByText("See whether it is switched on").waitFor();
  assert.deepEqual(problems, []);
  await page.close();
});

test("a failing disk is among the problems of a machine that was deployed well", async () => {
  const { page, problems } = await open(browser);
  const problem = of(page, ".problems > ul > li", "PC-5");
  await problem.getByRole("heading", { name: "PC-5 Disk is failing" }).waitFor();
  await problem.getByText("Samsung SSD 980: 4 % of spare blocks left, below the threshold of 10 %").waitFor();
  await problem.getByText("replace it, then have the machine deployed again").waitFor();
  await of(page, ".tile", "PC-5").getByText("disk is failing · done, boots from its disk").waitFor();
  await problem.getByRole("link", { name: "PC-5" }).click();
  await page.getByRole("region", { name: "What is wrong" }).getByText("Disk is failing").waitFor();
  const inventory = page.getByRole("region", { name: "What it is" });
  await inventory.getByText("Health: failing: 4 % of spare blocks left, below the threshold of 10 %").waitFor();
  await accessible(page, "a failing disk");
  // Of one that is good only its machine's page speaks.
  await page.goto(`${PAGE}#/machine/PC-6`);
  await inventory.getByText("Health: good, switched on for 4321 hours, 38 °C, 100 % of spare blocks left").waitFor();
  assert.equal(await page.getByRole("region", { name: "What is wrong" }).count(), 0);
  assert.deepEqual(problems, []);
  await page.close();
});

test("search and filters show what fits", async () => {
  const { page } = await open(browser);
  const shown = page.getByRole("status");
  await page.getByRole("searchbox").fill("52:54:00:00:00:0b");
  await shown.getByText("1 of 40 machines").waitFor();
  assert.equal(await page.locator(".tile .name").textContent(), "PC-12");
  await page.getByRole("searchbox").fill("optiplex pc-1");
  await shown.getByText("11 of 40 machines").waitFor();
  await page.getByRole("searchbox").fill("");
  await page.getByRole("button", { name: "4 done" }).click();
  await shown.getByText("4 of 40 machines").waitFor();
  assert.equal(await page.getByLabel("State").inputValue(), "done");
  await page.getByLabel("State").selectOption("failed");
  await shown.getByText("1 of 40 machines").waitFor();
  await page.getByLabel("State").selectOption("all");
  await page.getByLabel("Group").selectOption("front");
  await shown.getByText("4 of 40 machines").waitFor();
  assert.deepEqual(await page.locator(".tile .name").allTextContents(), ["PC-1", "PC-2", "PC-3", "PC-4"]);
  await page.getByLabel("Image").selectOption("kiosk");
  await shown.getByText("0 of 40 machines").waitFor();
  await page.getByLabel("Group").selectOption("all");
  await shown.getByText("1 of 40 machines").waitFor();
  assert.equal(await page.locator(".tile .name").textContent(), "PC-39");
  await page.reload();
  await shown.getByText("1 of 40 machines").waitFor();
  await page.getByLabel("Image").selectOption("lab");
  await shown.getByText("39 of 40 machines").waitFor();
  await page.close();
});

test("a change is shown when it happens", async () => {
  const { page } = await open(browser);
  await page.getByRole("searchbox").fill("pc-40");
  const tile = of(page, ".tile", "PC-40");
  await tile.getByText("105 MiB/s").waitFor();
  const last = WORK[WORK.length - 1];
  last.ended = true;
  await room.finish(last);
  await tile.getByText("done, boots from its disk").waitFor();
  await page.close();
});

test("rates are shown from the beginning, also to who comes late", async () => {
  const { page, problems } = await open(browser);
  const chart = page.getByRole("region", { name: "Rates of the room" });
  await chart
    .getByText(/up to 3\d machines received .* on average, \d+ % of what their links would carry at 1 Gbit\/s/)
    .waitFor();
  await drawn(chart);
  await accessible(page, "the chart");
  await chart.getByText("As a table").click();
  const rows = chart.locator("tbody tr");
  const { since } = (await call("GET", "api/fleet")).rates;
  const begun = await page.evaluate((since) => new Date(1000 * since).toLocaleTimeString(), since);
  assert.equal(await rows.first().locator("th").textContent(), begun);
  // Of some 34 machines at 105 MiB/s, on links of 119 MiB/s.
  const [received, carried] = (await rows.nth(1).locator("td").allTextContents()).map(Number.parseFloat);
  assert.ok(1 < received && received < carried && carried < 5, await rows.nth(1).textContent());
  const last = await rows.last().locator("th").textContent();
  await page.waitForFunction(
    (last) => [...document.querySelectorAll(".chart tbody th")].at(-1).textContent !== last,
    last,
  );
  await page.getByLabel("Rate of the links").selectOption("100 Mbit/s");
  await chart.getByText(/at 100 Mbit\/s/).waitFor();
  await accessible(page, "the chart with its table");

  await page.goto(`${PAGE}#/machine/PC-5`);
  await page.goto(`${PAGE}#/machine/PC-12`);
  const own = page.getByRole("region", { name: "Its rates" });
  await own.getByText("It received 105 MiB/s and sent 105 MiB/s on average.").waitFor();
  await drawn(own);
  await own.getByText("As a table").focus();
  await page.keyboard.press("Enter");
  await own.getByRole("row", { name: "105 MiB/s 105 MiB/s" }).first().waitFor();
  await accessible(page, "a machine's chart");
  assert.deepEqual(problems, []);
  await page.close();
});

test("a lost connection is said, and taken up again", async () => {
  const { page } = await open(browser);
  await page.addInitScript(() => {
    globalThis.EventSource = class extends EventSource {
      constructor(address) {
        super(address);
        globalThis.stream = this;
      }
    };
  });
  await page.reload();
  await page.locator(".tile").first().waitFor();
  await page.route("**/api/me", (route) => route.abort());
  await page.evaluate(() => {
    globalThis.stream.close();
    globalThis.stream.dispatchEvent(new Event("error"));
  });
  const lost = page.getByRole("alert").getByText("The server does not answer. What is shown may be old.");
  await lost.waitFor();
  await page.unroute("**/api/me");
  await lost.waitFor({ state: "detached" });
  await page.close();
});

test("the keyboard reaches the content past the views", async () => {
  const { page } = await open(browser);
  await page.locator(".tile").first().waitFor();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  await page.close();
});

test("the keyboard reaches every machine", async () => {
  const { page } = await open(browser, { width: 1000, height: 500 });
  await page.locator(".tile").first().focus();
  const focused = (name) =>
    page.waitForFunction((name) => document.activeElement.querySelector("b")?.textContent.startsWith(name), name);
  await page.keyboard.press("ArrowRight");
  await focused("PC-2");
  await page.keyboard.press("End");
  await focused("PC-40");
  await page.keyboard.press("ArrowUp");
  await focused("PC-3");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: /^PC-3\d$/ }).waitFor();
  await page.goBack();
  await page.locator(".tile").first().waitFor();
  await page.close();
});

test("a machine is deployed again, once what is erased was named", async () => {
  const { page } = await open(browser);
  const failed = of(page, ".problems > ul > li", "PC-1");
  await failed.getByRole("button", { name: "Deploy again" }).click();
  const dialog = page.getByRole("dialog", { name: "Deploy again: 1 machine" });
  await dialog.getByText("Samsung SSD 980 465.8 GiB").waitFor();
  await accessible(page, "the dialog");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.equal(await state(FAILS), "failed");
  await failed.getByRole("button", { name: "Deploy again" }).click();
  await dialog.getByRole("button", { name: "Deploy again" }).click();
  await of(page, ".tile", "PC-1").getByText("to be deployed again").first().waitFor();
  assert.equal(await state(FAILS), "again");
  await page.close();
});

test("a machine that waits says why, and goes on when it is approved", async () => {
  const { page } = await open(browser);
  const problem = of(page, ".problems > ul > li", "PC-4");
  await problem.getByRole("heading", { name: "PC-4 Waits for your word" }).waitFor();
  await problem.getByText('NTFS "Daten" 412 GiB used').waitFor();
  await problem.getByRole("button", { name: "Approve" }).click();
  const dialog = page.getByRole("dialog", { name: "Approve: 1 machine" });
  await dialog.getByText('NTFS "Daten" 412 GiB used').waitFor();
  assert.ok(!ASKS.goes);
  await dialog.getByRole("button", { name: "Approve" }).click();
  await dialog.waitFor({ state: "detached" });
  await problem.waitFor({ state: "detached" });
  await of(page, ".tile", "PC-4").getByText("105 MiB/s").waitFor();
  await page.close();
});

test("who is nobody logs in, by keyboard, and out again", async () => {
  const { page } = await open(browser, { role: null });
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  assert.equal(await page.getByRole("link", { name: "Images" }).count(), 0);
  await accessible(page, "the login");
  await page.getByLabel("Name").focus();
  await page.keyboard.type("a-operator");
  await page.keyboard.press("Tab");
  await page.keyboard.type("not the password");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").getByText("name or password is wrong").waitFor();
  await page.getByLabel("Password").fill(PASSWORD);
  await page.keyboard.press("Enter");
  await page.locator(".tile").first().waitFor();
  await page.getByText("a-operator, operator").waitFor();
  await page.reload();
  await page.locator(".tile").first().waitFor();
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await page.reload();
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await page.close();
});

test("a machine's console is there when it failed, and comes when it is asked for", async () => {
  const { page, problems } = await open(browser);
  await page.goto(`${PAGE}#/machine/PC-1`);
  const card = page.getByRole("region", { name: "Its console" });
  await card.getByText("nvme0: I/O timeout").waitFor();
  assert.equal(await card.getByRole("button").count(), 0, "init does not run on it");
  await page.goto(`${PAGE}#/machine/PC-2`);
  await card.getByRole("button", { name: "Ask for its console" }).click();
  await card.getByText("nvme0: I/O timeout").waitFor();
  assert.equal(await card.getByRole("status").textContent(), "");
  await accessible(page);
  assert.deepEqual(problems, []);
  await page.close();
});

test("a viewer is offered no act", async () => {
  const page = await newPage(browser, { role: "viewer" });
  await page.goto(`${PAGE}#/machine/PC-3`);
  await page.getByRole("heading", { name: "This run" }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Deploy again" }).count(), 0);
  assert.equal(await page.getByRole("button", { name: "Ask for its console" }).count(), 0);
  await page.goto(PAGE);
  await page.locator(".problems li").first().waitFor();
  assert.equal(await page.getByRole("button", { name: /Deploy again|Approve|Hold|Forget/ }).count(), 0);
  await page.close();
});

test("machines stand where they were dragged", async () => {
  const { page } = await open(browser);
  const seat = async (name) => {
    const box = await page.locator(".seat", { has: page.getByText(name, { exact: true }) }).boundingBox();
    const corner = await page.locator(".seats > div").boundingBox();
    return [Math.round((box.x - corner.x) / (8 * rem)), Math.round((box.y - corner.y) / (4 * rem))];
  };
  await page.getByRole("button", { name: "Seats" }).click();
  const rem = await page.evaluate(() => Number.parseFloat(getComputedStyle(document.documentElement).fontSize));
  await page.getByRole("button", { name: "Put 40 more machines into rows" }).click();
  await page.locator(".seat").nth(39).waitFor();
  assert.deepEqual(await seat("PC-10"), [1, 1]);
  await page.getByRole("button", { name: "Arrange" }).click();
  await accessible(page, "seats");
  // By keyboard, into the place of another; and by mouse, to where nobody is.
  await page.getByRole("button", { name: "PC-10" }).focus();
  await page.keyboard.press("ArrowRight");
  const { x, y } = await page.getByRole("button", { name: "PC-12" }).boundingBox();
  await page.mouse.move(x + 9, y + 9);
  await page.mouse.down();
  await page.mouse.move(x + 9, y + 9 + 5 * 4 * rem, { steps: 5 });
  await page.mouse.up();
  const kept = async () => (await call("GET", "api/fleet")).seats["PC-12"];
  while (String(await kept()) !== "3,6") await page.waitForEvent("requestfinished");
  await page.reload();
  await page.locator(".seat").nth(39).waitFor();
  assert.deepEqual(await Promise.all(["PC-10", "PC-11", "PC-12"].map(seat)), [
    [2, 1],
    [1, 1],
    [3, 6],
  ]);
  await page.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`every view is accessible in ${colorScheme} colours`, async () => {
    const { page, problems } = await open(browser, { colorScheme });
    await page.locator(".tile").first().waitFor();
    await accessible(page, "tiles");
    await page.getByRole("button", { name: "Table" }).click();
    await page.getByRole("table").waitFor();
    await accessible(page, "table");
    await page.getByRole("table").getByRole("link", { name: "PC-5", exact: true }).click();
    await page.getByRole("heading", { name: "This run" }).waitFor();
    await page.getByText("all verified and synced").waitFor();
    await accessible(page, "machine");
    await page.getByRole("link", { name: "Images" }).click();
    await page.getByRole("article", { name: "Image lab" }).getByText("Last given to").waitFor();
    await accessible(page, "images");
    assert.deepEqual(problems, []);
    await page.close();
  });
}

test("it fits a phone, a desk and a wall", async () => {
  for (const [name, width, height] of [
    ["phone", 390, 844],
    ["desk", 1280, 900],
    ["wall", 3840, 2160],
  ]) {
    const { page } = await open(browser, { width, height });
    await page.locator(".tile").first().waitFor();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= width, `${name} scrolls sideways: ${wide}`);
    await page.screenshot({ path: `${pictures}/room-${name}.png` });
    await page.goto(`${PAGE}#/machine/PC-5`);
    await page.getByRole("heading", { name: "This run" }).waitFor();
    await page.screenshot({ path: `${pictures}/machine-${name}.png` });
    await page.close();
  }
});
