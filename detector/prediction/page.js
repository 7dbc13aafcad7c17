"use strict";
{
  const AT_ONCE = 60; // photos that are added to the page at a time
  const $ = (id) => document.getElementById(id);
  // photos: [name, picture, width, height], and of each detection class, xmin, ymin, width, height, score
  const { threshold, classes, photos } = JSON.parse($("data").textContent);
  const search = $("search"), chosen = $("class"), score = $("score"), sort = $("sort");
  const grid = $("grid"), dialog = $("dialog");
  let shown = []; // [index of the photo, its detections that are shown]
  let drawn = 0; // so many of them are on the page
  let open = 0; // the one that is large

  const words = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
  const address = (folder, path) => `${folder}/${path.split("/").map(encodeURIComponent).join("/")}`;

  function add(parent, tag, name, text) {
    const made = document.createElement(tag);
    if (name) made.className = name;
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  function detections(photo) {
    const found = [];
    for (let k = 4; k < photo.length; k += 6) found.push(photo.slice(k, k + 6));
    return found;
  }

  const every = photos.map(detections);
  const searched = photos.map((photo) => photo[0].normalize().toLowerCase());

  // What fits the tools, in their order.
  function fitting() {
    const least = score.value === score.min ? 0 : Number(score.value); // the least value shows all, whatever its digits
    const text = search.value.normalize().toLowerCase();
    const wanted = chosen.value;
    const result = [];
    for (let k = 0; k < photos.length; k++) {
      if (!searched[k].includes(text)) continue;
      const found = every[k].filter((one) => one[5] >= least && (!(wanted in classes) || String(one[0]) === wanted));
      if (wanted === "all" || (wanted === "none" ? !found.length : found.length)) result.push([k, found]);
    }
    const best = ([, found]) => found.reduce((most, one) => Math.max(most, one[5]), -1);
    const lowest = ([, found]) => found.reduce((least, one) => Math.min(least, one[5]), 2);
    const orders = {
      many: (a, b) => b[1].length - a[1].length,
      high: (a, b) => best(b) - best(a),
      low: (a, b) => lowest(a) - lowest(b),
    };
    return sort.value in orders ? result.sort(orders[sort.value]) : result; // they are in the order of their names
  }

  function list(parent, found) {
    parent.replaceChildren();
    for (const [id, , , , , value] of found) {
      const one = add(parent, "span");
      add(one, "i").style.background = classes[id].colour;
      add(one, "bdi", "", classes[id].name); // a name from right to left leaves the line around it as it is
      one.append(` ${value.toFixed(2)}`);
    }
    if (!found.length) add(parent, "span", "", "no detection");
  }

  function drawing(photo, found) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", `0 0 ${photo[2]} ${photo[3]}`);
    svg.setAttribute("aria-hidden", "true");
    for (const [id, ...box] of [...found].reverse()) { // the best on top
      for (const name of ["edge", "box"]) {
        const rect = document.createElementNS(svg.namespaceURI, "rect");
        ["x", "y", "width", "height"].forEach((key, k) => rect.setAttribute(key, box[k]));
        rect.setAttribute("class", name);
        if (name === "box") rect.setAttribute("stroke", classes[id].colour);
        svg.append(rect);
      }
    }
    return svg;
  }

  function card([k, found], place) {
    const photo = photos[k];
    const made = document.createElement("a");
    made.className = "card";
    made.href = address("pictures", photo[1] || photo[0]);
    const frame = add(made, "span", "frame");
    const image = add(frame, "img");
    image.loading = "lazy";
    image.decoding = "async";
    image.alt = "";
    image.src = address("thumbnails", photo[1] || photo[0]);
    frame.append(drawing(photo, found));
    const text = add(made, "span", "words");
    add(text, "span", "name", photo[0]);
    list(add(text, "span", "found"), found);
    made.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      enlarge(place);
    });
    return made;
  }

  function more() {
    const next = shown.slice(drawn, drawn + AT_ONCE);
    grid.append(...next.map((one, k) => card(one, drawn + k)));
    drawn += next.length;
  }

  function update() {
    shown = fitting();
    drawn = 0;
    grid.replaceChildren();
    more();
    const boxes = shown.reduce((sum, [, found]) => sum + found.length, 0);
    $("least").textContent = Number(score.value).toFixed(2);
    $("status").textContent = `${words(shown.length, "photo")} of ${photos.length.toLocaleString("en")}, ${words(boxes, "detection")}`;
  }

  function enlarge(place) {
    open = Math.min(Math.max(place, 0), shown.length - 1);
    const photo = photos[shown[open][0]];
    $("picture").src = $("full").href = address("pictures", photo[1] || photo[0]);
    $("title").textContent = `\u2068${photo[0]}\u2069 (${open + 1} of ${shown.length.toLocaleString("en")}, ${photo[2]}×${photo[3]})`;
    list($("found"), every[shown[open][0]]);
    if (!dialog.open) dialog.showModal();
  }

  dialog.addEventListener("close", () => {
    while (drawn <= open && drawn < shown.length) more();
    grid.children[open]?.focus();
  });
  $("previous").addEventListener("click", () => enlarge(open - 1));
  $("next").addEventListener("click", () => enlarge(open + 1));
  $("close").addEventListener("click", () => dialog.close());

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key] ?? 0;
    const at = [...grid.children].indexOf(document.activeElement);
    if (dialog.open) {
      if (step) enlarge(open + step);
    } else if (event.key === "/" && document.activeElement !== search) {
      event.preventDefault();
      search.focus();
    } else if (step && !document.activeElement.matches("input, select")) {
      if (at + step >= drawn) more();
      grid.children[Math.max(at + step, 0)]?.focus();
    }
  });

  const counts = {};
  for (const [id] of every.flat()) counts[id] = (counts[id] ?? 0) + 1;
  add(chosen, "option", "", "every photo").value = "all";
  for (const [id, one] of Object.entries(classes)) {
    add(chosen, "option", "", `\u2068${one.name}\u2069 (${(counts[id] ?? 0).toLocaleString("en")})`).value = id;
  }
  add(chosen, "option", "", "no detection").value = "none";
  score.min = score.value = threshold;
  for (const tool of [search, chosen, score, sort]) tool.addEventListener("input", update);
  new IntersectionObserver((entries) => entries.some((one) => one.isIntersecting) && more(), { rootMargin: "1200px" }).observe($("end"));
  $("bar").hidden = $("help").hidden = false;
  update();
}
