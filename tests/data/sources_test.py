import json
import pathlib
import threading
import urllib.error

import pytest

from distill import config as config_lib
from distill import data, validation
from distill.data import sources
from distill.errors import InputError


def _pretend(root, name, version="1.0.0", **sizes):
    """Writes the only file that is read to find a prepared data set and its sizes."""
    path = pathlib.Path(root, name, version, "dataset_info.json")
    path.parent.mkdir(parents=True)
    splits = [{"name": s, "shardLengths": [str(n // 2), str(n - n // 2)]} for s, n in sizes.items()]
    path.write_text(json.dumps({"splits": splits}))
    return path


def _config(tmp_path, **dataset):
    config = config_lib.defaults()
    config.dataset.update({"data_dir": str(tmp_path), **dataset})
    return config


def test_embedded_needs_no_directory_and_no_network(tmp_path, offline):
    source, reason = sources.find("mnist5k", str(tmp_path / "absent"), "")
    assert (source.name, source.directory, reason) == ("mnist5k", None, "")
    assert source.sizes == {"train": 4000, "test": 1000}


def test_newest_prepared_version_by_number(tmp_path, offline):
    for version, size in (("3.0.1", 10), ("10.0.0", 20), ("9.9.9", 30)):
        _pretend(tmp_path, "shapes", version, train=size, test=5)
    source, reason = sources.find("shapes", str(tmp_path), "")
    assert source.directory == tmp_path / "shapes" / "10.0.0"
    assert source.sizes == {"train": 20, "test": 5} and not reason


def test_directory_of_the_environment_is_used_unless_another_is_given(
    tmp_path, monkeypatch, offline
):
    _pretend(tmp_path / "a", "shapes", train=1)
    _pretend(tmp_path / "b", "shapes", train=2)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "a"))
    assert sources.find("shapes", "", "")[0].sizes == {"train": 1}
    assert sources.find("shapes", str(tmp_path / "b"), "")[0].sizes == {"train": 2}


def test_known_name_is_left_to_tfds_when_there_is_a_network(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "network_reachable", lambda: True)
    source, reason = sources.find("cifar10", str(tmp_path), "mnist5k")
    assert source == sources.Source("cifar10", str(tmp_path), None, {}) and not reason


def test_without_fallback_it_is_an_error(tmp_path, offline):
    with pytest.raises(InputError) as caught:
        sources.find("mnist", str(tmp_path), "")
    assert str(caught.value) == (
        f"dataset mnist cannot be had: no prepared copy of mnist in {tmp_path} and no network; "
        "set TFDS_DATA_DIR to a directory that has it, or --config.dataset.fallback=mnist5k"
    )


def test_where_the_fallback_is_missing_too_both_are_named(tmp_path, offline):
    with pytest.raises(
        InputError, match="dataset mnist cannot be had: .*; nor its fallback: .*emnist"
    ):
        data.find(_config(tmp_path, fallback="emnist"), print)


def test_fallback_is_announced_in_one_line(tmp_path, offline):
    said = []
    source, transfer = data.find(_config(tmp_path, fallback="mnist5k"), said.append)
    assert (source.name, transfer, len(said)) == ("mnist5k", None, 1)
    assert said[0].startswith("!!! USING mnist5k INSTEAD OF mnist: no prepared copy of mnist in ")
    assert "Results are for mnist5k" in said[0] and "\n" not in said[0]


def test_nothing_is_announced_when_the_data_set_is_there(tmp_path, offline):
    _pretend(tmp_path, "mnist", train=60000, test=10000)
    said = []
    source, _ = data.find(_config(tmp_path, fallback="mnist5k"), said.append)
    assert source.name == "mnist" and not said


@pytest.mark.parametrize(
    "name, message",
    [
        ("mnits", "unknown dataset 'mnits'; did you mean 'mnist'?"),
        ("cifar_10", "unknown dataset 'cifar_10'; did you mean 'cifar10'?"),
        ("my_shape", "unknown dataset 'my_shape'; did you mean 'my_shapes'?"),
    ],
)
def test_unknown_dataset_names_the_nearest(name, message, tmp_path, offline):
    _pretend(tmp_path, "my_shapes", train=1)
    with pytest.raises(InputError) as caught:
        sources.find(name, str(tmp_path), "mnist5k")
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["emnist/letters", "cassava", "uc_merced"])
def test_what_tfds_makes_is_known_without_a_copy(name, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "network_reachable", lambda: True)
    assert sources.find(name, str(tmp_path), "")[0].name == name


@pytest.mark.parametrize("name", ["cifar10_test", "xyzzyx", "cifar10_jpeg"])
def test_what_tfds_does_not_make_is_unknown(name, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "network_reachable", lambda: True)
    with pytest.raises(InputError, match=f"^unknown dataset '{name}'; "):
        sources.find(name, str(tmp_path), "mnist5k")


def test_where_no_name_is_near_those_that_can_be_had_are_said(tmp_path):
    _pretend(tmp_path, "shapes", train=1)
    with pytest.raises(InputError) as caught:
        sources.find("xyzzyx", str(tmp_path), "")
    assert str(caught.value) == (
        "unknown dataset 'xyzzyx'; known: cifar10, cifar100, cifar10_jpeg, fashion_mnist, "
        "imagenet2012, mnist, mnist5k, shapes"
    )


@pytest.mark.parametrize("name", ["mnist:3.0.1", "huggingface:mnist", "../x", "/etc", "a/b/c", "["])
def test_what_is_no_name_is_said_with_what_can_be_given(name, tmp_path):
    with pytest.raises(InputError, match="such as mnist, or NAME/CONFIGURATION, of TFDS") as caught:
        sources.find(name, str(tmp_path), "mnist5k")
    assert str(caught.value).startswith(f"dataset is {name!r}; ")


def test_a_version_is_left_out(tmp_path):
    with pytest.raises(InputError, match="; give mnist, whose newest prepared version is read"):
        sources.find("mnist:3.0.1", str(tmp_path), "mnist5k")


def test_a_folder_of_images_is_no_prepared_data_set(tmp_path, offline):
    (tmp_path / "cats" / "train").mkdir(parents=True)
    with pytest.raises(InputError, match="cats holds no VERSION/dataset_info.json, so it is none"):
        sources.find("cats", str(tmp_path), "mnist5k")


@pytest.mark.parametrize(
    "content",
    [
        "{", "[]", '{"splits": [{"name": "train"}]}', "null",
        '{"splits": [{"name": "train", "shardLengths": ["-5"]}]}',
        '{"splits": [{"name": "train", "shardLengths": ["9999999999999999999"]}]}',
        '{"splits": [{"name": "train", "shardLengths": [1e999]}]}',
    ],
)  # fmt: skip
def test_damaged_dataset_info(content, tmp_path, offline):
    path = _pretend(tmp_path, "mnist", train=1)
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        sources.find("mnist", str(tmp_path), "mnist5k")
    assert str(caught.value).startswith(f"{path} cannot be read: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"dataset.train": "trian"}, "unknown split 'trian'; did you mean 'train'?"),
        ({"dataset.test": "test[50:]"}, "split 'test[50:]' selects nothing from 50 examples"),
        (
            {"dataset.train": "train[:80]"},
            "teacher.batch_size is 100; train[:80] of shapes has 80 examples",
        ),
        (
            {"sweep.seeds": (0,), "stages": "report", "teacher.batch_size": 201},
            "teacher.batch_size is 201; train of shapes has 200 examples",
        ),
        (
            {"stages": "student", "student.batch_size": 201},
            "student.batch_size is 201; train of shapes has 200 examples",
        ),
        ({"transfer.name": "shapes", "transfer.split": "extra"}, "unknown split 'extra'"),
        ({"transfer.name": "shapse"}, "unknown dataset 'shapse'; did you mean 'shapes'?"),
    ],
)
def test_splits_and_batches_are_checked_before_reading(change, message, tmp_path, offline):
    _pretend(tmp_path, "shapes", train=200, test=50)
    config = _config(tmp_path, name="shapes")
    config.update_from_flattened_dict(change)
    with pytest.raises(InputError) as caught:
        data.find(config, pytest.fail, validation.validate(config).trained)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "change",
    [
        {"stages": "student,evaluate", "student.batch_size": 20},
        {"stages": "evaluate, report"},
        {"sweep.seeds": (0, 1), "loss.name": "cross_entropy", "student.batch_size": 20},
    ],
)
def test_a_batch_that_is_never_made_is_not_checked(change, tmp_path, offline):
    _pretend(tmp_path, "shapes", train=60, test=50)
    config = _config(tmp_path, name="shapes")
    config.update_from_flattened_dict(change)
    data.find(config, pytest.fail, validation.validate(config).trained)


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("student.augmentation", "shfit", "unknown augmentation 'shfit'; did you mean 'shift'?"),
        ("dataset.test", "", "split '' is not written like"),
        ("dataset.validation", "train[", "split 'train[' is not written like"),
    ],
)
def test_check_needs_no_data(key, value, message):
    config = config_lib.defaults()
    data.check(config)
    config.update_from_flattened_dict({key: value})
    with pytest.raises(InputError) as caught:
        data.check(config)
    assert str(caught.value).startswith(message)


def _raise(error):
    raise error


@pytest.mark.parametrize(
    "error, expected",
    [(urllib.error.URLError("no route"), False), (TimeoutError(), False), (None, True)],
)
def test_network_reachable(error, expected, monkeypatch):
    refused = urllib.error.HTTPError(sources.REACHABLE, 403, "forbidden", None, None)
    monkeypatch.setattr(sources.urllib.request, "urlopen", lambda *a, **k: _raise(error or refused))
    assert sources.network_reachable() is expected


def test_a_hanging_network_is_given_up(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(sources, "NETWORK_TIMEOUT_S", 0.05)

    def hang(*args, **kwargs):
        release.wait(20)
        raise TimeoutError

    monkeypatch.setattr(sources.urllib.request, "urlopen", hang)
    try:
        assert not sources.network_reachable()
    finally:
        release.set()


UNKNOWN_IN_SECONDS = """
import sys, time
from distill.data import sources
sources.network_reachable = lambda: sys.exit("asked the network")
start = time.perf_counter()
try:
    sources.find("fashion_mnits", "nowhere", "mnist5k")
except sources.InputError as error:
    print(error)
assert time.perf_counter() - start < 10
assert "tensorflow" not in sys.modules
"""


def test_unknown_dataset_takes_seconds_at_most_and_no_tensorflow(python):
    result = python("-c", UNKNOWN_IN_SECONDS)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "unknown dataset 'fashion_mnits'; did you mean 'fashion_mnist'?\n"


def test_class_names_are_those_of_the_newest_version(tmp_path):
    for version, names in (("1.0.0", "a\nb\n"), ("2.0.0", "coat\nbag\n")):
        directory = tmp_path / "clothes" / version
        directory.mkdir(parents=True)
        (directory / "dataset_info.json").write_text("{}")
        (directory / "label.labels.txt").write_text(names)
    assert sources.class_names("clothes", str(tmp_path)) == ["coat", "bag"]
    assert sources.class_names("mnist5k", str(tmp_path)) == []
