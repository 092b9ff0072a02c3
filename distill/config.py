"""What every configuration holds, and the checks that need no model, loss or data."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict, config_dict

from distill.errors import InputError, unknown

ENGINES = ("auto", "map", "vmap")
OPTIMIZERS = ("adam", "sgd")
SCHEDULES = ("constant", "cosine", "one_cycle")
STAGES = ("teacher", "student", "compress", "evaluate", "export", "report")  # in order
SEEDS = 2**31  # seeds are below: they are int32 on the device


def training(model: str, **overrides: Any) -> ConfigDict:
    """Returns the section that says which model is trained, and how.

    Args:
      model: an entry of `distill.models.MODELS`.
      **overrides: values for the fields below.
    """
    section = ConfigDict()
    section.model = model
    section.args = ConfigDict()  # further arguments of the model
    section.epochs = 10
    section.steps = config_dict.placeholder(int)  # if given, the duration instead of the epochs
    section.batch_size = 100
    section.learning_rate = 1e-3  # the peak of the schedule
    section.schedule = "cosine"
    section.optimizer = "adam"
    section.momentum = 0.9  # of sgd
    section.weight_decay = 0.0  # decoupled, on kernels only
    section.l1 = 0.0  # weight of the sum of absolute kernel weights in the objective
    section.clip_norm = 0.0  # global norm that gradients are clipped to; 0: not at all
    section.augmentation = "none"
    section.update(overrides)
    return section


def defaults() -> ConfigDict:
    """Returns a complete configuration: the thesis's v4 distilled on MNIST."""
    config = ConfigDict()
    config.seed = 0
    config.stages = "teacher,student,compress,evaluate,export,report"
    config.checkpoint_every_s = 20.0  # at the end of an epoch, but not more often than this

    config.dataset = ConfigDict()
    config.dataset.name = "mnist"
    config.dataset.data_dir = ""  # empty: $TFDS_DATA_DIR, else TFDS's own default
    config.dataset.fallback = ""  # used where `name` cannot be had; empty: that is an error
    config.dataset.train = "train"  # splits are written as in TFDS: train[:55000], train[90%:]
    config.dataset.validation = ""  # empty: none
    config.dataset.test = "test"
    config.dataset.image_size = 0  # square side to resize and crop to; 0: as stored
    config.dataset.mean = (0.0,)  # of pixels between 0 and 1, one per channel or one for all
    config.dataset.std = (1.0,)
    config.dataset.labelled_fraction = 1.0  # the labels of the other training images are hidden
    config.dataset.resident_mb = 1024  # training sets up to this size live on the device

    config.engine = ConfigDict()  # where and how it computes; changes results by rounding only
    config.engine.students = "auto"  # those of one program: map, vmap, or what the device does best
    config.engine.data_parallel = 1  # devices to split each batch of a single run over; 0: all
    config.engine.memory_gb = 0.0  # that a device may use for them; 0: most of what is free

    config.sweep = ConfigDict()  # many students instead of one; see distill.study
    config.sweep.seeds = ()  # of the students; the teacher keeps config.seed. Empty: config.seed
    config.sweep.axes = ()  # dictionaries of keys that vary together, as {"loss.temperature": (1,)}

    config.transfer = ConfigDict()  # unlabelled images that the student learns from instead
    config.transfer.name = ""  # empty: the student learns from dataset.train
    config.transfer.split = "train"

    config.teacher = training("teacher")
    config.teacher.members = 1  # more than one: an ensemble, averaged in probability space
    config.teacher.directory = ""  # where teachers are kept; empty: `teachers` beside workdir

    config.student = training("simplenet_v4")

    config.loss = ConfigDict()
    config.loss.name = "soft_squared_error"
    config.loss.temperature = 1.0
    config.loss.alpha = 1.0  # weight of the soft term; cross-entropy on labels has 1 - alpha
    config.loss.gradient_correction = False  # multiply soft_squared_error by T²
    config.loss.learn_temperature = False  # from there on, by the labels of dataset.validation
    config.loss.temperature_learning_rate = 0.03  # of log T, by Adam, where it is learned

    config.compress = ()  # steps, as {"method": "svd", "rank": 8}; see distill.compress.plan

    config.fine_tune = ConfigDict()  # of each step, which may say otherwise
    config.fine_tune.epochs = 2
    config.fine_tune.learning_rate = 1e-3
    config.fine_tune.teacher = "same"  # as the student had; original: what is compressed

    config.export = ConfigDict()
    config.export.formats = "float32,float16,int8"
    config.export.output = "probabilities"  # or logits
    config.export.labels = ()  # names of the classes; empty: the data set's own
    config.export.polarity = "auto"  # as_is, invert, or auto: gray images become light on dark
    config.export.batch_size = 1  # images that a file takes at once; readers of bundles take 1
    config.export.normalize = "auto"  # none, mnist: as its authors did, or auto: mnist for MNIST
    config.export.calibration_images = 500  # of the training images, for int8
    config.export.max_accuracy_drop = 0.01  # of the file on the whole test set
    return config


def variants(arg: str | None, known: tuple[str, ...]) -> set[str]:
    """Splits the argument of a configuration file, as in `simplenet_v4.py:baseline,quick`.

    Raises:
      InputError: if a word is not among `known`.
    """
    words = [word.strip() for word in (arg or "").split(",") if word.strip()]
    for word in words:
        if word not in known:
            raise unknown("configuration argument", word, known)
    return set(words)


def check_values(config: ConfigDict) -> None:
    """Checks each value on its own; names of models, losses and data are checked elsewhere.

    Raises:
      InputError: naming the first value that cannot be used.
    """
    check_trainings({name: config[name] for name in ("teacher", "student")})
    _require(config.teacher.members > 0, "teacher.members", config.teacher.members, "1 or more")
    _check_seeds(config)
    loss, dataset = config.loss, config.dataset
    _require(loss.temperature > 0, "loss.temperature", loss.temperature, "more than 0")
    rate = loss.temperature_learning_rate
    _require(rate > 0, "loss.temperature_learning_rate", rate, "more than 0")
    _require(0 <= loss.alpha <= 1, "loss.alpha", loss.alpha, "between 0 and 1")
    fraction = dataset.labelled_fraction
    _require(0 < fraction <= 1, "dataset.labelled_fraction", fraction, "above 0, at most 1")
    _require(dataset.image_size >= 0, "dataset.image_size", dataset.image_size, "0 or more")
    if config.engine.students not in ENGINES:
        raise unknown("engine.students", config.engine.students, ENGINES)
    parts = config.engine.data_parallel
    _require(parts >= 0, "engine.data_parallel", parts, "0 or more")
    memory = config.engine.memory_gb
    _require(memory >= 0, "engine.memory_gb", memory, "0 or more")
    _require(all(s > 0 for s in dataset.std), "dataset.std", dataset.std, "more than 0")


def _check_seeds(config: ConfigDict) -> None:
    """Checks the seeds of the teacher's members, which count up from `seed`, and of the students.

    A fraction is none: it would give the student of the whole number below.
    """
    last = SEEDS - config.teacher.members
    whole = f"a whole number from 0 to {last}"
    _require(_is_seed(config.seed) and config.seed <= last, "seed", config.seed, whole)
    seeds = config.sweep.seeds
    accepted = f"whole numbers from 0 to {SEEDS - 1}"
    _require(all(map(_is_seed, seeds)), "sweep.seeds", seeds, accepted)


def _is_seed(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < SEEDS


def check_trainings(sections: Mapping[str, ConfigDict]) -> None:
    """Checks the values of sections made by `training`.

    Raises:
      InputError: naming the section and the first value that cannot be used.
    """
    for name, section in sections.items():
        duration = "epochs" if section.steps is None else "steps"
        _require(section[duration] > 0, f"{name}.{duration}", section[duration], "more than 0")
        _require(section.batch_size > 0, f"{name}.batch_size", section.batch_size, "more than 0")
        rate = section.learning_rate
        _require(rate > 0, f"{name}.learning_rate", rate, "more than 0")
        for field in ("weight_decay", "clip_norm", "l1"):
            _require(section[field] >= 0, f"{name}.{field}", section[field], "0 or more")
        momentum = section.momentum
        _require(0 <= momentum < 1, f"{name}.momentum", momentum, "between 0 and 1, without 1")
        if section.optimizer not in OPTIMIZERS:
            raise unknown("optimizer", section.optimizer, OPTIMIZERS)
        if section.schedule not in SCHEDULES:
            raise unknown("schedule", section.schedule, SCHEDULES)


def stages(config: ConfigDict) -> list[str]:
    """Returns the stages to run, in the order of `STAGES` whatever the order they are named in."""
    names = [name.strip() for name in config.stages.split(",") if name.strip()]
    for name in names:
        if name not in STAGES:
            raise unknown("stage", name, STAGES)
    if not names:
        raise InputError(f"stages is empty; name some of {','.join(STAGES)}")
    return [name for name in STAGES if name in names]


def is_sweep(config: ConfigDict) -> bool:
    """Returns whether a configuration is of many students."""
    return bool(config.sweep.seeds or config.sweep.axes)


def to_dict(config: ConfigDict) -> dict[str, Any]:
    """Returns the configuration as plain JSON values (tuples become lists)."""
    return json.loads(json.dumps(config.to_dict()))


def digest(value: Any) -> str:
    """Returns a short hash of JSON values, the same on every machine."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def first_difference(a: Mapping, b: Mapping, prefix: str = "") -> tuple[str, Any, Any] | None:
    """Returns the first key in which two nested mappings differ, with both values, or None."""
    for key in sorted(a.keys() | b.keys()):
        left, right = a.get(key), b.get(key)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            if found := first_difference(left, right, f"{prefix}{key}."):
                return found
        elif left != right:
            return f"{prefix}{key}", left, right
    return None


def _require(valid: bool, key: str, value: Any, accepted: str) -> None:
    if not valid:
        raise InputError(f"{key} is {value}; it must be {accepted}")
