from collections.abc import Iterable
from typing import Any

from ._image import Image
from ._templates import Template, UnlistedTemplate
from ._values import _Value  # pyright: ignore[reportPrivateUsage]

__all__ = ["Job", "asked_for", "job_photo", "job_row", "jobs_of"]

class Job(_Value):
    @property
    def template(self) -> Template | UnlistedTemplate | str: ...
    @property
    def image(self) -> Image: ...
    @property
    def width(self) -> float | None: ...
    @property
    def height(self) -> float | None: ...
    @property
    def key(self) -> str | None: ...
    @property
    def tag(self) -> str | None: ...
    def __init__(
        self,
        template: Template | UnlistedTemplate | str,
        image: Image,
        *,
        width: float | None = None,
        height: float | None = None,
        key: str | None = None,
        tag: str | None = None,
    ) -> None: ...

def asked_for(job: Any) -> tuple[str | None, str | None, str | None]: ...
def job_photo(job: Any) -> str | None: ...
def job_row(job: Any) -> dict[str, Any]: ...
def jobs_of(jobs: Any) -> Iterable[Any]: ...
