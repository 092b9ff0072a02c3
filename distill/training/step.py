"""One training step of one student: a pure function from arrays to arrays."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct
from flax.core import FrozenDict

from distill import constraints, losses
from distill.config import FLOAT32
from distill.data import Augmentation, mixing
from distill.models import taps
from distill.models.layers import HEAD
from distill.models.taps import TAPS, Pairs
from distill.training import averaging, bilevel, curriculum, freezing, hint_stage, mutual, precision
from distill.training.state import Hyper, TrainState

# What the key of a step is folded with; its split has taken 0 and 1.
_VALIDATION, _MIXTURE, _MEMORY = 2, 3, 4


@struct.dataclass
class TrainData:
    """What the steps read, resident on the device.

    Attributes:
      images: `[n, height, width, channels]` uint8.
      labels: `[n]` int32, -1 where hidden. None, as the images, while they are yet to be sent.
      teacher_logits: `[variants, n, members, num_classes]` float32, for each variant of the
        augmentation; None if not needed or computed in the step.
      teacher_variables: those of the teachers, leading axis `[members]`; None otherwise.
      validation_images, validation_labels: likewise, for students that learn the temperature.
      teacher_features: for each tap that the loss compares `[variants, n, ...]`; None if there are
        none, or they are computed in the step.
      teacher_classifier: kernel and bias of the teacher's last layer, beside its features.
      head_inputs: `[variants, n, width]`, what reaches the head, where that alone is trained and
        it was computed before; None otherwise.
    """

    images: Any = None
    labels: Any = None
    teacher_logits: Any = None
    teacher_variables: Any = None
    validation_images: Any = None
    validation_labels: Any = None
    teacher_features: Any = None
    teacher_classifier: Any = None
    head_inputs: Any = None


@dataclasses.dataclass(frozen=True)
class Task:
    """What is trained, and how: the static half of a training step.

    Attributes:
      model: the student (or a teacher that is being trained).
      loss: an entry of `losses.LOSSES`.
      augmentation: applied to the pixels that teacher and student see.
      make_optimizer: from `state.optimizer`.
      mean, std: of pixels between 0 and 1, one per channel or one for all.
      teacher: the module whose variables `TrainData.teacher_variables` holds, if it does.
      taps: for each part of the loss that compares features, the pairs of `models.taps`.
      tapped: their shapes, those of student and teacher, where the loss learns something of them.
      memory: what the loss keeps of every example, if anything.
      peers: number of students that learn beside each and teach it, see `mutual`.
      constraints: what the weights obey, see `distill.constraints`; nested mappings are frozen.
      l1: weight of the sum of absolute kernel weights in the objective.
      total_steps: length of the run, of which a curriculum takes a share.
      frozen: layers that stay as they are, with the statistics of their batch normalisation.
      mixup, cutmix: as of `mixing.draw`; what teacher and student see is mixed after augmentation.
      ema_decay: of the average of the weights; 0: none is kept.
      dtype: that the networks compute in, see `precision`.
    """

    model: nn.Module
    loss: str
    augmentation: Augmentation
    make_optimizer: Callable[[Hyper], optax.GradientTransformation]
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    teacher: nn.Module | None = None
    taps: Mapping[str, Pairs] = FrozenDict()
    tapped: Mapping[str, losses.Tapped] = FrozenDict()
    memory: losses.Memory | None = None
    peers: int = 0
    constraints: Mapping[str, Any] = FrozenDict()
    l1: float = 0.0
    total_steps: int = 1
    frozen: frozenset[str] = frozenset()
    mixup: float = 0.0
    cutmix: float = 0.0
    ema_decay: float = 0.0
    dtype: str = FLOAT32


def normalize(pixels: jax.Array, mean: tuple[float, ...], std: tuple[float, ...]) -> jax.Array:
    """Maps pixels between 0 and 1 to what the models are fed: `(pixels - mean) / std`."""
    shape = (1,) * (pixels.ndim - 1) + (-1,)
    return (pixels - jnp.reshape(jnp.array(mean), shape)) / jnp.reshape(jnp.array(std), shape)


class Batch(NamedTuple):
    """What a step looks at, the same for students that learn beside one another.

    Attributes:
      examples: `[batch]` int32, which they are.
      choices: of the augmentation.
      pixels: augmented, between 0 and 1, `[batch, height, width, channels]`.
      images: what the networks are fed: the pixels, normalised.
      labels: `[batch]` int32.
      mixed_with: where images are mixtures, the labels of the others `[batch]`, and the share of
        the first, a scalar.
      teacher: logits `[members, batch, num_classes]`, features by the names of their taps, and
        kernel and bias of the last layer.
      keys: of the step, and of the dropout.
    """

    examples: jax.Array
    choices: jax.Array
    pixels: jax.Array
    images: jax.Array
    labels: jax.Array
    mixed_with: tuple[jax.Array, jax.Array] | None
    teacher: tuple[Any, Any, Any]
    keys: tuple[jax.Array, jax.Array]


def train_step(
    task: Task, state: TrainState, hyper: Hyper, data: TrainData, index: jax.Array
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Makes one update.

    Students that learn beside one another all look at the predictions that they had before it.

    Args:
      task: what is trained, and how.
      state: of one student.
      hyper: of one student; scalars.
      data: the whole training set, or the part of it that this chunk of steps needs.
      index: `[batch]` int32, the examples of this batch.

    Returns:
      The next state, and scalars: `loss`, its terms, and how many labels are `visible` and of those
      `correct`, unless the loss is of reconstructed pixels.
    """
    batch = _batch(task, state, data, index)
    if not task.peers:
        return _update(task, state, hyper, data, batch)
    networks, batches = mutual.together(state), mutual.batches(batch, 1 + task.peers)
    predictions = [
        _forward(task, network, data, own, network.effective(task.constraints))[0]
        for network, own in zip(networks, batches, strict=True)
    ]
    updated = [
        _update(task, network, hyper, data, own, mutual.others(predictions, i))
        for i, (network, own) in enumerate(zip(networks, batches, strict=True))
    ]
    return mutual.apart([state for state, _ in updated]), updated[0][1]


def _batch(task: Task, state: TrainState, data: TrainData, index: jax.Array) -> Batch:
    """Looks up examples, augments them, and asks the teacher."""
    step_key = jax.random.fold_in(state.key, state.step)
    augment_key, dropout_key = jax.random.split(step_key)
    choices = task.augmentation.draw(augment_key, index.shape[0])
    pixels = task.augmentation.apply(data.images[index].astype(jnp.float32) / 255, choices)
    mixture = None
    if task.mixup or task.cutmix:
        examples, height, width, _ = pixels.shape
        mixture = mixing.draw(
            jax.random.fold_in(step_key, _MIXTURE), examples, (height, width),
            mixup=task.mixup, cutmix=task.cutmix,
        )  # fmt: skip
        pixels = mixture.apply(pixels)
    images = normalize(pixels, task.mean, task.std)
    labels = data.labels[index]
    mixed_with = None if mixture is None else (labels[mixture.partner], mixture.share)
    teacher = _teacher(task, data, index, choices, images)
    keys = step_key, dropout_key
    return Batch(index, choices, pixels, images, labels, mixed_with, teacher, keys)


def _forward(
    task: Task, state: TrainState, data: TrainData, batch: Batch, params: Any
) -> tuple[Any, Any]:
    """Applies the student with some parameters; returns its logits and what has changed in it."""
    if data.head_inputs is not None:
        reached = data.head_inputs[batch.choices, batch.examples]
        return precision.apply(task.dtype, _head, {"params": params}, reached), {}
    with (
        nn.intercept_methods(constraints.interceptor(state.held)),
        nn.intercept_methods(freezing.interceptor(task.frozen)),
    ):
        apply = functools.partial(
            task.model.apply,
            train=True,
            rngs={"dropout": batch.keys[1]},
            mutable=["batch_stats", TAPS] if task.taps else ["batch_stats"],
        )
        variables = {"params": params, "batch_stats": state.batch_stats}
        return precision.apply(task.dtype, apply, variables, batch.images)


def _update(
    task: Task,
    state: TrainState,
    hyper: Hyper,
    data: TrainData,
    batch: Batch,
    peer_logits: jax.Array | None = None,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Makes one update of one network; returns as `train_step`."""
    index, labels = batch.examples, batch.labels
    hyper = hint_stage.current(task.loss, hyper, state.step, task.total_steps)
    hyper = bilevel.current(state.learned, hyper)
    teacher_logits, theirs, last_layer = batch.teacher
    others: dict[str, Any] = {} if peer_logits is None else {"peer_logits": peer_logits}
    if task.memory is not None:
        candidates = task.memory.candidates(jax.random.fold_in(batch.keys[0], _MEMORY), index)
        others |= {"memory": state.memory, "candidates": candidates}

    def objective(trained, hyper):
        params, parts = state.apart(trained)
        hyper = curriculum.current(parts, hyper, state.step, task.total_steps)
        effective = constraints.effective(task.constraints, state.held, params)
        logits, updated = _forward(task, state, data, batch, effective)
        ours = taps.tapped(updated)
        compared = {
            name: ([ours[a] for a, _ in pairs], [theirs[b] for _, b in pairs])
            for name, pairs in task.taps.items()
        }
        terms = losses.weighted_terms(
            task.loss, logits, labels, teacher_logits, hyper, batch.pixels, compared, parts,
            last_layer, batch.mixed_with, others,
        )  # fmt: skip
        means = {name: value.mean() for name, value in terms.items()}
        if task.l1:
            kernels = [leaf for leaf in jax.tree.leaves(effective) if leaf.ndim > 1]
            means["l1"] = task.l1 * optax.tree_utils.tree_norm(kernels, ord=1)
        return sum(means.values()), (means, logits, updated, compared)

    found, gradients = jax.value_and_grad(objective, has_aux=True)(state.trained, hyper)
    loss, (terms, logits, updated, compared) = found
    optimizer = task.make_optimizer(hyper)
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.trained)
    new_state = dataclasses.replace(
        state,
        step=state.step + 1,
        batch_stats=updated.get("batch_stats", state.batch_stats),
        opt_state=opt_state,
    )
    if task.memory is not None:
        memory = losses.remember(
            task.loss, state.memory, compared, state.parts, hyper, index, candidates
        )
        new_state = dataclasses.replace(new_state, memory=memory)
    params, parts = state.apart(optax.apply_updates(state.trained, updates))
    if losses.reuses_classifier(task.loss):
        params = {**params, "logits": losses.reused_classifier(parts, last_layer)}
    new_state = dataclasses.replace(new_state, params=params, parts=parts)
    if task.ema_decay:
        average = averaging.update(
            state.average, params, new_state.batch_stats, task.ema_decay, state.step
        )
        new_state = dataclasses.replace(new_state, average=average)
    if state.learned:

        def judge(params):
            key = jax.random.fold_in(batch.keys[0], _VALIDATION)
            state = dataclasses.replace(new_state, params=params)
            variables = state.variables(task.constraints, raw=True)
            return validation_loss(task, variables, data, index.shape[0], key)

        hypergradient = bilevel.hypergradient(
            lambda params, log_t: objective(params, {**hyper, "temperature": jnp.exp(log_t)})[0],
            lambda gradients: optimizer.update(gradients, state.opt_state, state.params)[0],
            state.params,
            gradients,
            jax.grad(judge)(new_state.params),
            state.learned["log_temperature"],
        )
        learned = bilevel.update(state.learned, hyper, hypergradient)
        new_state = dataclasses.replace(new_state, learned=learned)
    measured = {"loss": loss, **terms}
    if losses.compares_with_pixels(task.loss):
        return new_state, measured
    visible = labels >= 0
    correct = ((logits.argmax(-1) == labels) & visible).sum()
    if batch.mixed_with is not None:
        partners, share = batch.mixed_with
        of_partners = ((logits.argmax(-1) == partners) & (partners >= 0)).sum()
        correct = share * correct + (1 - share) * of_partners
    return new_state, {**measured, "correct": correct, "visible": visible.sum()}


def head_logits(params: Mapping[str, Any], x: jax.Array) -> jax.Array:
    """Applies the head of a network to what reaches it.

    Args:
      params: of the whole network.
      x: `[n, width]`.

    Returns:
      `[n, num_classes]`.
    """
    layer = params[HEAD]
    return x @ layer["kernel"] + jnp.expand_dims(layer["bias"], 0)


def _head(variables: Mapping[str, Any], x: jax.Array) -> jax.Array:
    return head_logits(variables["params"], x)


def validation_loss(
    task: Task, variables: dict[str, Any], data: TrainData, batch: int, key: jax.Array
) -> jax.Array:
    """Returns the cross-entropy of `batch` validation images, which the key draws, as a scalar."""
    index = jax.random.randint(key, (batch,), 0, data.validation_images.shape[0])
    pixels = data.validation_images[index].astype(jnp.float32) / 255
    images = normalize(pixels, task.mean, task.std)
    logits = precision.apply(task.dtype, task.model.apply, variables, images)
    return losses.cross_entropy(logits, data.validation_labels[index]).mean()


def _teacher(task, data, index, choices, images):
    """Looks up or computes the teachers' logits `[members, batch, num_classes]`, or None.

    With them come, if features are asked for, those of a single teacher by the names of their taps,
    and kernel and bias of its last layer.
    """
    if data.teacher_logits is not None:
        logits = data.teacher_logits[choices, index].swapaxes(0, 1)
        tables = data.teacher_features or {}
        features = {name: table[choices, index] for name, table in tables.items()}
        return logits, features, data.teacher_classifier
    if task.teacher is None:
        return None, {}, None
    if not task.taps:
        one = functools.partial(precision.apply, task.dtype, task.teacher.apply)
        logits = jax.lax.map(lambda v: one(v, images), data.teacher_variables)
        return logits, {}, None
    variables = jax.tree.map(lambda leaf: leaf[0], data.teacher_variables)
    apply = functools.partial(task.teacher.apply, mutable=[TAPS])
    logits, found = precision.apply(task.dtype, apply, variables, images)
    return logits[None], taps.tapped(found), classifier(variables)


def classifier(variables):
    """Returns kernel and bias of the last layer of a model, or None if it is no such layer."""
    last = variables["params"].get("logits", {})
    return (last["kernel"], last["bias"]) if {"kernel", "bias"} <= last.keys() else None
