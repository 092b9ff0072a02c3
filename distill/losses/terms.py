"""The losses by name, what each needs, and the weighted terms that `config.loss` makes of them."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp

from distill.losses import basic, contrast, decoupled, features, hints, relations
from distill.losses import parts as parts_lib

STAGES = ("features", "teacher_features", "projected", "predicted", "variances")
EMBEDDINGS = (
    "embedding", "teacher_embedding", "projected_embedding", "embedded", "teacher_embedded",
)  # fmt: skip
ARRAYS = (
    "logits", "labels", "teacher_logits", "log_soft_targets", "pixels", "teacher_classifier",
    "peer_logits", "memory", "candidates", *STAGES, *EMBEDDINGS,
)  # fmt: skip
LOGITS_OF_TEACHER = ("teacher_logits", "log_soft_targets")
FROM_TEACHER = (*LOGITS_OF_TEACHER, *STAGES, *EMBEDDINGS)

Tapped = tuple[Sequence[Any], Sequence[Any]]
"""Features of the student and of its teacher, those of a pair at the same place; or shapes."""

LOSSES: dict[str, Callable[..., jax.Array]] = {
    "soft_squared_error": basic.soft_squared_error,
    "kl": basic.kl,
    "reverse_kl": basic.reverse_kl,
    "jensen_shannon": basic.jensen_shannon,
    "cross_entropy": basic.cross_entropy,
    "mutual": basic.mutual,
    "teacher_free": basic.teacher_free,
    "logit_mse": basic.logit_mse,
    "dkd": decoupled.dkd,
    "nkd": decoupled.nkd,
    "rld": decoupled.rld,
    "dist": decoupled.dist,
    "attention": features.attention,
    "fsp": features.fsp,
    "nst": features.nst,
    "similarity": features.similarity,
    "fitnets": hints.fitnets,
    "vid": hints.vid,
    "srrl": hints.srrl,
    "crd": hints.crd,
    "crd_memory": contrast.crd_memory,
    "simkd": hints.simkd,
    "rkd_distance": relations.rkd_distance,
    "rkd_angle": relations.rkd_angle,
    "pkt": relations.pkt,
    "correlation_congruence": relations.correlation_congruence,
    "reconstruction": basic.reconstruction,
}


STRUCTURE: dict[str, dict[str, int]] = {
    "mutual": {"peers": 2},
    "crd_memory": {"negatives": contrast.NEGATIVES},
}
"""Numbers of a loss, with their defaults, that change the program: no axis of students in one."""


def name_of(loss: Mapping[str, Any]) -> str:
    """Returns the name of what a section like `config.loss` asks for.

    Returns:
      An entry of `LOSSES`; or, where there are `terms`, theirs in the order of the alphabet, as
      `cross_entropy+kl`. Whatever takes the name of a loss takes such a one.
    """
    return "+".join(sorted(loss.get("terms") or ())) or loss["name"]


def methods(name: str) -> list[str]:
    """Returns the entries of `LOSSES` that make up the loss `name`."""
    return name.split("+")


def hyperparameters(name: str) -> tuple[str, ...]:
    """Returns the names of the hyperparameters that the entry `name` of `LOSSES` takes."""
    parameters = inspect.signature(LOSSES[name]).parameters
    signature = (p for p in parameters if p not in ARRAYS and p not in OPTIONS)
    return (*signature, *STRUCTURE.get(name, ()))


def defaults(name: str) -> dict[str, Any]:
    """Returns the hyperparameters of the entry `name` of `LOSSES` that have a default."""
    parameters = inspect.signature(LOSSES[name]).parameters.values()
    given = {p.name: p.default for p in parameters if p.default is not p.empty}
    return given | STRUCTURE.get(name, {})


def structure(loss: Mapping[str, Any], number: str) -> int:
    """Returns a number of `STRUCTURE` from a section of `recipe.loss_section`; 0 if it has none."""
    return next((v for k, v in loss.items() if k.rpartition(".")[2] == number), 0)


def is_structure(name: str) -> bool:
    """Whether an entry of such a section changes the program: taps, or a number of `STRUCTURE`."""
    last = name.rpartition(".")[2]
    return last == "taps" or any(last in numbers for numbers in STRUCTURE.values())


OPTIONS = {
    "standardise": "losses that compare logits with a teacher's",
    "label_smoothing": "the cross-entropy with labels",
    "taps": "losses that compare features",
    "paper": "losses whose papers have another form than their codes",
}


def options(name: str) -> set[str]:
    """Returns which of `OPTIONS` the entry `name` of `LOSSES` has a use for."""
    parameters = set(inspect.signature(LOSSES[name]).parameters)
    useful = {
        "standardise": "logits" in parameters and not parameters.isdisjoint(LOGITS_OF_TEACHER),
        "label_smoothing": name == "cross_entropy",
        "taps": needs_features(name),
        "paper": "paper" in parameters,
    }
    return {option for option, found in useful.items() if found}


def shown(section: Mapping[str, Any]) -> str:
    """Returns a loss in words of a table: its name, or its terms with their numbers.

    Args:
      section: as `recipe.loss_section` makes it.

    >>> shown({"name": "cross_entropy+kl", "cross_entropy.weight": 0.1, "kl.weight": 0.9,
    ...        "kl.temperature": 4.0})
    '0.1*cross_entropy + 0.9*kl(temperature=4)'
    """
    name = section["name"]
    if f"{methods(name)[0]}.weight" not in section:
        return name
    parts = []
    for method in methods(name):
        numbers = _of_term(method, {k: v for k, v in section.items() if "." in k})
        del numbers["weight"]
        own = [f"{k}={_in_words(v)}" for k, v in sorted(numbers.items()) if "." not in k]
        in_words = f"({', '.join(own)})" if own else ""
        parts.append(f"{section[f'{method}.weight']:g}*{method}{in_words}")
    stage = f", hint_stage={section['hint_stage']:g}" if section.get("hint_stage") else ""
    return " + ".join(parts) + stage


def _in_words(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(":".join(pair) for pair in value)
    return f"{float(value):g}"


def needs_teacher(name: str) -> bool:
    """Whether the loss `name` compares with a teacher."""
    return any(p in FROM_TEACHER for p in _parameters(name))


def needs_peers(name: str) -> bool:
    """Whether students of the loss `name` learn from one another."""
    return "peer_logits" in _parameters(name)


def needs_memory(name: str) -> bool:
    """Whether the loss `name` keeps something of every example."""
    return "memory" in _parameters(name)


def needs_features(name: str) -> bool:
    """Whether the loss `name` compares features with a teacher's."""
    return not _parameters(name).isdisjoint((*STAGES, *EMBEDDINGS))


def needs_embedding(name: str) -> bool:
    """Whether the loss `name` compares one vector for each example, and not stages."""
    return not _parameters(name).isdisjoint(EMBEDDINGS)


def learns_parts(name: str) -> bool:
    """Whether any part of the loss `name` trains something beside the student."""
    return not _parameters(name).isdisjoint(parts_lib.PARTS)


def reuses_classifier(name: str) -> bool:
    """Whether the student of the loss `name` ends with its teacher's last layer."""
    return "simkd" in methods(name)


def init_parts(key: jax.Array, tapped: Mapping[str, Tapped]) -> dict[str, Any]:
    """Returns fresh parameters of what the parts of a loss train beside the student.

    Args:
      key: of this student.
      tapped: for each part of the loss that compares features, those of student and teacher;
        their shapes suffice.

    Returns:
      By the names of the parts of the loss; empty if none trains anything.
    """
    found: dict[str, Any] = {}
    for i, (method, pair) in enumerate(sorted(tapped.items())):
        zeros: Any = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), pair)
        own = {
            name: part.init(jax.random.fold_in(key, i), *zeros)["params"]
            for name, part in _parts(method).items()
        }
        found |= {method: own} if own else {}
    return found


def _parts(method: str) -> dict[str, Any]:
    return parts_lib.of(tuple(inspect.signature(LOSSES[method]).parameters))


def needs_labels(name: str) -> bool:
    """Whether any part of the loss `name` reads labels, beside the one that `alpha` mixes in."""
    return "labels" in _parameters(name)


def needs_hard_labels(name: str) -> list[str]:
    """Returns the parts of the loss `name` for which each image has one label and no mixture."""
    return [m for m in methods(name) if needs_labels(m) and m != "cross_entropy"]


def compares_with_pixels(name: str) -> bool:
    """Whether the loss `name` is of a model that reconstructs images instead of classifying."""
    return "pixels" in _parameters(name)


def _parameters(name: str) -> set[str]:
    return {p for method in methods(name) for p in inspect.signature(LOSSES[method]).parameters}


def weighted_terms(
    name: str,
    logits: jax.Array,
    labels: jax.Array,
    teacher_logits: jax.Array | None,
    hyper: Mapping[str, jax.Array],
    pixels: jax.Array | None = None,
    tapped: Mapping[str, Tapped] = MappingProxyType({}),
    parts: Mapping[str, Any] = MappingProxyType({}),
    teacher_classifier: tuple[jax.Array, jax.Array] | None = None,
    mixed_with: tuple[jax.Array, jax.Array] | None = None,
    others: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, jax.Array]:
    """Evaluates `config.loss`: its terms, or the loss `name`, mixed with cross-entropy.

    A term reads its weight and its hyperparameters as `hyper["kl.weight"]` and so on, and what has
    no such name as `hyper["temperature"]`. Without weights, a loss that needs a teacher is mixed by
    `alpha`: that is the weight of the soft term, a mean over the batch, and `1 - alpha` that of the
    cross-entropy. Beside a teacher, what reads labels is a mean over those that are visible.

    Args:
      name: as of `name_of`.
      logits: the student's, `[batch, num_classes]`.
      labels: ground truth `[batch]`; -1 where hidden.
      teacher_logits: `[members, batch, num_classes]`, or None for a loss without a teacher.
      hyper: the numbers of `config.loss` by name. `standardise` says that logits are standardised
        before they are compared with a teacher's, and `label_smoothing` what share of a label is
        spread in a cross-entropy; they change nothing where they are missing.
      pixels: between 0 and 1, `[batch, height, width, channels]`, for a loss that reads them.
      tapped: for each part of the loss that compares features, those of student and teacher.
      parts: parameters of what is trained beside the student, from `init_parts`.
      teacher_classifier: kernel and bias of the teacher's last layer, where a loss reads them.
      mixed_with: of images that are mixtures, the labels of the others `[batch]`, and what share
        is of the first, a scalar. Terms that read labels are mixed likewise.
      others: `peer_logits`, `memory` and `candidates`, where a loss reads them.

    Returns:
      The named terms, weighted, each `[batch]`; the objective is their sum.
    """
    arrays: dict[str, Any] = {"logits": logits, **others}
    if pixels is not None:
        arrays["pixels"] = pixels
    if teacher_classifier is not None:
        arrays["teacher_classifier"] = teacher_classifier

    def over_labels(value: Callable[[jax.Array], jax.Array]) -> jax.Array:
        if mixed_with is None:
            return value(labels)
        partners, share = mixed_with
        return share * value(labels) + (1 - share) * value(partners)

    weighted = f"{methods(name)[0]}.weight" in hyper
    values = {}
    for method in methods(name):
        numbers = _of_term(method, hyper) if weighted else hyper
        compared = _named(method, tapped.get(method), parts.get(method, {}))
        one = functools.partial(_value, method, arrays | compared, teacher_logits, numbers)
        if not needs_labels(method):
            value = one(labels)
        elif needs_teacher(name):
            value = over_labels(functools.partial(_over_visible, one))
        else:
            value = over_labels(one)
        values[method] = numbers["weight"] * value if weighted else value
    if weighted or not needs_teacher(name):
        return values
    alpha = hyper["alpha"]
    hard = over_labels(lambda labels: _mean_over_visible(labels) * _hard(logits, labels, hyper))
    return {name: alpha * values[name], "hard_loss": (1 - alpha) * hard}


def _named(method: str, tapped: Tapped | None, parts: Mapping[str, Any]) -> dict[str, Any]:
    """Returns features, and what is learned of them, by the names that a signature has for them."""
    if tapped is None:
        return {}
    flat = (of[0].reshape(of[0].shape[0], -1) for of in tapped)
    names = ("features", "teacher_features", "embedding", "teacher_embedding")
    named = dict(zip(names, (*tapped, *flat), strict=True))
    return named | parts_lib.outputs(_parts(method), parts, *tapped)


def remember(
    name: str,
    memory: contrast.Kept,
    tapped: Mapping[str, Tapped],
    parts: Mapping[str, Any],
    hyper: Mapping[str, jax.Array],
    index: jax.Array,
    candidates: jax.Array,
) -> contrast.Kept:
    """Returns the memory of the loss `name` with the vectors of a batch in it.

    Args:
      name: as of `name_of`.
      memory: before the batch.
      tapped, parts, hyper: as for `weighted_terms`.
      index: `[batch]`, the examples of the batch.
      candidates: as the loss has looked at them.
    """
    (method,) = (method for method in methods(name) if needs_memory(method))
    found = _named(method, tapped[method], parts[method])
    given = defaults(method) | _of_term(method, hyper)
    return contrast.remember(
        memory, found["embedded"], found["teacher_embedded"], index, candidates,
        contrast_temperature=given["contrast_temperature"],
    )  # fmt: skip


def _of_term(method: str, hyper: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Returns the numbers of a term by their own names."""
    own = {k.removeprefix(f"{method}."): v for k, v in hyper.items() if k.startswith(f"{method}.")}
    return {**hyper, **own}


def _value(
    method: str,
    arrays: Mapping[str, Any],
    teacher_logits: jax.Array | None,
    hyper: Mapping[str, jax.Array],
    labels: jax.Array,
) -> jax.Array:
    """Evaluates one entry of `LOSSES`, `[batch]`."""
    if method == "cross_entropy":
        return _hard(arrays["logits"], labels, hyper)
    arrays = {**arrays, "labels": labels}
    if teacher_logits is not None:
        if "standardise" in hyper:
            chosen = hyper["standardise"]
            standard = basic.standardise(teacher_logits)
            teacher_logits = jnp.where(chosen, standard, teacher_logits)
            standard = basic.standardise(arrays["logits"])
            arrays["logits"] = jnp.where(chosen, standard, arrays["logits"])
        arrays["teacher_logits"] = basic.log_soft_targets(teacher_logits, temperature=1.0)
        temperature = hyper.get("temperature", 1.0)
        arrays["log_soft_targets"] = basic.log_soft_targets(teacher_logits, temperature=temperature)
    parameters = inspect.signature(LOSSES[method]).parameters
    given = {**hyper, **arrays}  # what is in neither has a default
    named = {p: given[p] for p in parameters if p in given}
    return LOSSES[method](**named)


def _hard(logits: jax.Array, labels: jax.Array, hyper: Mapping[str, jax.Array]) -> jax.Array:
    """Returns the cross-entropy with the labels, smoothed where that is asked for."""
    if "label_smoothing" not in hyper:
        return LOSSES["cross_entropy"](logits, labels)
    share = hyper["label_smoothing"]
    return basic.smoothed_cross_entropy(logits, labels, label_smoothing=share)


def _over_visible(value: Callable[[jax.Array], jax.Array], labels: jax.Array) -> jax.Array:
    """Returns what a loss gives for labels that are visible; 0 for the others."""
    found = value(labels)
    return _mean_over_visible(labels) * jnp.where(labels >= 0, found, 0)


def _mean_over_visible(labels: jax.Array) -> jax.Array:
    """Returns the factor that makes a mean over the batch one over the labels in sight."""
    visible = (labels >= 0).mean()
    return jnp.where(visible > 0, 1 / visible, 0)
