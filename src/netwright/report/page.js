"use strict";

// The plots are made in light colours. In the dark these take their places.
const DARK = {
  "#1c2430": "#e4e8ee", "#7b8494": "#97a1b0", "#e6e9ee": "#2b323d", "#b9c0ca": "#4a5463", "#ffffff": "#14181f",
  "#eef1f5": "#1e2530", "#e9ecf1": "#29303b", "rgba(255,255,255,0.7)": "rgba(20,24,31,0.7)", "#0072b2": "#4aa3df",
  "#8a93a0": "#8a93a0", "#7a4fbf": "#a98be0", "#a3142b": "#e5647a", "#e4edf6": "#1b2a3a", "#bcd3e8": "#204466",
  "#7fabd1": "#2f6da3", "#2f73ad": "#5fa3da", "#0b3c66": "#b5d8f5",
};
const NARROW = 560;
const LONG = 30;  // letters
const SHOWN = 1000;  // rows of numbers
const PRINTED = 680;  // pixels of the width of a page

const darkness = matchMedia("(prefers-color-scheme: dark)");
const side = (axis) => axis.domain ?? [0, 1];

// Two panels side by side stand one below the other where there is no room for both.
function stack(layout) {
  const { xaxis, xaxis2, yaxis, yaxis2 } = layout;
  if (!xaxis || !xaxis2 || !yaxis || !yaxis2 || layout.xaxis3 || xaxis.visible === false || xaxis2.visible === false) return;
  if (side(xaxis)[1] > side(xaxis2)[0] || (layout.annotations ?? []).some((one) => one.xref === "paper")) return;
  xaxis.domain = xaxis2.domain = [0, 1];
  yaxis.domain = [0.6, 1];
  yaxis2.domain = [0, 0.42];
  layout.height *= 1.6;
}

// A long title of an axis takes two lines.
function wrap(title) {
  if (!title?.text || title.text.length < LONG || /[<&]/.test(title.text)) return;
  const at = title.text.indexOf(" ", title.text.length / 2 - 4);
  if (at > 0) title.text = `${title.text.slice(0, at)}<br>${title.text.slice(at + 1)}`;
}

function draw(area, dark, width) {
  const text = document.getElementById("plot-" + area.dataset.plot).textContent;
  const figure = JSON.parse(text, (_, value) => (dark && typeof value === "string" && DARK[value.toLowerCase()]) || value);
  const layout = figure.layout;
  if ((width ?? area.clientWidth) < NARROW) {
    stack(layout);
    for (const [name, part] of Object.entries(layout)) if (/^[xy]axis/.test(name)) wrap(part.title);
    layout.margin = { ...layout.margin, l: 44, r: 8 };
    layout.font = { ...layout.font, size: 11 };
  }
  if (width) Object.assign(layout, { width, autosize: false });
  area.style.height = layout.height + "px";
  area.dataset.narrow = (width ?? area.clientWidth) < NARROW;
  Plotly.react(area, figure.data, layout, { responsive: !width, displaylogo: false, displayModeBar: false });
}

const plots = [...document.querySelectorAll("[data-plot]")];
const redraw = () => plots.forEach((area) => draw(area, darkness.matches));
redraw();
document.getElementById("js-plotly-tester")?.setAttribute("aria-hidden", "true");
darkness.addEventListener("change", redraw);
addEventListener("beforeprint", () => plots.forEach((area) => draw(area, false, PRINTED)));
addEventListener("afterprint", redraw);
addEventListener("resize", () => plots
  .filter((area) => area.dataset.narrow !== String(area.clientWidth < NARROW))
  .forEach((area) => draw(area, darkness.matches)));

// Who cannot use a mouse scrolls with the keyboard what is wider than the page.
const reachable = () => document.querySelectorAll(".scroll, .wide, .drawing, pre").forEach((box) => {
  const name = box.querySelector("table, svg")?.getAttribute("aria-label");
  const more = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
  for (const [key, value] of [["tabindex", "0"], ["role", name && "region"], ["aria-label", name]]) {
    if (more && value) box.setAttribute(key, value); else box.removeAttribute(key);
  }
});
reachable();
addEventListener("resize", reachable);

for (const head of document.querySelectorAll("#every-trial thead th")) {
  head.addEventListener("click", () => {
    const rising = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const body = head.closest("table").tBodies[0];
    const key = (row) => { const cell = row.cells[head.cellIndex]; return cell.dataset.key ?? cell.textContent; };
    const compare = (a, b) => {
      if (a === "" || b === "") return (a === "") - (b === "");  // what is missing stays last, either way
      const order = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
      return rising ? order : -order;
    };
    body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b))));
  });
}

for (const turn of document.querySelectorAll(".turning input")) {
  const sheet = turn.closest("figure").querySelector("img");
  const show = () => {
    sheet.style.transform = `translateY(${-100 * turn.value / (Number(turn.max) + 1)}%)`;
    turn.setAttribute("aria-valuetext", `${turn.value * turn.dataset.step} degrees`);
  };
  turn.addEventListener("input", show);
  show();
}

// The numbers of a figure, which are there as a CSV file, as a table once someone wants to read them.
function records(text) {
  const rows = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    rows.at(-1).push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end !== ",") rows.push([]);
  }
  return rows.filter((row) => row.length > 1 || row[0]);
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

async function contents(link) {
  const bytes = Uint8Array.from(atob(link.href.split(",")[1]), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream();
  const packed = link.download.endsWith(".gz");
  return new Response(packed ? stream.pipeThrough(new DecompressionStream("gzip")) : stream).text();
}

for (const details of document.querySelectorAll("details.numbers")) {
  details.addEventListener("toggle", async () => {
    const link = details.querySelector("a");
    const [head, ...rows] = records(await contents(link));
    const table = element("table", "", { "aria-label": link.textContent });
    table.createTHead().insertRow().append(...head.map((text) => element("th", text, { scope: "col" })));
    const body = table.createTBody();
    for (const row of rows.slice(0, SHOWN)) body.insertRow().append(...row.map((text) => element("td", text)));
    const box = element("div", "", { class: "scroll" });
    box.append(table);
    details.append(box, element("p", rows.length > SHOWN ? `the first ${SHOWN}; all are in the file` : ""));
    reachable();
  }, { once: true });
}
