"use strict";
// The page works without this script, as plain tables and figures; here they sort, filter, and the gallery fills.
document.documentElement.classList.add("js");
const all = (query, within = document) => [...within.querySelectorAll(query)];
const byId = (id) => document.getElementById(id);
const natural = new Intl.Collator("en", { numeric: true });

// ---- light, dark, or what the system says ----
function themes(button) {
  const names = ["auto", "light", "dark"];
  const kept = { get: () => localStorage.getItem("theme"), set: (name) => localStorage.setItem("theme", name) };
  const attempt = (work) => { try { return work(); } catch { return null; } }; // storage may be denied to files
  const show = (name) => {
    if (name === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    button.textContent = `Theme: ${name}`;
    button.value = name;
  };
  const before = attempt(kept.get);
  show(names.includes(before) ? before : "auto");
  button.addEventListener("click", () => {
    show(names[(names.indexOf(button.value) + 1) % names.length]);
    attempt(() => kept.set(button.value));
  });
}

// ---- tables ----
function sortable(table) {
  const heads = all("th", table);
  const rows = all("tbody tr", table); // in the order of the file, to which a third click returns
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = { ascending: "descending", descending: null }[head.ariaSort];
      const way = next === undefined ? "ascending" : next;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (way) head.setAttribute("aria-sort", way);
      table.tBodies[0].append(...(way ? sorted(rows, column, way === "ascending" ? 1 : -1, head.className) : rows));
    });
  });
}

function sorted(rows, column, sign, kind) {
  const key = (row) => {
    const cell = row.cells[column];
    return kind === "number" ? Number(cell.dataset.sort ?? NaN) : cell.textContent;
  };
  const missing = (value) => value === "" || Number.isNaN(value);
  const order = (a, b) => (kind === "number" ? a - b : natural.compare(a, b));
  const keyed = rows.map((row) => [key(row), row]);
  keyed.sort(([a], [b]) => missing(a) - missing(b) || (missing(a) ? 0 : sign * order(a, b))); // stable; missing last
  return keyed.map(([, row]) => row);
}

function filterable(input) {
  const rows = all("tbody tr", byId(input.dataset.filters));
  const texts = rows.map((row) => [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase());
  const status = document.querySelector(`[data-counts="${input.dataset.filters}"]`);
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    rows.forEach((row, at) => { row.hidden = !words.every((word) => texts[at].includes(word)); });
    status.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  };
  input.addEventListener("input", apply);
  apply();
}

// ---- the gallery ----
const SVG = "http://www.w3.org/2000/svg";
const BATCH = 24; // cards made at a time
const ORDERS = {
  worst: (a, b) => a.dice - b.dice,
  best: (a, b) => b.dice - a.dice,
  slice: () => 0,
  smallest: (a, b) => a.mm2 - b.mm2,
  largest: (a, b) => b.mm2 - a.mm2,
};
const area = (mm2) => (mm2 == null ? "unknown" : `${Math.round(mm2)} mm²`);
const dice = (value) => (value == null ? "none" : value.toFixed(3));
const bound = (field, without) => (field.value === "" ? without : field.valueAsNumber);

function gallery(data) {
  const form = byId("controls"), field = form.elements;
  const list = byId("slices"), more = byId("more"), large = byId("large");
  const runs = new Map(data.runs.map((run) => [run.id, run]));
  const named = (run) => [ // what differs first: a narrow list cuts the rest off
    run.form, run.split, run.seed == null ? "no seed" : `seed ${run.seed}`, ...(run.click ? ["saw a click"] : []), run.terms,
  ].join(" · ");
  let matches = [], made = 0, open = -1;

  const options = (select, values) => select.replaceChildren(...values.map(([value, text]) => new Option(text, value)));
  const arms = [...new Set(data.runs.map((run) => run.arm))];
  options(field.arm, arms.map((arm) => [arm, arm]));
  options(field.other, [["", "no other run"], ...data.runs.map((run) => [run.id, `${run.arm} · ${named(run)}`])]);
  const chooseRuns = () => options(
    field.run, data.runs.filter((run) => run.arm === field.arm.value).map((run) => [run.id, named(run)]),
  );

  function matching() {
    const outlines = data.outlines[field.run.value] ?? {}, word = field.named.value.trim().toLowerCase();
    const low = bound(field.low, 0), high = bound(field.high, 1);
    const small = bound(field.small, -Infinity), big = bound(field.large, Infinity);
    return Object.entries(outlines)
      .filter(([number]) => number in data.slices)
      .map(([number, outline]) => ({ number, dice: outline.dice ?? 0, mm2: data.slices[number].mm2, outline }))
      .filter((match) => match.dice >= low && match.dice <= high && match.mm2 >= small && match.mm2 <= big)
      .filter((match) => !word || match.number === word || (data.slices[match.number].patient ?? "").toLowerCase().includes(word))
      .sort((a, b) => ORDERS[field.order.value](a, b) || a.number - b.number);
  }

  const sentences = (match) => {
    const slice = data.slices[match.number], other = data.outlines[field.other.value]?.[match.number];
    return [
      `Slice ${match.number}, patient ${slice.patient ?? "unknown"}`,
      `Dice ${dice(match.outline.dice)}${field.other.value ? `, second run ${other ? dice(other.dice) : "not tested"}` : ""}`,
      `Area ${area(slice.mm2)}, predicted ${match.outline.d ? area(match.outline.mm2) : "nothing"}`,
    ];
  };

  function drawing(match) {
    const slice = data.slices[match.number], other = data.outlines[field.other.value]?.[match.number];
    const make = (tag, attributes) => {
      const element = document.createElementNS(SVG, tag);
      Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
      return element;
    };
    const svg = make("svg", { viewBox: `0 0 ${data.width} ${data.height}`, role: "img", "aria-label": sentences(match).join(". ") });
    svg.append(make("image", { href: slice.image, width: data.width, height: data.height, preserveAspectRatio: "none" }));
    const outline = (kind, d) => svg.append(make("path", { class: `outline ${kind}`, d: d ?? "" }));
    if (field.truth.checked) outline("truth", slice.truth);
    if (field.prediction.checked) outline("prediction", match.outline.d);
    if (field.second.checked && other) outline("second", other.d);
    return svg;
  }

  function card(match, place) {
    const item = document.createElement("li"), button = document.createElement("button");
    const words = document.createElement("span"), picture = drawing(match);
    button.type = "button";
    picture.setAttribute("aria-hidden", "true"); // its words stand below it
    words.className = "words";
    sentences(match).forEach((line) => words.append(line, document.createElement("br")));
    button.append(picture, words);
    button.addEventListener("click", () => { show(place); large.showModal(); });
    item.append(button);
    return item;
  }

  function extend() {
    list.append(...matches.slice(made, made + BATCH).map((match, at) => card(match, made + at)));
    made = Math.min(made + BATCH, matches.length);
    more.hidden = made === matches.length;
    byId("shown").textContent = `${matches.length} of ${Object.keys(data.outlines[field.run.value] ?? {}).length} tested slices match`
      + (more.hidden ? "" : `; the first ${made} are shown`);
  }

  function refresh() {
    field.second.disabled = !field.other.value;
    matches = matching();
    const chosen = [["", field.run.value], ["; dotted: ", field.other.value]].filter(([, id]) => id);
    byId("which").textContent = chosen.map(([lead, id]) => `${lead}${runs.get(id).arm} · ${named(runs.get(id))}`).join("");
    made = 0;
    list.replaceChildren();
    extend();
  }

  function show(place) {
    open = Math.max(0, Math.min(place, matches.length - 1));
    large.querySelector(".stage").replaceChildren(drawing(matches[open]));
    large.querySelector("p").textContent = `${sentences(matches[open]).join(". ")}. (${open + 1} of ${matches.length})`;
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    if (event.target === field.arm) chooseRuns();
    refresh();
  });
  more.addEventListener("click", () => {
    const next = list.children.length;
    extend();
    list.children[next]?.firstChild.focus();
  });
  const close = () => large.close();
  large.querySelector("[name=previous]").addEventListener("click", () => show(open - 1));
  large.querySelector("[name=next]").addEventListener("click", () => show(open + 1));
  large.querySelector("[name=close]").addEventListener("click", close);
  large.addEventListener("click", (event) => { if (event.target === large) close(); }); // beside the picture
  large.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) show(open + step);
  });
  chooseRuns();
  refresh();
}

themes(byId("theme"));
all("main table").forEach(sortable);
all("[data-filters]").forEach(filterable);
const predictions = byId("predictions");
if (predictions) gallery(JSON.parse(predictions.textContent));
addEventListener("beforeprint", () => all("details").forEach((box) => { box.open = true; }));
