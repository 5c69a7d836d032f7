// The operators of a window, or of two windows side by side.
import { csvOf, download } from "./csv.js";
import { PART, dataTable, inOrder } from "./data_table.js";
import { choices, chooser, el, refill, traceOptions } from "./dom.js";
import { counted, decimals } from "./format.js";
import { empty, failure } from "./messages.js";
import { FIGURES, KINDS, columnsOf, comparingColumns, figuresOf } from "./operator_columns.js";
import { filtered, paired } from "./operator_rows.js";
import { getJson } from "./requests.js";

const NOTHING = "";

export function operatorsView(go) {
  return new Operators(go);
}

class Operators {
  constructor(go) {
    this.go = go;
    this.answers = new Map(); // address -> operators of a window; two at most
    this.count = PART;
    this.by = choices(
      "Group by",
      "by",
      [
        { value: "name", text: "name" },
        { value: "shapes", text: "input shapes" },
        { value: "stack", text: "stack" },
      ],
      (by) => go({ by }),
    );
    this.per = choices(
      "Figures of",
      "per",
      [
        { value: "step", text: "a step" },
        { value: "window", text: "whole window" },
      ],
      (per) => go({ per }),
    );
    this.columns = choices(
      "Columns",
      "columns",
      [
        { value: "host", text: "host" },
        { value: "device", text: "device" },
        { value: "both", text: "both" },
      ],
      (columns) => go({ columns }),
    );
    this.withRun = chooser("Compare with", "withrun", (withrun) => go({ withrun, withtrace: "", sort: "" }));
    this.withTrace = chooser("Window or file B", "withtrace", (withtrace) => go({ withtrace }));
    this.figure = chooser("Compared figure", "figure", (figure) => go({ figure, sort: "" }));
    this.kind = chooser("Rows", "kind", (kind) => go({ kind }));
    this.filter = el("input", {
      id: "filter",
      type: "search",
      spellcheck: "false",
      autocomplete: "off",
      oninput: () => this.filterBy(),
    });
    this.total = el("output", { for: "filter" });
    this.place = el("div", {});
    this.trouble = el("div", { hidden: true });
    this.caption = el("p", { class: "note" });
    const save = el("button", { type: "button", id: "save", onclick: () => this.save() }, "Download CSV");
    this.content = el(
      "div",
      { class: "operators" },
      el(
        "div",
        { class: "controls" },
        ...[this.by, this.per, this.columns, this.withRun, this.withTrace, this.figure].map(
          ({ field }) => field,
        ),
        this.by.reason,
      ),
      el(
        "div",
        { class: "controls" },
        el("div", { class: "field grows" }, el("label", { for: "filter" }, "Filter"), this.filter),
        this.kind.field,
        this.total,
        save,
      ),
      this.trouble,
      this.caption,
      this.place,
    );
  }

  forget() {
    this.answers.clear();
  }

  async show(state, page, signal) {
    if (!state.trace) {
      return empty(
        "This run has no traces. A training records some unless profiler=none:",
        "python -m src.train model=resnet34",
      );
    }
    let failed = null; // an error of the window to compare with hides neither the first nor the choosers
    const orFailed = (promise) =>
      promise.catch((error) => {
        if (error.name === "AbortError") throw error;
        failed = error;
        return null;
      });
    const other = await orFailed(this.chooseOther(state, page, signal));
    const [first, second] = await Promise.all([
      this.answer(state, state.by, signal),
      other ? orFailed(this.answer(other, state.by, signal)) : null,
    ]);
    // A grouping that a trace did not record shows its operators by name.
    const missing = unrecorded([first, second].filter(Boolean));
    if (missing.includes(state.by)) {
      state.by = "name";
      return this.show(state, page, signal);
    }
    const identity = JSON.stringify([state.run, state.trace, other, state.by]);
    if (identity !== this.identity) this.count = PART;
    Object.assign(this, { identity, state, first, second });
    this.figure.field.hidden = !second;
    this.trouble.hidden = !failed;
    const message = `B cannot be compared. ${failed?.message}`;
    refill(this.trouble, ...(failed ? [failure({ message }, () => page.show())] : []));
    const recorded = missing.map((by) => ({ shapes: "input shapes", stack: "stacks" })[by]).join(" or ");
    this.by.set(
      state.by,
      missing,
      isOfFile(state.trace)
        ? `The trace of a file has no ${recorded}.`
        : `The trace has no ${recorded}: a training with profiler=tensorboard records them.`,
    );
    this.per.set(state.per);
    const hasDevice = first.has_device || second?.has_device;
    this.side = hasDevice ? state.columns || "both" : "host";
    this.columns.field.hidden = Boolean(second) || !hasDevice;
    this.columns.set(this.side);
    if (this.filter.value !== state.filter) this.filter.value = state.filter;
    this.prepare();
    this.draw();
    return this.content;
  }

  /** Fill the choosers of the window to compare with, and return it; null if there is none. */
  async chooseOther(state, page, signal) {
    const runs = page.runs.map(({ name }) => ({ value: name, text: name }));
    if (!runs.some(({ value }) => value === state.withrun)) state.withrun = NOTHING;
    this.withRun.set([{ value: NOTHING, text: "nothing" }, ...runs], state.withrun);
    this.withTrace.field.hidden = true;
    if (!state.withrun) return null;
    const traces = await page.tracesOf(state.withrun, signal, state.withtrace);
    if (!traces.some(({ id }) => id === state.withtrace)) {
      const isOther = ({ id }) => state.withrun !== state.run || id !== state.trace;
      const alike = traces.find(({ id }) => id === state.trace && isOther({ id }));
      state.withtrace = (alike ?? traces.find(isOther) ?? traces[0])?.id ?? "";
    }
    this.withTrace.set(traceOptions(traces), state.withtrace);
    this.withTrace.field.hidden = false;
    return state.withtrace ? { run: state.withrun, trace: state.withtrace } : null;
  }

  async answer({ run, trace }, by, signal) {
    const key = JSON.stringify([run, trace, by]);
    const known = this.answers.get(key);
    if (known) return known;
    const answer = await getJson("operators", { run, trace, by }, signal);
    if (this.answers.size > 1) this.answers.delete(this.answers.keys().next().value);
    this.answers.set(key, answer);
    return answer;
  }

  /** Make the rows and the columns of the state. */
  prepare() {
    const { state, first, second } = this;
    const perStep = state.per === "step" ? "a step" : "the whole window";
    const omitted = first.omitted + (second?.omitted ?? 0);
    const cut = omitted ? ` ${decimals(omitted)} rows with the least time are left out.` : "";
    if (!second) {
      this.rows = first.operators;
      this.chooseKind();
      this.shownColumns = columnsOf(first, state, this.side);
      this.usualSort = this.side === "device" ? "-device_self_seconds" : "-self_seconds";
      const meaning = isOfFile(state.trace) ? " A step is one call of the file." : "";
      this.caption.textContent = `${first.label}: ${counted(first.steps, "step")} recorded, figures of ${perStep}. Self time is without the operators that an operator calls.${meaning}${cut}`;
      return;
    }
    const figures = figuresOf(
      {
        has_device: first.has_device || second.has_device,
        has_memory: first.has_memory || second.has_memory,
      },
      "both",
    );
    const figure = figures.find(({ id }) => id === state.figure) ?? FIGURES[0];
    this.figure.set(
      figures.map(({ id, head }) => ({ value: id, text: head })),
      figure.id,
    );
    this.rows = paired(first.operators, second.operators);
    this.shownColumns = comparingColumns(figure, state, first, second);
    this.usualSort = "-difference";
    this.caption.textContent = `${figure.head}, figures of ${perStep}. A: ${first.label}, ${first.run}. B: ${second.label}, ${second.run}. The difference, B − A, is sorted by its size, whichever sign it has.${cut}`;
    this.chooseKind();
  }

  /** Offer the kinds of rows that there are. */
  chooseKind() {
    const present = Object.keys(KINDS).filter((kind) => this.rows.some((row) => row.kind === kind));
    if (!present.includes(this.state.kind)) this.state.kind = "";
    this.kind.set(
      [{ value: "", text: "all kinds" }, ...present.map((kind) => ({ value: kind, text: KINDS[kind] }))],
      this.state.kind,
    );
  }

  get filteredRows() {
    return filtered(this.rows, this.state.filter, this.state.kind);
  }

  get sort() {
    const id = this.state.sort.replace("-", "");
    return this.shownColumns.some((column) => column.id === id) ? this.state.sort : this.usualSort;
  }

  draw() {
    const rows = this.filteredRows;
    this.total.textContent =
      rows.length === this.rows.length
        ? counted(rows.length, "row")
        : `${decimals(rows.length)} of ${counted(this.rows.length, "row")}`;
    const table = dataTable({
      caption: this.caption.textContent,
      columns: this.shownColumns,
      rows,
      sort: this.sort,
      count: this.count,
      onsort: (sort) => this.go({ sort }),
      onmore: (count) => {
        const known = this.count;
        this.count = count;
        this.draw();
        if (!document.getElementById("more")) this.focusRow(known);
      },
    });
    // The new table keeps the focus and the scroll position of the old one.
    const focused = this.place.contains(document.activeElement) ? document.activeElement.id : "";
    const scrolled = this.place.querySelector(".scroll")?.scrollLeft ?? 0;
    this.place.replaceChildren(table);
    this.place.querySelector(".scroll").scrollLeft = scrolled;
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }

  /** Move the focus to a row. */
  focusRow(position) {
    const head = this.place.querySelectorAll("tbody th")[position];
    head.tabIndex = -1;
    head.focus();
  }

  filterBy() {
    this.count = PART;
    this.go({ filter: this.filter.value });
  }

  save() {
    const rows = inOrder(this.filteredRows, this.shownColumns, this.sort);
    const name = `operators ${this.state.run} ${this.state.trace}`.replace(/[^\w.-]+/g, "_");
    download(`${name}.csv`, csvOf(this.shownColumns, rows));
  }
}

/** Return the groupings that some trace did not record. */
function unrecorded(answers) {
  return [
    ...(answers.every(({ has_shapes }) => has_shapes) ? [] : ["shapes"]),
    ...(answers.every(({ has_stacks }) => has_stacks) ? [] : ["stack"]),
  ];
}

/** Return true for the trace of an exported file: see traces.py. */
function isOfFile(trace) {
  return trace.startsWith("inference-");
}
