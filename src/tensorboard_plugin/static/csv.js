// A table as a file of comma-separated values (RFC 4180).

/** Return the text of the file. Figures keep all their digits. */
export function csvOf(columns, rows) {
  const heads = columns.map(({ head, unit }) => quoted(unit ? `${head} (${unit})` : head));
  const lines = rows.map((row) =>
    columns
      .map((column) => {
        const value = column.value(row);
        return value === null ? "" : column.isText ? quoted(harmless(value)) : `${value}`;
      })
      .join(","),
  );
  return [heads.join(","), ...lines, ""].join("\r\n");
}

/** Offer a text as a download. */
export function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}

/** Return a text that no spreadsheet takes for a formula: a trace may come from a stranger. */
function harmless(text) {
  return /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
}

function quoted(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
