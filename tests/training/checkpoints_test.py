"""Checkpoints: what is saved comes back; what is damaged is never loaded silently."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill import config as configs
from distill import models
from distill.errors import InputError
from distill.training import parallel
from distill.training import state as states_lib
from distill.training.checkpoints import KEEP, Checkpointer


def make_states(model="simplenet_v3", seeds=(3, 4)):
    module = models.build(model, {}, num_classes=10)
    make_optimizer = states_lib.optimizer(configs.training(model), 10)
    hyper = {"learning_rate": jnp.full(len(seeds), 1e-3)}
    return states_lib.create(module, make_optimizer, hyper, (8, 8, 1), seeds)


def leaves(states):
    return [np.asarray(x) for x in jax.tree.leaves(states.replace(key=states.key))[:-1]] + [
        np.asarray(jax.random.key_data(states.key))
    ]


@pytest.fixture
def warnings():
    return []


def test_everything_comes_back(tmp_path, warnings):
    states = make_states()
    with Checkpointer(tmp_path / "c", warnings.append) as checkpointer:
        assert checkpointer.restore(states) is None
        assert checkpointer.meta() is None
        checkpointer.save(7, states, {"of": {"a": 1}, "history": [[{"loss": 0.5}]]})
    with Checkpointer(tmp_path / "c", warnings.append) as checkpointer:
        restored, meta = checkpointer.restore(make_states(seeds=(0, 1)))
    for a, b in zip(leaves(states), leaves(restored), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
    assert (meta["of"], meta["history"]) == ({"a": 1}, [[{"loss": 0.5}]])
    assert not warnings
    draw = jax.vmap(jax.random.normal)
    np.testing.assert_array_equal(draw(states.key), draw(restored.key))


def test_keys_come_back_as_they_were_whatever_jax_is_told(tmp_path, warnings):
    states = make_states()
    with jax.default_prng_impl("rbg"):
        with Checkpointer(tmp_path, warnings.append) as checkpointer:
            checkpointer.save(1, states, {})
            restored, _ = checkpointer.restore(states)
        placed = parallel.replicate(parallel.mesh(1), restored)
    for found in (restored, placed):
        assert found.key.dtype == states.key.dtype
        np.testing.assert_array_equal(*map(jax.random.key_data, (found.key, states.key)))
    assert not warnings


def test_only_the_newest_are_kept(tmp_path, warnings):
    with Checkpointer(tmp_path, warnings.append) as checkpointer:
        for step in range(4):
            checkpointer.save(step, make_states(), {})
    assert sorted(p.name for p in tmp_path.iterdir()) == [str(s) for s in range(4)][-KEEP:]


def test_a_half_written_checkpoint_is_skipped_with_a_warning(tmp_path, warnings):
    states = make_states()
    with Checkpointer(tmp_path, warnings.append) as checkpointer:
        checkpointer.save(1, states, {"n": 1})
    (tmp_path / "2.orbax-checkpoint-tmp").mkdir()
    with Checkpointer(tmp_path, warnings.append) as checkpointer:
        assert checkpointer.restore(states)[1]["n"] == 1
    assert len(warnings) == 1 and "half-written" in warnings[0]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Orbax's futures
@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_a_damaged_checkpoint_is_skipped_with_a_warning(tmp_path, warnings, damage):
    states = make_states()
    with Checkpointer(tmp_path, warnings.append) as checkpointer:
        checkpointer.save(1, states, {"n": 1})
        checkpointer.save(3, states, {"n": 2})
    files = [path for path in (tmp_path / "3" / "state").rglob("*") if path.is_file()]
    largest = max(files, key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    if damage == "truncate":
        largest.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        content[len(content) // 2] ^= 0xFF
        largest.write_bytes(content)
    else:
        largest.unlink()
    with Checkpointer(tmp_path, warnings.append) as checkpointer:
        _, meta = checkpointer.restore(states)
        assert meta["n"] == 1
        assert len(warnings) == 1 and "damaged" in warnings[0]
        checkpointer.save(2, states, {"n": 3})  # the run goes on from before the damage
        assert checkpointer.restore(states)[1]["n"] == 3


def test_a_checkpoint_of_other_shapes_is_refused(tmp_path, warnings):
    with Checkpointer(tmp_path, warnings.append) as checkpointer:
        checkpointer.save(1, make_states("simplenet_v3"), {})
        with pytest.raises(InputError, match=r"does not fit.*conv0.*\[2, 2\].*\[2, 3\]"):
            checkpointer.restore(make_states("simplenet_v2"))


def test_a_directory_that_cannot_be_made_is_one_line(tmp_path, warnings):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        Checkpointer(tmp_path / "file" / "c", warnings.append)
