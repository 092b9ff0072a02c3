"""The table of soft targets: what is read back is what was written, or it is made again."""

import contextlib
import dataclasses
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill import config as configs
from distill import data, models
from distill.data import AUGMENTATIONS, Augmentation, Split
from distill.training import engine, soft_targets
from distill.training import state as states_lib
from distill.training.description import Description
from distill.training.step import Task
from distill.training.trained import Trained

PLAN = engine.Execution()
SHAPE = (8, 8, 1)


class Display:
    """What a display is told."""

    def __init__(self):
        self.warned, self.computed = [], 0
        self.say = self.warn = self.warned.append

    @contextlib.contextmanager
    def work(self, name, total):
        self.computed += 1
        yield self

    def advance(self, done, note=""):
        pass


@pytest.fixture
def split(rng):
    return Split(rng.integers(256, size=(7, *SHAPE), dtype=np.uint8), np.zeros(7, np.int32))


@pytest.fixture
def task():
    return Task(
        model=models.build("simplenet_v3", {}, num_classes=3),
        loss="kl",
        augmentation=AUGMENTATIONS["shift"],
        make_optimizer=states_lib.optimizer(configs.training("simplenet_v3"), 10),
    )


@pytest.fixture
def teacher(task, tmp_path):
    variables = [
        jax.jit(task.model.init)(jax.random.key(i), jnp.zeros((1, *SHAPE))) for i in range(2)
    ]
    (tmp_path / "teacher" / "steps").mkdir(parents=True)
    about = Description({}, {"name": "cross_entropy"}, [0, 1], num_classes=3)
    return Trained(task.model, variables, about, tmp_path / "teacher" / "steps")


def _flip(content, at):
    content[at] ^= 0x10
    return content


DAMAGES = {
    "one bit": lambda content: _flip(content, len(content) // 2),
    "one bit of the checksum": lambda content: _flip(content, -1),
    "zeros": lambda content: content[:128] + bytes(len(content) - 128),
    "the order of Fortran": lambda content: content.replace(b"False", b"True ", 1),
    "a shape": lambda content: content.replace(b"(9, 7", b"(7, 9", 1),
    "a dtype": lambda content: content.replace(b"<f4", b"<i4", 1),
    "a header": lambda content: content.replace(b"descr", b"{{{{{", 1),
    "half": lambda content: content[: len(content) // 2],
    "longer": lambda content: content + b"x",
    "without its checksum": lambda content: content[:-32],
    "empty": lambda content: b"",
    "a zip": lambda content: b"PK\x03\x04",
    "text": lambda content: b"{}",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_made_again_with_one_warning(split, task, teacher, damage):
    first, second, third = Display(), Display(), Display()
    expected = soft_targets.table(task, split, teacher, PLAN, first)
    where = soft_targets.path(task, split, teacher)
    written = where.read_bytes()
    where.write_bytes(DAMAGES[damage](bytearray(written)))
    found = soft_targets.table(task, split, teacher, PLAN, second)
    np.testing.assert_array_equal(found, expected)
    assert (first.computed, first.warned) == (1, [])
    assert second.computed == 1 and len(second.warned) == 1
    assert second.warned[0].startswith(f"computing the damaged soft targets {where} again: ")
    np.testing.assert_array_equal(soft_targets.table(task, split, teacher, PLAN, third), expected)
    assert (third.computed, third.warned) == (0, [])
    assert where.read_bytes() == written
    assert {path.name for path in where.parent.iterdir()} == {"lock", "steps", where.name}


def test_the_table_is_what_the_teachers_say(split, task, teacher):
    found = soft_targets.table(task, split, teacher, PLAN, Display())
    assert found.shape == (9, 7, 2, 3) and found.dtype == np.float32
    pixels = AUGMENTATIONS["shift"].apply(split.images / np.float32(255), jnp.full(7, 5))
    desired = task.model.apply(teacher.members[1], pixels)
    np.testing.assert_allclose(found[5, :, 1], desired, rtol=1e-5, atol=1e-5)


def test_a_table_is_named_by_what_decides_it(split, task, teacher):
    """Two augmentations with as many outcomes have two tables."""

    def darker(images, variant):
        return images * (1 - variant[:, None, None, None] / 9)

    draw = AUGMENTATIONS["shift"].draw
    others = [
        (dataclasses.replace(task, augmentation=Augmentation(draw, darker, 9)), split, teacher),
        (dataclasses.replace(task, augmentation=AUGMENTATIONS["none"]), split, teacher),
        (dataclasses.replace(task, mean=(0.5,)), split, teacher),
        (task, dataclasses.replace(split, images=split.images[::-1]), teacher),
        (task, split, dataclasses.replace(teacher, members=teacher.members[::-1])),
    ]
    names = {soft_targets.path(*other).name for other in [(task, split, teacher), *others]}
    assert len(names) == 6
    same = Augmentation(draw, lambda images, v: AUGMENTATIONS["shift"].apply(images, v), 9)
    again = soft_targets.path(dataclasses.replace(task, augmentation=same), split, teacher)
    assert again == soft_targets.path(task, split, teacher)
    for other in [(task, split, teacher), others[0]]:
        soft_targets.table(*other, PLAN, Display())
    assert len(list(teacher.directory.parent.glob("teacher_logits-*.npy"))) == 2


def test_a_teacher_that_cannot_be_written_beside_teaches(split, task, teacher, monkeypatch):
    expected = soft_targets.table(task, split, teacher, PLAN, Display())
    where = soft_targets.path(task, split, teacher)
    where.unlink()
    usual = pathlib.Path.open

    def refuse(path, mode="r", *args, **kwargs):
        if mode != "rb":
            raise PermissionError(13, "Permission denied", str(path))
        return usual(path, mode, *args, **kwargs)

    monkeypatch.setattr(pathlib.Path, "open", refuse)
    display = Display()
    np.testing.assert_array_equal(soft_targets.table(task, split, teacher, PLAN, display), expected)
    assert display.warned == [f"{where} is not kept, but used: Permission denied"]


def test_a_disk_that_fills_up_leaves_no_part(split, task, teacher, monkeypatch):
    def full(file, array):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    display = Display()
    soft_targets.table(task, split, teacher, PLAN, display)
    assert display.warned[0].endswith("is not kept, but used: No space left on device")
    assert sorted(os.listdir(teacher.directory.parent)) == ["lock", "steps"]


def test_no_image_is_read_where_no_table_is_wanted(split, task, teacher, monkeypatch):
    def fail(*arrays):
        raise AssertionError("read")

    monkeypatch.setattr(soft_targets, "fingerprint", fail)
    monkeypatch.setattr(data.splits, "fingerprint", fail)
    assert not soft_targets.is_there(task, split, teacher)
    endless = dataclasses.replace(task, augmentation=AUGMENTATIONS["crop_flip"])
    assert not soft_targets.is_there(endless, split, teacher)
