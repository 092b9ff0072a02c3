"""What a run is called by, how it takes its directory, and what it refuses."""

import json
import pathlib
import re

import pytest

from distill import config as configs
from distill import data, pipeline, presets, validation
from distill.errors import InputError
from distill.progress import Display
from distill.run import Run, alone, claim


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset.validation": ""}, "hold some back, as with --config.dataset.train=train"),
        (
            {"loss.name": "cross_entropy"},
            "has no temperature to learn; use soft_squared_error or kl",
        ),
        ({"loss.name": "logit_mse"}, "loss logit_mse has no temperature to learn"),
        ({"loss.temperature_learning_rate": 0.0}, "loss.temperature_learning_rate is 0.0"),
    ],
)
def test_what_has_no_temperature_to_learn_is_refused(tmp_path, changes, message):
    config = presets.simplenet(4, "quick")
    config.dataset.train, config.dataset.validation = "train[:3500]", "train[3500:]"
    config.loss.learn_temperature = True
    config.update_from_flattened_dict(changes)
    with pytest.raises(InputError, match=re.escape(message)):
        pipeline.run(config, tmp_path / "run", Display())
    assert not (tmp_path / "run").exists()


def test_students_that_learn_no_temperature_are_called_what_they_always_were(tmp_path):
    """Results that exist are found again by these."""
    config = presets.simplenet(4, "quick")
    loaded = data.load(config, *data.find(config, print))
    about = Run(validation.validate(config), tmp_path, loaded, Display()).student_about(None, 3)
    assert about.digest == "a5f5f81e07fa"


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_a_model_that_does_not_fit_the_images_is_refused_before_any_is_trained(tmp_path, role):
    config = presets.simplenet(4, "quick")
    with config.unlocked():
        config[role].model, config[role].args = "vgg16", {}
    with pytest.raises(InputError, match=r"^vgg16 with {} does not fit images of \(28, 28, 1\)"):
        pipeline.run(config, tmp_path / "run", Display())
    assert not list(tmp_path.iterdir())  # so that the corrected command is not one of another run


@pytest.mark.parametrize(("steps", "tables"), [(5, 0), (9 * 6, 1)])
def test_a_table_of_all_shifts_is_made_only_for_as_many_epochs(tmp_path, steps, tables):
    config = presets.simplenet(4, "quick")
    config.dataset.train, config.stages = "train[:300]", "teacher,student"
    config.teacher.model, config.teacher.steps = "simplenet_v3", 1
    config.teacher.batch_size = config.student.batch_size = 50
    config.student.augmentation, config.student.epochs, config.student.steps = "shift", 20, steps
    pipeline.run(config, tmp_path / "run", Display())
    assert len(list((tmp_path / "teachers").rglob("teacher_logits-*.npy"))) == tables


def compressing(config, workdir, rank):
    config.compress = ({"method": "svd", "rank": rank},)
    return claim(workdir, config, "mnist5k")


def test_the_configuration_that_was_given_last_is_kept(tmp_path):
    config = presets.simplenet(4, "quick")
    first = claim(tmp_path, config, "mnist5k")
    written = (tmp_path / "config.json").stat().st_mtime_ns
    assert claim(tmp_path, config, "mnist5k") == first
    assert (tmp_path / "config.json").stat().st_mtime_ns == written
    config.stages, config.fine_tune.epochs = "compress,export", 3
    assert compressing(config, tmp_path, rank=8) == first
    assert json.loads((tmp_path / "config.json").read_text()) == configs.to_dict(config)
    config.student.epochs += 1
    with pytest.raises(InputError, match="holds a run with student.epochs") as caught:
        compressing(config, tmp_path, rank=4)
    assert f"start from it: --config.student.init={tmp_path} with another" in str(caught.value)
    assert json.loads((tmp_path / "config.json").read_text())["compress"][0]["rank"] == 8


def test_machines_that_claim_a_directory_at_once_leave_one_whole_configuration(
    tmp_path, monkeypatch
):
    config, replace = presets.simplenet(4, "quick"), pathlib.Path.replace

    def late(part, target):
        monkeypatch.setattr(pathlib.Path, "replace", replace)
        compressing(config.copy_and_resolve_references(), tmp_path, rank=2)
        return replace(part, target)

    monkeypatch.setattr(pathlib.Path, "replace", late)
    compressing(config, tmp_path, rank=8)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert json.loads((tmp_path / "config.json").read_text()) == configs.to_dict(config)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "config.json is damaged (Expecting"),
        (b'{"dataset": "\xff"}', "config.json is damaged ('utf-8' codec"),
        (b"[]", "config.json is not the configuration of a run; choose another --workdir"),
        (b"null", "config.json is not the configuration of a run"),
        (b'{"name": "another program"}', "config.json is not the configuration of a run"),
        (b'{"dataset": {}, "teacher": "me"}', "config.json is not the configuration of a run"),
        (b'{"dataset": {}, "teacher": {}}', "holds a run with dataset.image_size=None"),
    ],
)
def test_a_foreign_or_damaged_directory_is_one_line(tmp_path, content, message):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        claim(tmp_path, presets.simplenet(4, "quick"), "mnist5k")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "config.json").read_bytes() == content


def _contents(directory):
    return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in directory.rglob("*")}


def test_a_directory_has_one_process_at_a_time(tmp_path):
    config = presets.simplenet(4, "quick,baseline")
    config.dataset.train, config.stages = "train[:300]", "student"
    workdir = tmp_path / "run"
    with alone(workdir):
        (workdir / "metrics.jsonl").write_text('{"role": "student"}\n')
        before = _contents(workdir)
        with pytest.raises(InputError, match=f"another process works in {workdir}; wait for it"):
            pipeline.run(config, workdir, Display())
        assert _contents(workdir) == before
    with alone(workdir, shared=True), alone(workdir, shared=True), pytest.raises(InputError):
        pipeline.run(config, workdir, Display())
    with alone(workdir):
        pass


@pytest.mark.parametrize(
    "changes",
    [
        {"transfer.name": "mnist5k", "transfer.split": "train[:7]"},
        {"loss.name": "cross_entropy", "dataset.labelled_fraction": 0.01},
    ],
)
def test_a_batch_larger_than_what_is_learned_from_is_refused_before_any_training(tmp_path, changes):
    config = presets.simplenet(4, "quick")
    config.update_from_flattened_dict(changes)
    with pytest.raises(InputError, match=r"batch_size of .* is 100; there are (7|40) examples"):
        pipeline.run(config, tmp_path / "run", Display())
    assert not (tmp_path / "run").exists()
