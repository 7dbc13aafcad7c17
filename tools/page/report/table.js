// A click on the head of a column sorts the rows by it, another one turns the order.
for (const head of all(".sortable th[aria-sort]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = head.textContent;
  head.replaceChildren(button);
  button.addEventListener("click", () => {
    const body = head.closest("table").tBodies[0], column = head.cellIndex;
    const order = head.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
    const sign = order === "ascending" ? 1 : -1;
    const compare = (a, b) => (column
      ? Number(a.cells[column].dataset.value) - Number(b.cells[column].dataset.value)
      : a.cells[0].textContent.localeCompare(b.cells[0].textContent));
    for (const other of head.parentNode.cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", order);
    body.append(...[...body.rows].sort((a, b) => sign * compare(a, b)));
  });
}
