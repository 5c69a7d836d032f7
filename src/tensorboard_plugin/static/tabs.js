// A tab list as the ARIA practices describe it: arrow keys, Home and End move between the tabs.
import { el } from "./dom.js";

export function tabs(views, onselect) {
  const buttons = new Map();
  const panels = new Map();
  const names = views.map(({ name }) => name);
  for (const { name, title } of views) {
    buttons.set(
      name,
      el(
        "button",
        {
          type: "button",
          role: "tab",
          id: `tab-${name}`,
          "aria-controls": `panel-${name}`,
          onclick: () => onselect(name),
        },
        title,
      ),
    );
    panels.set(
      name,
      el("section", {
        role: "tabpanel",
        id: `panel-${name}`,
        "aria-labelledby": `tab-${name}`,
        hidden: true,
      }),
    );
  }
  const list = el("div", { role: "tablist", "aria-label": "Views", onkeydown: move }, ...buttons.values());

  function move(event) {
    const at = names.indexOf(event.target.id.replace("tab-", ""));
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: names.length - 1 }[event.key];
    if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const name = names[(to + names.length) % names.length];
    onselect(name);
    buttons.get(name).focus();
  }

  return {
    list,
    panels,
    /** Show a view's panel and return it. A focus within the panel that it hides goes to the tab. */
    select(chosen) {
      const name = names.includes(chosen) ? chosen : names[0];
      const focused = document.activeElement?.closest("[role=tabpanel]");
      for (const [other, button] of buttons) {
        button.setAttribute("aria-selected", `${other === name}`);
        button.tabIndex = other === name ? 0 : -1;
        panels.get(other).hidden = other !== name;
      }
      if (focused && focused !== panels.get(name)) buttons.get(name).focus();
      return panels.get(name);
    },
  };
}
