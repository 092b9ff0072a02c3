"""`metrics.jsonl`: what is kept, and what is refused."""

import json

import pytest

from distill import records
from distill.errors import InputError

RECORD = {"model": "teacher", "seed": 0, "step": 8, "loss": 0.5}


def _lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_a_training_replaces_its_own_records_and_keeps_the_others(tmp_path):
    foreign = {"epoch": 3, "loss": 1.0}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(foreign) + "\n")
    for role, loss in (("teacher", 0.5), ("student", 0.4), ("student", 0.3)):
        with records.Log(tmp_path, role) as log:
            log.write({**RECORD, "loss": loss})
    assert [(r["role"], r["loss"]) for r in records.read(tmp_path)] == [
        ("teacher", 0.5), ("student", 0.3),
    ]  # fmt: skip
    assert _lines(tmp_path)[0] == foreign


@pytest.mark.parametrize("torn", [b'{"role": "teac', b'{"role": "\xc3'])
def test_a_torn_last_line_is_left_out(tmp_path, torn):
    with records.Log(tmp_path, "teacher") as log:
        log.write(RECORD)
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(path.read_bytes() + torn)
    assert [record["loss"] for record in records.read(tmp_path)] == [0.5]


@pytest.mark.parametrize("line", [b"{", b"[]", b"3", b'{"role": "\xff"}'])
def test_what_is_no_record_is_one_line(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_bytes(line + b"\n{}\n")
    with pytest.raises(InputError, match="metrics.jsonl, line 1 is no JSON object: ") as caught:
        records.Log(tmp_path, "teacher")
    assert "\n" not in str(caught.value)


def test_a_log_keeps_others_out_until_it_ends(tmp_path):
    """A second one would drop what the first still writes."""
    with records.Log(tmp_path, "teacher") as log:
        log.write({**RECORD, "loss": 0.5})
        for role in ("teacher", "student"):
            with pytest.raises(InputError, match="another process writes .*metrics.jsonl; wait"):
                records.Log(tmp_path, role)
        log.write({**RECORD, "loss": 0.4})
    with records.Log(tmp_path, "student") as log:
        log.write({**RECORD, "loss": 0.3})
    assert [record["loss"] for record in records.read(tmp_path)] == [0.5, 0.4, 0.3]
