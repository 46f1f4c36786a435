from collections.abc import Iterable
from os import PathLike

from ._effect import Effect, Picture
from ._image import Image
from ._many import AnyJob, AsyncResults, Results
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
        wait_timeout: Seconds = 600,
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
    def task(self, id: str, *, template: Template | str | None = None) -> Task: ...
    def run(
        self,
        template: Template | UnlistedTemplate | str,
        image: Image,
        *,
        width: int | None = None,
        height: int | None = None,
        wait_timeout: Seconds | None = None,
        policy: Policy | None = None,
        fetch: bool = True,
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
        jobs: Iterable[AnyJob],
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
        jobs: Iterable[AnyJob],
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
    def task(self, id: str, *, template: Template | str | None = None) -> AsyncTask: ...
    async def run(
        self,
        template: Template | UnlistedTemplate | str,
        image: Image,
        *,
        width: int | None = None,
        height: int | None = None,
        wait_timeout: Seconds | None = None,
        policy: Policy | None = None,
        fetch: bool = True,
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
        jobs: Iterable[AnyJob],
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
        jobs: Iterable[AnyJob],
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
