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
    if importlib.util.find_spec(tool.partition(".")[0]) is None:
        pytest.skip(f"{tool} is not installed")
    # Installed, it is found where it is; on the path alone, mypy has to be told.
    installed = PACKAGE.parent.name == "site-packages"
    environment = {**os.environ, **({} if installed else {"MYPYPATH": str(PACKAGE.parent)})}
    command = [sys.executable, "-m", tool, *map(str, arguments)]
    # Whatever lies in the folder shadows what is installed, so it is one without modules.
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_strict(tmp_path):
    cache = ["--cache-dir", tmp_path]
    stubs = [path.stem for path in PACKAGE.glob("*.pyi") if path.stem != "__init__"]
    modules = ["spark_effects", *(f"spark_effects.{name}" for name in stubs)]
    check("mypy", "--strict", *cache, *(word for name in modules for word in ("-m", name)))
    # Dask, which one example uses, tells its types only in part.
    check("mypy", "--strict", "--untyped-calls-exclude", "distributed", *cache, *USES)


def test_pyright_strict(tmp_path):
    stubs = ", ".join(f'"{path}"' for path in [PACKAGE, *USES])
    project = tmp_path / "pyrightconfig.json"
    project.write_text(
        f'{{"include": [{stubs}], "strict": ["**"], "ignore": ["{PACKAGE}/*.py"], '
        f'"extraPaths": ["{PACKAGE.parent}"], "pythonPath": "{sys.executable}"}}'
    )
    check("pyright", "--project", project, "--pythonpath", sys.executable)


def test_stubs_are_what_is_there(tmp_path):
    # Modules without stubs have nothing to check, and are written without types.
    plain = {path.stem for path in PACKAGE.glob("*.py")} - {path.stem for path in PACKAGE.glob("*.pyi")}
    config = tmp_path / "mypy.ini"
    sections = [f"[mypy-spark_effects.{name}]\nignore_errors = True\n" for name in sorted(plain)]
    config.write_text("[mypy]\n" + "".join(sections))
    allowed = pathlib.Path(__file__).parent / "stubtest.txt"
    options = ["--mypy-config-file", config, "--allowlist", allowed, "--ignore-unused-allowlist"]
    check("mypy.stubtest", "spark_effects", *options)
