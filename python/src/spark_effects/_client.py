"""`Client` and `AsyncClient`: the two public clients, blocking and for asyncio. Programs make them, or get
them from `Emulator.client` and `Emulator.async_client`. Both have the same options, which are checked here,
and the same methods, made of the plans in `_plans.py` by `_wait.py`. Each holds a `_native.Engine`, which
does the work.
"""

import os
import weakref

from . import _native
from ._hooks import hooks_of
from ._many import AsyncResults, Results
from ._plans import ClientPlans, checked, many
from ._task import AsyncTask, Task
from ._values import (
    Headers,
    Policy,
    boolean,
    is_database,
    money,
    own_state,
    path_text,
    positive,
    refused,
    text,
)
from ._wait import (
    awaiting,
    blocking,
    calls_with_options,
    constructor,
    is_coroutine_function,
    misspelt,
    named,
    plain,
)

__all__ = ["AsyncClient", "Client"]

# The emulators that run in this process. They have nothing else to do than to answer.
emulators = weakref.WeakSet()
_EMULATOR_INTERVAL = 0.1
# Where a replay is, in place of any gateway.
_REPLAY = "http://replay.localhost"


# A tuple, so that two clients of one profile have equal options, and with these are equal.
class _ProfileKey(tuple):
    """Asks for the key of the profile that it names. It travels as that name."""

    __slots__ = ()

    def __call__(self):
        return _native.profile_key(self[0])


def _key(api_key):
    """The key as text, or what returns it."""
    if not callable(api_key):
        return {"api_key": text("api_key", api_key, secret=True), "ask_key": None}
    if is_coroutine_function(api_key):
        raise TypeError("api_key is a coroutine function: give one that returns the text of the key")
    return {"api_key": None, "ask_key": api_key}


def _certificate(client_cert):
    """The files of a client's certificate and of its key, where that is another one."""
    if isinstance(client_cert, tuple):
        if len(client_cert) != 2:
            rule = "give one file, or a pair of the certificate's and the key's"
            raise refused("client_cert", client_cert, rule)
        cert, key = client_cert
        return {"client_cert": path_text("client_cert", cert), "client_key": path_text("client_cert", key)}
    return {"client_cert": path_text("client_cert", client_cert), "client_key": None}


class _ClientBase:
    # An emulator it was made by lives as long as it does.
    __slots__ = ("__weakref__", "_closed", "_emulator", "_engine", "_options", "_policy")

    @constructor
    def __init__(
        self,
        *,
        api_key=None,
        base_url=None,
        poll="auto",
        wait_timeout=600,
        last_look=5,
        deadline=None,
        first_answer_timeout=60,
        request_timeout=30,
        connect_timeout=10,
        repeat="safe",
        uploads=None,
        budget=None,
        price=None,
        journal=None,
        proxy=None,
        ca_bundle=None,
        client_cert=None,
        cassette=None,
        allow_http=False,
        headers=None,
        user_agent=None,
        on_request=None,
        on_response=None,
        on_event=None,
        **unknown,
    ):
        # Taken at all only to say what a misspelt option was probably meant to be.
        if unknown:
            raise misspelt(TypeError(), type(self), unknown)
        self._policy = Policy(
            poll=poll,
            wait_timeout=wait_timeout,
            last_look=last_look,
            deadline=deadline,
            first_answer_timeout=first_answer_timeout,
            request_timeout=request_timeout,
            repeat=repeat,
            # The user agent comes last, so that it counts where `headers` name one too.
            headers=Headers(headers)
            + (() if user_agent is None else (("User-Agent", text("user_agent", user_agent)),)),
        )
        price = money("price", price)
        if price is not None and budget is None:
            raise refused("price", price, "it is for a budget: give budget= as well, or leave it out")
        # Both become absolute below: a client may travel to a process that works in another folder.
        journal = path_text("journal", journal)
        cassette = path_text("cassette", cassette)
        setup = {
            **_key(api_key),
            "base_url": text("base_url", base_url),
            "allow_http": boolean("allow_http", allow_http),
            "connect_timeout": positive("connect_timeout", connect_timeout),
            "uploads": text("uploads", uploads),
            "proxy": text("proxy", proxy),
            "ca_bundle": path_text("ca_bundle", ca_bundle),
            **_certificate(client_cert),
            "cassette": cassette and os.path.abspath(cassette),
            "budget": money("budget", budget),
            "price": price,
            "hooks": hooks_of(on_request=on_request, on_response=on_response, on_event=on_event),
            "journal": journal if is_database(journal) else journal and os.path.abspath(journal),
        }
        self._closed = False
        self._engine = _native.Engine({**setup, "money": None})
        # A gateway of the environment stays with the client wherever it is sent; a key does not.
        self._options = {**setup, "base_url": self._engine.base_url()}
        # `Pace()` asks for the learned pace in so many words.
        if isinstance(poll, str) and self._is_emulator_here():
            self._policy = self._policy.replace(poll=_EMULATOR_INTERVAL)

    @classmethod
    def from_profile(cls, name=None, **options):
        """A client with the settings of a profile: gateway, key, uploads, proxy, certificates and journal.

        Where a cassette is replayed, it has no journal.

        Profiles are tables of ``profiles.toml``, which the `effects` command reads, too; `effects login`
        stores a key for one, in the system's keyring or in a file. A profile's key goes to the profile's own
        gateway alone.

        Args:
            name: the profile; ``EFFECTS_PROFILE``, else ``"default"``, when left out.
            options: what else the client is to have, or to have otherwise.

        Raises:
            InvalidRequest: there is no such profile, its file cannot be used, or ``base_url`` is given
                without the key of that gateway.
            AuthError: its key cannot be had: its file or program fails, or the keyring is locked or does not
                answer.
        """
        name = name or os.environ.get("EFFECTS_PROFILE") or "default"
        settings = _native.profile(name)
        key = settings.pop("client_key")
        if key is not None:
            settings["client_cert"] = (settings["client_cert"], key)
        if settings.pop("has_key") and options.get("api_key") is None:
            if options.get("base_url") is not None:
                rule = f"the key of profile {name} is for its own gateway: give api_key= as well"
                raise refused("base_url", options["base_url"], rule)
            settings["api_key"] = _ProfileKey((name,))
        # Only a client that is made knows whether it replays, since the environment may name a cassette.
        # Its journal is not opened before its first call.
        client = cls(**{**settings, **options})
        if "journal" in options or client.base_url.rstrip("/") != _REPLAY:
            return client
        # A replay pays for nothing, and the profile's journal is that of its paid tasks.
        return cls(**{**settings, "journal": None, **options})

    def _is_emulator_here(self):
        address = self.base_url.rstrip("/")
        return any(emulator.base_url == address for emulator in tuple(emulators))

    @property
    def base_url(self):
        """Where the gateway is."""
        return self._engine.base_url()

    @property
    def policy(self):
        """How its runs behave, unless a call says otherwise."""
        return self._policy

    @property
    def _open(self):
        """What does the work of a client that is not closed."""
        if self._closed:
            raise RuntimeError(f"the {type(self).__name__} is closed: make another")
        return self._engine

    def _close(self):
        self._closed = True
        self._engine.close()

    @plain
    def check(self, template, image, *, width=None, height=None, extra=None):
        """Finds everything that `run` with the same arguments would refuse; nothing is sent.

        Returns:
            A list of `Violation`; empty if there is nothing to say against it.

        Raises:
            InvalidRequest: `extra` has a parameter that is known, or looks like one.
        """
        return checked(self, template, image, width, height, extra)

    def __eq__(self, other):
        if type(other) is not type(self):
            return NotImplemented
        return self._options == other._options and self._policy == other._policy

    def __hash__(self):
        # The options are a dict and have no hash; equal clients also agree in these two.
        return hash((self.base_url, self._policy))

    def __reduce__(self):
        # With what is left of the budget, so that a copy does not begin with the whole of it again.
        facts = (type(self), self._options, self._policy, self._engine.money())
        return (_rebuilt, facts, own_state(self))

    def __repr__(self):
        return f"{type(self).__name__}(base_url={self.base_url!r})"


# Each client has its own, whose stub says which task it gives.
def task(self, id, *, template=None):
    """A task submitted before, by whomever. Nothing is sent.

    Args:
        id: the service's name for it.
        template: its template, if it is known: of use to the pace alone.

    Raises:
        InvalidRequest: the id cannot be one.
    """
    id = text("id", id)
    if id is None:
        raise TypeError("id is None: give the id of a task, as text")
    template = template and str(template)
    # `None`: when it was submitted is not known.
    handle = self._open.task(id, self._policy._native, template, None)
    return self._task_class(self, handle, id, template)


@named
class Client(_ClientBase):
    """The blocking client. It is safe to share between threads; while it waits, others run.

    A key given here travels with a pickle of the client; one of the environment stays there.

    Args:
        api_key: the key, or what returns it: a function without arguments, which is called when the client is
            made, and once more, in a thread of its own, for each key that the service refuses. When left
            out, ``EFFECTS_API_KEY``, else ``VTRIX_API_KEY``, else what the program of
            ``EFFECTS_API_KEY_COMMAND`` prints.
        base_url: the gateway; ``EFFECTS_BASE_URL``, else the service's own, when left out.
        poll: when to look at a running task: ``"auto"``, seconds, a timedelta, or a `Pace`. ``"auto"``
            learns from the tasks it has seen; an `Emulator` of this process is asked every 0.1 s.
        wait_timeout: how long one run is watched, in seconds or as a timedelta; ``None`` and ``inf`` are
            without limit. Its end may add one last look.
        last_look: how long that last look may take; 0 for none.
        deadline: how long each call may take in all, upload, submission, wait and download together; see
            `Policy`.
        first_answer_timeout: how long one run goes on while nothing at all answers it, from its start; once
            there is a task, and for many jobs at once, ``wait_timeout`` counts.
        request_timeout: the longest one exchange may take.
        connect_timeout: the longest a connection may take to be made.
        repeat: which submissions may be repeated: ``"never"``, ``"safe"``, ``"always"``.
        uploads: where local photos are put: ``"gateway"``, ``"gateway=URL"``, ``"data-url"``,
            ``"command=PROGRAM"``, ``"presigned-put=PROGRAM"``.
        budget: what this client may spend in its life, in USD, as text or `decimal.Decimal`. Each
            submission reserves what one picture costs at most, as far as was seen; the call that sees
            the end of its task settles it, and a failed task without a bill gives it back. While no
            cost was seen, one task runs until it tells. A pickled copy, and a child of
            ``fork()``, has what was left at that moment (what may still be billed counts as spent) and
            from then on counts for itself: over many processes, give each its share, or submit in one.
            Each attempt of unknown outcome stays reserved: with ``repeat="always"`` another one leaves only
            while the budget reaches for it and the price is known.
        price: what one picture costs at most, in USD, if it is known; only with a budget. A cost that the
            service does not say counts as that; a higher one, and a budget that is exceeded by it, are
            warnings of the logger ``"spark_effects"``.
        journal: the file that keeps what was done, safe against crashes; ``~/`` is the home. Or
            ``"postgres://user@host/database"``, a database that many machines share; its password may be
            in ``PGPASSWORD`` or ``~/.pgpass``. `effects tasks --journal FILE` shows it. The first call of
            this client that sees a task end records the end and the cost: `run`, `Task.wait`,
            `Task.status`, `Task.events` or `map`; also of a task that another process submitted with
            the same journal.
        proxy: a proxy's URL; ``""`` for none, whatever the environment says.
        ca_bundle: a PEM file of certificates to trust instead of the system's. When left out,
            ``EFFECTS_CA_BUNDLE``.
        client_cert: a PEM file with the certificate to show to a gateway that asks for one, its chain and its
            private key; or ``(certificate, key)``, where the key has a file of its own. When left out,
            ``EFFECTS_CLIENT_CERT`` and ``EFFECTS_CLIENT_KEY``.
        cassette: a file that all exchanges are recorded in, or, where it is there, one that is replayed:
            nothing is sent then, no key is needed, and nothing is waited for. It holds no key, and
            pictures are files beside it. When left out, ``EFFECTS_CASSETTE``.
        allow_http: lets the base URL be http on another machine, where the key travels in the clear.
        headers: headers on each request to the gateway, as a dict: for a proxy in between, say. Those that
            the client sets itself are refused, ``Authorization`` above all. Their values are not shown.
        user_agent: what the client calls itself to the gateway.
        on_request: a function that is called with an `ExchangeRequest` for each request and download. The
            three hooks watch and change nothing. They are plain functions, called in order, one by one, in a
            thread that waits for a result of this package, or in the event loop, soon after what they tell of
            and before its result is given, unless several threads wait. What a hook raises is logged by the
            logger ``"spark_effects"`` and ends nothing, since what it was told of may be paid for.
        on_response: a function that is called with an `ExchangeResponse` once a request is answered, or no
            answer came.
        on_event: a function that is called with each `Event` of each run of this client, those of `map` too.

    Raises:
        AuthError: there is no key.
        InvalidRequest: an option cannot be used.

    A ``with`` block closes it at its end. Subclasses keep their own attributes in pickles and copies.

    >>> from spark_effects import Client, Emulator
    >>> with Emulator() as emulator:
    ...     client = Client(base_url=emulator.base_url, api_key=emulator.api_key)
    ...     effect = client.run("glass_ball", "examples/chelsea.png", width=512, height=512)
    >>> effect.usage.cost
    Decimal('0.03')
    """

    __slots__ = ()
    _awaits = False
    _task_class = Task
    _results_class = Results

    task = plain(task)
    run = blocking(ClientPlans.run)
    submit = blocking(ClientPlans.submit)
    download = blocking(ClientPlans.download)
    fetch = blocking(ClientPlans.fetch)
    upload = blocking(ClientPlans.upload)
    map = plain(many(ordered=True))
    as_completed = plain(many(ordered=False))

    def close(self):
        """Lets go of its connections. It serves no new call then; what is under way goes on.

        Its tasks need another client: ``client.task(id)``.
        """
        self._close()

    def __enter__(self):
        # Refuses a client that is closed.
        self._open  # noqa: B018
        return self

    def __exit__(self, *exception):
        self.close()


@named
class AsyncClient(_ClientBase):
    """The async client: the names of `Client`, awaited. It serves one event loop after another.

    The options and errors are those of `Client`. It needs asyncio (uvloop, and anyio on asyncio, are
    fine); trio is not supported.

    A cancelled call stops watching its task, which goes on and is paid for: its id and the line that
    resumes it are a warning of the logger ``"spark_effects"``, which Python prints on stderr where no
    handler is set. So it is with a task whose result came too late for its caller.
    """

    __slots__ = ()
    _awaits = True
    _task_class = AsyncTask
    _results_class = AsyncResults

    task = plain(task)
    run = awaiting(ClientPlans.run)
    submit = awaiting(ClientPlans.submit)
    download = awaiting(ClientPlans.download)
    fetch = awaiting(ClientPlans.fetch)
    upload = awaiting(ClientPlans.upload)
    map = plain(many(ordered=True))
    as_completed = plain(many(ordered=False))

    async def close(self):
        self._close()

    # One text for both: a test holds the two clients to the same words.
    close.__doc__ = Client.close.__doc__

    async def __aenter__(self):
        # Refuses a client that is closed.
        self._open  # noqa: B018
        return self

    async def __aexit__(self, *exception):
        await self.close()


calls_with_options.update({"Client()": Client, "run()": Client.run, "map()": Client.map})


def _rebuilt(kind, options, policy, money):
    # Without `__init__`: a subclass may take other arguments.
    client = kind.__new__(kind)
    client._closed = False
    # A pickle of an earlier release has no hooks.
    client._engine = _native.Engine({"hooks": None, **options, "money": money})
    client._options = options
    client._policy = policy
    return client
