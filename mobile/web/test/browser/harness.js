/** Starts the server and the browser that the tests need. */

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const SCRIPT = fileURLToPath(new URL("bundles.py", import.meta.url));
const PYTHON = process.env.PYTHON ?? "python3";
const ENVIRONMENT = { ...process.env, PYTHONPATH: ROOT };
const PATIENCE = 120e3; // ms that a state may take to come; on a busy machine everything is slow
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

/** Folders with the bundles that the tests use: SimpLeNet-v1 for MNIST in float32, and in int8. */
const BUNDLES = (process.env.BUNDLES ?? "mobile/web/test/bundles:mobile/app/src/main/assets/mnist")
  .split(":").map((folder) => resolve(ROOT, folder));

/** Makes a folder for one test. */
export function scratch(t) {
  const folder = mkdtempSync(join(tmpdir(), "distill-web-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Returns the folder of the first bundle of a model in a format. */
export function bundleOf(format, model = "simplenet") {
  const fits = (file) => {
    const { name, provenance } = JSON.parse(readFileSync(file));
    return name.includes(format) && provenance.model.startsWith(model);
  };
  const files = BUNDLES.flatMap((folder) => readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith("model.json")).sort().map((name) => join(folder, name)));
  const found = files.find(fits);
  if (!found) throw new Error(`no bundle of ${model} in ${format} among ${files}`);
  return dirname(found);
}

/** Returns what the script in Python prints. */
export function python(...args) {
  return execFileSync(PYTHON, [SCRIPT, ...args], { env: ENVIRONMENT, maxBuffer: 1e9 }).toString();
}

const servers = new Map();
const browsers = new Map();

/** Ends every browser and server; each file of tests does so after the last one. */
export async function closeAll() {
  for (const browser of browsers.values()) await (await browser).close();
  for (const server of servers.values()) (await server).child.kill();
}

/** Serves bundles, until the tests of the file end; returns the address. */
export async function serve(...bundles) {
  const key = bundles.join();
  if (!servers.has(key)) servers.set(key, start(bundles));
  return (await servers.get(key)).url;
}

async function start(bundles) {
  const child = spawn(PYTHON, ["-m", "distill.serve", ...bundles, "--port=0", "--noopen"],
    { cwd: ROOT, env: ENVIRONMENT, stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await Promise.race([once(child.stdout, "data"), once(child, "exit")]);
  return { child, url: String(line).split(" ")[0] };
}

const STATIC = {
  ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".png": "image/png",
  ".webmanifest": "application/manifest+json",
};

/**
 * Writes the page with bundles as static files, and serves them below a path as any web server does.
 *
 * @return {Promise<{url: string, export: function, stop: function}>} `export(...bundles)` writes the
 *     files anew; `stop()` ends the server, and the test does so too.
 */
export async function serveStatic(t, ...bundles) {
  const site = join(scratch(t), "site");
  const write = (...names) => {
    rmSync(site, { recursive: true, force: true });
    execFileSync(PYTHON, ["-m", "distill.serve", ...names, `--export=${site}`], { cwd: ROOT, env: ENVIRONMENT });
  };
  write(...bundles);
  const server = createServer(({ url }, response) => {
    const file = join(site, url.slice("/some/where".length).replace(/\/$/, "/index.html"));
    if (!existsSync(file)) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": STATIC[extname(file)] ?? "application/octet-stream" });
    return response.end(readFileSync(file));
  });
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  t.after(stop);
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return { url: `http://127.0.0.1:${server.address().port}/some/where/`, export: write, stop };
}

function launch(flags) {
  const key = flags.join();
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  if (!browsers.has(key)) {
    browsers.set(key, chromium.launch(
      { executablePath, args: [...FLAGS, ...flags], timeout: PATIENCE }));
  }
  return browsers.get(key);
}

/**
 * Opens the page in a context of its own, which is closed when the test ends.
 *
 * Every request of the page is checked to go to the server; an error that nothing caught, and one on
 * the console, fails the test, unless it is `silent`: a file that is missing is told there.
 */
export async function open(t, url, { flags = [], init, silent = false, ...options } = {}) {
  const context = await (await launch(flags)).newContext(
    { viewport: { width: 1100, height: 980 }, ...options });
  const strangers = [];
  const errors = [];
  t.after(async () => {
    await context.close();
    assert.deepEqual(strangers, [], "requests to elsewhere");
    assert.deepEqual(errors, []);
  });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (protocol !== "data:" && origin !== new URL(url).origin) strangers.push(request.url());
  });
  page.on("pageerror", (error) => errors.push(error));
  page.on("console", (message) => {
    if (message.type() === "error" && !silent) errors.push(message.text());
  });
  if (init) await page.addInitScript(init);
  await page.goto(url);
  return page;
}

/** Waits until the first model is proven. */
export const ready = (page) => page.waitForSelector("html[data-ready]");

/** Waits until an element has a text that matches, and returns it. */
export async function text(page, selector, pattern) {
  await page.locator(selector).filter({ hasText: pattern }).first().waitFor();
  return page.textContent(selector);
}
