"""A set that is larger than memory: how fast its images come, beside the steps that they are for.

    python -m experiments.benchmarks.streaming --csv experiments/results/streaming.csv
    python -m experiments.benchmarks.streaming --gigabytes=0.02 --steps=2     # a look

A set of photos is generated as TFDS prepares one, in TFRecord or ArrayRecord files or as a folder,
so large that its pixels have --gigabytes. Then EfficientNet-Lite0 makes a few steps on it, first on
images that live on the device, then on streamed ones, in random order. The memory is the greatest
that the process had, TensorFlow included: by the time the images were read, and in the end, with
the network; so each kind of files wants a process of its own. The files take a tenth of their
pixels, in a temporary directory that is removed.
"""

import argparse
import io
import pathlib
import resource
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from distill import config as configs
from distill import data, presets, provenance
from distill.data import Dataset, Split, streaming
from distill.training import engine, fit, recipe
from distill.training.step import TrainData
from experiments.benchmarks import side_by_side

SIDE = 224
CLASSES = 10
DISTINCT = 500  # photos; the set repeats them
BATCH = 8
KINDS = ("tfrecord", "array_record", "folder")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--gigabytes", type=float, default=21.0, help="of pixels")
    parser.add_argument("--steps", type=int, default=20, help="that are timed")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=["tfrecord"])
    parser.add_argument("--csv", type=pathlib.Path, help="file to write the rows to")
    args = parser.parse_args()
    rows = []
    for kind in args.kinds:
        with tempfile.TemporaryDirectory(prefix="distill-") as root:
            began = time.monotonic()
            write(pathlib.Path(root), kind, int(args.gigabytes * 1e9 / (SIDE * SIDE * 3)))
            print(f"{kind}: written in {time.monotonic() - began:.0f} s", flush=True)
            rows.append(measured(pathlib.Path(root), kind, args.steps))
            print(rows[-1], flush=True)
    if args.csv:
        side_by_side.write_csv(args.csv, rows)


def photos() -> Iterator[bytes]:
    """Yields JPEG files of smooth noise, of about the bytes that photos of this size have."""
    rng = np.random.default_rng(0)
    for _ in range(DISTINCT):
        coarse = Image.fromarray(rng.integers(0, 256, (28, 28, 3), np.uint8))
        file = io.BytesIO()
        coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, "JPEG", quality=85)
        yield file.getvalue()


def write(root: pathlib.Path, kind: str, count: int) -> None:
    """Writes a set of `count` images, of which a few are to test with."""
    made = list(photos())
    if kind == "folder":
        for i in range(count):
            split = "test" if i < 10 * CLASSES else "train"
            folder = root / "photos" / split / f"class{i % CLASSES}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{i}.jpg").write_bytes(made[i % DISTINCT])
        return
    import tensorflow_datasets as tfds

    directory = root / "photos" / "1.0.0"
    directory.mkdir(parents=True)
    identity = tfds.core.DatasetIdentity(
        name="photos", version=tfds.core.Version("1.0.0"), data_dir=str(directory), module_name=""
    )
    features = tfds.features.FeaturesDict({
        "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
        "label": tfds.features.ClassLabel(num_classes=CLASSES),
    })  # fmt: skip
    info = tfds.core.DatasetInfo(builder=identity, features=features)
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=20_000, file_format=kind)
    writer.initialize_splits(["train", "test"])
    for split, n in (("test", 10 * CLASSES), ("train", count)):
        examples = (
            {"image": io.BytesIO(made[i % DISTINCT]), "label": i % CLASSES} for i in range(n)
        )
        writer.add_examples({split: examples})
    writer.close_all()


def measured(root: pathlib.Path, kind: str, steps: int) -> dict[str, Any]:
    """Trains on a set, and returns the row."""
    began = time.monotonic()
    config = configs.defaults()
    if kind == "folder":
        config.dataset.name, config.dataset.folder = "", str(root / "photos")
    else:
        config.dataset.name, config.dataset.data_dir = "photos", str(root)
    config.dataset.image_size = SIDE
    config.dataset.mean, config.dataset.std = presets.IMAGENET_MEAN, presets.IMAGENET_STD
    config.loss.name = "cross_entropy"
    config.teacher.batch_size = BATCH
    config.student.update(
        {"model": "efficientnet_lite0", "batch_size": BATCH, "augmentation": "resized_crop"}
    )
    dataset = data.load(config, *data.find(config, print), print)
    found = dataset.train
    first = next(streaming.ahead(found.images, [slice(0, BATCH)]))
    until_first = time.monotonic() - began
    decoding = _seconds(lambda: _read(found, steps * BATCH))
    reading = _peak()
    small = Split(np.asarray(found.images[: 8 * BATCH]), found.labels[: 8 * BATCH])
    resident = _train(config, dataset._replace(train=small), steps, resident=True)
    streamed = _train(config, dataset, steps, resident=False)
    return {
        "files": kind,
        "images": len(found),
        "decoded_gb": round(found.images.nbytes / 1e9, 2),
        "file_gb": round(_size(root) / 1e9, 2),
        "reading_gb": round(reading / 1e9, 2),
        "peak_gb": round(_peak() / 1e9, 2),
        "seconds_to_first_batch": round(until_first, 1),
        "decoded_per_second": round(steps * BATCH / decoding, 1),
        "step_images_per_second": round(steps * BATCH / resident, 1),
        "streamed_images_per_second": round(steps * BATCH / streamed, 1),
        "side": first.shape[1],
        "batch": BATCH,
        "steps": steps,
        "threads": streaming.num_workers(),
        "device": provenance.device(),
        "commit": provenance.commit(),
    }


def _read(split: Split, count: int) -> None:
    order = np.random.default_rng(0).permutation(len(split))[:count]
    for _ in streaming.ahead(split.images, list(order.reshape(-1, BATCH))):
        pass


def _train(config: Any, dataset: Dataset, steps: int, *, resident: bool) -> float:
    """Returns the seconds of some steps, after as many that compile and fill what waits."""
    loss = recipe.loss_section(config.loss)
    described = {
        "dataset": dataset.name, "splits": {}, "transfer": None, "fingerprint": dataset.fingerprint,
        "input_shape": (SIDE, SIDE, 3), "num_classes": dataset.num_classes,
    }  # fmt: skip
    about = recipe.describe(config.student, loss, [0], config.dataset, described, None)
    split, plan = dataset.train, engine.execution(1)
    task = recipe.task(about, recipe.Length(steps, 2 * steps))
    states, hyper = recipe.create(about, task), recipe.hyper(about)
    stream = None if resident else split
    placed = TrainData()
    if resident:
        placed = plan.place(TrainData(images=split.images, labels=split.labels))
    epochs = range(-(-2 * steps * BATCH // len(split)))
    order = np.concatenate([
        np.asarray(engine.epoch_order(
            states.key, jnp.int32(epoch), num_examples=len(split), batch_size=BATCH
        ))
        for epoch in epochs
    ], axis=1)  # fmt: skip
    size = max(1, steps // 4)
    chunks = (fit.Chunk(order[:, at : at + size], size) for at in range(0, 2 * steps, size))
    made, began, before = 0, 0.0, 0
    for chunk, read in fit.placed(placed, stream, chunks, plan):
        if made >= steps and not before:
            began, before = time.monotonic(), made
        states, found = engine.run_chunk(task, plan, states, hyper, *read, np.int32(chunk.steps))
        jax.block_until_ready(found)
        made += chunk.steps
    return (time.monotonic() - began) * steps / (made - before)


def _peak() -> int:
    """Returns the most bytes of memory that the process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _seconds(work: Any) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _size(root: pathlib.Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
