import os
import pathlib

import pytest

from distill import paths
from distill.errors import InputError


def test_the_home_directory_is_found_and_other_names_are_left_alone(monkeypatch):
    monkeypatch.setenv("HOME", "/somebody")
    assert paths.local("~/runs", "--to") == pathlib.Path("/somebody/runs")
    for name in ("a b", "ärger/数", "x~", "a:b", "C:", "-x", "a[1]", "a\\b"):
        assert paths.local(name, "--to") == pathlib.Path(name)
    for name in ("a b", "ärger/数", "x~", "a:b"):
        assert paths.trained(name, "--workdir") == pathlib.Path(name)


@pytest.mark.parametrize(
    "given", ["gs://a/b", "gs:/a", "s3://a", "file:///a", "hdfs://host/a", "https://a/b"]
)
def test_paths_of_other_machines_are_refused(given):
    with pytest.raises(InputError, match=f"^--to is {given}; only paths of this machine"):
        paths.local(given, "--to")


@pytest.mark.parametrize("given", ["", "  ", "a\0b", "a\nb", "\x1b[31m", "a\udcffb"])
def test_what_cannot_be_printed_is_refused_in_what_can(given):
    with pytest.raises(InputError, match="it must be a path that can be printed") as caught:
        paths.local(given, "--to")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("character", ["[", "*", "?", "\\"])
def test_where_libraries_would_read_a_pattern_nothing_is_trained(tmp_path, monkeypatch, character):
    with pytest.raises(InputError, match="checkpoints cannot be kept where a name has"):
        paths.trained(f"a{character}b/run", "--workdir")
    (tmp_path / f"a{character}b").mkdir()
    monkeypatch.chdir(tmp_path / f"a{character}b")
    with pytest.raises(InputError, match="checkpoints cannot be kept where a name has"):
        paths.trained("run", "--workdir")


def test_a_directory_that_can_be_made_is_left_unmade(tmp_path):
    paths.require_writable(tmp_path / "a" / "b", "--workdir")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("below", ["", "below"])
def test_a_file_is_no_directory(tmp_path, below):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file is no directory$"):
        paths.require_writable(tmp_path / "file" / below, "--workdir")


def test_a_link_that_leads_nowhere_is_no_directory(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match="link is no directory$"):
        paths.require_writable(tmp_path / "link" / "x", "--workdir")


def test_a_name_that_is_too_long_is_said_in_words(tmp_path):
    with pytest.raises(InputError, match="cannot be written: File name too long$"):
        paths.require_writable(tmp_path / ("x" * 300), "--workdir")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_of_somebody_else_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written: Permission denied"):
        paths.require_writable(tmp_path, "--workdir")


def test_a_file_to_be_written_is_checked_before(tmp_path):
    paths.require_writable_file(tmp_path / "new.json", "--json")
    (tmp_path / "old.json").touch()
    paths.require_writable_file(tmp_path / "old.json", "--json")
    assert {path.name for path in tmp_path.iterdir()} == {"old.json"}
    with pytest.raises(InputError, match="which cannot be written; name a file"):
        paths.require_writable_file(tmp_path, "--json")
    with pytest.raises(InputError, match="nowhere is no directory"):
        paths.require_writable_file(tmp_path / "nowhere" / "x.json", "--json")
