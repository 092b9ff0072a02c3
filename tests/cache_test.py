"""A process lets go of its programs before it can map no more memory."""

import jax
import jax.numpy as jnp
import pytest

from distill import cache


@pytest.mark.parametrize(("lines", "kept"), [(20, 1), (31, 0), (None, 1)])
def test_programs_are_dropped_where_half_of_the_mappings_are_used(
    lines, kept, tmp_path, monkeypatch
):
    mappings, most = tmp_path / "maps", tmp_path / "most"
    most.write_text("60\n")
    if lines is not None:  # else it is a system that does not say
        mappings.write_text("a mapping\n" * lines)
    monkeypatch.setattr(cache, "MAPPINGS", mappings)
    monkeypatch.setattr(cache, "MOST_MAPPINGS", most)
    double = jax.jit(lambda x: 2 * x)
    double(jnp.ones(3))
    cache.let_go()
    assert double._cache_size() == kept
