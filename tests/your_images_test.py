"""The commands of docs/your_images.md, on a small folder and with a narrow network."""

import ast
import json
import pathlib
import re
import shlex

import numpy as np
from flax import traverse_util
from PIL import Image

from configs import imagenet_efficientnet_lite0, your_images
from distill import config as configs
from distill import models, pretrained, validation
from distill.export import bundle
from distill.pretrained import names

ROOT = pathlib.Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "your_images.md").read_text()
TRAINED = re.findall(r"^python -m distill\.main ((?:.*\\\n)*.*)$", PAGE, re.MULTILINE)
NARROW = {
    "blocks": (1, 1), "features": (8, 12), "strides": (1, 2), "kernels": (3, 5), "stem": 8,
    "head": 16,
}  # fmt: skip
SMALL = [
    f"--config.student.args={NARROW}", "--config.dataset.image_size=16",
    "--config.export.formats=int8", "--config.student.epochs=20", "--config.student.batch_size=4",
    "--config.student.learning_rate=0.1",
]  # fmt: skip


def photos(root):
    """Writes a dozen photos of each of two classes."""
    rng = np.random.default_rng(0)
    for name, color in {"cup": (220, 60, 60), "plate": (60, 60, 220)}.items():
        (root / "photos" / name).mkdir(parents=True)
        for i in range(12):
            noise = rng.integers(-30, 30, (20, 24, 3))
            image = Image.fromarray((color + noise).astype(np.uint8))
            image.save(root / "photos" / name / f"{i}.jpg")


def weights(root):
    """Writes random weights of the narrow network, of five classes, as PyTorch names them."""
    rng = np.random.default_rng(0)
    model = models.build("efficientnet_lite0", NARROW, num_classes=5)
    layers, found = names.table("efficientnet_lite0", model).layers, {}
    torch = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
    shapes = traverse_util.flatten_dict(pretrained.shapes(model, (16, 16, 3)))
    for (_, *path, kind), leaf in shapes.items():
        array = np.full(leaf.shape, float(kind in ("scale", "var")))
        if kind == "kernel":
            array = rng.normal(size=leaf.shape) / np.sqrt(np.prod(leaf.shape[:-1]))
            array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
        found[f"{layers['/'.join(path)]}.{torch.get(kind, kind)}"] = array.astype(np.float32)
    np.savez(root / "lite0.npz", **found)


def arguments(command, root):
    """Returns the words of a command with the paths of a directory, and what makes it small."""
    words = shlex.split(command.replace("lite0.pth", "lite0.npz").replace("\\\n", " "))
    here = r"=(photos|lite0\.npz|runs/)"
    words = [re.sub(here, lambda found: f"={root}/{found[1]}", word) for word in words]
    return [word.replace("=configs/", f"={ROOT}/configs/") for word in words]


def test_every_command_of_the_page_is_of_a_valid_configuration(tmp_path):
    files = [arguments(command, tmp_path)[0].partition("/configs/")[2] for command in TRAINED]
    tuned = "your_images.py:tune"
    assert files == ["your_images.py", tuned, tuned, "imagenet_efficientnet_lite0.py"]
    for file, command in zip(files, TRAINED, strict=True):
        module = your_images if file.startswith("your") else imagenet_efficientnet_lite0
        config = module.get_config(file.partition(":")[2])
        for word in arguments(command, tmp_path)[1:]:
            flag, _, value = word.partition("=")
            key = flag.removeprefix("--config.")
            if key != "--workdir":
                assert key in configs.keys(config)
                given = ast.literal_eval(value) if key == "compress" else value
                config.update_from_flattened_dict({key: given})
        validation.validate(config)


def test_classes_of_imagenet_are_called_by_one_name():
    found = imagenet_efficientnet_lite0.class_names()
    assert len(found) == len(set(found)) == 1000
    assert (found[281], found[282], found[285], found[967]) == (
        "tabby", "tiger cat", "Egyptian cat", "espresso",
    )  # fmt: skip
    assert found[639] == "maillot, tank suit"  # as 638 is a maillot too


def test_from_photos_to_a_bundle(python, tmp_path):
    photos(tmp_path)
    weights(tmp_path)
    words = arguments(TRAINED[0], tmp_path)
    found = python("-m", "distill.main", *words, *SMALL)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "logits starts fresh, for 2 classes" in found.stdout
    assert "only its head moves" in found.stdout
    run = tmp_path / "runs" / "photos"
    results = json.loads((run / "results.json").read_text())
    assert results["models"]["student"]["accuracy"] == 1.0
    assert bundle.read(run / "export" / "int8").labels == ["cup", "plate"]
    assert "| cup | 100.00 |" in (run / "report.md").read_text()
