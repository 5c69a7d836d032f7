for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const groups = [...table.querySelectorAll("tr.group")];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column]?.dataset.value;
      for (const name of groups) name.remove(); // a sorted column mixes the groups
      const rows = [...table.tBodies].flatMap((part) => [...part.rows]).sort((one, other) => {
        const [a, b] = [key(one), key(other)];
        // What was not measured stays below, whichever way.
        if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
        const order = a - b || 0 || (isNaN(a) || isNaN(b) ? a.localeCompare(b) : 0);
        return down ? -order : order;
      });
      body.append(...rows);
    });
  });
}
