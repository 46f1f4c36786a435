"""The notebooks run from the first cell to the last, and keep nothing of the person that ran them."""

import json

import pytest
from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def test_there_are_two():
    assert [path.name for path in NOTEBOOKS] == ["batch.ipynb", "first_steps.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_of_a_run_is_kept(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    for cell in code:
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        assert cell["metadata"] == {}


def executed(name):
    """What the cells of a notebook show, as mime bundles, once all of them have run."""
    nbclient = pytest.importorskip("nbclient", reason="it comes with tests/requirements.txt")
    import nbformat

    book = nbformat.read(ROOT / "examples" / f"{name}.ipynb", as_version=4)
    nbformat.validate(book)
    where = {"metadata": {"path": str(ROOT / "examples")}}
    # Raises where a cell does.
    nbclient.NotebookClient(book, timeout=120, resources=where).execute()
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    return [output["data"] for cell in cells for output in cell.outputs if "data" in output]


def pictures(shown):
    return sum(data.get("text/html", "").count('<img src="data:image/') for data in shown)


def test_the_first_steps_show_two_pictures():
    shown = executed("first_steps")
    assert pictures(shown) == 2
    assert sum("image/png" in data for data in shown) == 2, "exports without HTML have them, too"
    assert any("did you mean" in data["text/plain"] for data in shown), "both problems are listed"


def test_the_batch_awaits_shows_a_grid_and_is_free_the_second_time():
    source = (ROOT / "examples" / "batch.ipynb").read_text(encoding="utf-8")
    assert "= await " in source
    shown = executed("batch")
    assert pictures(shown) == 9
    assert len(json.dumps(shown)) < 1_000_000
    assert shown[-1]["text/plain"] in ("Decimal('0.00')", "Decimal('0')")
