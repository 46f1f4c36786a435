"""The hook of MkDocs that completes the pages of `docs/` when the site is built; `mkdocs.yml` names it.

A line `<!-- generated: NAME -->` is replaced with the block of that name from `blocks.py`, so that a table
which exists in code is written nowhere else. A link out of `docs/` leads to a page that shows the file: the
site is whole by itself. Beside the pages it publishes JSON Schema files, the templates' thumbnails and
`llms.txt`.
"""

import pathlib
import posixpath
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import blocks
import links
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, InclusionLevel


@event_priority(100)
def on_files(files, config):
    """Adds the files that are made for the site."""

    def add(uri, content):
        made = File.generated(config, uri, content=content, inclusion=InclusionLevel.NOT_IN_NAV)
        if made.src_uri not in files.src_uris:
            files.append(made)

    for name, content in blocks.files():
        add(name, content)
    for uri, content in links.pages_of_linked_files(blocks.ROOT):
        add(uri, content)
    return files


def on_page_markdown(markdown, page, config, files):
    """Puts the generated blocks in, and leads links to files of the repository to their pages."""
    markdown = re.sub(
        r"^<!-- generated: (\S+) -->$", lambda found: blocks.block(found[1]), markdown, flags=re.MULTILINE
    )
    # The language alone: what follows it is for the tests.
    markdown = re.sub(r"^(```\w+),\w+$", r"\1", markdown, flags=re.MULTILINE)
    if page.file.src_uri.startswith(f"{links.FOLDER}/"):
        return markdown
    return links.rewritten(
        markdown, blocks.ROOT, posixpath.join("docs", page.file.src_uri), page.file.src_uri
    )
