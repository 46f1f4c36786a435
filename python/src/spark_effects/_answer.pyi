"""What the service says in its answers, as records: `TaskStatus`, what one look at a task showed, which
``task.status()`` returns; `Usage`, what a task cost, which effects and errors have too; and `ServiceError`,
what the service says went wrong: the `error` of a status, the `warning` of an effect. `exchange` gives the
``to_dict`` of both the exchange that showed them.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from ._picture import Picture
from ._record import Record

__all__ = ["ServiceError", "TaskStatus", "Usage"]

class Usage(Record):
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

class ServiceError(Record):
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

class TaskStatus(Record):
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
