"""The docstrings' examples and the typed example run as they stand."""

import doctest
import importlib
import os
import pathlib
import pkgutil
import shutil

import pytest
import uses
from conftest import PHOTO, ROOT

import spark_effects

MODULES = [
    f"spark_effects.{module.name}"
    for module in pkgutil.iter_modules(spark_effects.__path__)
    if module.name not in {"_native", "__main__", "pytest_plugin"}
]


@pytest.mark.parametrize("name", ["spark_effects", *MODULES])
def test_docstrings(name, monkeypatch):
    # Paths in examples are those of the repository.
    monkeypatch.chdir(ROOT)
    done = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert done.failed == 0


def test_the_examples_of_the_docstrings_are_found():
    finder = doctest.DocTestFinder()
    found = [
        example
        for name in ["spark_effects", *MODULES]
        for test in finder.find(importlib.import_module(name))
        for example in test.examples
    ]
    assert len(found) >= 10


def test_the_typed_example_runs(tmp_path):
    photo = pathlib.Path(shutil.copy(PHOTO, tmp_path / "cat.png"))
    assert uses.main(photo) == 4
    assert "cat.ball.png" in os.listdir(tmp_path)
