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

const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;

/** Makes the card of one model and appends it. */
export function makeCard(parent) {
  const card = $("card").content.firstElementChild.cloneNode(true);
  parent.append(card);
  const part = (selector) => card.querySelector(selector);
  const bars = part(".bars");

  /** Shows what a bundle says of itself. */
  function describe(meta) {
    const { provenance, model, input } = meta;
    part("h2").textContent = meta.name;
    const count = provenance.num_params;
    part(".facts").textContent = [
      Number.isFinite(count) && `${count.toLocaleString("en")} parameters`,
      `${input.shape.slice(1).join(" × ")} ${input.dtype}`,
    ].filter(Boolean).join(", ");
    part(".size").textContent = bytes(model.bytes);
    const accuracy = provenance.accuracy;
    part(".accuracy").textContent = Number.isFinite(accuracy) ? percent(accuracy, 2) : "–";
    clear();
  }

  /** Shows that a model is not to be used, and why. */
  function fail(name, message) {
    part("h2").textContent = name;
    for (const each of [".facts", ".size", ".accuracy", ".selftest"]) part(each).textContent = "";
    clear();
    say(part(".notice"), message, true);
  }

  function clear() {
    say(part(".notice"));
    part(".label").textContent = "–";
    part(".score").textContent = "";
    bars.replaceChildren();
  }

  /** Shows the best classes, `{index, score}`, the best first. */
  function answer(ranked, labels) {
    const best = labels[ranked[0].index];
    part(".label").textContent = best;
    part(".label").classList.toggle("long", best.length > 3);
    part(".score").textContent = percent(ranked[0].score);
    while (bars.children.length > ranked.length) bars.lastChild.remove();
    while (bars.children.length < ranked.length) bars.append(makeBar());
    ranked.forEach(({ index, score }, i) => {
      const [label, track, share] = bars.children[i].children;
      label.textContent = labels[index];
      track.firstChild.style.transform = `scaleX(${Math.max(0, Math.min(1, score))})`;
      share.textContent = percent(score);
    });
  }

  function measured({ median, last }) {
    part(".median").textContent = milliseconds(median);
    part(".last").textContent = milliseconds(last);
  }

  function tested(text) {
    part(".selftest").textContent = text;
  }

  return { describe, fail, clear, answer, measured, tested, remove: () => card.remove() };
}

function makeBar() {
  const bar = document.createElement("li");
  const [label, track, share] = ["label", "track", "percent"].map((name) => {
    const span = document.createElement("span");
    span.className = name;
    return span;
  });
  track.setAttribute("aria-hidden", "true");
  track.append(document.createElement("span"));
  track.firstChild.className = "fill";
  bar.append(label, track, share);
  return bar;
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

/** Says in one sentence how the smaller of two models compares. */
export function compare(element, models) {
  const [small, large] = [...models].sort((a, b) => a.meta.model.bytes - b.meta.model.bytes);
  const faster = large.median / small.median;
  const accuracy = (model) => model.meta.provenance.accuracy;
  const points = 100 * (accuracy(small) - accuracy(large));
  const parts = [
    `${times(large.meta.model.bytes / small.meta.model.bytes)} smaller`,
    faster > 0 && Number.isFinite(faster) &&
      (faster >= 1 ? `${times(faster)} faster` : `${times(1 / faster)} slower`),
    Number.isFinite(points) &&
      `${Math.abs(points).toFixed(2)} points ${points < 0 ? "less" : "more"} accurate`,
  ].filter(Boolean);
  const figures = document.createElement("strong");
  figures.textContent = parts.join(", ");
  element.replaceChildren(`${small.meta.name} is `, figures, ` than ${large.meta.name}.`);
  element.hidden = false;
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
