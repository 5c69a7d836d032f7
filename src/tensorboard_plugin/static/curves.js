// Line charts with their figures behind them as a table.
import { el, scrolling, svg } from "./dom.js";
import { decimals, extent } from "./format.js";
import { responsive } from "./responsive.js";

const HEIGHT = 170;
const MOST_ROWS = 1000; // of the table of figures
const MARGIN = { top: 10, right: 12, bottom: 36, left: 50 };

/** Return the points that are numbers. The server sends null for what is none. */
export function drawable(points) {
  return points.filter((point) => point.every(Number.isFinite));
}

/** Return a figure with one curve. The y axis starts at zero or below. There is a point at least.
 * @param {{title: string, summary: string, points: [number, number][],
 *   x: {name: string, text: (value: number) => string},
 *   y: {name: string, text: (value: number) => string}}} chart the name of y is its unit
 */
export function lineChart(chart) {
  const { title, summary, points, x, y } = chart;
  const details = el("details", { class: "figures" }, el("summary", {}, "Figures"));
  details.addEventListener(
    "toggle",
    () => details.childElementCount > 1 || details.append(...figuresOf(chart)),
  );
  return el(
    "figure",
    {},
    el("figcaption", {}, title, el("span", { class: "interval" }, summary)),
    responsive((width) => draw(points, width, x, y, `${title}: ${summary}`)),
    details,
  );
}

function draw(points, width, x, y, label) {
  const [left, right] = extent(points.map(([value]) => value));
  const [low, high] = extent(points.map(([, value]) => value));
  const across = scaleOf(left, right, MARGIN.left, width - MARGIN.right);
  const yTicks = ticks(Math.min(0, low), Math.max(0, high), 4);
  const up = scaleOf(yTicks[0], yTicks.at(-1), HEIGHT - MARGIN.bottom, MARGIN.top);
  const image = svg("svg", { width, height: HEIGHT, role: "img", "aria-label": label, class: "curve" });
  for (const tick of yTicks) {
    image.append(
      svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: up(tick), y2: up(tick) }),
      svg(
        "text",
        { x: MARGIN.left - 6, y: up(tick), "text-anchor": "end", "dominant-baseline": "central" },
        tickText(tick, yTicks),
      ),
    );
  }
  const xTicks = ticks(left, right, Math.max(3, Math.floor(width / 60))).filter(
    (tick) => tick >= left && tick <= right,
  );
  for (const tick of xTicks) {
    image.append(
      svg(
        "text",
        { x: across(tick), y: HEIGHT - MARGIN.bottom + 16, "text-anchor": "middle" },
        tickText(tick, xTicks),
      ),
    );
  }
  image.append(
    svg("text", { class: "axis", x: width - MARGIN.right, y: HEIGHT - 4, "text-anchor": "end" }, x.name),
    svg("polyline", {
      class: "line",
      points: points.map(([a, b]) => `${across(a).toFixed(1)},${up(b).toFixed(1)}`).join(" "),
    }),
  );
  if (points.length === 1)
    image.append(svg("circle", { class: "point", cx: across(left), cy: up(low), r: 3.5 }));
  follow(image, points, across, up, width, x, y);
  return image;
}

/** Show the figures of the point next to the pointer. */
function follow(image, points, across, up, width, x, y) {
  const dot = svg("circle", { class: "point", r: 3.5 });
  const text = svg("text", { class: "reading", y: MARGIN.top });
  const reading = svg("g", { "aria-hidden": "true", visibility: "hidden" }, dot, text);
  image.append(reading);
  image.addEventListener("pointermove", (event) => {
    const at = event.clientX - image.getBoundingClientRect().left;
    const [a, b] = points.reduce((best, point) =>
      Math.abs(across(point[0]) - at) < Math.abs(across(best[0]) - at) ? point : best,
    );
    dot.setAttribute("cx", across(a));
    dot.setAttribute("cy", up(b));
    const isRight = across(a) > width / 2;
    text.setAttribute("x", across(a) + (isRight ? -8 : 8));
    text.setAttribute("text-anchor", isRight ? "end" : "start");
    text.textContent = `${x.name} ${x.text(a)}: ${y.text(b)} ${y.name}`;
    reading.setAttribute("visibility", "visible");
  });
  image.addEventListener("pointerleave", () => reading.setAttribute("visibility", "hidden"));
}

function figuresOf(chart) {
  const { points } = chart;
  const every = Math.ceil(points.length / MOST_ROWS);
  if (every === 1) return [table(chart)];
  const some = points.filter((_, at) => at % every === 0 || at === points.length - 1);
  return [
    el("p", { class: "note" }, `One of ${decimals(every)} points, and the last.`),
    table({ ...chart, points: some }),
  ];
}

function table({ title, points, x, y }) {
  return scrolling(
    title,
    el(
      "table",
      {},
      el("caption", { class: "unseen" }, title),
      el(
        "thead",
        {},
        el("tr", {}, el("th", { scope: "col" }, x.name), el("th", { scope: "col" }, y.name || title)),
      ),
      el(
        "tbody",
        {},
        points.map(([a, b]) =>
          el("tr", {}, el("th", { scope: "row" }, x.text(a)), el("td", {}, y.text(b))),
        ),
      ),
    ),
  );
}

function scaleOf(low, high, from, to) {
  return (value) => (high === low ? (from + to) / 2 : from + ((value - low) / (high - low)) * (to - from));
}

/** Return the text of a tick with as many decimals as the distance of the ticks needs. */
function tickText(tick, all) {
  const distance = all.length > 1 ? all[1] - all[0] : Math.abs(tick) || 1;
  return decimals(tick, Math.max(0, -Math.floor(Math.log10(distance) + 1e-9)));
}

/** Return round values from at most low to at least high. */
function ticks(low, high, count) {
  if (high <= low) return [low, low + 1];
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, at) => Number(((first + at) * step).toPrecision(12)));
}
