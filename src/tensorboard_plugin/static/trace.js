// The trace of a window in speedscope, a timeline viewer that is part of this package.
import { el } from "./dom.js";
import { empty } from "./messages.js";
import { address, check } from "./requests.js";

export function traceView() {
  let shown = null; // the frame stays while its trace does: loading it again takes seconds
  return {
    forget: () => (shown = null),
    async show({ run, trace }, page, signal) {
      const traces = await page.tracesOf(run, signal);
      const chosen = traces.find(({ id }) => id === trace);
      if (!chosen) {
        return empty(
          "This run has no traces. A training records some unless profiler=none:",
          "python -m src.train model=resnet34",
        );
      }
      const key = JSON.stringify([run, trace]);
      if (shown?.key === key) return shown.content;
      // The viewer has no words for an error of the server. The server keeps what it made.
      await check("timeline", { run, trace }, signal);
      shown = { key, content: content(run, chosen) };
      return shown.content;
    },
  };
}

function content(run, { id, label }) {
  const query = { run, trace: id };
  const title = `${label} · ${run}`;
  const hash = `profileURL=${encodeURIComponent(address("timeline", query))}&title=${encodeURIComponent(title)}`;
  const frame = el("iframe", {
    class: "timeline",
    src: `${address("static/speedscope/index.html")}#${hash}`,
    title: `Timeline of ${label}`,
    tabindex: "0",
  });
  // A click or Tab lands on the frame; its keys work once its own window has the focus.
  frame.addEventListener("focus", () => frame.contentWindow?.focus());
  frame.addEventListener("load", () =>
    frame.contentDocument?.addEventListener("pointerdown", () => frame.contentWindow.focus()),
  );
  return el(
    "div",
    { class: "trace" },
    el(
      "p",
      { class: "note" },
      "Drag or scroll to move, Ctrl and scroll (or + and −) to zoom, Ctrl+F to search, n and p for the next and previous thread. ",
      el("a", { href: address("download", query), download: true }, "Download the trace"),
      " to open it in Perfetto or chrome://tracing.",
    ),
    frame,
  );
}
