// The rows of the operator table: joined, filtered and sorted. Nothing here knows the page.

const alphabet = new Intl.Collator("en"); // far faster than localeCompare

/** Pair the operators of two windows. One of the pair is null where only the other has it; several
 * operators of a window that cannot be told apart are summed. */
export function paired(first, second) {
  const rows = new Map();
  const add = (side, operator) => {
    const key = keyOf(operator);
    if (!rows.has(key)) rows.set(key, { ...named(operator), a: null, b: null });
    const row = rows.get(key);
    row[side] = row[side] ? sumOf(row[side], operator) : operator;
  };
  for (const operator of first) add("a", operator);
  for (const operator of second) add("b", operator);
  return [...rows.values()];
}

/** Return the rows of a kind (any if it is empty) whose name, shapes or stack contain the text. */
export function filtered(rows, text, kind) {
  const wanted = text.trim().toLowerCase();
  const matches = (part) => part?.toLowerCase().includes(wanted);
  return rows.filter(
    (row) =>
      (!kind || row.kind === kind) &&
      (!wanted || matches(row.name) || matches(row.shapes) || row.stack?.some(matches)),
  );
}

/** Return the rows in the order of a column; those without a value come last, whichever way. */
export function sorted(rows, column, isDescending) {
  const keys = new Map(rows.map((row) => [row, (column.key ?? column.value)(row)]));
  const direction = isDescending ? -1 : 1;
  return [...rows].sort((one, other) => {
    const [a, b] = [keys.get(one), keys.get(other)];
    if (a === null || b === null) return (a === null) - (b === null);
    return direction * (typeof a === "number" ? a - b : alphabet.compare(a, b));
  });
}

/** Return an operator with the figures of both. */
function sumOf(one, other) {
  const figures = Object.entries(other).filter(([, value]) => typeof value === "number");
  return { ...one, ...Object.fromEntries(figures.map(([id, value]) => [id, one[id] + value])) };
}

function named({ name, kind, shapes, stack }) {
  return { name, kind, shapes, stack };
}

function keyOf({ name, kind, shapes, stack }) {
  return JSON.stringify([name, kind, shapes, stack]);
}
