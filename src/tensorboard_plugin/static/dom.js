// Elements made by calls, so that every text stays text.
const SVG = "http://www.w3.org/2000/svg";

/** Return an HTML element. Attributes that are false, null or undefined are left out; a key that
 * starts with "on" is an event. Children are nodes or texts. */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Return an SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  // One by one: a call with 100,000 arguments overflows the stack.
  for (const child of children.flat()) if (child || child === "") element.append(child);
  return element;
}

/** Replace the children of an element in a tab's panel. A focus that was within and is lost goes to
 * the button that tries again, or to the tab. */
export function refill(element, ...children) {
  const hadFocus = element.contains(document.activeElement);
  element.replaceChildren(...children);
  if (!hadFocus || element.contains(document.activeElement)) return;
  const tab = element.closest("[role=tabpanel]")?.getAttribute("aria-labelledby");
  (element.querySelector(".failure button") ?? document.getElementById(tab))?.focus();
}

/** Return a region that scrolls sideways on its own and can be reached by keyboard. */
export function scrolling(label, ...children) {
  return el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": label }, ...children);
}

/** Return a labelled select. Its options are {value, text, group}, where the group may be missing. */
export function chooser(label, id, onchange) {
  const select = el("select", { id, onchange: () => onchange(select.value) });
  const field = el("div", { class: "field" }, el("label", { for: id }, label), select);
  return { field, select, set: (options, value) => setOptions(select, options, value) };
}

function setOptions(select, options, value) {
  const groups = new Map();
  select.replaceChildren();
  for (const option of options) {
    if (option.group && !groups.has(option.group)) {
      groups.set(option.group, el("optgroup", { label: option.group }));
      select.append(groups.get(option.group));
    }
    (groups.get(option.group) ?? select).append(el("option", { value: option.value }, option.text));
  }
  select.value = value;
}

/** Return the options of a chooser of traces. */
export function traceOptions(traces) {
  const groups = { training: "Windows of the training", file: "Exported files" };
  return traces.map(({ id, label, kind }) => ({ value: id, text: label, group: groups[kind] }));
}

/** Return a group of radio buttons that looks like one control of several parts, and a text that
 * tells why some are disabled.
 * @param {{value: string, text: string}[]} options
 */
export function choices(legend, name, options, onchange) {
  const inputs = new Map();
  const reason = el("p", { class: "note reason", id: `${name}-reason` });
  const parts = options.map(({ value, text }) => {
    const input = el("input", { type: "radio", name, value, onchange: () => onchange(value) });
    inputs.set(value, input);
    return el("label", {}, input, el("span", {}, text));
  });
  const field = el(
    "fieldset",
    { class: "choices", "aria-describedby": reason.id },
    el("legend", {}, legend),
    el("div", { class: "parts" }, ...parts),
  );
  return {
    field,
    reason,
    /** Check a value, and disable others for a reason. */
    set(value, disabled = [], why = "") {
      for (const [key, input] of inputs) {
        input.checked = key === value;
        input.disabled = disabled.includes(key);
      }
      reason.textContent = disabled.length ? why : "";
    },
  };
}
