"""Which commit results are said to be made with."""

import subprocess

import pytest

import distill
from distill import provenance


@pytest.fixture(autouse=True)
def forgotten():
    """Has each test look anew, and those behind it."""
    yield
    provenance.commit.cache_clear()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with one commit, whatever the configuration of this machine's git is."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "nobody")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "nobody@localhost")
    (tmp_path / "file").write_text("1")
    for arguments in (("init", "-q"), ("add", "file"), ("commit", "-q", "-m", "One")):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    head = ["git", "rev-parse", "--short=10", "HEAD"]
    return tmp_path, subprocess.check_output(head, cwd=tmp_path, text=True).strip()


def _install(monkeypatch, folder):
    provenance.commit.cache_clear()
    (folder / "distill").mkdir(parents=True)
    monkeypatch.setattr(distill, "__file__", str(folder / "distill" / "__init__.py"))


def test_a_checkout_has_its_commit_and_whether_it_was_changed(checkout, monkeypatch):
    root, commit = checkout
    _install(monkeypatch, root)
    assert provenance.commit() == commit
    (root / "file").write_text("2")
    assert provenance.commit() == commit  # which is that of the code that is running
    provenance.commit.cache_clear()
    assert provenance.commit() == f"{commit}-dirty"


@pytest.mark.parametrize("below", ["checkout of another project", "no checkout"])
def test_an_installed_package_has_its_version(request, tmp_path, monkeypatch, below):
    if below == "checkout of another project":
        request.getfixturevalue("checkout")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    _install(monkeypatch, tmp_path / "lib" / "site-packages")
    assert provenance.commit() == f"version {distill.__version__}"
