"""`Picture`: one picture of a task, its link and its bytes if they were fetched, with what it takes to
save them as a file, show them in a notebook or open them with Pillow. Effects and task statuses hold
pictures: those of ``run``, ``wait`` and ``map`` have their bytes unless ``fetch=False``. ``client.fetch`` and
``client.download`` take a picture, and nothing here touches the network.
"""

import builtins
from os import PathLike
from typing import Any, Protocol, overload

from PIL.Image import Image

from ._record import Record

__all__ = ["Picture"]

class _Writable(Protocol):
    def write(self, data: memoryview, /) -> object: ...

class Picture(Record):
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
