/**
 * The page in WebKit, the engine of every browser on an iPhone: Debian's WebKitGTK, by WebDriver.
 * `check.sh` gives it a display.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import test from "node:test";

import { bundleOf, serveStatic } from "../browser/harness.js";
import { DIGITS } from "../browser/strokes.js";

const PATIENCE = 120e3; // ms; on a busy machine everything is slow
const BROWSER = process.env.MINIBROWSER;
const PORT = 20000 + (process.pid % 20000);

/** Starts a session of the browser, which ends with the test; returns what sends it a command. */
async function session(t) {
  const driver = spawn("WebKitWebDriver", [`--port=${PORT}`], { stdio: "ignore" });
  let id = "";
  t.after(async () => {
    if (id) await send("DELETE", `/session/${id}`).catch(() => {}); // closes the browser
    driver.kill();
  });
  const send = async (method, path, body) => {
    const response = await fetch(`http://127.0.0.1:${PORT}${path}`,
      { method, body: body && JSON.stringify(body), headers: { "content-type": "application/json" } });
    const { value } = await response.json();
    if (!response.ok) throw new Error(`${value.error}: ${value.message}`);
    return value;
  };
  await until(() => send("GET", "/status").then(() => true, () => false));
  const options = { binary: BROWSER, args: ["--automation"] };
  const capabilities = { alwaysMatch: { "webkitgtk:browserOptions": options } };
  id = (await send("POST", "/session", { capabilities })).sessionId;
  return (method, path, body) => send(method, `/session/${id}${path}`, body);
}

/** Waits until a function returns something, and returns that. */
async function until(look) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited in vain for ${look}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

const run = (browser, script, ...args) => browser("POST", "/execute/sync", { script, args });
const ready = (browser) => until(() => run(browser, "return document.documentElement.dataset.ready ?? ''"));
const label = (browser) => run(browser, "return document.querySelector('.answer .label').textContent");
const answered = (browser, digit) => until(async () => (await label(browser)) === `${digit}`);

/** Draws a digit as a mouse does. */
async function draw(browser, digit) {
  await run(browser, "document.getElementById('clear').click()");
  await until(async () => !(await label(browser)));
  const pad = await run(browser, "return document.getElementById('pad')");
  const size = (await run(browser, "return arguments[0].getBoundingClientRect().width", pad)) / 280;
  const place = (at) => Math.round((at - 140) * size); // from the middle of the pad
  const move = ([x, y]) => ({ type: "pointerMove", duration: 0, origin: pad, x: place(x), y: place(y) });
  const actions = DIGITS[digit].flatMap(([first, ...rest]) =>
    [move(first), { type: "pointerDown", button: 0 }, ...rest.map(move), { type: "pointerUp", button: 0 }]);
  await browser("POST", "/actions", { actions: [{ type: "pointer", id: "mouse", actions }] });
}

test("in WebKit drawings and samples are recognised, and without a network too", async (t) => {
  const site = await serveStatic(t, bundleOf("int8"));
  const browser = await session(t);
  await browser("POST", "/url", { url: site.url });
  await ready(browser);
  assert.match(await run(browser, "return navigator.userAgent"), /AppleWebKit/);
  assert.equal(await run(browser, "return document.getElementById('problem').hidden"), true);
  for (const digit of [3, 7]) {
    await draw(browser, digit);
    await answered(browser, digit);
  }
  await run(browser, "document.querySelector('input[value=image]').click()");
  await until(() => run(browser, "return document.querySelectorAll('#samples button').length === 10"));
  for (const digit of [0, 4, 9]) {
    await run(browser, "document.querySelectorAll('#samples button')[arguments[0]].click()", digit);
    await answered(browser, digit);
  }
  // Installed from the home screen, it starts without a network.
  const script = "const done = arguments[0]; navigator.serviceWorker.ready.then(() => done());";
  await browser("POST", "/execute/async", { script, args: [] });
  site.stop();
  await browser("POST", "/refresh", {});
  await ready(browser);
  await draw(browser, 5);
  await answered(browser, 5);
});
