"""One thing has one name: in both clients, in the stubs, in the docstrings, and in the pages."""

import ast
import importlib
import inspect
import pathlib
import re
import subprocess
import sys

import pytest
from conftest import ROOT

import spark_effects
from spark_effects import AsyncClient, AsyncTask, Client, Task
from spark_effects._task import AsyncEvents, Events

PACKAGE = pathlib.Path(spark_effects.__file__).parent
STUBS = sorted(PACKAGE.glob("*.pyi"))


def public(owner):
    return {name for name in dir(owner) if not name.startswith("_")}


BOTH = [(Client, AsyncClient), (Task, AsyncTask), (Events, AsyncEvents)]


@pytest.mark.parametrize(("blocking", "awaited"), BOTH)
def test_both_have_the_same_names_options_and_words(blocking, awaited):
    assert public(blocking) == public(awaited)
    for name in public(blocking):
        one, other = getattr(blocking, name), getattr(awaited, name)
        if not callable(one):
            continue
        assert inspect.signature(one) == inspect.signature(other), name
        if name != "events":
            assert one.__doc__ == other.__doc__, name
        waits = name not in {"check", "task", "map", "as_completed", "events", "to_dict", "from_profile"}
        assert inspect.iscoroutinefunction(other) == waits, name
    assert inspect.signature(blocking) == inspect.signature(awaited)


def test_every_module_has_its_stub():
    internal = {
        *(
            "_annotations",
            "_async_jobs",
            "_display",
            "_loop",
            "_observed_run",
            "_plans",
            "_progress",
            "_request",
            "_stubs",
            "_tracing",
            "_wait",
        ),
        *("__main__", "_command"),
    }
    modules = {path.stem for path in PACKAGE.glob("*.py")} - internal
    assert {path.stem for path in STUBS} == modules
    assert (PACKAGE / "py.typed").exists()


def defined(tree):
    """Classes and functions of a stub, with their owner's name."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield None, node
        if isinstance(node, ast.ClassDef):
            yield None, node
            for inner in node.body:
                if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    yield node.name, inner


def arguments(node):
    """Names, kinds and defaults of a stub's function."""
    given, plain = node.args, inspect.Parameter
    named = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(named) - len(given.defaults)) + list(given.defaults)
    pairs = zip(named, defaults, strict=True)
    found = [(one.arg, plain.POSITIONAL_OR_KEYWORD, default) for one, default in pairs]
    if given.vararg:
        found.append((given.vararg.arg, plain.VAR_POSITIONAL, None))
    pairs = zip(given.kwonlyargs, given.kw_defaults, strict=True)
    found += [(one.arg, plain.KEYWORD_ONLY, default) for one, default in pairs]
    if given.kwarg:
        found.append((given.kwarg.arg, plain.VAR_KEYWORD, None))
    return [(name, kind, ast.literal_eval(value) if value else plain.empty) for name, kind, value in found]


def real(function):
    """The same of the function itself; what only catches misspelt options is left out."""
    parameters = inspect.signature(function).parameters.values()
    return [(one.name, one.kind, one.default) for one in parameters if one.name != "unknown"]


# What a stub tells in other words: iteration, comparison, and what forwards options.
LOOSE = {
    "__eq__",
    "__exit__",
    "__aexit__",
    "__hash__",
    "__iter__",
    "__aiter__",
    "__next__",
    "__anext__",
    "start",
}


def agrees(owner, node, thing):
    """Whether a stub's function or class is what is there."""
    if isinstance(node, ast.ClassDef):
        members = {inner.name for inner in node.body if hasattr(inner, "name")}
        members |= {inner.target.id for inner in node.body if isinstance(inner, ast.AnnAssign)}
        own = {member for member in vars(thing) if not member.startswith("_")}
        assert own <= members | set(getattr(thing, "__members__", ())), node.name
        return
    decorators = {ast.unparse(one) for one in node.decorator_list}
    if "property" in decorators:
        assert isinstance(thing, property) or inspect.ismemberdescriptor(thing)
        return
    thing = getattr(thing, "__func__", thing)
    assert callable(thing)
    loose = node.name in LOOSE or "pytest.fixture" in decorators or node.args.kwarg
    if not loose:
        assert arguments(node) == real(thing), f"{owner}.{node.name}"


@pytest.mark.parametrize("stub", STUBS, ids=lambda path: path.stem)
def test_stubs_say_what_is_there(stub):
    tree = ast.parse(stub.read_text())
    if stub.stem == "__init__":
        imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
        assert {one.asname for node in imports for one in node.names} == set(spark_effects.__all__)
        return
    module = importlib.import_module(f"spark_effects.{stub.stem}")
    names = set()
    for owner, node in defined(tree):
        if any(name and re.match("_[A-Za-z]", name) for name in (owner, node.name)):
            continue
        names.add(owner or node.name)
        place = getattr(module, owner) if owner else module
        assert hasattr(place, node.name), f"{owner}.{node.name} is in the stub alone"
        agrees(owner, node, inspect.getattr_static(place, node.name))
    names |= {
        one.id for node in tree.body for one in getattr(node, "targets", ()) if isinstance(one, ast.Name)
    }
    assert names >= set(module.__all__)


def test_stubs_tell_the_docstrings():
    done = subprocess.run(
        [sys.executable, ROOT / "python" / "docstrings.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, f"run python/docstrings.py: {done.stdout}{done.stderr}"
    # One whose definition an editor does not find by itself.
    assert "Submits a request, waits for its picture" in (PACKAGE / "_client.pyi").read_text()


def test_no_two_modules_import_each_other():
    sources = sorted((ROOT / "python/src/spark_effects").glob("*.py"))
    imports = {source.stem: _imported(source) for source in sources}
    assert len(imports) > 15
    # What imports nothing of the rest is in no circle; what remains in the end is.
    while free := [name for name, imported in imports.items() if not imported & imports.keys()]:
        for name in free:
            del imports[name]
    assert not imports


def _imported(source):
    """The modules of the package that a file imports, within functions too."""
    imported = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            imported |= {node.module} if node.module else {name.name for name in node.names}
    return imported


def test_the_two_kinds_of_result_have_the_members_of_the_one():
    text = (PACKAGE / "_many.pyi").read_text()
    kinds = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}
    for name in ("_Done", "_Failed"):
        body = [*kinds["_Result"].body, *kinds[name].body]
        names = {getattr(one, "name", None) or one.target.id for one in body if not isinstance(one, ast.Expr)}
        assert {one for one in names if not one.startswith("_")} == public(spark_effects.Result)


def documented(function):
    section = re.search(r"Args:\n(.*?)(\n\s*\n|\Z)", function.__doc__, re.DOTALL)
    return re.findall(r"^\s+(\w+): ", section.group(1), re.MULTILINE) if section else None


@pytest.mark.parametrize("owner", [Client, Task, spark_effects.Emulator, spark_effects.Policy])
def test_docstrings_name_every_option(owner):
    functions = {name: getattr(owner, name) for name in public(owner)}
    for name, function in {owner.__name__: owner, **functions}.items():
        if not callable(function) or documented(function) is None:
            continue
        options = [one for one in inspect.signature(function).parameters if one not in {"self", "unknown"}]
        assert documented(function) == options, name


def test_everything_public_is_documented():
    for name in spark_effects.__all__:
        thing = getattr(spark_effects, name)
        assert thing.__doc__, name
        for member in public(thing) if inspect.isclass(thing) else ():
            value = inspect.getattr_static(thing, member)
            if member in vars(thing) and (callable(value) or isinstance(value, property)):
                assert getattr(thing, member).__doc__, f"{name}.{member}"


def test_the_page_names_only_what_is_there():
    text = (ROOT / "docs/python.md").read_text()
    for module_names in re.findall(r"^from spark_effects import (.+)$", text, re.MULTILINE):
        for name in module_names.split(","):
            assert hasattr(spark_effects, name.strip()), name
