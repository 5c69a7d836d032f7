// The rows of the operator table: joined, filtered and sorted. Nothing here knows the page.

const alphabet = new Intl.Collator("en"); // far faster than localeCompare

/** Pair the operators of two windows. One of the pair is null where only the other has it. */
export function paired(first, second) {
  const rows = new Map(
    first.map((operator) => [keyOf(operator), { ...named(operator), a: operator, b: null }]),
  );
  for (const operator of second) {
    const row = rows.get(keyOf(operator));
    if (row) row.b = operator;
    else rows.set(keyOf(operator), { ...named(operator), a: null, b: operator });
  }
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

function named({ name, kind, shapes, stack }) {
  return { name, kind, shapes, stack };
}

function keyOf({ name, kind, shapes, stack }) {
  return JSON.stringify([name, kind, shapes, stack]);
}
