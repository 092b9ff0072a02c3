"""What a configuration may say of compression, and what it is told if it says something else."""

import pytest

from configs import common
from distill.compress import plan
from distill.errors import InputError


def config(*steps, **dataset):
    found = common.simplenet(1, "quick,baseline")
    found.dataset.update(dataset)
    found.compress = steps
    return found


def test_a_step_fine_tunes_by_the_recipe_of_the_student():
    given = {
        "method": "svd", "rank": 3, "fine_tune": {"l1": 1e-4, "loss": {"name": "kl", "alpha": 0.5}},
    }  # fmt: skip
    (step,) = plan.steps(config(given))
    assert (step.method, step.options, step.rounds) == ("svd", {"rank": 3}, 1)
    assert (step.recipe.epochs, step.recipe.learning_rate, step.recipe.l1) == (2, 1e-3, 1e-4)
    assert (step.recipe.batch_size, step.recipe.schedule) == (100, "one_cycle")
    assert step.loss == {"name": "kl", "temperature": 1.0, "alpha": 0.5}
    assert step.given == given


@pytest.mark.parametrize(
    ("schedule", "amounts"),
    [("linear", [0.2, 0.4, 0.6, 0.8]), ("polynomial", [0.4625, 0.7, 0.7875, 0.8])],
)
def test_amounts_grow_over_the_rounds(schedule, amounts, monkeypatch):
    monkeypatch.setitem(plan.methods.COMPRESSORS, "some", lambda n, c, *, amount=0.0: n)
    given = {"method": "some", "amount": 0.8, "rounds": 4, "schedule": schedule}
    (step,) = plan.steps(config(given))
    assert [step.at(i)["amount"] for i in range(4)] == pytest.approx(amounts)
    (step,) = plan.steps(config({**given, "amount": {"conv*": 0.4, "hidden": 0.8}}))
    assert step.at(1)["amount"] == pytest.approx(
        {"conv*": amounts[1] / 2, "hidden": amounts[1]}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rank": 3}, "unknown method 'None'; known: "),
        ({"method": "svt"}, "unknown method 'svt'; did you mean 'svd'"),
        ({"method": "svd", "ranks": 3}, "unknown option of svd 'ranks'; did you mean 'rank'"),
        ({"method": "svd", "rounds": 0}, r"compress\[0\].rounds is 0; it must be 1 or more"),
        ({"method": "svd", "schedule": "cubic"}, r"unknown compress\[0\].schedule 'cubic'; known"),
        ({"method": "svd", "until": "macs"}, r"until is 'macs'; it must be like \{'macs': 0.5\}"),
        ({"method": "svd", "until": {"macs": 2}}, "until.macs is 2; it must be between 0 and 1"),
        ({"method": "svd", "until": {"mac": 0.5}}, "until 'mac'; did you mean 'macs'"),
        ({"method": "svd", "until": {"accuracy": 0.5}}, r"hold some back, as with --config.data"),
        ({"method": "svd", "fine_tune": {"epoch": 3}}, "fine_tune 'epoch'; did you mean 'epochs'"),
        ({"method": "svd", "fine_tune": {"epochs": -1}}, "fine_tune.epochs is -1; it must be more"),
        ({"method": "svd", "fine_tune": {"epochs": "a"}}, r"compress\[0\].fine_tune.epochs is 'a'"),
        ({"method": "svd", "fine_tune": {"loss": {"nam": "kl"}}}, "'nam'; did you mean 'name'"),
        ({"method": "svd", "fine_tune": {"loss": {"name": "kd"}}}, "unknown loss 'kd'"),
        (
            {"method": "svd", "fine_tune": {"loss": {"name": "reconstruction"}}},
            r"name is reconstruction, the network's own \w+; both must be of",
        ),
        ({"method": "svd", "fine_tune": {"teacher": "x"}}, "known: original, same"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_in_one_line(given, message):
    with pytest.raises(InputError, match=message) as error:
        plan.steps(config(given))
    assert "\n" not in str(error.value)


def test_no_fine_tuning_is_zero_epochs():
    (step,) = plan.steps(config({"method": "svd", "fine_tune": {"epochs": 0}}))
    assert step.recipe.epochs == 0
