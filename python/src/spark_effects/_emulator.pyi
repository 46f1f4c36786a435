"""`Emulator`: the gateway on this machine, with no key, no network and no bill; it holds a
`_native.Gateway`. Programs and notebooks try the package with it. Tests make one themselves or take the
fixture of `pytest_plugin.py`; they script faults, move its clock, and read each request that it saw
(`SeenRequest`). `_client.py` knows which of them run in this process, and polls their tasks more often.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from os import PathLike
from types import TracebackType
from typing import Any, Literal

from typing_extensions import Unpack

from ._client import AsyncClient, Client, _ClientOptions  # pyright: ignore[reportPrivateUsage]
from ._record import Record
from ._values import Money, Seconds

__all__ = ["Emulator", "SeenRequest"]

Fault = str | Mapping[str, Any] | None
KeptAtReset = Literal["plan", "clock"]

class SeenRequest(Record):
    """A request that an emulator has seen.

    Attributes:
        number: its number, from 1 in the order of arrival.
        at: when it arrived, in seconds since the epoch by the emulator's clock.
        endpoint: ``"create"``, ``"task"``, ``"file"``, ``"upload"`` and so on.
        method: its method.
        path: its path, with the query.
        headers: its headers in order, as pairs; the key is redacted.
        body: the first 4 KiB of its body, as text.
        body_bytes: the bytes of its whole body.
        body_hash: the name that ``counts["by_body"]`` has for its body; ``None`` for an empty one.
        task: the id of the task that it created, looked at or cancelled.
        status: the status it was answered with, if one went out.
        answer: the rest of that answer, as a dict: ``headers``, ``body``, its first 4 KiB,
            ``body_bytes``, and the ``milliseconds`` that it took.
        fault: the fault it met.
        authorized: whether it was let in: ``False`` for a request that was answered 401 because no
            accepted key came with it. Nothing of its body is read or kept.
    """

    @property
    def number(self) -> int: ...
    @property
    def at(self) -> float: ...
    @property
    def endpoint(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def headers(self) -> list[tuple[str, str]]: ...
    @property
    def body(self) -> str: ...
    @property
    def body_bytes(self) -> int: ...
    @property
    def body_hash(self) -> str | None: ...
    @property
    def task(self) -> str | None: ...
    @property
    def answer(self) -> Mapping[str, Any] | None: ...
    @property
    def status(self) -> int | None: ...
    @property
    def fault(self) -> str | None: ...
    @property
    def authorized(self) -> bool: ...
    def __hash__(self) -> int: ...
    def __init__(self, facts: Mapping[str, Any]) -> None: ...

class Emulator:
    """The gateway on this machine, as a context manager. It starts when it is made.

    Its pictures are painted by a local renderer: a stand-in, not the generative model.

    Args:
        host: the address to listen on; 127.0.0.1 when left out. One that other machines reach is warned of.
        port: the port to listen on; 0 takes any free one.
        api_key: the key it accepts; a fresh one when left out.
        clock: ``"real"``, or ``"virtual"``: time then moves only with `advance`.
        latency: how long tasks take: seconds, a timedelta, or text such as ``"2s..9s"`` or
            ``"lognormal:12s:0.5"``.
        pictures: ``"painted"``, or ``"stub"``: one constant picture, nothing fetched or painted.
        faults: what goes wrong: a dict such as
            ``{"seed": 7, "fault": [{"on": "create", "nth": 2, "kind": "reset", "when": "after"}]}``.
        dialect: how answers are spelt: ``"spec"`` or ``"sdk"``.
        validation: where bad parameters fail: ``"task"`` or ``"http"``.
        placeholder: whether a test card stands in for a photo that cannot be fetched.
        allow_private: whether photos may be fetched from private networks.
        public_url: where clients reach it, for the links in its answers: behind a proxy, say.
        cors: origins whose pages may ask it from a browser, such as ``"http://localhost:3000"``: one or
            several; ``"*"`` is all.
        isolate_keys: whether each key ``KEY.NAME`` opens a world of its own, for tests that run beside
            each other: ``emulator.client(api_key=f"{emulator.api_key}.one")``. NAME has 1 to
            256 visible ASCII characters. `requests`, `script` and the like are those of the key itself.
        price: what a picture costs, in USD, as text or `decimal.Decimal`.
        data_dir: the folder to keep tasks in across restarts; in memory when left out.
        seed: what all dice are thrown from.

    Raises:
        ValueError: an option cannot be used.
        RuntimeError: the machine has no port or no thread to give.

    >>> with Emulator(pictures="stub") as emulator:
    ...     emulator.base_url.startswith("http://127.0.0.1:")
    True
    """

    def __init__(
        self,
        *,
        host: str | None = None,
        port: int = 0,
        api_key: str | None = None,
        clock: Literal["real", "virtual"] = "real",
        latency: Seconds | str = 0,
        pictures: Literal["painted", "stub"] = "painted",
        faults: Mapping[str, Any] | None = None,
        dialect: Literal["spec", "sdk"] = "spec",
        validation: Literal["task", "http"] = "task",
        placeholder: bool = False,
        allow_private: bool = False,
        public_url: str | None = None,
        cors: str | Iterable[str] = (),
        isolate_keys: bool = False,
        price: Money = "0.03",
        data_dir: str | PathLike[str] | None = None,
        seed: int = 0,
    ) -> None: ...
    @property
    def base_url(self) -> str:
        """Where it answers."""
    @property
    def api_key(self) -> str:
        """The key it accepts."""
    @property
    def requests(self) -> list[SeenRequest]:
        """Every request seen, oldest first, as a list of `SeenRequest`."""
    @property
    def counts(self) -> dict[str, Any]:
        """What was accepted, as a dict: ``accepted``, ``creates_seen``, ``by_body``,
        ``by_idempotency_key``.
        """
    @property
    def spent(self) -> Decimal:
        """What its pictures have cost, in USD, as a `decimal.Decimal`."""
    def script(self, endpoint: str, *faults: Fault) -> None:
        """Scripts what the next requests of an endpoint meet, one after the other.

        Args:
            endpoint: ``"create"``, ``"task"``, ``"file"``, ``"upload"`` and so on.
            faults: each a dict such as ``{"kind": "status", "status": 503}``, the word of a kind such as
                ``"garbage"``, or ``None`` for nothing amiss.

        Raises:
            ValueError: one of them cannot happen there; none is scripted then.
        """
    def follow(self, plan: Mapping[str, Any]) -> None:
        """Follows another plan of faults from its beginning; `Emulator` says what one looks like.

        Raises:
            ValueError: it cannot be followed; the old one holds then.
        """
    def advance(self, by: Seconds) -> None:
        """Moves a virtual clock on, by seconds or a timedelta, and waits for the paintings due then.

        Raises:
            RuntimeError: its clock is real and moves by itself.
        """
    def reset(self, *, keep: KeptAtReset | Iterable[KeptAtReset] = ()) -> None:
        """Begins anew: forgets every task, file and request, what was spent and what was scripted,
        follows the plan of faults it was made with, and has a virtual clock show the machine's time.

        Args:
            keep: what stays as it is: ``"plan"``, ``"clock"`` or both.

        Raises:
            ValueError: ``keep`` names something else.
        """
    def stop(self) -> None:
        """Stops it; exchanges under way come to their ends. Leaving the ``with`` block does the same."""
    def client(self, **options: Unpack[_ClientOptions]) -> Client:
        """A blocking client of it, with the options of `Client`. The emulator lives as long as it does.

        It looks at a running task every 0.1 s unless ``poll`` says otherwise.
        """
    def async_client(self, **options: Unpack[_ClientOptions]) -> AsyncClient:
        """An async client of it, with the options of `AsyncClient`; it lives as long as that does.

        It looks at a running task every 0.1 s unless ``poll`` says otherwise.
        """
    def __enter__(self) -> Emulator: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
