"""What the service says in its answers, as records: `TaskStatus`, what one look at a task showed, which
``task.status()`` returns; `Usage`, what a task cost, which effects and errors have too; and `ServiceError`,
what the service says went wrong: the `error` of a status, the `warning` of an effect. `exchange` gives the
``to_dict`` of both the exchange that showed them.
"""

from . import _native
from ._picture import Picture
from ._record import Record, json_value, record_of, set_field

__all__ = ["ServiceError", "TaskStatus", "Usage"]


class Usage(Record):
    """What a task cost.

    Attributes:
        unreadable_cost: what the service sent for a cost that is no number from 0 to 10 000; then
            `cost` is ``None``.
    """

    __slots__ = _fields = ("_cost", "_discount", "unreadable_cost")

    def __init__(self, cost=None, discount=None, unreadable_cost=None):
        # As text, as the native half gives it: a `Decimal` is made where it is asked for.
        set_field(self, "_cost", cost)
        set_field(self, "_discount", discount)
        set_field(self, "unreadable_cost", unreadable_cost)

    @property
    def cost(self):
        """The cost in USD, exact to the digit, as a `decimal.Decimal`; ``None`` if it was not said,
        or cannot be read.
        """
        return _decimal(self._cost)

    @property
    def discount(self):
        """The service's discount; whether it is an amount or a factor is not known."""
        return _decimal(self._discount)

    def to_dict(self):
        """It as a dict for JSON: costs are text, exact to the digit."""
        unreadable = {} if self.unreadable_cost is None else {"unreadable_cost": self.unreadable_cost}
        return {"cost": self._cost, "discount": self._discount, **unreadable}

    def __repr__(self):
        sent = self.unreadable_cost
        unreadable = "" if sent is None else f", unreadable_cost={sent!r}"
        return f"Usage(cost={self.cost!r}, discount={self.discount!r}{unreadable})"


def _decimal(text):
    if text is None:
        return None
    from decimal import Decimal

    return Decimal(text)


class ServiceError(Record):
    """What the service says went wrong with a task.

    Attributes:
        code: the service's code, such as ``"3009095"``, if it gave one.
        message: its words.
    """

    __slots__ = _fields = ("code", "message")

    def __init__(self, code, message):
        set_field(self, "code", code)
        set_field(self, "message", message)

    def to_dict(self):
        """It as a dict for JSON."""
        return {"code": self.code, "message": self.message}

    def __str__(self):
        # The words are the service's: a terminal must not obey what is in them.
        words = self.message or "no reason given"
        return _native.printable(f"{words} ({self.code})" if self.code else words)

    def __repr__(self):
        return f"ServiceError(code={self.code!r}, message={self.message!r})"


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

    __slots__ = _fields = (
        "task_id",
        "status",
        "progress",
        "_created_at",
        "pictures",
        "usage",
        "error",
        "_metadata",
        "_raw",
        "_response",
    )

    def __init__(
        self, task_id, status, progress, created_at, pictures, usage, error, metadata, raw, response=None
    ):
        set_field(self, "task_id", task_id)
        set_field(self, "status", status)
        set_field(self, "progress", progress)
        set_field(self, "_created_at", created_at)
        set_field(self, "pictures", tuple(record_of(Picture, one) for one in pictures))
        set_field(self, "usage", usage and record_of(Usage, usage))
        set_field(self, "error", error and record_of(ServiceError, error))
        set_field(self, "_metadata", metadata)
        set_field(self, "_raw", raw)
        # The status, the name of the exchange and the headers.
        set_field(self, "_response", response and (*response[:2], tuple(map(tuple, response[2]))))

    @property
    def request_id(self):
        """The service's name for the exchange that showed it, for its support; ``None`` if it gave none."""
        return self._response and self._response[1]

    @property
    def headers(self):
        """Of that answer, the headers by which it is found again, by their names in small letters."""
        return dict(self._response[2]) if self._response else {}

    @property
    def created_at(self):
        """When the service made it, as an aware `datetime.datetime`."""
        if self._created_at is None:
            return None
        # `datetime.UTC` is there only since Python 3.11.
        from datetime import datetime, timezone

        return datetime.fromtimestamp(self._created_at, timezone.utc)

    @property
    def metadata(self):
        """The service's own notes on the task."""
        return json_value(self._metadata)

    @property
    def raw(self):
        """The whole answer of the service."""
        return json_value(self._raw)

    def to_dict(self):
        """It as a dict for JSON: costs are text, `created_at` is seconds since the epoch."""
        return {
            "task_id": self.task_id,
            "status": self.status,
            "progress": self.progress,
            "created_at": self._created_at,
            "pictures": [picture.to_dict() for picture in self.pictures],
            "usage": self.usage and self.usage.to_dict(),
            "error": self.error and self.error.to_dict(),
            "metadata": self.metadata,
            **exchange(self._response),
        }

    @property
    def done(self):
        """Whether no later look can show anything else."""
        # That `expired` and `rejected` are final is a guess: see docs/reference/service.md.
        return self.status in ("completed", "failed", "cancelled", "expired", "rejected")

    def __repr__(self):
        progress = "" if self.progress is None else f", {self.progress:.0%}"
        return _native.printable(f"<TaskStatus of task {self.task_id}: {self.status}{progress}>")

    def _repr_mimebundle_(self, include=None, exclude=None):
        from . import _display

        return _display.status(self)

    def _repr_html_(self):
        return self._repr_mimebundle_()["text/html"]


def exchange(response):
    """The exchange that showed an effect or a task, with the keys of ``--json``."""
    if response is None:
        return {}
    status, request_id, headers = response
    known = {"status": status, "request_id": request_id, "headers": dict(headers)}
    return {"request_id": request_id, "response": known}
