// Figures as text. The server sends seconds and bytes.
const formatters = new Map();

/** Return a number with a fixed count of decimals and a comma at the thousands. */
export function decimals(value, digits = 0) {
  if (!formatters.has(digits)) {
    formatters.set(
      digits,
      new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }),
    );
  }
  const text = formatters.get(digits).format(value);
  return /^-[0.,]*$/.test(text) ? text.slice(1) : text; // no "-0.00"
}

/** Return a number with about three digits that count. */
export function short(value) {
  const size = Math.abs(value);
  return decimals(value, size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

export function milliseconds(seconds) {
  return `${short(seconds * 1e3)} ms`;
}

export function percent(share) {
  return `${decimals(100 * share, share < 0.1 ? 1 : 0)} %`;
}

export function megabytes(bytes) {
  return bytes < 1e5 ? `${decimals(bytes / 1e3, 1)} kB` : `${decimals(bytes / 1e6, 1)} MB`;
}

/** Return a count and its noun: "1 step", "3 steps". */
export function counted(count, noun) {
  return `${decimals(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Return the smallest and the largest of some numbers, however many: a call of Math.max with
 * 200,000 arguments overflows the stack. */
export function extent(values) {
  return values.reduce(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Infinity, -Infinity],
  );
}
