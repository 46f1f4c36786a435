"""`Emulator`: the gateway on this machine, with no key, no network and no bill; it holds a
`_native.Gateway`. Programs and notebooks try the package with it. Tests make one themselves or take the
fixture of `pytest_plugin.py`; they script faults, move its clock, and read each request that it saw
(`SeenRequest`). `_client.py` knows which of them run in this process, and polls their tasks more often.
"""

from . import _native
from ._record import Record, set_field
from ._values import boolean, integer, log, path_text, plain_number, seconds, text
from ._wait import constructor, misspelt

__all__ = ["Emulator", "SeenRequest"]


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

    __slots__ = _fields = (
        "answer",
        "at",
        "authorized",
        "body",
        "body_bytes",
        "body_hash",
        "endpoint",
        "fault",
        "headers",
        "method",
        "number",
        "path",
        "status",
        "task",
    )

    def __init__(self, facts):
        # A pickle of an earlier version does not say all of it.
        unknown = {"authorized": True, "body_hash": None, "task": None, "answer": None}
        facts = {**unknown, **facts, "headers": [tuple(pair) for pair in facts["headers"]]}
        for name in self._fields:
            set_field(self, name, facts[name])

    def __hash__(self):
        # The headers are a list and the answer is a dict, which have no hash; these two name it.
        return hash((self.number, self.at))

    def __reduce__(self):
        return (SeenRequest, (dict(zip(self._fields, self._facts(), strict=True)),))

    def __repr__(self):
        return f"<SeenRequest {self.number}: {self.method} {self.path} -> {self.status}>"


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

    @constructor
    def __init__(
        self,
        *,
        host=None,
        port=0,
        api_key=None,
        clock="real",
        latency=0,
        pictures="painted",
        faults=None,
        dialect="spec",
        validation="task",
        placeholder=False,
        allow_private=False,
        public_url=None,
        cors=(),
        isolate_keys=False,
        price="0.03",
        data_dir=None,
        seed=0,
        **unknown,
    ):
        if unknown:
            raise misspelt(TypeError(), type(self), unknown)
        if clock not in ("real", "virtual"):
            raise ValueError(f"clock is {clock!r}: it is 'real' or 'virtual'")
        if isinstance(price, bool):
            raise TypeError(f"price is {price!r}: give USD as text, or as a Decimal")
        # Text is iterable, too: each of its characters would be an origin.
        origins = [cors] if isinstance(cors, str) else cors
        if not isinstance(latency, str):
            latency = f"{seconds('latency', latency)}s"
        self._gateway = _native.Gateway(
            {
                "host": text("host", host),
                "port": integer("port", port, 0, 65535),
                "api_key": text("api_key", api_key, secret=True),
                "data_dir": path_text("data_dir", data_dir),
                "latency": latency,
                "faults": None if faults is None else _dump(faults),
                "virtual_clock": clock == "virtual",
                "pictures": str(pictures),
                "dialect": str(dialect),
                "validation": str(validation),
                "placeholder": boolean("placeholder", placeholder),
                "allow_private": boolean("allow_private", allow_private),
                "public_url": text("public_url", public_url),
                "cors": [text("cors", origin) or "" for origin in origins],
                "isolate_keys": boolean("isolate_keys", isolate_keys),
                "price": plain_number(price),
                "seed": integer("seed", seed, 0, 2**64 - 1),
            }
        )
        for warning in self._gateway.warnings():
            log().warning("%s", warning)
        from ._client import emulators

        # Clients of its address look at their tasks more often than at the service's.
        emulators.add(self)

    @property
    def base_url(self):
        """Where it answers."""
        return self._gateway.base_url

    @property
    def api_key(self):
        """The key it accepts."""
        return self._gateway.api_key

    @property
    def requests(self):
        """Every request seen, oldest first, as a list of `SeenRequest`."""
        seen = _load(self._gateway.requests())
        # Milliseconds there, seconds here, as all times of this package.
        return [SeenRequest({**facts, "at": facts["at"] / 1000}) for facts in seen]

    @property
    def counts(self):
        """What was accepted, as a dict: ``accepted``, ``creates_seen``, ``by_body``,
        ``by_idempotency_key``."""
        return _load(self._gateway.counts())

    @property
    def spent(self):
        """What its pictures have cost, in USD, as a `decimal.Decimal`."""
        from decimal import Decimal

        return Decimal(self._gateway.spent())

    def script(self, endpoint, *faults):
        """Scripts what the next requests of an endpoint meet, one after the other.

        Args:
            endpoint: ``"create"``, ``"task"``, ``"file"``, ``"upload"`` and so on.
            faults: each a dict such as ``{"kind": "status", "status": 503}``, the word of a kind such as
                ``"garbage"``, or ``None`` for nothing amiss.

        Raises:
            ValueError: one of them cannot happen there; none is scripted then.
        """
        plain = [{"kind": fault} if isinstance(fault, str) else fault for fault in faults]
        self._gateway.script(endpoint, _dump(plain))

    def follow(self, plan):
        """Follows another plan of faults from its beginning; `Emulator` says what one looks like.

        Raises:
            ValueError: it cannot be followed; the old one holds then.
        """
        self._gateway.follow(_dump(plan))

    def advance(self, by):
        """Moves a virtual clock on, by seconds or a timedelta, and waits for the paintings due then.

        Raises:
            RuntimeError: its clock is real and moves by itself.
        """
        self._gateway.advance(seconds("by", by))

    def reset(self, *, keep=()):
        """Begins anew: forgets every task, file and request, what was spent and what was scripted,
        follows the plan of faults it was made with, and has a virtual clock show the machine's time.

        Args:
            keep: what stays as it is: ``"plan"``, ``"clock"`` or both.

        Raises:
            ValueError: ``keep`` names something else.
        """
        self._gateway.reset(_dump([keep] if isinstance(keep, str) else list(keep)))

    def stop(self):
        """Stops it; exchanges under way come to their ends. Leaving the ``with`` block does the same."""
        from ._client import emulators

        # Another gateway may have its port next.
        emulators.discard(self)
        self._gateway.stop()

    def client(self, **options):
        """A blocking client of it, with the options of `Client`. The emulator lives as long as it does.

        It looks at a running task every 0.1 s unless ``poll`` says otherwise.
        """
        from ._client import Client

        client = Client(**{"base_url": self.base_url, "api_key": self.api_key, **options})
        client._emulator = self
        return client

    def async_client(self, **options):
        """An async client of it, with the options of `AsyncClient`; it lives as long as that does.

        It looks at a running task every 0.1 s unless ``poll`` says otherwise.
        """
        from ._client import AsyncClient

        client = AsyncClient(**{"base_url": self.base_url, "api_key": self.api_key, **options})
        client._emulator = self
        return client

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stop()

    def __reduce__(self):
        raise TypeError("an Emulator stays in its process: send a client of it, or base_url and api_key")

    def __repr__(self):
        return f"<Emulator at {self.base_url}>"


def _dump(value):
    import json

    return json.dumps(value)


def _load(text):
    import json

    return json.loads(text)
