"""`Policy`, `Pace` and `Backoff`: the settings of how runs poll, retry and time out, which programs give to
clients and calls: plain values that are compared, printed and pickled. `Headers`, and the checks of options
(`seconds`, `text`, `path_text` and others), which `_client.py`, `_plans.py`, `_many.py` and `_emulator.py`
call, among others.
"""

import os

from . import _native
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


def refused(name, value, rule):
    """The error of an option that cannot be used: its name, what was given, and the rule."""
    return InvalidRequest(f"{name} is {_short(value)}: {rule}", kind="misconfigured")


def seconds(name, value):
    """A number of seconds, or a timedelta, as a float."""
    given = value
    if hasattr(value, "total_seconds"):
        value = value.total_seconds()
    elif type(value).__name__ == "timedelta64":
        # numpy's, which counts in a unit of its own.
        value = float(value / type(value)(1, "s"))
    # `True` is a number in Python, and text is none; what other libraries call numbers has `__float__`.
    elif isinstance(value, bool) or not hasattr(type(value), "__float__"):
        raise TypeError(f"{name} is {_short(given)}: give seconds, or a timedelta")
    try:
        value = _float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {_short(given)}: give seconds, or a timedelta") from None
    # NaN is refused as well: every comparison with it is false.
    if not 0 <= value <= _LONGEST:
        raise refused(name, given, f"give seconds, or a timedelta, not below 0 and at most {_LONGEST:g}")
    return value


def _float(value):
    """A number as a float; infinity for one that no float holds, which every bound refuses."""
    try:
        return float(value)
    except OverflowError:
        return _WITHOUT_END


def positive(name, value):
    """Seconds that are not none at all."""
    found = seconds(name, value)
    # The native half counts nanoseconds: less than one is no time at all, and looks would never rest.
    if found < 1e-9:
        raise refused(name, value, "give a positive number of seconds, or a timedelta")
    return found


def limit(name, value):
    """Seconds that may be without end: ``None`` and ``inf`` are."""
    if value is None or (isinstance(value, float) and value == _WITHOUT_END):
        return _WITHOUT_END
    return seconds(name, value)


def number(name, value, least, most):
    """A number within bounds, as a float."""
    if isinstance(value, bool) or not hasattr(type(value), "__float__"):
        raise TypeError(f"{name} is {_short(value)}: give a number")
    try:
        found = _float(value)
    # An array has `__float__`, and may hold more than a number.
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {_short(value)}: give a number") from None
    if not least <= found <= most:
        raise refused(name, value, f"give a number from {least:g} to {most:g}")
    return found


def log():
    """Where the package says what its caller should know."""
    import logging

    return logging.getLogger("spark_effects")


def plain_number(value):
    """A number, or its text, as text for the native half, which refuses what is none."""
    try:
        return str(value)
    # Python writes no whole number of thousands of digits.
    except ValueError:
        return _short(value)


def integer(name, value, least, most):
    """A whole number within bounds."""
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        raise TypeError(f"{name} is {_short(value)}: give a whole number")
    found = value.__index__()
    if not least <= found <= most:
        raise refused(name, value, f"give a whole number from {least} to {most}")
    return found


def boolean(name, value):
    """True or false, and nothing that only looks like it."""
    # Any text would count as true: `allow_http="no"` as well.
    if not isinstance(value, bool):
        raise TypeError(f"{name} is {_short(value)}: give True or False")
    return value


def text(name, value, *, secret=False):
    """Text, or nothing."""
    if value is None or isinstance(value, str):
        return value and str(value)
    # A secret is not repeated, whatever its type.
    given = f"of type {type(value).__name__!r}" if secret else _short(value)
    raise TypeError(f"{name} is {given}: give text")


def path_text(name, value):
    """A path as text, or nothing."""
    if value is None:
        return None
    try:
        path = os.fsdecode(value)
    except TypeError:
        raise TypeError(f"{name} is {_short(value)}: give a path, as text or a Path") from None
    if not path:
        raise refused(name, value, "give the path of a file")
    return at_home(path)


def is_database(name):
    """Whether a journal's name is the URL of a database, and not a path."""
    return name is not None and name.startswith(("postgres://", "postgresql://"))


def at_home(path):
    """The path, with the user's home for a first ``~``. ``~name`` stays: it may be a file's name."""
    return os.path.expanduser(path) if path.startswith("~/") else path


def money(name, value):
    """A sum in USD as decimal text; floats are refused, since they are no money."""
    if value is None:
        return None
    if isinstance(value, (bool, float)) or not (
        isinstance(value, (str, int)) or type(value).__name__ == "Decimal"
    ):
        raise TypeError(f"{name} is {_short(value)}: give USD as text, such as '5.00', or as a Decimal")
    from decimal import Decimal, InvalidOperation

    try:
        usd = Decimal(value)
        # Written out, `1e-999999999` would fill the memory; the native half reads 28 decimals.
        usable = 0 <= usd < 10**15 and usd.as_tuple().exponent >= -28
    except InvalidOperation:
        usable = False
    if not usable:
        raise refused(name, value, "give USD, not below 0, as text such as '5.00', or as a Decimal")
    return f"{usd:f}"


def _short(value):
    """What was given, in so many words that an error or a line of a log can hold it."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    try:
        words = repr(value)
    # Python writes no whole number of thousands of digits.
    except ValueError:
        return f"<{type(value).__name__} that is too long to show>"
    return words if len(words) <= 200 else f"{words[:150]}… ({len(words)} characters)"


def _repr_of(value):
    """The repr of a field of a value: as it can be given again."""
    return "None" if isinstance(value, float) and value == _WITHOUT_END else _short(value)


# Thirty years: a wait without end waits no longer.
_LONGEST = 1e9
_WITHOUT_END = float("inf")
_REPEATS = ("never", "safe", "always")


def package_class(kind):
    """The class of this package that `kind` is, or that it was derived from."""
    return next(one for one in kind.__mro__ if one.__module__.startswith("spark_effects."))


def own_state(thing):
    """What a subclass outside this package has added to a thing, for its pickle; ``None`` if nothing."""
    state = dict(getattr(thing, "__dict__", ()))
    for name in own_slots(type(thing)):
        if hasattr(thing, name):
            state[name] = getattr(thing, name)
    # Slots are set one by one, and so is the rest.
    return (None, state) if state else None


def own_slots(kind):
    """The names of the slots that subclasses outside this package have added."""
    ours = package_class(kind)
    for one in kind.__mro__[: kind.__mro__.index(ours)]:
        slots = vars(one).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name in ("__dict__", "__weakref__"):
                continue
            # Python keeps a private slot `__x` of a class `Mine` as `_Mine__x`.
            private = name.startswith("__") and not name.endswith("__")
            yield f"_{one.__name__.lstrip('_')}{name}" if private else name


def is_own(thing, name):
    """Whether an attribute is one that a subclass may add to a value or a record."""
    if name in thing._fields or hasattr(package_class(type(thing)), name):
        return False
    return hasattr(thing, "__dict__") or name in own_slots(type(thing))


class _Value:
    """Equality, a repr and pickling out of `_fields`."""

    __slots__ = ()
    _fields = ()

    def _facts(self):
        return tuple(getattr(self, name) for name in self._fields)

    def _set(self, **facts):
        for name, value in facts.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name, value):
        if not is_own(self, name):
            raise AttributeError(f"{type(self).__name__} is a value: make another with {name}={value!r}")
        object.__setattr__(self, name, value)

    def __delattr__(self, name):
        raise AttributeError(f"{type(self).__name__} is a value and keeps its {name}")

    def __eq__(self, other):
        if type(other) is not type(self):
            return NotImplemented
        return self._facts() == other._facts()

    def __hash__(self):
        return hash(self._facts())

    def __repr__(self):
        facts = ", ".join(f"{name}={_repr_of(getattr(self, name))}" for name in self._fields)
        return f"{type(self).__name__}({facts})"

    def __reduce__(self):
        facts = dict(zip(self._fields, self._facts(), strict=True))
        return (_rebuild, (type(self), facts), own_state(self))


def _rebuild(kind, facts):
    # A subclass may take other arguments; what it adds follows as state.
    value = object.__new__(kind)
    package_class(kind).__init__(value, **facts)
    return value


class Backoff(_Value):
    """Waits that grow: `first`, then `factor` times as long each time, up to `most`.

    Args:
        first: the first wait, in seconds or as a timedelta.
        factor: what each wait is multiplied by to get the next, 1 or more.
        most: the longest wait, in seconds or as a timedelta.
        jitter: the share of a wait that is left to chance, 0 to 1.
    """

    __slots__ = _fields = ("first", "factor", "most", "jitter")

    def __init__(self, *, first=0.5, factor=2.0, most=8.0, jitter=0.5):
        first, most = positive("first", first), seconds("most", most)
        if most < first:
            raise refused("most", most, f"give no less than the first wait, {first:g} seconds")
        self._set(
            first=first,
            factor=number("factor", factor, 1, 1e6),
            most=most,
            jitter=number("jitter", jitter, 0, 1),
        )


class Pace(_Value):
    """When to look at a running task.

    `Pace()` is what the client does by itself. Make others with `Pace.fixed` and `Pace.backoff`.
    """

    __slots__ = _fields = ("interval", "waits")

    def __init__(self, *, interval=None, waits=None):
        if interval is not None and waits is not None:
            raise ValueError("a pace has a fixed interval or waits that grow, not both")
        if interval is not None:
            interval = positive("interval", interval)
        if waits is not None and not isinstance(waits, Backoff):
            raise TypeError(f"waits is {_short(waits)}: give a Backoff")
        self._set(interval=interval, waits=waits)

    @classmethod
    def fixed(cls, interval):
        """The same wait before every look, in seconds or as a timedelta."""
        return cls(interval=interval)

    @classmethod
    def backoff(cls, first, most, *, factor=1.5, jitter=0.1):
        """Waits that grow from `first` to `most`, in seconds or as timedeltas."""
        return cls(waits=Backoff(first=first, factor=factor, most=most, jitter=jitter))

    def _plain(self):
        # The native half distinguishes the two by their shapes: a number, or a tuple.
        if self.interval is not None:
            return self.interval
        return self.waits and self.waits._facts()


def _pace(poll):
    if isinstance(poll, Pace):
        return poll
    if isinstance(poll, str):
        if poll == "auto":
            return Pace()
        raise refused("poll", poll, 'give "auto", seconds, a timedelta or a Pace')
    return Pace.fixed(positive("poll", poll))


class Headers(tuple):
    """Headers of requests, as pairs of name and value. Their values may be secrets and are not shown."""

    __slots__ = ()

    def __new__(cls, headers=()):
        given = headers or ()
        pairs = tuple(given.items() if hasattr(given, "items") else given)
        for pair in pairs:
            if len(pair) != 2 or not all(isinstance(one, str) for one in pair):
                raise TypeError(
                    "headers is no dict of names and texts: give one such as {'X-Team': 'studio'}"
                )
        return super().__new__(cls, pairs)

    def __repr__(self):
        return "{" + ", ".join(f"{name!r}: '…'" for name, _ in self) + "}"


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

    __slots__ = (
        "_native",
        "deadline",
        "first_answer_timeout",
        "headers",
        "last_look",
        "not_found_grace",
        "poll",
        "repeat",
        "request_timeout",
        "retry",
        "retry_after_most",
        "wait_timeout",
    )
    _fields = (
        "poll",
        "wait_timeout",
        "request_timeout",
        "repeat",
        "retry",
        "not_found_grace",
        "retry_after_most",
        "first_answer_timeout",
        "last_look",
        "deadline",
        "headers",
    )

    def __init__(
        self,
        *,
        poll="auto",
        wait_timeout=600,
        last_look=5,
        deadline=None,
        first_answer_timeout=60,
        request_timeout=30,
        repeat="safe",
        retry=None,
        not_found_grace=15,
        retry_after_most=60,
        headers=(),
    ):
        if retry is not None and not isinstance(retry, Backoff):
            raise TypeError(f"retry is {_short(retry)}: give a Backoff")
        if not isinstance(repeat, str):
            raise TypeError(f"repeat is {_short(repeat)}: give one of {', '.join(_REPEATS)}")
        if repeat not in _REPEATS:
            raise refused("repeat", repeat, f"give one of {', '.join(_REPEATS)}")
        self._set(
            poll=_pace(poll),
            wait_timeout=limit("wait_timeout", wait_timeout),
            request_timeout=positive("request_timeout", request_timeout),
            repeat=repeat,
            retry=retry or Backoff(),
            not_found_grace=seconds("not_found_grace", not_found_grace),
            retry_after_most=seconds("retry_after_most", retry_after_most),
            first_answer_timeout=limit("first_answer_timeout", first_answer_timeout),
            last_look=seconds("last_look", last_look),
            deadline=None if deadline is None else positive("deadline", deadline),
            headers=Headers(headers),
        )
        native = _native.Policy(
            {
                "pace": self.poll._plain(),
                "retry": self.retry._facts(),
                "repeat": repeat,
                "request_timeout": self.request_timeout,
                "last_look": self.last_look,
                "headers": list(self.headers),
                "deadline": self.deadline,
                # A `Duration` has no infinity.
                "wait_timeout": min(self.wait_timeout, _LONGEST),
                "first_answer_timeout": min(self.first_answer_timeout, _LONGEST),
                "not_found_grace": self.not_found_grace,
                "retry_after_most": self.retry_after_most,
            }
        )
        # Not among `_fields`: it is no part of what is compared, and a pickle makes it anew.
        object.__setattr__(self, "_native", native)

    def replace(self, **changes):
        """The same policy, changed."""
        facts = dict(zip(self._fields, self._facts(), strict=True))
        return Policy(**{**facts, **changes})
