"""`stub`: reads one of the package's stubs (``.pyi``) for the annotations of its functions. `_annotations.py`
calls it, and no other code imports it.
"""

import ast
import builtins
import importlib
import os
import sys
import threading
import typing

__all__ = ["stub"]

_stubs = {}

# Held while a stub is read, which is in `_stubs` by then; its imports may read others in the same thread.
_reading = threading.RLock()


def stub(module):
    """The stub of a module, read once."""
    with _reading:
        if module not in _stubs:
            try:
                _Stub(module)
            except BaseException:
                # Those that were read on the way may have taken names from the unfinished one.
                _stubs.clear()
                raise
        return _stubs[module]


class _Stub:
    """The stub of one module: the names that its annotations use, and the definitions."""

    def __init__(self, module):
        self.names = {}
        self._definitions = {}
        # Before its imports, which may lead back here.
        _stubs[module] = self
        path = os.path.splitext(sys.modules[module].__file__)[0] + ".pyi"
        if not os.path.exists(path):
            return
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read())
        for node in tree.body:
            self._take(node, module)

    def _take(self, node, module):
        if isinstance(node, ast.ImportFrom):
            for one in node.names:
                self.names[one.asname or one.name] = _imported(node.level, node.module, one.name)
        elif isinstance(node, ast.Import):
            for one in node.names:
                self.names[one.asname or one.name] = __import__(one.name)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            self.names[name] = self._known(module, name, lambda: self._value(node.value))
        elif isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            self._define(node, node.name)
            self.names[node.name] = self._known(module, node.name, _any)

    def _known(self, module, name, other):
        """What the module has by this name; what only its stub has is `other`."""
        thing = vars(sys.modules[module]).get(name)
        return other() if thing is None else thing

    def _define(self, node, name):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            self._definitions.setdefault(name, []).append(node)
        for inner in getattr(node, "body", ()) if isinstance(node, ast.ClassDef) else ():
            # Overloads that are reported are in an `if`, and have no types.
            if hasattr(inner, "name"):
                self._define(inner, f"{name}.{inner.name}")

    def _value(self, node):
        """An expression of the stub; a name that comes later, or is not here, is anything."""
        # The stub is a file of this package, so that only its own code is run.
        return eval(ast.unparse(node), _Names(self.names))

    def hints(self, name):
        """The annotations of a function, by their names; those of overloads as unions."""
        found = {}
        for node in self._definitions.get(name, ()):
            given = node.args
            named = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
            pairs = [(one.arg, one.annotation) for one in named if one is not None]
            for argument, annotation in [*pairs, ("return", node.returns)]:
                if annotation is not None:
                    found.setdefault(argument, []).append(self._value(annotation))
        # `|` joins two types, and these are any number.
        return {argument: typing.Union[tuple(kinds)] for argument, kinds in found.items()}  # noqa: UP007


class _Names(dict):
    def __missing__(self, name):
        if hasattr(builtins, name):
            # `eval` goes on to the builtins then.
            raise KeyError(name)
        return typing.Any


def _any():
    return typing.Any


def _imported(level, module, name):
    """What a stub imports; of what is not installed, anything."""
    full_name = f"spark_effects.{module}" if level else module
    try:
        found = importlib.import_module(full_name)
    except ImportError:
        return getattr(typing, name, typing.Any)
    # Some names are in a stub alone: types that no module needs when it runs.
    return vars(found)[name] if name in vars(found) else stub(full_name).names.get(name, typing.Any)
