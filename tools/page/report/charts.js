// The values at the pointer, or at the place that the arrow keys have reached.
for (const figure of all(".plot")) {
  const svg = figure.querySelector("svg"), at = figure.querySelector(".at");
  const left = Number(svg.dataset.left), width = Number(svg.dataset.width), end = Number(svg.dataset.end);
  const lines = [...svg.querySelectorAll("path[data-values]")].map((path) => ({
    shown: figure.querySelectorAll(".key b")[Number(path.dataset.number) - 1],
    points: path.dataset.values.split(" ").map((pair) => pair.split(":").map(Number)),
  }));
  const cursor = document.createElementNS(svg.namespaceURI, "line");
  cursor.setAttribute("class", "cursor");
  cursor.setAttribute("y1", 12);
  cursor.setAttribute("y2", 230);
  let reached = 0;

  function show(x) {
    const nearest = lines.map(({ points }) => points.reduce((a, b) => (Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a)));
    nearest.forEach((point, k) => { lines[k].shown.textContent = fixed(point[1], 3); });
    reached = nearest.reduce((a, b) => (Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a))[0];
    at.textContent = `${at.dataset.label} ${String(Math.round(reached * 1000) / 1000).replace(".", data.decimal)}`;
    at.hidden = false;
    for (const name of ["x1", "x2"]) cursor.setAttribute(name, left + width * reached / end);
    svg.append(cursor);
  }

  function hide() {
    for (const { shown } of lines) shown.textContent = shown.dataset.last;
    at.hidden = true;
    cursor.remove();
  }

  if (!lines.length) continue;
  const places = [...new Set(lines.flatMap(({ points }) => points.map((point) => point[0])))].sort((a, b) => a - b);
  svg.tabIndex = 0;
  svg.addEventListener("pointermove", (event) => {
    const frame = svg.getBoundingClientRect();
    show(((event.clientX - frame.left) * svg.viewBox.baseVal.width / frame.width - left) * end / width);
  });
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key] ?? 0;
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    show(places[Math.min(Math.max(places.findIndex((x) => x >= reached) + step, 0), places.length - 1)]);
  });
}
