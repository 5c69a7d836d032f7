// Every exported file of a run, or of several side by side: a page fragment that the server makes.
import { el, refill } from "./dom.js";
import { empty, failure } from "./messages.js";
import { address, getText } from "./requests.js";

export function filesView(go) {
  let shown = null;
  const summary = el("summary", {});
  const boxes = el("div", { class: "boxes" });
  const further = el(
    "details",
    { class: "further" },
    summary,
    el("fieldset", {}, el("legend", { class: "unseen" }, "Runs to compare with"), boxes),
  );
  const fragment = el("div", { class: "fragment" });
  const content = el("div", {}, further, fragment);

  fragment.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (!link) return;
    // The hash is the page's state.
    event.preventDefault();
    document.getElementById(link.getAttribute("href").slice(1))?.scrollIntoView();
  });

  function drawBoxes(measured, state) {
    const others = measured.filter(({ name }) => name !== state.run);
    const chosen = others.filter(({ name }) => state.runs.includes(name)).map(({ name }) => name);
    further.hidden = !others.length;
    summary.textContent = chosen.length ? `Compared with ${chosen.join(", ")}` : "Compare with other runs";
    const shownNames = [...boxes.querySelectorAll("input")].map((input) => input.value).join("\n");
    if (shownNames !== others.map(({ name }) => name).join("\n")) {
      boxes.replaceChildren(
        ...others.map(({ name }) =>
          el(
            "label",
            {},
            el("input", { type: "checkbox", value: name, onchange: choose }),
            el("span", {}, name),
          ),
        ),
      );
    }
    for (const input of boxes.querySelectorAll("input")) input.checked = chosen.includes(input.value);
    return chosen;
  }

  function choose() {
    go({ runs: [...boxes.querySelectorAll("input:checked")].map((input) => input.value) });
  }

  return {
    forget: () => (shown = null),
    async show(state, page, signal) {
      const measured = page.runs.filter((run) => run.has_measurement);
      const chosen = drawBoxes(measured, state);
      if (!measured.some(({ name }) => name === state.run)) {
        return empty(
          "The exported files of this run have not been measured. This measures them:",
          `python -m src.benchmark ${argumentOf(page.runs.find(({ name }) => name === state.run))}`,
        );
      }
      const runs = [state.run, ...chosen];
      const key = JSON.stringify(runs);
      if (shown === key) return content;
      shown = null;
      try {
        refill(fragment, ...(await load(runs, page, signal)), sorting());
        shown = key;
      } catch (error) {
        if (error.name === "AbortError") throw error;
        refill(fragment, failure(error, () => page.show())); // the choice of runs stays
      }
      return content;
    },
  };
}

async function load(runs, page, signal) {
  const [html, ...traces] = await Promise.all([
    getText("files", { run: runs }, signal),
    ...runs.map((run) => page.newTracesOf(run, signal)), // as new as the files
  ]);
  // A parsed document runs no scripts and loads nothing; the server escaped every text in it.
  const parsed = new DOMParser().parseFromString(html, "text/html");
  const ids = new Set(runs.flatMap((run, at) => traces[at].map(({ id }) => `${run}\n${id}`)));
  for (const row of parsed.querySelectorAll("tr[data-format]")) {
    const trace = `inference-${row.dataset.format}-${row.dataset.device}`;
    const run = row.dataset.run ?? runs[0];
    const name = row.querySelector("th");
    if (name && ids.has(`${run}\n${trace}`)) name.append(links(run, trace, page));
  }
  return [...parsed.body.childNodes];
}

function links(run, trace, page) {
  const link = (text, view) =>
    el("button", { type: "button", class: "link", onclick: () => page.go({ view, run, trace }) }, text);
  return el("span", { class: "links" }, link("operators", "operators"), " ", link("trace", "trace"));
}

/** Return a script that makes the fragment's tables sortable, the same as in report.html. */
function sorting() {
  return el("script", { src: address("static/sort.js") });
}

/** Return a run's folder as an argument of a shell; RUN if the server does not tell its path. */
function argumentOf({ path }) {
  if (!path) return "RUN";
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
