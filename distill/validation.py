"""What is checked before any work: names, values, and that what a run begins with is there."""

from collections.abc import Callable, Sequence

from ml_collections import ConfigDict

from distill import assistants, data, losses, models
from distill import config as configs
from distill.compress import plan
from distill.errors import InputError
from distill.export import exporter
from distill.settings import Settings
from distill.training import mutual, parallel, recipe
from distill.training import start as starts


def validate(config: ConfigDict) -> Settings:
    """Resolves every name and checks every value, before any work.

    Args:
      config: complete.

    Returns:
      What its texts and tuples say.

    Raises:
      InputError: for the first that cannot be used.
    """
    stages = configs.stages(config)
    configs.check_values(config)
    for name in ("teacher", "student"):
        models.check(config[name].model, config[name].args)
    loss = recipe.loss_section(config.loss)
    _check_kind(config, stages)
    recipe.check_mixtures("student", config.student, loss["name"])
    mutual.check(config, loss)
    labelled = losses.needs_labels(loss["name"]) or not losses.needs_teacher(loss["name"])
    if config.transfer.name and (labelled or loss.get("alpha", 1) != 1):
        raise InputError(
            f"the transfer set {config.transfer.name} has no labels to learn from: "
            "use a loss with a teacher and --config.loss.alpha=1"
        )
    if losses.needs_features(loss["name"]) and config.teacher.members > 1:
        raise InputError(
            f"loss {loss['name']} compares features, which cannot be averaged over the "
            f"{config.teacher.members} members of an ensemble: use --config.teacher.members=1"
        )
    if config.loss.learn_temperature and not config.dataset.validation:
        raise InputError(
            "the temperature is learned on images that the student is not trained on: hold some "
            "back, as with --config.dataset.train=train[:55000] "
            "--config.dataset.validation=train[55000:]"
        )
    between = assistants.check(config)
    steps = plan.steps(config)
    if steps and configs.is_sweep(config):
        raise InputError("the students of a sweep are not compressed: leave out config.compress")
    data.check(config)
    formats = exporter.check(config.export)
    settings = Settings(
        config=config, stages=tuple(stages), trained=_trained(config, stages, loss["name"]),
        loss=loss, assistants=tuple(between), steps=tuple(steps), formats=formats,
    )  # fmt: skip
    parallel.check(config.engine.data_parallel, _splitting(settings))
    return settings


def _splitting(settings: Settings) -> dict[str, ConfigDict]:
    """Returns the trainings whose batches are divided among the devices, by their names.

    Of a sweep that is not its students, which are divided among the devices themselves.
    """
    config, trained = settings.config, settings.trained
    sections = {role: config[role] for role in trained}
    if configs.is_sweep(config):
        sections.pop("student")
    if "student" in trained:
        sections |= {f"assistants[{i}]": made for i, made in enumerate(settings.assistants)}
    if "compress" in settings.stages:
        tuned = {f"compress[{i}].fine_tune": step.recipe for i, step in enumerate(settings.steps)}
        sections |= {name: section for name, section in tuned.items() if section.epochs}
    return sections


def _trained(config: ConfigDict, stages: Sequence[str], loss: str) -> tuple[str, ...]:
    """Returns those of teacher and student that are trained; of a sweep whatever the stages are."""
    if configs.is_sweep(config):
        return ("teacher", "student") if losses.needs_teacher(loss) else ("student",)
    return tuple(stage for stage in stages if stage in ("teacher", "student"))


def _check_kind(config: ConfigDict, stages: Sequence[str]) -> None:
    """Raises `InputError` if loss, model and stages are not all for classes or all for pixels."""
    name = losses.name_of(config.loss)
    reconstructs = losses.compares_with_pixels(name)
    if reconstructs == models.classifies(config.student.model):
        kind = "reconstructs images" if reconstructs else "classifies"
        raise InputError(f"loss {name} needs a model that {kind}; {config.student.model} does not")
    if reconstructs and (configs.is_sweep(config) or "export" in stages):
        part = "a sweep" if configs.is_sweep(config) else "the stage export"
        raise InputError(
            f"{part} is for models that classify; leave it out for {config.student.model}"
        )


def find(
    settings: Settings, announce: Callable[[str], None]
) -> tuple[data.Source, data.Source | None]:
    """Finds the weights that trainings start from, and the data; see `data.find`.

    Raises:
      InputError: if they are not there.
    """
    for role in settings.trained:
        starts.check(f"{role}.init", settings.config[role].init)
    return data.find(settings.config, announce, settings.trained)
