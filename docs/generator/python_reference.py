"""The reference of the Python package, made from its stubs: `reference` is the page's text, `names` what the
package offers. `blocks.py` uses both. Nothing is imported, so the package need not be installed.
"""

import ast
import functools
import inspect
import pathlib
import re
import textwrap

STUBS = pathlib.Path(__file__).resolve().parents[2] / "python/src/spark_effects"
# The order of the page; what is in none of these follows.
GROUPS = {
    "Clients": ["Client", "AsyncClient"],
    "Tasks": ["Task", "AsyncTask", "TaskStatus", "Event", "Events", "AsyncEvents"],
    "Effects": ["Effect", "Picture", "Usage", "ServiceError"],
    "Many at once": ["Job", "Result", "Results", "AsyncResults", "ResultList"],
    "Templates": ["Template", "UnlistedTemplate", "templates"],
    "When to look, what to repeat": ["Pace", "Backoff", "Policy"],
    "Hooks": ["ExchangeRequest", "ExchangeResponse"],
    "The local gateway": ["Emulator", "SeenRequest"],
}
SECTIONS = ("Args", "Raises", "Returns", "Yields", "Attributes", "Example", "Examples")


@functools.cache
def modules():
    """Each stub, parsed, with its text."""
    texts = {path.stem: path.read_text("utf-8") for path in sorted(STUBS.glob("*.pyi"))}
    return {name: (ast.parse(text), text) for name, text in texts.items()}


@functools.cache
def names():
    """What the package offers, by name: the module and the definitions, several where it is overloaded."""
    tree, _ = modules()["__init__"]
    listed = next(
        node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
    )
    wanted = {element.value for element in listed.elts} - {"errors"}
    errors = {
        node.name
        for node in modules()["errors"][0].body
        if isinstance(node, ast.ClassDef) and node.name[0] != "_"
    }
    found = {}
    for name, (tree, _) in modules().items():
        for node in tree.body:
            if getattr(node, "name", None) in wanted | errors and isinstance(
                node, (ast.ClassDef, ast.FunctionDef)
            ):
                found.setdefault(node.name, (name, []))[1].append(node)
    missing = wanted - set(found)
    # A name that another name stands for.
    for name, (tree, _) in modules().items():
        for node in tree.body:
            target = node.target if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [None])[0]
            if isinstance(target, ast.Name) and target.id in missing:
                found[target.id] = (name, [node])
    assert wanted <= set(found), wanted - set(found)
    return found


def reference():
    """The text of the page."""
    known = set().union(*GROUPS.values())
    errors = [name for name, (module, _) in names().items() if module == "errors" and name not in known]
    rest = [name for name in names() if name not in known and name not in errors]
    groups = GROUPS | {"Errors": errors} | ({"More": rest} if rest else {})
    return "\n".join(f"## {title}\n\n" + "\n".join(map(one, listed)) for title, listed in groups.items())


def one(name):
    """A class with its members, or a function. Several classes under one name are shown as one."""
    module, nodes = names()[name]
    if isinstance(nodes[0], ast.Assign):
        parts = {part.id for part in ast.walk(nodes[0].value) if isinstance(part, ast.Name)}
        nodes = [node for node in modules()[module][0].body if getattr(node, "name", None) in parts]
    if not isinstance(nodes[0], ast.ClassDef):
        return entry(name, module, nodes, 3)
    owners = {}
    for node in nodes:
        owners |= {
            owner.name: (place, owner) for place, owner in [*private_bases(module, node), (module, node)]
        }
    docs = [doc for _, owner in owners.values() if (doc := ast.get_docstring(owner))]
    bases = [
        base for base in map(ast.unparse, nodes[0].bases) if not base.startswith("_") and base != "Protocol"
    ]
    text = heading(3, name, name) + (f"A `{'`, `'.join(bases)}`.\n\n" if bases else "")
    text += markdown(docs[-1] if docs else None)
    members = {}
    for place, owner in owners.values():
        found = {}
        for member in owner.body:
            is_function = isinstance(member, (ast.FunctionDef, ast.AsyncFunctionDef))
            if is_function and (member.name[0] != "_" or member.name == "__init__"):
                found.setdefault(member.name, []).append(member)
        for member, definitions in found.items():
            # What a class defines replaces what its base does, and stands beside what its equals do.
            equal = [] if owner in nodes and len(nodes) == 1 else members.get(member, (place, []))[1]
            members[member] = (place, equal + definitions)
    for member, (place, definitions) in members.items():
        text += entry(f"{name}.{member}", place, definitions, 4)
    return text


def private_bases(module, node):
    """The base classes that only the package knows, the lowest first."""
    for base in map(ast.unparse, node.bases):
        if base.startswith("_"):
            base = base.split("[")[0]
            for found in modules()[module][0].body:
                if isinstance(found, ast.ClassDef) and found.name == base:
                    yield from private_bases(module, found)
                    yield module, found


def heading(level, text, anchor):
    """A heading with an anchor of its own."""
    return f"{'#' * level} `{text}` {{ #{anchor} }}\n\n"


def entry(name, module, nodes, level):
    """A function with its signatures and its docstring, or a property."""
    signatures = [signature(module, node) for node in nodes]
    docs = next((doc for node in nodes if (doc := docstring(node))), None)
    return (
        heading(level, name, name.replace(".__init__", ".init"))
        + "```python\n"
        + "\n".join(signatures)
        + "\n```\n\n"
        + markdown(docs)
    )


def docstring(node):
    """The docstring of a definition."""
    return (
        ast.get_docstring(node)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        else None
    )


def signature(module, node):
    """A definition as the stub has it, without its body."""
    lines = modules()[module][1].splitlines()
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return inspect.cleandoc("\n".join(lines[node.lineno - 1 : node.end_lineno]))
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    text = "\n".join(lines[first - 1 : node.body[0].lineno])
    text = re.sub(r":\s*(?:\.\.\.|r?\"\"\".*)\s*\Z", "", text, flags=re.DOTALL)
    indent = " " * node.col_offset
    return "\n".join(line.removeprefix(indent) for line in text.splitlines() if line.strip() != "@overload")


def markdown(text):
    """A docstring as Markdown: sections as lists, examples as code."""
    if not text:
        return ""
    made, section = [], False
    for part in re.split(r"\n\s*\n", text):
        title, _, rest = part.partition("\n")
        if title.rstrip(":") in SECTIONS and title.endswith(":"):
            made.append(f"**{title.rstrip(':')}**")
            section, part = True, textwrap.dedent(rest)
        elif section and part.startswith(" "):
            part = textwrap.dedent(part)
        else:
            section = False
        if not part:
            continue
        if part.lstrip().startswith(">>>"):
            made.append(f"```pycon\n{inspect.cleandoc(part)}\n```")
        elif section and re.match(r"[\w*, .|`]+: ", part):
            made.append(items(part))
        else:
            made.append(inspect.cleandoc(part).replace("``", "`").removesuffix("::"))
    return "\n\n".join(made) + "\n\n"


def items(part):
    """The lines of a section as a list."""
    entries = []
    for line in part.splitlines():
        if line.startswith(" ") and entries:
            entries[-1] += " " + line.strip()
        else:
            entries.append(line)
    pairs = (entry.partition(": ") for entry in entries)
    return "\n".join(f"* `{name}`: {words}".replace("``", "`") for name, _, words in pairs)
