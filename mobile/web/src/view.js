/** Writing results into the page; nothing here computes a result. */

import { bytes, milliseconds, times } from "./meters.js";
import { factor, spread } from "./race.js";

/** Returns the element of an id. */
export const $ = (id) => document.getElementById(id);

/** Shows a text in an element, or hides the element where there is none. */
export function say(element, text = "", isError = false) {
  if (element.textContent !== text) element.textContent = text;
  element.classList.toggle("error", isError);
  element.hidden = !text;
}

const THINNEST = 0.006; // of the longest bar, so that a small one is still seen
const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;

/** Makes the card of one model and appends it. */
export function makeCard(parent) {
  const card = $("card").content.firstElementChild.cloneNode(true);
  parent.append(card);
  const part = (selector) => card.querySelector(selector);
  const bars = part(".bars");

  /** Shows what a bundle says of itself. */
  function describe(name, meta) {
    const { accuracy, dataset } = meta.provenance;
    part("h2").textContent = name;
    part(".size").textContent = bytes(meta.model.bytes);
    part(".facts").textContent = sentence(meta);
    part(".accuracy").textContent = percent(accuracy, 2);
    part(".dataset").textContent = `on ${dataset}`;
    clear();
  }

  /** Shows that a model is not to be used, and why. */
  function fail(name, message) {
    part("h2").textContent = name;
    for (const figure of card.querySelectorAll("dd, .facts, .selftest")) figure.textContent = "";
    clear();
    bars.replaceChildren();
    say(part(".notice"), message, true);
  }

  function clear() {
    say(part(".notice"));
    part(".label").textContent = part(".score").textContent = "";
    bars.hidden = true;
  }

  /** Shows the best classes, `{index, score}`, the best first. */
  function answer(ranked, labels, isSure) {
    bars.hidden = false;
    part(".answer").classList.toggle("unsure", !isSure);
    const best = labels[ranked[0].index];
    part(".label").textContent = best;
    part(".label").classList.toggle("long", best.length > 3);
    part(".score").textContent = `${isSure ? "" : "not sure, "}${percent(ranked[0].score)}`;
    reserve(ranked.length);
    ranked.forEach(({ index, score }, i) =>
      fill(bars.children[i], labels[index], score, percent(score)));
  }

  /** Makes room for as many bars as there will be, so that the page does not jump. */
  function reserve(count) {
    while (bars.children.length > count) bars.lastChild.remove();
    while (bars.children.length < count) bars.append(makeBar());
  }

  function measured({ median, last }) {
    part(".median").textContent = milliseconds(median);
    part(".last").textContent = Number.isFinite(last) ? `last ${milliseconds(last)}` : "";
  }

  function tested(text) {
    part(".selftest").textContent = text;
  }

  return { describe, fail, clear, reserve, answer, measured, tested, remove: () => card.remove() };
}

/** Says in one sentence what a model is. */
export function sentence({ labels, model, provenance }) {
  const few = labels.length <= 3 ? labels.join(", ") : `${labels[0]}, ${labels[1]} … ${labels.at(-1)}`;
  return `${provenance.model}, a network of ${provenance.num_params.toLocaleString("en")} weights ` +
    `in ${bytes(model.bytes)}, tells ${labels.length} classes of ${provenance.dataset} apart: ${few}.`;
}

/** Shows the answer of the first model beside the image; without a label, none. */
export function showVerdict(label = "", score = 0, isSure = true) {
  const [verdict, best, share] = [".verdict", ".best", ".share"].map((part) => document.querySelector(part));
  verdict.classList.toggle("unsure", !isSure);
  best.textContent = label;
  best.classList.toggle("long", label.length > 3);
  share.textContent = label && (isSure ? percent(score) : `not sure, ${percent(score, 0)}`);
}

function makeBar() {
  const bar = document.createElement("li");
  const [label, track, figure] = ["label", "track", "figure"].map((name) => {
    const span = document.createElement("span");
    span.className = name;
    return span;
  });
  track.setAttribute("aria-hidden", "true");
  track.append(document.createElement("span"));
  track.firstChild.className = "fill";
  bar.append(label, track, figure);
  return bar;
}

function fill(bar, text, share, figure) {
  const [label, track, last] = bar.children;
  label.textContent = text;
  track.firstChild.style.transform = `scaleX(${Math.max(0, Math.min(1, share))})`;
  last.textContent = figure;
}

/** Shows the cells that the model sees, `[height, width, channels]` from 0 to 255. */
export function showSeen(canvas, cells, [, height, width, channels]) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = cells[i * channels + (c % channels)];
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/**
 * Says in one sentence how the smaller of two models compares, and draws it.
 *
 * @param {{name: string, meta: object}[]} models two, as they are shown.
 * @param {number[][]} durations of both, as of `race`.
 */
export function compare(models, durations) {
  const order = models[0].meta.model.bytes <= models[1].meta.model.bytes ? [0, 1] : [1, 0];
  const [small, large] = order.map((i) => models[i]);
  const speedup = factor(...order.map((i) => durations[i]));
  const shrinking = large.meta.model.bytes / small.meta.model.bytes;
  const points = 100 * (small.meta.provenance.accuracy - large.meta.provenance.accuracy);
  $("comparison-smaller").textContent = small.name;
  $("comparison-larger").textContent = large.name;
  $("comparison-figures").textContent = [
    shrinking < 1.005 ? "as large" : `${times(shrinking)} smaller`,
    speedup === 1 ? "as fast" : speedup > 1 ? `${times(speedup)} faster` : `${times(1 / speedup)} slower`,
    Math.abs(points) < 0.005 ? "equally accurate"
      : `${Math.abs(points).toFixed(2)} points ${points < 0 ? "less" : "more"} accurate`,
  ].join(", ");
  const medians = durations.map((each) => spread(each).median);
  drawPair("comparison-sizes", models, models.map(({ meta }) => meta.model.bytes), bytes);
  drawPair("comparison-times", models, medians, (ms) => milliseconds(ms));
  $("comparison").hidden = false;
}

function drawPair(id, models, values, text) {
  const list = $(id);
  while (list.children.length < 2) list.append(makeBar());
  models.forEach(({ name }, i) =>
    fill(list.children[i], name, Math.max(THINNEST, values[i] / Math.max(...values)), text(values[i])));
}

/** Places a frame around the part that the model sees, over a preview of the given size. */
export function placeCrop(viewfinder, crop, width, height, part) {
  viewfinder.style.aspectRatio = `${width} / ${height}`;
  Object.assign(crop.style, {
    left: `${(100 * part.x) / width}%`, top: `${(100 * part.y) / height}%`,
    width: `${(100 * part.width) / width}%`, height: `${(100 * part.height) / height}%`,
  });
  crop.hidden = false;
}
