"""The notebooks, each run from its first cell to its last."""

import pathlib
import re

import pytest

import experiments

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
ROOT = pathlib.Path(experiments.__file__).parents[1]
NOTEBOOKS = ROOT / "experiments" / "notebooks"


def run(name, directory):
    """Returns what each cell of a notebook writes, and how many pictures it shows."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    place = {"metadata": {"path": str(directory)}}
    nbclient.NotebookClient(notebook, timeout=240, resources=place).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    text = "".join(output.text for output in outputs if output.output_type == "stream")
    return text, sum("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.filterwarnings("default")  # of the notebook's machinery
def test_the_quickstart_trains_compares_and_classifies_a_drawing(monkeypatch):
    monkeypatch.delenv("MPLBACKEND", raising=False)
    text, pictures = run("quickstart.ipynb", ROOT)
    assert len(re.findall(r"weights in [\d,]+ bytes, \d\d\.\d % of mnist5k", text)) == 2
    wrong, answers = map(int, re.search(r"(\d+) of (\d+) are wrong", text).groups())
    assert 0 < wrong < 0.15 * answers and pictures == 2
    assert re.search(r"\n(\d): \d+\.\d %\n", text)[1] == "1"  # the first answer to the drawing


def test_notebooks_are_kept_without_outputs():
    for path in NOTEBOOKS.glob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            assert not cell.get("outputs") and not cell.get("execution_count"), path
