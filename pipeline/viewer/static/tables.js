// Rows of tables.

/** Returns a row whose cells hold texts; the first one, unless it is empty, is the head of the row. kind: "td" or "th". */
export function row(kind, texts) {
  const element = document.createElement("tr");
  element.append(...texts.map((text, index) => {
    const cell = document.createElement(index === 0 && text !== "" ? "th" : text === "" ? "td" : kind);
    if (cell.tagName === "TH") cell.scope = kind === "th" ? "col" : "row";
    cell.textContent = text;
    return cell;
  }));
  return element;
}
