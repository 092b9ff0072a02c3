"""Settings that hold for every test, and the fixtures that several files share."""

import json
import os
import pathlib
import subprocess
import sys
import types
from collections.abc import Callable

import jax
import matplotlib
import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Most of a test is compiling what runs for a moment, in half the time without LLVM's passes and by
# XLA's older way of writing loops. What is fused and in which order it is computed is the same.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
)
matplotlib.use("Agg")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session", autouse=True)
def _compile_once(tmp_path_factory):
    """Tests build the same programs again and again; what one has compiled serves the others.

    So do the processes that tests start.
    """
    for name, value in {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compiled")),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": 0,
    }.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)


@pytest.fixture(autouse=True)
def _no_data_of_this_machine(monkeypatch):
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)


@pytest.fixture(scope="session")
def python() -> Callable[..., types.SimpleNamespace]:
    """Runs `python` with arguments, where what it is told matters, and not how its process starts.

    It is a fork of a process that has imported JAX already, see `tests/forks.py`. Returns what
    `subprocess.run` does, and the names of the modules that were `imported` in the end.
    """
    root = pathlib.Path(__file__).parents[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.forks"], cwd=root, env={**os.environ, "JAX_PLATFORMS": "cpu"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip

    def run(*arguments, **environment):
        command = [list(map(str, arguments)), {**os.environ, **environment}]
        print(json.dumps(command), file=server.stdin, flush=True)
        names = ("returncode", "stdout", "stderr", "imported")
        return types.SimpleNamespace(
            **dict(zip(names, json.loads(server.stdout.readline()), strict=True))
        )

    yield run
    server.communicate()  # it ends with its input


@pytest.fixture
def offline(monkeypatch):
    from distill.data import sources

    monkeypatch.setattr(sources, "network_reachable", lambda: False)


@pytest.fixture
def key() -> jax.Array:
    return jax.random.key(0)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def prepare() -> Callable[..., pathlib.Path]:
    """Writes examples as a data set that TFDS has prepared, and returns its directory."""
    import tensorflow_datasets as tfds

    def write(root, name, splits, features, version="1.0.0", shard=100):
        directory = pathlib.Path(root, name, version)
        directory.mkdir(parents=True)
        identity = tfds.core.DatasetIdentity(
            name=name,
            version=tfds.core.Version(version),
            data_dir=str(directory),
            module_name="",
        )
        info = tfds.core.DatasetInfo(
            builder=identity, features=tfds.features.FeaturesDict(features(tfds.features))
        )
        writer = tfds.core.SequentialWriter(info, max_examples_per_shard=shard)
        writer.initialize_splits(list(splits))
        writer.add_examples(splits)
        writer.close_all()
        return directory

    return write


@pytest.fixture
def context():
    """Makes what methods of compression get beside a network; `said` is what they told."""
    from distill.compress.context import Context

    def make(begin, said=None):
        say = [].append if said is None else said.append
        images, labels = np.zeros((0, *begin.input_shape), np.uint8), np.zeros(0, np.int32)
        return Context(images, labels, (0.0,), (1.0,), "cross_entropy", begin, 0, say)

    return make
