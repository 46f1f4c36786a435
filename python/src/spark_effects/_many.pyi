from collections.abc import AsyncIterator, Iterator
from typing import Any

from ._effect import Effect
from ._image import Image
from ._task import AsyncTask, Task
from ._templates import Template, UnlistedTemplate
from ._values import _Value
from .errors import EffectsError

__all__ = ["AsyncResults", "Job", "Result", "ResultList", "Results", "start"]

class Job(_Value):
    @property
    def template(self) -> Template | UnlistedTemplate | str: ...
    @property
    def image(self) -> Image: ...
    @property
    def width(self) -> int | None: ...
    @property
    def height(self) -> int | None: ...
    @property
    def key(self) -> str | None: ...
    @property
    def tag(self) -> str | None: ...
    def __init__(
        self,
        template: Template | UnlistedTemplate | str,
        image: Image,
        *,
        width: int | None = None,
        height: int | None = None,
        key: str | None = None,
        tag: str | None = None,
    ) -> None: ...

class Result:
    index: int
    job: Any
    effect: Effect | None
    error: EffectsError | None
    def __init__(self, index: int, job: Any, effect: Effect | None, error: EffectsError | None) -> None: ...
    @property
    def ok(self) -> bool: ...
    def unwrap(self) -> Effect: ...

class ResultList(list[Result]): ...

class _ResultsBase:
    def stop(self) -> None: ...

class Results(_ResultsBase, Iterator[Result]):
    def __iter__(self) -> Results: ...
    def __next__(self) -> Result: ...
    def all(self) -> ResultList: ...

class AsyncResults(_ResultsBase, AsyncIterator[Result]):
    def __aiter__(self) -> AsyncResults: ...
    async def __anext__(self) -> Result: ...
    async def all(self) -> ResultList: ...

def start(client: Any, jobs: Any, **options: Any) -> tuple[Any, dict[int, Any], Any]: ...

AnyJob = Job | tuple[Template | UnlistedTemplate | str, Image] | dict[str, Any] | Task | AsyncTask
