// A room of QEMU's machines that are done, as its page shows it: pictures for the documents.

import { after, before, test } from "node:test";
import { accessible, launch, open } from "./browser.mjs";

const { EZIO_PICTURES: pictures, EZIO_MACHINES: count } = process.env;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

test("all machines are done, and each says how", async () => {
  const { page } = await open(browser, { width: 1000, height: 600 });
  await page.getByRole("button", { name: `${count} done` }).waitFor();
  await page
    .getByRole("region", { name: "Rates of the room" })
    .getByText(/machines received .* on average/)
    .waitFor();
  await accessible(page, "the room");
  await page.screenshot({ path: `${pictures}/classroom.png` });
  await page.locator(".tile").first().click();
  await page.getByRole("heading", { name: "This run" }).waitFor();
  await page
    .getByRole("region", { name: "Its rates" })
    .getByText(/^It received .* on average/)
    .waitFor();
  await accessible(page, "a machine");
  await page.screenshot({ path: `${pictures}/classroom-machine.png`, fullPage: true });
});
