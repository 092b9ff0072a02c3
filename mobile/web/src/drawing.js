/** A canvas to draw on, light on dark as the digits of MNIST, with pointer or keyboard. */

const PEN = 22; // of 280 pixels: about two of the 28 that a model sees
const STEP = 6;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * Makes a canvas a drawing area.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLElement} marker shows the pen of the keyboard; it lies over the canvas, never on it.
 * @param {function()} onChange called once per animation frame in which something was drawn.
 * @return {{clear: function, empty: boolean}}
 */
export function makeDrawing(canvas, marker, onChange) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const strokes = new Map(); // pointer id to its last point
  const cursor = { x: canvas.width / 2, y: canvas.height / 2, down: false };
  let empty = true;
  let scheduled = false;

  function changed() {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => {
      scheduled = false;
      onChange();
    });
  }

  function mark() {
    const share = (pixels) => `${(100 * pixels) / canvas.width}%`;
    Object.assign(marker.style, { left: share(cursor.x), top: share(cursor.y), width: share(PEN) });
    marker.classList.toggle("down", cursor.down);
  }

  function clear() {
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    strokes.clear();
    cursor.down = false;
    mark();
    empty = true;
    changed();
  }

  function line(from, to) {
    context.strokeStyle = context.fillStyle = "#fff";
    context.lineWidth = PEN;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x, to.y);
    context.stroke();
    context.beginPath(); // a line of no length is not drawn
    context.arc(to.x, to.y, PEN / 2, 0, 2 * Math.PI);
    context.fill();
    empty = false;
    changed();
  }

  function point({ clientX, clientY }) {
    const box = canvas.getBoundingClientRect();
    return {
      x: ((clientX - box.left) * canvas.width) / box.width,
      y: ((clientY - box.top) * canvas.height) / box.height,
    };
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    const at = point(event);
    strokes.set(event.pointerId, at);
    line(at, at);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!strokes.has(event.pointerId)) return;
    const coalesced = event.getCoalescedEvents?.() ?? [];
    for (const each of coalesced.length ? coalesced : [event]) {
      const at = point(each);
      line(strokes.get(event.pointerId), at);
      strokes.set(event.pointerId, at);
    }
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
    canvas.addEventListener(end, (event) => strokes.delete(event.pointerId));
  }
  canvas.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (arrow) {
      const from = { ...cursor };
      cursor.x = Math.max(0, Math.min(canvas.width, cursor.x + STEP * arrow[0]));
      cursor.y = Math.max(0, Math.min(canvas.height, cursor.y + STEP * arrow[1]));
      if (cursor.down) line(from, cursor);
    } else if (event.key === " ") {
      cursor.down = !cursor.down;
      if (cursor.down) line(cursor, cursor);
    } else if (event.key === "Escape") {
      clear();
    } else {
      return;
    }
    mark();
    event.preventDefault();
  });

  clear();
  return { clear, get empty() { return empty; } };
}
