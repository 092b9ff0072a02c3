/** The page: one input, one or two models, and what they say of every image. */

import { makeCamera } from "./camera.js";
import { makeDrawing } from "./drawing.js";
import { decode, fileFrom } from "./images.js";
import { durations, milliseconds, rate } from "./meters.js";
import { listBundles, loadModel } from "./models.js";
import { squarePixels } from "./pixels.js";
import { centerSquare, invert, isInverted, resizeArea, toTensor } from "./preprocess.js";
import { loadRuntime } from "./runtime.js";
import { topK } from "./scores.js";
import { $, compare, makeCard, placeCrop, say, showSeen } from "./view.js";

const FIGURES_EVERY = 250; // ms; figures that change with every frame cannot be read
const ANNOUNCE_EVERY = 1500;

const slots = [0, 1].map(() => ({ model: null, card: null, turn: 0 }));
const meters = { preprocessing: durations(), frame: durations(), fps: rate() };
const settings = { topK: 3, stages: 3, factor: 0.4, polarity: "" };
let source = "draw";
let still = null; // what is shown if it is no video: {image, width, height}
let resume = false;
const shown = { figures: 0, announced: 0, label: "" };

const loaded = () => slots.filter(({ model }) => model);

/** Classifies an image with every model, and shows what comes out. */
function classify(image, width, height, smooth) {
  const active = loaded();
  if (!active.length || !width || !height) return;
  const start = performance.now();
  const { square, rgba } = squarePixels(image, width, height);
  const resized = new Map();
  const inputs = active.map(({ model }) => prepare(rgba, square, model.meta.input, resized));
  meters.preprocessing.add(performance.now() - start);
  active.forEach(({ model, card }, i) => {
    try {
      const ranked = topK(model.infer(inputs[i].tensor, smooth), settings.topK);
      card.answer(ranked, model.meta.labels);
      if (i === 0) announce(model.meta.labels[ranked[0].index], ranked[0].score);
    } catch (error) {
      say($("message"), error.message, true);
    }
  });
  showSeen($("seen"), inputs[0].cells, active[0].model.meta.input.shape);
  const now = performance.now();
  meters.frame.add(now - start);
  if (smooth) meters.fps.tick(now);
  if (!smooth || now - shown.figures > FIGURES_EVERY) showFigures(active, inputs[0]);
}

/** Returns the tensor for a model; models of one shape share the resized cells. */
function prepare(rgba, square, input, resized) {
  const key = input.shape.join();
  if (!resized.has(key)) resized.set(key, resizeArea(rgba, square, input.shape));
  const raw = resized.get(key);
  const inverted = isInverted(raw, input.shape, settings.polarity || input.polarity);
  const cells = inverted ? invert(raw) : raw;
  return { cells, inverted, tensor: toTensor(cells, input) };
}

function showFigures(active, { inverted }) {
  shown.figures = performance.now();
  const [, height, width] = active[0].model.meta.input.shape;
  $("seen-size").textContent = `${width} × ${height}${inverted ? ", inverted" : ""}`;
  $("preprocessing").textContent = milliseconds(meters.preprocessing.median);
  $("frame").textContent = milliseconds(meters.frame.median);
  const fps = meters.fps.perSecond;
  $("fps").textContent = Number.isFinite(fps) ? `${fps.toFixed(0)} / s` : "–";
  for (const { model, card } of active) card.measured(model.inference);
  $("comparison").hidden = active.length < 2;
  if (active.length < 2) return;
  compare($("comparison"),
    active.map(({ model }) => ({ meta: model.meta, median: model.inference.median })));
}

/** Tells a screen reader of a new answer, not more often than it can speak. */
function announce(label, score) {
  const now = performance.now();
  if (label === shown.label || now - shown.announced < ANNOUNCE_EVERY) return;
  Object.assign(shown, { label, announced: now });
  $("announcement").textContent = `${label}, ${Math.round(100 * score)} percent`;
}

function classifyStill() {
  if (still) classify(still.image, still.width, still.height, false);
}

function clearAnswers() {
  for (const { card } of loaded()) card.clear();
  const seen = $("seen");
  seen.getContext("2d").clearRect(0, 0, seen.width, seen.height);
  meters.fps.reset();
  shown.label = "";
}

// Inputs.

const drawing = makeDrawing($("pad"), () => {
  say($("hint"), source === "draw" && drawing.empty ? "Draw here" : "");
  if (source !== "draw") return;
  still = drawing.empty ? null : { image: $("pad"), width: $("pad").width, height: $("pad").height };
  if (still) classifyStill();
  else clearAnswers();
});

const camera = makeCamera($("video"), {
  onFrame: () => classify($("video"), $("video").videoWidth, $("video").videoHeight, true),
  onLost: (message) => {
    showCameraState();
    say($("message"), message, true);
  },
});

async function startCamera(deviceId) {
  say($("message"));
  resetFilters();
  try {
    await camera.start(deviceId);
  } catch (error) {
    say($("message"), error.message, true);
  }
  await showCameraState();
}

function stopCamera() {
  camera.stop();
  return showCameraState();
}

async function showCameraState() {
  const { running } = camera;
  $("toggle-camera").textContent = running ? "Stop camera" : "Start camera";
  if (!running) $("crop").hidden = true;
  if (source === "camera") say($("hint"), running ? "" : "The camera is off");
  const cameras = await camera.list();
  $("cameras").hidden = cameras.length < 2;
  $("camera").replaceChildren(...cameras.map(({ id, label, active }) => new Option(label, id, false, active)));
}

async function showImage(file) {
  choose("image");
  say($("message"));
  let image;
  try {
    image = await decode(file);
  } catch (error) {
    say($("message"), error.message, true);
    return;
  }
  still?.image.close?.();
  still = { image, width: image.width, height: image.height };
  const context = $("picture").getContext("2d");
  const { x, y, side } = centerSquare(image.width, image.height);
  context.fillStyle = "#fff";
  context.fillRect(0, 0, 280, 280);
  context.drawImage(image, x, y, side, side, 0, 0, 280, 280);
  $("picture").setAttribute("aria-label", file.name || "Pasted image");
  say($("hint"));
  classifyStill();
}

/** Chooses where images come from. */
function choose(name) {
  document.querySelector(`input[name="source"][value="${name}"]`).checked = true;
  if (name === source) return;
  source = name;
  still = null;
  resume = false;
  stopCamera();
  for (const part of document.querySelectorAll("[data-source]")) part.hidden = part.dataset.source !== name;
  say($("message"));
  clearAnswers();
  const hints = { draw: "Draw here", camera: "The camera is off", image: "Drop an image here" };
  say($("hint"), hints[name]);
  if (name === "draw") drawing.clear();
  if (name === "image") $("picture").getContext("2d").clearRect(0, 0, 280, 280);
}

// Models and settings.

function resetFilters() {
  for (const { model } of loaded()) model.setFilter(settings);
  meters.fps.reset();
}

async function select(i, runtime, bundle) {
  const slot = slots[i];
  const turn = ++slot.turn;
  slot.model?.dispose();
  slot.model = null;
  if (!bundle) {
    slot.card?.remove();
    slot.card = null;
    $("comparison").hidden = true;
    return;
  }
  slot.card ??= makeCard($("cards"));
  try {
    const model = await loadModel(runtime, bundle.path);
    if (turn !== slot.turn) return void model.dispose();
    slot.model = model;
  } catch (error) {
    if (turn === slot.turn) slot.card.fail(bundle.name, error.message);
    $("comparison").hidden = true;
    return;
  }
  const { meta, error } = slot.model;
  slot.card.describe(meta);
  slot.card.tested(`Self-test passed; largest difference ${Number(error.toPrecision(2))}.`);
  if (i === 0) applyDefaults(meta);
  else slot.model.setFilter(settings);
  classifyStill();
}

function applyDefaults({ defaults, labels }) {
  $("top-k").max = labels.length;
  $("top-k").value = defaults.top_k;
  $("stages").value = defaults.filter.stages;
  $("factor").value = defaults.filter.factor;
  $("polarity").value = "";
  readSettings();
}

function readSettings() {
  for (const [name, id] of [["topK", "top-k"], ["stages", "stages"], ["factor", "factor"]]) {
    const { min, max, valueAsNumber, defaultValue } = $(id);
    const value = Number.isFinite(valueAsNumber) ? valueAsNumber : Number(defaultValue);
    const within = Math.min(max || Infinity, Math.max(min, value));
    settings[name] = id === "factor" ? within : Math.round(within);
    $(id).value = settings[name];
  }
  settings.polarity = $("polarity").value;
  $("viewfinder").classList.toggle("mirrored", $("mirror").checked);
  resetFilters();
  classifyStill();
}

function listen(runtime, bundles) {
  for (const radio of document.querySelectorAll('input[name="source"]')) {
    radio.addEventListener("change", () => choose(radio.value));
  }
  $("clear").addEventListener("click", () => drawing.clear());
  $("toggle-camera").addEventListener("click", () => camera.running ? stopCamera() : startCamera());
  $("camera").addEventListener("change", () => startCamera($("camera").value));
  $("video").addEventListener("resize", () => {
    const { videoWidth: width, videoHeight: height } = $("video");
    if (width && height) placeCrop($("viewfinder"), $("crop"), width, height, centerSquare(width, height));
  });
  navigator.mediaDevices?.addEventListener?.("devicechange", showCameraState);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && camera.running) {
      resume = true;
      stopCamera();
    } else if (!document.hidden && resume) {
      resume = false;
      startCamera($("camera").value);
    }
  });

  $("choose").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => {
    if ($("file").files.length) showImage($("file").files[0]);
    $("file").value = "";
  });
  const stage = $("stage");
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    stage.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) stage.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    stage.classList.remove("dropping");
    const file = fileFrom(event.dataTransfer);
    if (file) showImage(file);
    else say($("message"), "Drop the file of an image; links and text are not followed.", true);
  });
  document.addEventListener("paste", (event) => {
    const file = fileFrom(event.clipboardData);
    if (file) showImage(file);
  });

  $("settings").addEventListener("change", readSettings);
  $("defaults").addEventListener("click", () => {
    if (slots[0].model) applyDefaults(slots[0].model.meta);
  });
  slots.forEach((_, i) => $(`model-${i}`).addEventListener("change", (event) =>
    select(i, runtime, bundles.find(({ path }) => path === event.target.value))));
}

async function start() {
  say($("hint"), "Draw here");
  if (typeof WebAssembly !== "object") {
    throw new Error("This browser has no WebAssembly; use a current Chrome, Edge, Firefox or Safari.");
  }
  const runtime = loadRuntime("vendor/wasm/").catch((error) => {
    throw new Error(`The runtime did not load (${error.message ?? error}); reload the page.`);
  });
  runtime.catch(() => {}); // reported by whoever waits for it
  const bundles = await listBundles();
  const options = bundles.map(({ path, name }) => new Option(name, path));
  $("model-0").replaceChildren(...options);
  $("model-1").replaceChildren(new Option("nothing", ""),
    ...(bundles.length > 1 ? options.map((option) => option.cloneNode(true)) : []));
  listen(runtime, bundles);
  if (location.hash.length > 1 && $("input").querySelector(`input[value="${CSS.escape(location.hash.slice(1))}"]`)) {
    choose(location.hash.slice(1));
  }
  await select(0, runtime, bundles[0]);
  document.documentElement.dataset.ready = performance.now().toFixed(0);
}

start().catch((error) => say($("problem"), error.message, true));
