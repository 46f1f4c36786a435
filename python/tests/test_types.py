"""Strict type checkers accept the stubs, and code that uses them."""

import ast
import copy
import importlib.util
import inspect
import os
import pathlib
import re
import subprocess
import sys
import typing

import pytest
from conftest import ROOT

import spark_effects
from spark_effects import _stubs
from spark_effects._annotations import _Annotations

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


WRONG = """
from spark_effects import AsyncClient, Client, Emulator, Job, Template

async def uses(client: Client, other: AsyncClient, emulator: Emulator, word: str) -> None:
    client.run("glass_ball", "cat.jpg")
    client.run(word, "cat.jpg")
    client.run(Template.unlisted("moon_base"), "cat.jpg")
    Job(word, "cat.jpg")
    emulator.client(poll=0.01, budget="5.00")
    for result in client.map([(word, "cat.jpg")]):
        if result.ok is True:
            result.effect.save("a.png")
        else:
            print(result.error.code)
    client.run("glas_ball", "cat.jpg")  # no template
    client.submit("glas_ball", "cat.jpg")  # no template
    await other.submit("glas_ball", "cat.jpg")  # no template
    Job("glas_ball", "cat.jpg")  # no template
    emulator.client(pol=0.01)  # no option
    emulator.async_client(poll="fast")  # no value
    for result in client.map([("glass_ball", "cat.jpg")]):
        print(result.effect.cost)  # may be none
"""

TRUTH = """
from spark_effects import Client

def uses(client: Client) -> None:
    for result in client.map([("glass_ball", "cat.jpg")]):
        if result.ok:
            result.effect.save("a.png")
        else:
            print(result.error.code)
"""


def lines_reported(tool, *arguments):
    """The lines that a checker reports."""
    command = [sys.executable, "-m", tool, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1, done.stdout + done.stderr
    return {int(line) for line in re.findall(r"wrong\.py:(\d+):.*error", done.stdout)}


def lines_with(text, *words):
    return {at for at, line in enumerate(text.splitlines(), 1) if any(f"# {word}" in line for word in words)}


def test_pyright_catches_what_is_wrong(tmp_path):
    pytest.importorskip("pyright")
    (tmp_path / "wrong.py").write_text(WRONG)
    project = tmp_path / "pyrightconfig.json"
    project.write_text('{"include": ["wrong.py"], "strict": ["**"]}')
    found = lines_reported("pyright", "--project", project, "--pythonpath", sys.executable)
    assert found == lines_with(WRONG, "no template", "no option", "no value", "may be none")


def test_mypy_catches_what_is_wrong(tmp_path):
    # It takes a text that is written out for any text, so a misspelt id passes; `if result.ok:` tells.
    pytest.importorskip("mypy")
    wrong = tmp_path / "wrong.py"
    wrong.write_text(WRONG)
    found = lines_reported("mypy", "--strict", "--cache-dir", tmp_path / "cache", wrong)
    assert found == lines_with(WRONG, "no option", "no value", "may be none")
    wrong.write_text(TRUTH)
    check("mypy", "--strict", "--cache-dir", tmp_path / "cache", wrong)


def test_type_hints_are_found():
    for owner in (
        spark_effects.Client,
        spark_effects.AsyncClient,
        spark_effects.Task,
        spark_effects.Emulator,
    ):
        for name in (name for name in dir(owner) if not name.startswith("_")):
            method = inspect.getattr_static(owner, name)
            # What `Client.from_profile` is, as a caller gets it.
            method = getattr(method, "fget", None) or getattr(method, "__func__", method)
            if inspect.ismemberdescriptor(method):
                continue
            hints = typing.get_type_hints(method)
            assert "return" in hints, f"{owner.__name__}.{name}"
            signature = inspect.signature(method)
            assert hints.keys() - {"return"} <= signature.parameters.keys()
    hints = typing.get_type_hints(spark_effects.Client.run)
    assert hints["return"] is spark_effects.Effect
    assert hints["width"] == (int | None)
    assert spark_effects.Policy in typing.get_args(hints["policy"])
    assert typing.get_type_hints(spark_effects.Effect.save)["return"] == (str | None)
    hints = typing.get_type_hints(spark_effects.Job.__init__)
    assert str in typing.get_args(hints["template"])
    assert spark_effects.Template in typing.get_args(hints["template"])
    assert hints["return"] is type(None)
    assert typing.get_type_hints(spark_effects.templates) == {
        "query": str,
        "return": list[spark_effects.Template],
    }
    assert typing.get_type_hints(spark_effects.AsyncClient.task)["return"] is spark_effects.AsyncTask


READ = {"query": str, "return": list[spark_effects.Template]}


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (lambda hints: hints | {"more": int}, {**READ, "more": int}),
        (lambda hints: {"more": int} | hints, {"more": int, **READ}),
        (lambda hints: hints.__ior__({"more": int}), {**READ, "more": int}),
        (lambda hints: hints.setdefault("query", int), str),
        (lambda hints: hints.pop("query"), str),
        (lambda hints: hints.popitem(), ("return", READ["return"])),
        (lambda hints: list(reversed(hints)), ["return", "query"]),
        (lambda hints: hints != READ, False),
        (lambda hints: (hints.__setitem__("query", int), hints["query"])[1], int),
        (lambda hints: (hints.__delitem__("query"), dict(hints))[1], {"return": READ["return"]}),
        (lambda hints: (hints.update(query=int), hints["query"])[1], int),
        (lambda hints: (hints.clear(), dict(hints))[1], {}),
        (lambda hints: hints == annotations_of_templates(), True),
        (lambda hints: hints | annotations_of_templates(), READ),
        (lambda hints: copy.copy(hints), READ),
        (dict, READ),
        (len, 2),
        (repr, repr(READ)),
    ],
)
def test_annotations_are_there_whatever_asks_first(ask, answer):
    assert ask(annotations_of_templates()) == answer


def test_annotations_are_whole_after_a_read_that_was_interrupted(monkeypatch):
    monkeypatch.setattr(_stubs, "_stubs", {})
    hints = annotations_of_templates()

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ast, "parse", interrupted)
        with pytest.raises(KeyboardInterrupt):
            len(hints)
    assert hints == READ
    assert annotations_of_templates() == READ


def annotations_of_templates():
    """As they are before anything has read them."""
    return _Annotations("spark_effects._templates", "templates")


def test_type_hints_cost_nothing_until_they_are_asked_for():
    code = "import sys, spark_effects; print({'ast', 'typing', 'typing_extensions'} & sys.modules.keys())"
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"],
        capture_output=True,
        text=True,
    )
    assert done.stdout == "set()\n", done.stderr


def test_stubs_are_what_is_there(tmp_path):
    # Modules without stubs have nothing to check, and are written without types.
    plain = {path.stem for path in PACKAGE.glob("*.py")} - {path.stem for path in PACKAGE.glob("*.pyi")}
    config = tmp_path / "mypy.ini"
    sections = [f"[mypy-spark_effects.{name}]\nignore_errors = True\n" for name in sorted(plain)]
    config.write_text("[mypy]\n" + "".join(sections))
    allowed = pathlib.Path(__file__).parent / "stubtest.txt"
    options = ["--mypy-config-file", config, "--allowlist", allowed, "--ignore-unused-allowlist"]
    check("mypy.stubtest", "spark_effects", *options)
