"""Run by `parallel_test.py` with eight CPU devices: prints what it found as one line of JSON."""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from distill import ops
from distill.data import AUGMENTATIONS
from distill.models.simplenet import SimpLeNet
from distill.models.teacher import Teacher
from distill.training import engine, predict, state
from distill.training.step import Task, TrainData

SHAPE, N, BATCH, STEPS = (12, 12, 1), 96, 16, 3


class Normed(nn.Module):
    """Statistics over the batch, and the convolution of an accelerator."""

    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.Conv(4, (3, 3), use_bias=False)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.5)(x))
        return nn.Dense(3)(x.reshape(len(x), -1))


def main():
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 3, size=N, dtype=np.int32)  # some are hidden
    data = TrainData(rng.integers(256, size=(N, *SHAPE), dtype=np.uint8), labels)
    small = SimpLeNet(filters=(2,), num_classes=3, kernel_size=3, conv=ops.conv.conv_cpu)
    keys = jax.random.key(9)[None]
    one_small = jax.jit(jax.vmap(lambda key: small.init(key, jnp.zeros((1, *SHAPE)))))(keys)
    banded_and_winograd = Task(
        Teacher(filters=(16, 16), hidden=8, num_classes=3, conv=ops.conv.conv_cpu),
        "kl", AUGMENTATIONS["shift"], descent, teacher=small,
    )  # fmt: skip
    kernels = dataclasses.replace(
        banded_and_winograd, model=banded_and_winograd.model.clone(conv=ops.conv_for("cpu"))
    )
    normed = Task(Normed(), "cross_entropy", AUGMENTATIONS["none"], descent)
    found = {
        "devices": jax.device_count(),
        "banded_and_winograd": compare(
            banded_and_winograd, dataclasses.replace(data, teacher_variables=one_small)
        ),
        "kernels": compare(kernels, dataclasses.replace(data, teacher_variables=one_small)),
        "batch_norm": compare(normed, data),
        "students": {number: divide(normed, data, number) for number in (3, 13)},
    }
    print(json.dumps(found))


def descent(hyper):
    """Without Adam's division, which makes a rounding error of a gradient of 0 as large as any."""
    return optax.sgd(hyper["learning_rate"])


def compare(task, data):
    """Trains on one device and on eight."""
    hyper = {"learning_rate": 0.1, "temperature": 2.0, "alpha": 0.5}
    hyper = {name: jnp.full(1, value) for name, value in hyper.items()}
    order = np.asarray(
        engine.epoch_order(jax.random.key(5)[None], jnp.int32(0), num_examples=N, batch_size=BATCH)[
            :, :STEPS
        ]
    )
    fresh = state.create(task.model, task.make_optimizer, hyper, SHAPE, seeds=[3])
    results = []
    for plan in (engine.Execution(), engine.execution(1, data_parallel=8)):
        states = plan.place_students(jax.tree.map(jnp.copy, fresh))
        arguments = (
            task, plan, states, plan.place_students(hyper), plan.place(data),
            plan.place_order(order), np.int32(STEPS),
        )  # fmt: skip
        program = engine.run_chunk.lower(*arguments).compile()
        trained, measured = program(*arguments[2:])
        variables = jax.tree.map(lambda leaf: leaf[0], trained.variables({}))
        logits = predict.predict(
            task.model, variables, data.images[:90], mean=(0.0,), std=(1.0,), mesh=plan.batch_mesh
        )
        results.append((trained.variables({}), measured, logits))
    return {
        "collectives": sorted(set(re.findall(COLLECTIVES, program.as_text()))),
        "split_devices": len(arguments[5].sharding.device_set),
        "whole_everywhere": all(x.is_fully_replicated for x in jax.tree.leaves(trained)),
        "differences": [difference(a, b) for a, b in zip(*results, strict=True)],
    }


def divide(task, data, number):
    """Trains some students on as many of the devices as they keep busy, and on one."""
    hyper = {"learning_rate": jnp.linspace(0.05, 0.2, number)}
    fresh = state.create(task.model, task.make_optimizer, hyper, SHAPE, seeds=range(number))
    order = engine.epoch_order(fresh.key, jnp.int32(0), num_examples=N, batch_size=BATCH)
    plans, results = (engine.Execution(), engine.execution(number)), []
    for plan in plans:
        trained, measured = engine.run_chunk(
            task, plan, jax.tree.map(jnp.copy, fresh), hyper, plan.place(data), order[:, :STEPS],
            np.int32(STEPS),
        )  # fmt: skip
        results.append((trained.params, measured))
    return {"devices": plans[1].mesh.size, "difference": difference(*results)}


COLLECTIVES = r"\b(all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\("


def difference(a, b):
    """Returns the largest difference between two trees, relative to the largest of each leaf."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(
        float(np.abs(np.asarray(x, np.float64) - y).max() / max(np.abs(x).max(), 1e-3))
        for x, y in pairs
    )


if __name__ == "__main__":
    main()
