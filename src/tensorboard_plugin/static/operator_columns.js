// The columns of the operator table. A column has an id, a head with its unit, and functions from a
// row to its value (null if there is none) and from a value to its text.
import { decimals } from "./format.js";

// Kinds of rows, as the chooser names them.
export const KINDS = {
  operator: "operators",
  region: "regions",
  "device region": "regions on the device",
  runtime: "calls of the device's runtime",
  kernel: "kernels",
  memory: "memory outside operators",
};
const NAME = { id: "name", head: "Operator", isText: true, value: ({ name }) => name };
const GROUPS = {
  shapes: { id: "shapes", head: "Input shapes", isText: true, value: ({ shapes }) => shapes },
  stack: {
    id: "stack",
    head: "Stack",
    isText: true,
    isStack: true,
    value: ({ stack }) => stack?.join("\n") ?? null,
  },
};

export const FIGURES = [
  { id: "self_seconds", head: "Self, host", kind: "time", side: "host" },
  { id: "total_seconds", head: "Total, host", kind: "time", side: "host" },
  { id: "device_self_seconds", head: "Self, device", kind: "time", side: "device" },
  { id: "device_total_seconds", head: "Total, device", kind: "time", side: "device" },
  { id: "calls", head: "Calls", kind: "count" },
  { id: "self_memory_bytes", head: "Self memory, host", kind: "memory", side: "host" },
  { id: "memory_bytes", head: "Total memory, host", kind: "memory", side: "host" },
  { id: "self_device_memory_bytes", head: "Self memory, device", kind: "memory", side: "device" },
  { id: "device_memory_bytes", head: "Total memory, device", kind: "memory", side: "device" },
];
const SCALES = { time: 1e3, memory: 1e-6, count: 1 };
const UNITS = { time: "ms", memory: "MB", count: "" };

/** Return the figures that a trace has on the chosen side ("host", "device" or "both"). */
export function figuresOf({ has_device, has_memory }, side) {
  return FIGURES.filter(
    (figure) =>
      (has_memory || figure.kind !== "memory") &&
      (has_device || figure.side !== "device") &&
      (side === "both" || !figure.side || figure.side === side),
  );
}

/** Return the columns of one window. */
export function columnsOf(data, { by, per }, side) {
  const columns = [NAME, GROUPS[by]].filter(Boolean);
  for (const figure of figuresOf(data, side)) {
    columns.push(columnOf(figure, per, (row) => row[figure.id] / divisor(data, per)));
    if (["self_seconds", "device_self_seconds"].includes(figure.id)) columns.push(shareOf(figure, data));
  }
  return columns;
}

function columnOf(figure, per, value, head = figure.head) {
  const unit = [UNITS[figure.kind], per === "step" ? "a step" : ""].filter(Boolean).join(" ");
  const scale = SCALES[figure.kind];
  const digits = (number) =>
    figure.kind === "time" ? 3 : figure.kind === "memory" ? 2 : Number.isInteger(number) ? 0 : 1;
  return {
    id: figure.id,
    head,
    unit,
    value: (row) => {
      const number = value(row);
      return number === null ? null : number * scale;
    },
    text: (number) => decimals(number, digits(number)),
  };
}

/** Return the column with the share of the whole self time. On the device the whole is that of the
 * kernels, as in key_averages: a kernel is also in its operator's time and in that of its region. */
function shareOf({ id, side }, { operators }) {
  const isDevice = side === "device";
  const counted = isDevice ? operators.filter(({ kind }) => kind === "kernel") : operators;
  const whole = counted.reduce((sum, operator) => sum + operator[id], 0);
  return {
    id: `${id}_share`,
    head: "Share",
    unit: isDevice ? "% of kernels" : "% of self",
    isShare: true,
    // A region on the device lasts from its first kernel to its last, with the gaps.
    value: (row) => (whole && row.kind !== "device region" ? (100 * row[id]) / whole : null),
    text: (number) => decimals(number, 1),
  };
}

/** Return the columns that compare one figure of two windows: A, B, difference and ratio. */
export function comparingColumns(figure, { by, per }, first, second) {
  const side =
    (name, data, { id }) =>
    (row) =>
      row[name] ? row[name][id] / divisor(data, per) : null;
  const [ofA, ofB] = [side("a", first, figure), side("b", second, figure)];
  const difference = columnOf(figure, per, (row) => (ofB(row) ?? 0) - (ofA(row) ?? 0), "Difference");
  const calls = FIGURES.find(({ id }) => id === "calls");
  return [
    NAME,
    GROUPS[by],
    { ...columnOf(figure, per, ofA, "A"), id: "a" },
    { ...columnOf(figure, per, ofB, "B"), id: "b" },
    {
      ...difference,
      id: "difference",
      key: (row) => Math.abs(difference.value(row)), // the largest change of either sign
      text: (number) => `${number > 0 ? "+" : ""}${difference.text(number)}`,
    },
    {
      id: "ratio",
      head: "Ratio",
      unit: "B / A",
      value: (row) => ratio(ofA(row), ofB(row)),
      text: (number) => decimals(number, 2),
      missing: (row) => (row.a ? (row.b ? "–" : "only A") : "only B"),
    },
    ...(figure.kind === "count"
      ? []
      : [
          { ...columnOf(calls, per, side("a", first, calls), "Calls, A"), id: "calls_a" },
          { ...columnOf(calls, per, side("b", second, calls), "Calls, B"), id: "calls_b" },
        ]),
  ].filter(Boolean);
}

function ratio(a, b) {
  return a && b !== null && a * b > 0 ? b / a : null;
}

function divisor({ steps }, per) {
  return per === "step" ? Math.max(1, steps) : 1;
}
