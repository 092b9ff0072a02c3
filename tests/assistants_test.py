"""Those between a teacher and its student: whom each learns from, and what is refused."""

import re

import pytest

from distill import assistants, data, pipeline, presets, study, validation
from distill.errors import InputError
from distill.progress import Display
from distill.run import Run
from distill.training import trained


def _config(*given):
    config = presets.simplenet(4, "quick")
    config.dataset.train, config.dataset.test = "train[:300]", "test[:150]"
    config.teacher.model, config.teacher.args = "simplenet_v1", {"downsample": "max_pool"}
    config.teacher.batch_size = config.student.batch_size = 50
    config.loss.name, config.loss.temperature = "kl", 4.0
    config.assistants = given
    return config


def _run(config, tmp_path, display=None):
    dataset = data.load(config, *data.find(config, print))
    return Run(validation.validate(config), tmp_path / "run", dataset, display or Display())


def test_each_learns_from_the_one_before(tmp_path):
    """An assistant of another model, then a generation of the student itself."""
    config = _config({"model": "simplenet_v2", "epochs": 1}, {})
    config.stages = "teacher,student"
    pipeline.run(config, tmp_path / "run", Display())
    run = _run(config, tmp_path)
    assistant, generation = assistants.abouts(run)[1:]
    student = trained.load(run.student_checkpoints / "steps", pytest.fail).about
    assert student.teacher == generation and generation.teacher == assistant
    assert assistant.teacher == run.teacher_about()
    assert assistant.model == "simplenet_v2" and assistant.recipe["epochs"] == 1
    assert generation.recipe == student.recipe and generation.loss == student.loss
    assert (assistant.seeds, generation.seeds, student.seeds) == ([1], [2], [0])
    assert assistants.last(run).about == generation

    config.assistants = ({"model": "simplenet_v2", "epochs": 1},)
    said = []
    display = Display()
    display.say = said.append
    pipeline.run(config, tmp_path / "other", display)  # finds the teacher and the assistant
    assert said.count("simplenet_v1: already trained") == 1
    assert said.count("simplenet_v2: already trained") == 1


def test_students_of_a_sweep_that_differ_in_their_assistants_are_others(tmp_path):
    config = _config()
    config.sweep.axes = ({"assistants": ((), ({},))},)
    path = study.run(config, tmp_path / "sweep", Display())
    header, *rows = (line.split(",") for line in path.read_text().splitlines())
    assert len({row[0] for row in rows}) == 2
    for column in ("compression_rate", "num_params"):  # which are of the original teacher
        assert len({row[header.index(column)] for row in rows}) == 1


def test_without_assistants_nothing_is_called_otherwise(tmp_path):
    run = _run(_config(), tmp_path)
    assert assistants.abouts(run) == [run.teacher_about()]
    assert run.beside(run.teacher_about()) == run.teacher_checkpoints


def test_nothing_of_an_assistant_is_frozen_as_it_starts_fresh():
    config = _config({})
    config.student.update({"init": "runs/one", "freeze": "!logits"})
    (section,) = validation.validate(config).assistants
    assert section.init == section.freeze == ""


def test_an_assistant_larger_than_the_teacher_is_warned_of(tmp_path):
    display, warned = Display(), []
    display.warn = warned.append
    assistants.check_models(_run(_config({"model": "teacher"}), tmp_path, display))
    (line,) = warned
    assert line.startswith("the assistant teacher has 3,274,634 weights, more than the 3,484 of")


@pytest.mark.parametrize(
    ("given", "loss", "message"),
    [
        (({"modle": "resnet20"},), "kl", "unknown key of an assistant 'modle'; did you mean"),
        (({"model": "resnet2"},), "kl", "unknown model 'resnet2'"),
        (("resnet20",), "kl", "assistant 'resnet20' is no dictionary; they are written as ({"),
        (({"epochs": 0},), "kl", "assistants[0].epochs is 0"),
        (({}, {"epochs": "3"}), "kl", "assistants[1].epochs is '3'; it must be a whole number"),
        (({"args": 3},), "kl", "assistants[0].args is 3; it must be a dictionary"),
        (({"augmentation": "shfit"},), "kl", "unknown augmentation 'shfit'; did you mean 'shift'"),
        (({"init": "runs/one"},), "kl", "assistants[0].init is 'runs/one', and assistants start"),
        (({},), "cross_entropy", "assistants learn from a teacher, and loss cross_entropy has"),
    ],
)
def test_what_cannot_be_an_assistant_ends_before_any_work(given, loss, message):
    config = _config(*given)
    config.loss.name = loss
    with pytest.raises(InputError, match=re.escape(message)) as error:
        validation.validate(config)
    assert "\n" not in str(error.value)
