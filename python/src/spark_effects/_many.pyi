"""`Results` and `AsyncResults`: the iterators that ``map`` and ``as_completed`` of both clients return for
many jobs. They yield a `Result` for each, with its effect or its error, and `all` gives the rest as a
`ResultList`. These methods, made by `_plans.many`, call `start`, by which the native half draws and runs
the jobs. At the end of the process `__init__.py` stops the iterators still open.
"""

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any, Literal, Protocol, SupportsIndex, overload

from ._effect import Effect
from ._image import Image
from ._job import Job
from ._task import AsyncTask, Task
from ._templates import Template, TemplateId, UnlistedTemplate
from .errors import EffectsError

__all__ = ["AsyncResults", "Result", "ResultList", "Results", "start"]

class _Result:
    """How one job of many ended: with an effect, or with an error.

    Attributes:
        index: the job's place among the jobs, from 0.
        job: the job, as it was given.
        effect: the `Effect`; ``None`` if there is none.
        error: the `EffectsError`; ``None`` if there is none.
    """

    index: int
    job: Any
    def __init__(self, index: int, job: Any, effect: Effect | None, error: EffectsError | None) -> None: ...
    @property
    def cost(self) -> Decimal | None:
        """What its task cost in USD, as a `decimal.Decimal`, also one that failed; ``None`` if no cost is
        known.
        """
    @property
    def request_id(self) -> str | None:
        """The name of the exchange that the end came with, for the service's support."""
    def unwrap(self) -> Effect:
        """The effect; raises the error if there is none."""
    def to_dict(self) -> dict[str, Any]:
        """It as a dict for JSON: the effect as `Effect.to_dict` tells it, the error with its words."""
    def __hash__(self) -> int: ...
    def __eq__(self, other: object) -> bool: ...

class _Done(_Result):
    effect: Effect
    error: None
    @property
    def ok(self) -> Literal[True]: ...

class _Failed(_Result):
    effect: None
    error: EffectsError
    @property
    def ok(self) -> Literal[False]: ...

# `if result.ok:` tells which of the two it is in mypy, `if result.error is None:` in pyright too.
Result = _Done | _Failed

class ResultList(list[Result]):
    """Results that show themselves as a grid in a notebook; a slice of it does, too."""

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Result: ...
    @overload
    def __getitem__(self, index: slice, /) -> ResultList: ...
    def copy(self) -> ResultList:
        """The same results in another list."""
    def to_pandas(self) -> Any:
        """A pandas table with one row a result: its place, whether it is ok, what was asked for, the task,
        the cost as a `decimal.Decimal`, the link, and what went wrong.

        Raises:
            ImportError: pandas is not installed.
        """

class _ResultsBase:
    def stop(self) -> None:
        """Stops the watching: what was not submitted is not, and what is under way goes on.

        The results still to come tell what was known of each.
        """
    def __del__(self) -> None: ...

class Results(_ResultsBase, Iterator[Result]):
    """The results of many jobs, as an iterator. `stop`, `close`, which is the same, or letting go of it,
    stops the watching.

    Tasks that were paid for and whose results were not taken are then named in a warning of the logger
    ``"spark_effects"``, which Python prints on stderr where no handler is set.
    """

    def __iter__(self) -> Results: ...
    def __next__(self) -> Result: ...
    def close(self) -> None:
        """Stops the watching, as `stop` does, also where that was done: for `contextlib.closing`."""
    def all(self) -> ResultList:
        """Every result still to come, as a list that shows itself as a grid in a notebook."""

class AsyncResults(_ResultsBase, AsyncIterator[Result]):
    """The results of many jobs, as an async iterator. `stop`, `aclose`, which is the same, a cancellation, or
    letting go of it, stops the watching.

    Tasks that were paid for and whose results were not taken are then named in a warning of the logger
    ``"spark_effects"``, which Python prints on stderr where no handler is set.
    """

    def __aiter__(self) -> AsyncResults: ...
    async def __anext__(self) -> Result: ...
    async def aclose(self) -> None:
        """Stops the watching, as `stop` does, also where that was done: for `contextlib.aclosing`."""
    async def all(self) -> ResultList:
        """Every result still to come, as a list that shows itself as a grid in a notebook."""

def start(client: Any, jobs: Any, **options: Any) -> tuple[Any, Any, Any]:
    """Begins many jobs; returns what the results are made of."""

class _Table(Protocol):
    """A pandas or polars table."""

    @property
    def columns(self) -> Any: ...

AnyJob = (
    Job | tuple[Template | UnlistedTemplate | TemplateId | str, Image] | dict[str, Any] | Task | AsyncTask
)
