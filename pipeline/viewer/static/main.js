// The page: brings together list, photograph, classes and corrections.

import {Classes} from "./classes.js";
import {Correcting} from "./correcting.js";
import {LesionCounter} from "./counting.js";
import {Detail} from "./detail.js";
import {Detections} from "./detections.js";
import {List} from "./list.js";
import {paintLabels} from "./painting.js";
import {QUADRANTS, countByQuadrant} from "./regions.js";
import * as server from "./server.js";
import {Stage} from "./stage.js";
import {row} from "./tables.js";
import {Training} from "./training.js";

const PAUSE = 100, PAUSE_WITHOUT_SERVER = 3000; // milliseconds between questions for news, which wait for some
const CURSOR_STEP = 8; // pixels of the screen by which a key moves the cross
const TOOL_KEYS = {m: "move", b: "brush", e: "eraser", p: "polygon", a: "accept", r: "reject", i: "ignore"};

const find = (id) => document.getElementById(id);
const own = crypto.getRandomValues(new Uint32Array(2)).join("-"); // name of this window

const session = await server.session();
const state = {
  version: 0, shown: null, photograph: null, detections: null, correcting: null, counter: null, tool: "brush",
  detail: null, pointer: null, cross: null,
};

const list = new List(find("list"), find("empty"), (number) => open(number));
const classes = new Classes(find("classes"), session, {
  change: (bit) => refreshDetections(bit),
  complete: (bit, isComplete) => state.correcting?.setComplete(bit, isComplete),
  choose: () => { find("tool-class").value = classes.chosen; },
});
const training = new Training(find("train"), {use: exchangeModel, failed: (message) => say(message, ["Close", () => {}])});
const stage = new Stage([find("main"), find("original")], {
  over: drawOver, mask: paintMask, point: (place) => point(place), isDrawing: () => state.correcting !== null && state.tool !== "move",
  down: (place) => state.correcting.down(tool(), place), drag: (place) => state.correcting.drag(tool(), place),
  up: () => state.correcting?.up(), double: () => { if (state.tool === "polygon") state.correcting?.closePolygon(); },
});

// --- Which photographs there are -------------------------------------------------------------------------------------

async function followNews() {
  for (;;) {
    let pause = PAUSE;
    try {
      takeNews(await server.news(state.version, own, state.shown));
    } catch {
      pause = PAUSE_WITHOUT_SERVER;
      find("work").textContent = "The command that serves this page has ended.";
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

function takeNews({version, cases, numbers, finished, loaded, others, model, training: brief}) {
  if (model !== session.model) {
    reload();
    return;
  }
  state.version = version;
  list.update(cases, numbers);
  find("progress").max = Math.max(numbers.length, 1);
  find("progress").value = finished;
  const text = loaded ? `${finished} of ${numbers.length} photographs segmented` : "the model is being loaded…";
  if (find("work").textContent !== text) find("work").textContent = text;
  if (state.shown === null && numbers.length > 0) openFirst();
  else if (cases.some((one) => one.number === state.shown)) refreshShown();
  tellOthers(others);
  training.take(brief, cases.length > 0).catch(() => {}); // asked again with the next news
}

/** Opens the photograph that was shown before the page was loaded anew, or else the first one. */
function openFirst() {
  const before = sessionStorage.getItem("shown");
  sessionStorage.removeItem("shown");
  open((list.sorted().find(({name}) => name === before) ?? list.sorted()[0]).number);
}

async function exchangeModel(which) {
  await look();
  await server.useModel(which);
  reload();
}

/** Loads the page anew, as its model was exchanged, once all corrections are saved. */
async function reload() {
  if (state.correcting !== null) {
    await state.correcting.save();
    if (!state.correcting.isSaved) return; // tried again with the next news
  }
  sessionStorage.setItem("shown", find("title").textContent);
  location.reload();
}

function tellOthers(others) {
  if (others > 0 && find("banner").hidden) {
    say("This photograph is open in another window as well. Corrections of the one that saves second are not taken without asking.");
    find("banner").dataset.kind = "others";
  } else if (others === 0 && find("banner").dataset.kind === "others") hush();
}

function say(text, ...actions) {
  find("banner").querySelector("span").textContent = text;
  find("banner").dataset.kind = "";
  ["banner-first", "banner-second"].forEach((id, index) => {
    const button = find(id);
    button.hidden = actions[index] === undefined;
    button.textContent = actions[index]?.[0] ?? "";
    button.onclick = () => {
      hush();
      actions[index][1]();
    };
  });
  find("banner").hidden = false;
}

function hush() {
  find("banner").hidden = true;
  find("banner").dataset.kind = "";
}

async function addFiles(files) {
  for (const file of files) {
    try {
      const photograph = await server.upload(file);
      list.update([photograph], [...list.photographs.keys(), photograph.number]);
      open(photograph.number);
    } catch (error) {
      say(`${file.name}: ${error.message}`, ["Close", () => {}]);
    }
  }
}

/** Removes a photograph that was dropped; what was saved of it stays. */
async function removeShown() {
  await look();
  const number = state.shown;
  Object.assign(state, {shown: null, photograph: null, detections: null, detail: null, cross: null});
  stage.clear();
  waiting("");
  describe();
  describeCounts();
  await server.remove(number);
}

// --- The photograph that is shown -------------------------------------------------------------------------------------

async function open(number) {
  if (number === null || number === state.shown) return;
  await look();
  Object.assign(state, {shown: number, photograph: null, detections: null, detail: null, cross: null});
  list.mark(number);
  hush();
  stage.clear();
  describeCounts();
  refreshShown();
  try {
    const bitmap = await server.photograph(number);
    if (state.shown !== number) return;
    state.photograph = {number, bitmap};
    showPhotograph();
  } catch (error) {
    if (state.shown === number) waiting(error.message);
  }
}

/** Takes over what is new of the photograph that is shown, which may have just got its map. */
async function refreshShown() {
  const photograph = list.photographs.get(state.shown), number = state.shown;
  describe();
  if (photograph.state === "failed") waiting(photograph.message);
  else if (photograph.facts === null) waiting(photograph.state === "working" ? "being segmented…" : "waiting to be segmented…");
  if (photograph.facts === null || state.detections !== null) return;
  const {facts} = photograph;
  const maps = await server.maps(number, session.classes.length, facts.map_size, session.spread);
  if (state.shown !== number || state.detections !== null) return;
  state.detections = new Detections(facts, maps, session.colors);
  classes.setOwnAreas(facts.areas);
  waiting("");
  showPhotograph();
  refreshDetections();
  performance.mark("lesions-shown", {detail: number});
}

/** Shows the photograph as soon as its size is known: by its map, or by its own pixels, which may be fewer. */
function showPhotograph() {
  const bitmap = state.photograph?.bitmap ?? null;
  const facts = list.photographs.get(state.shown)?.facts;
  const number = state.shown;
  if (facts) {
    const [height, width] = facts.size;
    if (width * height > session.most_shown) {
      state.detail ??= new Detail(width, height, session.tile_side, (...place) => server.tile(number, ...place), () => stage.redrawPhoto());
    }
    stage.show({number, bitmap, width, height, detail: state.detail});
  } else if (bitmap !== null) stage.show({number, bitmap, width: bitmap.width, height: bitmap.height, detail: null});
}

function waiting(text) {
  find("waiting").textContent = text;
  find("waiting").hidden = text === "";
}

function describe() {
  const photograph = list.photographs.get(state.shown);
  find("title").textContent = photograph?.name ?? "—";
  find("remove").hidden = !photograph?.uploaded;
  const warnings = photograph?.facts?.warnings ?? [];
  find("warnings").hidden = warnings.length === 0;
  find("warnings").querySelector("ul").replaceChildren(...warnings.map((text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }));
  find("correct").disabled = session.output === null || !photograph?.facts;
  find("correct").title = session.output === null ? "Start the command with --output=FOLDER to correct" : `Saved in ${session.output}`;
  describeDownloads();
}

function describeDownloads() {
  const parts = [...find("parts").querySelectorAll("input:checked")].map((input) => input.value);
  for (const [id, number] of [["take-one", state.shown], ["take-all", null]]) {
    const isThere = parts.length > 0 && (id === "take-all" ? list.photographs.size > 0 : list.photographs.get(number)?.facts);
    if (isThere) find(id).href = server.takeAwayAddress(parts, classes.point, number);
    else find(id).removeAttribute("href");
  }
}

/** Finds detections anew: of one class, whose slider was moved, or of all. */
function refreshDetections(bit) {
  if (state.detections !== null) {
    const bits = bit === undefined ? session.classes.map((_, index) => index) : [bit];
    for (const one of bits) state.detections.find(one, classes.thresholds[one], classes.leastArea(one));
  }
  describeCounts();
  describeDownloads();
  stage.redrawOver();
  stage.redrawMask();
}

function describeCounts() {
  const {counter, detections} = state;
  const regions = counter?.regions ?? detections?.found.map((one) => one?.regions ?? []) ?? null;
  const center = counter === null ? detections?.center : detections.facts.center;
  classes.setCounts(regions?.map((one) => one.length) ?? null);
  const counts = regions?.map((one) => countByQuadrant(one, center));
  const head = row("th", ["", ...QUADRANTS]), body = session.classes.map((name, bit) => row("td", [name, ...(counts?.[bit] ?? ["–", "–", "–", "–"])]));
  const thead = document.createElement("thead"), tbody = document.createElement("tbody");
  thead.append(head);
  tbody.append(...body);
  find("quadrants").replaceChildren(thead, tbody);
}

const appearance = () => ({
  visible: classes.visible, opacity: find("opacity").valueAsNumber / 100, isFilled: find("style").value === "fill",
});

function drawOver(context, {view, size}) {
  const {detections, correcting} = state, look = appearance();
  const layer = find("layer").value;
  if (detections !== null && layer !== "none") detections.drawLayer(context, stage, layer, classes.chosen, look.opacity);
  if (detections !== null && correcting === null) detections.draw(context, stage, look);
  if (correcting === null) return;
  const onScreen = ({x, y}) => [(x - view.x) * view.zoom, (y - view.y) * view.zoom];
  context.strokeStyle = "#fff";
  context.lineWidth = 1.5;
  if (correcting.corners.length > 0) {
    context.beginPath();
    for (const corner of [...correcting.corners, ...(state.pointer ? [state.pointer] : [])]) context.lineTo(...onScreen(corner));
    context.stroke();
  }
  const place = state.pointer ?? state.cross;
  if (place !== null && Correcting.isBrush(state.tool)) {
    context.beginPath();
    context.arc(...onScreen(place), Math.max(tool().radius * view.zoom, 2), 0, 2 * Math.PI);
    context.stroke();
  }
  if (state.pointer === null && state.cross !== null) {
    const [x, y] = onScreen(state.cross);
    context.beginPath();
    for (const [dx, dy] of [[1, 0], [0, 1]]) {
      context.moveTo(x - 12 * dx, y - 12 * dy);
      context.lineTo(x + 12 * dx, y + 12 * dy);
    }
    context.stroke();
  }
}

function paintMask(context, {view, size}, box) {
  if (state.correcting === null) {
    context.clearRect(0, 0, size.width, size.height);
    return;
  }
  const look = {...appearance(), visible: classes.bits, colors: session.colors};
  paintLabels(context, {view, size}, state.correcting.editor, look, box);
}

function point(place) {
  state.pointer = place;
  if (state.correcting !== null) stage.redrawOver();
  readOut(place);
}

function readOut(place) {
  const {detections} = state;
  const isInside = place !== null && detections !== null && place.x >= 0 && place.y >= 0 && place.x < detections.width && place.y < detections.height;
  if (!isInside) return;
  const probabilities = detections.at(place.x, place.y).map((one, bit) => `${session.classes[bit]} ${one.toFixed(2)}`);
  find("readout").textContent = `Column ${Math.floor(place.x)}, row ${Math.floor(place.y)}:  ${probabilities.join("   ")}`;
}

// --- Correcting -------------------------------------------------------------------------------------------------------

const tool = () => ({name: state.tool, radius: find("brush").valueAsNumber / 2, isForAll: find("ignore-all").checked});

async function correct() {
  const photograph = list.photographs.get(state.shown);
  if (state.correcting !== null || !photograph?.facts || state.detections === null) return;
  try {
    const correcting = await Correcting.open(photograph, state.detections, classes.point, {
      classNames: session.classes, paint, told: describeCorrecting, by: () => find("by").value,
      chosen: () => classes.chosen, conflict: askAboutConflict,
    });
    if (state.shown === photograph.number) showCorrecting(correcting);
  } catch (error) {
    say(error.message, ["Close", () => {}]);
  }
}

function paint(box) {
  stage.redrawMask(box);
  state.counter?.change(box);
}

/** Saves, and goes back to what the model found. */
async function look() {
  const {correcting} = state;
  if (correcting === null) return;
  correcting.up();
  await correcting.save();
  showCorrecting(null);
}

function showCorrecting(correcting) {
  state.correcting = correcting;
  const isCorrecting = correcting !== null;
  state.counter = isCorrecting ? new LesionCounter(correcting.editor, session.classes.length, describeCounts) : null;
  document.body.classList.toggle("correcting", isCorrecting);
  find("tools").hidden = find("tool-keys").hidden = !isCorrecting;
  find("look").setAttribute("aria-pressed", String(!isCorrecting));
  find("correct").setAttribute("aria-pressed", String(isCorrecting));
  classes.setSliders(!isCorrecting);
  find("reset").hidden = isCorrecting;
  chooseTool(state.tool);
  describeCorrecting();
  describeCounts();
  stage.redraw();
}

function describeCorrecting() {
  const {correcting} = state;
  classes.setComplete(correcting?.editor.complete ?? null);
  stage.redrawOver();
  if (correcting === null) return;
  find("undo").disabled = correcting.editor.done.length === 0;
  find("redo").disabled = correcting.editor.undone.length === 0;
  const when = correcting.savedAt && new Date(correcting.savedAt).toLocaleTimeString();
  find("saved").textContent = correcting.problem || (correcting.isSaved ? (when ? `saved ${when} by ${correcting.savedBy}` : "nothing to save") : "saving…");
}

function askAboutConflict(theirs) {
  const when = new Date(theirs.saved).toLocaleTimeString();
  say(`Not saved: ${theirs.by || "somebody"} saved this photograph in another window at ${when}.`, ["Show theirs", async () => {
    showCorrecting(null);
    await correct();
  }], ["Save mine instead", () => state.correcting?.overwrite(theirs)]);
}

function chooseTool(name) {
  state.tool = name;
  find("ignore-all").parentElement.hidden = name !== "ignore";
  for (const button of find("tool").querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.tool === name));
  if (name !== "polygon") state.correcting?.dropPolygon();
  find("main").classList.toggle("drawing", state.correcting !== null && name !== "move");
}

function setBrush(size) {
  find("brush").value = size;
  find("brush-size").textContent = `${find("brush").value} px`;
  stage.redrawOver();
}

// --- Controls ---------------------------------------------------------------------------------------------------------

const ZOOM_STEP = 1.3;
const onClick = (id, action) => find(id).addEventListener("click", action);

onClick("look", look);
onClick("correct", correct);
onClick("zoom-in", () => stage.zoomTo(stage.view.zoom * ZOOM_STEP));
onClick("zoom-out", () => stage.zoomTo(stage.view.zoom / ZOOM_STEP));
onClick("zoom-fit", () => stage.fit());
onClick("zoom-one", () => stage.zoomTo(1 / devicePixelRatio));
onClick("remove", removeShown);
onClick("undo", () => state.correcting?.undo());
onClick("redo", () => state.correcting?.redo());
onClick("reset", () => classes.reset());
onClick("choose", () => find("files").click());
find("files").addEventListener("change", () => {
  addFiles([...find("files").files]);
  find("files").value = "";
});
find("tool").addEventListener("click", (event) => {
  if (event.target.dataset.tool) chooseTool(event.target.dataset.tool);
});
find("brush").addEventListener("input", () => setBrush(find("brush").value));
find("sort").addEventListener("change", () => list.sort(find("sort").value));
find("opacity").addEventListener("input", () => stage.redraw());
for (const id of ["style", "layer"]) find(id).addEventListener("change", () => stage.redraw());
find("beside").addEventListener("change", () => {
  find("original").hidden = !find("beside").checked;
  stage.redraw();
});
find("parts").addEventListener("change", describeDownloads);
find("tool-class").append(...session.classes.map((name, bit) => new Option(name, bit)));
find("tool-class").addEventListener("change", () => classes.choose(Number(find("tool-class").value)));
find("by").value = localStorage.getItem("by") ?? session.user;
find("by").addEventListener("change", () => localStorage.setItem("by", find("by").value));
find("layer").querySelector("[value=spread]").disabled = !session.spread;

addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) document.body.classList.remove("dropping");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  addFiles([...event.dataTransfer.files]);
});
addEventListener("pagehide", () => server.leave(own));
addEventListener("beforeunload", (event) => {
  if (state.correcting !== null && !state.correcting.isSaved) event.preventDefault();
});
addEventListener("keydown", (event) => {
  const isText = event.target.matches("input[type=text]");
  if (!(event.ctrlKey || event.metaKey) || isText || state.correcting === null) return;
  const key = event.key.toLowerCase();
  if (key === "z" && !event.shiftKey) state.correcting.undo();
  else if (key === "y" || key === "z") state.correcting.redo();
  else return;
  event.preventDefault();
});
find("main").addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (onKey(event.key, event.shiftKey)) event.preventDefault();
});

/** Does what a key on the photograph means. Returns whether it means anything. */
function onKey(key, isFine) {
  const arrow = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[key];
  if (arrow) moveByKey(arrow, isFine);
  else if (key === "+" || key === "=") stage.zoomTo(stage.view.zoom * ZOOM_STEP);
  else if (key === "-") stage.zoomTo(stage.view.zoom / ZOOM_STEP);
  else if (key === "0") stage.fit();
  else if (key === "1") stage.zoomTo(1 / devicePixelRatio);
  else if (key === "n" || key === "v") open(list.beside(key === "n" ? 1 : -1));
  else return state.correcting !== null && onCorrectingKey(key);
  return true;
}

function onCorrectingKey(key) {
  const {correcting} = state;
  if (key in TOOL_KEYS) chooseTool(TOOL_KEYS[key]);
  else if (key === "[" || key === "]") setBrush(find("brush").valueAsNumber + (key === "]" ? 2 : -2));
  else if (key === "Enter") correcting.closePolygon();
  else if (key === "Escape") correcting.dropPolygon();
  else if (key === " " && state.tool !== "move") {
    state.cross ??= middle();
    correcting.down(tool(), state.cross);
    correcting.up();
  } else return false;
  return true;
}

/** Moves the cross while a tool is chosen, by one pixel of the screen if it is to be fine, and else the photograph. */
function moveByKey([dx, dy], isFine) {
  state.pointer = null;
  const {width, height} = stage.size;
  if (state.correcting === null || state.tool === "move") {
    stage.moveBy(-dx * width / 10, -dy * height / 10);
    readOut(middle());
    return;
  }
  const step = (isFine ? 1 : CURSOR_STEP) / stage.view.zoom, cross = state.cross ?? middle();
  state.cross = {x: cross.x + dx * step, y: cross.y + dy * step};
  const x = (state.cross.x - stage.view.x) * stage.view.zoom, y = (state.cross.y - stage.view.y) * stage.view.zoom;
  if (x < 0 || y < 0 || x > width || y > height) stage.moveBy(-dx * width / 2, -dy * height / 2);
  readOut(state.cross);
  stage.redrawOver();
}

function middle() {
  return stage.placeAt(stage.size.width / 2, stage.size.height / 2);
}

describe();
describeCounts();
describeCorrecting();
followNews();
