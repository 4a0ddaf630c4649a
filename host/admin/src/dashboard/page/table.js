// Tables whose rows stay themselves from one snapshot to the next: whoever is
// on a button with the keyboard stays on it.

import { el, harmless } from "./dom.js";

// columns: { label, number, narrow, show(cell, item, now) } or { label, make(row) }, of
// which `make` is called once for each row and finds its item in `row.item`.
// The first column names the row.
export function makeTable(into, { caption, columns, key, empty, look }) {
  const kind = ({ number, narrow }) => (number && "number") || (narrow && "narrow");
  const head = columns.map(({ label, number }) =>
    el("th", { scope: "col", role: "columnheader", class: number && "number" }, label),
  );
  const body = el("tbody", { role: "rowgroup" });
  const note = el("p", { class: "note" }, "not known yet");
  const table = el(
    "table",
    { role: "table" },
    el("caption", {}, caption),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...head)),
    body,
  );
  table.hidden = true;
  into.replaceChildren(note, table);
  const rows = new Map();

  const makeRow = (item) => {
    const row = { item, node: el("tr", { role: "row" }), cells: [] };
    columns.forEach((column, at) => {
      const attributes = { "data-label": column.label, class: kind(column) };
      const cell =
        at === 0
          ? el("th", { scope: "row", role: "rowheader", ...attributes })
          : el("td", { role: "cell", ...attributes });
      // The name of the column takes the first place where rows are stacked.
      const content = el("span", {});
      if (column.make) content.append(...column.make(row));
      cell.append(content);
      row.cells.push(content);
      row.node.append(cell);
    });
    return row;
  };

  const show = (items, now) => {
    const wanted = new Map(items.map((item) => [key(item), item]));
    for (const [known, row] of rows) {
      if (wanted.has(known)) continue;
      row.node.remove();
      rows.delete(known);
    }
    let place = body.firstElementChild;
    for (const [name, item] of wanted) {
      if (!rows.has(name)) rows.set(name, makeRow(item));
      const row = rows.get(name);
      row.item = item;
      columns.forEach((column, at) => column.show?.(row.cells[at], item, now));
      if (look) row.node.className = look(item);
      if (row.node === place) place = place.nextElementSibling;
      else body.insertBefore(row.node, place);
    }
    table.hidden = items.length === 0;
    note.hidden = items.length > 0 || empty === "";
    note.textContent = empty;
  };

  // A part of a snapshot: { known } or { unknown: why }.
  const showPart = (part, now) => {
    if (part.known) return show(part.known, now);
    note.hidden = false;
    note.textContent = harmless(`Not known now: ${part.unknown}`);
  };
  return { show, showPart };
}
