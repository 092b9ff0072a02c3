"""Every configuration loads, is valid, and one step of it can be traced."""

import importlib
import pathlib

import jax
import jax.numpy as jnp
import pytest

from configs import thesis_study
from distill import ops, pipeline, presets, records, study, validation
from distill.data import sources
from distill.errors import InputError
from distill.progress import Display
from distill.training import recipe
from distill.training.step import TrainData, train_step
from experiments.benchmarks import on_paper

FILES = sorted(
    path.stem
    for path in (pathlib.Path(__file__).parents[1] / "configs").glob("*.py")
    if path.stem not in ("__init__", "thesis_study")
)


FOLDERS = ("imagenet_efficientnet_lite0", "your_images")  # which are of no set by name


def _config(name, arg):
    config = importlib.import_module(f"configs.{name}").get_config(arg)
    if name in FOLDERS:
        config.dataset.folder, config.student.init = "photos", "weights"
    return config


def _shape(name, config):
    section = config.dataset
    if name in FOLDERS:
        return (section.image_size, section.image_size, 3), len(section.classes) or 3
    return sources.shape(section.name, section.image_size)


def _accepted(name):
    """Yields the arguments that a configuration takes: none, `quick`, and what it shares."""
    module = importlib.import_module(f"configs.{name}")
    for arg in (None, "quick", *presets.VARIANTS[:-1]):
        try:
            module.get_config(arg)
        except InputError:
            assert arg not in (None, "quick")
        else:
            yield name, arg


NARROW = {"blocks": (1, 1, 1), "features": (4, 6, 8), "stem": 4}
CASES = [case for name in FILES for case in _accepted(name)]


@pytest.mark.parametrize(("name", "arg"), CASES)
def test_every_configuration_is_valid(name, arg):
    config = _config(name, arg)
    validation.validate(config)
    _shape(name, config)


# Of the deep networks the narrow one is enough: the tests of the models have the others.
TRACED = [(name, arg) for name, arg in CASES if "simplenet" in name or arg == "quick"]


@pytest.mark.parametrize(("name", "arg"), TRACED)
def test_a_step_of_each_configuration_can_be_traced(name, arg, monkeypatch):
    # XLA's own convolution is one operation to trace, and the tests of `ops` have ours.
    monkeypatch.setattr(ops, "conv_for", lambda *_: jax.lax.conv_general_dilated)
    config = _config(name, arg)
    shape, num_classes = _shape(name, config)
    described = {
        "dataset": config.dataset.name, "splits": {}, "transfer": None, "fingerprint": "",
        "input_shape": shape, "num_classes": num_classes,
    }  # fmt: skip
    loss = recipe.loss_section(config.loss)
    about = recipe.describe(config.student, loss, [0], config.dataset, described, None)
    duration = recipe.length(config.student, 50_000)
    teacher = recipe.task(about, duration).model  # the student's own kind is as good as any
    task = recipe.task(about, duration, teacher)
    states = recipe.shapes(about, task)
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), states)
    hyper = {name: value[0] for name, value in recipe.hyper(about).items()}
    n = 200
    data = TrainData(
        jax.ShapeDtypeStruct((n, *shape), jnp.uint8),
        jax.ShapeDtypeStruct((n,), jnp.int32),
        None if task.teacher else jax.ShapeDtypeStruct((9, n, 1, num_classes), jnp.float32),
        states.variables({}) if task.teacher else None,
    )
    index = jnp.arange(config.student.batch_size)
    traced, metrics = jax.eval_shape(
        lambda *arguments: train_step(task, *arguments), one, hyper, data, index
    )
    assert jax.tree.map(jnp.shape, traced) == jax.tree.map(jnp.shape, one)
    assert metrics["loss"].shape == ()


def test_a_pair_that_methods_are_compared_on_is_trained_without_its_images(tmp_path, offline):
    config = _config("cifar100_wrn_40_2_wrn_16_2", "quick")
    config.dataset.train, config.dataset.test = "train[:256]", "test[:100]"
    config.stages = "teacher,student,evaluate"
    with config.unlocked():
        config.teacher.args.update(NARROW)
        config.student.args.update(NARROW)
    found = pipeline.run(config, tmp_path / "run", Display())
    assert found["dataset"] == "mnist5k"
    assert [m["model"] for m in found["models"].values()] == ["wrn_40_2", "wrn_16_2"]
    epochs = [r for r in records.read(tmp_path / "run") if r["role"] == "student"]
    assert epochs[1]["loss"] < epochs[0]["loss"]


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("cifar100")])
def test_each_pair_says_what_it_costs(name, monkeypatch):
    monkeypatch.setattr(ops, "conv_for", lambda *_: jax.lax.conv_general_dilated)
    hours = on_paper.hours(_config(name, None), on_paper.ACCELERATORS[0])
    teacher, student = (round(60 * found) for found in hours)
    words = " ".join(importlib.import_module(f"configs.{name}").__doc__.split())
    assert "A100" in words and f"at least {teacher} minutes" in words
    assert f"in the step for {student};" in words


@pytest.mark.parametrize("name", FILES)
def test_each_file_says_how_it_is_run(name):
    module = importlib.import_module(f"configs.{name}")
    command = "search" if "search" in module.get_config() else "main"
    assert f"python -m distill.{command} --config=configs/{name}.py" in module.__doc__


@pytest.mark.parametrize(
    "name, students",
    {
        "students": 800, "selection": 240, "runs": 20, "temperatures": 160, "baselines": 50,
        "teacher": 10, "corrected": 100, "kl": 150, "ensemble": 150, "unlabelled": 300,
        "learned": 60, "recipe": 40, "fashion_mnist": 50, "cifar10": 50,
    }.items(),
)  # fmt: skip
def test_each_sweep_of_the_study_is_of_valid_students(name, students):
    for arg in (name, f"{name},quick"):
        config = thesis_study.get_config(arg)
        points = study.expand(config)
        for point in points:
            validation.validate(point)
        if arg == name:
            assert len(points) * len(config.sweep.seeds) == students
        assert len(config.sweep.seeds) * len(points) <= (students if arg == name else 20)


def test_sweeps_of_the_study_can_share_a_directory():
    """Those of MNIST differ in their axes only: none is refused where another has been."""
    rest = []
    for name in thesis_study.SWEEPS.keys() - thesis_study.DATASETS:
        config = thesis_study.get_config(name).to_dict()
        del config["sweep"]
        rest.append(config)
    assert all(config == rest[0] for config in rest)


def test_without_labels_nobody_makes_fewer_steps():
    points = study.expand(thesis_study.study("unlabelled", epochs=20))
    whole = thesis_study.study("students").teacher.epochs * 60_000
    for p in points:
        few = round(60_000 * p.dataset.labelled_fraction)
        images = {"soft_squared_error": 60_000, "cross_entropy": few}
        assert p.student.epochs * images[p.loss.name] == 1_200_000
        assert p.teacher.epochs * few == whole


def test_the_study_names_one_sweep_at_a_time():
    with pytest.raises(InputError, match="unknown configuration argument"):
        thesis_study.get_config("students,kl")


@pytest.mark.parametrize("name", FILES)
def test_what_is_not_measured_says_what_it_would_cost(name):
    module = importlib.import_module(f"configs.{name}")
    assert "not yet" not in module.__doc__ and "Not measured yet" not in module.__doc__
    if "On paper:" in module.__doc__:
        assert on_paper.summary(module.get_config()) in " ".join(module.__doc__.split())
