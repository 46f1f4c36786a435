"""`Task` and `AsyncTask`: a task by its id, to be polled, followed or waited for, now or in another process
tomorrow. ``submit`` and ``task`` of `Client` and `AsyncClient` return one, and it may be a job of ``map``
and ``as_completed``. `Events` and `AsyncEvents`, which a task's ``events()`` returns, yield its events.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from ._answer import TaskStatus
from ._effect import Effect
from ._event import Event
from ._values import Policy, Seconds

__all__ = ["AsyncEvents", "AsyncTask", "Events", "Task"]

class _TaskBase:
    id: str
    template: str | None
    @property
    def resume_line(self) -> str:
        """The command that resumes the task from a shell."""
    def to_dict(self) -> dict[str, Any]:
        """What is known of it without a look, as a dict for JSON."""
    def __hash__(self) -> int: ...
    def __eq__(self, other: object) -> bool: ...

class Task(_TaskBase):
    """A task of the blocking client. It pickles, and its id is all that is needed to pick it up again.

    Attributes:
        id: the service's name for it.
        template: the id of its template, if this client knows it.
    """

    def status(self, *, policy: Policy | None = None, timeout: Seconds | None = None) -> TaskStatus:
        """Looks at the task once; what goes wrong on the way is repeated for one ``request_timeout``.

        Args:
            policy: how to look, instead of the client's own policy.
            timeout: how long this call may take, with all that is repeated, in seconds or as a timedelta.

        Returns:
            A `TaskStatus`.

        Raises:
            TaskNotFound: the service knows no such task.
            AuthError: the key was refused.
            TransportError: the service could not be reached.
        """
    def wait(
        self,
        *,
        wait_timeout: Seconds | None = ...,
        deadline: Seconds | None = ...,
        headers: Mapping[str, str] | None = None,
        policy: Policy | None = None,
        fetch: bool = True,
    ) -> Effect:
        """Waits for the task's picture and fetches it.

        Args:
            wait_timeout: how long to wait from now, in seconds or as a timedelta, without limit with
                ``None`` or ``inf``; the client's own when left out.
            deadline: how long the call may take in all, with the download, in seconds or as a timedelta,
                without limit with ``None``; the client's own when left out.
            headers: headers on each request to the gateway, beside the client's own; see `Client`.
            policy: how to wait, instead of the client's own policy.
            fetch: whether to fetch the picture's bytes before returning.

        Returns:
            The `Effect`.

        Raises:
            TaskFailed: the task failed, or has no picture.
            TaskNotFound: the service knows no such task.
            WaitTimeout: the wait is over and the task is not; it goes on. Also a ``TimeoutError``.
            AuthError: the key was refused.
            TransportError: the service could not be reached.
        """
    def events(self, *, policy: Policy | None = None) -> Events:
        """Follows the task event by event, to its end or the end of the wait; then call `finish` of it.

        It looks one event ahead of its reader at most, and not before the first is asked for.

        The result also holds for `wait`, if the task has ended: the end is not asked for twice.
        """

class AsyncTask(_TaskBase):
    """A task of the async client. It pickles, and its id is all that is needed to pick it up again.

    Attributes:
        id: the service's name for it.
        template: the id of its template, if this client knows it.
    """

    async def status(self, *, policy: Policy | None = None, timeout: Seconds | None = None) -> TaskStatus:
        """Looks at the task once; what goes wrong on the way is repeated for one ``request_timeout``.

        Args:
            policy: how to look, instead of the client's own policy.
            timeout: how long this call may take, with all that is repeated, in seconds or as a timedelta.

        Returns:
            A `TaskStatus`.

        Raises:
            TaskNotFound: the service knows no such task.
            AuthError: the key was refused.
            TransportError: the service could not be reached.
        """
    async def wait(
        self,
        *,
        wait_timeout: Seconds | None = ...,
        deadline: Seconds | None = ...,
        headers: Mapping[str, str] | None = None,
        policy: Policy | None = None,
        fetch: bool = True,
    ) -> Effect:
        """Waits for the task's picture and fetches it.

        Args:
            wait_timeout: how long to wait from now, in seconds or as a timedelta, without limit with
                ``None`` or ``inf``; the client's own when left out.
            deadline: how long the call may take in all, with the download, in seconds or as a timedelta,
                without limit with ``None``; the client's own when left out.
            headers: headers on each request to the gateway, beside the client's own; see `Client`.
            policy: how to wait, instead of the client's own policy.
            fetch: whether to fetch the picture's bytes before returning.

        Returns:
            The `Effect`.

        Raises:
            TaskFailed: the task failed, or has no picture.
            TaskNotFound: the service knows no such task.
            WaitTimeout: the wait is over and the task is not; it goes on. Also a ``TimeoutError``.
            AuthError: the key was refused.
            TransportError: the service could not be reached.
        """
    def events(self, *, policy: Policy | None = None) -> AsyncEvents:
        """Follows the task event by event, to its end or the end of the wait; then await `finish` of it.

        It looks one event ahead of its reader at most, and not before the first is asked for.

        The result also holds for `wait`, if the task has ended: the end is not asked for twice.
        """

class Events(Iterator[Event]):
    """The events of a task, as they come."""

    def __iter__(self) -> Events: ...
    def __next__(self) -> Event: ...
    def finish(self, *, fetch: bool = True) -> Effect:
        """Lets what is left of the events pass, and says what the following came to.

        Unlike `Task.wait`, it begins no wait of its own: where the wait of the events is over, so is
        this one.

        Args:
            fetch: whether to fetch the picture's bytes before returning.

        Returns:
            The `Effect`.

        Raises:
            EffectsError: what ended the following, as `Task.wait` raises it.
        """

class AsyncEvents(AsyncIterator[Event]):
    """The events of a task, as they come."""

    def __aiter__(self) -> AsyncEvents: ...
    async def __anext__(self) -> Event: ...
    async def finish(self, *, fetch: bool = True) -> Effect:
        """Lets what is left of the events pass, and says what the following came to.

        Unlike `Task.wait`, it begins no wait of its own: where the wait of the events is over, so is
        this one.

        Args:
            fetch: whether to fetch the picture's bytes before returning.

        Returns:
            The `Effect`.

        Raises:
            EffectsError: what ended the following, as `Task.wait` raises it.
        """
