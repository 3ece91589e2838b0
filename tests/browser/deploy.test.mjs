// Deployments on the page: seen beforehand, ordered, kept for later, and taken back.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessible, call, launch, newPage, open, PAGE } from "./browser.mjs";
import { BLANK, Room } from "./room.mjs";

const { EZIO_SERVER: url, EZIO_PICTURES: pictures } = process.env;
const room = new Room(url, 12);
// In the group of ezio.conf: two with data, one blank, one whose disks nobody has seen. Of the others one is being written.
const [DATA, DATA_TOO, EMPTY, , WORKS, ...others] = room.machines;

let browser;
before(async () => {
  await room.begin(room.machines);
  for (const machine of [DATA, DATA_TOO, WORKS]) await room.inventory(machine);
  for (const machine of [EMPTY, ...others]) await room.inventory(machine, BLANK);
  const ended = room.machines.filter((machine) => machine !== WORKS);
  await room.each(ended, (machine) => room.fail(machine));
  browser = await launch();
});
after(() => browser.close());

const ordered = async () => {
  const { machines } = await call("GET", "api/fleet");
  const ids = machines.filter(({ order }) => order).map(({ id }) => id);
  return ids.sort();
};

async function deployView(options) {
  const { page, problems } = await open(browser, options);
  await page.getByRole("link", { name: "Deploy", exact: true }).click();
  await page.getByRole("heading", { name: "New deployment" }).waitFor();
  const see = async () => {
    await page.getByRole("button", { name: "See what would happen" }).click();
    const plan = page.getByRole("region", { name: "What would happen" });
    await plan.waitFor();
    return plan;
  };
  return { page, problems, see, dialog: page.getByRole("dialog") };
}

test("what would happen is seen before, and what is lost is named", async () => {
  const { page, problems, see, dialog } = await deployView();
  await page.getByRole("combobox", { name: "Machines" }).selectOption("group front (4)");
  await page.getByLabel("Image").selectOption("lab");
  let plan = await see();
  const waits = plan.getByRole("region", { name: "wait for your word" });
  await waits.getByRole("heading", { name: "2 machines" }).waitFor();
  assert.deepEqual(await waits.getByRole("link").allTextContents(), ["PC-1", "PC-2"]);
  await waits
    .getByText('It holds Windows, NTFS "Daten" 412 GiB used: overwrite = "ours" keeps what is there.')
    .waitFor();
  await waits.getByText(/By the order of .*, over ezio.conf, its entry for .*, line 7/).waitFor();
  await plan.getByRole("heading", { name: "1 machine is written" }).waitFor();
  await plan.getByRole("heading", { name: "1 machine is not known yet" }).waitFor();
  await plan.getByText("2 disks hold data, and keep it until somebody approves.").waitFor();

  await page.getByRole("checkbox", { name: "Give up what their disks hold" }).check();
  await plan.waitFor({ state: "detached" });
  plan = await see();
  await plan.getByText("2 disks hold data that would be written.").waitFor();
  await plan.getByRole("button", { name: "Deploy 4 machines" }).click();
  await dialog.getByText("2 disks with data lose what they hold:").waitFor();
  await dialog.getByRole("listitem").filter({ hasText: "PC-2 /dev/nvme0n1 Samsung SSD 980" }).waitFor();
  await accessible(page, "the dialog");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.deepEqual(await ordered(), [], "so far it was only looked at");

  await plan.getByRole("button", { name: "Deploy 4 machines" }).click();
  await dialog.getByRole("button", { name: "Deploy, and lose what 2 disks hold" }).click();
  await page.getByRole("region", { name: "Ordered", exact: true }).getByText("next network boot").waitFor();
  assert.deepEqual(await ordered(), ["PC-1", "PC-2", "PC-3", "PC-4"]);
  assert.ok(!(await page.getByRole("checkbox", { name: "Give up what their disks hold" }).isChecked()));
  const orders = page.getByRole("region", { name: "Ordered, not ended" });
  await orders.getByText(/4 machines by the order of .*: image lab/).waitFor();
  await orders.getByRole("button", { name: "Take back the order 4" }).click();
  await dialog.getByRole("button", { name: "Take back the order" }).click();
  await orders.getByText("Nothing is ordered").waitFor();
  assert.deepEqual(await ordered(), []);
  assert.deepEqual(problems, []);
  await page.close();
});

test("machines are picked in the room, by keyboard, and what the server refuses is said", async () => {
  const { page } = await open(browser);
  await page.getByRole("button", { name: "Select" }).click();
  await page.locator(".tile").first().focus();
  for (let at = 0; at < 4; at++) await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Space");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Space");
  await page.getByRole("status").getByText("2 selected").waitFor();
  await accessible(page, "selection");
  await page.getByRole("button", { name: "Deploy 2…" }).click();
  const form = page.getByRole("form", { name: "New deployment" });
  await form.getByRole("link", { name: "PC-6" }).waitFor();
  assert.equal(await form.getByRole("combobox", { name: "Machines" }).inputValue(), "chosen");
  await form.getByRole("button", { name: "See what would happen" }).click();
  await page.getByRole("button", { name: "Deploy 2 machines" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Deploy" }).click();
  const refused = page.getByRole("region", { name: "Ordered", exact: true }).getByRole("listitem");
  await refused.filter({ hasText: "PC-5: is being deployed now: wait for its end" }).waitFor();
  assert.deepEqual(await ordered(), ["PC-6"]);
  await call("POST", "api/cancel", { machines: "all" });
  await page.close();
});

test("what is for later is kept, shown with its next time, and removed", async () => {
  const { page, see, dialog } = await deployView();
  await page.getByRole("button", { name: "Weekly" }).click();
  await page.getByRole("button", { name: "See what would happen" }).click();
  await page.getByRole("alert").getByText("Say on which days").waitFor();
  for (const day of ["Mon", "Fri"]) await page.getByRole("button", { name: day }).click();
  await page.getByLabel("At, by the clock of the server").fill("03:00");
  await page.getByLabel("Afterwards").selectOption("switch off");
  await page.getByRole("checkbox", { name: "Switch the machines on" }).check();
  await see();
  await page.getByRole("button", { name: "Deploy 12 machines" }).click();
  await dialog.getByText("It begins Mondays, Fridays at 03:00, by the server's clock").waitFor();
  await dialog.getByRole("button", { name: "Deploy" }).click();
  await page.getByRole("heading", { name: "Scheduled" }).waitFor();
  const [kept] = (await call("GET", "api/schedules")).schedules;
  assert.deepEqual(
    [kept.machines, kept.when, kept.then, kept.wake],
    ["all", { cron: "0 3 * * MON,FRI" }, "poweroff", true],
  );
  const later = page.getByRole("region", { name: "Kept for later" });
  await later.getByText("Mondays, Fridays at 03:00 by the server's clock").waitFor();
  await later.getByText("all machines: then switch off, switched on").waitFor();
  await later.getByRole("button", { name: "Remove schedule 1" }).click();
  await dialog.getByRole("button", { name: "Remove" }).click();
  await later.getByText("Nothing is scheduled").waitFor();
  assert.deepEqual((await call("GET", "api/schedules")).schedules, []);

  // By the clock of this computer, far from now.
  await page.getByRole("button", { name: "Once" }).click();
  await page.getByRole("combobox", { name: "Machines" }).selectOption("group front (4)");
  await page.getByLabel("At, by the clock of this computer").fill("2037-01-02T03:04");
  await see();
  await page.getByRole("button", { name: "Deploy 4 machines" }).click();
  await dialog.getByText(/It begins .*2037.*: each is deployed at its next network boot after that/).waitFor();
  await dialog.getByRole("button", { name: "Deploy" }).click();
  await later.getByText("group front: as ezio.conf says").waitFor();
  const [once] = (await call("GET", "api/schedules")).schedules;
  const at = await page.evaluate(() => new Date("2037-01-02T03:04").getTime() / 1000);
  assert.deepEqual([once.machines, once.next], [{ group: "front" }, at]);
  await call("POST", "api/schedules/remove", { id: once.id });

  // What is over is refused, and said where it was asked for.
  await page.getByRole("button", { name: "Once" }).click();
  await page.getByLabel("At, by the clock of this computer").fill("2020-01-01T03:00");
  await see();
  await page.getByRole("button", { name: "Deploy 12 machines" }).click();
  await dialog.getByRole("button", { name: "Deploy" }).click();
  await dialog.getByRole("alert").getByText("is over").waitFor();
  await page.close();
});

test("a viewer sees what is ordered and planned, and orders nothing", async () => {
  await call("POST", "api/deploy", { machines: ["PC-6"], image: "lab" });
  const page = await newPage(browser, { role: "viewer" });
  await page.goto(`${PAGE}#/deploy`);
  await page.getByRole("region", { name: "Ordered, not ended" }).getByText("PC-6").waitFor();
  await page.getByText("Nothing is scheduled").waitFor();
  await page.getByRole("button", { name: "Show what each machine does" }).click();
  const plan = page.getByRole("region", { name: "At the next network boot" });
  await plan.getByRole("heading", { name: "machines are written" }).waitFor();
  assert.equal(await page.getByRole("form").count(), 0);
  assert.equal(await page.getByRole("button", { name: /Take back|Remove/ }).count(), 0);
  await call("POST", "api/cancel", { machines: "all" });
  await page.close();
});

for (const [name, width, height, colorScheme] of [
  ["phone", 390, 844, "dark"],
  ["desk", 1280, 900, "light"],
]) {
  test(`it is accessible on a ${name}, in ${colorScheme} colours`, async () => {
    const { page, problems, see } = await deployView({ width, height, colorScheme });
    await page.getByRole("button", { name: "Weekly" }).click();
    await page.getByRole("button", { name: "Mon" }).click();
    await page.getByLabel("At, by the clock of the server").fill("03:00");
    await see();
    await accessible(page, "deploy");
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= width, `it scrolls sideways: ${wide}`);
    await page.screenshot({ path: `${pictures}/deploy-${name}.png`, fullPage: true });
    assert.deepEqual(problems, []);
    await page.close();
  });
}

test("who was forgotten in the meantime is named", async () => {
  const { page, dialog, see } = await deployView();
  await page.goto(`${PAGE}#/machine/PC-12`);
  await page.getByRole("button", { name: "Deploy…" }).click();
  await see();
  await page.getByRole("button", { name: "Deploy 1 machine" }).click();
  await dialog.waitFor();
  await call("POST", "api/forget", { machines: ["PC-12"] });
  await dialog.getByRole("button", { name: "Deploy" }).click();
  await dialog.getByRole("alert").getByText("No machine is called PC-12.").waitFor();
  await page.close();
});
