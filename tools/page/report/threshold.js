"use strict";
const $ = (id) => document.getElementById(id);
const all = (selector) => [...document.querySelectorAll(selector)];
// What tools/reporting/content.py has counted: arrays are by threshold, 0 to 100 hundredths.
const data = JSON.parse($("data").textContent);
const sum = (rows, place) => rows.reduce((total, row) => total + row[place], 0);
const fixed = (value, digits) => value.toFixed(digits).replace(".", data.decimal);
const whole = (value) => String(value).replace(/\B(?=(\d{3})+$)/g, data.thousands);
const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const apart = (name) => `\u2068${name}\u2069`; // so that a name from right to left leaves the line around it as it is
const changed = []; // what else moves with the threshold

// 89 %; never 100 where something is missing, never 0 where there is something.
function percent(part, of) {
  if (!of) return "–";
  const share = part === 0 || part === of ? part / of : Math.min(Math.max(part / of, 0.01), 0.99);
  return `${Math.round(100 * share)} %`;
}

// Wilson's 95 % interval of a share, as tools/checks/enough.py has it.
function interval(part, of) {
  if (!of) return [0, 1];
  const z = 1.96, share = part / of, shrink = 1 + z * z / of;
  const middle = (share + z * z / (2 * of)) / shrink;
  const half = z / shrink * Math.sqrt(share * (1 - share) / of + z * z / (4 * of * of));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

function showShare(cell, part, of) {
  const [low, high] = interval(part, of).map((end) => percent(Math.round(end * 1e6), 1e6));
  cell.dataset.value = of ? part / of : -1;
  cell.firstChild.textContent = `${percent(part, of)} `;
  cell.querySelector("small").textContent = filled(data.words.interval, { low, high });
}

function showClass(row, place) {
  const number = Number(row.dataset.class);
  const right = data.right[number][place], shown = data.shown[number][place], objects = data.objects[number];
  showShare(row.querySelector("[data-cell=found]"), right, objects);
  showShare(row.querySelector("[data-cell=correct]"), right, shown);
  const f1 = row.querySelector("[data-cell=f1]");
  f1.dataset.value = 2 * right / Math.max(shown + objects, 1);
  f1.textContent = fixed(Number(f1.dataset.value), 2);
}

function showMatrix(place) {
  const counts = new Map(data.confusion.map(([row, column, values]) => [`${row},${column}`, values[place]]));
  const cells = all("td[data-cell][style]");
  const totals = {};
  for (const cell of cells) {
    const row = cell.dataset.cell.split(",")[0];
    totals[row] = (totals[row] ?? 0) + (counts.get(cell.dataset.cell) ?? 0);
  }
  for (const cell of cells) {
    const count = counts.get(cell.dataset.cell) ?? 0;
    const share = Math.round(100 * count / Math.max(totals[cell.dataset.cell.split(",")[0]], 1));
    cell.style.setProperty("--share", share / 100);
    cell.querySelector("b").textContent = whole(count);
    cell.querySelector("span").textContent = `${share} %`;
  }
}

function showThreshold() {
  const place = Number($("threshold").value), threshold = fixed(place / 100, 2);
  const right = sum(data.right, place), shown = sum(data.shown, place);
  const objects = data.objects.reduce((total, one) => total + one, 0), wrong = shown - right;
  const counts = { shown, wrong };
  for (const [kind, values] of Object.entries(data.kinds)) counts[kind] = values[place];
  for (const one of all("[data-count]")) one.textContent = whole(counts[one.dataset.count]);
  const values = { right: whole(right), objects: whole(objects), wrong: whole(wrong), shown: whole(shown), threshold };
  const text = filled(data.sentence[shown ? Number(wrong === 1) : 2], values);
  $("sentence").textContent = text[0].toUpperCase() + text.slice(1);
  for (const one of all("[data-share=recall]")) one.textContent = percent(right, objects);
  for (const one of all("[data-share=precision]")) one.textContent = percent(right, shown);
  $("at").textContent = threshold;
  const svg = $("threshold-mark").closest("svg"), left = Number(svg.dataset.left);
  $("threshold-mark").setAttribute("transform", `translate(${left + Number(svg.dataset.width) * place / 100} 0)`);
  for (const row of all("tr[data-class]")) showClass(row, place);
  showMatrix(place);
  for (const show of changed) show(place);
}

$("threshold").addEventListener("input", showThreshold);
$("reset").addEventListener("click", () => {
  $("threshold").value = data.place;
  showThreshold();
});
for (const one of all(".slider")) one.hidden = false;
