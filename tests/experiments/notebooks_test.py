"""The notebooks, which are scripts: each runs from its first cell to its last."""

import pathlib
import re
import runpy

import experiments

NOTEBOOKS = pathlib.Path(experiments.__file__).parent / "notebooks"


def test_the_quickstart_trains_compares_and_classifies_a_drawing(offline, capsys):
    found = runpy.run_path(str(NOTEBOOKS / "quickstart.py"))
    said = capsys.readouterr().out
    assert len(re.findall(r"weights in [\d,]+ bytes, \d\d\.\d % of mnist5k", said)) == 2
    assert 0 < len(found["mistakes"]) < 0.15 * len(found["answers"])
    assert (found["workdir"] / "mistakes.png").stat().st_size > 5_000
    assert found["seen"].inverted and found["drawing"].argmax() == 1
