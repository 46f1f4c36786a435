from collections.abc import AsyncIterator, Iterator

from ._effect import Effect, Event, TaskStatus
from ._values import Policy, Seconds

__all__: list[str]

class _TaskBase:
    id: str
    template: str | None
    @property
    def resume_line(self) -> str: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object) -> bool: ...

class Task(_TaskBase):
    def status(self, *, policy: Policy | None = None) -> TaskStatus: ...
    def wait(
        self,
        *,
        wait_timeout: Seconds | None = None,
        policy: Policy | None = None,
        fetch: bool = True,
    ) -> Effect: ...
    def events(self, *, policy: Policy | None = None) -> Events: ...

class AsyncTask(_TaskBase):
    async def status(self, *, policy: Policy | None = None) -> TaskStatus: ...
    async def wait(
        self,
        *,
        wait_timeout: Seconds | None = None,
        policy: Policy | None = None,
        fetch: bool = True,
    ) -> Effect: ...
    def events(self, *, policy: Policy | None = None) -> AsyncEvents: ...

class Events(Iterator[Event]):
    def __iter__(self) -> Events: ...
    def __next__(self) -> Event: ...

class AsyncEvents(AsyncIterator[Event]):
    def __aiter__(self) -> AsyncEvents: ...
    async def __anext__(self) -> Event: ...
