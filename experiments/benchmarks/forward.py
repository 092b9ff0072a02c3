"""Speed of a forward pass next to PyTorch and LiteRT, on the same machine in the same run.

    python -m experiments.benchmarks.forward --csv experiments/results/forward.csv

What evaluation and tables of soft targets do: uint8 images on the host to logits on the host, all
of them in batches, through `distill.training.predict`. PyTorch does the same without gradients,
eager and through `torch.compile`; LiteRT runs the exported float32 file with a thread for each
core. They take turns (see `side_by_side`). It takes about two minutes on two cores; PyTorch is
optional.
"""

import functools
import tempfile

import numpy as np

from distill import provenance
from experiments.benchmarks import networks, side_by_side
from experiments.benchmarks.side_by_side import Round
from experiments.benchmarks.train_step import input_shape

IMAGES = {"teacher": 4000, "simplenet_v1": 20_000, "simplenet_v4": 20_000, "resnet20": 1000}
BATCH = 100


def main() -> None:
    build = {
        "distill": build_distill, "pytorch": build_pytorch,
        "pytorch_compiled": functools.partial(build_pytorch, compiled=True),
        "litert": build_litert,
    }  # fmt: skip
    what = f"batch {BATCH}; images per second"
    side_by_side.compare(__spec__.name, __doc__, what, build, IMAGES, {"batch": BATCH})


def random_images(model: str) -> np.ndarray:
    """Images `[n, height, width, channels]`, uint8."""
    shape = (IMAGES[model], *input_shape(model))
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def build_distill(model: str) -> Round:
    """Evaluation itself."""
    import jax

    from distill import models
    from distill.training.predict import predict

    module = models.build(model, {}, num_classes=10)
    variables = module.init(jax.random.key(0), np.zeros((1, *input_shape(model)), np.float32))
    images = random_images(model)
    channels = images.shape[-1]

    def run():
        predict(module, variables, images, mean=(0.0,) * channels, std=(1.0,) * channels)

    return run


def build_pytorch(model: str, compiled: bool = False) -> Round:
    """A loop without gradients, channels first, one thread per core; eager, or compiled."""
    import torch

    torch.set_num_threads(provenance.cores())
    net = networks.pytorch_network(model).eval()
    net = torch.compile(net) if compiled else net
    images = torch.from_numpy(random_images(model).transpose(0, 3, 1, 2).copy())

    def run():
        with torch.inference_mode():
            for start in range(0, len(images), BATCH):
                net(images[start : start + BATCH].float() / 255).numpy()

    return run


def build_litert(model: str) -> Round:
    """The file that is exported, in float32, for whole batches."""
    import jax
    from ai_edge_litert.interpreter import Interpreter

    from distill import models
    from distill.export import convert, graph

    module = models.build(model, {}, num_classes=10)
    shape = (BATCH, *input_shape(model))
    variables = module.init(jax.random.key(0), np.zeros(shape, np.float32))
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        function = graph.inference(module, variables, "logits")
        file.write(convert.to_tflite(function, shape, "float32"))
        file.flush()
        interpreter = Interpreter(file.name, num_threads=provenance.cores())
    interpreter.allocate_tensors()
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    images = random_images(model)

    def run():
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH].astype(np.float32) / 255
            interpreter.set_tensor(given["index"], batch)
            interpreter.invoke()
            interpreter.get_tensor(result["index"])

    return run


if __name__ == "__main__":
    main()
