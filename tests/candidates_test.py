"""A search on a few embedded images: what it trains, writes and refuses."""

import csv
import json
import threading

import pytest
from ml_collections import ConfigDict

from configs import search_mnist
from distill import candidates, data, models, spaces, study
from distill.errors import InputError
from distill.progress import Display
from distill.report import rows
from distill.run import Run, claim
from distill.training import trained
from distill.training.trained import Trained


def small(**changes):
    """A search with one shape of network and three learning rates, of seconds."""
    config = search_mnist.get_config("quick")
    config.dataset.train, config.dataset.validation = "train[:100]", "train[3900:]"
    config.dataset.test = "test[:50]"
    config.student.augmentation, config.student.batch_size = "none", 50
    config.student.args.update({"widths": (2, 2), "depths": (1, 1), "kernels": (3, 3)})
    config.student.args.separable = (False, False)
    config.search.space = (("student.learning_rate", (0.01, 0.02, 0.03)),)
    config.search.update({"epochs": (1,), "generations": 1, "population": 3, **changes})
    return config


def rows_of(workdir):
    with (workdir / candidates.RESULTS).open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "search"
    candidates.run(small(), workdir, Display())
    return workdir, rows_of(workdir)


def test_a_candidate_is_measured_as_it_is_shipped_and_on_held_out_images(finished):
    workdir, rows = finished
    for row in rows:
        # 3·3·2 + 2 and 3·3·2·2 + 2 of the convolutions, folded, and 2·10 + 10 of the dense layer
        assert (row["num_params"], row["status"]) == (str(20 + 38 + 30), "ok")
        files = workdir / "files" / row["id"]
        for form in ("float32", "int8"):
            assert int(row[f"{form}_bytes"]) == len((files / f"{form}.tflite").read_bytes())
        hundredths = 100 * float(row["accuracy"])  # of 100 images, and not of 50
        assert hundredths == pytest.approx(round(hundredths), abs=1e-4)
        assert json.loads(row["genes"])["student.learning_rate"] in (0.01, 0.02, 0.03)
    assert (workdir / "front.png").stat().st_size > 10_000
    assert "| learning_rate 0.0" in (workdir / "front.md").read_text()


def test_candidates_of_one_shape_train_together(finished):
    workdir, rows = finished
    (batch,) = (workdir / "batches").iterdir()
    students = trained.load(batch / "steps", print).about
    assert len(students.seeds) == len({row["id"] for row in rows}) == len(rows) >= 2
    assert sorted(students.recipe["learning_rate"]) == sorted(
        json.loads(row["genes"])["student.learning_rate"] for row in rows
    )


@pytest.fixture
def pretended(monkeypatch):
    """Trains nothing: wider networks are better and larger. Returns the ids trained, in order."""
    done, lock = [], threading.Lock()

    def together(batch, workdir, display):
        found = []
        for student in batch:
            with lock:
                done.append(student.id)
            model = models.build("tiny", student.about.args, num_classes=10)
            history = [{"epoch": student.about.recipe["epochs"], "seconds": 1.0}]
            found.append(
                (student, Trained(model, [], student.about, workdir, [history]), len(batch))
            )
        return found

    def measure(model, *_):
        widths, epochs = model.model.widths, model.history[-1]["epoch"]
        size = float(sum(widths))
        return {
            **dict.fromkeys(spaces.COSTS, size),
            **dict.fromkeys(spaces.ACCURACIES, 1 - 1 / (size * epochs)),
        }

    monkeypatch.setattr(study, "train_together", together)
    monkeypatch.setattr(study, "batches", lambda students, shard: [[s] for s in students])
    monkeypatch.setattr(Run, "check_models", lambda run: None)  # which traces every network
    monkeypatch.setattr(candidates, "measured", measure)
    monkeypatch.setattr(candidates, "WAIT_S", 0.01)
    return done


def evolving():
    widths = tuple(range(2, 12))
    config = small(population=6, generations=3, epochs=(1, 2, 4), keep=0.5)
    config.search.space = (
        ("student.args.widths[0]", widths), ("student.args.widths[1]", (0, *widths)),
    )  # fmt: skip
    return config


def timeless(rows):
    return [{k: v for k, v in row.items() if not k.endswith("seconds")} for row in rows]


def test_the_better_half_goes_on(tmp_path, pretended):
    config = evolving()
    config.search.generations = 1
    candidates.run(config, tmp_path / "run", Display())
    rows = rows_of(tmp_path / "run")
    genes = {epochs: [r["genes"] for r in rows if r["epochs"] == epochs] for epochs in "124"}
    assert [len(genes[epochs]) for epochs in "124"] == [6, 3, 2]
    assert set(genes["4"]) < set(genes["2"]) < set(genes["1"])


def test_a_killed_search_comes_to_the_same_end(tmp_path, pretended, monkeypatch):
    candidates.run(evolving(), tmp_path / "whole", Display())
    whole = timeless(rows_of(tmp_path / "whole"))
    count, together = len(pretended), study.train_together

    for limit in (3, 9):

        def killed(batch, *rest, limit=limit):
            if len(pretended) - count > limit:
                raise KeyboardInterrupt
            return together(batch, *rest)

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(study, "train_together", killed)
            candidates.run(evolving(), tmp_path / "killed", Display())
    candidates.run(evolving(), tmp_path / "killed", Display())
    again = timeless(rows_of(tmp_path / "killed"))
    assert [{**row, "config": "whole"} for row in again] == whole
    assert len(pretended) - count == len(whole)  # nothing is trained twice


def test_shards_share_a_search(tmp_path, pretended):
    candidates.run(evolving(), tmp_path / "alone", Display())
    alone = timeless(rows_of(tmp_path / "alone"))
    pretended.clear()
    shards = [
        threading.Thread(
            target=candidates._evolve, args=(_search(evolving(), tmp_path / "both", (i, 2)),)
        )
        for i in range(2)
    ]
    for shard in shards:
        shard.start()
    for shard in shards:
        shard.join(60)
    both = timeless(rows_of(tmp_path / "both"))
    by_id = {row["id"]: row for row in both}
    assert {row["id"] for row in alone} == by_id.keys()
    assert sorted(pretended) == sorted(by_id)  # each by one of them


def _search(config, workdir, shard):
    """What `run` makes of a configuration, for a thread that may not listen to signals."""
    images = data.load(config, *data.find(config, print))
    whole = Run(spaces.check(config), workdir, images, Display())
    config_hash = claim(workdir, config, "mnist5k")
    table = rows.Table(workdir / candidates.RESULTS, config_hash, print, candidates.COLUMNS)
    return candidates.Search(config, whole, table, config_hash, shard)


def test_what_cannot_be_shipped_is_hopeless():
    row = {"status": "diverged"}
    assert candidates.objectives(row, ("accuracy", "macs")) == [0.0, candidates.HOPELESS]
    row = {"status": "ok", "accuracy": "0.98", "macs": "1200"}
    assert candidates.objectives(row, ("accuracy", "macs")) == [-0.98, 1200.0]


def test_a_search_may_go_on_for_longer_but_not_in_another_space(tmp_path, pretended):
    config = evolving()
    config.search.generations = 1
    candidates.run(config, tmp_path / "run", Display())
    before = len(rows_of(tmp_path / "run"))
    candidates.run(evolving(), tmp_path / "run", Display())
    assert len(rows_of(tmp_path / "run")) > before
    config.search.population = 7
    with pytest.raises(InputError, match="search"):
        candidates.run(config, tmp_path / "run", Display())


def test_genes_that_do_not_go_together_are_refused_and_the_search_goes_on(tmp_path, pretended):
    config = evolving()
    config.search.space = tuple((f"student.args.widths[{i}]", (4, 0)) for i in (0, 1))
    candidates.run(config, tmp_path / "run", Display())
    status = {row["genes"]: row["status"] for row in rows_of(tmp_path / "run")}
    assert [genes for genes in status if status[genes] == "refused"] == [
        '{"student.args.widths[0]": 0, "student.args.widths[1]": 0}'
    ]
    assert len(status) == 4 and len(pretended) == len(set(pretended))


@pytest.mark.parametrize("validation", ["test", "train[:10]"])
def test_a_search_chooses_by_images_that_are_seen_by_nothing_else(tmp_path, validation):
    config = small()
    config.dataset.validation = validation
    with pytest.raises(InputError, match=r"networks \(config.search\) would be chosen by"):
        candidates.run(config, tmp_path / "run", Display())


def test_a_search_goes_on_with_the_files_that_it_has_measured(tmp_path):
    config = small()
    first = claim(tmp_path, config, "mnist5k")
    config.export.formats, config.search.generations = "float32", 9
    assert claim(tmp_path, config, "mnist5k") == first
    config.export.calibration_images += 1
    with pytest.raises(InputError, match="export.calibration_images"):
        claim(tmp_path, config, "mnist5k")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"population": 1}, "search.population is 1; it must be a whole number from 2 to 10000"),
        ({"generations": 10**9}, "search.generations is 1000000000; it must be a whole number"),
        ({"objectives": ("accuracy", 3)}, r"search.objectives is \('accuracy', 3\); it must be"),
        ({"epochs": (1.5,)}, r"search.epochs is \(1.5,\); it must be whole numbers, as"),
        ({"space": (1,)}, r"search.space is \(1,\); it must be keys with the values of each"),
        ({"space": (("student.args.head", "mean"),)}, "it must be keys with the values of each"),
        ({"epochs": (3, 1)}, "they must rise"),
        ({"objectives": ("bytes",)}, "first of search.objectives"),
        ({"objectives": ("accuracy",)}, "has no cost"),
        ({"objectives": ("accuracy", "mac")}, "did you mean"),
        ({"space": ()}, "search.space is empty"),
        ({"space": (("dataset.name", ("mnist",)),)}, r"student.\* and loss.\* only"),
        ({"space": (("student.args.widths[2]", (1,)),)}, r"widths is \(2, 2\)"),
        ({"space": (("student.args.head", ("mean", "median")),)}, "median"),
        ({"space": (("student.widht", (1,)),)}, "unknown key of search.space 'student.widht'"),
        ({"space": (("student.arg.widths[0]", (1,)),)}, "student.arg.widths is None"),
        ({"space": (("student.batch_size[0]", (50,)),)}, "student.batch_size is 50"),
        ({"space": (("student.epochs", (1, 2)),)}, "student.epochs, which search.epochs says"),
    ],
)
def test_what_cannot_be_searched_is_said_at_once(changes, message):
    with pytest.raises(InputError, match=message):
        spaces.check(small(**changes))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"student.steps": 20}, "student.steps is 20, and search.epochs says"),
        ({"sweep.seeds": (0, 1)}, "a search has no sweep"),
        ({"compress": ({"method": "fold"},)}, "a search has no compress"),
    ],
)
def test_what_a_search_would_not_heed_is_refused(changes, message):
    config = small()
    config.update_from_flattened_dict(changes)
    with pytest.raises(InputError, match=message):
        spaces.check(config)


def test_a_section_that_is_written_by_hand_says_what_it_lacks():
    config = small()
    space = config.search.space
    del config.search
    config.search = ConfigDict({"space": space})
    with pytest.raises(InputError, match="search has no objectives; begin with config.search = "):
        spaces.check(config)
    del config.search
    config.search = 3
    with pytest.raises(InputError, match="search has no space; begin with config.search = "):
        spaces.check(config)


def test_candidates_are_not_chosen_on_the_test_set():
    config = small()
    config.dataset.validation = ""
    with pytest.raises(InputError, match="dataset.validation, which is empty"):
        spaces.check(config)
