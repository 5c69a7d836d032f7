// The page's files are kept for a time without a network. With one, the server's are used.

const CACHE = "lightship";
const RUNTIME = "node_modules/onnxruntime-web/dist/";
const FILES = [
  "./",
  "style.css",
  "icon.svg",
  "page.js",
  "classifier.js",
  "exam.js",
  "arrays.js",
  "interval.js",
  "image_file.js",
  "image_size.js",
  "runtime.js",
  `${RUNTIME}ort.wasm.bundle.min.mjs`,
  `${RUNTIME}ort-wasm-simd-threaded.wasm`,
  "model/class_names.json",
  "model/expected.json",
  "model/test_image.png",
  "model/model.onnx",
].map((name) => new URL(name, self.registration.scope).href);

self.addEventListener("install", (event) => {
  event.waitUntil(fill().then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(self.clients.claim());
});

self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "GET" && FILES.includes(url.split(/[?#]/)[0])) {
    event.respondWith(newest(event));
  }
});

async function fill() {
  const cache = await caches.open(CACHE);
  await cache.addAll(FILES.map((url) => new Request(url, { cache: "no-cache" })));
}

async function newest(event) {
  const name = event.request.url.split(/[?#]/)[0];
  const cache = await caches.open(CACHE);
  let response = null;
  try {
    response = await fetch(name, { cache: "no-cache" });
  } catch {
    // The server does not answer: the copy of the last visit is used.
  }
  if (response?.ok) {
    event.waitUntil(cache.put(name, response.clone()));
    return response;
  }
  return (await cache.match(name)) ?? response ?? Response.error();
}
