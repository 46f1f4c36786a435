"""Checks the built site: `check.py FOLDER`. Every link and anchor within it leads somewhere, and no page or
stylesheet loads anything from elsewhere. `.ci/run` calls it after MkDocs, which checks the Markdown alone.
"""

import html.parser
import pathlib
import re
import sys
import urllib.parse


class Page(html.parser.HTMLParser):
    """What a page has to be checked: its anchors, its links, and what it loads."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.loads = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        elif tag == "link" and found.get("href") and found.get("rel") != "canonical":
            self.loads.append(found["href"])
        elif found.get("src"):
            self.loads.append(found["src"])


def problems(folder):
    """What is wrong with the site, a line each."""
    pages = {path: Page(path.read_text("utf-8")) for path in sorted(folder.rglob("*.html"))}
    for path, page in pages.items():
        # It is shown under any address, so its links begin with a slash.
        if path.name == "404.html":
            continue
        name = path.relative_to(folder)
        for target in page.links + page.loads:
            parts = urllib.parse.urlsplit(target)
            if parts.scheme == "mailto" or (parts.scheme in ("http", "https") and target in page.links):
                continue
            if parts.scheme or parts.netloc:
                if parts.scheme != "data":
                    yield f"{name} loads {target}"
                continue
            file = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
            file = file / "index.html" if file.is_dir() else file
            if not file.is_file():
                yield f"{name}: {target} leads nowhere"
            elif file in pages and urllib.parse.unquote(parts.fragment) not in pages[file].anchors | {
                "",
                "__top",
            }:
                yield f"{name}: {target} has no such anchor"
    for path in sorted(folder.rglob("*.css")):
        for target in re.findall(
            r"""url\(["']?(https?:[^)"']+)|@import\s+["']?(https?:[^"';]+)""", path.read_text("utf-8")
        ):
            yield f"{path.relative_to(folder)} loads {target}"
    if len(pages) < 20:
        yield f"there are {len(pages)} pages"


if __name__ == "__main__":
    found = list(problems(pathlib.Path(sys.argv[1]).resolve()))
    print("\n".join(found) or "every link of the site leads somewhere, and nothing is loaded from elsewhere")
    sys.exit(1 if found else 0)
