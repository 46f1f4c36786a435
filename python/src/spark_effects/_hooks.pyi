"""`ExchangeRequest` and `ExchangeResponse`: what a client's hooks ``on_request`` and ``on_response`` are
called with; ``on_event`` gets an `Event`. `_client.py` checks the hooks with `hooks_of`; the native half
(``hooks.rs``) calls each through `call_hook`.
"""

from collections.abc import Callable
from typing import Any

from ._record import Record

__all__ = ["ExchangeRequest", "ExchangeResponse", "hooks_of", "call_hook"]

class ExchangeRequest(Record):
    """A request to the gateway, or for a picture, as a hook is told of it: nothing of it is secret.

    Attributes:
        number: names the exchange within this process.
        method: ``"POST"`` or ``"GET"``.
        url: where it goes, without a query.
        task_id: the task that it looks at, or whose picture it fetches; ``None`` for a submission and an
            upload.
        body_length: the length of its body, in bytes.
    """

    @property
    def number(self) -> int: ...
    @property
    def method(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def task_id(self) -> str | None: ...
    @property
    def body_length(self) -> int: ...
    def __init__(
        self, number: int, method: str, url: str, headers: Any, task_id: str | None, body_length: int
    ) -> None: ...
    @property
    def headers(self) -> dict[str, str]:
        """The headers by their names in small letters; the values of the key's and of the caller's own are
        ``"[redacted]"``. Of a download there are none.
        """
    @property
    def request_id(self) -> str | None:
        """The ``X-Request-Id`` of a submission, by which the service's support may find it."""

class ExchangeResponse(Record):
    """What became of a request, as a hook is told of it, without the key.

    Attributes:
        request: the `ExchangeRequest`.
        status: the HTTP status; ``None`` where no answer came.
        request_id: the service's name for the exchange, if it gave one.
        body: the beginning of the body of an answer that is no success, at most 2 KiB.
        error: what went wrong, in words; ``None`` for a success.
        elapsed: seconds from the request to the end of the answer.
    """

    @property
    def request(self) -> ExchangeRequest: ...
    @property
    def status(self) -> int | None: ...
    @property
    def request_id(self) -> str | None: ...
    @property
    def body(self) -> str | None: ...
    @property
    def error(self) -> str | None: ...
    @property
    def elapsed(self) -> float: ...
    def __init__(
        self,
        request: Any,
        status: int | None,
        request_id: str | None,
        headers: Any,
        body: str | None,
        error: str | None,
        elapsed: float,
    ) -> None: ...
    @property
    def headers(self) -> dict[str, str]:
        """The headers that are kept, by their names in small letters."""

def hooks_of(**functions: Callable[[Any], object] | None) -> tuple[Any, Any, Any] | None:
    """The hooks of a client, as the native half takes them; nothing where there are none."""

def call_hook(function: Callable[[Any], object], kind: str, facts: Any) -> None:
    """Calls a hook with a record of the facts. Whatever it raises ends nothing: the task may be paid for."""
