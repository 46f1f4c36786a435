"""A task by its id: looked at, followed, waited for; now, or in another process tomorrow."""

from . import _native
from ._effect import Event
from ._plans import EventPlans, TaskPlans
from ._wait import awaited, awaiting, blocking, named, plain, waited

__all__ = ["AsyncEvents", "AsyncTask", "Events", "Task"]


class _TaskBase:
    __slots__ = ("_client", "_effect", "_event", "_handle", "_photo", "_seen", "id", "template")

    def __init__(self, client, handle, id, template, photo=None):
        self._client = client
        self._handle = handle
        self._seen = None
        self._effect = None
        self._event = None
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
        seen = self._seen
        return {
            "task_id": self.id,
            "template": self.template,
            "base_url": self._client.base_url,
            "submitted_at": self._handle.submitted,
            "status": "completed" if self._effect is not None else seen and seen.status,
            "resume_line": self.resume_line,
        }

    def __eq__(self, other):
        if type(other) is not type(self):
            return NotImplemented
        return self.id == other.id and self._client == other._client

    def __hash__(self):
        return hash(self.id)

    def __reduce__(self):
        return (_picked_up, (self._client, self.id, self.template, self._handle.submitted))

    def __repr__(self):
        what = f" {self.template}" if self.template else ""
        return _native.printable(f"<{type(self).__name__}{what} {self.id}>")

    def _repr_mimebundle_(self, include=None, exclude=None):
        from . import _display

        return _display.task(self)

    def _told(self, event):
        self._event = event
        return event

    def _eta(self):
        """What the last event said of how long it usually takes, in words."""
        if self._event is None:
            return None
        _, usually, rest = self._event.text.partition("(usually ")
        return rest.rstrip(")") if usually else None

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

    def __repr__(self):
        return _native.printable(f"<{type(self).__name__} of task {self._task.id}>")

    def __next__(self):
        facts = waited(self._stream.next())
        if facts is None:
            raise StopIteration
        return self._task._told(Event(*facts))

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

    def __repr__(self):
        return _native.printable(f"<{type(self).__name__} of task {self._task.id}>")

    async def __anext__(self):
        facts = await awaited(self._stream.next())
        if facts is None:
            raise StopAsyncIteration
        return self._task._told(Event(*facts))

    finish = awaiting(EventPlans.finish)


def _picked_up(client, id, template, submitted):
    handle = client._open.task(id, client._policy._native, template, submitted)
    return client._task_class(client, handle, id, template)
