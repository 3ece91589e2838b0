// Debian's Chromium, and what every page in it must keep to.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Longest wait for anything, on a computer that does other things too. */
export const BOUND_MS = 120_000;

/** Where the page is, and what lets a program in there. */
const { EZIO_PAGE, EZIO_TOKEN } = process.env;
export const PAGE = EZIO_PAGE;
export const PASSWORD = "a long password";

/** One call of the server's API, as an administrator's program makes it. */
export async function call(method, name, body) {
  const headers = { Authorization: `Bearer ${EZIO_TOKEN}`, "Content-Type": "application/json" };
  const answer = await fetch(`${PAGE}${name}`, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${name}: ${answer.status} ${text}`);
  return text && JSON.parse(text);
}

/** A page for somebody who has logged in, or for nobody. */
export async function newPage(browser, { role = "operator", ...options } = {}) {
  const page = await browser.newPage({ ignoreHTTPSErrors: true, ...options });
  page.setDefaultTimeout(BOUND_MS);
  if (role) {
    const name = `a-${role}`;
    const users = await call("GET", "api/users");
    if (!users.some((user) => user.name === name)) await call("POST", "api/users", { name, role, password: PASSWORD });
    const login = await page.request.post(`${PAGE}api/login`, { data: { name, password: PASSWORD } });
    assert.ok(login.ok(), await login.text());
  }
  return page;
}

export const launch = () => chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });

/** Opens the page. It may load nothing from elsewhere, and say nothing on its console; `problems` fills with what it does. */
export async function open(browser, { width = 1280, height = 900, colorScheme = "light", role = "operator" } = {}) {
  const page = await newPage(browser, { viewport: { width, height }, colorScheme, role });
  const problems = [];
  page.on("console", (message) => problems.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("request", (request) => request.url().startsWith(PAGE) || problems.push(`asks for ${request.url()}`));
  await page.goto(PAGE);
  return { page, problems };
}

/** axe-core finds nothing to say against what is shown. It is run from outside, past the page's content security policy. */
export async function accessible(page, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join("\n")}`);
  assert.deepEqual(found, [], what);
}
