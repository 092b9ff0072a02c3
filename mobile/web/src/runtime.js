/**
 * LiteRT.js, below its public tensors.
 *
 * `CompiledModel` and `Tensor` of @litertjs/core 2.5.3 know float32, int32 and uint8 only ("Element
 * type INT8 is not supported"), while the WebAssembly module under them runs int8 as any other
 * runtime does. So one path for all dtypes goes through the bindings of that module, which keeps the
 * input's memory from frame to frame as well. What is freed by hand is freed here. The version is
 * pinned, and the self-test of every bundle would tell if the bindings changed.
 */

import { loadLiteRt } from "@litertjs/core";

import { BundleError, shown } from "./manifest.js";
import { typed } from "./preprocess.js";

const ELEMENT = { float32: 1, uint8: 3, int8: 9 };

const VARIANT = "litert_wasm_compat_internal"; // of those, the one that every browser can run

/** Loads the runtime from the folder of its WebAssembly file, which is compressed. */
export async function loadRuntime(folder) {
  const response = await fetch(`${folder}${VARIANT}.wasm.gz`);
  if (!response.ok) throw new Error(`${VARIANT}.wasm.gz: status ${response.status}`);
  globalThis.Module = { // is looked for there
    wasmBinary: await unpacked(await response.arrayBuffer()),
    printErr: (line) => console.debug(line), // it tells what it does; what fails is thrown
  };
  const liteRt = await loadLiteRt(`${folder}${VARIANT}.js`);
  return { wasm: liteRt.liteRtWasm, environment: liteRt.getDefaultEnvironment() };
}

/** Unpacks a file, unless a server that knows its ending had the browser do so. */
async function unpacked(file) {
  const [first, second] = new Uint8Array(file, 0, 2);
  if (first !== 0x1f || second !== 0x8b) return file;
  return new Response(new Blob([file]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

/**
 * Compiles a model for the CPU, one thread.
 *
 * @param {object} runtime from `loadRuntime`.
 * @param {Uint8Array} file the bytes of `model.tflite`.
 * @param {object} meta `model.json`.
 * @return {Promise<{run: function, dispose: function}>} `run` takes the values of the input tensor
 *     and returns a copy of the output's; `dispose` frees the memory.
 * @throws {BundleError} where the file is no model, or another one than `model.json` describes.
 */
export async function compile({ wasm, environment }, file, meta) {
  const env = environment.liteRtEnvironment;
  const address = wasm._malloc(file.length);
  wasm.HEAPU8.set(file, address);
  const owned = [];
  const dispose = () => {
    for (const object of owned.reverse()) object.delete();
    wasm._free(address);
  };
  const own = (object) => (owned.push(object), object);
  try {
    const model = own(wasm.loadModel(env, address, file.length));
    const inputType = own(model.getInputTensorType(0, 0));
    const name = `${meta.model.file} of ${meta.name}`;
    checkTensor(inputType, meta.input, name);
    checkTensor(own(model.getOutputTensorType(0, 0)), meta.output, name);
    const compiled = own(await wasm.compileModel(env, model, {
      environment, accelerator: "wasm", cpuOptions: { numThreads: 1 }, gpuOptions: {}, webNNOptions: {},
    }));
    const input = own(wasm.LiteRtTensorBuffer.createManaged(
      env, wasm.LiteRtTensorBufferType.HOST_MEMORY, inputType, inputType.bytes()));
    const { READ, WRITE } = wasm.LiteRtTensorBufferLockMode;

    const run = (values) => {
      const to = input.lock(WRITE);
      wasm.HEAPU8.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), to);
      input.unlock();
      const [output] = compiled.run(0, [input]);
      const from = output.lock(READ);
      const result = typed(meta.output.dtype, wasm.HEAPU8.slice(from, from + output.packedSize()).buffer);
      output.unlock();
      output.delete();
      return result;
    };
    return { run, dispose };
  } catch (error) {
    dispose();
    if (error instanceof BundleError) throw error;
    throw new BundleError(`LiteRT cannot run the file: ${error.message ?? error}`);
  }
}

function checkTensor(type, described, name) {
  const layout = type.layout();
  const vector = layout.dimensions();
  const shape = Array.from({ length: vector.size() }, (_, i) => vector.get(i));
  vector.delete();
  layout.delete();
  const element = type.elementType().value;
  const dtype = Object.keys(ELEMENT).find((key) => ELEMENT[key] === element) ?? "another";
  for (const [key, found] of Object.entries({ shape, dtype })) {
    const expected = described[key];
    if (String(found) !== String(expected)) {
      const [is, wanted] = [found, expected].map((value) => shown(value).replaceAll('"', ""));
      throw new BundleError(`${name} has a tensor of ${key} ${is}; expected ${wanted}`);
    }
  }
}
