"""The blocks of the site's pages that are made from code: `block` gives one by its name, `files` what is
published beside the pages. `hook.py` uses both, and tests compare them with what the code does.

The command line, exit codes, environment variables and JSON Schemas come from `effects --help --json`; the
kinds of error and the service's codes from the source of `effects-core`; the Python names from the stubs;
templates from the command, and their pictures from the local renderer.
"""

import functools
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import diagrams
import python_reference

ROOT = pathlib.Path(__file__).resolve().parents[2]


def block(name):
    """The Markdown of a block."""
    return BLOCKS[name]()


def effects(*arguments, **options):
    """What the command prints: that of EFFECTS, else of the last build, else the one that is installed."""
    built = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "effects"
    program = os.environ.get("EFFECTS") or (built if built.is_file() else shutil.which("effects"))
    if program is None:
        raise FileNotFoundError(
            "the site needs the command: cargo build -p effects-cli, or name it in EFFECTS"
        )
    return subprocess.run(
        [program, *arguments], check=True, stdout=subprocess.PIPE, text=True, **options
    ).stdout


@functools.cache
def help():
    """The command line as JSON."""
    return json.loads(effects("--help", "--json"))


def cell(text):
    """A text as a cell of a table; its paragraphs begin on a new line."""
    parts = (" ".join(part.split()) for part in str(text).split("\n\n"))
    return "<br>".join(part.replace("|", "\\|").replace("<", "&lt;") for part in parts)


def table(head, rows):
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def paragraphs(text):
    """A text of the command's as Markdown: an example on a line of its own is code."""
    parts = []
    for part in (text or "").strip().split("\n\n"):
        # What is indented is as it is typed.
        example = re.search(r"^ {2,}\S", part, re.MULTILINE)
        parts.append(f"```text\n{part}\n```" if example else part.replace("<", "&lt;").replace("*", "\\*"))
    return "\n\n".join(parts) + "\n"


def parameters(title, found):
    """A table of options or arguments, if there are any."""
    if not found:
        return ""
    rows = []
    for one in found:
        kind = one["type"]
        value = "" if kind in ("flag", "count") else f" {kind}"
        names = ", ".join(f"`{flag}{value}`" for flag in one.get("flags", [])) or f"`{kind}`"
        words = one["help"] or ""
        if 1 < len(one.get("values", [])) <= 12:
            words += f" One of {', '.join(one['values'])}."
        if one.get("default"):
            words += f" Default: `{' '.join(one['default'])}`."
        if one.get("environment"):
            words += f" Environment: `{one['environment']}`."
        rows.append([names, cell(words)])
    return f"**{title}**\n\n{table([title.rstrip('s'), 'means'], rows)}\n"


def command():
    """The commands with their options, those of every command first."""
    text = f"## Every command\n\n{parameters('Options', help()['options'])}"
    waiting = list(help()["commands"])
    while waiting:
        one = waiting.pop(0)
        waiting[:0] = one.get("commands", [])
        text += f"## effects {one['name']}\n\n{paragraphs(one['about'])}\n```text\n{one['usage']}\n```\n\n"
        text += parameters("Arguments", one["arguments"]) + parameters("Options", one["options"])
        text += paragraphs(one["notes"]) + "\n"
        if one.get("prints"):
            objects = ", ".join(f"[`{name}`](json.md#{name.replace('.', '')})" for name in one["prints"])
            text += f"With `--json`: {objects}.\n\n"
    return text


def environment():
    """The environment variables."""
    return table(
        ["variable", "means"], [[f"`{one['name']}`", cell(one["means"])] for one in help()["environment"]]
    )


def exit_codes():
    """The exit codes with the kinds of error that end so."""
    rows = [
        [str(one["code"]), cell(one["means"]), ", ".join(f"`{kind}`" for kind in one["kinds"])]
        for one in help()["exit_codes"]
    ]
    return table(["exit code", "means", "kinds of error"], rows)


def source(path):
    """A source file of the core."""
    return (ROOT / "crates/effects-core/src" / path).read_text("utf-8")


def documented_variants(text, enum):
    """The variants of an enum with their docs."""
    body = re.search(rf"pub enum {enum} \{{\n(.*?)\n\}}", text, re.DOTALL)[1]
    found = re.findall(r"((?: +///.*\n)+)(?: +#\[.*\n)* +(\w+)", body)
    return {
        name: " ".join(line.strip().removeprefix("///").strip() for line in docs.splitlines())
        for docs, name in found
    }


def error_kinds():
    """Each kind of error: variant, name in JSON, Python class, exit code, meaning."""
    text = source("error_kind.rs")
    means = documented_variants(text, "ErrorKind")
    rows = re.findall(r'row\(Self::(\w+), "(\w+)", "(\w+)", (\d+)\)', text)
    assert len(rows) == len(means) == int(re.search(r"TABLE: \[ErrorRow; (\d+)\]", text)[1])
    return [(variant, name, python, int(code), means[variant]) for variant, name, python, code in rows]


def errors():
    """The kinds of error."""
    classes = set(python_reference.names())
    rows = []
    for variant, name, python, code, means in error_kinds():
        shown = f"[`{python}`](python.md#{python})" if python in classes else f"`{python}`"
        rows.append([f"`{name}`", cell(means), str(code), shown, f"`ErrorKind::{variant}`"])
    return table(["in JSON", "means", "exit code", "Python", "Rust"], rows)


def listed_codes():
    """Each code of the service: number, meaning on its page, what it is, whether a new task may do better."""
    text = source("wire/code.rs")
    docs = documented_variants(text, "ServiceCode")
    numbers = dict(re.findall(r'Self::(\w+) => "(\d+)"', text))
    meanings = dict(re.findall(r'Self::(\w+) => "(\D[^"]*)"', text))
    service = set(
        re.findall(r"Self::(\w+)", re.search(r"=> \w+::Caller,\n(.*?)=> \w+::Service", text, re.DOTALL)[1])
    )
    assert set(numbers) == set(meanings) == set(docs) - {"Other"}
    assert service < set(numbers)
    return [
        (number, meanings[name], docs[name].split(": ", 1)[1], name in service)
        for name, number in numbers.items()
    ]


def service_codes():
    """The service's codes."""
    return table(
        ["code", "the service's page says", "which is", "a new task, paid anew, may do better"],
        [
            [code, meaning, cell(docs), "yes" if may else "no: change the request"]
            for code, meaning, docs, may in listed_codes()
        ],
    )


def schemas():
    """The JSON Schema of each object that `--json` prints, whole in itself."""
    found = {}
    for name, schema in sorted(help()["schemas"].items()):
        text = json.dumps(schema)
        parts, waiting = {}, [text]
        while waiting:
            for part in re.findall(r'"#/components/schemas/(\w+)"', waiting.pop()):
                if part not in parts:
                    parts[part] = help()["components"]["schemas"][part]
                    waiting.append(json.dumps(parts[part]))
        whole = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"{name}.json",
            "title": name,
        }
        whole |= schema | ({"$defs": dict(sorted(parts.items()))} if parts else {})
        found[name] = json.loads(json.dumps(whole).replace("#/components/schemas/", "#/$defs/"))
    return found


def kind_of(schema):
    """What a field's value is, in words."""
    if "const" in schema:
        return f"`{schema['const']}`"
    if "$ref" in schema:
        return f"`{schema['$ref'].rsplit('/', 1)[1]}`"
    for key in ("oneOf", "anyOf", "allOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(kind_of(one) for one in schema[key]))
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    kinds = schema.get("type", "any value")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    words = [f"array of {kind_of(schema.get('items', {}))}" if kind == "array" else kind for kind in kinds]
    return " or ".join(words)


def fields(schema):
    """The table of an object's fields."""
    rows = []
    for name, field in schema.get("properties", {}).items():
        always = "" if name in schema.get("required", []) else " (may be missing)"
        rows.append([f"`{name}`", cell(kind_of(field) + always), cell(field.get("description", ""))])
    return table(["field", "is", "means"], rows) if rows else ""


def json_objects():
    """The objects that `--json` prints, and their parts."""
    text, parts = "", {}
    printers = {}
    waiting = list(help()["commands"])
    while waiting:
        one = waiting.pop()
        waiting += one.get("commands", [])
        for name in one.get("prints", []):
            printers.setdefault(name, []).append(one["name"])
    for name, schema in schemas().items():
        text += f"## {name}\n\n"
        if schema.get("description"):
            text += f"{schema['description']}\n\n"
        if name != "effects.error.v1":
            text += f"Printed by {', '.join(f'`{one}`' for one in sorted(printers.get(name, [])))}.\n"
        text += f"[JSON Schema](../schemas/{name}.json)\n\n{fields(schema)}\n"
        parts |= schema.get("$defs", {})
    text += "## Parts\n\n"
    for name, schema in sorted(parts.items()):
        listing = fields(schema) or f"{kind_of(schema)}\n"
        text += (
            f"### {name}\n\n"
            + (f"{schema['description']}\n\n" if schema.get("description") else "")
            + f"{listing}\n"
        )
    return text


def catalogue():
    """The templates: id, title, group."""
    return [json.loads(line) for line in effects("templates", "--json").splitlines()]


def templates():
    """The templates with their pictures."""
    rows = [
        [
            f'![](../thumbnails/{one["id"]}.jpg){{ width="160" loading="lazy" }}',
            f"`{one['id']}`",
            cell(one["title"]),
            one["group"],
        ]
        for one in catalogue()
    ]
    return table(["painted here", "id", "title", "group"], rows)


@functools.cache
def thumbnails():
    """A small picture of each template, painted on this machine from the photo in `examples/`."""
    from PIL import Image

    ids = [one["id"] for one in catalogue()]
    with tempfile.TemporaryDirectory() as folder:
        photo = ROOT / "examples/chelsea.png"
        rows = [
            json.dumps({"template": id, "image": str(photo), "width": 512, "height": 512, "out": f"{id}.png"})
            for id in ids
        ]
        pathlib.Path(folder, "rows.jsonl").write_text("\n".join(rows), "utf-8")
        state = os.environ | {"EFFECTS_STATE_DIR": f"{folder}/state"}
        effects(
            "batch",
            f"{folder}/rows.jsonl",
            "--out",
            f"{folder}/out",
            "--emulator",
            "-q",
            cwd=folder,
            env=state,
        )
        made = {}
        for id in ids:
            small = Image.open(f"{folder}/out/{id}.png").convert("RGB").resize((320, 320))
            file = io.BytesIO()
            small.save(file, "JPEG", quality=80)
            made[id] = file.getvalue()
    return made


def files():
    """What is published beside the pages, each with its place in the site."""
    for name, schema in schemas().items():
        yield f"schemas/{name}.json", json.dumps(schema, indent=2) + "\n"
    for id, picture in thumbnails().items():
        yield f"thumbnails/{id}.jpg", picture
    text = (ROOT / "llms.txt").read_text("utf-8")
    yield (
        "llms.txt",
        re.sub(
            r"\]\((?:docs/)?([^)]+)\.md\)", lambda found: f"]({llms_link(found[0], found[1])}.html)", text
        ),
    )


def llms_link(link, path):
    """Where a page that `llms.txt` names is in the site."""
    return path if link.startswith("](docs/") else f"repository/{path}"


BLOCKS = {
    "command": command,
    "environment": environment,
    **{f"diagram-{name}": functools.partial(diagrams.diagram, name) for name in diagrams.DIAGRAMS},
    "errors": errors,
    "exit-codes": exit_codes,
    "json": json_objects,
    "python": python_reference.reference,
    "service-codes": service_codes,
    "templates": templates,
}
