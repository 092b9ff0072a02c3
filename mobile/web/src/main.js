/** The page: one input, one or two models, and what they say of every image. */

import { makeInputs } from "./inputs.js";
import { durations, milliseconds, rate } from "./meters.js";
import { listBundles, loadModel } from "./models.js";
import { see, toTensor } from "./preprocess.js";
import { race } from "./race.js";
import { loadRuntime } from "./runtime.js";
import { samples } from "./samples.js";
import { topK } from "./scores.js";
import { $, compare, makeCard, say, showSeen, showVerdict } from "./view.js";

const FIGURES_EVERY = 250; // ms; figures that change with every frame cannot be read
const ANNOUNCE_EVERY = 1500;
const NARROW = "(max-width: 50rem), (max-height: 32rem)"; // as in style.css
const NOTICES = {
  blank: "No digit in sight: ink on paper, or chalk on a board, inside the frame.",
  cut: "What is there runs over the edge. Move the digit into the frame.",
  several: "More than one digit; this is the largest.",
};

const slots = [0, 1].map(() => ({ name: "", model: null, card: null, turn: 0 }));
const meters = { preprocessing: durations(), frame: durations(), fps: rate() };
const settings = { topK: 3, stages: 3, factor: 0.4, polarity: "", sureFrom: 0.9 };
const shown = { figures: 0, announced: -Infinity, label: "", timer: 0 };
const loaded = () => slots.filter(({ model }) => model);
const inputs = makeInputs({ onImage: classify, onEmpty: clearAnswers, onNewSequence: resetFilters });

/** Classifies an image with every model, and shows what comes out. */
function classify(image, started, kind) {
  const active = loaded();
  if (!active.length) return;
  const resized = new Map();
  const prepared = active.map(({ model }) => prepare(image, model.meta.input, kind, resized));
  meters.preprocessing.add(performance.now() - started);
  active.forEach(({ model, card }, i) => {
    const { notice, tensor } = prepared[i];
    try {
      if (notice === "blank") noAnswer(model, card, i);
      else answer(model, card, i, tensor, notice, kind === "frame");
    } catch (error) {
      say($("message"), error.message, true);
    }
  });
  say($("notice"), NOTICES[prepared[0].notice]);
  showSeen($("seen"), prepared[0].cells, active[0].model.meta.input.shape);
  const now = performance.now();
  meters.frame.add(now - started);
  if (kind === "frame") meters.fps.tick(now);
  if (kind !== "frame" || now - shown.figures > FIGURES_EVERY) showFigures(active, prepared[0]);
}

function answer(model, card, i, tensor, notice, smooth) {
  const ranked = topK(model.infer(tensor, smooth), settings.topK);
  const [{ index, score }] = ranked;
  const isSure = score >= settings.sureFrom && notice !== "cut";
  card.answer(ranked, model.meta.labels, isSure);
  if (i > 0) return;
  showVerdict(model.meta.labels[index], score, isSure);
  announce(model.meta.labels[index], score);
}

/** What was there is gone: nothing is said of it, and a sequence starts anew. */
function noAnswer(model, card, i) {
  model.setFilter(settings);
  card.clear();
  if (i > 0) return;
  showVerdict();
  clearTimeout(shown.timer);
  shown.label = "";
}

/** Returns what a model sees, and the tensor of it. What is drawn is light on dark for certain. */
function prepare(image, input, kind, resized) {
  const polarity = settings.polarity || (kind === "drawing" ? "as_is" : input.polarity);
  const seen = see(image, input, polarity, resized);
  return { ...seen, tensor: toTensor(seen.cells, input) };
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
}

/** Compares the two models, as soon as there are two and their speeds are measured. */
async function compareModels() {
  const pair = [...slots];
  const models = pair.map(({ model }) => model);
  const areShown = () => slots.every(({ model }, i) => model && model === models[i]);
  $("comparison").hidden = true;
  if (!areShown()) return;
  const durations = await race(models, areShown);
  if (durations) compare(pair.map(({ name, model }) => ({ name, meta: model.meta })), durations);
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
  showVerdict();
  say($("notice"));
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
    inputs.fit(loaded().map(({ model }) => model.meta.input.shape));
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
  inputs.fit(loaded().map(({ model }) => model.meta.input.shape));
  if (i === 0) {
    applyDefaults(meta);
    samples(meta).then((found) => slot.model?.meta === meta && inputs.offer(found));
  } else {
    readSettings();
  }
  compareModels();
}

/** A model is not compared with itself. */
function offerOthers() {
  const chosen = $("model-0").value;
  for (const option of $("model-1").options) {
    option.disabled = option.hidden = option.value === chosen;
  }
  if ($("model-1").value !== chosen) return false;
  $("model-1").value = "";
  return true;
}

function applyDefaults({ defaults, labels }) {
  $("top-k").max = labels.length;
  $("top-k").value = defaults.top_k;
  $("stages").value = defaults.filter.stages;
  $("factor").value = defaults.filter.factor;
  $("polarity").value = "";
  $("sure-from").value = $("sure-from").defaultValue;
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
  const { valueAsNumber: percent, defaultValue } = $("sure-from");
  const sureFrom = Math.max(0, Math.min(100, Number.isFinite(percent) ? percent : Number(defaultValue)));
  $("sure-from").value = sureFrom;
  settings.sureFrom = sureFrom / 100;
  settings.polarity = $("polarity").value;
  inputs.mirror($("mirror").checked);
  resetFilters();
  inputs.again();
}

function listen(runtime, bundles) {
  $("settings").addEventListener("change", readSettings);
  $("defaults").addEventListener("click", () => {
    if (slots[0].model) applyDefaults(slots[0].model.meta);
  });
  slots.forEach((_, i) => $(`model-${i}`).addEventListener("change", () => {
    const choose = (slot) =>
      select(slot, runtime, bundles.find(({ path }) => path === $(`model-${slot}`).value));
    if (i === 0 && offerOthers()) choose(1);
    choose(i);
  }));
  const narrow = matchMedia(NARROW);
  const placeSeen = () => $(narrow.matches ? "aside-seen" : "seen-figure").prepend($("seen"));
  narrow.addEventListener("change", placeSeen);
  placeSeen();
}

/** Keeps the page for when there is no network, where it was exported for that. */
async function keep() {
  if (!("offline" in document.documentElement.dataset) || !navigator.serviceWorker) return;
  const { serviceWorker } = navigator;
  // A new export takes over at once, and then the old page is not to go on with its files.
  if (serviceWorker.controller) {
    serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
  }
  await serviceWorker.register("sw.js");
}

async function start() {
  if (typeof WebAssembly !== "object" || typeof DecompressionStream !== "function") {
    throw new Error("This browser has no WebAssembly or cannot unpack it; use a current Chrome, Edge, Firefox or Safari.");
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
  offerOthers();
  await select(0, runtime, bundles[0]);
  document.documentElement.dataset.ready = performance.now().toFixed(0);
}

keep().catch(() => {}); // without it the page works as well, with a network
start().catch((error) => say($("problem"), error.message, true));
