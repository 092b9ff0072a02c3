"""Other results give other sentences: no judgement on the page outlives its numbers."""

import pytest

from experiments.thesis import answers, beyond, temperature
from experiments.thesis.rows import DISTILLED, LABELS

BASE = {f"simplenet_v{i}": a for i, a in enumerate((0.988, 0.979, 0.970, 0.979, 0.970), 1)}
CORRECTED, KL = f"{DISTILLED} corrected", "kl"


@pytest.fixture
def study(make_study, tmp_path):
    def make(gain=lambda model, method, temperature: 0.0, **arguments):
        accuracy = lambda *of: BASE[of[0]] + gain(*of)  # noqa: E731
        return make_study(tmp_path, accuracy, **arguments)

    return make


def _strided(amount, models=("simplenet_v4", "simplenet_v5")):
    return lambda model, method, temperature: amount if model in models else 0.0


@pytest.mark.parametrize(
    "gain, claim",
    [
        (_strided(0.004), "A strided convolution is better than max pooling."),
        (_strided(-0.004), "A strided convolution is worse than max pooling."),
        (_strided(0.0), "No difference between strided convolutions and max pooling is shown."),
        (
            lambda model, method, t: _strided(0.004)(model, 0, 0) * (method == LABELS),
            "A strided convolution is better in some settings; most show no difference.",
        ),
        (
            lambda model, *_: {"simplenet_v4": 0.004, "simplenet_v5": -0.004}.get(model, 0.0),
            "It depends on the network and its training whether a strided convolution pays.",
        ),
    ],
)
def test_rq1(study, gain, claim):
    text = answers.downsampling(study(gain))
    assert f"**{claim}**" in text
    assert "v4 against v2 the strided convolution costs 39 weights and 10.9 % more" in text
    assert "The thesis found +0.06 for v4 against v2 and -0.53 for v5 against v3" in text


def test_rq1_says_which_size_pays(study):
    text = answers.downsampling(study(_strided(-0.004)))
    assert "for weights v1, for multiply-accumulates v1, v2 and v3" in text
    assert "v1 has the highest accuracy, v1 the fewest weights, v3 the fewest multiply" in text


def test_rq2(study):
    text = answers.preservation(study())
    assert "**Between 97.40 % (v3) and 99.21 % (v1).** Every student loses less" in text
    assert "| v1 | 0.106 | 99.21 | 98.76 | -0.79" in text
    worse = answers.preservation(study(lambda model, *_: -0.02 * (model != "simplenet_v2")))
    assert "v2 loses less of it than the thesis's" in worse
    assert "None loses less" in answers.preservation(study(lambda *_: -0.1))


@pytest.mark.parametrize(
    "gains, claim",
    [
        ({}, "**Distillation is not shown to contribute**: for none of 5 students"),
        ({"simplenet_v3": 0.005}, "distillation raises the accuracy of v3 (+0.5"),
        ({"simplenet_v2": -0.005}, "distillation lowers the accuracy of v2 (-0."),
        (
            dict.fromkeys(BASE, -0.005),
            "distillation lowers the accuracy of v1 (",
        ),
    ],
)
def test_rq2_says_whether_the_teacher_helps(study, gains, claim):
    found = study(lambda model, method, t: gains.get(model, 0.0) * (method == DISTILLED))
    text = answers.preservation(found)
    assert claim in text
    assert "in the thesis 4 of 5 gained, without a test" in text
    assert (f"shows no difference for {5 - len(gains)}" in text) == (0 < len(gains) < 5)


def test_rq3(study):
    text = answers.others(study())
    assert "**all above the thesis's, +" in text and "is v1, as in the thesis" in text
    assert "without any teacher, v1 already is 0.7" in text
    text = answers.others(study(lambda *_: -0.1))
    assert "**none above the thesis's, -" in text and "without any teacher" not in text
    text = answers.others(study(lambda model, *_: 0.015 * (model == "simplenet_v4")))
    assert "is v4, where in the thesis it was v1" in text


@pytest.mark.parametrize(
    "slope, claim",
    [
        (0.0, "These runs show no difference between temperatures."),
        (-0.001, "No higher temperature is shown to be better than T = 1, and some are worse."),
        (0.001, "T = 1 is not the best temperature."),
    ],
)
def test_is_t_1_best(study, slope, claim):
    text = temperature.temperature(study(lambda model, method, t: slope * (t or 0)))
    assert f"**{claim}** Of 10 comparisons" in text
    if slope > 0:
        assert "By our validation images it is T = 10 for v1, v2, v3, v4 and v5." in text


def test_is_t_1_best_may_depend_on_the_student(study):
    slopes = {"simplenet_v1": 0.001, "simplenet_v2": -0.001, "simplenet_v3": -0.001}
    found = study(lambda model, method, t: slopes.get(model, 0.0) * (t or 0))
    assert "**It depends on the student" in temperature.temperature(found)


@pytest.mark.parametrize(
    "gain, claim", [(0.0, "do not contradict that: of 10 comparisons"), (0.004, "Even so, of 10")]
)
def test_the_factor_is_judged_by_the_runs(study, gain, claim):
    found = study(
        lambda model, method, t: gain * (method == CORRECTED and t > 1),
        methods=(DISTILLED, LABELS, CORRECTED, KL),
    )
    text = temperature.losses(found, "")
    assert claim in text
    assert "the factor is better in 10" in text or not gain
    assert "*squared error × T².* **T = 1 is not" in text or not gain
    assert text.count("| v1 |") == 3


def test_beyond_needs_rows(study):
    found = study()
    assert temperature.losses(found, "") == temperature.learned(found) == ""
    assert beyond.ensemble(found) == beyond.unlabelled(found) == beyond.datasets(found) == ""


def test_beyond(study):
    few = f"{DISTILLED} 10% unlabelled", f"{LABELS} 10% unlabelled"
    gains = {few[0]: -0.01, few[1]: -0.02, f"{DISTILLED} ensemble": 0.004}
    other = f"{DISTILLED} fashion_mnist", f"{LABELS} fashion_mnist"
    gains[other[0]] = 0.01
    found = study(
        lambda model, method, t: gains.get(method, 0.0),
        methods=(DISTILLED, LABELS, *few, *other, f"{DISTILLED} ensemble", f"{DISTILLED} learned"),
    )
    text = beyond.datasets(found)
    assert "distilling is better than training on labels in 5, worse in 0" in text
    assert "| Fashion-MNIST | v1 |" in text and "CIFAR-10 |" not in text
    assert "the unlabelled images is better than training on labels in 5, worse in 0" in (
        beyond.unlabelled(found)
    )
    assert "distilling from 3 teachers is better than distilling from one in 15, worse in 0" in (
        beyond.ensemble(found)
    )
    assert "| v1 | 1 | 2.50 (2.50 to 2.50) |" in temperature.learned(found)
    assert "learned temperature is better than the grid's in 0, worse in 0" in (
        temperature.learned(found)
    )
