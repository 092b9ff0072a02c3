"""What a run is called by, and what it refuses of a temperature that is to be learned."""

import re

import pytest

from configs import common
from distill import config as configs
from distill import data, pipeline
from distill.errors import InputError
from distill.report.progress import Display
from distill.run import Run


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset.validation": ""}, "hold some back, as with --config.dataset.train=train"),
        (
            {"loss.name": "cross_entropy"},
            "has no temperature to learn; use soft_squared_error or kl",
        ),
        ({"loss.name": "logit_mse"}, "loss logit_mse has no temperature to learn"),
        ({"loss.temperature_learning_rate": 0.0}, "loss.temperature_learning_rate is 0.0"),
    ],
)
def test_what_has_no_temperature_to_learn_is_refused(tmp_path, changes, message):
    config = common.simplenet(4, "quick")
    config.dataset.train, config.dataset.validation = "train[:3500]", "train[3500:]"
    config.loss.learn_temperature = True
    config.update_from_flattened_dict(changes)
    with pytest.raises(InputError, match=re.escape(message)):
        pipeline.run(config, tmp_path / "run", Display())
    assert not (tmp_path / "run").exists()


def test_students_that_learn_no_temperature_are_called_what_they_always_were(tmp_path):
    """Results that exist are found again by these."""
    config = common.simplenet(4, "quick")
    loaded = data.load(config, *data.find(config, print))
    about = Run(config, tmp_path, loaded, Display()).student_about(None, 3)
    assert configs.digest(about) == "a5f5f81e07fa"
