"""`Task` and `AsyncTask`: a task by its id, to be polled, followed or waited for, now or in another process
tomorrow. ``submit`` and ``task`` of `Client` and `AsyncClient` return one, and it may be a job of ``map``
and ``as_completed``. `Events` and `AsyncEvents`, which a task's ``events()`` returns, yield its events.
"""

import math

from . import _native
from ._effect import Effect
from ._event import Event
from ._plans import EventPlans, TaskPlans
from ._wait import awaiting, blocking, check_alive, detach, named, plain, started, waited
from .errors import TaskFailed

__all__ = ["AsyncEvents", "AsyncTask", "Events", "Task"]


class _TaskBase:
    __slots__ = (
        *("_client", "_effect", "_ended", "_event", "_failure", "_handle", "_last", "_photo", "_seen"),
        *("id", "template"),
    )

    def __init__(self, client, handle, id, template, photo=None):
        self._client = client
        self._handle = handle
        self._seen = None
        self._effect = None
        self._event = None
        # What the last look or event said: the status and the progress.
        self._last = (None, None)
        # When its end was first seen, in seconds since the epoch, and what went wrong.
        self._ended = None
        self._failure = None
        # The file its photo came from, which its picture must not replace.
        self._photo = photo
        self.id = id
        self.template = template

    @property
    def resume_line(self):
        """The command that resumes the task from a shell."""
        return self._client._engine.resume_line(self.id)

    def to_dict(self):
        """What is known of it without a look, as a dict for JSON."""
        return {
            "task_id": self.id,
            "template": self.template,
            "base_url": self._client.base_url,
            "submitted_at": self._handle.submitted,
            "status": self._last_seen()[0],
            "resume_line": self.resume_line,
        }

    def __eq__(self, other):
        if type(other) is not type(self):
            return NotImplemented
        return self.id == other.id and self._client == other._client

    def __hash__(self):
        return hash(self.id)

    def __reduce__(self):
        # Without what was seen of it: the process that picks it up looks for itself.
        return (_picked_up, (self._client, self.id, self.template, self._handle.submitted))

    def __repr__(self):
        what = f" {self.template}" if self.template else ""
        return _native.printable(f"<{type(self).__name__}{what} {self.id}>")

    def _repr_mimebundle_(self, include=None, exclude=None):
        from . import _display

        return _display.task(self)

    def _repr_html_(self):
        return self._repr_mimebundle_()["text/html"]

    def _record_event(self, details, text, last):
        self._event = event = Event(details, text)
        if last is not None:
            self._last = last
        return event

    def _events_over(self):
        # They may be over since their wait is, too.
        if self._handle.end is not None:
            self._end_seen()

    def _end_seen(self, failure=None):
        """Its end was seen, now or before."""
        # The first sight counts: a later `wait` must not make the task look slower.
        if self._ended is None:
            import time

            self._ended = time.time()
        self._failure = self._failure or failure

    def _last_seen(self):
        """The status that was last seen, the progress, and what went wrong."""
        end = self._handle.end
        # The native handle marks a completed task by an empty text.
        if self._effect is not None or end == "":
            return ("completed", None, None)
        if end or self._failure:
            return ("failed", None, end or self._failure)
        return (*self._last, None)

    def _is_over(self):
        return self._last_seen()[0] in ("completed", "failed", "cancelled")

    def _effect_from(self, facts):
        """The effect, whose time is measured from the submission, if that is known."""
        self._end_seen()
        *others, elapsed, response = facts
        if self._handle.submitted is not None:
            # Both are times of the wall clock, which may be set back in between.
            elapsed = max(0.0, self._ended - self._handle.submitted)
        self._effect = Effect(*others, elapsed, self._photo, response)
        return self._effect

    def _ended_with(self, facts, error):
        """How it ended among many."""
        if facts is not None:
            return self._effect_from(facts)
        self._note(error)
        return None

    def _note(self, error):
        # After any other error the task may still be running.
        if isinstance(error, TaskFailed):
            self._end_seen(str(error))

    def _eta(self):
        """What the last event said of how long it usually takes, in words."""
        eta = None if self._event is None else self._event.details.get("eta")
        if eta is None:
            return None
        typical, most = (eta[name]["secs"] + eta[name]["nanos"] / 1e9 for name in ("typical", "p90"))
        # As the core rounds it in the event's words: "under" must hold.
        return f"{int(typical + 0.5)} s, 90 % under {math.ceil(most)} s"

    def _follow(self, policy):
        policy = policy or self._client._policy
        return self._client._open.events(self._handle, policy._native)

    _looked = TaskPlans._looked
    _finished = TaskPlans._finished


@named
class Task(_TaskBase):
    """A task of the blocking client. It pickles, and its id is all that is needed to pick it up again.

    Attributes:
        id: the service's name for it.
        template: the id of its template, if this client knows it.
    """

    __slots__ = ()

    status = blocking(TaskPlans.status)
    wait = blocking(TaskPlans.wait)

    @plain
    def events(self, *, policy=None):
        """Follows the task event by event, to its end or the end of the wait; then call `finish` of it.

        It looks one event ahead of its reader at most, and not before the first is asked for.

        The result also holds for `wait`, if the task has ended: the end is not asked for twice.
        """
        return Events(self, self._follow(policy))


@named
class AsyncTask(_TaskBase):
    """A task of the async client. It pickles, and its id is all that is needed to pick it up again.

    Attributes:
        id: the service's name for it.
        template: the id of its template, if this client knows it.
    """

    __slots__ = ()

    status = awaiting(TaskPlans.status)
    wait = awaiting(TaskPlans.wait)

    @plain
    def events(self, *, policy=None):
        """Follows the task event by event, to its end or the end of the wait; then await `finish` of it.

        It looks one event ahead of its reader at most, and not before the first is asked for.

        The result also holds for `wait`, if the task has ended: the end is not asked for twice.
        """
        return AsyncEvents(self, self._follow(policy))


@named
class Events:
    """The events of a task, as they come."""

    __slots__ = ("_stream", "_task")

    def __init__(self, task, stream):
        self._task = task
        self._stream = stream

    def __iter__(self):
        return self

    def _note(self, error):
        self._task._note(error)

    def __repr__(self):
        return _native.printable(f"<{type(self).__name__} of task {self._task.id}>")

    # As a default, since the names of a module are gone at the end of the interpreter.
    def __next__(self, _check=check_alive):
        _check()
        facts = waited(self._stream.next())
        if facts is None:
            self._task._events_over()
            raise StopIteration
        return self._task._record_event(*facts)

    finish = blocking(EventPlans.finish)


@named
class AsyncEvents:
    """The events of a task, as they come."""

    __slots__ = ("_stream", "_task")

    def __init__(self, task, stream):
        self._task = task
        self._stream = stream

    def __aiter__(self):
        return self

    def _note(self, error):
        self._task._note(error)

    def __repr__(self):
        return _native.printable(f"<{type(self).__name__} of task {self._task.id}>")

    async def __anext__(self):
        operation = self._stream.next()
        future = started(operation)
        try:
            facts = await future
        except BaseException:
            detach(operation, future)
            raise
        if facts is None:
            self._task._events_over()
            raise StopAsyncIteration
        return self._task._record_event(*facts)

    finish = awaiting(EventPlans.finish)


def _picked_up(client, id, template, submitted):
    # With the time of its submission, from which `Effect.elapsed` is counted.
    handle = client._open.task(id, client._policy._native, template, submitted)
    return client._task_class(client, handle, id, template)
