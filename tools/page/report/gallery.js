{
  const AT_ONCE = matchMedia("(max-width: 620px)").matches ? 12 : 24; // photos that are added at a time
  const FIELDS = 9; // of a box: kind, class, x, y, width, height, last, known, about: tools/reporting/album.py
  const [IGNORED, MISSED, CROWD] = ["ignored", "missed", "crowd"];
  const shots = all(".shot"), kinds = all(".kind"), dialog = $("dialog");
  const photos = data.photos.map(([name, width, height, ...boxes]) => {
    const rows = Array.from({ length: boxes.length / FIELDS }, (_, k) => boxes.slice(FIELDS * k, FIELDS * (k + 1)));
    return { name, width, height, boxes: rows.map(([kind, number, ...rest]) => [data.boxes[kind], number, ...rest]) };
  });
  let place = data.place; // of the threshold
  let fitting = shots; // those that the filters leave
  let most = AT_ONCE; // of them on the page
  let open = 0; // the one that is large

  const isShown = ([kind, , , , , , last]) => kind === CROWD || (kind === MISSED ? last < place : last >= place);
  const isCounted = (box) => isShown(box) && (box[0] !== MISSED || box[7] < place);
  const isDrawn = (box) => isShown(box) && box[0] !== IGNORED;
  const photoOf = (shot) => photos[Number(shot.dataset.photo)];

  function svg(tag, attributes, parent) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    parent?.append(made);
    return made;
  }

  function drawing(photo, named) {
    const made = svg("svg", { class: "boxes", viewBox: `0 0 ${photo.width} ${photo.height}`, "aria-hidden": "true" });
    const shown = photo.boxes.filter(isDrawn);
    for (const [kind, , x, y, width, height] of shown) {
      for (const name of ["edge", kind]) svg("rect", { class: name, x, y, width, height }, made);
    }
    if (named) letter(made, photo, shown);
    return made;
  }

  // The name of each box at its upper corner; below those that are there already.
  function letter(drawing, photo, boxes) {
    const size = Math.max(photo.width, photo.height) / 45, taken = [];
    for (const box of [...boxes].reverse()) {
      const x = box[2] + size / 4;
      let y = Math.max(box[3] - size / 3, size);
      while (taken.some(([left, top]) => Math.abs(left - x) < 12 * size && Math.abs(top - y) < size)) y += size * 1.1;
      taken.push([x, y]);
      const text = svg("text", { x, y, "stroke-width": size / 5 }, drawing);
      text.style.fontSize = `${size}px`;
      text.textContent = label(box);
    }
  }

  function label(box) {
    const [kind, number, , , , , last] = box;
    const score = kind === MISSED || kind === CROWD ? "" : ` ${fixed(last / 100, 2)}`;
    return `${apart(data.classes[number])}${score} ${kind === MISSED && !isCounted(box) ? data.words.labelled : data.words[kind]}`;
  }

  function counted(photo) {
    const counts = {};
    for (const box of photo.boxes) if (isCounted(box) && box[0] in data.kinds) counts[box[0]] = (counts[box[0]] ?? 0) + 1;
    const words = Object.keys(data.words).filter((kind) => kind in counts).map((kind) => `${data.words[kind]}: ${counts[kind]}`);
    return words.join(", ") || data.words.none;
  }

  // Of a class are the boxes of that class, and those that take its objects for another.
  function fits(photo) {
    const kind = $("kind").value, number = $("class").value;
    if (!kind && !number) return true;
    const meant = photo.boxes.filter((box) => (kind ? isCounted(box) && box[0] === kind : isDrawn(box)));
    return meant.some((box) => !number || box[1] === Number(number) || box[8] === Number(number));
  }

  function draw(shot) {
    const photo = photoOf(shot);
    shot.querySelector("svg").replaceWith(drawing(photo, false));
    shot.querySelector(".found").textContent = counted(photo);
  }

  function update() {
    fitting = shots.filter((shot) => fits(photoOf(shot)));
    const chosen = new Set(fitting);
    for (const shot of shots) shot.hidden = !chosen.has(shot);
    fitting.forEach((shot, k) => shot.classList.toggle("later", k >= most));
    fitting.slice(0, most).forEach(draw);
    for (const one of kinds) one.setAttribute("aria-pressed", String(one.dataset.kind === $("kind").value));
    $("status").textContent = filled(data.words.photos, { shown: fitting.length, all: photos.length });
    for (const one of all(".more")) one.hidden = fitting.length <= most;
  }

  function choose() {
    most = AT_ONCE;
    update();
  }

  function enlarge(k) {
    open = Math.min(Math.max(k, 0), fitting.length - 1);
    const photo = photoOf(fitting[open]), image = fitting[open].querySelector("img").cloneNode();
    $("canvas").replaceChildren(image, drawing(photo, true));
    $("title").textContent = `${apart(photo.name)} (${open + 1}/${fitting.length}, ${photo.width}×${photo.height})`;
    $("list").textContent = photo.boxes.filter(isShown).reverse().map(label).join(", ") || data.words.none;
    if (!dialog.open) dialog.showModal();
  }

  function focus(k) {
    if (k >= most) {
      while (k >= most) most += AT_ONCE;
      update();
    }
    fitting[k]?.querySelector("button").focus();
  }

  addEventListener("beforeprint", () => {
    for (const one of all("details")) one.open = true;
    fitting.forEach(draw); // those that are not on the page yet, too
  });
  for (const shot of shots) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", filled(data.words.enlarge, { name: photoOf(shot).name }));
    button.addEventListener("click", () => enlarge(fitting.indexOf(shot)));
    shot.querySelector(".frame").append(button);
  }
  for (const one of kinds) {
    one.disabled = !dialog;
    one.addEventListener("click", () => {
      $("kind").value = $("kind").value === one.dataset.kind ? "" : one.dataset.kind;
      choose();
      $("photos").scrollIntoView();
    });
  }
  if (dialog) {
    for (const tool of [$("kind"), $("class")]) tool.addEventListener("input", choose);
    for (const one of all(".tools")) one.hidden = false;
    $("more").addEventListener("click", () => focus(most));
    $("previous").addEventListener("click", () => enlarge(open - 1));
    $("following").addEventListener("click", () => enlarge(open + 1));
    $("close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => focus(open));
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key] ?? 0;
      const at = fitting.indexOf(document.activeElement?.closest(".shot"));
      if (step && dialog.open) enlarge(open + step);
      else if (step && at >= 0) focus(Math.max(at + step, 0));
    });
    changed.push((now) => {
      place = now;
      update();
    });
    update();
  }
}
