"""Writes the package's docstrings into its stubs, where editors look for what they show on hover
(`main`). Run it by hand after a docstring has changed; the tests run it with ``--check``.

Run it after a docstring was changed: ``python python/docstrings.py``; ``--check`` only says where they
differ. The package has to be the one that is installed.
"""

import ast
import importlib
import inspect
import pathlib
import sys

STUBS = pathlib.Path(__file__).parent / "src" / "spark_effects"


def documented(text, module):
    """The text of a stub with the docstrings of its module."""
    lines = text.splitlines(keepends=True)
    tree = ast.parse(text)
    # From the last on, so that the places of the others stay.
    for node, doc in sorted(found(tree, module), key=lambda pair: -pair[0].lineno):
        put(lines, node, doc)
    # A stub begins with the first paragraph of its module, which says what it is.
    if tree.body and ast.get_docstring(tree) is not None:
        del lines[: tree.body[0].end_lineno + 1]
    first = inspect.cleandoc(module.__doc__).partition("\n\n")[0]
    end = "\n" if "\n" in first else ""
    return f'"""{first}{end}"""\n\n{"".join(lines)}'


def found(owner, thing):
    """The definitions that have docstrings, with these."""
    seen = set()
    for node in owner.body:
        # An overload that is reported needs none, nor one after the first.
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or node.name in seen:
            continue
        seen.add(node.name)
        one = inspect.getattr_static(thing, node.name, None)
        if one is None and isinstance(node, ast.ClassDef):
            # A class that a stub tells in several.
            one = inspect.getattr_static(thing, node.name.lstrip("_"), None)
        own = getattr(one, "__module__", None) if inspect.isclass(one) else None
        one = getattr(one, "__func__", one)
        if one is None or node.name.startswith("__") or own not in (None, getattr(thing, "__name__", None)):
            continue
        if one.__doc__ and not inspect.ismemberdescriptor(one):
            yield node, inspect.cleandoc(one.__doc__)
        if isinstance(node, ast.ClassDef):
            yield from found(node, one)


def put(lines, node, doc):
    """Puts a docstring at the beginning of a definition."""
    first = node.body[0]
    indent = " " * (node.col_offset + 4)
    words = doc.replace("\\", "\\\\").replace("\n", f"\n{indent}").replace(f"\n{indent}\n", "\n\n")
    end = f"\n{indent}" if "\n" in doc else ""
    doc = f'{indent}"""{words}{end}"""\n'
    if isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str):
        lines[first.lineno - 1 : first.end_lineno] = [doc]
    elif isinstance(first, ast.Expr) and first.value.value is ... and len(node.body) == 1:
        line = lines[first.lineno - 1]
        lines[first.lineno - 1] = f"{line[: first.col_offset].rstrip()}\n{doc}"
    else:
        decorators = getattr(first, "decorator_list", None)
        at = (decorators[0] if decorators else first).lineno - 1
        lines.insert(at, f"{doc}\n")


def main():
    """Writes, or checks; returns the exit code."""
    differ = []
    for path in sorted(STUBS.glob("*.pyi")):
        if path.stem == "__init__":
            continue
        text = path.read_text()
        new = documented(text, importlib.import_module(f"spark_effects.{path.stem}"))
        if new != text:
            differ.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(new)
    print("\n".join(differ) or "all docstrings are in the stubs")
    return bool(differ and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
