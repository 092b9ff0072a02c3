/** Writing results into the page; nothing here computes a result. */

import { bytes, milliseconds, times } from "./meters.js";

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
    const { num_params: count, accuracy, dataset } = meta.provenance;
    part("h2").textContent = name;
    part(".size").textContent = bytes(meta.model.bytes);
    part(".facts").textContent = `${count.toLocaleString("en")} weights`;
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
    for (const bar of bars.children) fill(bar, "", 0, "");
  }

  /** Shows the best classes, `{index, score}`, the best first. */
  function answer(ranked, labels) {
    const best = labels[ranked[0].index];
    part(".label").textContent = best;
    part(".label").classList.toggle("long", best.length > 3);
    part(".score").textContent = percent(ranked[0].score);
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
 * @param {{name: string, meta: object, median: number}[]} models two, as they are shown.
 */
export function compare(models) {
  const [small, large] = [...models].sort((a, b) => a.meta.model.bytes - b.meta.model.bytes);
  const speedup = large.median / small.median;
  const accuracy = ({ meta }) => meta.provenance.accuracy;
  const points = 100 * (accuracy(small) - accuracy(large));
  $("comparison-smaller").textContent = small.name;
  $("comparison-larger").textContent = large.name;
  $("comparison-figures").textContent = [
    `${times(large.meta.model.bytes / small.meta.model.bytes)} smaller`,
    Number.isFinite(speedup) &&
      (speedup >= 1 ? `${times(speedup)} faster` : `${times(1 / speedup)} slower`),
    Math.abs(points) < 0.005 ? "equally accurate"
      : `${Math.abs(points).toFixed(2)} points ${points < 0 ? "less" : "more"} accurate`,
  ].filter(Boolean).join(", ");
  const rows = { "comparison-sizes": ({ meta }) => meta.model.bytes, "comparison-times": ({ median }) => median };
  const text = { "comparison-sizes": bytes, "comparison-times": (ms) => milliseconds(ms) };
  for (const [id, value] of Object.entries(rows)) {
    const list = $(id);
    while (list.children.length < 2) list.append(makeBar());
    const largest = Math.max(...models.map(value)) || 1;
    models.forEach((model, i) =>
      fill(list.children[i], model.name, Math.max(THINNEST, value(model) / largest), text[id](value(model))));
  }
  $("comparison").hidden = false;
}

/** Places the frame of the centre square over a preview of the given size. */
export function placeCrop(viewfinder, crop, width, height, { x, y, side }) {
  viewfinder.style.aspectRatio = `${width} / ${height}`;
  Object.assign(crop.style, {
    left: `${(100 * x) / width}%`, top: `${(100 * y) / height}%`,
    width: `${(100 * side) / width}%`, height: `${(100 * side) / height}%`,
  });
  crop.hidden = false;
}
