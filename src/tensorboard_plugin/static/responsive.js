// Drawings that are made anew for the width they have, so that their text keeps its size.
import { el } from "./dom.js";

/** Return an element that holds draw(width) and follows its own width. */
export function responsive(draw) {
  const holder = el("div", { class: "drawing" });
  let width = 0;
  new ResizeObserver(([entry]) => {
    const now = Math.floor(entry.contentRect.width);
    if (now === width || now === 0) return;
    width = now;
    holder.replaceChildren(draw(width));
  }).observe(holder);
  return holder;
}
