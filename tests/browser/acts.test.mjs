// Everything that can be done to machines on their pages and in the room, as the server and the machines hear it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessible, call, launch, open, PAGE } from "./browser.mjs";
import { Room } from "./room.mjs";

const room = new Room(process.env.EZIO_SERVER, 8);
const [DONE, FAILS, WORKS, ENDS, ...others] = room.machines;

let browser;
before(async () => {
  await room.begin(room.machines);
  await room.each(room.machines, (machine) => room.inventory(machine));
  await room.each([DONE, ...others], (machine) => room.finish(machine));
  await room.fail(FAILS);
  browser = await launch();
});
after(() => browser.close());

const known = async (id) => (await call("GET", "api/fleet")).machines.find((machine) => machine.id === id);

/** The page of a machine, and how something is done there. */
async function machineView(id) {
  const { page, problems } = await open(browser);
  await page.goto(`${PAGE}#/machine/${id}`);
  await page.getByRole("heading", { level: 1, name: id }).waitFor();
  const act = async (title, text) => {
    await page.getByRole("button", { name: `${title}…`, exact: true }).click();
    const dialog = page.getByRole("dialog", { name: `${title}: 1 machine` });
    await dialog.getByText(text).waitFor();
    await accessible(page, title);
    await dialog.getByRole("button", { name: title, exact: true }).click();
    await dialog.waitFor({ state: "detached" });
    assert.deepEqual(problems, []);
  };
  return { page, act };
}

const offers = (page, title) => page.getByRole("button", { name: `${title}…`, exact: true }).count();

test("a machine is woken", async () => {
  const { page, act } = await machineView("PC-1");
  await act("Wake", "Packets that switch machines on go to all cards that are known of these.");
  assert.equal(await offers(page, "Restart"), 0, "init does not run on it");
  await page.close();
});

test("a machine is held, and let go", async () => {
  const { page, act } = await machineView("PC-1");
  await act("Hold", "Nothing of these machines is overwritten until they are approved");
  await page.getByText("nothing of it is overwritten until it is approved").waitFor();
  assert.ok((await known("PC-1")).held);
  assert.equal(await offers(page, "Hold"), 0);
  await act("Approve", 'NTFS "Daten" 412 GiB used');
  await page.getByText("nothing of it is overwritten until it is approved").waitFor({ state: "detached" });
  assert.ok(!(await known("PC-1")).held);
  await page.close();
});

for (const [machine, title, leave] of [
  [WORKS, "Restart", "restart"],
  [ENDS, "Switch off", "poweroff"],
]) {
  test(`a machine at work hears “${title}” with its next report`, async () => {
    const { page, act } = await machineView(`PC-${machine.number + 1}`);
    assert.equal(await offers(page, "Wake"), 0, "it runs");
    assert.equal(await offers(page, "Forget"), 0, "it runs");
    await act(title, "These machines leave all as it is");
    const directive = await room.report(machine, { event: "first-byte" });
    assert.equal(directive.leave, leave);
    await page.close();
  });
}

test("an order is seen on the machine's page, and taken back there", async () => {
  await call("POST", "api/deploy", { machines: ["PC-5"], image: "kiosk" });
  const { page, act } = await machineView("PC-5");
  await page.getByText(/^image kiosk \(/).waitFor();
  await act("Take back the order", "does not happen");
  await page.getByText(/^image kiosk/).waitFor({ state: "detached" });
  assert.equal((await known("PC-5")).order, null);
  await page.close();
});

test("a machine is forgotten", async () => {
  const { page, act } = await machineView("PC-2");
  await act("Forget", "They come back as strangers.");
  await page.getByRole("heading", { level: 1, name: "No such machine" }).waitFor();
  assert.equal(await known("PC-2"), undefined);
  await page.getByRole("link", { name: "To the room" }).click();
  await page.locator(".tile").first().waitFor();
  assert.equal(await page.locator(".tile .name").getByText("PC-2", { exact: true }).count(), 0);
  await page.close();
});

test("what is done in the room is done to those that are shown, or picked", async () => {
  const { page } = await open(browser);
  const dialog = page.getByRole("dialog", { name: "Hold: 3 machines" });
  await page.getByLabel("Group").selectOption("front");
  await page.getByRole("button", { name: "Hold 3…" }).click();
  assert.deepEqual(await dialog.getByRole("listitem").locator("b").allTextContents(), ["PC-1", "PC-3", "PC-4"]);
  await dialog.getByRole("button", { name: "Hold" }).click();
  await dialog.waitFor({ state: "detached" });
  const held = async () => (await call("GET", "api/fleet")).machines.filter(({ held }) => held).map(({ id }) => id);
  assert.deepEqual((await held()).sort(), ["PC-1", "PC-3", "PC-4"]);

  await page.getByLabel("Group").selectOption("all");
  await page.getByRole("button", { name: "Table" }).click();
  await page.getByRole("button", { name: "Select", exact: true }).click();
  await page.getByRole("checkbox", { name: "Select PC-7" }).check();
  await page.getByRole("checkbox", { name: "Select PC-8" }).check();
  await page.getByRole("button", { name: "Forget 2…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Forget" }).click();
  await page.getByRole("link", { name: "PC-8" }).waitFor({ state: "detached" });
  assert.deepEqual([await known("PC-7"), await known("PC-8")], [undefined, undefined]);
  assert.ok(await known("PC-6"));
  await page.close();
});

test("a machine's page says what it is, what it did, and what is on its disk", async () => {
  const { page } = await machineView("PC-6");
  const is = page.getByRole("region", { name: "What it is" });
  for (const fact of [
    "OptiPlex 7060",
    "PC-6",
    "AMD Ryzen 5 PRO 4650G, 12 threads",
    "16.0 GiB",
    "52:54:00:00:00:05: 1 Gbit/s",
    "127.0.0.1",
    "uefi",
  ]) {
    await is.locator("dd").getByText(fact, { exact: true }).first().waitFor();
  }
  const disk = is.locator("dd").getByText('Samsung SSD 980, 466 GiB, nvme: Windows, NTFS "Daten" 412 GiB used');
  await disk.getByText(/^Health: good, .*38 °C/).waitFor();
  const run = page.getByRole("region", { name: "This run" });
  for (const step of ["init ran", "first data arrived", "all verified and synced", "done"]) {
    await run.getByText(step, { exact: true }).waitFor();
  }
  await run.getByText("network link 3.9 s").waitFor();
  await page.getByRole("region", { name: "Data" }).getByText("40.0 GiB of 40.0 GiB").waitFor();
  await page.getByText("sda3: is encrypted by LUKS: copied whole").waitFor();
  await page.close();
});
