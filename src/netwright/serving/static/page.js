"use strict";
// The page of a served network: a file goes to /predict, and the answer is shown. Nothing else is asked for.

const COLOURS = [
  [230, 75, 53], [77, 187, 213], [0, 160, 135], [243, 155, 127], [132, 145, 250], [240, 228, 66],
  [204, 121, 167], [145, 209, 120], [126, 97, 72], [0, 114, 178], [255, 150, 30], [180, 180, 180],
];
const at = (id) => document.getElementById(id);
const show = (id, shown) => { at(id).hidden = !shown; };
const state = (name) => { document.body.dataset.state = name; };

let about = null;
let viewer = null;
let asking = null;
let address = null;
let drawPicture = () => {};

const colourOf = (place) => COLOURS[(place - 1) % COLOURS.length];

function say(text) { at("status").textContent = text; }

function complain(text) {
  at("error").textContent = text;
  show("error", true);
  say("");
  state("failed");
}

async function start() {
  about = await (await fetch("/about")).json();
  const channels = about.takes.channels;
  document.title = `${about.run} · netwright`;
  at("title").textContent = about.run;
  at("about").textContent =
    `${about.task}, ${about.network}: a ${about.takes.kind} of ${channels} channel${channels === 1 ? "" : "s"} in, ` +
    `a ${about.gives} out`;
  at("wanted").textContent =
    `Drop a ${about.takes.kind} here (${about.takes.files.join(", ")}), or choose one. It goes to this server alone.`;
  at("note").textContent = about.note;
  state("ready");
}

async function predict(file) {
  if (asking) asking.abort();
  const own = new AbortController();
  asking = own;
  clear();
  state("working");
  if (file.size > about.takes.most_bytes) {
    complain(`${file.name} has ${file.size} bytes: expected at most ${about.takes.most_bytes}. Crop or compress it.`);
    return;
  }
  say(`${file.name}: predicting …`);
  const begun = performance.now();
  try {
    const answer = await fetch("/predict", { method: "POST", body: file, signal: own.signal });
    if (!answer.ok) {
      complain((await answer.json()).error.message);
      return;
    }
    const result = await answer.blob();
    if (own !== asking) return;
    await display(file, result);
    say(`${file.name}: ${((performance.now() - begun) / 1000).toFixed(1)} s`);
    state("done");
  } catch (error) {
    if (own !== asking || error.name === "AbortError") return;
    complain(`The server gave no answer, or the browser cannot show it: ${error.message}`);
  }
}

function clear() {
  show("error", false);
  for (const id of ["result", "volume", "picture", "restored", "labels", "classes", "download", "view-control",
    "slice-control", "time-control", "opacity-control"]) show(id, false);
  drawPicture = () => {};
  if (address) URL.revokeObjectURL(address);
  address = null;
}

async function display(file, result) {
  show("result", true);
  if (about.gives === "class" || about.gives === "labels") {
    listClasses(JSON.parse(await result.text()));
    await showPicture(file, null).catch(() => say("a picture that browsers do not show"));
    return;
  }
  offer(file, result);
  if (about.gives === "picture") {
    at("restored").src = address;
    show("restored", true);
    await showPicture(file, null);
  } else if (about.takes.kind === "picture") {
    await showPicture(file, result);
  } else {
    await showVolume(file, result);
  }
}

function offer(file, result) {
  const endings = { "application/gzip": ".nii.gz", "image/png": ".png", "image/tiff": ".tif", "image/bmp": ".bmp" };
  address = URL.createObjectURL(result);
  at("download").href = address;
  at("download").download = file.name.replace(/(\.nii)?\.[^.]+$/, "") + "-prediction" + (endings[result.type] || "");
  show("download", true);
}

function listClasses(answer) {
  const found = answer.labels || [answer.class];
  const rows = Object.entries(answer.probabilities).sort((one, other) => other[1] - one[1]);
  at("classes").tBodies[0].replaceChildren(...rows.map(([name, probability]) => {
    const row = document.createElement("tr");
    const bar = document.createElement("progress");
    bar.value = probability;
    bar.setAttribute("aria-hidden", "true");
    cell(row, found.includes(name) ? `✓ ${name}` : name);
    cell(row, `${(100 * probability).toFixed(1)} %`).className = "number";
    cell(row, "").append(bar);
    return row;
  }));
  show("classes", true);
}

function cell(row, text) {
  const made = row.insertCell();
  made.textContent = text;
  return made;
}

/** The labels with their colours, and how much there is of each: a map of values to voxels or pixels. */
function listLabels(counts, words) {
  const rows = about.label_values.map((value, place) => [value, place]).filter(([value]) => value !== 0);
  at("labels").tBodies[0].replaceChildren(...rows.map(([value, place]) => {
    const row = document.createElement("tr");
    const colour = document.createElement("span");
    colour.className = "colour";
    colour.style.background = `rgb(${colourOf(place || 1).join(" ")})`;
    cell(row, about.labels[place]).prepend(colour);
    cell(row, words(counts.get(value) || 0)).className = "number";
    return row;
  }));
  show("labels", true);
}

function counted(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) || 0) + 1);
  return counts;
}

async function showPicture(file, labels) {
  const canvas = at("picture");
  const plain = { colorSpaceConversion: "none" };
  const [image, map] = await Promise.all([createImageBitmap(file), labels && createImageBitmap(labels, plain)]);
  canvas.width = image.width;
  canvas.height = image.height;
  const overlay = map && coloured(map);
  drawPicture = () => {
    const context = canvas.getContext("2d");
    context.globalAlpha = 1;
    context.drawImage(image, 0, 0);
    context.globalAlpha = Number(at("opacity").value);
    if (overlay) context.drawImage(overlay, 0, 0, image.width, image.height);
  };
  drawPicture();
  show("picture", true);
  show("opacity-control", Boolean(overlay));
}

/** A label map, whose pixels are numbers of labels, in colours; nothing where it is background. */
function coloured(map) {
  const canvas = document.createElement("canvas");
  canvas.width = map.width;
  canvas.height = map.height;
  const context = canvas.getContext("2d");
  context.drawImage(map, 0, 0);
  const image = context.getImageData(0, 0, map.width, map.height);
  const values = new Uint8Array(map.width * map.height);
  for (let pixel = 0; pixel < values.length; pixel++) {
    const value = (values[pixel] = image.data[4 * pixel]);
    const colour = value ? colourOf(about.label_values.indexOf(value) || 1) : [0, 0, 0];
    image.data.set([...colour, value ? 255 : 0], 4 * pixel);
  }
  context.putImageData(image, 0, 0);
  listLabels(counted(values), (count) => `${count} pixels`);
  return canvas;
}

async function showVolume(file, labels) {
  const [scan, map] = await Promise.all([file.arrayBuffer(), labels.arrayBuffer()]);
  if (nifti(scan) === null) throw new Error("slices are shown of NIfTI; save the result to look at it");
  show("volume", true);
  if (!viewer) {
    viewer = new niivue.Niivue({
      dragAndDropEnabled: false, loadingText: "", logLevel: "error", isNearestInterpolation: true, showLegend: false,
      crosshairWidth: 0.2, crosshairWidthUnit: "percent", crosshairColor: [1, 1, 1, 0.6],
    });
    viewer.onLocationChange = follow;
    await viewer.attachToCanvas(at("slices"));
  }
  while (viewer.volumes.length) viewer.removeVolume(viewer.volumes[0]);
  await viewer.loadFromArrayBuffer(scan, `scan${nifti(scan)}`);
  await viewer.loadFromArrayBuffer(map, `labels${nifti(map)}`);
  const [image, overlay] = viewer.volumes;
  overlay.setColormapLabel(lookUp());
  viewer.setOpacity(1, Number(at("opacity").value));
  const millilitres = image.pixDims.slice(1, 4).reduce((product, edge) => product * edge, 1) / 1000;
  const frame = overlay.img.length / Math.max(1, overlay.nFrame4D);
  const listed = (time) => {
    const values = overlay.img.subarray(time * frame, (time + 1) * frame);
    listLabels(counted(values), (count) => `${(count * millilitres).toFixed(2)} ml`);
  };
  listed(0);
  at("time").max = image.nFrame4D - 1;
  at("time").value = 0;
  at("time-number").textContent = `1 of ${image.nFrame4D}`;
  at("time").oninput = () => {
    const time = Number(at("time").value);
    for (const volume of viewer.volumes) viewer.setFrame4D(volume.id, time);
    at("time-number").textContent = `${time + 1} of ${image.nFrame4D}`;
    listed(time);
  };
  show("time-control", image.nFrame4D > 1 && overlay.nFrame4D === image.nFrame4D);
  for (const id of ["view-control", "opacity-control"]) show(id, true);
  turn();
}

/** The ending for a NIfTI file, by how it begins; null: it is none. */
function nifti(buffer) {
  const bytes = new Uint8Array(buffer, 0, Math.min(2, buffer.byteLength));
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return ".nii.gz";
  return String.fromCharCode(...bytes) === "II" || String.fromCharCode(...bytes) === "MM" ? null : ".nii";
}

function lookUp() {
  const table = { R: [0], G: [0], B: [0], A: [0], I: [0], labels: [""] };
  about.label_values.forEach((value, place) => {
    if (value === 0) return;
    const [red, green, blue] = colourOf(place || 1);
    table.R.push(red);
    table.G.push(green);
    table.B.push(blue);
    table.A.push(255);
    table.I.push(value);
    table.labels.push(about.labels[place]);
  });
  return table;
}

/** The axis that the slices of a view are normal to; three planes have no slider. */
const normal = () => ({ 0: 2, 1: 1, 2: 0 })[at("view").value];
const place = () => viewer.frac2vox(viewer.scene.crosshairPos);

function turn() {
  viewer.setSliceType(Number(at("view").value));
  const axis = normal();
  show("slice-control", axis !== undefined);
  if (axis !== undefined) at("slice").max = viewer.volumes[0].dimsRAS[axis + 1] - 1;
  follow();
}

function follow() {
  const axis = normal();
  if (axis === undefined || viewer.volumes.length < 2) return;
  at("slice").value = place()[axis];
  at("slice-number").textContent = `${at("slice").valueAsNumber + 1} of ${Number(at("slice").max) + 1}`;
}

function move() {
  const step = [0, 0, 0];
  step[normal()] = at("slice").valueAsNumber - place()[normal()];
  viewer.moveCrosshairInVox(...step);
  follow();
}

at("file").addEventListener("change", () => { if (at("file").files.length) predict(at("file").files[0]); });
at("view").addEventListener("change", turn);
at("slice").addEventListener("input", move);
at("opacity").addEventListener("input", () => {
  drawPicture();
  if (viewer && viewer.volumes.length > 1) viewer.setOpacity(1, Number(at("opacity").value));
});
for (const name of ["dragover", "drop", "dragleave"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", name === "dragover");
    if (name === "drop" && about && event.dataTransfer.files.length) predict(event.dataTransfer.files[0]);
  });
}
start().catch((error) => complain(`The server gives no answer: ${error.message}`));
