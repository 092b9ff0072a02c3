"""The recipes that the configurations share."""

from ml_collections import ConfigDict

from distill import config as configs

VARIANTS = ("baseline", "thesis", "quick")


def simplenet(version: int, arg: str | None, dataset: str = "mnist") -> ConfigDict:
    """Returns the configuration of one SimpLeNet on MNIST or a set like it.

    Args:
      version: 1 to 5.
      arg: words separated by commas. `baseline` trains on labels with cross-entropy and without a
        teacher; `thesis` takes what Rusu (2018) shows of the recipe, Adam at 1e-4 in batches of 50
        (figure 3.8), with epochs of our choice; `quick` is a run of seconds on the embedded sample.
      dataset: its name.
    """
    words = configs.variants(arg, VARIANTS)
    config = configs.defaults()
    config.dataset.name = dataset
    config.teacher.update(
        {"epochs": 12, "learning_rate": 1e-3, "schedule": "one_cycle", "augmentation": "shift"}
    )
    config.student.update(
        {
            "model": f"simplenet_v{version}", "epochs": 20, "learning_rate": 1e-2,
            "schedule": "one_cycle", "augmentation": "shift",
        }
    )  # fmt: skip
    if dataset == "mnist":
        config.dataset.fallback = "mnist5k"
    if "thesis" in words:
        for section, epochs in ((config.teacher, 20), (config.student, 50)):
            section.update(
                {
                    "epochs": epochs, "batch_size": 50, "learning_rate": 1e-4,
                    "schedule": "constant", "augmentation": "none",
                }
            )  # fmt: skip
    if "baseline" in words:
        config.loss.name = "cross_entropy"
        config.stages = "student,evaluate,report"
    if "quick" in words:
        config.dataset.name, config.dataset.fallback = "mnist5k", ""
        config.teacher.epochs = 1
        config.student.epochs = 2
        config.student.augmentation = config.teacher.augmentation = "none"
    return config
