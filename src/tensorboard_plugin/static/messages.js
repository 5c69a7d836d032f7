// What a view shows instead of figures: that there is nothing, or an error.
import { el } from "./dom.js";

export function failure(error, retry) {
  return el(
    "div",
    { class: "message failure", role: "alert" },
    el("p", {}, error.message),
    el("button", { type: "button", onclick: retry }, "Try again"),
  );
}

/** Return a sentence on what is missing, and the commands that make it. */
export function empty(sentence, ...commands) {
  return el(
    "div",
    { class: "message" },
    el("p", {}, sentence),
    ...commands.map((command) => el("pre", { tabindex: "0" }, el("code", {}, command))),
  );
}

/** Return the list of problems, or null if there are none. */
export function problemList(problems) {
  if (!problems.length) return null;
  return el("ul", { class: "problems" }, ...problems.map((problem) => el("li", {}, problem)));
}
