"""Digits as people write them: what a model recognises, with and without `normalize: mnist`.

    python -m experiments.in_hand [--others=hand:runs/a/export/int8,shift:runs/b/export/int8]

Drawings of six hands in each condition of `golden_digits`, three of the hands seen by nothing else;
and digits of MNIST's test set as ink on paper. All of it goes through what a reader does with an
image. Writes results/in_hand.csv, of which mobile/README.md has tables.
"""

import itertools
import json
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from absl import flags

from distill import cli, provenance
from distill.data import reading, sources
from distill.export import bundle, preprocess
from distill.export.runtime import Model
from experiments import RESULTS, ROOT
from experiments.golden_digits import CONDITIONS, SIDE, Condition, light, picture, seen
from experiments.hands import HANDS

CSV = RESULTS / "in_hand.csv"
SHIPPED = ROOT / "mobile" / "app" / "src" / "main" / "assets" / "mnist"
TIMES = 2  # that each hand writes each digit in each condition
PRINTED = 1000  # digits of the test set
SHEETS = 20  # papers that they share
ZOOM = 3
PRINTS = {
    **{f"paper of {paper}": Condition(paper=paper) for paper in (255, 200, 170, 140, 110)},
    "half the size": Condition(size=0.5),
    "shaded": Condition(paper=220, shade=0.6),
    "a shadow's edge": Condition(paper=220, shadow=0.5),
    "noise": Condition(paper=190, noise=30),
    "faint ink": Condition(paper=200, ink=140, noise=3),
    "ruled paper": Condition(ruled=True),
    "chalk on a board": Condition(paper=50, ink=220),
}

TESTED = 10_000  # images of the test set, on which a bundle says how accurate it is

MODEL = flags.DEFINE_string("model", str(SHIPPED), "The bundle.")
OTHERS = flags.DEFINE_list(
    "others", [], "Further bundles, each TRAINED:PATH, as hand:runs/a/export/int8."
)
OUT = flags.DEFINE_string("out", None, "The file to write; by default in results/.")


class Set(NamedTuple):
    """Images of one condition.

    Attributes:
      source: `drawn` or `printed`.
      condition: its name.
      polarity: of a reader's input; what is drawn on the pad is light on dark for certain.
      images: `[n, SIDE, SIDE]` uint8.
      labels: `[n]`.
    """

    source: str
    condition: str
    polarity: str
    images: np.ndarray
    labels: np.ndarray


def drawn(times: int = TIMES) -> Iterator[Set]:
    """Yields each digit of each hand, in each condition; no image is of the golden files."""
    labels = np.tile(np.arange(10), times * len(HANDS))
    hands = np.repeat(np.arange(len(HANDS)), times * 10)
    for number, (name, condition) in enumerate(CONDITIONS.items()):
        rng = np.random.default_rng([2026, number])
        images = [
            picture(condition, digit, hand, light(condition, rng), rng)
            for digit, hand in zip(labels, hands, strict=True)
        ]
        polarity = "as_is" if condition.noise == 0 else "auto"
        yield Set("drawn", name, polarity, np.stack(images), labels)


def printed(digits: np.ndarray, labels: np.ndarray) -> Iterator[Set]:
    """Yields digits as ink, enlarged, somewhere on paper, in each condition of `PRINTS`.

    Args:
      digits: `[n, 28, 28, 1]` uint8, light on dark.
      labels: `[n]`.
    """
    for number, (name, condition) in enumerate(PRINTS.items()):
        rng = np.random.default_rng([28, number])
        sheets = [light(condition, rng) for _ in range(SHEETS)]
        side = round(28 * ZOOM * condition.size / Condition().size)
        nearest = (np.arange(side) * 28) // side
        images = []
        for n, digit in enumerate(digits[..., 0] / 255):
            ink = np.zeros((SIDE, SIDE))
            y, x = rng.integers(0, SIDE - side + 1, 2)
            ink[y : y + side, x : x + side] = digit[nearest][:, nearest]
            images.append(seen(condition, ink, sheets[n % SHEETS]))
        yield Set("printed", name, "auto", np.stack(images), labels)


def measure(
    path: pathlib.Path, others: dict[str, pathlib.Path], sets: Iterator[Set]
) -> Iterator[dict]:
    """Yields a row for each condition and bundle.

    Args:
      path: the bundle that ships; what it says of images without `normalize` is counted too.
      others: further bundles, by how they were trained.
      sets: the images.
    """
    bundles = {"shipped": path, **others}
    opened = {name: bundle.read(where) for name, where in bundles.items()}
    models = {name: Model(found) for name, found in opened.items()}
    for name, found in opened.items():
        about = found.manifest["provenance"]
        rest = ("test set", f"{about['dataset']}, as it is")
        yield _row(*rest, TESTED, round(about["accuracy"] * TESTED), name, found)
    for one in sets:
        read: dict[str, list[preprocess.Seen]] = {}  # bundles of one input see the same
        for name, found in opened.items():
            spec = {**found.manifest["input"], "polarity": one.polarity, "normalize": "mnist"}
            key = json.dumps(spec, sort_keys=True)
            if key not in read:
                read[key] = [preprocess.see_image(image, spec) for image in one.images]
            right = _right(models[name], read[key], one.labels)
            row = _row(one.source, one.condition, len(one.labels), right, name, found)
            if name == "shipped":
                plain = {**spec, "normalize": "none"}
                seen_plain = [preprocess.see_image(image, plain) for image in one.images]
                row["right_plain"] = _right(models[name], seen_plain, one.labels)
            yield row


def _row(
    source: str, condition: str, images: int, right: int, trained: str, found: bundle.Bundle
) -> dict:
    return {
        "source": source, "condition": condition, "images": images, "right": right,
        "trained": trained, "model": found.manifest["name"],
        "sha256": found.manifest["model"]["sha256"][:12], "commit": provenance.commit(),
    }  # fmt: skip


def _right(model: Model, read: list[preprocess.Seen], labels: np.ndarray) -> int:
    """Returns how many images are recognised; one without a digit in sight is not."""
    best = model.run(np.concatenate([found.tensor for found in read])).argmax(axis=1)
    there = [found.notice != "blank" for found in read]
    return int(((best == labels) & there).sum())


def tested(dataset: str = "mnist") -> tuple[np.ndarray, np.ndarray]:
    """Returns the first `PRINTED` images of a test set, and their labels."""
    source, _ = sources.find(dataset, "", "")
    test, _ = reading.read(source, "test", image_size=0, resident_mb=1024)
    return test.images[:PRINTED], test.labels[:PRINTED]


def main(argv: list[str]) -> None:
    """Measures and writes."""
    del argv
    path = pathlib.Path(MODEL.value)
    others = {
        name: pathlib.Path(where) for name, _, where in (o.partition(":") for o in OTHERS.value)
    }
    rows = []
    for row in measure(path, others, itertools.chain(drawn(), printed(*tested()))):
        print(f"{row['source']}, {row['condition']}: {row['right']} of {row['images']}")
        rows.append(row)
    table = pd.DataFrame(rows).astype({"right_plain": "Int64"})  # of the bundle that ships alone
    table.to_csv(OUT.value or CSV, index=False)


if __name__ == "__main__":
    cli.run(main, cli.parse)
