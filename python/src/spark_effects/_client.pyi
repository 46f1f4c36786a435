from collections.abc import AsyncIterable, Callable, Iterable
from os import PathLike
from types import TracebackType

from typing_extensions import Self

from ._effect import Effect, Event, Picture
from ._image import Image
from ._many import AnyJob, AsyncResults, Results, _Table  # pyright: ignore[reportPrivateUsage]
from ._task import AsyncTask, Task
from ._templates import Template, UnlistedTemplate
from ._values import Money, Policy, Poll, Repeat, Seconds
from .errors import Violation

__all__ = ["AsyncClient", "Client"]

class _ClientBase:
    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        poll: Poll = "auto",
        wait_timeout: Seconds | None = 600,
        request_timeout: Seconds = 30,
        connect_timeout: Seconds = 10,
        repeat: Repeat = "safe",
        uploads: str | None = None,
        budget: Money | None = None,
        price: Money | None = None,
        journal: str | PathLike[str] | None = None,
        proxy: str | None = None,
        ca_bundle: str | PathLike[str] | None = None,
        allow_http: bool = False,
    ) -> None: ...
    @property
    def base_url(self) -> str: ...
    @property
    def policy(self) -> Policy: ...
    def check(
        self,
        template: Template | UnlistedTemplate | str | None,
        image: Image | None,
        *,
        width: int | None = None,
        height: int | None = None,
    ) -> list[Violation]: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object) -> bool: ...

class Client(_ClientBase):
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def task(self, id: str, *, template: Template | str | None = None) -> Task: ...
    def run(
        self,
        template: Template | UnlistedTemplate | str,
        image: Image,
        *,
        width: int | None = None,
        height: int | None = None,
        wait_timeout: Seconds | None = ...,
        policy: Policy | None = None,
        fetch: bool = True,
        on_event: Callable[[Event], object] | None = None,
        progress: bool = False,
    ) -> Effect: ...
    def submit(
        self,
        template: Template | UnlistedTemplate | str,
        image: Image,
        *,
        width: int | None = None,
        height: int | None = None,
        policy: Policy | None = None,
    ) -> Task: ...
    def download(self, picture: Picture | Effect, path: str | PathLike[str]) -> str: ...
    def fetch(self, picture: Picture | Effect) -> bytes: ...
    def upload(self, image: Image) -> str: ...
    def map(
        self,
        jobs: Iterable[AnyJob] | _Table,
        *,
        in_flight: int = 16,
        ahead: int | None = None,
        budget: Money | None = None,
        price: Money | None = None,
        journal: str | PathLike[str] | None = None,
        policy: Policy | None = None,
        fetch: bool = True,
        progress: bool = False,
        submissions: int | None = None,
        polls_per_second: float | None = None,
        unknown_in_a_row: int = 3,
    ) -> Results: ...
    def as_completed(
        self,
        jobs: Iterable[AnyJob] | _Table,
        *,
        in_flight: int = 16,
        ahead: int | None = None,
        budget: Money | None = None,
        price: Money | None = None,
        journal: str | PathLike[str] | None = None,
        policy: Policy | None = None,
        fetch: bool = True,
        progress: bool = False,
        submissions: int | None = None,
        polls_per_second: float | None = None,
        unknown_in_a_row: int = 3,
    ) -> Results: ...

class AsyncClient(_ClientBase):
    async def close(self) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def task(self, id: str, *, template: Template | str | None = None) -> AsyncTask: ...
    async def run(
        self,
        template: Template | UnlistedTemplate | str,
        image: Image,
        *,
        width: int | None = None,
        height: int | None = None,
        wait_timeout: Seconds | None = ...,
        policy: Policy | None = None,
        fetch: bool = True,
        on_event: Callable[[Event], object] | None = None,
        progress: bool = False,
    ) -> Effect: ...
    async def submit(
        self,
        template: Template | UnlistedTemplate | str,
        image: Image,
        *,
        width: int | None = None,
        height: int | None = None,
        policy: Policy | None = None,
    ) -> AsyncTask: ...
    async def download(self, picture: Picture | Effect, path: str | PathLike[str]) -> str: ...
    async def fetch(self, picture: Picture | Effect) -> bytes: ...
    async def upload(self, image: Image) -> str: ...
    def map(
        self,
        jobs: Iterable[AnyJob] | AsyncIterable[AnyJob] | _Table,
        *,
        in_flight: int = 16,
        ahead: int | None = None,
        budget: Money | None = None,
        price: Money | None = None,
        journal: str | PathLike[str] | None = None,
        policy: Policy | None = None,
        fetch: bool = True,
        progress: bool = False,
        submissions: int | None = None,
        polls_per_second: float | None = None,
        unknown_in_a_row: int = 3,
    ) -> AsyncResults: ...
    def as_completed(
        self,
        jobs: Iterable[AnyJob] | AsyncIterable[AnyJob] | _Table,
        *,
        in_flight: int = 16,
        ahead: int | None = None,
        budget: Money | None = None,
        price: Money | None = None,
        journal: str | PathLike[str] | None = None,
        policy: Policy | None = None,
        fetch: bool = True,
        progress: bool = False,
        submissions: int | None = None,
        polls_per_second: float | None = None,
        unknown_in_a_row: int = 3,
    ) -> AsyncResults: ...
