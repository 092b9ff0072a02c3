"""The stage on a few embedded images: what it leaves, how it resumes, when it stops."""

import json
import re

import jax
import numpy as np
import pytest

from distill import data, pipeline, presets, records, validation
from distill.compress import measure, methods, network, rounds, stage
from distill.errors import InputError
from distill.export import flatbuffer, latency
from distill.progress import Display
from distill.run import Run
from distill.training import recipe, train, trained
from distill.training.start import Start


def halve(found, context, *, amount=0.5):
    """Removes the last channels of each group, a share of what the step began with."""
    kept = {}
    for group, begin in zip(
        found.channels().groups, context.begin.channels().groups, strict=True
    ):  # fmt: skip
        kept[group.name] = np.arange(group.size) < max(1, round(begin.size * (1 - amount)))
    return network.remove(found, kept)


@pytest.fixture(scope="module", autouse=True)
def _method():
    """Knows a method more, and takes no time for times, which no test can say anything about."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(methods.COMPRESSORS, "halve", halve)
        patch.setattr(latency, "WARM_UP_S", 0.0)
        patch.setattr(measure, "ROUNDS", 1)
        patch.setattr(measure, "RUNS", 1)
        yield


def config(*steps, arg="quick,baseline", **dataset):
    found = presets.simplenet(1, arg)
    found.dataset.train, found.dataset.test = "train[:400]", "test[:150]"
    found.dataset.update(dataset)
    found.teacher.model, found.teacher.batch_size = "simplenet_v1", 50
    found.student.update({"batch_size": 50, "args": {"filters": (4, 8)}})
    found.fine_tune.epochs = 1
    found.export.formats, found.export.max_accuracy_drop = "float32", 0.1
    found.stages = "student,compress,evaluate"
    found.compress = steps
    return found


HALVE = {"method": "halve", "amount": 0.5, "rounds": 2, "scratch": True}
SVD = {"method": "svd", "layers": "logits", "rank": 4, "fine_tune": {"epochs": 0}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "compressed"
    found = config(HALVE, SVD)
    found.stages = "student,compress,evaluate,export,report"
    return workdir, pipeline.run(found, workdir, Display())


def run(found, workdir):
    return pipeline.run(found, workdir, Display())["compress"]


def test_a_frozen_layer_is_pruned_and_what_is_left_of_it_stays(tmp_path):
    step = {**HALVE, "rounds": 1, "scratch": False, "fine_tune": {"freeze": "conv0"}}
    found = config(step)
    run(found, tmp_path)
    before = trained.load(tmp_path / "checkpoints" / "student" / "steps", print).members[0]
    after = trained.load(stage.last_checkpoints(tmp_path) / "steps", print).members[0]
    kernels = [params["conv0"]["kernel"] for params in (before["params"], after["params"])]
    assert [kernel.shape[-1] for kernel in kernels] == [4, 2]
    np.testing.assert_array_equal(kernels[0][..., :2], kernels[1])
    heads = [params["logits"]["bias"] for params in (before["params"], after["params"])]
    assert (heads[0] != heads[1]).any()


def test_everything_shrinks(finished):
    workdir, results = finished
    original, first, half, factors = results["compress"]
    # 5·5·4 + 4, 5·5·4·8 + 8 and 7·7·8·10 + 10; then 3 and 6, then 2 and 4 filters.
    assert [r["num_params"] for r in results["compress"]] == [
        104 + 808 + 3930, 78 + 456 + 2950, 52 + 204 + 1970, 52 + 204 + 196 * 4 + 4 * 10 + 10,
    ]  # fmt: skip
    for name in ("macs", "nonzeros", "float32_bytes", "int8_bytes", "float32_gzip_bytes"):
        assert original[name] > half[name] > factors[name]
    assert "float32_bytes" not in first  # only the last round of a step
    assert results["models"]["compressed"]["num_params"] == factors["num_params"]
    assert results["export"]["float32"]["bytes"] == factors["float32_bytes"]
    shapes = [
        sum(np.prod(t.shape) for t in flatbuffer.parse(path.read_bytes()).subgraphs[0].tensors)
        for path in (
            workdir / "compress" / "original" / "float32.tflite",
            workdir / "export" / "float32" / "model.tflite",
        )
    ]
    assert shapes[1] < 0.6 * shapes[0]
    assert "| 0 halve | 1 |" in (workdir / "report.md").read_text()
    roles = ["student", "compress0.0", "compress0.1", "scratch0"]  # the last step trains nothing
    assert list(dict.fromkeys(r["role"] for r in records.read(workdir))) == roles
    assert {path.name for path in (workdir / "tensorboard").iterdir()} >= set(roles)


def test_what_is_compressed_is_loaded_like_any_other(finished):
    workdir, results = finished
    model = trained.load(stage.last_checkpoints(workdir) / "steps", pytest.fail)
    assert model.about.args["filters"] == [2, 4]
    assert model.about.args["factors"] == {"logits": ["channels", 4]}
    found = rounds.as_network(model)
    assert found.params["logits/first/kernel"].shape == (196, 4)


def test_a_finished_round_is_not_repeated_and_shared_by_other_chains(finished, monkeypatch):
    workdir, results = finished

    def refuse(*args, **kwargs):
        raise AssertionError("trained again")

    with monkeypatch.context() as patch:
        patch.setattr(train.fitting, "fit", refuse)
        again = run(config(HALVE, SVD), workdir)
        shorter = run(config(HALVE), workdir)
    steady = [k for k in again[2] if "latency" not in k]
    assert [again[2][k] for k in steady] == [results["compress"][2][k] for k in steady]
    assert [r["num_params"] for r in shorter] == [r["num_params"] for r in again[:3]]
    other = run(config(HALVE, {**SVD, "rank": 3}), workdir)
    assert other[-1]["num_params"] == again[-1]["num_params"] - 206


def test_what_other_steps_have_left_is_not_evaluated(finished):
    workdir, _ = finished
    run(config(HALVE, SVD), workdir)
    for changes in ({"compress": (HALVE,)}, {"fine_tune": {"epochs": 7}}):
        other = config(HALVE, SVD)
        other.stages = "evaluate"
        other.update(changes)
        with pytest.raises(InputError, match="compress.json is of other steps than config.compr"):
            pipeline.run(other, workdir, Display())
    same = config(HALVE, SVD)
    same.stages = "evaluate"
    assert pipeline.run(same, workdir, Display())["compress"][-1]["method"] == "svd"


@pytest.mark.parametrize("damage", ["torn", "a figure", "a missing key", "no object"])
def test_a_damaged_record_is_measured_again(finished, damage, capsys):
    workdir, _ = finished
    path = next(workdir.glob("compress/1_svd-*/record.json"))
    text = path.read_text()
    record = json.loads(text)
    damaged = {
        "torn": '{"step": 1, ',
        "a figure": text.replace(f'"accuracy": {record["accuracy"]}', '"accuracy": 0.99'),
        "a missing key": json.dumps({k: v for k, v in record.items() if k != "codings"}),
        "no object": "[1]",
    }[damage]
    assert damaged != text
    path.write_text(damaged)
    again = run(config(HALVE, SVD), workdir)[-1]
    steady = [k for k in again if "latency" not in k]
    assert [again[k] for k in steady] == [record[k] for k in steady]
    assert set(record) - set(again) == {"files", "checksum"}
    assert json.loads(path.read_text()) == record
    said = capsys.readouterr().out
    assert said.count("measuring again what the damaged") == 1 and str(path) in said


def test_files_are_measured_again_when_their_settings_or_they_themselves_change(finished):
    workdir, results = finished
    other = config(HALVE, SVD)
    other.export.calibration_images, other.export.output = 3, "logits"
    original = workdir / "compress" / "original"
    before = (original / "int8.tflite").read_bytes()
    changed = run(other, workdir)
    assert changed[0]["int8_bytes"] == len((original / "int8.tflite").read_bytes())
    assert (original / "int8.tflite").read_bytes() != before
    assert changed[0]["accuracy"] == results["compress"][0]["accuracy"]
    shorter = run(config({**HALVE, "rounds": 2}, SVD), workdir)  # as at first
    assert (original / "int8.tflite").read_bytes() == before
    assert [r.get("int8_accuracy") for r in shorter] == [
        r.get("int8_accuracy") for r in results["compress"]
    ]
    (original / "float32.tflite").unlink()
    (original / "int8.tflite").write_bytes(before[:100])
    again = run(config(HALVE, SVD), workdir)
    assert (original / "int8.tflite").read_bytes() == before
    assert again[0]["float32_bytes"] == results["compress"][0]["float32_bytes"]


def test_rounds_end_at_a_share_or_when_nothing_is_removed(tmp_path):
    steps = {"method": "halve", "amount": 0.75, "rounds": 3}
    share = run(config({**steps, "until": {"macs": 0.8}}), tmp_path / "a")
    assert len(share) == 2 and share[1]["macs"] <= 0.8 * share[0]["macs"]
    monotone = {"method": "halve", "amount": 0.0, "rounds": 3, "until": "nothing removed"}
    assert len(run(config(monotone), tmp_path / "a")) == 1
    assert stage.last_checkpoints(tmp_path / "a") == tmp_path / "a" / "checkpoints" / "student"


def test_a_round_below_the_accuracy_is_undone(tmp_path):
    held_back = {"train": "train[:300]", "validation": "train[300:400]"}
    steps = {"method": "halve", "amount": 0.9, "rounds": 2, "until": {"accuracy": 0.999}}
    assert len(run(config(steps, **held_back), tmp_path / "a")) == 1


def test_the_original_may_teach_and_constraints_survive_the_tuning(tmp_path):
    quantize = {"method": "quantize", "calibration": 50, "bits": 4, "fine_tune": {"epochs": 1}}
    quantize["fine_tune"] |= {"teacher": "original"}
    found = config(quantize, arg="quick")
    found.loss.name, found.stages = "kl", "teacher,student,compress,evaluate"
    records = run(found, tmp_path / "a")
    assert records[1]["num_params"] == records[0]["num_params"]
    model = trained.load(stage.last_checkpoints(tmp_path / "a") / "steps", pytest.fail)
    assert model.about.teacher.model == "simplenet_v1"
    assert model.about.constraints["quantize"][-1] == "logits:output"
    kernel = np.asarray(model.members[0]["params"]["conv0"]["kernel"])
    levels = kernel / (np.abs(kernel).max((0, 1, 2)) / 7)
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-3)
    assert "int4_bytes" not in records[0]
    assert records[1]["int8_bytes"] - records[1]["int4_bytes"] > 0.4 * records[1]["num_params"]
    assert abs(records[1]["int4_accuracy"] - records[1]["accuracy"]) < 0.05


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (
            [{"method": "svd", "layers": "dense"}],
            "compress[0], svd: layers='dense' matches nothing",
        ),
        ([{"method": "svd", "rank": 99}], "compress[0], svd: rank=99 is more than the 4 of conv0"),
        (
            [HALVE, {"method": "filters", "layers": "conv9"}],
            "compress[1], filters: layers='conv9' m",
        ),
        (
            [{"method": "filters", "amount": {"conv7": 0.5}}],
            "compress[0], filters: amount='conv7' matches nothing",
        ),
        ([{"method": "activation", "layers": "x"}], "compress[0], activation: layers='x' matches"),
        ([{"method": "magnitude", "layers": "x"}], "compress[0], magnitude: layers='x' matches"),
        ([{"method": "cluster", "layers": "!*"}], "compress[0], cluster: layers='!*' leaves"),
        ([{"method": "merge"}], "compress[0], merge: simplenet_v1 has no dense layer that feeds"),
        (
            [{**SVD, "fine_tune": {"epochs": 1, "batch_size": 500}}],
            "compress[0], svd: batch_size of simplenet_v1 is 500; there are 400 examples",
        ),
        (
            [{**SVD, "fine_tune": {"loss": {"name": "kl", "alpha": 2.0}}}],
            "compress[0].fine_tune.loss.alpha is 2.0; it must be a number from 0 to 1",
        ),
        (
            [{**SVD, "fine_tune": {"loss": {"name": "kl", "temperature": -1.0}}}],
            "compress[0].fine_tune.loss.temperature is -1.0",
        ),
        (
            [{**SVD, "fine_tune": {"loss": {"name": "kl", "learn_temperature": True}}}],
            "compress[0].fine_tune.loss.learn_temperature is True, but dataset.validation",
        ),
    ],
)
def test_what_cannot_be_applied_is_refused_before_anything_is_trained(tmp_path, steps, message):
    with pytest.raises(InputError, match=re.escape(message)):
        run(config(*steps), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_names_behind_a_factorisation_are_left_to_their_turn(tmp_path):
    steps = [SVD, {"method": "magnitude", "layers": "logits/first"}]
    found = config(*steps)
    dataset = data.load(found, *data.find(found, pytest.fail))
    begun = Run(validation.validate(found), tmp_path, dataset, Display())
    stage.rehearse(begun)


@pytest.mark.parametrize(
    "contents", ['{"last": ', "[]", "{}", "\xff", '{"last": "checkpoints/student", "rounds": []}']
)
def test_a_damaged_summary_is_named(tmp_path, contents):
    (tmp_path / "compress.json").write_text(contents, "latin-1")
    for read in (stage.read, stage.last_checkpoints):
        with pytest.raises(InputError, match="compress.json is damaged; run the stage compress ag"):
            read(tmp_path)


def test_methods_see_the_training_images_where_the_student_learns_from_others(tmp_path):
    found = config(SVD, arg="quick", labelled_fraction=0.1)
    found.loss.name, found.transfer.name, found.transfer.split = "kl", "mnist5k", "test[200:250]"
    dataset = data.load(found, *data.find(found, pytest.fail))
    assert len(dataset.transfer) == 50 and (dataset.train.labels >= 0).sum() == 40
    begun = Run(validation.validate(found), tmp_path, dataset, Display())
    seen = rounds.context(begun, 0, begun.settings.steps[0], 0, None)
    assert seen.images is dataset.train.images and seen.labels is dataset.train.labels
    assert seen.loss == "cross_entropy"


def test_arrays_of_another_configuration_are_refused(finished):
    workdir, _ = finished
    student = trained.load(workdir / "checkpoints" / "student" / "steps", pytest.fail)
    like = Start(jax.tree.map(lambda a: np.asarray(a)[None], student.members[0]))
    compressed = trained.load(stage.last_checkpoints(workdir) / "steps", pytest.fail)
    about = compressed.about
    task = recipe.task(about, recipe.Length(1, 1))
    with pytest.raises(ValueError, match="are not those of the model"):
        like.put_into(recipe.create(about, task))
