from collections.abc import Iterable, Mapping
from typing import Any

__all__ = [
    "AuthError",
    "BudgetExceeded",
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
    "WaitTimeout",
]

class EffectsError(Exception):
    kind: str | None
    code: str | None
    task_id: str | None
    status: int | None
    retry_after: float | None
    request_id: str | None
    resume_line: str | None
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
    ) -> None: ...
    def to_dict(self) -> dict[str, Any]: ...

class InvalidRequest(EffectsError, ValueError):
    violations: tuple[Violation, ...]
    def __init__(self, message: str = "", *, violations: Iterable[Violation] = (), **facts: Any) -> None: ...

class AuthError(EffectsError): ...
class RateLimited(EffectsError): ...
class OutOfCredit(EffectsError): ...
class BudgetExceeded(EffectsError): ...
class TaskFailed(EffectsError): ...
class TaskNotFound(EffectsError): ...
class WaitTimeout(EffectsError, TimeoutError): ...
class OutcomeUnknown(EffectsError): ...
class TransportError(EffectsError): ...
class UnreadableAnswer(EffectsError): ...

class Violation:
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

def make(class_name: str, message: str, facts: Mapping[str, Any]) -> BaseException: ...
