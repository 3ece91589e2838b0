// A machine of QEMU whose disk holds data: an operator looks at it, restarts it, and gives the disk up, all on the page.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessible, launch, open } from "./browser.mjs";

const { EZIO_PICTURES: pictures } = process.env;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

/** From a restart to init, on a virtual machine that shares a slow computer. */
const RESTART_MS = 480_000;

test("a machine that waits shows its console, and is restarted", async () => {
  const { page, problems } = await open(browser);
  await page.locator(".problems li").getByRole("link").click();
  const state = page.locator(".what").first();
  await state.getByText("waits for somebody's word").waitFor();
  const card = page.getByRole("region", { name: "Its console" });
  await card.getByRole("button", { name: "Ask for its console" }).click();
  await card.locator("pre").getByText('NTFS "Daten"').waitFor();
  await page
    .getByRole("region", { name: "What it is" })
    .getByText(/NTFS "Daten"/)
    .waitFor();
  await accessible(page, "a machine that waits");
  await page.getByRole("button", { name: "Restart…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Restart" }).click();
  await state.getByText(/booting|init runs/).waitFor({ timeout: RESTART_MS });
  await state.getByText("waits for somebody's word").waitFor({ timeout: RESTART_MS });
  assert.deepEqual(problems, []);
  await page.close();
});

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
