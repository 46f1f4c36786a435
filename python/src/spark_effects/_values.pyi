"""`Policy`, `Pace` and `Backoff`: the settings of how runs poll, retry and time out, which programs give to
clients and calls: plain values that are compared, printed and pickled. `Headers`, and the checks of options
(`seconds`, `text`, `path_text` and others), which `_client.py`, `_plans.py`, `_many.py` and `_emulator.py`
call, among others.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from logging import Logger
from os import PathLike
from typing import Any, Literal

from .errors import InvalidRequest

__all__ = [
    "Backoff",
    "Pace",
    "Policy",
    "limit",
    "log",
    "money",
    "number",
    "own_state",
    "package_class",
    "path_text",
    "plain_number",
    "positive",
    "refused",
    "seconds",
    "boolean",
    "text",
    "integer",
]

Seconds = float | timedelta
Repeat = Literal["never", "safe", "always"]
Money = str | int | Decimal

def refused(name: str, value: object, rule: str) -> InvalidRequest:
    """The error of an option that cannot be used: its name, what was given, and the rule."""

def seconds(name: str, value: Seconds) -> float:
    """A number of seconds, or a timedelta, as a float."""

def positive(name: str, value: Seconds) -> float:
    """Seconds that are not none at all."""

def limit(name: str, value: Seconds | None) -> float:
    """Seconds that may be without end: ``None`` and ``inf`` are."""

def own_state(thing: object) -> tuple[None, dict[str, Any]] | None:
    """What a subclass outside this package has added to a thing, for its pickle; ``None`` if nothing."""

def package_class(kind: type) -> type:
    """The class of this package that `kind` is, or that it was derived from."""

def number(name: str, value: float, least: float, most: float) -> float:
    """A number within bounds, as a float."""

def log() -> Logger:
    """Where the package says what its caller should know."""

def plain_number(value: object) -> str:
    """A number, or its text, as text for the native half, which refuses what is none."""

def integer(name: str, value: int, least: int, most: int) -> int:
    """A whole number within bounds."""

def boolean(name: str, value: bool) -> bool:
    """True or false, and nothing that only looks like it."""

def text(name: str, value: str | None, *, secret: bool = False) -> str | None:
    """Text, or nothing."""

def path_text(name: str, value: str | bytes | PathLike[str] | PathLike[bytes] | None) -> str | None:
    """A path as text, or nothing."""

def money(name: str, value: Money | None) -> str | None:
    """A sum in USD as decimal text; floats are refused, since they are no money."""

class _Value:
    """Equality, a repr and pickling out of `_fields`."""

    def __hash__(self) -> int: ...
    def __eq__(self, other: object) -> bool: ...

class Backoff(_Value):
    """Waits that grow: `first`, then `factor` times as long each time, up to `most`.

    Args:
        first: the first wait, in seconds or as a timedelta.
        factor: what each wait is multiplied by to get the next, 1 or more.
        most: the longest wait, in seconds or as a timedelta.
        jitter: the share of a wait that is left to chance, 0 to 1.
    """

    @property
    def first(self) -> float: ...
    @property
    def factor(self) -> float: ...
    @property
    def most(self) -> float: ...
    @property
    def jitter(self) -> float: ...
    def __init__(
        self,
        *,
        first: Seconds = 0.5,
        factor: float = 2.0,
        most: Seconds = 8.0,
        jitter: float = 0.5,
    ) -> None: ...

class Pace(_Value):
    """When to look at a running task.

    `Pace()` is what the client does by itself. Make others with `Pace.fixed` and `Pace.backoff`.
    """

    @property
    def interval(self) -> float | None: ...
    @property
    def waits(self) -> Backoff | None: ...
    def __init__(self, *, interval: Seconds | None = None, waits: Backoff | None = None) -> None: ...
    @classmethod
    def fixed(cls, interval: Seconds) -> Pace:
        """The same wait before every look, in seconds or as a timedelta."""
    @classmethod
    def backoff(cls, first: Seconds, most: Seconds, *, factor: float = 1.5, jitter: float = 0.1) -> Pace:
        """Waits that grow from `first` to `most`, in seconds or as timedeltas."""

class Policy(_Value):
    """How runs behave.

    Args:
        poll: ``"auto"``, seconds between looks, a timedelta, or a `Pace`.
        wait_timeout: how long one run is watched, in seconds or as a timedelta; ``None`` and ``inf`` are
            without limit. Its end may add one last look, of `last_look` seconds at most.
        last_look: how long the last look at the end of a wait may take; 0 for none.
        deadline: how long each call may take in all (upload, submission, wait and download together), in
            seconds or as a timedelta; ``None`` is without. Nothing is submitted after it, and a task that
            is not over by then is named by the error. A submission that is under way is awaited, for at
            most one ``request_timeout``: its answer names a task that is paid for.
        first_answer_timeout: how long one run goes on while nothing at all answers it, from its start, in
            seconds or as a timedelta; ``None`` and ``inf`` are without limit. Once there is a task, and for
            many jobs at once, ``wait_timeout`` counts.
        request_timeout: the longest one exchange may take.
        repeat: which submissions may be repeated: ``"never"``, ``"safe"`` (those that provably made no
            task) or ``"always"`` (a lost answer may then be paid for twice).
        retry: the waits before what went wrong is repeated.
        not_found_grace: how long after its submission a task may still be unknown to the service; after
            that it is taken to be gone once three looks, over a minute, did not find it.
        retry_after_most: the longest ``Retry-After`` that is believed.
        headers: headers on each request to the gateway, as a dict; see `Client`.
    """

    @property
    def poll(self) -> Pace: ...
    @property
    def wait_timeout(self) -> float: ...
    @property
    def request_timeout(self) -> float: ...
    @property
    def repeat(self) -> Repeat: ...
    @property
    def retry(self) -> Backoff: ...
    @property
    def not_found_grace(self) -> float: ...
    @property
    def retry_after_most(self) -> float: ...
    @property
    def first_answer_timeout(self) -> float: ...
    @property
    def last_look(self) -> float: ...
    @property
    def deadline(self) -> float | None: ...
    @property
    def headers(self) -> tuple[tuple[str, str], ...]: ...
    def __init__(
        self,
        *,
        poll: Poll = "auto",
        wait_timeout: Seconds | None = 600,
        last_look: Seconds = 5,
        deadline: Seconds | None = None,
        first_answer_timeout: Seconds | None = 60,
        request_timeout: Seconds = 30,
        repeat: Repeat = "safe",
        retry: Backoff | None = None,
        not_found_grace: Seconds = 15,
        retry_after_most: Seconds = 60,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ) -> None: ...
    def replace(self, **changes: Any) -> Policy:
        """The same policy, changed."""

# After `Pace`: `_stubs.py` evaluates a stub from its beginning, and a name that comes later is `Any` to it.
Poll = Literal["auto"] | Seconds | Pace
