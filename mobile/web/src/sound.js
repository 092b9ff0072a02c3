/**
 * Whether a `.tflite` file is sound, decided before the runtime sees it.
 *
 * The order of the checks and the words are those of `distill/export/sound.py`, which says why.
 */

import { OPERATORS, checkOperator } from "./shapes.js";
import { need, read } from "./structure.js";

const VERSION = 3;
const MAX_RANK = 6;
const MAX_ELEMENTS = 2 ** 28; // of a tensor, and of all together that are no constants
const MAX_OPERATORS = 2 ** 12;
const MAX_WORK = 2 ** 35; // multiply-accumulates for an image
const TYPES = { 0: "float32", 1: "float16", 2: "int32", 3: "uint8", 9: "int8", 17: "int4" };
const ITEM_BYTES = { float32: 4, float16: 2, int32: 4, uint8: 1, int8: 1, int4: 0.5 };
const RANGES = { int8: [-128, 127], uint8: [0, 255], int32: [0, 0], int4: [0, 0] }; // of a zero point

const same = (a, b) => a.length === b.length && a.every((value, i) => value === b[i]);
const product = (shape) => shape.reduce((a, b) => a * b, 1);

/**
 * Checks a file, and that its input and output are those of a manifest.
 *
 * @param {Uint8Array} data the contents of the file.
 * @param {object} image the section `input` of `model.json`.
 * @param {object} scores the section `output`.
 * @throws {UnsoundError} for the first thing that is wrong.
 */
export function checkSound(data, image, scores) {
  const model = read(data);
  need(model.version === VERSION, "version", VERSION, model.version);
  need(model.graphs.length === 1, "subgraphs", 1, model.graphs.length);
  const [graph] = model.graphs;
  const tensors = graph.tensors.map((found, i) => tensor(data, model.buffers, found, `tensor ${i}`));
  for (const [name, described] of [["inputs", image], ["outputs", scores]]) {
    need(graph[name].length === 1, name, 1, graph[name].length);
    const [index] = graph[name];
    need(index >= 0 && index < tensors.length, name, `a tensor of ${tensors.length}`, index);
    checkDescribed(tensors[index], described, name);
  }
  checkOperators(model, graph, tensors, image.shape[0]);
  model.signatures.forEach((signature, i) => {
    const what = `signature ${i}`;
    need(signature.graph === 0, what, "graph 0", signature.graph);
    for (const name of ["inputs", "outputs"]) {
      const named = signature[name].map((entry) => entry.tensor);
      need(same(named, graph[name]), `${what}, ${name}`, graph[name], named);
    }
  });
}

function tensor(data, buffers, found, what) {
  const { shape, signature, buffer } = found;
  need(found.type in TYPES, what, "a known type", found.type);
  const dtype = TYPES[found.type];
  need(shape.length <= MAX_RANK, what, `at most ${MAX_RANK} dimensions`, shape.length);
  need(shape.every((size) => size > 0), what, "sizes above 0", shape);
  const elements = product(shape);
  need(elements <= MAX_ELEMENTS, what, `at most ${MAX_ELEMENTS} values`, shape);
  need(!signature.length || same(signature, shape), what, "sizes that are fixed", signature);
  need(buffer < buffers.length, what, `a buffer of ${buffers.length}`, buffer);
  let constant = null;
  const place = buffers[buffer].data;
  if (place && place[1] > 0) {
    const [start, length] = place;
    const size = Math.ceil(elements * ITEM_BYTES[dtype]);
    need(length === size, what, `${size} bytes`, length);
    const apart = Math.ceil(ITEM_BYTES[dtype]);
    need(start % apart === 0, what, `values at a multiple of ${apart}`, start);
    constant = new DataView(data.buffer, data.byteOffset + start, length);
  }
  const { scale, zero } = quantization(found.quantization, shape, dtype, what);
  if (dtype === "int4") need(constant, what, "a constant", "none");
  if (dtype === "int8" || dtype === "uint8" || dtype === "int4") {
    need(scale.length > 0, what, "a scale", "none");
    need(scale.length === 1 || constant, what, "one scale", scale.length);
  }
  return { shape, dtype, elements, constant, scale, zero };
}

function quantization(found, shape, dtype, what) {
  if (!found?.scale.length) return { scale: [], zero: [] };
  const { scale, zero, axis } = found;
  need(dtype in RANGES, what, `no scale for ${dtype}`, scale.length);
  need(zero.length === scale.length, what, `${scale.length} zero points`, zero.length);
  need(scale.every((s) => s > 0 && s < Infinity), what, "scales above 0", "another");
  const [low, high] = RANGES[dtype];
  need(zero.every((z) => low <= z && z <= high), what, `zero points from ${low} to ${high}`,
    "another");
  if (scale.length > 1) {
    need(axis >= 0 && axis < shape.length, what, `a dimension of ${shape.length}`, axis);
    need(scale.length === shape[axis], what, `${shape[axis]} scales`, scale.length);
  }
  return { scale, zero };
}

/** Checks an input or output against a manifest. */
function checkDescribed({ shape, dtype, constant, scale, zero }, described, what) {
  need(!constant, what, "no constant", "one");
  need(same(shape, described.shape), `${what}, shape`, described.shape, shape);
  need(dtype === described.dtype, `${what}, type`, described.dtype, dtype);
  if (described.quantization) {
    const { scale: s, zero_point: z } = described.quantization;
    need(same(scale, [s]) && same(zero, [z]), `${what}, scale`, "that of model.json", "another");
  }
}

/** Checks each operator, that what it reads is there, and what all of them cost. */
function checkOperators({ codes }, graph, tensors, images) {
  const { operators } = graph;
  need(operators.length > 0 && operators.length <= MAX_OPERATORS, "operators",
    `1 to ${MAX_OPERATORS}`, operators.length);
  const there = tensors.map(({ constant }) => constant !== null);
  there[graph.inputs[0]] = true;
  let [taken, work, elements] = [false, 0, 0];
  operators.forEach((operator, i) => {
    let what = `operator ${i}`;
    need(operator.code < codes.length, what, `a code of ${codes.length}`, operator.code);
    const code = codes[operator.code];
    const number = Math.max(code.old, code.builtin);
    need(number in OPERATORS, what, "a known operator", number);
    need(code.version > 0, what, "a version above 0", code.version);
    const rule = OPERATORS[number];
    what += ` ${rule.name}`;
    need(!operator.mutating.some(Boolean), what, "no variables", "one");
    need(!operator.intermediates.length, what, "no intermediates", "some");
    const { options } = operator;
    need(options === null || operator.options_type === rule.options, what, "its own options",
      operator.options_type);
    const inputs = operator.inputs.map((index) => {
      need(index >= -1 && index < tensors.length, what, `an input of ${tensors.length}`, index);
      need(index === -1 || there[index], what, "an input that is there", index);
      taken ||= index === graph.inputs[0];
      return index === -1 ? null : tensors[index];
    });
    const written = operator.outputs;
    need(written.length === 1, what, "1 output", written.length);
    const [to] = written;
    need(to >= 0 && to < tensors.length, what, `an output of ${tensors.length}`, to);
    need(!there[to], what, "an output that is not there", to);
    there[to] = true;
    work += checkOperator(rule, inputs, tensors[to], options, what);
    elements += tensors[to].elements;
    need(elements <= MAX_ELEMENTS, what, `at most ${MAX_ELEMENTS} values in all`, elements);
    const most = MAX_WORK * images;
    need(work <= most, what, `at most ${most} operations in all`, work);
  });
  need(taken, "inputs", "a tensor that is read", graph.inputs[0]);
  need(there[graph.outputs[0]], "outputs", "a tensor that is written", graph.outputs[0]);
}
