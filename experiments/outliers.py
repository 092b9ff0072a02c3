"""What is no digit, shown to a model of digits: how often is it taken for one with confidence?

    python -m experiments.outliers [--model=mobile/app/src/main/assets/mnist]

Fashion-MNIST, letters of the fonts that come with Matplotlib, faces and other drawings, surfaces
with nothing on them; beside them digits. All of it goes through what a reader does with an image.
Writes results/outliers.csv.
"""

import pathlib
from collections.abc import Iterator

import matplotlib
import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from distill import cli, provenance
from distill.export import bundle, preprocess, reference
from distill.export.runtime import Model
from experiments import RESULTS, in_hand
from experiments.golden_digits import SIDE, Condition, coverage, light, seen

CSV = RESULTS / "outliers.csv"
THRESHOLDS = (60, 70, 80, 90, 95)  # percent
COUNT = 500  # images of Fashion-MNIST's test set, of MNIST's, and of the digits of six hands
LETTERS = "ACEFHKMNPRTUVWXYadefhkmnprtuvwxy"  # B, D, I, O, S, Z and others are like digits
FONTS = (
    "DejaVuSans", "DejaVuSans-Oblique", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral", "cmr10",
)  # fmt: skip
FACES, SURFACES = 60, 60
PAPER = Condition(paper=200)


def letters() -> np.ndarray:
    """Returns letters printed on grey paper, `[n, SIDE, SIDE]` uint8."""
    fonts = pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    rng = np.random.default_rng(1)
    images = []
    for name in FONTS:
        font = ImageFont.truetype(str(fonts / f"{name}.ttf"), 64)
        for letter in LETTERS:
            sheet = Image.new("L", (SIDE, SIDE))
            ImageDraw.Draw(sheet).text((SIDE / 2, SIDE / 2), letter, 255, font, anchor="mm")
            images.append(seen(PAPER, np.asarray(sheet) / 255, light(PAPER, rng)))
    return np.stack(images)


def faces() -> np.ndarray:
    """Returns round faces with eyes and a mouth, each another, `[FACES, SIDE, SIDE]` uint8."""
    rng = np.random.default_rng(2)
    turn = np.linspace(0, 2 * np.pi, 33)
    images = []
    for _ in range(FACES):
        wide, high, apart, mouth = rng.uniform((0.36, 0.42, 0.12, -0.1), (0.5, 0.5, 0.2, 0.14))
        round_ = np.stack([wide * np.cos(turn), high * np.sin(turn)], axis=1)
        eyes = [np.array([[x, -0.12], [x, -0.08]]) for x in (-apart, apart)]
        across = np.linspace(-0.18, 0.18, 9)
        smile = np.stack([across, 0.2 + mouth * (1 - (across / 0.18) ** 2)], axis=1)
        ink = coverage([round_, *eyes, smile], SIDE / 2, SIDE / 2, rng.uniform(50, 80), 4)
        images.append(seen(PAPER, ink, light(PAPER, rng)))
    return np.stack(images)


def surfaces() -> np.ndarray:
    """Returns walls, shadows, noise and stripes, `[SURFACES, SIDE, SIDE]` uint8."""
    rng = np.random.default_rng(3)
    images = []
    for number in range(SURFACES):
        paper, noise = int(rng.integers(20, 240)), int(rng.integers(1, 30))
        condition = Condition(paper=paper, noise=noise)
        kind = number % 4  # plain, shaded, a shadow, stripes
        condition = condition._replace(shade=0.7 * (kind == 1), shadow=0.5 * (kind == 2))
        angle, period = rng.uniform(0, np.pi), rng.uniform(8, 40)
        down, across = np.mgrid[:SIDE, :SIDE]
        wave = np.sin((down * np.cos(angle) + across * np.sin(angle)) * 2 * np.pi / period)
        ink = np.where(wave > 0, 0.8, 0.0) if kind == 3 else np.zeros((SIDE, SIDE))
        images.append(seen(condition, ink, light(condition, rng)))
    return np.stack(images)


def sets() -> Iterator[tuple[str, np.ndarray]]:
    """Yields the name of each set and its images."""
    digits, labels = in_hand.tested()
    drawn = np.concatenate([one.images for one in in_hand.drawn(1) if one.polarity == "auto"])
    yield "digits of MNIST on grey paper", next(
        one.images for one in in_hand.printed(digits[:COUNT], labels[:COUNT])
        if one.condition == "paper of 170"
    )  # fmt: skip
    yield "digits of six hands on paper", drawn[:: len(drawn) // COUNT][:COUNT]
    yield "Fashion-MNIST", in_hand.tested("fashion_mnist")[0][:COUNT, ..., 0]
    yield "letters", letters()
    yield "faces", faces()
    yield "surfaces", surfaces()


def measure(path: pathlib.Path, found: Iterator[tuple[str, np.ndarray]]) -> Iterator[dict]:
    """Yields a row for each set: how many images are blank, and how many answers are sure."""
    opened = bundle.read(path)
    model, manifest = Model(opened), opened.manifest
    for name, images in found:
        read = [preprocess.see_image(image, manifest["input"]) for image in images]
        scores = model.run(np.concatenate([one.tensor for one in read]))
        best = np.array([reference.probabilities(s, manifest["output"]).max() for s in scores])
        notices = np.array([one.notice for one in read])
        best[(notices == "blank") | (notices == "cut")] = 0  # of these a reader is never sure
        yield {
            "images_of": name, "images": len(images), "blank": int((notices == "blank").sum()),
            **{f"sure_from_{t}": int((best >= t / 100).sum()) for t in THRESHOLDS},
            "model": manifest["name"], "sha256": manifest["model"]["sha256"][:12],
            "temperature": manifest["output"].get("temperature", 1.0),
            "commit": provenance.commit(),
        }  # fmt: skip


def main(argv: list[str]) -> None:
    """Measures and writes."""
    del argv
    rows = list(measure(pathlib.Path(in_hand.MODEL.value), sets()))
    pd.DataFrame(rows).to_csv(in_hand.OUT.value or CSV, index=False)


if __name__ == "__main__":
    cli.run(main, cli.parse)
