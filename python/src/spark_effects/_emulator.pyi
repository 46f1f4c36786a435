from collections.abc import Mapping
from decimal import Decimal
from os import PathLike
from types import TracebackType
from typing import Any, Literal

from ._client import AsyncClient, Client
from ._values import Money, Seconds

__all__: list[str]

Fault = str | Mapping[str, Any] | None

class SeenRequest:
    number: int
    at: float
    endpoint: str
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: str
    body_bytes: int
    status: int | None
    fault: str | None
    def __init__(self, facts: Mapping[str, Any]) -> None: ...

class Emulator:
    def __init__(
        self,
        *,
        port: int = 0,
        api_key: str | None = None,
        clock: Literal["real", "virtual"] = "real",
        latency: Seconds | str = 0,
        pictures: Literal["painted", "stub"] = "painted",
        faults: Mapping[str, Any] | None = None,
        dialect: Literal["spec", "sdk"] = "spec",
        validation: Literal["task", "http"] = "task",
        placeholder: bool = False,
        price: Money = "0.03",
        data_dir: str | PathLike[str] | None = None,
        seed: int = 0,
    ) -> None: ...
    @property
    def base_url(self) -> str: ...
    @property
    def api_key(self) -> str: ...
    @property
    def requests(self) -> list[SeenRequest]: ...
    @property
    def counts(self) -> dict[str, Any]: ...
    @property
    def spent(self) -> Decimal: ...
    def script(self, endpoint: str, *faults: Fault) -> None: ...
    def follow(self, plan: Mapping[str, Any]) -> None: ...
    def advance(self, by: Seconds) -> None: ...
    def reset(self) -> None: ...
    def stop(self) -> None: ...
    def client(self, **options: Any) -> Client: ...
    def async_client(self, **options: Any) -> AsyncClient: ...
    def __enter__(self) -> Emulator: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
