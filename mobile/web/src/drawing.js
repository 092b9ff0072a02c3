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
 * @return {{clear: function, undo: function, setPen: function(number), resize: function(number),
 *     empty: boolean}} `undo` takes the last stroke away, `resize` sets the height in pixels.
 */
export function makeDrawing(canvas, marker, onChange) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const strokes = []; // `{pen, points}` each
  const pointers = new Map(); // pointer id to its stroke
  const cursor = { x: canvas.width / 2, y: canvas.height / 2, stroke: null };
  let pen = PEN;
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
    const share = (pixels, of) => `${(100 * pixels) / of}%`;
    Object.assign(marker.style, {
      left: share(cursor.x, canvas.width), top: share(cursor.y, canvas.height), width: share(pen, canvas.width),
    });
    marker.classList.toggle("down", cursor.stroke !== null);
  }

  function redraw() {
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    for (const { pen: width, points } of strokes) {
      points.forEach((point, i) => line(points[Math.max(i - 1, 0)], point, width));
    }
    mark();
    changed();
  }

  function clear() {
    strokes.length = 0;
    pointers.clear();
    cursor.stroke = null;
    redraw();
  }

  function undo() {
    const last = strokes.pop();
    if (cursor.stroke === last) cursor.stroke = null;
    for (const [id, stroke] of pointers) if (stroke === last) pointers.delete(id);
    redraw();
  }

  function line(from, to, width) {
    context.strokeStyle = context.fillStyle = "#fff";
    context.lineWidth = width;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x, to.y);
    context.stroke();
    context.beginPath(); // a line of no length is not drawn
    context.arc(to.x, to.y, width / 2, 0, 2 * Math.PI);
    context.fill();
  }

  function begin(point) {
    const stroke = { pen, points: [] };
    strokes.push(stroke);
    extend(stroke, point);
    return stroke;
  }

  function extend({ pen: width, points }, point) {
    line(points.at(-1) ?? point, point, width);
    points.push(point);
    changed();
  }

  function place({ clientX, clientY }) {
    const box = canvas.getBoundingClientRect();
    return {
      x: ((clientX - box.left) * canvas.width) / box.width,
      y: ((clientY - box.top) * canvas.height) / box.height,
    };
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, begin(place(event)));
  });
  canvas.addEventListener("pointermove", (event) => {
    const stroke = pointers.get(event.pointerId);
    if (!stroke) return;
    const coalesced = event.getCoalescedEvents?.() ?? [];
    for (const each of coalesced.length ? coalesced : [event]) extend(stroke, place(each));
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
    canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
  }
  canvas.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (arrow) {
      cursor.x = Math.max(0, Math.min(canvas.width, cursor.x + STEP * arrow[0]));
      cursor.y = Math.max(0, Math.min(canvas.height, cursor.y + STEP * arrow[1]));
      if (cursor.stroke) extend(cursor.stroke, { x: cursor.x, y: cursor.y });
    } else if (event.key === " ") {
      cursor.stroke = cursor.stroke ? null : begin({ x: cursor.x, y: cursor.y });
    } else if (event.key === "Escape") {
      clear();
    } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
      undo();
    } else {
      return;
    }
    mark();
    event.preventDefault();
  });

  clear();
  return {
    clear,
    undo,
    setPen(width) {
      pen = width;
      mark();
    },
    resize(height) {
      if (canvas.height === height) return;
      canvas.height = height;
      Object.assign(cursor, { x: canvas.width / 2, y: height / 2 });
      clear();
    },
    get empty() {
      return !strokes.length;
    },
  };
}
