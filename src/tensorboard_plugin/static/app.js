// The page: a chooser of the run and of the window, four tabs, and the state they share.
import { chooser, el, refill, traceOptions } from "./dom.js";
import { filesView } from "./files.js";
import { empty, failure, problemList } from "./messages.js";
import { operatorsView } from "./operators.js";
import { overviewView } from "./overview.js";
import { address, getJson } from "./requests.js";
import { readState, writeState } from "./state.js";
import { tabs } from "./tabs.js";
import { traceView } from "./trace.js";

const VIEWS = [
  { name: "overview", title: "Overview", make: overviewView, loads: "the profile" },
  { name: "operators", title: "Operators", make: operatorsView, loads: "the operators", hasWindow: true },
  { name: "trace", title: "Trace", make: traceView, loads: "the trace", hasWindow: true },
  { name: "files", title: "Files", make: filesView, loads: "the exported files" },
];

const STYLES = ["static/page.css", "static/plugin.css"]; // the first is that of report.html

export async function start() {
  describe();
  await Promise.all(STYLES.map(style));
  const page = new Page();
  window.addEventListener("hashchange", () => page.restore());
  await page.reload();
}

function describe() {
  document.querySelector("base")?.remove(); // "#id" in a chart is in this document; addresses are absolute
  document.documentElement.lang = "en";
  document.title = "Lightship";
  document.head.append(el("meta", { name: "viewport", content: "width=device-width, initial-scale=1" }));
}

function style(path) {
  return new Promise((resolve) => {
    const done = () => resolve();
    document.head.append(el("link", { rel: "stylesheet", href: address(path), onload: done, onerror: done }));
  });
}

class Page {
  constructor() {
    this.state = readState();
    this.runs = [];
    this.problems = []; // of the listing of runs
    this.traces = new Map(); // run -> the answer with its traces, until more are wanted
    this.pending = new AbortController();
    this.go = (changes) => this.change(changes);
    this.run = chooser("Run", "run", (run) => this.go({ run, trace: "" }));
    this.window = chooser("Window or file", "window", (trace) => this.go({ trace }));
    this.tabs = tabs(VIEWS, (view) => this.go({ view }));
    this.views = new Map(VIEWS.map((view) => [view.name, view.make(this.go)]));
    this.note = el("div", { class: "notes" });
    this.status = el("span", { role: "status" });
    const reload = el("button", { type: "button", class: "quiet", onclick: () => this.reload() }, "Reload");
    const choosers = el("div", { class: "choosers" }, this.run.field, reload, this.window.field, this.status);
    document.body.append(
      el(
        "main",
        { class: "page" },
        el("h1", { class: "unseen" }, "Lightship"),
        el("header", {}, this.tabs.list, choosers),
        this.note,
        ...this.tabs.panels.values(),
      ),
    );
  }

  restore() {
    this.state = readState();
    this.show();
  }

  change(changes) {
    Object.assign(this.state, changes);
    writeState(this.state);
    this.show();
  }

  /** Ask for the runs anew, then show the view. */
  async reload() {
    this.traces.clear();
    for (const view of this.views.values()) view.forget?.();
    const { signal } = this.overtake();
    const panel = this.tabs.select(this.state.view);
    const wait = this.wait("the runs", panel);
    try {
      const { runs, problems } = await getJson("runs", {}, signal);
      Object.assign(this, { runs, problems });
    } catch (error) {
      if (error.name !== "AbortError") refill(panel, failure(error, () => this.reload()));
      return;
    } finally {
      wait.end();
    }
    await this.show();
  }

  /** Say that something loads, unless it is there at once. What is shown stays until then. */
  wait(what, panel) {
    const timer = setTimeout(() => {
      this.status.textContent = `Loading ${what} …`;
      panel.setAttribute("aria-busy", "true");
    }, 120);
    const { signal } = this.pending;
    const end = () => {
      clearTimeout(timer);
      this.status.textContent = "";
      panel.removeAttribute("aria-busy");
    };
    signal.addEventListener("abort", end);
    return { end: () => signal.aborted || end() };
  }

  /** Abort the requests of the view that was asked for before. */
  overtake() {
    this.pending.abort();
    this.pending = new AbortController();
    return this.pending;
  }

  async show() {
    const { signal } = this.overtake();
    const view = VIEWS.find(({ name }) => name === this.state.view) ?? VIEWS[0];
    const panel = this.tabs.select(view.name);
    document.body.classList.toggle("fills", view.name === "trace");
    if (!this.runs.length) {
      this.run.field.hidden = this.window.field.hidden = true;
      refill(
        panel,
        empty(
          "There is no run in this log folder yet. A training makes one, with its profile:",
          "python -m src.train model=resnet34",
        ),
      );
      return;
    }
    this.chooseRun();
    this.window.field.hidden = !view.hasWindow;
    this.warn(this.problems);
    const wait = this.wait(view.loads, panel);
    try {
      if (view.hasWindow) await this.chooseWindow(signal);
      const content = await this.views.get(view.name).show(this.state, this, signal);
      signal.throwIfAborted();
      if (panel.firstChild !== content || panel.childNodes.length !== 1) refill(panel, content);
    } catch (error) {
      if (error.name === "AbortError") return;
      refill(panel, failure(error, () => this.show()));
      if (!this.traces.has(this.state.run)) this.window.field.hidden = true; // those of another run
    } finally {
      wait.end();
    }
  }

  warn(problems) {
    this.note.replaceChildren(...[problemList(problems)].filter(Boolean));
  }

  chooseRun() {
    const names = this.runs.map(({ name }) => name);
    if (!names.includes(this.state.run)) {
      const first = this.runs.find((run) => run.has_profile) ?? this.runs[0];
      Object.assign(this.state, { run: first.name, trace: "" });
      writeState(this.state);
    }
    this.run.field.hidden = false;
    this.run.set(
      names.map((name) => ({ value: name, text: name === "." ? "this folder" : name })),
      this.state.run,
    );
  }

  async chooseWindow(signal) {
    const traces = await this.tracesOf(this.state.run, signal, this.state.trace);
    this.warn([...this.problems, ...this.traces.get(this.state.run).problems]);
    if (!traces.some(({ id }) => id === this.state.trace)) {
      // The first window of a training holds work that is done only once.
      const trainings = traces.filter(({ kind }) => kind === "training");
      const usual = trainings.findLast(({ label }) => label.startsWith("training")) ?? trainings.at(-1);
      this.state.trace = (usual ?? traces[0])?.id ?? "";
      writeState(this.state);
    }
    this.window.field.hidden = !traces.length;
    this.window.set(traceOptions(traces), this.state.trace);
  }

  /** Return the traces of a run. The kept list is asked for anew if it lacks the wanted trace: a
   * training that still runs makes more. */
  async tracesOf(run, signal, wanted = "") {
    const kept = this.traces.get(run);
    if (!kept || (wanted && !kept.traces.some(({ id }) => id === wanted))) {
      this.traces.set(run, await getJson("traces", { run }, signal));
    }
    return this.traces.get(run).traces;
  }

  /** Return the traces that a run has now. */
  async newTracesOf(run, signal) {
    this.traces.delete(run);
    return this.tracesOf(run, signal);
  }
}
