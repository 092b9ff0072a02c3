import hashlib
import itertools
import re

import jax
import numpy as np
import pytest
from flax import traverse_util

from distill import models, pipeline, presets, pretrained, study
from distill.config import check_values
from distill.errors import InputError
from distill.pretrained import files, names
from distill.progress import Display
from distill.training import start, trained
from experiments import imagenet

NAME = "efficientnet_lite0"
NARROW = {
    "blocks": (1, 2), "features": (4, 6), "strides": (1, 2), "kernels": (3, 5), "stem": 4,
    "head": 9,
}  # fmt: skip
SHAPE = (28, 28, 1)
TORCH = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}


@pytest.fixture
def model():
    return models.build(NAME, NARROW, num_classes=10)


@pytest.fixture
def arrays(model, rng):
    """Random weights as PyTorch names and lays them out."""
    layers, found = names.table(NAME, model).layers, {}
    shapes = traverse_util.flatten_dict(pretrained.shapes(model, SHAPE))
    for (_, *path, kind), leaf in shapes.items():
        array = rng.uniform(0.5, 1.5, leaf.shape) if kind == "var" else rng.normal(size=leaf.shape)
        if kind == "kernel":
            array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
        layer = layers["/".join(path)]
        found[f"{layer}.{TORCH.get(kind, kind)}"] = array.astype(np.float32)
        if kind == "mean":
            found[f"{layer}.num_batches_tracked"] = np.array(7)
    return found


def by_torch(arrays, images, strides=(1, 2, 1)):
    """The network with PyTorch's operations, `[n, height, width, channels]` to logits.

    Args:
      arrays: by PyTorch's names.
      images: what it is applied to.
      strides: of each block.
    """
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    weights = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}

    def layer(x, conv, norm, strides=1, depthwise=False):
        kernel = weights[f"{conv}.weight"]
        pads = []
        for side in (x.shape[3], x.shape[2]):
            total = max((-(-side // strides) - 1) * strides + kernel.shape[2] - side, 0)
            pads += [total // 2, total - total // 2]
        groups = len(kernel) if depthwise else 1
        x = functional.conv2d(functional.pad(x, pads), kernel, stride=strides, groups=groups)
        named = (weights[f"{norm}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
        return functional.batch_norm(x, *named, eps=1e-3)

    x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    x = functional.relu6(layer(x, "_conv_stem", "_bn0", 2))
    for i, step in enumerate(strides):
        b, y = f"_blocks.{i}", x
        if i:
            y = functional.relu6(layer(y, f"{b}._expand_conv", f"{b}._bn0"))
        y = functional.relu6(layer(y, f"{b}._depthwise_conv", f"{b}._bn1", step, True))
        y = layer(y, f"{b}._project_conv", f"{b}._bn2")
        x = x + y if i and step == 1 and x.shape[1] == y.shape[1] else y
    x = functional.relu6(layer(x, "_conv_head", "_bn1")).mean((2, 3))
    return functional.linear(x, weights["_fc.weight"], weights["_fc.bias"]).numpy()


def test_the_outputs_are_those_of_pytorch(model, arrays, rng, tmp_path):
    images = rng.normal(size=(3, *SHAPE)).astype(np.float32)
    expected = by_torch(arrays, images)
    torch = pytest.importorskip("torch")
    path = tmp_path / "weights.pth"
    torch.save({name: torch.from_numpy(np.array(a)) for name, a in arrays.items()}, path)
    logits = jax.jit(model.apply)(pretrained.load(path, NAME, model, SHAPE), images)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_imagenets_weights_compute_what_they_do_in_pytorch(rng):
    pytest.importorskip("torch")
    try:
        path = imagenet.inside(imagenet.PACKAGE, "*.pth")
    except InputError as error:
        pytest.skip(str(error))
    whole, shape = models.build(NAME, {}, num_classes=1000), (64, 64, 3)
    images = rng.normal(size=(2, *shape)).astype(np.float32)
    strides = [s if b == 0 else 1 for s, n in zip(whole.strides, whole.blocks, strict=True)
               for b in range(n)]  # fmt: skip
    expected = by_torch(files.read(path), images, strides)
    logits = jax.jit(whole.apply)(pretrained.load(path, NAME, whole, shape), images)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_code_in_a_state_dict_is_not_run(model, tmp_path):
    torch = pytest.importorskip("torch")

    class Harmful:
        def __reduce__(self):
            return pytest.fail, ("it was run",)

    torch.save({"weight": Harmful()}, tmp_path / "weights.pth")
    with pytest.raises(InputError, match="cannot be read as weights"):
        pretrained.load(tmp_path / "weights.pth", NAME, model, SHAPE)


def test_layouts_and_the_epsilon(model, arrays, tmp_path):
    np.savez(tmp_path / "weights.npz", **arrays)
    found = pretrained.load(tmp_path / "weights.npz", NAME, model, SHAPE)
    kernel = found["params"]["stage1_block0"]["depthwise"]["kernel"]
    theirs = arrays["_blocks.1._depthwise_conv.weight"]
    assert kernel.shape == (5, 5, 1, 24) and kernel[1, 2, 0, 3] == theirs[3, 0, 1, 2]
    assert found["params"]["logits"]["kernel"][8, 2] == arrays["_fc.weight"][2, 8]
    var = found["batch_stats"]["stem_norm"]["var"] + 1e-5
    np.testing.assert_allclose(var, arrays["_bn0.running_var"] + 1e-3, rtol=1e-6)


def test_what_does_not_fit_is_one_line(model, arrays, tmp_path):
    del arrays["_fc.bias"]
    arrays["_fc.scale"] = np.zeros(10, np.float32)
    arrays["_fc.weight"] = np.zeros((10, 12), np.float32)
    arrays["_bn0.bias"][0] = np.nan
    np.savez(tmp_path / "weights.npz", **arrays)
    message = (
        "weights.npz: missing: _fc.bias; left over: _fc.scale; "
        "of another shape: _fc.weight (12, 10) for (9, 10); not finite: _bn0.bias"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        pretrained.load(tmp_path / "weights.npz", NAME, model, SHAPE)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.npz", None, "there are no weights in"),
        ("weights.onnx", b"", "unknown kind of weights"),
        ("weights.npz", b"no archive", "is no .npz file"),
    ],
)
def test_files_that_cannot_be_read(model, tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        pretrained.load(tmp_path / name, NAME, model, SHAPE)
    assert "\n" not in str(caught.value)


def test_other_networks_are_said_to_have_no_names(tmp_path):
    model = models.build("resnet20", {}, num_classes=10)
    with pytest.raises(InputError, match="of resnet20 are not known here; those of densenet121"):
        pretrained.load(tmp_path / "weights.npz", "resnet20", model, (32, 32, 3))


def test_a_head_of_other_classes_is_left_out(model, arrays, tmp_path):
    np.savez(tmp_path / "weights.npz", **arrays)
    other = models.build(NAME, NARROW, num_classes=3)
    found = pretrained.load(tmp_path / "weights.npz", NAME, other, SHAPE)
    same = pretrained.load(tmp_path / "weights.npz", NAME, model, SHAPE)
    assert "logits" not in found["params"] and same["params"].pop("logits")["bias"].shape == (10,)
    jax.tree.map(np.testing.assert_array_equal, found, same)


@pytest.mark.usefixtures("offline")
def test_a_training_starts_from_the_weights(model, arrays, tmp_path):
    path = tmp_path / "weights.npz"
    np.savez(path, **arrays)
    config = presets.simplenet(4, "baseline,quick")
    config.dataset.train, config.stages = "train[:50]", "student"
    config.student.update({"model": NAME, "steps": 1, "batch_size": 50, "learning_rate": 1e-12})
    config.student.args, config.student.init = NARROW, str(path)
    check_values(config)
    pipeline.run(config, tmp_path / "run", Display())
    directory = tmp_path / "run" / "checkpoints" / "student" / "steps"
    found = trained.load(directory, print)
    assert found.about.init == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "init" not in found.about.recipe
    given = pretrained.load(path, NAME, model, SHAPE)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-9),
        found.members[0]["params"], given["params"],
    )  # fmt: skip
    # The students of a sweep start from that run, and train their heads alone.
    said = []
    config.student.update({"init": str(tmp_path / "run"), "freeze": "!logits", "steps": 3})
    config.student.learning_rate, config.sweep.seeds = 0.1, (0, 1)
    display = Display()
    display.say = said.append
    study.run(config, tmp_path / "sweep", display)
    (batch,) = (tmp_path / "sweep" / "batches").iterdir()
    sweep = trained.load(batch / "steps", print)
    assert sweep.about.init == trained.checksum(directory)
    assert f"{NAME}: only its head moves; what reaches it is computed once" in said
    (before,) = found.members
    heads = [v["params"].pop("logits")["kernel"] for v in (before, *sweep.members)]
    assert all((a != b).any() for a, b in itertools.combinations(heads, 2))
    for after in sweep.members:
        jax.tree.map(lambda a, b: np.testing.assert_array_equal(_bits(a), _bits(b)), before, after)
    with pytest.raises(InputError, match="has no trained network"):
        start.digest(str(tmp_path))
    with pytest.raises(InputError, match=r"a efficientnet_lite0: missing: batch_stats/conv0_norm"):
        vgg = models.build("vgg16", {}, num_classes=10)
        start.variables(str(directory), "vgg16", vgg, (32, 32, 3), print)


def _bits(array):
    return np.asarray(array).view(np.uint32)


def test_safetensors_hold_the_same(model, arrays, tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    rows = {name: np.ascontiguousarray(array) for name, array in arrays.items()}  # as it assumes
    numpy.save_file(rows, tmp_path / "weights.safetensors")
    np.savez(tmp_path / "weights.npz", **arrays)
    found, same = (
        pretrained.load(tmp_path / name, NAME, model, SHAPE)
        for name in ("weights.safetensors", "weights.npz")
    )
    jax.tree.map(np.testing.assert_array_equal, found, same)
