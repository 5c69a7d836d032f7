// One exported file in one browser process. The tasks come from the server, the results go there.

import { open, Tensor, VERSION } from "./runtime.js";

const WINDOW_CALLS = 5; // of a warm-up window, at least
const WINDOW_SECONDS = 0.05;
const TURN_WARMUP_SECONDS = 0.02; // caches were another process's in the meantime

const row = location.pathname; // its folder: /TOKEN/
const clock = () => performance.now() / 1000;
let session = null;
let images = []; // tensors of one image each

const tasks = {
  async load({ dtype, shape }) {
    const bytes = await bytesOf("model.onnx");
    const started = clock();
    session = await open(bytes);
    const seconds = clock() - started;
    const all = await bytesOf("images");
    const values = dtype === "float32" ? new Float32Array(all) : new Uint8Array(all);
    const size = shape.reduce((product, side) => product * side, 1);
    for (let from = 0; from < values.length; from += size) {
      images.push(new Tensor(dtype, values.slice(from, from + size), [1, ...shape]));
    }
    return { seconds: [seconds] };
  },

  async answer() {
    const logits = [];
    for (const image of images) {
      logits.push([...(await answerOf(image)).data]);
    }
    return { logits };
  },

  async warm_up({ tolerance, max_seconds: most }) {
    const started = clock();
    let before = await windowMedian();
    while (clock() - started < most) {
      const now = await windowMedian();
      if (Math.abs(now - before) <= tolerance * before) {
        return { warm: true };
      }
      before = now;
    }
    return { warm: false };
  },

  async time({ samples, max_seconds: most }) {
    const end = clock() + TURN_WARMUP_SECONDS;
    do {
      await once();
    } while (clock() < end);
    const started = clock();
    const seconds = [await once()];
    while (seconds.length < samples && clock() - started < most) {
      seconds.push(await once());
    }
    return { seconds, elapsed_seconds: clock() - started };
  },
};

async function bytesOf(name) {
  const response = await fetch(row + name);
  if (!response.ok) {
    throw new Error(`${name}: the server answered ${response.status}`);
  }
  return response.arrayBuffer();
}

async function answerOf(image) {
  const outputs = await session.run({ [session.inputNames[0]]: image });
  return outputs[session.outputNames[0]];
}

/** Seconds of one call: an image in the page's memory to its logits there. */
async function once() {
  const started = clock();
  await answerOf(images[0]);
  return clock() - started;
}

async function windowMedian() {
  const end = clock() + WINDOW_SECONDS;
  const seconds = [];
  while (seconds.length < WINDOW_CALLS || clock() < end) {
    seconds.push(await once());
  }
  seconds.sort((a, b) => a - b);
  return (seconds[(seconds.length - 1) >> 1] + seconds[seconds.length >> 1]) / 2;
}

async function next(result) {
  const response = await fetch(`${row}next`, { method: "POST", body: JSON.stringify(result) });
  return response.json();
}

// 5 microseconds if the page is isolated, else 100: https://w3c.github.io/hr-time/
let result = { isolated: crossOriginIsolated, version: VERSION, agent: navigator.userAgent };
for (;;) {
  const task = await next(result);
  try {
    result = await tasks[task.kind](task);
  } catch (error) {
    result = { error: String(error.message ?? error) };
  }
}
