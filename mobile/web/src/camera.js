/** The camera: starting, stopping, choosing one, and what to say when there is none. */

import { framePixels } from "./pixels.js";

const WANTED = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };

const REASONS = {
  NotAllowedError: "The camera is not allowed. Allow it in the site settings of the browser, then start it again.",
  NotFoundError: "There is no camera. Connect one and start it again, or draw, or drop an image.",
  NotReadableError: "The camera cannot be read; another program may be using it. Close that, then start it again.",
  AbortError: "The camera stopped by itself. Start it again.",
};

/** Returns what to tell about an error of `getUserMedia`, and what to do. */
export function explain(error) {
  return REASONS[error.name] ?? `The camera cannot be used (${error.message || error.name}).`;
}

/**
 * Makes a camera that shows in a video element.
 *
 * @param {HTMLVideoElement} video
 * @param {{partOf: function, onFrame: function, onLost: function(string)}} listeners which part of a
 *     frame is wanted; of every new frame `(pixels, started)`: as of `framePixels`, and when the work
 *     on them began; and of a camera that is gone, such as one that was unplugged.
 * @return {{start: function, stop: function, list: function, running: boolean}}
 */
export function makeCamera(video, { partOf, onFrame, onLost }) {
  let stream = null;
  let attempt = 0; // a start that was overtaken by a stop gives its camera back
  let last; // the device id of the camera that was started last

  const next = video.requestVideoFrameCallback
    ? (callback) => video.requestVideoFrameCallback(callback)
    : (callback) => requestAnimationFrame(callback);

  async function loop(own) {
    if (stream !== own) return;
    if (video.readyState >= video.HAVE_CURRENT_DATA && video.videoWidth) {
      const started = performance.now();
      const pixels = await framePixels(video, partOf);
      if (stream !== own) return;
      onFrame(pixels, started);
    }
    next(() => loop(own));
  }

  function stop() {
    attempt++;
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = null;
    video.srcObject = null;
  }

  /**
   * Starts the camera of a device id, or else the last one; where there is none, or it is gone, the
   * one that looks away from the user.
   */
  async function start(deviceId = last) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("The camera needs a page from https or from this computer; draw, or drop an image.");
    }
    stop();
    last = deviceId;
    const own = attempt;
    const which = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: { ideal: "environment" } };
    let opened;
    try {
      opened = await navigator.mediaDevices.getUserMedia({ video: { ...WANTED, ...which }, audio: false });
    } catch (error) {
      if (own !== attempt) return;
      if (deviceId && error.name === "OverconstrainedError") {
        last = undefined;
        return start();
      }
      throw new Error(explain(error), { cause: error });
    }
    if (own !== attempt) {
      for (const track of opened.getTracks()) track.stop();
      return;
    }
    stream = opened;
    last = opened.getVideoTracks()[0].getSettings().deviceId;
    opened.getVideoTracks()[0].addEventListener("ended", () => {
      if (stream !== opened) return;
      stop();
      onLost("The camera was disconnected. Connect it and start it again.");
    });
    video.srcObject = opened;
    await video.play().catch(() => {}); // a stop while it starts rejects; that is no fault
    next(() => loop(opened));
  }

  /** Returns `{id, label, chosen}` of every camera; names are known once one was allowed. */
  async function list() {
    const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
    return devices
      .filter(({ kind, deviceId }) => kind === "videoinput" && deviceId)
      .map(({ deviceId, label }, i) => (
        { id: deviceId, label: label || `Camera ${i + 1}`, chosen: deviceId === last }));
  }

  return { start, stop, list, get running() { return stream !== null; } };
}
