// Stacked bars of a step's parts: a bar a window, all on one scale.
import { el, svg } from "./dom.js";
import { counted, extent, milliseconds, percent } from "./format.js";
import { responsive } from "./responsive.js";

const BAR = 26;
const DEVICE_BAR = 12;
const GAP = 2;
const CHARACTER = 6.6; // pixels, at the labels' size

/** Return the mean duration of a window's steps in seconds. */
export function mean({ step_seconds }) {
  return step_seconds.reduce((sum, seconds) => sum + seconds, 0) / step_seconds.length;
}

export function legend(parts) {
  return el(
    "ul",
    { class: "legend", "aria-label": "Colours of the parts" },
    ...parts.map((part) => el("li", {}, el("span", { class: `swatch ${colorOf(part)}` }), part)),
  );
}

/** Return the bars; the table beneath them holds the same figures. */
export function chartOf(parts, rows, name) {
  const [, widest] = extent(rows.flatMap((row) => [mean(row), total(row.device)]));
  return el(
    "div",
    { class: "bars" },
    ...rows.map((row) =>
      el(
        "figure",
        {},
        el("figcaption", {}, name(row), el("span", { class: "interval" }, about(row))),
        bar(parts, row.regions, BAR, widest, `${name(row)}, a step on the host`),
        Object.keys(row.device).length
          ? bar(parts, row.device, DEVICE_BAR, widest, `${name(row)}, work on the device a step`)
          : null,
      ),
    ),
  );
}

function about(row) {
  const [least, most] = extent(row.step_seconds);
  const spread = row.step_seconds.length > 1 ? `, ${milliseconds(least)} to ${milliseconds(most)}` : "";
  const device = total(row.device);
  const work = device ? `; device (lower bar): ${milliseconds(device)}` : "";
  return `${milliseconds(mean(row))} a step (${counted(row.step_seconds.length, "step")}${spread})${work}`;
}

function total(split) {
  return Object.values(split).reduce((sum, seconds) => sum + seconds, 0);
}

function bar(parts, split, height, widest, label) {
  const whole = total(split);
  const words = parts
    .filter((part) => split[part])
    .map((part) => `${part} ${milliseconds(split[part])}, ${percent(split[part] / whole)}`);
  return responsive((width) => {
    const image = svg("svg", { width, height, role: "img", "aria-label": `${label}: ${words.join("; ")}` });
    let left = 0;
    for (const part of parts) {
      const length = ((split[part] ?? 0) / widest) * width;
      if (length <= 0) continue;
      const drawn = Math.max(0.5, length - GAP);
      const text = labelThatFits(part, split[part] / whole, drawn, height);
      image.append(
        svg(
          "g",
          { class: colorOf(part) },
          svg("rect", { x: left, y: 0, width: drawn, height, rx: Math.min(2, drawn / 2) }),
          text && svg("text", { x: left + 6, y: height / 2, "dominant-baseline": "central" }, text),
          svg("title", {}, `${part}: ${milliseconds(split[part])}, ${percent(split[part] / whole)}`),
        ),
      );
      left += length;
    }
    return image;
  });
}

function labelThatFits(part, share, width, height) {
  if (height < 20) return null;
  return (
    [`${part} ${percent(share)}`, part, percent(share)].find(
      (text) => text.length * CHARACTER + 10 < width,
    ) ?? null
  );
}

function colorOf(part) {
  return `part-${part.replaceAll(" ", "-")}`;
}
