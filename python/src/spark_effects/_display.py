"""How effects, tasks and results show themselves in a notebook. None of it touches the network."""

import base64
import html

__all__ = ["effect", "results", "task"]

_MOST_PICTURES = 24
_SIDE = 240


def effect(effect):
    """An effect as a mime bundle: the picture, and a line of what it is."""
    pictures = "".join(_picture(picture) for picture in effect.pictures)
    caption = html.escape(_caption(effect))
    return {
        "text/plain": repr(effect),
        "text/html": f"<figure>{pictures}<figcaption>{caption}</figcaption></figure>",
    }


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
        if marker == 0xFF or 0xD0 <= marker <= 0xD8:
            at += 1 if marker == 0xFF else 2
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _picture(picture, side=512):
    kind = picture._media_type()
    if kind is None:
        url = html.escape(picture.url, quote=True)
        # Other schemes would run what a stranger wrote.
        is_link = picture.url.lower().startswith(("http://", "https://"))
        return f'<a href="{url}">{url}</a>' if is_link else f"<code>{url}</code>"
    data = base64.b64encode(picture.bytes()).decode("ascii")
    return f'<img src="data:{kind};base64,{data}" style="max-width:{side}px;max-height:{side}px">'


def task(task):
    """A task as a mime bundle: what was last seen of it, and how to resume it."""
    facts = {"task": task.id, "template": task.template}
    if task._effect is not None:
        facts["status"] = "completed"
    elif task._seen is not None:
        facts["status"] = task._seen.status
        if task._seen.progress is not None:
            facts["progress"] = f"{task._seen.progress:.0%}"
    else:
        facts["status"] = "not looked at yet"
    facts["elapsed"] = _elapsed(task)
    facts["usually"] = task._eta()
    facts["resume with"] = task.resume_line
    rows = "".join(
        f"<tr><th>{name}</th><td><code>{html.escape(str(value))}</code></td></tr>"
        for name, value in facts.items()
        if value is not None
    )
    return {"text/plain": repr(task), "text/html": f"<table>{rows}</table>"}


def _elapsed(task):
    import time

    if task._effect is not None:
        return f"{task._effect.elapsed:.1f} s of waiting"
    if task._handle.submitted is None:
        return None
    return f"{max(0.0, time.time() - task._handle.submitted):.0f} s since its submission"


def results(results):
    """Results as a mime bundle: a grid of pictures, and of what went wrong."""
    cells = "".join(_cell(result) for result in results[:_MOST_PICTURES])
    done = sum(result.ok for result in results)
    costs = [result.effect.usage.cost for result in results if result.ok]
    spent = sum(cost for cost in costs if cost is not None)
    words = f"{done} of {len(results)} done, {spent} USD"
    if len(results) > _MOST_PICTURES:
        words += f"; the first {_MOST_PICTURES} are shown"
    style = f"display:grid;grid-template-columns:repeat(auto-fill,minmax({_SIDE}px,1fr));gap:8px"
    return {
        "text/plain": f"<{len(results)} results: {words}>",
        "text/html": f'<p>{words}</p><div style="{style}">{cells}</div>',
    }


def _cell(result):
    if result.ok:
        inside = "".join(_picture(picture, _SIDE) for picture in result.effect.pictures)
        caption = _caption(result.effect)
    else:
        inside = f"<strong>{type(result.error).__name__}</strong>"
        caption = str(result.error)
    return f"<figure>{inside}<figcaption>{result.index}: {html.escape(caption)}</figcaption></figure>"
