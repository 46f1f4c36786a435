"""`EffectsError` and its subclasses: the errors that both clients raise and that results of many jobs
hold. `Violation`: one rule that a request breaks; an `InvalidRequest` has them, and ``check`` of both
clients returns them as a `ViolationList`. The native half makes its errors with `make`;
`_values.refused` makes those of bad options.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ._answer import Usage

__all__ = [
    "AuthError",
    "BudgetExceeded",
    "DeadlineExceeded",
    "EffectsError",
    "InvalidRequest",
    "OutOfCredit",
    "OutcomeUnknown",
    "RateLimited",
    "TaskFailed",
    "TaskNotFound",
    "TransportError",
    "UnreadableAnswer",
    "Violation",
    "ViolationList",
    "WaitTimeout",
]

class EffectsError(Exception):
    """Anything that went wrong with an effect.

    It is raised itself where no narrower class fits: a journal that cannot be written, say.

    Attributes:
        kind: what went wrong, in one word of the command's JSON, such as ``"key_refused"``.
        code: the service's code, such as ``"3009003"``.
        task_id: the task it is about; known for every error after a submission was answered.
        status: the HTTP status of the answer it is about.
        retry_after: seconds the service asked to wait.
        request_id: the name of the exchange, for the service's support.
        headers: of the answer it is about, those by which it is found again, by their names in small letters.
        body: the beginning of an answer that is no usable task: at most 2 KiB, without the key.
        resume_line: the command that resumes the task, where there is one to resume.
        usage: the bill of its task, as a `Usage`, where one is known: a task that failed may have one, and
            so has one whose picture could not be fetched.
    """

    kind: str | None
    code: str | None
    task_id: str | None
    status: int | None
    retry_after: float | None
    request_id: str | None
    resume_line: str | None
    headers: dict[str, str]
    body: str | None
    usage: Usage | None
    def __init__(
        self,
        message: str = "",
        *,
        kind: str | None = None,
        code: str | None = None,
        task_id: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
        resume_line: str | None = None,
        headers: dict[str, str] | None = None,
        body: str | None = None,
        usage: Usage | None = None,
    ) -> None: ...
    def to_dict(self) -> dict[str, Any]:
        """It as a dict for JSON: its class, its words, and what it knows."""

class InvalidRequest(EffectsError, ValueError):
    """The request or an option is bad, or the service refused it. Nothing is billed.

    It is a ``ValueError`` too, so that options are refused in one way.

    Attributes:
        violations: every rule that is broken, as `Violation` objects; empty where the service said no.
    """

    violations: tuple[Violation, ...]
    def __init__(self, message: str = "", *, violations: Iterable[Violation] = (), **facts: Any) -> None: ...

class AuthError(EffectsError):
    """The key is missing, refused, or may not do this. Nothing is billed."""

class RateLimited(EffectsError):
    """The service throttled to the end of the wait. Nothing is billed."""

class OutOfCredit(EffectsError):
    """The account is out of credit. Nothing is billed."""

class BudgetExceeded(EffectsError):
    """The caller's own budget would be exceeded. Nothing was sent."""

class TaskFailed(EffectsError):
    """The task failed, or is completed without a picture."""

class TaskNotFound(EffectsError):
    """The service knows no such task."""

class WaitTimeout(EffectsError, TimeoutError):
    """The wait is over and the task is not. It goes on, and so does its bill."""

class OutcomeUnknown(EffectsError):
    """A submission's answer is lost: the task may exist and may be billed.

    ``request_id`` is the ``X-Request-Id`` it was sent with, by which the service's support may find it.
    """

class TransportError(EffectsError):
    """The service could not be reached, or a photo or a picture could not be transferred."""

class DeadlineExceeded(TransportError, TimeoutError):
    """The caller's deadline was over before anything was submitted. Nothing is billed."""

class UnreadableAnswer(EffectsError):
    """The service's answer cannot be read."""

class Violation:
    """One rule that a request breaks.

    Attributes:
        code: the service's code, ``"3009001"`` to ``"3009004"``; ``None`` for what is wrong with an
            option or a photo on this machine.
        field: the parameter, such as ``"template_id"``.
        value: what was given, if anything was.
        message: the rule, and the way out.
        suggestions: ids of templates that were probably meant.
    """

    code: str | None
    field: str
    value: str | None
    message: str
    suggestions: tuple[str, ...]
    def __init__(
        self,
        code: str | None,
        field: str,
        value: str | None,
        message: str,
        suggestions: Iterable[str] = (),
    ) -> None: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object) -> bool: ...

def make(class_name: str, message: str, facts: Mapping[str, Any]) -> BaseException:
    """Makes the exception of an error that the native half tells of."""

class ViolationList(list[Violation]):
    """Violations that show themselves as a table in a notebook."""
