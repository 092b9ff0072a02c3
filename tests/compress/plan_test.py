"""What a configuration may say of compression, and what it is told if it says something else."""

import pytest

from distill import presets
from distill.compress import plan
from distill.errors import InputError


def config(*steps, **dataset):
    found = presets.simplenet(1, "quick,baseline")
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
def test_amounts_grow_over_the_rounds(schedule, amounts):
    given = {"method": "filters", "amount": 0.8, "rounds": 4, "schedule": schedule}
    (step,) = plan.steps(config(given))
    assert [step.at(i)["amount"] for i in range(4)] == pytest.approx(amounts)
    (step,) = plan.steps(config({**given, "amount": {"conv*": 0.4, "hidden": 0.8}}))
    assert step.at(1)["amount"] == pytest.approx(
        {"conv*": amounts[1] / 2, "hidden": amounts[1]}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "amount"), [("filters", 0.1), ("magnitude", 0.5), ("merge", 0.1), ("svd", None)]
)
def test_so_do_those_that_are_left_to_the_method(method, amount):
    (step,) = plan.steps(config({"method": method, "rounds": 4}))
    assert [step.at(i).get("amount") for i in range(4)] == [
        amount and pytest.approx(amount * share) for share in (0.25, 0.5, 0.75, 1)
    ]


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
        ({"method": "svd", "fine_tune": {"epochs": -1}}, "fine_tune.epochs is -1; it must be a"),
        ({"method": "svd", "fine_tune": {"epochs": "a"}}, r"compress\[0\].fine_tune.epochs is 'a'"),
        ({"method": "svd", "fine_tune": {"loss": {"nam": "kl"}}}, "'nam'; did you mean 'name'"),
        ({"method": "svd", "fine_tune": {"loss": {"name": "kd"}}}, "unknown loss 'kd'"),
        (
            {"method": "svd", "fine_tune": {"loss": {"name": "reconstruction"}}},
            r"name is reconstruction, the network's own \w+; both must be of",
        ),
        ({"method": "svd", "fine_tune": {"teacher": "x"}}, "known: original, same"),
        ({"method": "svd", "fine_tune": {"teacher": "original"}}, "the loss cross_entropy has no"),
        ("svd", r"compress\[0\] is 'svd'; it must be a mapping, like \{'method': 'svd'\}"),
        ({"method": ["svd"]}, r"unknown method .\['svd'\]"),
        ({"method": "svd", "rank": {1}}, r"compress\[0\] cannot be written as JSON: "),
        ({"method": "svd", "rank": 2.0}, "rank is 2.0; it must be a whole number"),
        ({"method": "svd", "rank": True}, "rank is True; it must be a whole number"),
        ({"method": "svd", "rank": 2, "energy": 0.5}, "rank=2 and energy=0.5 are given; give one"),
        ({"method": "svd", "kind": "spatail"}, "unknown kind 'spatail'; did you mean 'spatial'"),
        ({"method": "svd", "only_cheaper": 1}, "only_cheaper is 1; it must be True or False"),
        ({"method": "svd", "layers": ["conv0"]}, r"layers is \['conv0'\]; it must be a string"),
        ({"method": "filters", "score": "tailor"}, "unknown score 'tailor'; did you mean 'taylor'"),
        ({"method": "filters", "scope": "globl"}, "unknown scope 'globl'; did you mean 'global'"),
        ({"method": "filters", "amount": "0.5"}, "'0.5'; it must be a number or a mapping to numb"),
        ({"method": "filters", "amount": {"a": 1.5}, "rounds": 2}, "amount of a is 1.5; it must"),
        ({"method": "filters", "amount": {"a": 0.1}, "scope": "global"}, "takes one number"),
        ({"method": "filters", "images": 0}, "images is 0; it must be 1 or more"),
        ({"method": "activation", "threshold": -1}, "threshold is -1; it must be 0 or more"),
        ({"method": "merge", "amount": 1.5, "rounds": 2}, "amount is 1.5; it must be at least 0"),
        ({"method": "merge", "amount": 1}, r"compress\[0\]: amount is 1; it must be at least"),
        ({"method": "merge", "amount": {"a": 0.5}}, "{'a': 0.5}; it must be a number"),
        ({"method": "magnitude", "amount": -1}, "amount is -1; it must be at least 0 and below 1"),
        ({"method": "magnitude", "pattern": "2-4"}, "pattern is '2-4'; it must be unstructured"),
        ({"method": "magnitude", "pattern": "1:2", "amount": 0.5}, "but pattern=1:2 says it"),
        ({"method": "cluster", "num_clusters": 256}, "256; it must be between 1 and 255"),
        ({"method": "cluster", "num_clusters": 16.0}, "16.0; it must be a whole number"),
        ({"method": "cluster", "scratch": True}, "scratch: cluster leaves weights with constraint"),
        ({"method": "quantize", "calibration": 0}, "calibration is 0; it must be 1 image or more"),
        ({"method": "quantize", "bits": 3}, "bits is 3; files have kernels of 8 or 4"),
        ({"method": "svd", "scratch": "no"}, r"compress\[0\].scratch is 'no'; it must be True or"),
        ({"method": "svd", "rounds": "2"}, "rounds is '2'; it must be 1 or more"),
        ({"method": "svd", "fine_tune": 3}, "fine_tune is 3; it must be a mapping, like"),
        ({"method": "svd", "fine_tune": {"epochs": None}}, "fine_tune.epochs is None; leave it"),
        ({"method": "svd", "fine_tune": {"loss": "kl"}}, "loss is 'kl'; it must be a mapping"),
        ({"method": "svd", "fine_tune": {"loss": {"alpha": "a"}}}, "alpha is 'a'; it must be a"),
        ({"method": "svd", "until": {"macs": "0.5"}}, "until.macs is '0.5'; it must be between 0"),
        ({"method": "svd", "until": {}}, "until is {}; it must name one end, like {'macs': 0.5}"),
        ({"method": "svd", "until": ["macs"]}, r"unknown compress\[0\].until"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_in_one_line(given, message):
    with pytest.raises(InputError, match=message) as error:
        plan.steps(config(given))
    assert "\n" not in str(error.value)


def test_what_learned_beside_a_network_is_gone_when_it_is_fine_tuned():
    found = config({"method": "fold"})
    for terms in ({"cross_entropy": {}, "mutual": {}}, {"crd_memory": {}, "kl": {}}):
        found.loss.terms = terms
        with pytest.raises(InputError, match=r"compress\[0\] is fine-tuned by .*epochs=0") as error:
            plan.steps(found)
        assert "\n" not in str(error.value)
        found.fine_tune.epochs = 0
        assert plan.steps(found)[0].loss == {"name": "cross_entropy"}
        found.fine_tune.epochs = 2
        given = {"method": "fold", "fine_tune": {"loss": {"name": "cross_entropy"}}}
        found.compress = (given,)
        assert plan.steps(found)[0].loss == {"name": "cross_entropy"}
        found.compress = ({"method": "fold"},)


def test_nothing_that_is_constrained_is_trained_from_scratch_later():
    steps = {"method": "quantize"}, {"method": "filters", "scratch": True}
    with pytest.raises(InputError, match=r"compress\[1\].scratch: quantize leaves weights with"):
        plan.steps(config(*steps))
    assert plan.steps(config(*reversed(steps)))[0].scratch


def test_a_single_step_needs_its_comma():
    found = config()
    with found.ignore_type():
        found.compress = {"method": "svd"}
    with pytest.raises(InputError, match=r"must be a list of steps.*\(\{'method': 'svd'\},\)"):
        plan.steps(found)


def test_a_fine_tuning_starts_without_the_warmup_of_the_student():
    found = config({"method": "svd"}, {"method": "fold", "fine_tune": {"warmup_steps": 3}})
    found.student.warmup_epochs = 5.0  # more than a fine-tuning has
    first, second = (step.recipe for step in plan.steps(found))
    assert (first.warmup_epochs, first.warmup_steps) == (0, 0)
    assert (second.warmup_epochs, second.warmup_steps) == (0, 3)


def test_a_fine_tuning_has_the_steps_of_the_rate_that_are_given_for_it():
    own = {"schedule": "step", "decay_at": (1,), "epochs": 2}
    found = config({"method": "svd"}, {"method": "fold", "fine_tune": own})
    found.student.update({"schedule": "step", "decay_at": (150,), "epochs": 200})
    first, second = (step.recipe for step in plan.steps(found))
    assert (first.schedule, first.decay_at) == ("constant", ())
    assert (second.schedule, second.decay_at) == ("step", (1,))


def test_no_fine_tuning_is_zero_epochs():
    (step,) = plan.steps(config({"method": "svd", "fine_tune": {"epochs": 0}}))
    assert step.recipe.epochs == 0
