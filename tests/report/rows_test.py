import subprocess
import sys

import pytest

from distill.errors import InputError
from distill.report import rows

HEADER = ",".join(rows.COLUMNS)


def table(tmp_path, config_hash="abc", warn=pytest.fail):
    return rows.Table(tmp_path / "results.csv", config_hash, warn)


def row(name, **values):
    return {"id": name, "config_hash": "abc", "accuracy": 0.98765432, **values}


def test_rows_come_back_in_order_and_with_six_digits(tmp_path):
    found = table(tmp_path)
    assert found.read() == [] and found.ids() == set()
    found.append([row("b"), row("a", device="AMD, 2 cores", agreement=None)])
    found.append([row("c")])
    assert [r["id"] for r in table(tmp_path).read()] == ["b", "a", "c"]
    second = found.read()[1]
    assert (second["accuracy"], second["device"], second["agreement"]) == (
        "0.987654",
        "AMD, 2 cores",
        "",
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [".results.lock", "results.csv"]


APPEND = """
import pathlib, sys
from distill.report import rows

folder, number = sys.argv[1:]
for i in range(5):
    rows.Table(pathlib.Path(folder) / "results.csv", "abc", print).append(
        [{"id": f"{number}-{i}", "config_hash": "abc"}]
    )
"""


def test_processes_that_append_at_once_lose_nothing(tmp_path):
    processes = [
        subprocess.Popen([sys.executable, "-c", APPEND, tmp_path, str(n)]) for n in range(3)
    ]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert table(tmp_path).ids() == {f"{n}-{i}" for n in range(3) for i in range(5)}


def test_a_torn_last_line_is_left_out_with_a_warning(tmp_path):
    found, said = table(tmp_path), []
    found.append([row("a"), row("b")])
    text = found.path.read_text()
    found.path.write_text(text[: text.rindex("abc") + 1])
    torn = table(tmp_path, warn=said.append)
    assert torn.ids() == {"a"}
    assert "torn last line" in said[0]
    torn.append([row("b")])
    assert table(tmp_path).ids() == {"a", "b"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no table of results"),
        ("a,b\n1,2\n", "no table of results"),
        (f"{HEADER}\nx,y\n{',' * (len(rows.COLUMNS) - 1)}\n", "line 2 has 2 cells instead of"),
        (f"{HEADER}\nx,tiny,other{',' * (len(rows.COLUMNS) - 3)}\n", "the configuration other"),
    ],
)
def test_other_files_are_refused_and_kept(tmp_path, text, message):
    path = tmp_path / "results.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        table(tmp_path)
    assert path.read_text() == text


def test_a_table_of_an_earlier_version_goes_on(tmp_path):
    (tmp_path / "results.csv").write_text("id,config_hash,accuracy\na,abc,0.5\n")
    found = table(tmp_path)
    found.append([row("b", point="{}")])
    assert [r["id"] for r in found.read()] == ["a", "b"]
    assert [r["point"] for r in found.read()] == ["", "{}"]
    assert found.read()[0]["accuracy"] == "0.5"


def test_a_student_that_two_processes_trained_has_one_row(tmp_path):
    first, second = table(tmp_path), table(tmp_path)  # both before either has appended
    first.append([row("a", accuracy=0.5), row("b")])
    second.append([row("c"), row("a", accuracy=0.25)])
    assert [r["id"] for r in table(tmp_path).read()] == ["a", "b", "c"]
    assert table(tmp_path).read()[0]["accuracy"] == "0.5"


def test_rows_that_stand_twice_are_read_once(tmp_path):
    found, said = table(tmp_path), []
    found.append([row("a", accuracy=0.5), row("b")])
    text = found.path.read_text()
    doubled = text + "".join(text.splitlines(keepends=True)[1:]).replace("0.5", "0.25")
    found.path.write_text(doubled)
    again = table(tmp_path, warn=said.append)
    assert [(r["id"], r["accuracy"]) for r in again.read()] == [("a", "0.5"), ("b", "0.987654")]
    assert said[0].endswith("results.csv: leaving out 2 rows that stand twice")


def test_a_table_that_is_no_text_is_one_line(tmp_path):
    (tmp_path / "results.csv").write_bytes(HEADER.encode() + b"\n\xff\n")
    with pytest.raises(InputError, match="is no table of results; move it away"):
        table(tmp_path)
