"""What a method trains beside the student: projections, predictors and heads.

A part is a Linen module from the features of student and teacher to arrays, by the names that a
signature has for them. Its parameters belong to the term of the loss that asks for one of the
names: they are initialised from the student's key, trained by its optimiser and saved with it, and
are no part of the network that is counted, compressed or exported.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from flax import linen as nn

from distill.errors import InputError
from distill.losses.features import same_size, unit

Features = Sequence[jax.Array]
VARIANCE = 5.0  # that a prediction begins with, as in the published code of VID
LEAST_VARIANCE = 1e-5
EMBEDDED = 128  # width of the spaces in which contrasts are made


class Projection(nn.Module):
    """A linear map of the channels of each of the student's features to the teacher's."""

    @nn.compact
    def __call__(self, features: Features, teacher_features: Features) -> dict[str, Any]:
        """Returns `projected`, as many arrays with the teacher's channels."""
        projected = []
        for i, (ours, theirs) in enumerate(zip(features, teacher_features, strict=True)):
            if ours.ndim == 4:
                ours, theirs = same_size("a projection", ours, theirs)
            projected.append(nn.Dense(theirs.shape[-1], name=f"project{i}")(ours))
        flat = projected[0].reshape(projected[0].shape[0], -1)
        return {"projected": projected, "projected_embedding": flat}


class Prediction(nn.Module):
    """Three layers on the channels that predict each of the teacher's features, and how well."""

    @nn.compact
    def __call__(self, features: Features, teacher_features: Features) -> dict[str, Any]:
        """Returns `predicted`, as many arrays as there are features, and their `variances`."""
        predicted, variances = [], []
        begin = math.log(math.expm1(VARIANCE - LEAST_VARIANCE))
        for i, (ours, theirs) in enumerate(zip(features, teacher_features, strict=True)):
            if ours.ndim == 4:
                ours, theirs = same_size("a prediction", ours, theirs)
            channels = theirs.shape[-1]
            x = nn.relu(nn.Dense(channels, name=f"predict{i}_0")(ours))
            x = nn.relu(nn.Dense(channels, name=f"predict{i}_1")(x))
            predicted.append(nn.Dense(channels, name=f"predict{i}_2")(x))
            raw = self.param(f"variance{i}", nn.initializers.constant(begin), (channels,))
            variances.append(nn.softplus(raw) + LEAST_VARIANCE)
        return {"predicted": predicted, "variances": variances}


class Heads(nn.Module):
    """Linear maps of the first of the student's and of the teacher's features into one space."""

    @nn.compact
    def __call__(self, features: Features, teacher_features: Features) -> dict[str, Any]:
        """Returns `embedded` and `teacher_embedded`, `[batch, 128]`, of norm 1."""
        found = []
        for name, of in (("student", features), ("teacher", teacher_features)):
            x = nn.Dense(EMBEDDED, name=name)(of[0].reshape(of[0].shape[0], -1))
            found.append(unit(x))
        return dict(zip(("embedded", "teacher_embedded"), found, strict=True))


PARTS: dict[str, Callable[[], nn.Module]] = {
    "projected": Projection,
    "projected_embedding": Projection,
    "predicted": Prediction,
    "variances": Prediction,
    "embedded": Heads,
    "teacher_embedded": Heads,
}


def of(parameters: Sequence[str]) -> dict[str, nn.Module]:
    """Returns the parts that give what a signature asks for, by their names."""
    found = {PARTS[p]().__class__.__name__.lower(): PARTS[p]() for p in parameters if p in PARTS}
    return dict(sorted(found.items()))


def outputs(
    parts: Mapping[str, nn.Module],
    params: Mapping[str, Any],
    features: Features,
    teacher_features: Features,
) -> dict[str, Any]:
    """Applies parts to features; returns arrays by the names that a signature has for them."""
    arrays: dict[str, Any] = {}
    for name, part in parts.items():
        found: Any = part.apply({"params": params[name]}, features, teacher_features)
        arrays |= found
    return arrays


def reused_classifier(
    parts: Mapping[str, Any], teacher_classifier: tuple[jax.Array, jax.Array] | None
) -> dict[str, jax.Array]:
    """Returns the one layer that does what the projector of `simkd` and the teacher's last do.

    Args:
      parts: what is trained beside a student.
      teacher_classifier: kernel `[n, num_classes]` and bias `[num_classes]`.

    Raises:
      InputError: if the teacher does not end with such a layer.
    """
    if teacher_classifier is None:
        raise InputError("simkd reuses the teacher's last layer, and this one's is not dense")
    kernel, bias = teacher_classifier
    projector = parts["simkd"]["projection"]["project0"]
    return {"kernel": projector["kernel"] @ kernel, "bias": projector["bias"] @ kernel + bias}
