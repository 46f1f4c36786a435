"""`Effect`: a completed task, with its `Picture` objects, its `Usage` and what is known of how it was made.
``run``, ``wait`` and the ``finish`` of events return it, results of ``map`` and ``as_completed`` hold it, and
``fetch`` and ``download`` take it; `effect_of`, and `_task.py` for a task, make it of what the native half
says. It saves and shows its pictures, and touches no network.
"""

import builtins
from os import PathLike
from typing import Any, overload

from PIL.Image import Image

from ._answer import ServiceError, Usage
from ._picture import Picture, _Writable  # pyright: ignore[reportPrivateUsage]
from ._record import Record

__all__ = ["Effect"]

class Effect(Record):
    """A finished task: its pictures and its bill.

    `url`, `save`, `bytes` and `image` forward to its only picture and raise `ValueError` if there are
    several. They never touch the network.

    Attributes:
        task_id: the task that made it.
        pictures: the pictures; never empty, usually one.
        usage: what it cost.
        warning: an error the service reported beside a usable picture.
        template: the id of the template, if this client knows it.
        elapsed: seconds from the submission to the picture; from the beginning of the wait, where it is not
            known when the task was submitted.
    """

    @property
    def task_id(self) -> str: ...
    @property
    def pictures(self) -> tuple[Picture, ...]: ...
    @property
    def usage(self) -> Usage: ...
    @property
    def warning(self) -> ServiceError | None: ...
    @property
    def template(self) -> str | None: ...
    @property
    def elapsed(self) -> float | None: ...
    def __init__(
        self,
        task_id: str,
        pictures: Any,
        usage: Any,
        metadata: str | None,
        warning: Any,
        raw: str,
        template: str | None,
        elapsed: float | None,
        photo: str | None = None,
        response: Any = None,
    ) -> None: ...
    @property
    def request_id(self) -> str | None:
        """The service's name for the exchange that showed the effect, for its support; ``None`` if it gave
        none, or where a journal alone tells of the effect.
        """
    @property
    def status(self) -> int | None:
        """The HTTP status of the answer that showed the effect."""
    @property
    def headers(self) -> dict[str, str]:
        """Of that answer, the headers by which it is found again, by their names in small letters."""
    @property
    def metadata(self) -> Any:
        """The service's own notes on the task."""
    @property
    def raw(self) -> dict[str, Any]:
        """The whole answer of the service; empty where a journal alone tells of the effect."""
    @property
    def picture(self) -> Picture:
        """The only picture.

        Raises:
            ValueError: there are several.
        """
    @property
    def url(self) -> str:
        """Where the picture is. The link expires."""
    def bytes(self) -> builtins.bytes:
        """The picture's bytes; see `Picture.bytes`."""
    @overload
    def save(self, path: str | PathLike[str]) -> str:
        """Writes the picture to a file, or under ``TEMPLATE-TASKID.png`` in a folder; see `Picture.save`."""
    @overload
    def save(self, path: _Writable) -> None: ...
    def to_dict(self) -> dict[str, Any]:
        """It as a dict for JSON, with the keys of ``effects run --json``; costs are text."""
    def image(self) -> Image:
        """The picture as a PIL image; see `Picture.image`."""
