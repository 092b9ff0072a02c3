/**
 * Keeps the page for when there is no network. `distill.serve --export` fills in what there is to
 * keep, and a version that changes with any of it: then this file is another one, and browsers
 * replace what they kept.
 */

const VERSION = "";
const FILES = [];

const NAME = `distill ${new URL(self.registration.scope).pathname} `; // other exports of a host keep theirs

self.addEventListener("install", (event) => {
  const keep = async () => {
    const cache = await caches.open(NAME + VERSION);
    await cache.addAll(FILES.map((file) => new Request(file, { cache: "reload" })));
    await self.skipWaiting();
  };
  event.waitUntil(keep());
});

self.addEventListener("activate", (event) => {
  const replace = async () => {
    const old = (await caches.keys()).filter((name) => name.startsWith(NAME) && name !== NAME + VERSION);
    await Promise.all(old.map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(replace());
});

self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET" || !event.request.url.startsWith(self.registration.scope)) return;
  const answer = async () => {
    const cache = await caches.open(NAME + VERSION);
    const page = event.request.mode === "navigate" ? "index.html" : event.request;
    return (await cache.match(page, { ignoreSearch: true })) ?? fetch(event.request);
  };
  event.respondWith(answer());
});
