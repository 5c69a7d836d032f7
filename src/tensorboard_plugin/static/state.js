// State of the page: the view, what it shows and how. It lives in the frame's hash, and in the
// session's storage because TensorBoard forgets the hash when its own page is reloaded.
const STORAGE = "lightship";
const DEFAULTS = {
  view: "overview",
  run: "",
  trace: "",
  by: "name", // operators: grouping
  per: "step", // operators: "step" or "window"
  columns: "", // operators: "host", "device" or "both"; empty lets the trace decide
  sort: "", // operators: key of a column, with "-" in front for descending
  filter: "",
  kind: "", // operators: one kind of rows; empty for all
  withrun: "", // operators: the run and the trace to compare with
  withtrace: "",
  figure: "self_seconds", // operators: the figure that is compared
  runs: [], // files: further runs
};

export function readState() {
  const stored = location.hash.length > 1 ? location.hash.slice(1) : sessionStorage.getItem(STORAGE);
  const query = new URLSearchParams(stored ?? "");
  const state = { ...DEFAULTS };
  for (const key of Object.keys(DEFAULTS)) {
    if (!query.has(key)) continue;
    state[key] = key === "runs" ? query.getAll(key) : query.get(key);
  }
  return state;
}

export function writeState(state) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) {
    if (key === "view" || `${value}` !== `${DEFAULTS[key]}`) {
      for (const item of [value].flat()) query.append(key, item);
    }
  }
  sessionStorage.setItem(STORAGE, `${query}`);
  history.replaceState(null, "", `#${query}`);
}
