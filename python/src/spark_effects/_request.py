"""`plain_request`: turns what a caller asks for (a template, a photo, a size and further parameters) into
plain values for the native half, and refuses what cannot be such. The plans of single calls (`_plans.py`)
and each `Job` of many (`_job.py`) call it.
"""

from ._image import plain_image
from ._templates import Template, UnlistedTemplate
from ._values import refused

__all__ = ["plain_request"]


def plain_request(template, image, width, height, extra=None):
    """What is asked for, as the native half reads it."""
    unlisted = isinstance(template, UnlistedTemplate)
    if isinstance(template, Template):
        template = template.value
    elif template is not None and not isinstance(template, str):
        raise TypeError(f"template is {template!r}: give a Template or the text of its id")
    for name, side in (("width", width), ("height", height)):
        # `True` counts as a whole number in Python, and is no side.
        if isinstance(side, bool) or not (side is None or hasattr(side, "__index__")):
            raise TypeError(f"{name} is {side!r}: give a whole number of pixels")
    if template is not None:
        # Also what no text can hold, so that the rule is named and not the encoding.
        template = template.encode(errors="backslashreplace").decode()
    return {
        "template": template,
        "image": plain_image(image),
        "width": _side(width),
        "height": _side(height),
        "allow_unlisted": unlisted,
        "extra": extra_params(extra),
    }


def extra_params(extra):
    """Parameters that this library does not know, as JSON, or nothing."""
    if extra is None:
        return None
    if not (hasattr(extra, "items") and all(isinstance(name, str) for name in extra)):
        raise TypeError(f"extra is {extra!r}: give a dict of names and values, such as {{'seed': 3}}")
    import json

    try:
        # Python would write NaN and Infinity, which JSON does not have.
        return json.dumps(dict(extra), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise refused("extra", extra, f"its values must be such that JSON has ({error})") from None


def _side(pixels):
    """A side as a number that fits: one that does not is as far out of range as any."""
    return None if pixels is None else max(-(2**63), min(pixels.__index__(), 2**63 - 1))
