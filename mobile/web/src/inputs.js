/** Where images come from: the drawing area, the camera, and files that are dropped or pasted. */

import { makeCamera } from "./camera.js";
import { makeDrawing } from "./drawing.js";
import { decode, fileFrom } from "./images.js";
import { cropPixels } from "./pixels.js";
import { centerCrop } from "./preprocess.js";
import { $, placeCrop, say } from "./view.js";

const WIDTH = 280; // pixels of the pad and of the picture
const HINTS = { draw: "Draw here", camera: "The camera is off", image: "Drop an image here" };

/**
 * Wires the inputs of the page.
 *
 * @param {{onImage: function, onEmpty: function(), onNewSequence: function()}} listeners: of an
 *     image `(pixels, started, kind)`: as of `cropPixels`, when the work on it began, and whether it
 *     is a `drawing`, a `picture`, or one `frame` of a sequence; of no image any more; and of a
 *     sequence that begins.
 * @return {object} `again()` hands out the still image that is shown, if any, once more; `fit(shapes)`
 *     takes the shapes of the models, of which the first is shown; `mirror(boolean)`; `offer(canvases)`
 *     shows samples to choose from.
 */
export function makeInputs({ onImage, onEmpty, onNewSequence }) {
  const [pad, video, picture, message, hint] = ["pad", "video", "picture", "message", "hint"].map($);
  let source = "draw";
  let still = null; // the image that is shown, if it is no video
  let turn = 0; // of the choices; an image that was decoded too late for its own is not shown
  let shapes = [[1, 1, 1, 1]]; // of the models that look
  let wanted = false; // whether the camera runs, or will as soon as it may and the page is seen

  const drawing = makeDrawing(pad, $("pen"), () => {
    if (source !== "draw") return;
    show(drawing.empty ? null : pad);
  });
  const camera = makeCamera(video, {
    partOf,
    onFrame: (pixels, started) => onImage(pixels, started, "frame"),
    onLost: (reason) => {
      stopCamera();
      say(message, reason, true);
    },
  });

  /** Returns the part of an image that all models together look at. */
  function partOf(width, height) {
    const parts = shapes.map((shape) => centerCrop(width, height, shape));
    const [left, top] = ["x", "y"].map((key) => Math.min(...parts.map((part) => part[key])));
    const right = Math.max(...parts.map((part) => part.x + part.width));
    const bottom = Math.max(...parts.map((part) => part.y + part.height));
    return { x: left, y: top, width: right - left, height: bottom - top };
  }

  /** Takes the shapes of the models; pad and picture have that of the first. */
  function fit(wantedShapes) {
    shapes = wantedShapes;
    const [, rows, columns] = shapes[0];
    const height = Math.max(1, Math.round((WIDTH * rows) / columns));
    drawing.resize(height);
    if (picture.height !== height) {
      picture.height = height;
      if (source === "image" && still) paint(still);
    }
    placeFrame();
  }

  function placeFrame() {
    const { videoWidth: width, videoHeight: height } = video;
    if (width && height) placeCrop($("viewfinder"), $("crop"), width, height, centerCrop(width, height, shapes[0]));
  }

  function show(image) {
    if (still !== image) still?.close?.();
    still = image;
    say(hint, image ? "" : HINTS[source]);
    if (image) again();
    else onEmpty();
  }

  function again() {
    if (!still) return;
    const started = performance.now();
    const { width, height } = still;
    onImage(cropPixels(still, width, height, partOf(width, height)), started, still === pad ? "drawing" : "picture");
  }

  /** Chooses where images come from. */
  function choose(name) {
    document.querySelector(`input[name="source"][value="${name}"]`).checked = true;
    turn++;
    if (name === source) return;
    source = name;
    stopCamera();
    for (const part of document.querySelectorAll("[data-source]")) {
      part.hidden = part.dataset.source !== name;
    }
    say(message);
    drawing.clear();
    picture.getContext("2d").clearRect(0, 0, picture.width, picture.height);
  }

  async function startCamera(id) {
    say(message);
    onNewSequence();
    wanted = true;
    try {
      await camera.start(id);
    } catch (error) {
      stopCamera();
      say(message, error.message, true);
    }
    showCamera();
  }

  /** Stops the camera; what was shown of it goes too. */
  function stopCamera() {
    wanted = false;
    camera.stop();
    show(null);
    showCamera();
  }

  async function showCamera() {
    $("toggle-camera").textContent = camera.running ? "Stop camera" : "Start camera";
    $("toggle-camera").classList.toggle("primary", !camera.running);
    if (!camera.running) $("crop").hidden = true;
    if (source === "camera") say(hint, camera.running ? "" : HINTS.camera);
    const cameras = await camera.list();
    $("cameras").hidden = cameras.length < 2;
    $("camera").replaceChildren(
      ...cameras.map(({ id, label, chosen }) => new Option(label, id, false, chosen)));
  }

  async function showFile(file) {
    choose("image");
    say(message);
    const own = turn;
    let image;
    try {
      image = await decode(file);
    } catch (error) {
      if (own === turn) say(message, error.message, true);
      return;
    }
    if (own !== turn) return void image.close();
    paint(image);
    picture.setAttribute("aria-label", file.name || "Pasted image");
    show(image);
  }

  function paint(image) {
    const { x, y, width, height } = centerCrop(image.width, image.height, shapes[0]);
    const context = picture.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, picture.width, picture.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(image, x, y, width, height, 0, 0, picture.width, picture.height);
  }

  function offer(canvases) {
    const buttons = canvases.map((canvas, i) => {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", ariaLabel: `Sample ${i + 1}` });
      canvas.ariaHidden = "true"; // the button has a name
      button.append(canvas);
      button.addEventListener("click", () => {
        turn++;
        say(message);
        paint(canvas);
        picture.setAttribute("aria-label", button.ariaLabel);
        show(canvas);
      });
      return button;
    });
    $("samples").replaceChildren(...buttons);
  }

  for (const radio of document.querySelectorAll('input[name="source"]')) {
    radio.addEventListener("change", () => choose(radio.value));
  }
  $("clear").addEventListener("click", drawing.clear);
  $("undo").addEventListener("click", drawing.undo);
  $("pen-width").addEventListener("input", (event) => drawing.setPen(event.target.valueAsNumber));
  $("toggle-camera").addEventListener("click", () => camera.running ? stopCamera() : startCamera());
  $("camera").addEventListener("change", () => startCamera($("camera").value));
  video.addEventListener("resize", placeFrame);
  navigator.mediaDevices?.addEventListener?.("devicechange", showCamera);
  document.addEventListener("visibilitychange", () => {
    if (source !== "camera") return;
    if (document.hidden) {
      const before = wanted;
      stopCamera();
      wanted = before;
    } else if (wanted) {
      startCamera();
    }
  });
  listenForFiles(showFile, (reason) => say(message, reason, true));
  if (location.hash.slice(1) in HINTS) choose(location.hash.slice(1));
  return {
    again,
    fit,
    offer,
    mirror: (mirrored) => $("viewfinder").classList.toggle("mirrored", mirrored),
  };
}

/** Hands on the files that are chosen, pasted, or dropped anywhere on the page. */
function listenForFiles(onFile, onOther) {
  const [chooser, stage] = ["file", "stage"].map($);
  $("choose").addEventListener("click", () => chooser.click());
  chooser.addEventListener("change", () => {
    const [file] = chooser.files;
    chooser.value = "";
    if (file) onFile(file);
  });
  document.addEventListener("paste", (event) => {
    const file = fileFrom(event.clipboardData);
    if (file) onFile(file);
  });
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
    if (file) onFile(file);
    else onOther("Drop the file of an image; links and text are not followed.");
  });
}
