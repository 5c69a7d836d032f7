// A table that sorts by its heads and shows long lists in parts.
import { el, scrolling } from "./dom.js";
import { decimals } from "./format.js";
import { sorted } from "./operator_rows.js";

export const PART = 200; // rows

/** Return a table.
 * @param {{caption: string, columns: object[], rows: object[], sort: string, count: number,
 *   onsort: (sort: string) => void, onmore: (count: number) => void}} table `sort` is the id of a
 *   column, with "-" in front for descending; `count` is the number of rows to show
 */
export function dataTable({ caption, columns, rows, sort, count, onsort, onmore }) {
  const ordered = inOrder(rows, columns, sort);
  const shown = ordered.slice(0, count);
  const rest = ordered.length - shown.length;
  const next = Math.min(rest, count); // twice as many
  return el(
    "div",
    {},
    scrolling(
      caption,
      el(
        "table",
        { class: "data" },
        el("caption", { class: "unseen" }, caption),
        el("thead", {}, el("tr", {}, ...columns.map((column) => headOf(column, sort, onsort)))),
        el("tbody", {}, ...shown.map((row) => el("tr", {}, ...columns.map((column) => cellOf(column, row))))),
      ),
    ),
    rest
      ? el(
          "button",
          { type: "button", class: "more", id: "more", onclick: () => onmore(count + next) },
          `Show ${decimals(next)} more of ${decimals(rest)}`,
        )
      : null,
  );
}

/** Return all rows in the order that the table shows. */
export function inOrder(rows, columns, sort) {
  const column = columns.find(({ id }) => id === sort.replace("-", ""));
  return column ? sorted(rows, column, sort.startsWith("-")) : rows;
}

function headOf(column, sort, onsort) {
  const isDescending = sort === `-${column.id}`;
  const isChosen = isDescending || sort === column.id;
  // Figures are read from the largest; names from A.
  const next = isChosen
    ? isDescending
      ? column.id
      : `-${column.id}`
    : column.isText
      ? column.id
      : `-${column.id}`;
  return el(
    "th",
    {
      scope: "col",
      class: column.isText && "text",
      "aria-sort": isChosen && (isDescending ? "descending" : "ascending"),
    },
    el("button", { type: "button", id: `sort-${column.id}`, onclick: () => onsort(next) }, column.head),
    column.unit ? el("span", { class: "unit" }, column.unit) : null,
  );
}

function cellOf(column, row) {
  const value = column.value(row);
  if (column.id === "name") {
    const kind = row.kind === "operator" ? null : el("span", { class: "kind" }, row.kind);
    return el("th", { scope: "row" }, value, " ", kind);
  }
  if (value === null)
    return el("td", { class: column.isText ? "text missing" : "missing" }, column.missing?.(row) ?? "–");
  if (column.isStack) return el("td", { class: "text stack" }, stackOf(row.stack));
  if (column.isText) return el("td", { class: "text shapes" }, value);
  const cell = el("td", {}, column.text(value));
  if (column.isShare) {
    cell.className = "share";
    cell.style.setProperty("--share", `${Math.max(0, Math.min(1, value / 100))}`);
  }
  return cell;
}

function stackOf(frames) {
  const [first, ...others] = frames;
  if (!others.length) return first ?? "–";
  const details = el("details", {}, el("summary", {}, first));
  const open = () => details.append(...others.map((frame) => el("div", {}, frame)));
  details.addEventListener("toggle", open, { once: true }); // most stacks are never opened
  return details;
}
