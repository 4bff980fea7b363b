"use strict";
// Everything that comes from the data is written as text, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);

function make(tag, name, text) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
}

function shown(value) {
  return Number.isInteger(value) ? value.toLocaleString("en") : Number(value.toPrecision(4)).toString();
}

// ---- charts -----------------------------------------------------------------------------------------------------

function step(span, most) {
  const power = 10 ** Math.floor(Math.log10(span / most));
  return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= (span / most) * (1 - 1e-9));
}

function digits(size) {
  for (let count = 0; count < 7; count++) if (Math.abs(size - size.toFixed(count)) < 1e-9) return count;
  return 7;
}

function startChart(figure) {
  const lines = data.charts[figure.dataset.chart];
  const area = figure.querySelector(".area");
  const [left, right] = [area.dataset.low, area.dataset.high].map((ends) => Number(ends.split(" ")[0]));
  const [bottom, top] = [area.dataset.low, area.dataset.high].map((ends) => Number(ends.split(" ")[1]));
  const drawn = [...area.querySelectorAll("polyline")];
  const boxes = [...figure.querySelectorAll(".legend input")]; // none where there is one line only
  const fixed = bottom === 0 && top === 1;
  let [low, high] = [bottom, top];

  const on = () => new Set(boxes.length ? boxes.filter((box) => box.checked).map((box) => box.dataset.task) : lines.map(([task]) => task));
  const across = (x) => (x - left) / (right - left);

  // The axis fits the tasks that are shown.
  function rescale(tasks) {
    const values = lines.filter(([task]) => tasks.has(task)).flatMap(([, points]) => points.map((point) => point[1]));
    if (fixed || !values.length) return;
    [low, high] = values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
    if (low >= 0 && low < 0.5 * high) low = 0;
    if (low === high) [low, high] = low ? [low - Math.abs(low) / 2, high + Math.abs(high) / 2] : [0, 1];
    const size = step(high - low, 6);
    low = Math.floor(low / size + 1e-9) * size;
    high = Math.ceil(high / size - 1e-9) * size;
    const places = [];
    for (let v = low; v <= high + size * 1e-6; v += size) places.push(v);
    const grid = area.querySelector(".grid");
    const ticks = figure.querySelector(".y-ticks");
    grid.replaceChildren();
    ticks.replaceChildren();
    for (const v of places) {
      const share = (v - low) / (high - low);
      const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
      for (const [key, value] of Object.entries({ x1: 0, x2: 1000, y1: 1000 * (1 - share), y2: 1000 * (1 - share) })) line.setAttribute(key, value);
      grid.append(line);
      const label = make("span", "", v.toLocaleString("en", { minimumFractionDigits: digits(size), maximumFractionDigits: digits(size) }));
      label.style.bottom = `${100 * share}%`;
      ticks.append(label);
    }
    drawn.forEach((polyline, i) => {
      const points = lines[i][1].map(([x, y]) => `${1000 * across(x)},${1000 * (1 - (y - low) / (high - low))}`);
      polyline.setAttribute("points", points.join(" "));
    });
    const dots = [...area.querySelectorAll(".dots i")];
    let at = 0;
    for (const [task, points, dashed] of lines) {
      if (dashed || !dots.length) continue;
      for (const [, y] of points) if (dots[at]) dots[at++].style.top = `${100 * (1 - (y - low) / (high - low))}%`;
    }
  }

  function update() {
    const tasks = on();
    drawn.forEach((line, i) => (line.style.display = tasks.has(lines[i][0]) ? "" : "none"));
    for (const dot of area.querySelectorAll(".dots i")) dot.style.display = tasks.has(dot.dataset.task) ? "" : "none";
    rescale(tasks);
  }
  for (const box of boxes) box.addEventListener("change", update);
  figure.querySelector(".all")?.addEventListener("click", () => {
    const all = boxes.every((box) => box.checked);
    for (const box of boxes) box.checked = !all;
    update();
  });

  const cursor = make("div", "cursor");
  const tip = make("div", "tip");
  cursor.hidden = tip.hidden = true;
  area.append(cursor, tip);
  area.addEventListener("pointermove", (event) => {
    const frame = area.getBoundingClientRect();
    const wanted = left + ((event.clientX - frame.left) / frame.width) * (right - left);
    const tasks = on();
    let nearest = null;
    const rows = [];
    lines.forEach(([task, points, dashed], i) => {
      if (!tasks.has(task) || !points.length) return;
      const point = points.reduce((a, b) => (Math.abs(b[0] - wanted) < Math.abs(a[0] - wanted) ? b : a));
      if (nearest === null || Math.abs(point[0] - wanted) < Math.abs(nearest - wanted)) nearest = point[0];
      rows.push([task, point[1], dashed, drawn[i].getAttribute("class").split(" ")[0]]);
    });
    if (nearest === null) return;
    rows.sort((a, b) => b[1] - a[1]);
    const title = make("div", "", `${figure.querySelector(".x-name").textContent} ${shown(nearest)}`);
    tip.replaceChildren(title, ...rows.map(([task, value, dashed, colour]) => {
      const row = make("div");
      row.append(make("span", colour, dashed ? `${task} (dashed)` : task), make("b", "", shown(value)));
      return row;
    }));
    cursor.style.left = `${100 * across(nearest)}%`;
    cursor.hidden = tip.hidden = false;
    const middle = across(nearest) > 0.5;
    tip.style.left = middle ? "auto" : `calc(${100 * across(nearest)}% + 10px)`;
    tip.style.right = middle ? `calc(${100 * (1 - across(nearest))}% + 10px)` : "auto";
  });
  area.addEventListener("pointerleave", () => (cursor.hidden = tip.hidden = true));
}
document.querySelectorAll("figure.chart").forEach(startChart);

// ---- errors -----------------------------------------------------------------------------------------------------

const PAGE = 40; // cases drawn at a time
const [TASK, SPLIT, ID, TEXTS, FAULTS, GOLD, FOUND, GOLD_MARKS, FOUND_MARKS, ARGUMENTS, SURE] = Array(11).keys();

function sentence(text, marks, side) {
  const line = make("span");
  let at = 0;
  for (const [start, end, label, right] of [...marks].sort((a, b) => a[0] - b[0] || b[1] - a[1])) {
    if (start < at) continue; // nested in the one before
    line.append(text.slice(at, start));
    const mark = make("mark", side === "argument" ? "argument" : right ? "right" : side, text.slice(start, end));
    if (label) mark.append(make("sub", "", label));
    line.append(mark);
    at = end;
  }
  line.append(text.slice(at));
  return line;
}

function withSide(name, content) {
  const row = make("p", "side");
  row.append(make("span", "", name), content);
  return row;
}

// Offsets count characters as Python does; a character outside the basic plane is two of a string's units here.
function units(text, marks) {
  if (!/[\ud800-\udfff]/.test(text)) return marks;
  const at = [0];
  for (const character of text) at.push(at[at.length - 1] + character.length);
  return marks.map(([start, end, label, right]) => [at[start], at[end], label, right]);
}

function draw(one) {
  const box = make("article", "case");
  const head = make("header");
  head.append(make("b", "", one[TASK]), make("span", "", one[SPLIT]), make("span", "", one[ID]));
  for (const [kinds, gold, found] of one[FAULTS]) {
    const [left, right] = kinds[0] === "score" ? [one[GOLD], one[FOUND]] : [gold, found];
    const labels = left && right && left !== right ? `${left} → ${right}` : left || right;
    head.append(make("span", "kind", `${kinds.join(" + ")}${labels ? ": " + labels : ""}`));
  }
  if (one[SURE] !== null) head.append(make("span", "", `probability ${one[SURE].toFixed(2)}`));
  box.append(head);
  const texts = one[TEXTS].map((index) => data.texts[index]);
  if (one[GOLD_MARKS].length || one[FOUND_MARKS].length) {
    for (const [name, marks, side] of [["gold", one[GOLD_MARKS], "gold"], ["predicted", one[FOUND_MARKS], "found"]]) {
      const words = marks.map(([start, end, label]) => `${label} ${start}-${end}`).join(", ");
      box.append(withSide(name, texts.length ? sentence(texts[0], units(texts[0], marks), side) : make("span", "", words || "none")));
    }
    for (const text of texts.slice(1)) box.append(make("p", "", text));
    return box;
  }
  texts.forEach((text, i) => {
    const line = make("p");
    line.append(i ? text : sentence(text, units(text, one[ARGUMENTS]), "argument"));
    box.append(line);
  });
  const told = one[FAULTS].some(([kinds, gold, found]) => kinds[0] === "score" || (gold && found));
  if (one[GOLD] !== one[FOUND] && !told) {
    box.append(withSide("gold", make("span", "", one[GOLD])), withSide("predicted", make("span", "", one[FOUND])));
  }
  return box;
}

function startErrors(form) {
  const list = document.getElementById("cases");
  const more = document.getElementById("more");
  const found = document.getElementById("found");
  const named = form.elements.label;
  let matching = [];
  let drawn = 0;

  const labels = new Set(data.cases.flatMap((one) => one[FAULTS].flatMap(([, gold, predicted]) => [gold, predicted])));
  for (const label of [...labels].filter(Boolean).sort()) named.append(make("option", "", label));
  const words = []; // what a search looks in, made when it first does
  function wordsOf(index) {
    const one = data.cases[index];
    const parts = [one[ID], one[GOLD], one[FOUND], ...one[TEXTS].map((number) => data.texts[number])];
    for (const [kinds, gold, predicted] of one[FAULTS]) parts.push(kinds.join(" "), gold, predicted);
    return parts.join("\n").toLowerCase();
  }

  function drawMore() {
    list.append(...matching.slice(drawn, drawn + PAGE).map((index) => draw(data.cases[index])));
    drawn = Math.min(drawn + PAGE, matching.length);
    more.hidden = drawn >= matching.length;
  }

  function filter() {
    const { task, split, label, kind, order, search } = Object.fromEntries(new FormData(form));
    const wanted = search.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (fault) => (!kind || fault[0].includes(kind)) && (!label || fault[1] === label || fault[2] === label);
    matching = [...data.cases.keys()].filter((index) => {
      const one = data.cases[index];
      return (!task || one[TASK] === task) && (!split || one[SPLIT] === split) && one[FAULTS].some(fits) && wanted.every((word) => (words[index] ??= wordsOf(index)).includes(word));
    });
    if (order === "sure") matching.sort((a, b) => (data.cases[b][SURE] ?? -1) - (data.cases[a][SURE] ?? -1));
    const counts = matching.reduce((sum, index) => sum + data.cases[index][FAULTS].filter(fits).length, 0);
    found.textContent = `${counts.toLocaleString("en")} errors in ${matching.length.toLocaleString("en")} of ${data.cases.length.toLocaleString("en")} records`;
    list.replaceChildren();
    drawn = 0;
    drawMore();
  }

  let waiting;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 60); // not at every key
  });
  form.addEventListener("change", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", drawMore);
  // The next ones come when the end of the list comes into view.
  new IntersectionObserver((seen) => seen.some((entry) => entry.isIntersecting) && drawn && drawMore(), { rootMargin: "600px" }).observe(more);
  filter();
}
const filters = document.getElementById("filters");
if (filters) startErrors(filters);

// ---- page -------------------------------------------------------------------------------------------------------

// #task-3 unfolds that task; #errors=NAME shows the errors of one.
function follow() {
  const [place, task] = location.hash.slice(1).split("=");
  const target = place && document.getElementById(place);
  if (!target) return;
  if (target.tagName === "DETAILS") target.open = true;
  if (task && filters) {
    filters.reset();
    filters.elements.task.value = decodeURIComponent(task);
    filters.dispatchEvent(new Event("change"));
    target.scrollIntoView();
  }
}
addEventListener("hashchange", follow);
follow();

// On paper nothing can be unfolded.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const part of folded) part.open = true;
});
addEventListener("afterprint", () => {
  for (const part of folded) part.open = false;
});
