"""`effect`, `picture`, `task`, `results` and others: HTML and PNG of the package's values, for
notebooks. The ``_repr_mimebundle_``, ``_repr_html_`` and ``_repr_png_`` of `Effect`, `Picture`, `Task`
and the lists of results, templates and violations, among others, call them. None of them touches the
network.

Styles are inline, since a saved notebook loses style sheets; colours come from the page, light or dark.
"""

import base64
import html

from . import _native

__all__ = ["effect", "picture", "png", "results", "status", "task", "templates", "violations"]

_RED = "var(--jp-error-color1,var(--vscode-errorForeground,#d32f2f))"
# Nothing is wider than its cell, and words that are too long for it are broken.
_CELL = "margin:0;min-width:0;overflow-wrap:anywhere"
_SIDE = 512
# The longest side of the PNG, for viewers that show no HTML.
_PNG_SIDE = 768
# Pictures of more bytes than this are shown as thumbnails.
_MAX_INLINE_BYTES = 150_000
# Up to so many results, pictures have this side, so that a saved notebook stays small.
_SIDES = ((40, 320), (150, 160), (400, 96))


def effect(effect):
    """An effect: its pictures, and a line of what it is."""
    pictures = "".join(_shown(picture, _SIDE) for picture in effect.pictures)
    bundle = _bundle(effect, _figure(pictures, html.escape(_caption(effect))))
    return _with_image(bundle, effect.pictures[0] if effect.pictures else None)


def picture(picture):
    """A picture, and where it comes from."""
    facts = [f"task {picture.task_id}"]
    sides = _sides(picture)
    if sides:
        facts.append(f"{sides[0]}x{sides[1]}")
    if not picture.fetched:
        facts.append("not fetched")
    caption = html.escape(" · ".join(facts))
    return _with_image(_bundle(picture, _figure(_shown(picture, _SIDE), caption)), picture)


def png(picture):
    """A picture as the bytes of a PNG, at most 768 pixels a side; ``None`` if it was not fetched."""
    kind = picture._media_type()
    if kind is None:
        return None
    data, sides = picture.bytes(), _sides(picture)
    if kind == "image/png" and sides and max(sides) <= _PNG_SIDE:
        return data
    # What cannot be decoded here may still be one.
    return _native.thumbnail(data, _PNG_SIDE, True) or (data if kind == "image/png" else None)


def _with_image(bundle, picture):
    """The bundle with the picture by itself, which is all that LaTeX and PDF take."""
    data = None if picture is None else png(picture)
    if data is not None:
        bundle["image/png"] = base64.b64encode(data).decode("ascii")
    return bundle


def _bundle(thing, shown):
    return {"text/plain": repr(thing), "text/html": shown}


def _figure(inside, caption, style=""):
    return f'<figure style="{_CELL}{style}">{inside}<figcaption>{caption}</figcaption></figure>'


def _caption(effect):
    facts = [effect.template or "effect", f"task {effect.task_id}"]
    sides = _sides(effect.pictures[0]) if effect.pictures else None
    if sides:
        facts.append(f"{sides[0]}x{sides[1]}")
    if effect.elapsed is not None:
        facts.append(f"{effect.elapsed:.1f} s")
    if effect.usage.cost is not None:
        facts.append(f"{effect.usage.cost} USD")
    return " · ".join(facts)


def _sides(picture):
    """Width and height of a PNG or JPEG that was fetched; of another, if Pillow knows them."""
    kind = picture._media_type()
    if kind == "image/png":
        data = picture.bytes()
        # The IHDR chunk, which comes first in every PNG, begins with both.
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if kind == "image/jpeg":
        return _jpeg_sides(picture.bytes())
    try:
        return picture.image().size if kind else None
    except (ImportError, OSError):
        return None


def _jpeg_sides(data):
    """What the frame header says; ``None`` if there is none."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        # 0xFF fills; restarts and the start of the image (0xD0 to 0xD8) have no length behind them.
        if marker == 0xFF or 0xD0 <= marker <= 0xD8:
            at += 1 if marker == 0xFF else 2
            continue
        # Frame headers, but for the three in their range that are none: Huffman tables, JPG, arithmetic
        # coding.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _shown(picture, side, most=_MAX_INLINE_BYTES):
    """A picture, or its link where it was not fetched."""
    kind = picture._media_type()
    if kind is None:
        return _link(picture.url)
    data = picture.bytes()
    if len(data) > most:
        small = _native.thumbnail(data, 2 * side if side == _SIDE else side, False)
        if small is not None:
            data, kind = small, "image/png" if small.startswith(b"\x89PNG") else "image/jpeg"
    # Within the page, since a saved notebook has no files beside it.
    data = base64.b64encode(data).decode("ascii")
    style = f"display:block;max-width:min({side}px,100%);max-height:{side}px"
    return f'<img src="data:{kind};base64,{data}" alt="" style="{style}">'


def _link(url):
    shown = html.escape(url, quote=True)
    # A `javascript:` link would run code from the answer.
    is_link = url.lower().startswith(("http://", "https://"))
    return f'<a href="{shown}">{shown}</a>' if is_link else f"<code>{shown}</code>"


def _table(facts):
    """Facts by their names; those that are not known are left out."""
    rows = "".join(
        f'<tr><th style="text-align:left">{name}</th><td style="text-align:left;overflow-wrap:anywhere">'
        f"{value}</td></tr>"
        for name, value in facts.items()
        if value is not None
    )
    return f'<table style="max-width:100%">{rows}</table>'


def _code(value):
    return None if value is None else f"<code>{html.escape(str(value))}</code>"


def _red(words):
    return f'<span style="color:{_RED}">{html.escape(str(words))}</span>'


def task(task):
    """A task: what was last seen of it, and how to resume it."""
    status, progress, failure = task._last_seen()
    facts = {
        "task": _code(task.id),
        "template": _code(task.template),
        "status": _red("failed") if status == "failed" else _code(status or "not looked at yet"),
        "error": None if not failure else _red(failure),
        "progress": _code(None if progress is None else f"{progress:.0%}"),
        "elapsed": _code(_elapsed(task)),
        "usually": _code(None if task._is_over() else task._eta()),
        "resume with": _code(task.resume_line),
    }
    return _bundle(task, _table(facts))


def _elapsed(task):
    import time

    submitted, ended = task._handle.submitted, task._ended
    if task._effect is not None and task._effect.elapsed is not None:
        return f"{task._effect.elapsed:.1f} s"
    if submitted is None:
        return None
    if ended is not None:
        return f"{max(0.0, ended - submitted):.1f} s"
    return f"{max(0.0, time.time() - submitted):.0f} s since its submission"


def status(status):
    """What one look showed."""
    links = "<br>".join(_link(picture.url) for picture in status.pictures)
    cost = None if status.usage is None else status.usage.cost
    facts = {
        "task": _code(status.task_id),
        "status": _red(status.status)
        if status.done and status.status != "completed"
        else _code(status.status),
        "error": None if status.error is None else _red(status.error),
        "progress": _code(None if status.progress is None else f"{status.progress:.0%}"),
        "made": _code(status.created_at),
        "cost": _code(None if cost is None else f"{cost} USD"),
        "pictures": links or None,
    }
    return _bundle(status, _table(facts))


def results(results):
    """Results: a grid of all of them, those that went wrong first."""
    results = list(results)
    done = sum(result.ok for result in results)
    spent = sum(result.cost for result in results if result.cost is not None)
    words = f"{done} of {len(results)} done, {spent} USD"
    side = next((side for most, side in _SIDES if len(results) <= most), _SIDES[-1][1])
    # First, so that none is missed at the end of a long grid.
    cells = [_failed(result) for result in results if not result.ok]
    for number, result in enumerate(result for result in results if result.ok):
        cells.append(_done(result, side, number < _SIDES[-1][0]))
    width = min(side, 200) if len(results) > 1 else _SIDE
    style = f"display:grid;grid-template-columns:repeat(auto-fill,minmax(min({width}px,100%),1fr));gap:12px"
    failed = f", {_red(f'{len(results) - done} failed')}" if done < len(results) else ""
    return {
        "text/plain": f"<{len(results)} results: {words}>",
        "text/html": f'<p>{words}{failed}</p><div style="{style}">{"".join(cells)}</div>',
    }


def _done(result, side, with_pictures):
    effect = result.effect
    # A small one is not made smaller.
    most = side * side // 4
    # After so many results, links stand for pictures: a page that holds all of them is too large to save.
    shown = _shown if with_pictures else lambda picture, *_: _link(picture.url)
    inside = "".join(shown(picture, side, most) for picture in effect.pictures)
    return _figure(inside, f"{result.index}: {html.escape(_caption(effect))}")


def _failed(result):
    name = f"<strong>{_red(type(result.error).__name__)}</strong>"
    caption = f"{result.index}: {html.escape(str(result.error))}"
    return _figure(name, caption, f";border-left:4px solid {_RED};padding-left:8px")


def violations(violations):
    """What is wrong with a request."""
    if not violations:
        return "<p>Nothing is wrong with it.</p>"
    rows = "".join(
        f'<tr><td style="text-align:left">{_red(one.field)}</td>'
        f'<td style="text-align:left">{_code(one.value) or ""}</td>'
        f'<td style="text-align:left;overflow-wrap:anywhere">{html.escape(str(one))}</td></tr>'
        for one in violations
    )
    head = "".join(f'<th style="text-align:left">{word}</th>' for word in ("parameter", "given", "rule"))
    return f'<table style="max-width:100%"><tr>{head}</tr>{rows}</table>'


def templates(templates):
    """Templates, by their groups."""
    groups = {}
    for template in templates:
        groups.setdefault(template.group, []).append(template)
    rows = "".join(
        f'<tr><td style="text-align:left">{html.escape(template.title)}</td>'
        f'<td style="text-align:left;overflow-wrap:anywhere">{_code(template.value)}</td>'
        f'<td style="text-align:left">{group if template is members[0] else ""}</td></tr>'
        for group, members in sorted(groups.items())
        for template in members
    )
    head = "".join(f'<th style="text-align:left">{word}</th>' for word in ("template", "id", "group"))
    return f'<table style="max-width:100%"><tr>{head}</tr>{rows}</table>'
