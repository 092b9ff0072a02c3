import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distill import config as config_lib
from distill.data import AUGMENTATIONS
from distill.models.simplenet import SimpLeNet
from distill.training import engine, state, step

N, BATCH, STEPS = 24, 6, 4
SHAPE = (8, 8, 1)
SEEDS = (3, 4, 5)
MAP, VMAP = engine.Execution("map"), engine.Execution("vmap")
HYPER = {
    "learning_rate": (1e-2, 3e-3, 1e-3),
    "temperature": (1.0, 4.0, 2.0),
    "alpha": (1.0, 0.5, 0.0),
}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return step.TrainData(
        images=jnp.asarray(rng.integers(256, size=(N, *SHAPE), dtype=np.uint8)),
        labels=jnp.asarray(rng.integers(3, size=N), jnp.int32),
        teacher_logits=jnp.asarray(rng.normal(size=(9, N, 2, 3)), jnp.float32),
    )


def _task(model=None, loss="kl", augmentation="shift"):
    """Every task has an optimiser, and thus a compiled program, of its own."""
    recipe = config_lib.training("simplenet_v4", schedule="constant")
    return step.Task(
        model=model or SimpLeNet(filters=(2,), num_classes=3, kernel_size=3),
        loss=loss,
        augmentation=AUGMENTATIONS[augmentation],
        make_optimizer=state.optimizer(recipe, 10),
    )


def _run(task, data, students, *, steps=STEPS, count=None, hyper=HYPER, plan=MAP):
    """Trains some of the students; returns `(params, metrics)`."""
    hyper = {name: jnp.array([values[i] for i in students]) for name, values in hyper.items()}
    seeds = [SEEDS[i] for i in students]
    states = state.create(task.model, task.make_optimizer, hyper, SHAPE, seeds)
    order = engine.epoch_order(states.key, 0, num_examples=N, batch_size=BATCH)[:, :steps]
    count = jnp.int32(steps if count is None else count)
    states, metrics = engine.run_chunk(task, plan, states, hyper, data, order, count)
    np.testing.assert_array_equal(states.step, [count] * len(students))
    return states, metrics


def _student(tree, i):
    return jax.tree.map(lambda leaf: np.asarray(leaf)[i], tree)


def _assert_close(a, b, **tolerance):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


@pytest.mark.parametrize("plan", [MAP, VMAP])
def test_a_student_among_others_is_what_it_is_alone(plan, data):
    task = _task()
    together, metrics = _run(task, data, [0, 1, 2], plan=plan)
    for i in (0, 2):
        alone, alone_metrics = _run(task, data, [i], plan=plan)
        _assert_close(_student(together.params, i), _student(alone.params, 0), rtol=1e-4, atol=1e-6)
        _assert_close(_student(metrics, i), _student(alone_metrics, 0), rtol=1e-5)


def test_both_ways_over_students_agree(data):
    results = []
    for plan in (MAP, VMAP):
        states, metrics = _run(_task(), data, [0, 1, 2], plan=plan)
        results.append((states.params, metrics))
    _assert_close(*results, rtol=1e-4, atol=1e-6)


def test_over_students_literal():
    trees = {"x": jnp.arange(6.0).reshape(3, 2)}
    for students in ("map", "vmap"):
        for count in (3, 1):
            some = jax.tree.map(lambda leaf, n=count: leaf[:n], trees)
            result = engine.over_students(students)(lambda t: t["x"].sum(), some)
            np.testing.assert_array_equal(result, [1.0, 5.0, 9.0][:count])


def test_students_are_mapped_on_a_cpu_and_vectorised_on_request():
    assert engine.execution(3) == MAP
    assert engine.execution(3, "vmap") == VMAP


def test_memory_decides_how_many_students_fit(data):
    task = _task()
    hyper = {name: jnp.array(values[:1]) for name, values in HYPER.items()}
    states = state.create(task.model, task.make_optimizer, hyper, SHAPE, SEEDS[:1])
    order = jax.ShapeDtypeStruct((1, STEPS, BATCH), jnp.int32)
    # Each state three times, four numbers, and the order of the examples.
    each = 3 * engine.num_bytes(states) + engine.num_bytes(hyper) + 4 * STEPS * BATCH
    shared = engine.num_bytes(data)

    def fit(memory, students="map"):
        return engine.students_that_fit(
            task, states, hyper, data, order, students=students, memory=memory
        )

    assert [fit(shared + 4 * each + extra) for extra in (-1, 0)] == [2, 4]
    assert [fit(shared + n * each) for n in (5, 7, 8)] == [4, 4, 8]  # a little less: the same
    assert fit(0) == 1
    # Vectorised students each need room for what their step computes.
    assert 1 <= fit(shared + 100 * each, "vmap") < 100


def test_a_chunk_equals_its_steps_one_by_one(data):
    task = _task()
    hyper = {name: values[0] for name, values in HYPER.items()}
    batched = {name: jnp.array([value]) for name, value in hyper.items()}
    states = state.create(task.model, task.make_optimizer, batched, SHAPE, [SEEDS[0]])
    order = engine.epoch_order(states.key, 0, num_examples=N, batch_size=BATCH)
    one, sums = _student_of_arrays(states), {}
    for index in order[0]:
        one, metrics = jax.jit(step.train_step, static_argnums=0)(task, one, hyper, data, index)
        sums = {name: sums.get(name, 0) + value for name, value in metrics.items()}
    chunk, metrics = _run(task, data, [0])
    _assert_close(_student(chunk.params, 0), one.params, rtol=1e-4, atol=1e-6)
    _assert_close({k: metrics[k][0] for k in sums}, sums, rtol=1e-5)


def _student_of_arrays(states):
    return jax.tree.map(lambda leaf: leaf[0], states)


def test_a_shorter_chunk_is_fewer_steps_of_the_same_program(data):
    task = _task()
    _run(task, data, [0, 1])
    programs = engine.run_chunk._cache_size()
    short, metrics = _run(task, data, [0, 1], count=2)
    assert engine.run_chunk._cache_size() == programs
    fewer, fewer_metrics = _run(task, data, [0, 1], steps=2)
    _assert_close(short.params, fewer.params, rtol=1e-5, atol=1e-7)
    _assert_close(metrics, fewer_metrics, rtol=1e-5)


def test_count_zero_changes_nothing(data):
    task = _task()
    states, metrics = _run(task, data, [0], count=0)
    hyper = {name: jnp.array(values[:1]) for name, values in HYPER.items()}
    start = state.create(task.model, task.make_optimizer, hyper, SHAPE, SEEDS[:1])
    _assert_close(states.params, start.params, rtol=0)
    assert float(metrics["loss"][0]) == 0 and int(metrics["bad_step"][0]) == -1


def test_the_student_and_the_step_that_go_bad_are_named(data):
    hyper = HYPER | {"learning_rate": (1e-3, float("inf"), 1e-3)}
    states, metrics = _run(_task(), data, [0, 1, 2], hyper=hyper)
    # The first loss is of the initial weights, and finite.
    np.testing.assert_array_equal(metrics["bad_step"], [-1, 1, -1])
    np.testing.assert_array_equal(np.isfinite(metrics["loss"]), [True, False, True])
    for leaf in jax.tree.leaves(states.params):
        assert np.isfinite(leaf[0]).all() and np.isfinite(leaf[2]).all()


def test_others_do_not_notice_a_student_that_goes_bad(data):
    task = _task()
    bad = HYPER | {"learning_rate": (1e-2, float("nan"), 1e-3)}
    among = _run(task, data, [0, 1, 2], hyper=bad)[0]
    healthy = _run(task, data, [0, 1, 2])[0]
    for i in (0, 2):
        _assert_close(_student(among.params, i), _student(healthy.params, i), rtol=0)


class _Normed(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(x.reshape(len(x), -1))
        return nn.Dense(3)(x)


@pytest.mark.parametrize("plan", [MAP, VMAP])
def test_batch_statistics_are_each_students_own(plan, data):
    task = _task(_Normed(), augmentation="none")
    states, _ = _run(task, data, [0, 1], steps=2, plan=plan)
    means = states.batch_stats["BatchNorm_0"]["mean"]
    pixels = np.asarray(data.images).reshape(N, -1) / 255
    for i, key in enumerate(states.key):
        order = engine.epoch_order(key[None], 0, num_examples=N, batch_size=BATCH)[0]
        a, b = (pixels[np.asarray(index)].mean(0) for index in order[:2])
        np.testing.assert_allclose(means[i], 0.25 * a + 0.5 * b, rtol=1e-4, atol=1e-5)


def _keys(*seeds):
    return jnp.stack([jax.random.key(seed) for seed in seeds])


def _order(keys, epoch, n=20, batch=5):
    return np.asarray(engine.epoch_order(keys, epoch, num_examples=n, batch_size=batch))


def test_epoch_order_is_a_permutation():
    order = _order(_keys(0, 1), 0)
    assert order.shape == (2, 4, 5)
    for student in order:
        np.testing.assert_array_equal(np.sort(student.reshape(-1)), np.arange(20))


def test_epoch_order_leaves_out_what_does_not_fill_a_batch():
    order = _order(_keys(0), 0, n=23)
    assert order.shape == (1, 4, 5)
    assert len(np.unique(order)) == 20 and order.max() < 23
    left_out = [set(range(23)) - set(_order(_keys(0), e, n=23).flat) for e in range(3)]
    assert left_out[0] != left_out[1] or left_out[1] != left_out[2]


def test_epoch_order_depends_on_the_own_key_and_the_epoch():
    np.testing.assert_array_equal(_order(_keys(7, 8, 9), 3)[1], _order(_keys(8), 3)[0])
    assert (_order(_keys(8), 3) != _order(_keys(8), 4)).any()
    assert (_order(_keys(7), 3) != _order(_keys(8), 3)).any()


def test_a_later_epoch_needs_no_program_of_its_own():
    _order(_keys(0), jnp.int32(0))
    programs = engine.epoch_order._cache_size()
    _order(_keys(1), jnp.int32(1))
    assert engine.epoch_order._cache_size() == programs
