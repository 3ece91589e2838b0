// Images on the page, and the ezio.conf that names them.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessible, launch, open } from "./browser.mjs";
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
  await page.getByRole("alert").getByText('names the image "lap", which is not served here (served: lab)').waitFor();
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
