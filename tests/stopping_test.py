"""Signals: a training saves before it ends, and goes on as if nothing had been."""

import json
import os
import signal

import jax
import numpy as np
import pytest

from distill import losses, pipeline, presets, records, stopping
from distill.errors import InputError, Interrupted
from distill.progress import Display
from distill.training import engine, fit, train, trained
from distill.training.checkpoints import Checkpointer


def config_of(**changes):
    config = presets.simplenet(3, "quick,baseline")
    config.dataset.train, config.dataset.test = "train[:300]", "test[:50]"
    config.student.batch_size, config.student.epochs = 50, 3
    config.stages = "student"
    config.update_from_flattened_dict(changes)
    return config


def steps_of(workdir):
    return workdir / "checkpoints" / "student" / "steps"


def student(workdir):
    return trained.load(steps_of(workdir), print)


def losses_of(workdir):
    names = ("epoch", "step", "loss", "train_accuracy", "test_accuracy")
    return [{name: record[name] for name in names} for record in records.read(workdir)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Six steps in an epoch, in calls of four."""
    workdir = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "CHUNK_STEPS", 4)
        pipeline.run(config_of(), workdir, Display())
    return workdir


def signalled(monkeypatch, number, call, times=1):
    """Sends this process a signal in a compiled call, counted from 1."""
    usual, calls = engine.run_chunk, []

    def run_chunk(*arguments):
        calls.append(1)
        if len(calls) == call:
            for _ in range(times):
                os.kill(os.getpid(), number)
        return usual(*arguments)

    monkeypatch.setattr(fit, "CHUNK_STEPS", 4)
    monkeypatch.setattr(engine, "run_chunk", run_chunk)


@pytest.mark.parametrize(
    ("number", "error", "call", "step"),
    [
        (signal.SIGTERM, Interrupted, 1, 4),  # in the middle of an epoch, with no checkpoint before
        (signal.SIGTERM, Interrupted, 4, 12),  # at the end of one
        (signal.SIGINT, KeyboardInterrupt, 5, 16),
    ],
)
def test_a_training_saves_what_it_has_and_goes_on_bit_for_bit(
    whole, tmp_path, monkeypatch, number, error, call, step
):
    signalled(monkeypatch, number, call)
    with pytest.raises(error) as caught:
        pipeline.run(config_of(), tmp_path, Display())
    if error is Interrupted:
        assert str(caught.value) == f"stopped, and saved at step {step} of 18"
    assert max(int(path.name) for path in steps_of(tmp_path).iterdir()) == step
    pipeline.run(config_of(), tmp_path, Display())
    jax.tree.map(np.testing.assert_array_equal, student(tmp_path).members, student(whole).members)
    assert losses_of(tmp_path) == losses_of(whole)


def test_a_second_ctrl_c_does_not_wait(tmp_path, monkeypatch):
    signalled(monkeypatch, signal.SIGINT, 1, times=2)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(config_of(), tmp_path, Display())
    assert not list(steps_of(tmp_path).iterdir())


def test_other_work_ends_at_once_and_handlers_are_put_back():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(Interrupted, match="stopped"), stopping.listening():
        os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), stopping.listening():
        os.kill(os.getpid(), signal.SIGINT)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    assert not stopping.asked()


def test_a_signal_that_is_ignored_stays_ignored():
    usual = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with stopping.listening():
            os.kill(os.getpid(), signal.SIGTERM)
            assert not stopping.asked()
    finally:
        signal.signal(signal.SIGTERM, usual)


def test_what_diverges_leaves_the_last_good_checkpoint(whole, tmp_path, monkeypatch):
    """The second epoch diverges: the state at the end of the first is there, and finite."""
    usual, calls = engine.run_chunk, []

    def diverging(task, plan, states, hyper, *rest):
        calls.append(1)
        if len(calls) == 4:
            hyper = {**hyper, "learning_rate": hyper["learning_rate"] * np.float32(1e38)}
        return usual(task, plan, states, hyper, *rest)

    monkeypatch.setattr(fit, "CHUNK_STEPS", 4)
    monkeypatch.setattr(engine, "run_chunk", diverging)
    message = r"not finite at step 1[01]; the last good checkpoint, of step 6, is kept. Lower the"
    with pytest.raises(InputError, match=message):
        pipeline.run(config_of(checkpoint_every_s=0.0), tmp_path, Display())
    assert [path.name for path in steps_of(tmp_path).iterdir()] == ["6"]
    monkeypatch.setattr(engine, "run_chunk", usual)
    pipeline.run(config_of(), tmp_path, Display())
    jax.tree.map(np.testing.assert_array_equal, student(tmp_path).members, student(whole).members)


def test_a_loss_that_is_not_finite_at_first_is_not_the_learning_rates(tmp_path, monkeypatch):
    def broken(logits, labels):
        return logits.sum(-1) * np.nan

    monkeypatch.setitem(losses.LOSSES, "broken", broken)
    message = r"loss broken of student 0 is not finite at step 0, before any update; look at "
    with pytest.raises(InputError, match=message) as caught:
        pipeline.run(config_of(**{"loss.name": "broken"}), tmp_path, Display())
    assert "learning rate" not in str(caught.value)


def test_a_finished_training_that_cannot_be_written_is_found(whole, monkeypatch):
    """As a teacher that others share."""

    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(train.files, "locked", refuse)
    with train.alone(steps_of(whole).parent, Display()):
        pass
    with Checkpointer(steps_of(whole), print) as checkpointer:
        assert checkpointer.newest() == 18
    with (
        pytest.raises(InputError, match="cannot be written: Permission denied"),
        train.alone(whole / "other", Display()),
    ):
        pass


def test_a_finished_checkpoint_says_no_more_than_before(whole):
    meta = json.loads((steps_of(whole) / "18" / "meta" / "metadata").read_text())
    assert set(meta) == {"of", "history", "complete", "kernels", "checksum"}
