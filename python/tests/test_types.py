"""Strict type checkers accept the stubs, and code that uses them."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest
from conftest import ROOT

import spark_effects

PACKAGE = pathlib.Path(spark_effects.__file__).parent
USES = [pathlib.Path(__file__).parent / "uses.py", *sorted((ROOT / "examples").glob("*.py"))]


def check(tool, *arguments):
    if importlib.util.find_spec(tool) is None:
        pytest.skip(f"{tool} is not installed")
    environment = {**os.environ, "MYPYPATH": str(PACKAGE.parent)}
    command = [sys.executable, "-m", tool, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=PACKAGE.parent)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_strict(tmp_path):
    cache = ["--cache-dir", tmp_path]
    check("mypy", "--strict", *cache, *sorted(PACKAGE.glob("*.pyi")), *USES)


def test_pyright_strict(tmp_path):
    stubs = ", ".join(f'"{path}"' for path in [PACKAGE, *USES])
    project = tmp_path / "pyrightconfig.json"
    project.write_text(
        f'{{"include": [{stubs}], "strict": ["**"], "ignore": ["{PACKAGE}/*.py"], '
        f'"extraPaths": ["{PACKAGE.parent}"], "pythonPath": "{sys.executable}"}}'
    )
    check("pyright", "--project", project, "--pythonpath", sys.executable)
