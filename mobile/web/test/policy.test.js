import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import test from "node:test";

const html = readFileSync(new URL("../index.html", import.meta.url), "utf8");
const policy = html.match(/Content-Security-Policy" content="([^"]*)"/)[1];

test("the policy of the page lets nothing from elsewhere in, and no script but its own", () => {
  assert.ok(policy.startsWith("default-src 'self';"));
  assert.ok(!/https?:|\*|'unsafe-(inline|eval)'/.test(policy), policy);
});

test("the policy knows the import map; after a change of the map put the new hash into it", () => {
  const [, map] = html.match(/<script type="importmap">(.*?)<\/script>/s);
  const hash = createHash("sha256").update(map).digest("base64");
  assert.ok(policy.includes(`'sha256-${hash}'`), `'sha256-${hash}'`);
});

test("nothing in the page names another host", () => {
  assert.ok(!/(src|href)="(https?:)?\/\//.test(html));
});
