"use strict";
// Detects through the server of this page, and shows: photos, a video or a camera. Names and errors are text, never markup.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const LEAST = 0.05; // the lowest score that is asked for; the slider chooses among what comes
const LIVE_SIDE = 960; // pixels of a frame's longer side as it is sent
const PHOTO_SIDE = 4096; // of a photo that the server would refuse; phones draw no larger ones
const NAMES = 10; // of classes in the header
const TRIES = 5; // of a photo, while the server is full

const WORDS = {
  en: {
    about: "Finds {classes}. Photos, video and camera stay on this machine.", photos: "Photos…", video: "Video…",
    camera: "Camera", score: "Score from", classes: "Classes", all: "All / none", more: "{names} and {count} more", card: "Model card", nothing: "nothing found",
    ready: "Choose photos, drop them here, or paste one.", busy: "{done} of {all} photos", times: "{found}: {ms} ms to detect, {all} ms in all",
    frames: "{found}: {ms} ms to detect, {rate} frames a second", hidden: "this browser cannot show the photo",
    noVideo: "This browser cannot play that video.", noCamera: "The camera cannot be used.",
    NotAllowedError: "The browser may not use the camera: allow it beside the address.",
    NotFoundError: "There is no camera.", NotReadableError: "Another program uses the camera.",
    facts: ["test photos", "dataset", "network", "steps", "commit", "id"],
  },
  "pt-BR": {
    about: "Encontra {classes}. Fotos, vídeo e câmera não saem desta máquina.", photos: "Fotos…", video: "Vídeo…",
    camera: "Câmera", score: "Score a partir de", classes: "Classes", all: "Todas / nenhuma", more: "{names} e mais {count}", card: "Model card", nothing: "nada encontrado",
    ready: "Escolha fotos, arraste-as para cá ou cole uma.", busy: "{done} de {all} fotos", times: "{found}: {ms} ms para detectar, {all} ms no total",
    frames: "{found}: {ms} ms para detectar, {rate} quadros por segundo", hidden: "este navegador não consegue mostrar a foto",
    noVideo: "Este navegador não consegue reproduzir o vídeo.", noCamera: "Não foi possível usar a câmera.",
    NotAllowedError: "O navegador não tem permissão para usar a câmera: libere-a ao lado do endereço.",
    NotFoundError: "Não há câmera.", NotReadableError: "Outro programa está usando a câmera.",
    facts: ["fotos de teste", "dataset", "rede", "passos", "commit", "id"],
  },
};
const REFUSED = { // by status, 0 for none; else the server's own line, which is in English and says more
  en: { 0: "the server does not answer", 401: "the server was started again: reload the page" },
  "pt-BR": {
    0: "o servidor não responde", 400: "o arquivo está vazio", 401: "o servidor foi reiniciado: recarregue a página",
    408: "a foto chegou devagar demais", 413: "o arquivo é grande demais",
    422: "não é uma foto que possa ser lida, ou é grande demais; salve como JPEG", 429: "fotos demais ao mesmo tempo; espere um pouco",
    500: "o servidor falhou", 503: "o servidor está ocupado; tente de novo",
  },
};
let language = navigator.languages.find((one) => /^(en|pt)\b/.test(one))?.startsWith("pt") ? "pt-BR" : "en";
let status = ["ready"];
const shown = []; // {figure, name, word, picture, loaded, found, error, hidden: whether the browser cannot show it}
const say = (word, values = {}) => WORDS[language][word].replace(/{(\w+)}/g, (_, name) => values[name]);
// A name in a line of others: its direction ends with it, and it can turn none.
const apart = (name) => `\u2068${name.replace(/[\u202a-\u202e\u2066-\u2069]/g, "")}\u2069`;
const number = (value, digits) => value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });

function tell(word, values = {}) {
  status = [word, values];
  $("status").textContent = say(word, values);
}

function make(tag, parent, words = "", attributes = {}) {
  const element = tag === "svg" || parent.namespaceURI.endsWith("svg") ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = words;
  return parent.appendChild(element);
}

// Detecting.

async function detect(photo) {
  const headers = { "Content-Type": photo.type.startsWith("image/") ? photo.type : "application/octet-stream", Authorization: `Bearer ${data.token}` };
  for (let left = TRIES; ; left -= 1) {
    const started = performance.now();
    let answer, found;
    try {
      answer = await fetch(`/v1/detect?threshold=${LEAST}`, { method: "POST", headers, body: photo });
      found = await answer.json();
    } catch {
      throw Object.assign(new Error(), { status: 0 });
    }
    if (answer.ok) return { ...found, all: performance.now() - started };
    if (!left || ![429, 503].includes(answer.status)) throw Object.assign(new Error(found.error), { status: answer.status });
    await new Promise((go) => setTimeout(go, 1000 * Number(answer.headers.get("Retry-After") || 1)));
  }
}

const canvas = document.createElement("canvas");

function jpeg(source, width, height, side) {
  const scale = Math.min(1, side / Math.max(width, height)), pen = canvas.getContext("2d");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  pen.fillStyle = "#fff"; // behind what is transparent, as the server has it
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(source, 0, 0, canvas.width, canvas.height);
  return new Promise((go) => canvas.toBlob(go, "image/jpeg", 0.9));
}

async function fitting(file, picture) { // as it is, unless it is too large and the browser can draw it
  const { naturalWidth: width, naturalHeight: height } = picture;
  const large = width * height > data.limits.pixels || file.size > data.limits.bytes;
  return (large && width && await jpeg(picture, width, height, PHOTO_SIDE)) || file;
}

// Showing.

function chosen(found) {
  const wanted = new Set([...document.querySelectorAll("#classes input:checked")].map((one) => Number(one.value)));
  return found.detections.filter((one) => one.score >= Number($("score").value) && wanted.has(one.id));
}

function draw(entry) {
  const { figure, found, error } = entry, caption = figure.querySelector("figcaption");
  figure.querySelector("svg")?.remove();
  if (!found) {
    caption.textContent = [entry.name, error && (REFUSED[language][error.status] ?? error.message)].filter(Boolean).join(": ");
    return;
  }
  const boxes = chosen(found);
  const svg = make("svg", figure.querySelector(".frame"), "", { viewBox: `0 0 ${found.width} ${found.height}`, "aria-hidden": "true" });
  for (const one of [...boxes].reverse()) {
    const [x, y, right, bottom] = one.box, place = { x, y, width: right - x, height: bottom - y };
    make("rect", svg, "", { ...place, class: "edge" });
    make("rect", svg, "", { ...place, class: "box", stroke: data.classes[one.id].colour });
    const size = Math.max(found.width, found.height) / 32;
    const above = boxes.slice(0, boxes.indexOf(one)).filter((other) => Math.hypot(other.box[0] - x, other.box[1] - y) < size);
    make("text", svg, `${apart(one.class)} ${number(one.score, 2)}`, { x: x + size / 4, y: y + size * 1.1 * (1 + above.length), "font-size": size });
  }
  const names = boxes.map((one) => `${apart(one.class)} ${number(one.score, 2)}`).join(", ") || say("nothing");
  const values = { found: names, ms: number(found.seconds.detecting * 1000, 0), all: number(found.all, 0), rate: number(1000 / found.all, 1) };
  caption.textContent = [entry.name, say(entry.word, values), entry.hidden ? say("hidden") : ""].filter(Boolean).join(" · ");
}

function update() {
  $("least").textContent = number(Number($("score").value), 2);
  shown.forEach(draw);
  draw(live);
}

function entryOf(file) {
  const figure = document.createElement("figure");
  $("gallery").prepend(figure);
  const frame = make("div", figure, "", { class: "frame" });
  make("figcaption", figure);
  const picture = make("img", frame, "", { alt: file.name });
  const entry = { figure, name: apart(file.name), word: "times", picture };
  entry.loaded = new Promise((go) => {
    picture.onerror = () => { entry.hidden = true; picture.remove(); draw(entry); go(); };
    picture.onload = () => { URL.revokeObjectURL(picture.src); go(); };
  });
  picture.src = URL.createObjectURL(file);
  shown.push(entry);
  draw(entry);
  return entry;
}

async function take(files) {
  const waiting = [...files].reverse().map((file) => ({ file, entry: entryOf(file) })).reverse(), all = waiting.length;
  let done = 0;
  const work = async () => {
    for (let one = waiting.shift(); one; one = waiting.shift()) {
      try {
        await one.entry.loaded;
        one.entry.found = await detect(await fitting(one.file, one.entry.picture));
      } catch (error) {
        one.entry.error = error;
      }
      draw(one.entry);
      done += 1;
      tell("busy", { done, all });
    }
  };
  await Promise.all([work(), work()]);
}

// A video, or the camera.

const live = { figure: $("live"), name: "", word: "frames" };
let turn = 0; // of the source that is followed; another one ends it

async function follow() {
  const player = $("player"), own = ++turn;
  let last = -1;
  while (own === turn) {
    await new Promise((go) => setTimeout(go, 15));
    if (player.readyState < 2 || !player.videoWidth || player.currentTime === last) continue;
    last = player.currentTime;
    try {
      live.found = await detect(await jpeg(player, player.videoWidth, player.videoHeight, LIVE_SIDE));
    } catch (error) {
      live.found = null;
      live.error = error;
    }
    if (own === turn) draw(live);
  }
}

function release() {
  const player = $("player");
  turn += 1;
  player.srcObject?.getTracks().forEach((track) => track.stop());
  if (player.src) URL.revokeObjectURL(player.src);
  player.srcObject = null;
  player.removeAttribute("src");
  live.found = live.error = null;
  $("camera").setAttribute("aria-pressed", "false");
}

async function show(name, { file, stream }) {
  const player = $("player");
  release();
  live.name = name && apart(name);
  live.figure.hidden = false;
  player.controls = Boolean(file);
  if (file) player.src = URL.createObjectURL(file);
  else player.srcObject = stream;
  draw(live);
  follow();
  await player.play();
}

async function toggleCamera() {
  if ($("camera").getAttribute("aria-pressed") === "true") {
    release();
    live.figure.hidden = true;
    return;
  }
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    await show("", { stream });
    $("camera").setAttribute("aria-pressed", "true");
  } catch (error) {
    tell(error.name in WORDS.en ? error.name : "noCamera");
  }
}

// The page.

function facts() {
  const { record } = data, metrics = record.metrics || {}, training = record.training || {};
  const rows = ["AP", "AP50"].filter((name) => metrics[name] != null).map((name) => {
    const ends = metrics[`${name}_interval`];
    return [name, number(metrics[name], 3) + (ends ? ` (95 %: ${number(ends.low, 3)} – ${number(ends.high, 3)})` : "")];
  });
  const values = [metrics.images, record.dataset, record.model, training.steps, record.commit, data.model];
  rows.push(...WORDS[language].facts.map((name, place) => [name, values[place]]).filter(([, value]) => value != null));
  $("facts").replaceChildren();
  for (const [name, value] of rows) {
    make("dt", $("facts"), name);
    make("dd", $("facts"), value, { dir: "auto" });
  }
}

function few(names) {
  const first = names.slice(0, NAMES).map(apart).join(", "), count = names.length - NAMES;
  return count > 0 ? say("more", { names: first, count }) : first;
}

function tickAll() { // or none, where all are ticked
  const boxes = [...document.querySelectorAll("#classes input")], ticked = !boxes.every((one) => one.checked);
  for (const one of boxes) one.checked = ticked;
  update();
}

function translate() {
  document.documentElement.lang = language;
  const classes = few(Object.values(data.classes).map((one) => one.name));
  for (const one of document.querySelectorAll("[data-word]")) one.textContent = say(one.dataset.word, { classes });
  for (const one of document.querySelectorAll("[data-language]")) one.setAttribute("aria-pressed", String(one.dataset.language === language));
  tell(...status);
  facts();
  update();
}

for (const [id, one] of Object.entries(data.classes)) {
  const label = make("label", $("classes"));
  make("input", label, "", { type: "checkbox", value: id, checked: "" });
  make("i", label).style.background = one.colour;
  make("span", label, one.name, { dir: "auto" });
}
$("score").value = data.threshold;
$("text").textContent = data.card;
$("text").hidden = !data.card;
$("score").addEventListener("input", update);
$("classes").addEventListener("change", update);
$("all").addEventListener("click", tickAll);
$("camera").addEventListener("click", toggleCamera);
$("photos").addEventListener("change", (event) => { take(event.target.files).then(() => { event.target.value = ""; }); });
$("video").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) show(file.name, { file }).catch(() => {});
  event.target.value = ""; // the same one may be chosen again
});
$("player").addEventListener("error", () => { if ($("player").src) tell("noVideo"); });
for (const one of document.querySelectorAll("[data-language]")) one.addEventListener("click", () => { language = one.dataset.language; translate(); });
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  take(event.dataTransfer.files); // of a HEIC, many browsers know no type; the server refuses what is no photo
});
document.addEventListener("paste", (event) => take([...event.clipboardData.files].filter((file) => file.type.startsWith("image/"))));
translate();
