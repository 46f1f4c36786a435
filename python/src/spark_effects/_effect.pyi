"""The records that Python callers get: `Effect`, a completed task with its `Picture` objects and its
`Usage`; `TaskStatus`, what one poll showed, with its `ServiceError`; and `Event`, one event of a run. They
save and show pictures, but touch no network: ``client.fetch`` brings a picture's bytes. The methods of
clients and tasks, ``map``, ``as_completed`` and ``on_event`` functions give them to callers. Their base
`_Record` (immutable, comparable, picklable) is also that of the records in `_hooks.py` and `_emulator.py`.
"""

import builtins
from datetime import datetime
from decimal import Decimal
from os import PathLike
from typing import Any, Protocol, overload

from PIL.Image import Image

__all__ = ["Effect", "Event", "Picture", "ServiceError", "TaskStatus", "Usage"]

class _Record:
    """Equality, pickling and immutability out of `_fields`."""

    def __hash__(self) -> int: ...
    def __eq__(self, other: object) -> bool: ...

class Usage(_Record):
    """What a task cost.

    Attributes:
        unreadable_cost: what the service sent for a cost that is no number from 0 to 10 000; then
            `cost` is ``None``.
    """

    @property
    def cost(self) -> Decimal | None:
        """The cost in USD, exact to the digit, as a `decimal.Decimal`; ``None`` if it was not said,
        or cannot be read.
        """
    @property
    def discount(self) -> Decimal | None:
        """The service's discount; whether it is an amount or a factor is not known."""
    @property
    def unreadable_cost(self) -> str | None: ...
    def to_dict(self) -> dict[str, Any]:
        """It as a dict for JSON: costs are text, exact to the digit."""
    def __init__(
        self,
        cost: str | None = None,
        discount: str | None = None,
        unreadable_cost: str | None = None,
    ) -> None: ...

class ServiceError(_Record):
    """What the service says went wrong with a task.

    Attributes:
        code: the service's code, such as ``"3009095"``, if it gave one.
        message: its words.
    """

    @property
    def code(self) -> str | None: ...
    @property
    def message(self) -> str: ...
    def to_dict(self) -> dict[str, Any]:
        """It as a dict for JSON."""
    def __init__(self, code: str | None, message: str) -> None: ...

class _Writable(Protocol):
    def write(self, data: memoryview, /) -> object: ...

class Picture(_Record):
    """One picture of an effect: its link, which expires, and its bytes if they were fetched.

    Attributes:
        task_id: the task that made it.
        url: where it is; the service does not say for how long.
        size: its length in bytes, if the service said.
        job_id: the service's "remote job ID".
    """

    @property
    def task_id(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def size(self) -> int | None: ...
    @property
    def job_id(self) -> str | None: ...
    def __init__(
        self,
        task_id: str,
        url: str,
        size: int | None = None,
        job_id: str | None = None,
        data: builtins.bytes | None = None,
        photo: str | None = None,
    ) -> None: ...
    @property
    def fetched(self) -> bool:
        """Whether its bytes are here."""
    def bytes(self) -> builtins.bytes:
        """Its bytes, as fetched.

        Raises:
            ValueError: they were not fetched: use ``client.fetch(picture)``.
        """
    @overload
    def save(self, path: str | PathLike[str]) -> str:
        """Writes its bytes to a file, which appears whole or not at all; returns the path.

        A device or a pipe is written to, and a symbolic link stays one. In a folder the picture gets a name
        of its own, ``TASKID.png``, and replaces nothing but the same picture. A name whose suffix is not
        the picture's format is a warning of the logger ``"spark_effects"``.

        Args:
            path: a path, a folder that is there, or a binary file that is open for writing: what is there
                at its place is written over, it stays open, and ``None`` is returned.

        Raises:
            ValueError: they were not fetched: use ``client.download(picture, path)``.
            InvalidRequest: the path is the photo that the picture was made of.
            OSError: the file cannot be written.
        """
    @overload
    def save(self, path: _Writable) -> None: ...
    def to_dict(self) -> dict[str, Any]:
        """What is known of it, as a dict for JSON; without its bytes."""
    def image(self) -> Image:
        """It as a PIL image.

        Raises:
            ImportError: Pillow is not installed.
            ValueError: the bytes were not fetched.
        """

class Effect(_Record):
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

class TaskStatus(_Record):
    """What one look at a task showed.

    Attributes:
        task_id: the task.
        status: ``"queued"``, ``"in_progress"``, ``"completed"``, ``"failed"``, ``"cancelled"``,
            ``"expired"``, ``"rejected"``, or a word that is not known; ``None`` when the answer did not say.
        progress: how far it says it is, 0 to 1.
        pictures: the pictures with a usable URL.
        usage: what it cost.
        error: what the service says went wrong.
    """

    @property
    def task_id(self) -> str: ...
    @property
    def status(self) -> str | None: ...
    @property
    def progress(self) -> float | None: ...
    @property
    def pictures(self) -> tuple[Picture, ...]: ...
    @property
    def usage(self) -> Usage | None: ...
    @property
    def error(self) -> ServiceError | None: ...
    def to_dict(self) -> dict[str, Any]:
        """It as a dict for JSON: costs are text, `created_at` is seconds since the epoch."""
    def __init__(
        self,
        task_id: str,
        status: str | None,
        progress: float | None,
        created_at: float | None,
        pictures: Any,
        usage: Any,
        error: Any,
        metadata: str | None,
        raw: str,
        response: Any = None,
    ) -> None: ...
    @property
    def request_id(self) -> str | None:
        """The service's name for the exchange that showed it, for its support; ``None`` if it gave none."""
    @property
    def headers(self) -> dict[str, str]:
        """Of that answer, the headers by which it is found again, by their names in small letters."""
    @property
    def created_at(self) -> datetime | None:
        """When the service made it, as an aware `datetime.datetime`."""
    @property
    def metadata(self) -> Any:
        """The service's own notes on the task."""
    @property
    def raw(self) -> dict[str, Any]:
        """The whole answer of the service."""
    @property
    def done(self) -> bool:
        """Whether no later look can show anything else."""

class Event(_Record):
    """What happens to a task while it is watched; ``str(event)`` says it in words.

    Attributes:
        kind: ``"submitted"``, ``"running"``, ``"retrying"``, ``"unknown_status"``, ``"warning"``,
            ``"second_task"``, or what later versions have to tell.
        text: it in words.
        details: what else is known of it, as a dict.
    """

    @property
    def text(self) -> str: ...
    def __init__(self, details: str, text: str) -> None: ...
    @property
    def details(self) -> dict[str, Any]:
        """What else is known of it."""
    @property
    def kind(self) -> str:
        """What happened, in one word."""
    @property
    def task_id(self) -> str | None:
        """The task it is about, if there is one yet."""
    @property
    def progress(self) -> float | None:
        """How far the task says it is, 0 to 1."""
