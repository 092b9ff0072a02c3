"""Loss functions: named arrays in, `[batch]` out; the caller reduces once.

Shapes are `[batch, num_classes]` float32 for `logits` (the student's), `teacher_logits` and
`log_soft_targets`, and `[batch]` int32 for `labels`. `teacher_logits` are normalised: they are the
logarithms of the teachers' mean probabilities, so a constant in them has no meaning. Logarithms of
probabilities are used throughout, since they stay exact where probabilities underflow. `pixels`,
`[batch, height, width, channels]` float32, are what the student saw, augmented, before they were
normalised; a loss that reads them compares outputs of their shape with them and has no classes.
`features` and `teacher_features` are sequences of arrays, what `config.loss.taps` pairs up;
`embedding` and `teacher_embedding` are the first pair as vectors, `[batch, n]` and `[batch, m]`.
`projected`, `predicted`, `embedded` and so on are the student's features behind something learned,
see `parts`; `teacher_classifier` is kernel and bias of the teacher's last layer. `peer_logits`,
`[peers, batch, num_classes]`, are those of the students that learn beside this one; `memory` is
what is kept of all examples, and `candidates` which of them to look at, see `contrast`.

A loss names what it needs in its signature, and gets that by name: arrays from the list above, and
as keyword-only hyperparameters whatever the configuration holds under the same name, or else the
default. A new loss is therefore one function and one entry in `LOSSES`.
"""

from distill.losses.basic import (
    cross_entropy,
    jensen_shannon,
    kl,
    log_soft_targets,
    logit_mse,
    mutual,
    reconstruction,
    reverse_kl,
    smoothed_cross_entropy,
    soft_squared_error,
    standardise,
    teacher_free,
)
from distill.losses.contrast import Memory, crd_memory
from distill.losses.decoupled import dist, dkd, nkd, rld
from distill.losses.features import attention, fsp, nst, similarity
from distill.losses.hints import crd, fitnets, simkd, srrl, vid
from distill.losses.parts import reused_classifier
from distill.losses.relations import correlation_congruence, pkt, rkd_angle, rkd_distance
from distill.losses.terms import (
    ARRAYS,
    FROM_TEACHER,
    LOSSES,
    OPTIONS,
    STRUCTURE,
    Tapped,
    compares_with_pixels,
    defaults,
    hyperparameters,
    init_parts,
    is_structure,
    learns_parts,
    methods,
    name_of,
    needs_embedding,
    needs_features,
    needs_hard_labels,
    needs_labels,
    needs_memory,
    needs_peers,
    needs_teacher,
    options,
    remember,
    reuses_classifier,
    shown,
    structure,
    weighted_terms,
)

__all__ = [
    "ARRAYS",
    "FROM_TEACHER",
    "LOSSES",
    "OPTIONS",
    "STRUCTURE",
    "Memory",
    "Tapped",
    "attention",
    "compares_with_pixels",
    "correlation_congruence",
    "crd",
    "crd_memory",
    "cross_entropy",
    "defaults",
    "dist",
    "dkd",
    "fitnets",
    "fsp",
    "hyperparameters",
    "init_parts",
    "is_structure",
    "jensen_shannon",
    "kl",
    "learns_parts",
    "log_soft_targets",
    "logit_mse",
    "methods",
    "mutual",
    "name_of",
    "needs_embedding",
    "needs_features",
    "needs_hard_labels",
    "needs_labels",
    "needs_memory",
    "needs_peers",
    "needs_teacher",
    "nkd",
    "nst",
    "options",
    "pkt",
    "reconstruction",
    "remember",
    "reused_classifier",
    "reuses_classifier",
    "reverse_kl",
    "rkd_angle",
    "rkd_distance",
    "rld",
    "shown",
    "similarity",
    "simkd",
    "smoothed_cross_entropy",
    "soft_squared_error",
    "srrl",
    "standardise",
    "structure",
    "teacher_free",
    "vid",
    "weighted_terms",
]
