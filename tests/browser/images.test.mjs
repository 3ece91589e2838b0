// Images on the page, and the ezio.conf that names them.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessible, call, launch, open } from "./browser.mjs";
import { BLANK, Room } from "./room.mjs";

const { EZIO_SERVER: url, EZIO_PICTURES: pictures } = process.env;
const room = new Room(url, 6);

let browser;
before(async () => {
  await room.begin(room.machines);
  await room.each(room.machines, (machine) => room.inventory(machine, BLANK));
  await room.each(room.machines, (machine) => room.fail(machine));
  browser = await launch();
});
after(() => browser.close());

async function imagesView(options) {
  const { page, problems } = await open(browser, options);
  await page.getByRole("link", { name: "Images" }).click();
  const text = page.getByRole("textbox", { name: "Text of ezio.conf" });
  await text.waitFor();
  return { page, problems, text };
}

test("an image says what it is, and where it is used", async () => {
  const { page } = await imagesView({ role: "viewer" });
  const image = page.getByRole("article", { name: "Image lab" });
  await image.getByText(/, by image-builder /).waitFor();
  await image.getByText(/^[0-9a-f]{12}$/).waitFor();
  await image.getByText("not signed").waitFor();
  await image.getByText("ezio.conf names it.").waitFor();
  await image.getByText("Last given to 6 machines").waitFor();
  await page.close();
});

test("what is wrong in an ezio.conf is said by line, and what a good one would do", async () => {
  const { page, problems, text } = await imagesView();
  const holds = await text.inputValue();
  assert.match(holds, /^image = "lab"\n\n\[\[group\]\]/);
  await text.fill(`${holds}\nennd = "reboot"\n`);
  await page.getByRole("button", { name: "Check" }).click();
  const wrong = page.getByRole("alert").filter({ hasText: "ennd" });
  await wrong.getByRole("button", { name: "Line 11, column 1" }).click();
  const selected = await text.evaluate((field) => field.value.slice(field.selectionStart, field.selectionEnd));
  assert.equal(selected, 'ennd = "reboot"');
  await accessible(page, "a mistake");

  // A file of this computer, by an administrator of files who has misread the image's name.
  const file = (content) => ({ name: "ezio.conf", mimeType: "text/plain", buffer: Buffer.from(content) });
  await page.getByLabel("A file of this computer").setInputFiles(file('image = "lap"\n'));
  await wrong.waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Check" }).click();
  await page
    .getByRole("alert")
    .getByText('names the image "lap", which is not served here (served: lab, kiosk)')
    .waitFor();
  await page.getByLabel("A file of this computer").setInputFiles(file("#".repeat(70_000)));
  await page.getByRole("alert").getByText("ezio.conf is longer than the 64 KiB").waitFor();

  const good = 'image = "lab"\n\n[[machine]]\nmatch.serial = "PC-2"\n[machine.disk]\nbus = "ata"\n';
  await page.getByLabel("A file of this computer").setInputFiles(file(good));
  await page.getByRole("button", { name: "Check" }).click();
  await page.getByText("Nothing is wrong with it.").waitFor();
  const plan = page.getByRole("region", { name: "What each machine would do by it" });
  const refuses = plan.getByRole("region", { name: "refuse" });
  await refuses.getByRole("link", { name: "PC-2" }).waitFor();
  await refuses.getByText("bus is nvme, not ata").waitFor();
  await refuses.getByText(/By ezio.conf, its entry for .*, line 3\./).waitFor();
  await accessible(page, "a good one");
  await page.getByRole("button", { name: "Back to what holds" }).click();
  assert.equal(await text.inputValue(), holds);
  assert.deepEqual(problems, []);
  await page.close();
});

/** Another administrator's program puts a text in place. */
async function elsewhere(text) {
  const { version } = await call("GET", "api/conf");
  return await call("PUT", "api/conf", { text, replaces: version });
}

test("an administrator puts an ezio.conf in place, and nobody's edit is lost unseen", async () => {
  const { text: former } = await call("GET", "api/conf");
  const { page, problems, text } = await imagesView({ role: "administrator" });
  const putInPlace = page.getByRole("button", { name: "Put in place…" });
  const check = async (content) => {
    await page.getByLabel("A file of this computer").setInputFiles({
      name: "ezio.conf",
      mimeType: "text/plain",
      buffer: Buffer.from(content),
    });
    await page.getByRole("button", { name: "Check" }).click();
    await page.getByText("Nothing is wrong with it.").waitFor();
  };
  const confirm = async () => {
    await putInPlace.click();
    const dialog = page.getByRole("dialog", { name: "Put this ezio.conf in place" });
    await dialog.getByText("for 6 known machines").waitFor();
    await accessible(page, "it asks");
    await dialog.getByRole("button", { name: "Put in place" }).click();
  };
  const mine = `${former}\n# mine\n`;
  await check(mine);
  await confirm();
  await page.getByText("It is in its place, and holds.").waitFor();
  assert.equal((await call("GET", "api/conf")).text, mine);
  assert.equal(await putInPlace.count(), 0);

  // Somebody else is faster.
  const theirs = `${mine}\n# theirs\n`;
  await elsewhere(theirs);
  const both = `${theirs}\n# both\n`;
  await check(both);
  await confirm();
  await page.getByText("What holds has changed since you began with yours.").waitFor();
  assert.equal(await page.getByRole("textbox", { name: "What holds now" }).inputValue(), theirs);
  assert.equal((await call("GET", "api/conf")).text, theirs);
  assert.equal(await text.inputValue(), both);
  await page.getByRole("button", { name: "I have seen it: go on with mine" }).click();
  await confirm();
  await page.getByText("It is in its place, and holds.").waitFor();
  assert.equal((await call("GET", "api/conf")).text, both);

  // A file of the server that was not named there.
  await check(`${both}\n[windows]\nunattend = "key.pem"\n`);
  await page.getByText(/It is put in place on the server, by hand/).waitFor();
  assert.equal(await putInPlace.count(), 0);
  await elsewhere(former);
  // The browser itself says that the server has refused one.
  assert.deepEqual(
    problems.filter((problem) => !problem.includes("409")),
    [],
  );
  await page.close();
});

test("who is no administrator puts nothing in place", async () => {
  const { page, text } = await imagesView();
  await text.fill('image = "lab"\n');
  await page.getByRole("button", { name: "Check" }).click();
  await page.getByText("Administrators can put it in place.").waitFor();
  assert.equal(await page.getByRole("button", { name: "Put in place…" }).count(), 0);
  await page.close();
});

for (const [name, width, height, colorScheme] of [
  ["phone", 390, 844, "dark"],
  ["desk", 1280, 900, "light"],
]) {
  test(`a viewer reads it on a ${name}, in ${colorScheme} colours`, async () => {
    const { page, problems, text } = await imagesView({ role: "viewer", width, height, colorScheme });
    assert.ok(!(await text.isEditable()));
    assert.equal(await page.getByRole("button", { name: "Check" }).count(), 0);
    await accessible(page, "images");
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= width, `it scrolls sideways: ${wide}`);
    await page.screenshot({ path: `${pictures}/images-${name}.png`, fullPage: true });
    assert.deepEqual(problems, []);
    await page.close();
  });
}
