"""Training on images that stay in their files: the same as in memory, and through a kill."""

import jax
import numpy as np
import pytest
from PIL import Image

from distill import config as config_lib
from distill import pipeline, records
from distill.data import streaming
from distill.progress import Display
from distill.training import engine, fit, trained

STEPS = 6  # of an epoch, in calls of two


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name, color in {"cup": (200, 60, 60), "plate": (60, 60, 200)}.items():
        for part, count in (("train", 4 * STEPS), ("test", 4)):
            (root / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = (color + rng.integers(-50, 50, (9, 9, 3))).astype(np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{i}.png")
    return root


@pytest.fixture
def config(photos, monkeypatch):
    monkeypatch.setattr(fit, "CHUNK_STEPS", 2)
    config = config_lib.defaults()
    config.dataset.name, config.dataset.folder = "", str(photos)
    config.dataset.image_size, config.dataset.resident_mb = 8, 0
    config.stages, config.loss.name = "student", "cross_entropy"
    config.student.update({"epochs": 2, "batch_size": 8, "augmentation": "photo"})
    config.checkpoint_every_s = 0.0
    return config


def leaves(workdir):
    found = trained.load(workdir / "checkpoints" / "student" / "steps", print)
    return [np.asarray(leaf) for leaf in jax.tree.leaves(found.members)]


def losses(workdir):
    return [record["loss"] for record in records.read(workdir)]


def test_it_is_what_it_is_in_memory_and_goes_on_bit_for_bit(config, tmp_path, monkeypatch):
    pipeline.run(config, tmp_path / "streamed", Display())
    usual, calls, asked = engine.run_chunk, [], []

    def killed(*arguments):
        calls.append(1)
        if len(calls) == 6:  # in the last chunk, behind a checkpoint within the second epoch
            raise MemoryError
        return usual(*arguments)

    monkeypatch.setattr(engine, "run_chunk", killed)
    with pytest.raises(MemoryError):
        pipeline.run(config, tmp_path / "killed", Display())
    monkeypatch.setattr(engine, "run_chunk", usual)

    def ahead(images, pieces, ahead=streaming.ahead):
        asked.append(len(pieces))
        return ahead(images, pieces)

    monkeypatch.setattr(streaming, "ahead", ahead)
    said, display = [], Display()
    display.say = said.append
    pipeline.run(config, tmp_path / "killed", display)
    assert any("going on from step 10" in line for line in said)
    assert asked[0] == 1  # of the three chunks of that epoch, the last
    for a, b in zip(leaves(tmp_path / "streamed"), leaves(tmp_path / "killed"), strict=True):
        np.testing.assert_array_equal(a, b)
    assert losses(tmp_path / "streamed") == losses(tmp_path / "killed")[:2]
    config.dataset.resident_mb = 1
    pipeline.run(config, tmp_path / "resident", Display())
    for a, b in zip(leaves(tmp_path / "streamed"), leaves(tmp_path / "resident"), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_single_process_decodes_all_of_a_batch():
    mesh = jax.make_mesh((1,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    assert engine.Execution("map", mesh).columns(8) == slice(0, 8)
