"""Those between a teacher and its student: each learns from the one before it.

`config.assistants` is a list of what they have other than the student: `({"model": "resnet20"},)`
is a teacher assistant (Mirzadeh et al. 2020, arXiv:1902.03393), and `({},) * k` are k generations
of born-again networks (Furlanello et al. 2018, arXiv:1805.04770), each like the student, with
random numbers of its own. All learn by `config.loss`, as the student does from the last of them.
They lie beside the teachers, and are found again as those are.
"""

from collections.abc import Mapping

from ml_collections import ConfigDict

from distill import config as configs
from distill import losses, models
from distill.cost import cost
from distill.data import AUGMENTATIONS
from distill.errors import InputError, unknown
from distill.run import Run
from distill.training import pairing, recipe, trained
from distill.training.description import Description
from distill.training.trained import Trained


def _sections(config: ConfigDict) -> list[ConfigDict]:
    """Returns the section of each assistant, complete, as `config.student` is.

    Raises:
      InputError: if they are not written as such.
    """
    example = '({"model": "resnet20"},)'
    if not isinstance(config.assistants, list | tuple):
        raise InputError(f"assistants is {config.assistants!r}; they are written as {example}")
    sections = []
    for i, given in enumerate(config.assistants):
        if not isinstance(given, Mapping):
            raise InputError(f"assistant {given!r} is no dictionary; they are written as {example}")
        section = config.student.copy_and_resolve_references()
        with section.unlocked():
            section.init = section.freeze = ""  # of fresh weights nothing is kept
            if given.get("model", section.model) != section.model:
                section.args = ConfigDict()  # the student's are of another model
            for key, value in given.items():
                if key not in section:
                    raise unknown("key of an assistant", key, section)
                if key in ("init", "freeze") and value:
                    raise InputError(
                        f"assistants[{i}].{key} is {value!r}, and assistants start fresh: leave it "
                        "out"
                    )
                if key == "args" and not isinstance(value, Mapping):
                    raise InputError(f"assistants[{i}].args is {value!r}; it must be a dictionary")
                try:
                    section[key] = ConfigDict(value) if key == "args" else value
                except (TypeError, ValueError) as error:
                    accepted = configs.accepted(f"student.{key}")
                    raise InputError(
                        f"assistants[{i}].{key} is {value!r}; it must be {accepted}"
                    ) from error
        sections.append(section)
    return sections


def check(config: ConfigDict) -> list[ConfigDict]:
    """Resolves names and checks values, before any work.

    Returns:
      The section of each assistant.

    Raises:
      InputError: for the first that cannot be used.
    """
    sections = _sections(config)
    name = losses.name_of(config.loss)
    if sections and not losses.needs_teacher(name):
        raise InputError(
            f"assistants learn from a teacher, and loss {name} has none: leave out assistants, or "
            "use another loss"
        )
    configs.check_trainings({f"assistants[{i}]": section for i, section in enumerate(sections)})
    for i, section in enumerate(sections):
        models.check(section.model, section.args)
        if section.augmentation not in AUGMENTATIONS:
            raise unknown("augmentation", section.augmentation, AUGMENTATIONS)
        recipe.check_mixtures(f"assistants[{i}]", section, name)
    # The seeds of the assistants count up from `seed`, as those of the teachers do.
    last = configs.SEEDS - 1 - max(config.teacher.members - 1, len(sections))
    if config.seed > last:
        raise InputError(f"seed is {config.seed}; with these assistants it is at most {last}")
    return sections


def abouts(run: Run) -> list[Description]:
    """Returns what decides the outcome of the teacher and of each assistant, in their order."""
    about = run.teacher_about()
    chain = [about]
    transfer = run.config.transfer.to_dict() if run.dataset.transfer else None
    for i, section in enumerate(run.settings.assistants, 1):
        about = run.about(section, run.settings.loss, [run.config.seed + i], about, transfer)
        chain.append(about)
    return chain


def check_models(run: Run) -> None:
    """Checks that the assistants take the images, and what they see can be compared.

    One that is larger than the teacher is warned of.

    Raises:
      InputError: naming the first that does not fit.
    """
    shape, classes = run.dataset.test.images.shape[1:], run.dataset.num_classes
    chain = [run.config.teacher, *run.settings.assistants, run.config.student]
    if len(chain) == 2:
        return
    for section in chain[1:-1]:
        models.check_images(section.model, section.args, input_shape=shape, num_classes=classes)
        recipe.length(section, len(run.training_set))
    built = [models.build(s.model, s.args, num_classes=classes) for s in chain]
    sizes = [cost(model, shape).num_params for model in built]
    for section, size in zip(chain[1:-1], sizes[1:-1], strict=True):
        if size > sizes[0]:
            run.display.warn(
                f"the assistant {section.model} has {size:,} weights, more than the "
                f"{sizes[0]:,} of its teacher {run.config.teacher.model}"
            )
    for teacher, student in zip(built, built[1:], strict=False):
        pairing.pairs(run.settings.loss, student, teacher, shape)


def train(run: Run, *, monitored: bool = True) -> Trained:
    """Trains the assistants that are not found trained; returns whom the student learns from.

    Args:
      run: whose assistants they are.
      monitored: whether each is measured after each epoch.
    """
    teacher = trained.load(run.teacher_checkpoints / "steps", run.display.warn)
    for number, about in enumerate(abouts(run)[1:], 1):
        directory = run.beside(about)
        run.display.say(f"assistant {number}: {directory}")
        run.train(
            f"assistant{number}", directory, about, run.training_set, teacher, monitored=monitored
        )
        teacher = trained.load(directory / "steps", run.display.warn)
    return teacher


def last(run: Run) -> Trained:
    """Loads whom the student learns from: the last assistant, or the teacher.

    Raises:
      InputError: if it is not trained.
    """
    return trained.load(run.beside(abouts(run)[-1]) / "steps", run.display.warn)
