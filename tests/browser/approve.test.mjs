// A machine of QEMU whose disk holds data: an operator gives it up on the page.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open } from "./browser.mjs";

const { EZIO_PICTURES: pictures } = process.env;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

test("a disk in use is given up, once the page said what is on it", async () => {
  const { page, problems } = await open(browser, { width: 1000, height: 600 });
  const problem = page.locator(".problems > ul > li");
  await problem.getByRole("heading", { name: "Waits for your word" }).waitFor();
  await problem.getByText('NTFS "Daten"').waitFor();
  await problem.getByRole("button", { name: "Approve" }).click();
  const dialog = page.getByRole("dialog", { name: "Approve: 1 machine" });
  await dialog.getByText('NTFS "Daten"').waitFor();
  await page.screenshot({ path: `${pictures}/approve.png` });
  await dialog.getByRole("button", { name: "Approve" }).click();
  await problem.waitFor({ state: "detached" });
  assert.deepEqual(problems, []);
});
