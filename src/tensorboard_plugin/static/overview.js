// Where the time of a training step goes, memory over time, and throughput of the whole training.
import { drawable, lineChart } from "./curves.js";
import { el, scrolling } from "./dom.js";
import { counted, decimals, extent, megabytes, milliseconds, percent, short } from "./format.js";
import { empty, problemList } from "./messages.js";
import { getJson } from "./requests.js";
import { chartOf, legend, mean } from "./step_bars.js";

const MEMORY_CURVES = 4; // of all ranks, until the rest is asked for; each rank has one at least

export function overviewView(go) {
  let shown = null;
  return {
    forget: () => (shown = null),
    async show({ run }, page, signal) {
      if (shown?.run === run) return shown.content;
      const data = await getJson("overview", { run }, signal);
      shown = { run, content: content(data, go) };
      return shown.content;
    },
  };
}

function content(data, go) {
  const rows = data.ranks.flatMap(({ rank, windows }) => windows.map((window) => ({ ...window, rank })));
  const timed = rows.filter(({ step_seconds }) => step_seconds.length);
  const several = data.ranks.length > 1;
  const name = (row) => (several ? `${row.label}, rank ${row.rank}` : row.label);
  const problems = [
    ...data.problems,
    ...rows.flatMap((row) => row.problems.map((problem) => `${name(row)}: ${problem}`)),
  ];
  return el(
    "div",
    {},
    advice(data.ranks, several),
    problemList(problems),
    rows.length
      ? null
      : empty(
          "This run has no profile. A training makes one unless profiler=none:",
          "python -m src.train model=resnet34",
        ),
    timed.length ? steps(data.parts, timed, name, go) : null,
    memory(rows, name),
    throughput(data.throughput),
  );
}

function advice(ranks, several) {
  const sentences = ranks.flatMap(({ rank, advice: lines }) =>
    lines.map((line) => (several ? `Rank ${rank}: ${line}` : line)),
  );
  if (!sentences.length) return null;
  return el(
    "div",
    { class: "ship", role: "note", "aria-label": "Advice" },
    ...sentences.map((sentence) => el("p", {}, sentence)),
  );
}

function steps(parts, rows, name, go) {
  const present = parts.filter((part) =>
    rows.some(({ regions, device }) => part in regions || part in device),
  );
  return el(
    "section",
    {},
    el("h2", {}, "Where a step’s time goes"),
    legend(present),
    chartOf(present, rows, name),
    table("Host: ms a step, and the share of the step", present, rows, name, "regions", go),
    rows.some(({ device }) => Object.keys(device).length)
      ? table(
          "Work on the device, by the part that launched it: ms a step",
          present,
          rows,
          name,
          "device",
          go,
        )
      : null,
  );
}

function table(caption, parts, rows, name, kind, go) {
  const isHost = kind === "regions";
  const head = (text, isText) => el("th", { scope: "col", class: isText && "text" }, text);
  const figure = (row, part) => {
    const seconds = row[kind][part];
    if (seconds === undefined) return el("td", {}, "–");
    const share = isHost ? el("span", { class: "interval" }, percent(seconds / mean(row))) : null;
    return el("td", {}, decimals(seconds * 1e3, 1), share);
  };
  const open = (view, row) =>
    el(
      "button",
      {
        type: "button",
        class: "link",
        onclick: () => go({ view, trace: row.trace }),
        "aria-label": `${view} of ${name(row)}`,
      },
      view,
    );
  return scrolling(
    caption,
    el(
      "table",
      {},
      el("caption", {}, caption),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          head("window", true),
          head("steps"),
          head("whole step"),
          ...parts.map((part) => head(part)),
          isHost && head("open", true),
        ),
      ),
      el(
        "tbody",
        {},
        ...rows.map((row) =>
          el(
            "tr",
            {},
            el("th", { scope: "row" }, name(row)),
            el("td", {}, decimals(row.step_seconds.length)),
            el("td", {}, decimals(mean(row) * 1e3, 1)),
            ...parts.map((part) => figure(row, part)),
            isHost &&
              el(
                "td",
                { class: "text" },
                ...(row.trace ? [open("operators", row), " ", open("trace", row)] : ["no trace"]),
              ),
          ),
        ),
      ),
    ),
  );
}

function memory(rows, name) {
  const curves = rows
    .flatMap((row) =>
      Object.entries(row.memory).map(([device, points]) => ({ row, device, points: drawable(points) })),
    )
    .filter(({ points }) => points.length);
  if (!curves.length) return null;
  const first = latest(curves);
  const drawn = new Map(first.map((curve) => [curve, memoryChart(curve, name)]));
  const charts = el("div", { class: "charts" }, [...drawn.values()]);
  const drawAll = () => {
    const figures = curves.map((curve) => drawn.get(curve) ?? memoryChart(curve, name));
    charts.replaceChildren(...figures);
    const revealed = figures[curves.findIndex((curve) => !drawn.has(curve))];
    revealed.tabIndex = -1;
    revealed.focus();
    more.remove();
  };
  const more = el("button", { type: "button", onclick: drawAll }, `Show all ${curves.length} curves`);
  return el(
    "section",
    {},
    el("h2", {}, "Memory that is allocated within a window"),
    el(
      "p",
      { class: "note" },
      "Bytes allocated since the start of the window; what was allocated before is not in it.",
    ),
    charts,
    curves.length > first.length ? more : null,
  );
}

/** Return the curves of the last windows of each rank. The first windows hold work that is done only
 * once. */
function latest(curves) {
  const ranks = [...new Set(curves.map(({ row }) => row.rank))];
  return ranks.flatMap((rank) => {
    const own = curves.filter(({ row }) => row.rank === rank);
    const ofLastWindow = own.filter(({ row }) => row === own.at(-1).row); // one for each device
    return own.slice(-Math.max(ofLastWindow.length, Math.floor(MEMORY_CURVES / ranks.length)));
  });
}

function memoryChart({ row, device, points }, name) {
  const [, highest] = extent(points.map(([, bytes]) => bytes));
  return lineChart({
    title: `${name(row)}, ${device === "cpu" ? "CPU" : device}`,
    summary: `highest ${megabytes(highest)}`,
    points: points.map(([seconds, bytes]) => [seconds, bytes / 1e6]),
    x: { name: "seconds", text: short },
    y: { name: "MB", text: short },
  });
}

function throughput(curves) {
  const drawn = curves
    .map((curve) => ({ ...curve, points: drawable(curve.points) }))
    .filter(({ points }) => points.length);
  if (!drawn.length) return null;
  return el(
    "section",
    {},
    el("h2", {}, "The whole training"),
    el(
      "div",
      { class: "charts" },
      ...drawn.map(({ tag, title, points }) => {
        const { scale, unit, text } = unitOf(tag);
        const scaled = points.map(([step, value]) => [step, value * scale]);
        const values = scaled.map(([, value]) => value);
        return lineChart({
          title,
          summary: `last ${text(values.at(-1))}, ${counted(points.length, "point")}`,
          points: scaled,
          x: { name: "step", text: (step) => decimals(step) },
          y: { name: unit, text: short },
        });
      }),
    ),
  );
}

function unitOf(tag) {
  if (tag.endsWith("_bytes")) return { scale: 1e-6, unit: "MB", text: (value) => megabytes(value * 1e6) };
  if (tag.endsWith("_seconds")) return { scale: 1e3, unit: "ms", text: (value) => milliseconds(value / 1e3) };
  if (tag.endsWith("_share")) return { scale: 100, unit: "%", text: (value) => percent(value / 100) };
  return { scale: 1, unit: "", text: short };
}
