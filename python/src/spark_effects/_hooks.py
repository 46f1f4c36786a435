"""`ExchangeRequest` and `ExchangeResponse`: what a client's hooks ``on_request`` and ``on_response`` are
called with; ``on_event`` gets an `Event`. `_client.py` checks the hooks with `hooks_of`; the native half
(``hooks.rs``) calls each through `call_hook`.
"""

from ._event import Event
from ._record import Record, record_of, set_field
from ._wait import is_coroutine_function

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

    __slots__ = _fields = ("number", "method", "url", "_headers", "task_id", "body_length")

    def __init__(self, number, method, url, headers, task_id, body_length):
        set_field(self, "number", number)
        set_field(self, "method", method)
        set_field(self, "url", url)
        # As tuples, since a record has a hash.
        set_field(self, "_headers", tuple(map(tuple, headers)))
        set_field(self, "task_id", task_id)
        set_field(self, "body_length", body_length)

    @property
    def headers(self):
        """The headers by their names in small letters; the values of the key's and of the caller's own are
        ``"[redacted]"``. Of a download there are none.
        """
        return dict(self._headers)

    @property
    def request_id(self):
        """The ``X-Request-Id`` of a submission, by which the service's support may find it."""
        return self.headers.get("x-request-id")

    def __repr__(self):
        return f"<ExchangeRequest {self.number}: {self.method} {self.url}>"


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

    __slots__ = _fields = ("request", "status", "request_id", "_headers", "body", "error", "elapsed")

    def __init__(self, request, status, request_id, headers, body, error, elapsed):
        set_field(self, "request", record_of(ExchangeRequest, request))
        set_field(self, "status", status)
        set_field(self, "request_id", request_id)
        set_field(self, "_headers", tuple(map(tuple, headers)))
        set_field(self, "body", body)
        set_field(self, "error", error)
        set_field(self, "elapsed", elapsed)

    @property
    def headers(self):
        """The headers that are kept, by their names in small letters."""
        return dict(self._headers)

    def __repr__(self):
        end = self.error or f"HTTP {self.status}"
        return f"<ExchangeResponse {self.request.number}: {end} after {self.elapsed:.3f} s>"


def hooks_of(**functions):
    """The hooks of a client, as the native half takes them; nothing where there are none."""
    for name, function in functions.items():
        if not (function is None or callable(function)):
            raise TypeError(f"{name} is {function!r}: give a function of one argument")
        if is_coroutine_function(function):
            raise TypeError(
                f"{name} is a coroutine function: give a plain one; it may start a task of the event loop"
            )
    hooks = tuple(functions.values())
    # Without any, exchanges are watched for traces alone.
    return None if hooks == (None, None, None) else hooks


def call_hook(function, kind, facts):
    """Calls a hook with a record of the facts. Whatever it raises ends nothing: the task may be paid for."""
    record = {"request": ExchangeRequest, "event": Event}.get(kind)
    record = ExchangeResponse(facts[0], *facts[1]) if record is None else record(*facts)
    try:
        coming = function(record)
        if hasattr(coming, "__await__"):
            # Closed, or Python warns of a coroutine that was never awaited.
            getattr(coming, "close", lambda: None)()
            # Raised in here, so that it is logged like whatever the hook itself raises.
            raise TypeError("it returned an awaitable, which nothing awaits: give a plain function")
    except KeyboardInterrupt:
        # Ctrl-C, which ends the wait with the ids of what goes on.
        raise
    except BaseException:
        import logging

        logging.getLogger("spark_effects").exception(
            "the hook on_%s raised an error, and what it was told of goes on: %s", kind, record
        )
