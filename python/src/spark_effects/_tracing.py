"""OpenTelemetry spans: `CallSpan` is the span of one call of a client; within it, `exchange` makes one for
each HTTP exchange, and `CallSpan.job` one for each of many jobs. `_wait.start_span` makes a `CallSpan`
where the program has imported ``opentelemetry.trace``; the native half (``hooks.rs``) calls `exchange`,
`_many.py` calls `CallSpan.job`.

Names and attributes of exchanges are those of OpenTelemetry's conventions for HTTP clients.
"""

from urllib.parse import urlsplit

from opentelemetry import trace

from . import _native

__all__ = ["CallSpan", "exchange"]

_KIND = trace.SpanKind


def _tracer():
    return trace.get_tracer("spark_effects", _native.__version__)


class CallSpan:
    """The span of one call, from its beginning to its result."""

    __slots__ = ("_span", "context")

    def __init__(self, name):
        self._span = _tracer().start_span(f"spark_effects.{name}")
        # What its exchanges stand in; nothing where nothing records.
        self.context = trace.set_span_in_context(self._span) if self._span.is_recording() else None

    def ended(self, result):
        """The call has its result."""
        self._span.set_attributes(_known(result))
        self._span.end()

    def failed(self, error):
        """The call ends with an error."""
        _failed(self._span, error)
        self._span.end()

    def job(self, result):
        """One job of many ended."""
        import time

        effect, now = result.effect, time.time_ns()
        # Jobs run in the native half: a span is made when its job is over, and dated back.
        begin = now - int((getattr(effect, "elapsed", None) or 0) * 1e9)
        span = _tracer().start_span("spark_effects.job", context=self.context, start_time=begin)
        span.set_attribute("spark_effects.index", result.index)
        if result.ok:
            span.set_attributes(_known(effect))
        else:
            _failed(span, result.error)
        span.end(end_time=now)


def _known(result):
    """What is known of a result: the task, its template and its cost."""
    # A result may also be text, bytes or nothing: what it does not have is left out.
    status = getattr(result, "status", None)
    known = {
        "spark_effects.task_id": getattr(result, "task_id", None) or getattr(result, "id", None),
        "spark_effects.template": getattr(result, "template", None),
        # A task's, and not that of an exchange.
        "spark_effects.status": status if isinstance(status, str) else None,
        "spark_effects.cost": _cost(result),
    }
    return {name: value for name, value in known.items() if isinstance(value, (str, float))}


def _cost(thing):
    cost = getattr(getattr(thing, "usage", None), "cost", None)
    # Attributes of OpenTelemetry are text, numbers or truth values, and no decimals.
    return None if cost is None else float(cost)


def _failed(span, error):
    known = {
        "error.type": type(error).__qualname__,
        "spark_effects.task_id": getattr(error, "task_id", None),
        "spark_effects.code": getattr(error, "code", None),
        "spark_effects.request_id": getattr(error, "request_id", None),
        "spark_effects.cost": _cost(error),
    }
    span.set_attributes({name: value for name, value in known.items() if value is not None})
    span.record_exception(error)
    span.set_status(trace.StatusCode.ERROR, str(error))


def exchange(context, request, response, begin, end):
    """The span of an exchange that is over, in the span of its call."""
    _, method, url, headers, task_id, _ = request
    status, request_id, _, _, error, _ = response
    parts = urlsplit(url)
    # The conventions ask for span names of low cardinality: no task's id and no picture's path is in one.
    if task_id is None:
        template = parts.path
    elif "/generation/task/" in parts.path:
        template = f"{parts.path.rpartition('/')[0]}/{{task_id}}"
    else:
        # A download: the path is another each time.
        template = "{picture}"
    attributes = {
        "http.request.method": method,
        "url.full": url,
        "url.template": template,
        "server.address": parts.hostname or "",
        "server.port": parts.port or (443 if parts.scheme == "https" else 80),
    }
    optional = {
        "http.response.status_code": status,
        # `_OTHER` is the conventions' word for an error of no known type.
        "error.type": None if error is None else str(status or "_OTHER"),
        "spark_effects.task_id": task_id,
        "spark_effects.request_id": request_id or dict(headers).get("x-request-id"),
    }
    attributes.update({name: value for name, value in optional.items() if value is not None})
    name = f"{method} {template}"
    span = _tracer().start_span(
        name, context=context, kind=_KIND.CLIENT, attributes=attributes, start_time=begin
    )
    if error is not None:
        span.set_status(trace.StatusCode.ERROR, error)
    span.end(end_time=end)
