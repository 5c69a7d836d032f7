// One exported file in one browser process. The tasks come from the server, the results go there.

import { open, Tensor, VERSION } from "./runtime.js";

const WINDOW_CALLS = 3; // of a warm-up window, at least
const WINDOW_SECONDS = 0.05;

const row = location.pathname; // its folder: /TOKEN/
const clock = () => performance.now() / 1000;
let session = null;
let fetched = null; // { dtype, shape, values } of the images that came last
let held = null; // the tensor that is timed
let answered = null; // the logits of the latest call

const tasks = {
  async load() {
    session = await open(await bytesOf("model.onnx"));
    return { input: session.inputMetadata[0].type };
  },

  async fetch({ dtype, shape }) {
    const bytes = await bytesOf("images");
    fetched = { dtype, shape, values: dtype === "float32" ? new Float32Array(bytes) : new Uint8Array(bytes) };
    return {};
  },

  /** Answers the fetched images one by one, as a page classifies them. */
  async answer() {
    const { dtype, shape: [count, ...shape], values } = fetched;
    const size = values.length / count;
    let logits = null;
    for (let index = 0; index < count; index += 1) {
      await call(new Tensor(dtype, values.slice(index * size, (index + 1) * size), [1, ...shape]));
      logits ??= new Float32Array(count * answered.length);
      logits.set(answered, index * answered.length);
    }
    await send(logits);
    return {};
  },

  async hold() {
    held = new Tensor(fetched.dtype, fetched.values, fetched.shape);
    return {};
  },

  async once() {
    const seconds = [await once()];
    await send(answered);
    return { seconds };
  },

  async warm_up({ tolerance, max_seconds: most }) {
    const started = clock();
    const medians = [await windowMedian()];
    while (clock() - started < most) {
      medians.push(await windowMedian());
      if (isSteady(medians, tolerance)) {
        return { warm: true };
      }
    }
    return { warm: false };
  },

  async settle({ max_seconds: most }) {
    const end = clock() + most;
    do {
      await once();
    } while (clock() < end);
    return {};
  },

  async time({ samples, max_seconds: most }) {
    const began = clock();
    await once(); // the message before it took milliseconds
    const started = clock();
    const seconds = [await once()];
    while (seconds.length < samples && clock() - started < most) {
      seconds.push(await once());
    }
    const ended = clock();
    await send(answered);
    return { seconds, elapsed_seconds: ended - started, task_seconds: ended - began };
  },
};

async function bytesOf(name) {
  const response = await fetch(row + name);
  if (!response.ok) {
    throw new Error(`${name}: the server answered ${response.status}`);
  }
  return response.arrayBuffer();
}

async function send(logits) {
  const response = await fetch(`${row}logits`, { method: "POST", body: logits });
  if (!response.ok) {
    throw new Error(`logits: the server answered ${response.status}`);
  }
}

async function call(images) {
  const outputs = await session.run({ [session.inputNames[0]]: images });
  answered = outputs[session.outputNames[0]].data;
}

/** Seconds of one call: a batch in the page's memory to its logits there. */
async function once() {
  const started = clock();
  await call(held);
  return clock() - started;
}

// Whether the last two windows agree, or the last three have no direction.
function isSteady(medians, tolerance) {
  const last = medians.slice(-3);
  const [before, now] = last.slice(-2);
  return (
    Math.abs(now - before) <= tolerance * before ||
    (last.length > 2 && (before === Math.min(...last) || before === Math.max(...last)))
  );
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

let result = { isolated: crossOriginIsolated, version: VERSION, agent: navigator.userAgent };
for (;;) {
  const task = await next(result);
  try {
    result = await tasks[task.kind](task);
  } catch (error) {
    result = { error: String(error.message ?? error) };
  }
}
