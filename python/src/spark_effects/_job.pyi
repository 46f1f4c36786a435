"""`Job`: one picture to make, of the many that a program gives to ``map`` or ``as_completed``; a tuple, a
dict, a row of a table or a task is a job, too. `_many.start` reads them with `jobs_of`, which turns a table
into its rows (`TableRow`), and `job_row`, which turns each job into plain values for the native half.
"""

from collections.abc import Iterable, Mapping
from typing import Any, overload

from typing_extensions import LiteralString, deprecated

from ._image import Image
from ._templates import MYPY, Template, TemplateId, UnlistedTemplate
from ._values import _Value  # pyright: ignore[reportPrivateUsage]

__all__ = ["Job", "asked_for", "job_row", "jobs_of"]

class Job(_Value):
    """One picture of many: what is asked for, and what the journal knows it by.

    A side may be a whole float, such as ``1024.0``; NaN, ``pandas.NA`` and ``None`` are left out.

    Args:
        template: a `Template`, or the exact id of one.
        image: the photo, in any form that `Client.run` takes.
        width: pixels across; 1328 when left out.
        height: pixels down; 1328 when left out.
        key: a name of your own for it, unique in the journal; needed where the image is a link that is
            signed anew each time.
        tag: a word to add costs up by.
        extra: parameters that this library does not know, for the service: ``{"seed": 3}``. They tell a
            job from another.
    """

    @property
    def template(self) -> Template | UnlistedTemplate | str: ...
    @property
    def image(self) -> Image: ...
    # A side may be a whole float: tables make one of a whole number where another row has none.
    @property
    def width(self) -> float | None: ...
    @property
    def height(self) -> float | None: ...
    @property
    def key(self) -> str | None: ...
    @property
    def tag(self) -> str | None: ...
    @property
    def extra(self) -> Mapping[str, object] | None: ...
    @overload
    def __init__(
        self,
        template: Template | UnlistedTemplate | TemplateId,
        image: Image,
        *,
        width: float | None = None,
        height: float | None = None,
        key: str | None = None,
        tag: str | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None: ...
    if not MYPY:
        @overload
        @deprecated("the catalogue has no template of this id; Template.unlisted(id) if it is meant")
        def __init__(
            self,
            template: LiteralString,
            image: Image,
            *,
            width: float | None = None,
            height: float | None = None,
            key: str | None = None,
            tag: str | None = None,
            extra: Mapping[str, object] | None = None,
        ) -> None: ...
    @overload
    def __init__(
        self,
        template: str,
        image: Image,
        *,
        width: float | None = None,
        height: float | None = None,
        key: str | None = None,
        tag: str | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None: ...

def asked_for(job: Any) -> tuple[str | None, str | None, str | None]:
    """The template, the key and the tag of a job, as text; what it does not say is ``None``."""

def job_row(job: Any) -> dict[str, Any]:
    """The plain row of a job. The job comes back with its end, and with the file that its photo came from, if
    that is known: it is found now, since neither the job nor the folder need be the same then. What is no job
    ends as an error.
    """

def jobs_of(jobs: Any) -> Iterable[Any]:
    """The jobs of an iterable; a pandas or polars table gives its rows."""
