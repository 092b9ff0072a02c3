/** The models that are shown: loading, proving and running them. */

import { goldenError, readBundle } from "./bundle.js";
import { BundleError, fromBase64, shown } from "./manifest.js";
import { durations } from "./meters.js";
import { typed } from "./preprocess.js";
import { compile } from "./runtime.js";
import { checkScores, lowPass, probabilities } from "./scores.js";

const WARM_UP = 5; // the first runs touch memory and code for the first time

/** Returns the list of bundles, `[{path, name}]`. */
export async function listBundles() {
  const response = await fetch("bundles/index.json");
  if (!response.ok) throw new Error("bundles/index.json is missing; serve the page with distill.serve.");
  const bundles = await response.json();
  if (!bundles.length) throw new Error("There is no bundle here; export a model first.");
  return bundles;
}

async function fetchFile(url, onLength) {
  const stop = new AbortController();
  const response = await fetch(url, { signal: stop.signal });
  if (!response.ok) return null;
  const { headers } = response;
  try {
    if (headers.has("content-length") && !headers.has("content-encoding")) onLength(Number(headers.get("content-length")));
  } catch (error) {
    stop.abort(); // a file of another length may be of any
    throw error;
  }
  return new Uint8Array(await response.arrayBuffer());
}

const short = (number) => shown(Number(number.toPrecision(6)));

/**
 * Loads a model and proves it on its golden pair.
 *
 * @param {Promise<object>} runtime
 * @param {string} path of the bundle's folder.
 * @return {Promise<object>} with `meta`, `error` (largest distance from the golden output),
 *     `infer`, `setFilter`, `inference` (durations of the runs), `warmUp` (one run) and `dispose`.
 * @throws {BundleError}
 */
export async function loadModel(runtime, path) {
  const { meta, file } = await readBundle((name, onLength) => fetchFile(`${path}/${name}`, onLength));
  const { run, dispose } = await compile(await runtime, file, meta);
  const input = typed(meta.input.dtype, fromBase64(meta.golden.input).buffer);
  const error = goldenError(run(input), meta);
  if (error > meta.golden.tolerance) {
    dispose();
    throw new BundleError(`${meta.name} fails its self-test: the output differs by ${short(error)} ` +
      `from the golden one, the tolerance is ${short(meta.golden.tolerance)}`);
  }
  for (let i = 0; i < WARM_UP; i++) run(input);

  const inference = durations();
  let filter = null;

  /** Returns the scores of an input tensor; those of a `smooth` sequence go through the filter. */
  function infer(tensor, smooth) {
    const start = performance.now();
    const output = run(tensor);
    inference.add(performance.now() - start);
    const scores = probabilities(output, meta.output);
    checkScores(scores);
    return smooth ? filter(scores) : scores;
  }

  /** Sets the filter, which then starts at zero. */
  function setFilter(settings) {
    filter = lowPass(meta.labels.length, settings);
  }

  setFilter(meta.defaults.filter);
  return { meta, error, infer, setFilter, inference, warmUp: () => run(input), dispose };
}
