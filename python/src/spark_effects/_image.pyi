"""`plain_image`: the input picture in every form it comes in (URL, path, bytes, file, Pillow image,
array), as plain values for the native half; `_request.py` calls it. `photo_path`: the file that the
picture came from, which no saved picture may replace; `_plans.py` and `_job.py` call it.
"""

from os import PathLike
from typing import Any, Protocol

__all__ = ["photo_path", "plain_image"]

class _File(Protocol):
    def read(self) -> bytes: ...

# Protocols, so that a checker needs neither Pillow nor numpy for them.
class _PilImage(Protocol):
    @property
    def mode(self) -> str: ...
    @property
    def size(self) -> tuple[int, int]: ...
    def tobytes(self) -> bytes: ...

class _Array(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Any: ...
    def tobytes(self) -> bytes: ...

Image = str | PathLike[str] | bytes | bytearray | memoryview | _File | _PilImage | _Array

def photo_path(image: Image | None) -> str | None:
    """The file a picture comes from, whole; ``None`` where it comes from none that is known."""

def plain_image(image: Image | None) -> Any:
    """The picture as the native half reads it.

    A ``str`` with ``://`` in it, or one that begins with ``http:``, ``https:`` or ``data:``, is a URL;
    any other ``str`` is a path.
    """
