"""Links of the pages to files of the repository: `rewritten` leads each to the page that shows the file, and
`pages_of_linked_files` makes these pages. `hook.py` uses both.
"""

import json
import os.path
import pathlib
import posixpath
import re

# Where the pages of the repository's files are in the site.
FOLDER = "repository"
LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
FENCE = re.compile(r"(^(`{3,}|~{3,}).*?^\2$)", re.MULTILINE | re.DOTALL)
LANGUAGES = {
    ".rs": "rust",
    ".py": "python",
    ".toml": "toml",
    ".yaml": "yaml",
    ".sh": "sh",
    ".sbatch": "sh",
    ".mjs": "js",
    ".java": "java",
    ".json": "json",
}
PICTURES = {".jpg", ".png", ".svg"}


def pages_of_linked_files(root):
    """The pages of all files of the repository that pages lead to, each with its place in the site."""
    made = {}
    pages = [path.relative_to(root).as_posix() for path in sorted((root / "docs").rglob("*.md"))]
    waiting = [target for page in pages for target in targets((root / page).read_text("utf-8"), page)]
    while waiting:
        path = waiting.pop()
        if path in made or path.startswith("docs/"):
            continue
        made[path] = content = shown(root, path)
        if has_links(root, path):
            waiting += targets(content, path if (root / path).is_file() else f"{path}/README.md")
    for path, content in made.items():
        if has_links(root, path):
            inside = path if (root / path).is_file() else f"{path}/README.md"
            content = rewritten(content, root, inside, place(path))
        yield place(path), content


def has_links(root, path):
    """Whether a file's page has links: a page of Markdown, or a folder."""
    return path.endswith(".md") or (root / path).is_dir()


def targets(text, page):
    """The paths in the repository that a text's links lead to."""
    for part in FENCE.split(text)[::3]:
        for _, target, _, _ in LINK.findall(part):
            if "://" not in target and not target.startswith(("mailto:", "/")):
                yield posixpath.normpath(posixpath.join(posixpath.dirname(page), target))


def place(path):
    """Where a file of the repository is in the site."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    suffix = pathlib.PurePosixPath(path).suffix
    return f"{FOLDER}/{path}" if suffix == ".md" or suffix in PICTURES else f"{FOLDER}/{path}.md"


def rewritten(text, root, page, uri):
    """A text with its links to files of the repository led to their pages."""

    def one(found):
        before, target, anchor, after = found.groups()
        if "://" in target or target.startswith(("mailto:", "/")):
            return found[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        # What is made for the site alone is not there, and MkDocs says so if it is nowhere.
        if not (root / path).exists() and (page.startswith("docs/") and path.startswith("docs/")):
            return found[0]
        if not (root / path).exists():
            raise FileNotFoundError(f"{page}: the link to {target} leads nowhere")
        return before + os.path.relpath(place(path), posixpath.dirname(uri) or ".") + (anchor or "") + after

    parts = FENCE.split(text)
    # Between the fences; each of these is followed by what its fence begins with.
    parts[::3] = [LINK.sub(one, part) for part in parts[::3]]
    del parts[2::3]
    return "".join(parts)


def shown(root, path):
    """What the page of a file has, or the file itself where it is a picture."""
    file = root / path
    if file.is_dir():
        names = sorted(child.name for child in file.iterdir() if child.is_file())
        return f"# `{path}/`\n\n" + "\n".join(f"* [`{name}`]({name})" for name in names) + "\n"
    if file.suffix in PICTURES:
        return file.read_bytes()
    text = file.read_text("utf-8")
    if file.suffix == ".md":
        return text
    if file.suffix == ".ipynb":
        return notebook(json.loads(text))
    return f"# `{path}`\n\n~~~~{LANGUAGES.get(file.suffix, 'text')}\n{text.rstrip()}\n~~~~\n"


def notebook(book):
    """The cells of a notebook one after the other."""
    cells = ("".join(cell["source"]) if cell["cell_type"] == "markdown" else
             "```python\n" + "".join(cell["source"]) + "\n```" for cell in book["cells"])  # fmt: skip
    return "\n\n".join(cells) + "\n"
