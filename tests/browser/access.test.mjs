// Who may what, on the page: the own password, accounts, tokens and the audit log, by mouse and by keyboard.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessible, call, launch, open, PAGE, PASSWORD } from "./browser.mjs";

const ANOTHER = "quite another password";

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

/** Somebody who has an account looks at the login. */
async function comes(name, role) {
  await call("POST", "api/users", { name, role, password: PASSWORD });
  return (await open(browser, { role: null })).page;
}

async function logIn(page, name, password) {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.keyboard.press("Enter");
}

async function accessView(options) {
  const { page, problems } = await open(browser, { role: "administrator", ...options });
  await page.getByRole("link", { name: "Access" }).click();
  await page.getByRole("heading", { level: 1, name: "Access" }).waitFor();
  await page.getByRole("row", { name: "a-administrator administrator" }).first().waitFor();
  return { page, problems, dialog: page.getByRole("dialog") };
}

/** What the server answers to who shows this token. */
const shown = async (token) => (await fetch(`${PAGE}api/me`, { headers: { Authorization: `Bearer ${token}` } })).status;

test("the link that the server prints makes the first administrator, once", async () => {
  const link = `${PAGE}#/first/${process.env.EZIO_FIRST}`;
  const begin = async () => {
    const { page } = await open(browser, { role: null });
    await page.goto(link);
    await page.getByRole("heading", { name: "Make the first account" }).waitFor();
    return page;
  };
  const [page, late] = [await begin(), await begin()];
  await accessible(page, "the first account");
  await logIn(page, "erna", PASSWORD);
  await page.getByRole("link", { name: "erna, administrator" }).waitFor();
  assert.ok(!page.url().includes("first"), "the link is in no history");
  await logIn(late, "eve", PASSWORD);
  await late.getByRole("alert").getByText(/link/).waitFor();
  for (const each of [page, late]) await each.close();
  // What follows has one administrator alone.
  await (await accessView()).page.close();
  await call("DELETE", "api/users/erna");
});

test("somebody gives the own account another password, and is out elsewhere", async () => {
  const page = await comes("wanda", "viewer");
  await logIn(page, "wanda", PASSWORD);
  const elsewhere = (await open(browser, { role: null })).page;
  await logIn(elsewhere, "wanda", PASSWORD);
  await elsewhere.getByRole("link", { name: "wanda, viewer" }).waitFor();

  await page.getByRole("link", { name: "wanda, viewer" }).click();
  await page.getByRole("heading", { level: 1, name: "wanda, viewer" }).waitFor();
  await accessible(page, "the own account");
  const type = async (old, wanted, again) => {
    await page.getByLabel("The password that it has").fill(old);
    await page.getByLabel("The new one, 12 characters or more").fill(wanted);
    await page.getByLabel("The new one once more").fill(again);
    await page.keyboard.press("Enter");
  };
  await type(PASSWORD, ANOTHER, `${ANOTHER}!`);
  await page.getByRole("alert").getByText("not twice the same").waitFor();
  await type("not the password", ANOTHER, ANOTHER);
  await page.getByRole("alert").getByText("name or password is wrong").waitFor();
  await type(PASSWORD, ANOTHER, ANOTHER);
  await page.getByRole("status").getByText("The password is changed").waitFor();
  assert.equal(await page.getByLabel("The password that it has").inputValue(), "");
  await page.reload();
  await page.getByRole("link", { name: "wanda, viewer" }).waitFor();
  await elsewhere.reload();
  await elsewhere.getByRole("heading", { name: "Log in" }).waitFor();
  await logIn(elsewhere, "wanda", ANOTHER);
  await elsewhere.getByRole("link", { name: "wanda, viewer" }).waitFor();
  for (const each of [page, elsewhere]) await each.close();
});

test("an account is made by keyboard, changed, and removed", async () => {
  const { page, problems, dialog } = await accessView();
  await page.getByRole("button", { name: "New account…" }).focus();
  await page.keyboard.press("Enter");
  await dialog.getByRole("heading", { name: "New account" }).waitFor();
  await accessible(page, "the dialog of a new account");
  await page.keyboard.type("bert");
  await page.keyboard.press("Tab");
  await page.keyboard.type("viewer");
  await page.keyboard.press("Tab");
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press("Enter");
  await dialog.waitFor({ state: "detached" });
  await page.getByRole("row", { name: /^bert viewer/ }).waitFor();

  const other = (await open(browser, { role: null })).page;
  await logIn(other, "bert", PASSWORD);
  await other.getByRole("link", { name: "bert, viewer" }).waitFor();
  await page.getByRole("button", { name: "Role of bert…" }).click();
  assert.equal(await dialog.getByLabel("Role").inputValue(), "viewer");
  await dialog.getByLabel("Role").selectOption("operator");
  await dialog.getByRole("button", { name: "Change it" }).click();
  await page.getByRole("row", { name: /^bert operator/ }).waitFor();
  await other.reload();
  await other.getByRole("link", { name: "bert, operator" }).waitFor();

  await page.getByRole("button", { name: "Password of bert…" }).click();
  await dialog.getByLabel("Password").fill(ANOTHER);
  await dialog.getByRole("button", { name: "Set it" }).click();
  await dialog.waitFor({ state: "detached" });
  await other.reload();
  await logIn(other, "bert", ANOTHER);
  await other.getByRole("link", { name: "bert, operator" }).waitFor();

  await page.getByRole("button", { name: "Remove bert…" }).click();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Remove bert…" }).click();
  await accessible(page, "the dialog of a removal");
  await dialog.getByRole("button", { name: "Remove" }).click();
  await page.getByRole("row", { name: /^bert/ }).waitFor({ state: "detached" });
  await other.reload();
  await other.getByRole("heading", { name: "Log in" }).waitFor();
  assert.deepEqual(problems, []);
  for (const each of [page, other]) await each.close();
});

test("what the server refuses is said in the dialog, and the last administrator stays", async () => {
  const { page, dialog } = await accessView();
  await page.getByRole("button", { name: "Role of a-administrator…" }).click();
  await dialog.getByLabel("Role").selectOption("viewer");
  await dialog.getByRole("button", { name: "Change it" }).click();
  await dialog.getByRole("alert").getByText("the only administrator").waitFor();
  await dialog.getByRole("button", { name: "Leave it" }).click();
  // With another one there, an administrator gives the rights up, and sees no more than is left.
  await call("POST", "api/users", { name: "ada", role: "administrator", password: PASSWORD });
  const { page: own } = await open(browser, { role: null });
  await logIn(own, "ada", PASSWORD);
  await own.getByRole("link", { name: "Access" }).click();
  await own.getByRole("button", { name: "Role of ada…" }).click();
  await dialogOf(own).getByLabel("Role").selectOption("operator");
  await dialogOf(own).getByRole("button", { name: "Change it" }).click();
  await own.getByRole("link", { name: "ada, operator" }).waitFor();
  await own.getByText("Only administrators see who may what.").waitFor();
  assert.equal(await own.getByRole("link", { name: "Access" }).count(), 0);
  for (const each of [page, own]) await each.close();
});

const dialogOf = (page) => page.getByRole("dialog");

test("a token is shown once, is seen to be used, and revoked", async () => {
  const { page, problems, dialog } = await accessView();
  await page.getByRole("button", { name: "New token…" }).click();
  await dialog.getByLabel("Name").fill("backup");
  await dialog.getByLabel("Days that it counts").fill("2");
  await accessible(page, "the dialog of a new token");
  await page.keyboard.press("Enter");
  // The token is there before the dialog has gone, behind which nothing gets the focus.
  await dialog.waitFor({ state: "detached" });
  const field = page.getByLabel("Token backup");
  const token = await field.inputValue();
  assert.match(token, /^[0-9a-f]{64}$/);
  await field.focus();
  assert.equal(await page.evaluate(() => getSelection().toString()), token);
  const row = page.getByRole("row", { name: /^backup viewer/ });
  await row.getByText("not since the server started").waitFor();
  assert.ok(!(await row.textContent()).includes("always"));
  await accessible(page, "a new token");
  assert.equal(await shown(token), 200);
  await page.reload();
  await row.waitFor();
  assert.equal(await row.getByText("not since the server started").count(), 0);
  assert.equal(await field.count(), 0);
  await row.getByRole("button", { name: "Revoke backup…" }).click();
  await dialog.getByRole("button", { name: "Revoke" }).click();
  await row.waitFor({ state: "detached" });
  assert.equal(await shown(token), 401);
  assert.deepEqual(problems, []);
  await page.close();
});

test("the audit log is read back from its newest act", async () => {
  const { page: guesser } = await open(browser, { role: null });
  for (const password of ["wrong", "wrong too"]) {
    await logIn(guesser, "wanda", password);
    await guesser.getByRole("alert").getByText("name or password is wrong").waitFor();
    await guesser.reload();
  }
  for (let n = 0; n < 120; n++) await call("POST", "api/hold", { machines: "all" });
  const { page, problems } = await accessView();
  const rows = page.getByRole("region", { name: "Acts, the newest first" }).locator("tbody tr");
  await rows.nth(99).waitFor();
  assert.equal(await rows.count(), 100);
  await rows.first().getByText("a-administrator", { exact: true }).waitFor();
  await rows.nth(1).getByText("this server").waitFor();
  await page.getByRole("button", { name: "Show more" }).click();
  await page.getByText("fail to log in as wanda (2 times)").waitFor();
  assert.ok((await rows.count()) > 100);
  await call("POST", "api/forget", { machines: "all" });
  await page.getByRole("button", { name: "Show the newest" }).click();
  await rows.first().getByText("forget").waitFor();
  assert.deepEqual(problems, []);
  for (const each of [page, guesser]) await each.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`it is accessible in ${colorScheme} colours and fits a phone`, async () => {
    const { page, problems } = await accessView({ colorScheme, width: 390, height: 844 });
    await page.getByText("this server").first().waitFor();
    await accessible(page, "access");
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 390);
    assert.deepEqual(problems, []);
    await page.close();
  });
}

test("whoever is no administrator finds nothing of it", async () => {
  const { page } = await open(browser, { role: "operator" });
  await page.locator(".top nav").waitFor();
  assert.equal(await page.getByRole("link", { name: "Access" }).count(), 0);
  await page.goto(`${PAGE}#/access`);
  await page.getByText("Only administrators see who may what.").waitFor();
  await page.close();
});
