/** The page: one input, one or two models, and what they say of every image. */

import { makeInputs } from "./inputs.js";
import { durations, milliseconds, rate } from "./meters.js";
import { listBundles, loadModel } from "./models.js";
import { invert, isInverted, resizeArea, toTensor } from "./preprocess.js";
import { loadRuntime } from "./runtime.js";
import { topK } from "./scores.js";
import { $, compare, makeCard, say, showSeen } from "./view.js";

const FIGURES_EVERY = 250; // ms; figures that change with every frame cannot be read
const ANNOUNCE_EVERY = 1500;

const slots = [0, 1].map(() => ({ name: "", model: null, card: null, turn: 0 }));
const meters = { preprocessing: durations(), frame: durations(), fps: rate() };
const settings = { topK: 3, stages: 3, factor: 0.4, polarity: "" };
const shown = { figures: 0, announced: -Infinity, label: "", timer: 0 };
const loaded = () => slots.filter(({ model }) => model);
const inputs = makeInputs({ onImage: classify, onEmpty: clearAnswers, onNewSequence: resetFilters });

/** Classifies an image with every model, and shows what comes out. */
function classify({ square, rgba }, started, smooth) {
  const active = loaded();
  if (!active.length) return;
  const resized = new Map();
  const prepared = active.map(({ model }) => prepare(rgba, square, model.meta.input, resized));
  meters.preprocessing.add(performance.now() - started);
  active.forEach(({ model, card }, i) => {
    try {
      const ranked = topK(model.infer(prepared[i].tensor, smooth), settings.topK);
      card.answer(ranked, model.meta.labels);
      if (i === 0) announce(model.meta.labels[ranked[0].index], ranked[0].score);
    } catch (error) {
      say($("message"), error.message, true);
    }
  });
  showSeen($("seen"), prepared[0].cells, active[0].model.meta.input.shape);
  const now = performance.now();
  meters.frame.add(now - started);
  if (smooth) meters.fps.tick(now);
  if (!smooth || now - shown.figures > FIGURES_EVERY) showFigures(active, prepared[0]);
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
  compare(active.map(({ name, model }) => ({ name, meta: model.meta, median: model.inference.median })));
}

/** Tells a screen reader of a new answer, not more often than it can speak, but always of the last. */
function announce(label, score) {
  clearTimeout(shown.timer);
  if (label === shown.label) return;
  const wait = shown.announced + ANNOUNCE_EVERY - performance.now();
  shown.timer = setTimeout(() => {
    Object.assign(shown, { label, announced: performance.now() });
    $("announcement").textContent = `${label}, ${Math.round(100 * score)} percent`;
  }, Math.max(0, wait));
}

function clearAnswers() {
  clearTimeout(shown.timer);
  for (const { card } of loaded()) card.clear();
  const seen = $("seen");
  seen.getContext("2d").clearRect(0, 0, seen.width, seen.height);
  meters.fps.reset();
  $("fps").textContent = "–";
  shown.label = "";
}

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
  slot.name = bundle.name;
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
  slot.card.describe(bundle.name, meta);
  slot.card.tested(`Self-test passed; largest difference ${Number(error.toPrecision(2))}.`);
  if (i === 0) applyDefaults(meta);
  else readSettings();
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
  inputs.mirror($("mirror").checked);
  for (const { card } of loaded()) card.reserve(settings.topK);
  resetFilters();
  inputs.again();
}

function listen(runtime, bundles) {
  $("settings").addEventListener("change", readSettings);
  $("defaults").addEventListener("click", () => {
    if (slots[0].model) applyDefaults(slots[0].model.meta);
  });
  slots.forEach((_, i) => $(`model-${i}`).addEventListener("change", (event) =>
    select(i, runtime, bundles.find(({ path }) => path === event.target.value))));
}

async function start() {
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
  await select(0, runtime, bundles[0]);
  document.documentElement.dataset.ready = performance.now().toFixed(0);
}

start().catch((error) => say($("problem"), error.message, true));
