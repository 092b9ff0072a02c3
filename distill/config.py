"""What every configuration holds, and the checks that need no model, loss or data."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict, config_dict

from distill import values
from distill.errors import InputError, unknown

ENGINES = ("auto", "map", "vmap")
OPTIMIZERS = ("adam", "sgd")
FLOAT32 = "float32"
DTYPES = (FLOAT32, "bfloat16")
SCHEDULES = ("constant", "cosine", "one_cycle", "step")
# Of a section; empty ones are as if there were none.
LATER = (
    "decay_at", "nesterov", "init", "freeze", "layer_decay", "warmup_epochs", "warmup_steps",
    "coupled_decay", "ema_decay", "mixup", "cutmix",
)  # fmt: skip
STAGES = ("teacher", "student", "compress", "evaluate", "export", "report")  # in order
SEEDS = 2**31  # seeds are below: they are int32 on the device
EPOCHS = 1_000_000  # at most


def training(model: str, **overrides: Any) -> ConfigDict:
    """Returns the section that says which model is trained, and how.

    Args:
      model: an entry of `distill.models.MODELS`.
      **overrides: values for the fields below.
    """
    section = ConfigDict()
    section.model = model
    section.args = ConfigDict()  # further arguments of the model
    section.init = ""  # weights to start from, a file or a run, see training.start; empty: fresh
    section.freeze = ""  # layers that stay as they are, as `stem,stage*` or `!logits`
    section.layer_decay = 0.0  # of the learning rate, from a block to the one below; 0: none
    section.epochs = 10  # 0: nothing is trained, where there are weights to start from
    section.steps = config_dict.placeholder(int)  # if given, the duration instead of the epochs
    section.batch_size = 100
    section.learning_rate = 1e-3  # the peak of the schedule
    section.schedule = "cosine"
    section.decay_at = ()  # epochs behind which it falls to a tenth, of the schedule `step`
    section.warmup_epochs = 0.0  # while the learning rate rises to what the schedule says
    section.warmup_steps = 0  # the same, in steps
    section.optimizer = "adam"
    section.momentum = 0.9  # of sgd
    section.nesterov = False  # of sgd: whether the momentum looks ahead
    section.weight_decay = 0.0  # decoupled, on kernels only
    section.coupled_decay = 0.0  # added to the gradients, on all weights, as in PyTorch's SGD
    section.l1 = 0.0  # weight of the sum of absolute kernel weights in the objective
    section.clip_norm = 0.0  # global norm that gradients are clipped to; 0: not at all
    section.ema_decay = 0.0  # of the average of the weights that is kept, and used; 0: none is
    section.augmentation = "none"
    section.mixup = 0.0  # alpha of the Beta distribution that pairs of images are mixed by; 0: none
    section.cutmix = 0.0  # likewise, a piece of one in the place of the other's
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
    config.dataset.folder = ""  # of images, CLASS/… or train/CLASS/… and test/…; instead of `name`
    config.dataset.classes = ()  # names of all, where a folder may lack some; empty: its own
    config.dataset.color = "rgb"  # or gray: what the images of a folder become
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
    config.engine.dtype = FLOAT32  # that networks are trained in: or bfloat16; weights stay float32
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

    # Those between teacher and student, as ({"model": "simplenet_v1"},); see distill.assistants.
    config.assistants = ()

    config.loss = ConfigDict()
    config.loss.name = "soft_squared_error"
    config.loss.temperature = 1.0
    config.loss.alpha = 1.0  # weight of the soft term; cross-entropy on labels has 1 - alpha
    config.loss.gradient_correction = False  # multiply soft_squared_error by T²
    config.loss.learn_temperature = False  # from there on, by the labels of dataset.validation
    config.loss.temperature_learning_rate = 0.03  # of log T, by Adam, where it is learned
    config.loss.temperature_curriculum = 0.0  # share of the run in which CTKD begins; 0: none
    config.loss.hint_stage = 0.0  # share of the run with the terms of features alone; 0: together
    config.loss.standardise = False  # logits, before they are compared with a teacher's
    config.loss.taps = ()  # features to compare, as (("stage0", "stage1"),), the student's first
    config.loss.label_smoothing = 0.0  # share of a label that is spread, in the cross-entropy
    config.loss.paper = False  # what papers have where the codes that others compare with differ
    # Several losses instead of `name`, as {"kl": {"weight": 0.9}, "cross_entropy": {}}: each with
    # its weight, 1 if not given, and its numbers; those that it does not name are as above.
    config.loss.terms = ConfigDict()

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
    config.export.pack_columns = True  # of gray images: faster as int8, and a larger file
    config.export.temperature = "none"  # or fit: probabilities calibrated on dataset.validation
    config.export.max_accuracy_drop = 0.01  # of the file on the whole test set
    return config


def search(space: Mapping[str, Sequence[Any]], **overrides: Any) -> ConfigDict:
    """Returns the section `config.search`, of a configuration that `distill.search` runs.

    Args:
      space: keys of the configuration, as `student.learning_rate` or an entry of a list, as
        `student.args.widths[0]`, and the values that each may have.
      **overrides: values for the fields below.
    """
    section = ConfigDict()
    section.space = tuple((key, tuple(choices)) for key, choices in space.items())
    # The accuracy, which is to be high, and costs, which are to be low; columns of the table.
    section.objectives = ("int8_accuracy", "int8_bytes")
    section.population = 16  # candidates of a generation
    section.generations = 8
    section.epochs = (1, 3, 9)  # that a candidate is trained for, as long as it is among the best
    section.keep = 1 / 3  # share that goes on to the next of these
    section.update(overrides)
    return section


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


_BELOW_ONE = values.number("a number between 0 and 1, without 1", lambda v: 0 <= v < 1)
_SECTION = {  # of a section made by `training`; what builds a model is checked with the model
    "model": values.TEXT,
    "init": values.TEXT,
    "freeze": values.TEXT,
    "layer_decay": values.SHARE,
    "epochs": values.whole(1, EPOCHS),
    "steps": values.optional(values.whole(1)),
    "batch_size": values.whole(1),
    "learning_rate": values.POSITIVE,
    "schedule": values.TEXT,
    "decay_at": values.each(values.whole(1, EPOCHS), "epochs, as (150, 180, 210)"),
    "nesterov": values.FLAG,
    "warmup_epochs": values.NOT_NEGATIVE,
    "warmup_steps": values.whole(0),
    "optimizer": values.TEXT,
    "momentum": _BELOW_ONE,
    "weight_decay": values.NOT_NEGATIVE,
    "coupled_decay": values.NOT_NEGATIVE,
    "ema_decay": _BELOW_ONE,
    "l1": values.NOT_NEGATIVE,
    "clip_norm": values.NOT_NEGATIVE,
    "augmentation": values.TEXT,
    "mixup": values.between(0, 100),
    "cutmix": values.between(0, 100),
}
_LOSS = {
    "name": values.TEXT,
    "temperature": values.between(1e-6, 1e6),
    "alpha": values.SHARE,
    "gradient_correction": values.FLAG,
    "learn_temperature": values.FLAG,
    "temperature_learning_rate": values.POSITIVE,
    "temperature_curriculum": values.SHARE,
    "hint_stage": values.SHARE,
    "standardise": values.FLAG,
    "taps": values.each(
        values.each(values.TEXT, "", (2,)), 'pairs of taps, as (("stage0", "stage1"),)'
    ),
    "label_smoothing": _BELOW_ONE,
    "paper": values.FLAG,
}
_TERM = {  # all other numbers of a method are 0 or more
    "weight": values.POSITIVE, "peers": values.whole(1, 1000),
    "negatives": values.whole(1, 2**20), "normalised": values.FLAG,
    "contrast_temperature": values.between(1e-6, 1e6), "correct": values.between(1e-6, 1 - 1e-6),
    **_LOSS,
}  # fmt: skip
_WRITTEN = {"args": '{"filters": (8, 16)}', "terms": '{"kl": {"weight": 0.9}}'}  # dictionaries
_FOR_CHANNELS = "one for each channel or one for all"
VALUES = {
    "seed": values.whole(0, SEEDS - 1),
    "stages": values.TEXT,
    "checkpoint_every_s": values.NOT_NEGATIVE,
    "dataset.name": values.TEXT,
    "dataset.folder": values.TEXT,
    "dataset.classes": values.each(values.TEXT, "names, as ('cat', 'dog')"),
    "dataset.color": values.TEXT,
    "dataset.data_dir": values.TEXT,
    "dataset.fallback": values.TEXT,
    "dataset.train": values.TEXT,
    "dataset.validation": values.TEXT,
    "dataset.test": values.TEXT,
    "dataset.image_size": values.whole(0, 8192),
    "dataset.mean": values.each(
        values.between(-1e6, 1e6), f"numbers, {_FOR_CHANNELS}", range(1, 5)
    ),
    "dataset.std": values.each(
        values.between(1e-6, 1e6), f"numbers above 0, {_FOR_CHANNELS}", range(1, 5)
    ),
    "dataset.labelled_fraction": values.number("a number above 0, at most 1", lambda v: 0 < v <= 1),
    "dataset.resident_mb": values.whole(0),
    "engine.students": values.TEXT,
    "engine.data_parallel": values.whole(0),
    "engine.dtype": values.TEXT,
    "engine.memory_gb": values.NOT_NEGATIVE,
    "sweep.seeds": values.each(values.whole(0, SEEDS - 1), f"whole numbers from 0 to {SEEDS - 1}"),
    "transfer.name": values.TEXT,
    "transfer.split": values.TEXT,
    "teacher.members": values.whole(1, 1000),
    "teacher.directory": values.TEXT,
    "fine_tune.epochs": values.whole(0, EPOCHS),
    "fine_tune.learning_rate": values.POSITIVE,
    "fine_tune.teacher": values.TEXT,
    "export.formats": values.TEXT,
    "export.output": values.TEXT,
    "export.labels": values.each(values.TEXT, "names, as ('cat', 'dog')"),
    "export.polarity": values.TEXT,
    "export.batch_size": values.whole(1, 1024),
    "export.normalize": values.TEXT,
    "export.calibration_images": values.whole(1),
    "export.pack_columns": values.FLAG,
    "export.temperature": values.TEXT,
    "export.max_accuracy_drop": values.SHARE,
}  # all but the two models, and what has a language of its own: `compress` and `sweep.axes`


def check_values(config: ConfigDict) -> None:
    """Checks the type and the range of every value; names are checked by those who know them.

    Raises:
      InputError: naming the first value that is missing or cannot be used.
    """
    for key, kind in VALUES.items():
        values.require(key, _value(config, key), kind)
    check_trainings({name: _value(config, name) for name in ("teacher", "student")})
    last = SEEDS - config.teacher.members  # the seeds of the members count up from `seed`
    values.require("seed", config.seed, values.whole(0, last))
    if config.engine.students not in ENGINES:
        raise unknown("engine.students", config.engine.students, ENGINES)
    if config.engine.dtype not in DTYPES:
        raise unknown("engine.dtype", config.engine.dtype, DTYPES)
    check_loss(_value(config, "loss"))
    values.require_plain("the configuration", config.to_dict())


def check_trainings(sections: Mapping[str, ConfigDict]) -> None:
    """Checks the values of sections made by `training`.

    Raises:
      InputError: naming the section and the first value that is missing or cannot be used.
    """
    for name, section in sections.items():
        for field, kind in _SECTION.items():
            if field == "epochs" and section.get("steps") is not None:
                continue  # they take the place of the epochs
            if field == "epochs" and section.get("init"):
                kind = values.whole(0, EPOCHS)  # what is given may stay as it is
            values.require(f"{name}.{field}", _value(section, field, f"{name}."), kind)
        if section.optimizer not in OPTIMIZERS:
            raise unknown("optimizer", section.optimizer, OPTIMIZERS)
        if section.schedule not in SCHEDULES:
            raise unknown("schedule", section.schedule, SCHEDULES)
        _check_schedule(name, section)
        if section.weight_decay and section.coupled_decay:
            raise InputError(
                f"{name}.weight_decay is {section.weight_decay} and {name}.coupled_decay is "
                f"{section.coupled_decay}; give one of them"
            )


def _check_schedule(name: str, section: ConfigDict) -> None:
    """Raises `InputError` if the learning rate of a section would not be at its schedule's."""
    steps = section.get("steps")  # in whose place there are no epochs
    epochs = section.epochs if steps is None else None
    if bool(section.decay_at) != (section.schedule == "step"):
        raise InputError(
            f"{name}.schedule is {section.schedule} and {name}.decay_at is {section.decay_at}; "
            "the schedule step needs epochs in it, and no other takes any"
        )
    if epochs and max(section.decay_at, default=0) >= epochs:
        raise InputError(
            f"{name}.decay_at is {section.decay_at}, and {name}.epochs is {epochs}, within which "
            "the learning rate has to fall; lower decay_at"
        )
    if section.warmup_epochs and section.warmup_steps:
        raise InputError(
            f"{name}.warmup_epochs is {section.warmup_epochs} and {name}.warmup_steps is "
            f"{section.warmup_steps}; give one of them"
        )
    for unit, most in (("epochs", epochs), ("steps", steps)):
        if most is not None and section[f"warmup_{unit}"] > most:
            raise InputError(
                f"{name}.warmup_{unit} is {section[f'warmup_{unit}']}, more than the {most} of "
                f"the training; lower it"
            )


def check_loss(section: ConfigDict, name: str = "loss") -> None:
    """Checks the values of a section like `config.loss`; which numbers it takes, a loss knows.

    Raises:
      InputError: naming the section and the first value that is missing or cannot be used.
    """
    for field, kind in _LOSS.items():
        values.require(f"{name}.{field}", _value(section, field, f"{name}."), kind)
    for field, value in section.items():
        if field != "terms":
            values.require(f"{name}.{field}", value, _TERM.get(field, values.NOT_NEGATIVE))
    _check_terms(_value(section, "terms", f"{name}."), f"{name}.terms")


def _check_terms(terms: Any, name: str) -> None:
    example = _WRITTEN["terms"]
    if not isinstance(terms, ConfigDict | Mapping):
        raise InputError(f"{name} is {values.shown(terms)}; it must be written as {example}")
    for term, numbers in terms.items():
        if not isinstance(term, str):
            raise InputError(f"{name} has {term!r} for a name; it must be written as {example}")
        if not isinstance(numbers, ConfigDict | Mapping):
            shown = values.shown(numbers)
            raise InputError(f"{name}.{term} is {shown}; terms are written as {example}")
        for field, value in numbers.items():
            values.require(f"{name}.{term}.{field}", value, _TERM.get(field, values.NOT_NEGATIVE))


def accepted(key: str) -> str | None:
    """Returns in words what the value of a key may be, or None where it has a language of its own.

    Args:
      key: such as `student.epochs`.
    """
    section, _, field = key.partition(".")
    if field in _WRITTEN:
        return f"a dictionary, as {_WRITTEN[field]}"
    fields = {"teacher": _SECTION, "student": _SECTION, "loss": _LOSS}.get(section, {})
    kind = VALUES.get(key, fields.get(field))
    return kind.accepted if kind else None


def keys(config: Mapping, prefix: str = "") -> Iterator[str]:
    """Yields the keys of all values, such as `loss.temperature`."""
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            yield from keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _value(config: Any, key: str, prefix: str = "") -> Any:
    """Returns the value of a key, which a file that does not begin with `defaults` may lack."""
    found = config
    for part in key.split("."):
        if not isinstance(found, ConfigDict) or part not in found:
            raise InputError(
                f"the configuration has no {prefix}{key}; begin with distill.config.defaults()"
            )
        found = found[part]
    return found


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


def measured(export: Mapping[str, Any]) -> dict[str, Any]:
    """Leaves of `config.export` what decides the bytes and the accuracy of a network's file."""
    other = ("formats", "labels", "max_accuracy_drop", "batch_size", "temperature")
    return {key: value for key, value in export.items() if key not in other}


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
