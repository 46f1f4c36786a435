"""`Client` and `AsyncClient`: the two public clients, blocking and for asyncio. Programs make them, or get
them from `Emulator.client` and `Emulator.async_client`. Both have the same options, which are checked here,
and the same methods, made of the plans in `_plans.py` by `_wait.py`. Each holds a `_native.Engine`, which
does the work.
"""

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from os import PathLike
from types import TracebackType
from typing import TypedDict, overload

# Python 3.10, which the package serves too, has none of these. Checkers know them also where
# `typing_extensions` is not installed.
from typing_extensions import LiteralString, Self, Unpack, deprecated

from ._effect import Effect
from ._event import Event
from ._hooks import ExchangeRequest, ExchangeResponse
from ._image import Image
from ._many import AnyJob, AsyncResults, Results, _Table  # pyright: ignore[reportPrivateUsage]
from ._picture import Picture
from ._task import AsyncTask, Task
from ._templates import MYPY, Template, TemplateId, UnlistedTemplate
from ._values import Money, Policy, Poll, Repeat, Seconds
from .errors import Violation

__all__ = ["AsyncClient", "Client"]

class _ClientOptions(TypedDict, total=False):
    """The options of a client."""

    api_key: str | Callable[[], str] | None
    base_url: str | None
    poll: Poll
    wait_timeout: Seconds | None
    last_look: Seconds
    deadline: Seconds | None
    first_answer_timeout: Seconds | None
    request_timeout: Seconds
    connect_timeout: Seconds
    repeat: Repeat
    uploads: str | None
    budget: Money | None
    price: Money | None
    journal: str | PathLike[str] | None
    proxy: str | None
    ca_bundle: str | PathLike[str] | None
    client_cert: str | PathLike[str] | tuple[str | PathLike[str], str | PathLike[str]] | None
    cassette: str | PathLike[str] | None
    allow_http: bool
    headers: Mapping[str, str] | None
    user_agent: str | None
    on_request: Callable[[ExchangeRequest], object] | None
    on_response: Callable[[ExchangeResponse], object] | None
    on_event: Callable[[Event], object] | None

class _ClientBase:
    def __init__(
        self,
        *,
        api_key: str | Callable[[], str] | None = None,
        base_url: str | None = None,
        poll: Poll = "auto",
        wait_timeout: Seconds | None = 600,
        last_look: Seconds = 5,
        deadline: Seconds | None = None,
        first_answer_timeout: Seconds | None = 60,
        request_timeout: Seconds = 30,
        connect_timeout: Seconds = 10,
        repeat: Repeat = "safe",
        uploads: str | None = None,
        budget: Money | None = None,
        price: Money | None = None,
        journal: str | PathLike[str] | None = None,
        proxy: str | None = None,
        ca_bundle: str | PathLike[str] | None = None,
        client_cert: str | PathLike[str] | tuple[str | PathLike[str], str | PathLike[str]] | None = None,
        cassette: str | PathLike[str] | None = None,
        allow_http: bool = False,
        headers: Mapping[str, str] | None = None,
        user_agent: str | None = None,
        on_request: Callable[[ExchangeRequest], object] | None = None,
        on_response: Callable[[ExchangeResponse], object] | None = None,
        on_event: Callable[[Event], object] | None = None,
    ) -> None: ...
    @classmethod
    def from_profile(cls, name: str | None = None, **options: Unpack[_ClientOptions]) -> Self:
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
    @property
    def base_url(self) -> str:
        """Where the gateway is."""
    @property
    def policy(self) -> Policy:
        """How its runs behave, unless a call says otherwise."""
    def check(
        self,
        template: Template | UnlistedTemplate | TemplateId | str | None,
        image: Image | None,
        *,
        width: int | None = None,
        height: int | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> list[Violation]:
        """Finds everything that `run` with the same arguments would refuse; nothing is sent.

        Returns:
            A list of `Violation`; empty if there is nothing to say against it.

        Raises:
            InvalidRequest: `extra` has a parameter that is known, or looks like one.
        """
    def __hash__(self) -> int: ...
    def __eq__(self, other: object) -> bool: ...

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

    def close(self) -> None:
        """Lets go of its connections. It serves no new call then; what is under way goes on.

        Its tasks need another client: ``client.task(id)``.
        """
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def task(self, id: str, *, template: Template | TemplateId | str | None = None) -> Task:
        """A task submitted before, by whomever. Nothing is sent.

        Args:
            id: the service's name for it.
            template: its template, if it is known: of use to the pace alone.

        Raises:
            InvalidRequest: the id cannot be one.
        """
    @overload
    def run(
        self,
        template: Template | UnlistedTemplate | TemplateId,
        image: Image,
        *,
        width: int | None = None,
        height: int | None = None,
        extra: Mapping[str, object] | None = None,
        wait_timeout: Seconds | None = ...,
        deadline: Seconds | None = ...,
        headers: Mapping[str, str] | None = None,
        policy: Policy | None = None,
        fetch: bool = True,
        on_event: Callable[[Event], object] | None = None,
        progress: bool = False,
    ) -> Effect:
        """Submits a request, waits for its picture and fetches it. From the submission on, it costs.

        Args:
            template: a `Template`, or the exact id of one.
            image: the photo: a URL, a path, bytes, a binary file, a PIL image, or a numpy array of
                height x width, or x 3 or 4, of uint8 or floats from 0 to 1. What is not a
                URL is uploaded first.
            width: pixels across, 512 to 2048; 1328 when left out.
            height: pixels down, 512 to 2048; 1328 when left out.
            extra: parameters that this library does not know, for the service: ``{"seed": 3}``. One that
                it knows, or that looks like one, is refused.
            wait_timeout: how long to watch, in seconds or as a timedelta, without limit with ``None`` or
                ``inf``; the client's own when left out.
            deadline: how long the call may take in all (upload, submission, wait and download together), in
                seconds or as a timedelta, without limit with ``None``; the client's own when left out.
            headers: headers on each request to the gateway, beside the client's own; see `Client`.
            policy: how this run behaves, instead of the client's own policy.
            fetch: whether to fetch the picture's bytes before returning.
            on_event: a function that is called with each `Event` as it comes; with `AsyncClient` it may be
                a coroutine function. No look is taken while it works. If it raises, the watching ends with
                its error, and the task goes on.
            progress: whether to show progress: with tqdm if it is there, else as text on stderr.

        Returns:
            The `Effect`.

        Raises:
            InvalidRequest: the request breaks the service's rules; nothing was sent.
            AuthError: the key was refused.
            RateLimited: the service throttled to the end of the wait.
            OutOfCredit: the account is out of credit.
            TaskFailed: the task failed, or has no picture.
            WaitTimeout: the wait or the deadline is over and the task is not; it goes on.
            DeadlineExceeded: the deadline was over before anything was submitted.
            OutcomeUnknown: the task may exist and may be billed.
            TransportError: the service could not be reached, or a picture not be transferred.
            UnreadableAnswer: the service's answer cannot be read.
        """
    # Chosen for a text that is written out and is no id of the catalogue: `deprecated` makes a checker
    # report it.
    if not MYPY:
        @overload
        @deprecated("the catalogue has no template of this id; Template.unlisted(id) if it is meant")
        def run(
            self,
            template: LiteralString,
            image: Image,
            *,
            width: int | None = None,
            height: int | None = None,
            extra: Mapping[str, object] | None = None,
            wait_timeout: Seconds | None = ...,
            deadline: Seconds | None = ...,
            headers: Mapping[str, str] | None = None,
            policy: Policy | None = None,
            fetch: bool = True,
            on_event: Callable[[Event], object] | None = None,
            progress: bool = False,
        ) -> Effect: ...
    # A text that the program comes by as it runs, which no checker can look up.
    @overload
    def run(
        self,
        template: str,
        image: Image,
        *,
        width: int | None = None,
        height: int | None = None,
        extra: Mapping[str, object] | None = None,
        wait_timeout: Seconds | None = ...,
        deadline: Seconds | None = ...,
        headers: Mapping[str, str] | None = None,
        policy: Policy | None = None,
        fetch: bool = True,
        on_event: Callable[[Event], object] | None = None,
        progress: bool = False,
    ) -> Effect: ...
    @overload
    def submit(
        self,
        template: Template | UnlistedTemplate | TemplateId,
        image: Image,
        *,
        width: int | None = None,
        height: int | None = None,
        extra: Mapping[str, object] | None = None,
        deadline: Seconds | None = ...,
        headers: Mapping[str, str] | None = None,
        policy: Policy | None = None,
    ) -> Task:
        """Submits a request and returns its task once the id is known. From here on it costs.

        The arguments and errors are those of `run`, but for the waiting.

        Returns:
            The task: keep its ``id``, and it can be picked up again with ``client.task(id)``.
        """
    if not MYPY:
        @overload
        @deprecated("the catalogue has no template of this id; Template.unlisted(id) if it is meant")
        def submit(
            self,
            template: LiteralString,
            image: Image,
            *,
            width: int | None = None,
            height: int | None = None,
            extra: Mapping[str, object] | None = None,
            deadline: Seconds | None = ...,
            headers: Mapping[str, str] | None = None,
            policy: Policy | None = None,
        ) -> Task: ...
    @overload
    def submit(
        self,
        template: str,
        image: Image,
        *,
        width: int | None = None,
        height: int | None = None,
        extra: Mapping[str, object] | None = None,
        deadline: Seconds | None = ...,
        headers: Mapping[str, str] | None = None,
        policy: Policy | None = None,
    ) -> Task: ...
    def download(
        self, picture: Picture | Effect, path: str | PathLike[str], *, timeout: Seconds | None = None
    ) -> str:
        """Downloads a picture into a file, which appears whole or not at all; returns its path.

        Attempts that are repeated, and a picture whose length is not what the service said, are warnings
        of the logger ``"spark_effects"``.

        Args:
            picture: a `Picture`, or an `Effect` with a single one.
            path: the file; what stands there is replaced. A device or a pipe is written to, and a
                symbolic link stays one.
            timeout: how long this call may take, with all that is repeated, in seconds or as a timedelta;
                as long as the client's policy repeats it, when left out.

        Raises:
            InvalidRequest: the path is the photo that the picture was made of.
            TransportError: it could not be downloaded or written; it is paid for and still there.
        """
    def fetch(self, picture: Picture | Effect, *, timeout: Seconds | None = None) -> bytes:
        """Downloads a picture into memory and returns its bytes.

        Args:
            picture: a `Picture`, or an `Effect` with a single one.
            timeout: how long this call may take; see `download`.

        Raises:
            TransportError: it could not be downloaded; it is paid for and still there.
        """
    def upload(self, image: Image, *, timeout: Seconds | None = None) -> str:
        """Puts a local photo where the service can fetch it and returns the URL.

        The same photo is uploaded once an hour. Nothing is billed.

        Args:
            image: the photo, in any form that `run` takes.
            timeout: how long this call may take; see `download`.

        Raises:
            InvalidRequest: it is no photo, or ``uploads=`` does not say where to put it.
            TransportError: the upload failed.
        """
    def map(
        self,
        jobs: Iterable[AnyJob] | _Table,
        *,
        in_flight: int = 16,
        ahead: int | None = None,
        budget: Money | None = None,
        price: Money | None = None,
        scope: str | None = None,
        journal: str | PathLike[str] | None = None,
        deadline: Seconds | None = ...,
        headers: Mapping[str, str] | None = None,
        policy: Policy | None = None,
        fetch: bool = True,
        progress: bool = False,
        submissions: int | None = None,
        polls_per_second: float | None = None,
        unknown_in_a_row: int = 3,
    ) -> Results:
        """Does many jobs at once and yields a `Result` for each, in the order of the jobs.

        A job that fails is a result with an error and stops no other. With a journal, running the same
        jobs again submits only what is missing, follows what is unfinished and pays for nothing twice.
        Of a job that was completed before, the journal knows the task, the cost and the picture's link:
        with ``fetch=False`` the result tells these (`Effect.raw` is empty then) and nothing is asked of
        the service, unless the link was kept without a part that could be a permission. With
        ``fetch=True`` the task is looked at once for a fresh link, and its picture fetched again, since
        the journal keeps no pictures: save them, and leave the jobs out whose files are there.

        Args:
            jobs: any iterable of `Job` objects, (template, image) pairs, dicts, or tasks; for `AsyncClient`
                also an async iterable, which is drawn in the event loop. A pandas or polars table with the
                columns ``template`` and ``image``, and those of `Job` that are wanted, gives its rows:
                `Result.job` is the row, as a dict of all its columns. The jobs are drawn from a thread of
                their own, as room comes, and so many more as there are `submissions`: the photos of those
                are uploaded side by side meanwhile, each once.
            in_flight: tasks in flight at once. Each needs a look to be seen done, so `polls_per_second`
                limits the pace, however many are in flight: 300 jobs take 15 s at least at 20 a second.
            ahead: results that may wait to be taken beside the tasks in flight; ``in_flight - 1`` when
                left out. A job is submitted only while the tasks in flight and the results not yet taken
                are fewer than ``in_flight + ahead``, so that leaving the loop leaves no more than so
                many paid for and unused. With ``ahead=0`` each result holds its place until it is taken:
                a slow reader, or one slow task before others in `map`, then holds up the submitting.
            budget: what this call may pay, in USD, as text or `decimal.Decimal`; never more than is left
                of the client's own budget. Jobs beyond it end with `BudgetExceeded`, unsent. What
                earlier calls paid for jobs the journal knows is not paid again and does not count.
            price: what one picture costs at most, in USD, if it is known. A picture that costs more is a
                warning of the logger ``"spark_effects"``, at once, and from then on so much is reserved for
                each; jobs that cost more than the budget after all are one at the end.
            scope: the name of an order in the journal, which many processes and machines may do together.
                Their budget is one, and counts what earlier calls in the scope paid. Keys of jobs count
                within it, so that two orders may both number their jobs from 1. Only with a journal, and
                not for a client that has a budget of its own.
            journal: the file that keeps what was done, safe against crashes, or the ``postgres://`` URL of
                a database that many machines share; the client's own when left out.
            deadline: how long all of it may take, from the first upload to the last picture, in seconds or
                as a timedelta, without limit with ``None``; the client's own when left out. What was not
                submitted by then is not, and errors name the tasks that go on.
            headers: headers on each request to the gateway, beside the client's own; see `Client`.
            policy: how the runs behave, instead of the client's own policy.
            fetch: whether to fetch the pictures' bytes, those of jobs completed before too.
            progress: whether to show progress: with tqdm if it is there, else as text on stderr.
            submissions: submissions in flight at once, and uploads; 4 when left out.
            polls_per_second: looks a second, over all tasks, at most; 20 when left out, and 1000 at an
                `Emulator` of this process.
            unknown_in_a_row: how many submissions in a row may be of unknown outcome. Then nothing is
                submitted for 30 s, and one job shows whether the gateway answers again: if not, the jobs
                left end with a `TransportError`, unsent.

        Raises:
            InvalidRequest: an option cannot be used.
            EffectsError: the journal cannot be opened, read or written; with the first result, since the
                opening may take its time.
        """
    def as_completed(
        self,
        jobs: Iterable[AnyJob] | _Table,
        *,
        in_flight: int = 16,
        ahead: int | None = None,
        budget: Money | None = None,
        price: Money | None = None,
        scope: str | None = None,
        journal: str | PathLike[str] | None = None,
        deadline: Seconds | None = ...,
        headers: Mapping[str, str] | None = None,
        policy: Policy | None = None,
        fetch: bool = True,
        progress: bool = False,
        submissions: int | None = None,
        polls_per_second: float | None = None,
        unknown_in_a_row: int = 3,
    ) -> Results:
        """Does many jobs at once and yields a `Result` for each, as they end.

        A job that fails is a result with an error and stops no other. With a journal, running the same
        jobs again submits only what is missing, follows what is unfinished and pays for nothing twice.
        Of a job that was completed before, the journal knows the task, the cost and the picture's link:
        with ``fetch=False`` the result tells these (`Effect.raw` is empty then) and nothing is asked of
        the service, unless the link was kept without a part that could be a permission. With
        ``fetch=True`` the task is looked at once for a fresh link, and its picture fetched again, since
        the journal keeps no pictures: save them, and leave the jobs out whose files are there.

        Args:
            jobs: any iterable of `Job` objects, (template, image) pairs, dicts, or tasks; for `AsyncClient`
                also an async iterable, which is drawn in the event loop. A pandas or polars table with the
                columns ``template`` and ``image``, and those of `Job` that are wanted, gives its rows:
                `Result.job` is the row, as a dict of all its columns. The jobs are drawn from a thread of
                their own, as room comes, and so many more as there are `submissions`: the photos of those
                are uploaded side by side meanwhile, each once.
            in_flight: tasks in flight at once. Each needs a look to be seen done, so `polls_per_second`
                limits the pace, however many are in flight: 300 jobs take 15 s at least at 20 a second.
            ahead: results that may wait to be taken beside the tasks in flight; ``in_flight - 1`` when
                left out. A job is submitted only while the tasks in flight and the results not yet taken
                are fewer than ``in_flight + ahead``, so that leaving the loop leaves no more than so
                many paid for and unused. With ``ahead=0`` each result holds its place until it is taken:
                a slow reader, or one slow task before others in `map`, then holds up the submitting.
            budget: what this call may pay, in USD, as text or `decimal.Decimal`; never more than is left
                of the client's own budget. Jobs beyond it end with `BudgetExceeded`, unsent. What
                earlier calls paid for jobs the journal knows is not paid again and does not count.
            price: what one picture costs at most, in USD, if it is known. A picture that costs more is a
                warning of the logger ``"spark_effects"``, at once, and from then on so much is reserved for
                each; jobs that cost more than the budget after all are one at the end.
            scope: the name of an order in the journal, which many processes and machines may do together.
                Their budget is one, and counts what earlier calls in the scope paid. Keys of jobs count
                within it, so that two orders may both number their jobs from 1. Only with a journal, and
                not for a client that has a budget of its own.
            journal: the file that keeps what was done, safe against crashes, or the ``postgres://`` URL of
                a database that many machines share; the client's own when left out.
            deadline: how long all of it may take, from the first upload to the last picture, in seconds or
                as a timedelta, without limit with ``None``; the client's own when left out. What was not
                submitted by then is not, and errors name the tasks that go on.
            headers: headers on each request to the gateway, beside the client's own; see `Client`.
            policy: how the runs behave, instead of the client's own policy.
            fetch: whether to fetch the pictures' bytes, those of jobs completed before too.
            progress: whether to show progress: with tqdm if it is there, else as text on stderr.
            submissions: submissions in flight at once, and uploads; 4 when left out.
            polls_per_second: looks a second, over all tasks, at most; 20 when left out, and 1000 at an
                `Emulator` of this process.
            unknown_in_a_row: how many submissions in a row may be of unknown outcome. Then nothing is
                submitted for 30 s, and one job shows whether the gateway answers again: if not, the jobs
                left end with a `TransportError`, unsent.

        Raises:
            InvalidRequest: an option cannot be used.
            EffectsError: the journal cannot be opened, read or written; with the first result, since the
                opening may take its time.
        """

class AsyncClient(_ClientBase):
    """The async client: the names of `Client`, awaited. It serves one event loop after another.

    The options and errors are those of `Client`. It needs asyncio (uvloop, and anyio on asyncio, are
    fine); trio is not supported.

    A cancelled call stops watching its task, which goes on and is paid for: its id and the line that
    resumes it are a warning of the logger ``"spark_effects"``, which Python prints on stderr where no
    handler is set. So it is with a task whose result came too late for its caller.
    """

    async def close(self) -> None:
        """Lets go of its connections. It serves no new call then; what is under way goes on.

        Its tasks need another client: ``client.task(id)``.
        """
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def task(self, id: str, *, template: Template | TemplateId | str | None = None) -> AsyncTask:
        """A task submitted before, by whomever. Nothing is sent.

        Args:
            id: the service's name for it.
            template: its template, if it is known: of use to the pace alone.

        Raises:
            InvalidRequest: the id cannot be one.
        """
    @overload
    async def run(
        self,
        template: Template | UnlistedTemplate | TemplateId,
        image: Image,
        *,
        width: int | None = None,
        height: int | None = None,
        extra: Mapping[str, object] | None = None,
        wait_timeout: Seconds | None = ...,
        deadline: Seconds | None = ...,
        headers: Mapping[str, str] | None = None,
        policy: Policy | None = None,
        fetch: bool = True,
        on_event: Callable[[Event], object] | None = None,
        progress: bool = False,
    ) -> Effect:
        """Submits a request, waits for its picture and fetches it. From the submission on, it costs.

        Args:
            template: a `Template`, or the exact id of one.
            image: the photo: a URL, a path, bytes, a binary file, a PIL image, or a numpy array of
                height x width, or x 3 or 4, of uint8 or floats from 0 to 1. What is not a
                URL is uploaded first.
            width: pixels across, 512 to 2048; 1328 when left out.
            height: pixels down, 512 to 2048; 1328 when left out.
            extra: parameters that this library does not know, for the service: ``{"seed": 3}``. One that
                it knows, or that looks like one, is refused.
            wait_timeout: how long to watch, in seconds or as a timedelta, without limit with ``None`` or
                ``inf``; the client's own when left out.
            deadline: how long the call may take in all (upload, submission, wait and download together), in
                seconds or as a timedelta, without limit with ``None``; the client's own when left out.
            headers: headers on each request to the gateway, beside the client's own; see `Client`.
            policy: how this run behaves, instead of the client's own policy.
            fetch: whether to fetch the picture's bytes before returning.
            on_event: a function that is called with each `Event` as it comes; with `AsyncClient` it may be
                a coroutine function. No look is taken while it works. If it raises, the watching ends with
                its error, and the task goes on.
            progress: whether to show progress: with tqdm if it is there, else as text on stderr.

        Returns:
            The `Effect`.

        Raises:
            InvalidRequest: the request breaks the service's rules; nothing was sent.
            AuthError: the key was refused.
            RateLimited: the service throttled to the end of the wait.
            OutOfCredit: the account is out of credit.
            TaskFailed: the task failed, or has no picture.
            WaitTimeout: the wait or the deadline is over and the task is not; it goes on.
            DeadlineExceeded: the deadline was over before anything was submitted.
            OutcomeUnknown: the task may exist and may be billed.
            TransportError: the service could not be reached, or a picture not be transferred.
            UnreadableAnswer: the service's answer cannot be read.
        """
    if not MYPY:
        @overload
        @deprecated("the catalogue has no template of this id; Template.unlisted(id) if it is meant")
        async def run(
            self,
            template: LiteralString,
            image: Image,
            *,
            width: int | None = None,
            height: int | None = None,
            extra: Mapping[str, object] | None = None,
            wait_timeout: Seconds | None = ...,
            deadline: Seconds | None = ...,
            headers: Mapping[str, str] | None = None,
            policy: Policy | None = None,
            fetch: bool = True,
            on_event: Callable[[Event], object] | None = None,
            progress: bool = False,
        ) -> Effect: ...
    @overload
    async def run(
        self,
        template: str,
        image: Image,
        *,
        width: int | None = None,
        height: int | None = None,
        extra: Mapping[str, object] | None = None,
        wait_timeout: Seconds | None = ...,
        deadline: Seconds | None = ...,
        headers: Mapping[str, str] | None = None,
        policy: Policy | None = None,
        fetch: bool = True,
        on_event: Callable[[Event], object] | None = None,
        progress: bool = False,
    ) -> Effect: ...
    @overload
    async def submit(
        self,
        template: Template | UnlistedTemplate | TemplateId,
        image: Image,
        *,
        width: int | None = None,
        height: int | None = None,
        extra: Mapping[str, object] | None = None,
        deadline: Seconds | None = ...,
        headers: Mapping[str, str] | None = None,
        policy: Policy | None = None,
    ) -> AsyncTask:
        """Submits a request and returns its task once the id is known. From here on it costs.

        The arguments and errors are those of `run`, but for the waiting.

        Returns:
            The task: keep its ``id``, and it can be picked up again with ``client.task(id)``.
        """
    if not MYPY:
        @overload
        @deprecated("the catalogue has no template of this id; Template.unlisted(id) if it is meant")
        async def submit(
            self,
            template: LiteralString,
            image: Image,
            *,
            width: int | None = None,
            height: int | None = None,
            extra: Mapping[str, object] | None = None,
            deadline: Seconds | None = ...,
            headers: Mapping[str, str] | None = None,
            policy: Policy | None = None,
        ) -> AsyncTask: ...
    @overload
    async def submit(
        self,
        template: str,
        image: Image,
        *,
        width: int | None = None,
        height: int | None = None,
        extra: Mapping[str, object] | None = None,
        deadline: Seconds | None = ...,
        headers: Mapping[str, str] | None = None,
        policy: Policy | None = None,
    ) -> AsyncTask: ...
    async def download(
        self, picture: Picture | Effect, path: str | PathLike[str], *, timeout: Seconds | None = None
    ) -> str:
        """Downloads a picture into a file, which appears whole or not at all; returns its path.

        Attempts that are repeated, and a picture whose length is not what the service said, are warnings
        of the logger ``"spark_effects"``.

        Args:
            picture: a `Picture`, or an `Effect` with a single one.
            path: the file; what stands there is replaced. A device or a pipe is written to, and a
                symbolic link stays one.
            timeout: how long this call may take, with all that is repeated, in seconds or as a timedelta;
                as long as the client's policy repeats it, when left out.

        Raises:
            InvalidRequest: the path is the photo that the picture was made of.
            TransportError: it could not be downloaded or written; it is paid for and still there.
        """
    async def fetch(self, picture: Picture | Effect, *, timeout: Seconds | None = None) -> bytes:
        """Downloads a picture into memory and returns its bytes.

        Args:
            picture: a `Picture`, or an `Effect` with a single one.
            timeout: how long this call may take; see `download`.

        Raises:
            TransportError: it could not be downloaded; it is paid for and still there.
        """
    async def upload(self, image: Image, *, timeout: Seconds | None = None) -> str:
        """Puts a local photo where the service can fetch it and returns the URL.

        The same photo is uploaded once an hour. Nothing is billed.

        Args:
            image: the photo, in any form that `run` takes.
            timeout: how long this call may take; see `download`.

        Raises:
            InvalidRequest: it is no photo, or ``uploads=`` does not say where to put it.
            TransportError: the upload failed.
        """
    def map(
        self,
        jobs: Iterable[AnyJob] | AsyncIterable[AnyJob] | _Table,
        *,
        in_flight: int = 16,
        ahead: int | None = None,
        budget: Money | None = None,
        price: Money | None = None,
        scope: str | None = None,
        journal: str | PathLike[str] | None = None,
        deadline: Seconds | None = ...,
        headers: Mapping[str, str] | None = None,
        policy: Policy | None = None,
        fetch: bool = True,
        progress: bool = False,
        submissions: int | None = None,
        polls_per_second: float | None = None,
        unknown_in_a_row: int = 3,
    ) -> AsyncResults:
        """Does many jobs at once and yields a `Result` for each, in the order of the jobs.

        A job that fails is a result with an error and stops no other. With a journal, running the same
        jobs again submits only what is missing, follows what is unfinished and pays for nothing twice.
        Of a job that was completed before, the journal knows the task, the cost and the picture's link:
        with ``fetch=False`` the result tells these (`Effect.raw` is empty then) and nothing is asked of
        the service, unless the link was kept without a part that could be a permission. With
        ``fetch=True`` the task is looked at once for a fresh link, and its picture fetched again, since
        the journal keeps no pictures: save them, and leave the jobs out whose files are there.

        Args:
            jobs: any iterable of `Job` objects, (template, image) pairs, dicts, or tasks; for `AsyncClient`
                also an async iterable, which is drawn in the event loop. A pandas or polars table with the
                columns ``template`` and ``image``, and those of `Job` that are wanted, gives its rows:
                `Result.job` is the row, as a dict of all its columns. The jobs are drawn from a thread of
                their own, as room comes, and so many more as there are `submissions`: the photos of those
                are uploaded side by side meanwhile, each once.
            in_flight: tasks in flight at once. Each needs a look to be seen done, so `polls_per_second`
                limits the pace, however many are in flight: 300 jobs take 15 s at least at 20 a second.
            ahead: results that may wait to be taken beside the tasks in flight; ``in_flight - 1`` when
                left out. A job is submitted only while the tasks in flight and the results not yet taken
                are fewer than ``in_flight + ahead``, so that leaving the loop leaves no more than so
                many paid for and unused. With ``ahead=0`` each result holds its place until it is taken:
                a slow reader, or one slow task before others in `map`, then holds up the submitting.
            budget: what this call may pay, in USD, as text or `decimal.Decimal`; never more than is left
                of the client's own budget. Jobs beyond it end with `BudgetExceeded`, unsent. What
                earlier calls paid for jobs the journal knows is not paid again and does not count.
            price: what one picture costs at most, in USD, if it is known. A picture that costs more is a
                warning of the logger ``"spark_effects"``, at once, and from then on so much is reserved for
                each; jobs that cost more than the budget after all are one at the end.
            scope: the name of an order in the journal, which many processes and machines may do together.
                Their budget is one, and counts what earlier calls in the scope paid. Keys of jobs count
                within it, so that two orders may both number their jobs from 1. Only with a journal, and
                not for a client that has a budget of its own.
            journal: the file that keeps what was done, safe against crashes, or the ``postgres://`` URL of
                a database that many machines share; the client's own when left out.
            deadline: how long all of it may take, from the first upload to the last picture, in seconds or
                as a timedelta, without limit with ``None``; the client's own when left out. What was not
                submitted by then is not, and errors name the tasks that go on.
            headers: headers on each request to the gateway, beside the client's own; see `Client`.
            policy: how the runs behave, instead of the client's own policy.
            fetch: whether to fetch the pictures' bytes, those of jobs completed before too.
            progress: whether to show progress: with tqdm if it is there, else as text on stderr.
            submissions: submissions in flight at once, and uploads; 4 when left out.
            polls_per_second: looks a second, over all tasks, at most; 20 when left out, and 1000 at an
                `Emulator` of this process.
            unknown_in_a_row: how many submissions in a row may be of unknown outcome. Then nothing is
                submitted for 30 s, and one job shows whether the gateway answers again: if not, the jobs
                left end with a `TransportError`, unsent.

        Raises:
            InvalidRequest: an option cannot be used.
            EffectsError: the journal cannot be opened, read or written; with the first result, since the
                opening may take its time.
        """
    def as_completed(
        self,
        jobs: Iterable[AnyJob] | AsyncIterable[AnyJob] | _Table,
        *,
        in_flight: int = 16,
        ahead: int | None = None,
        budget: Money | None = None,
        price: Money | None = None,
        scope: str | None = None,
        journal: str | PathLike[str] | None = None,
        deadline: Seconds | None = ...,
        headers: Mapping[str, str] | None = None,
        policy: Policy | None = None,
        fetch: bool = True,
        progress: bool = False,
        submissions: int | None = None,
        polls_per_second: float | None = None,
        unknown_in_a_row: int = 3,
    ) -> AsyncResults:
        """Does many jobs at once and yields a `Result` for each, as they end.

        A job that fails is a result with an error and stops no other. With a journal, running the same
        jobs again submits only what is missing, follows what is unfinished and pays for nothing twice.
        Of a job that was completed before, the journal knows the task, the cost and the picture's link:
        with ``fetch=False`` the result tells these (`Effect.raw` is empty then) and nothing is asked of
        the service, unless the link was kept without a part that could be a permission. With
        ``fetch=True`` the task is looked at once for a fresh link, and its picture fetched again, since
        the journal keeps no pictures: save them, and leave the jobs out whose files are there.

        Args:
            jobs: any iterable of `Job` objects, (template, image) pairs, dicts, or tasks; for `AsyncClient`
                also an async iterable, which is drawn in the event loop. A pandas or polars table with the
                columns ``template`` and ``image``, and those of `Job` that are wanted, gives its rows:
                `Result.job` is the row, as a dict of all its columns. The jobs are drawn from a thread of
                their own, as room comes, and so many more as there are `submissions`: the photos of those
                are uploaded side by side meanwhile, each once.
            in_flight: tasks in flight at once. Each needs a look to be seen done, so `polls_per_second`
                limits the pace, however many are in flight: 300 jobs take 15 s at least at 20 a second.
            ahead: results that may wait to be taken beside the tasks in flight; ``in_flight - 1`` when
                left out. A job is submitted only while the tasks in flight and the results not yet taken
                are fewer than ``in_flight + ahead``, so that leaving the loop leaves no more than so
                many paid for and unused. With ``ahead=0`` each result holds its place until it is taken:
                a slow reader, or one slow task before others in `map`, then holds up the submitting.
            budget: what this call may pay, in USD, as text or `decimal.Decimal`; never more than is left
                of the client's own budget. Jobs beyond it end with `BudgetExceeded`, unsent. What
                earlier calls paid for jobs the journal knows is not paid again and does not count.
            price: what one picture costs at most, in USD, if it is known. A picture that costs more is a
                warning of the logger ``"spark_effects"``, at once, and from then on so much is reserved for
                each; jobs that cost more than the budget after all are one at the end.
            scope: the name of an order in the journal, which many processes and machines may do together.
                Their budget is one, and counts what earlier calls in the scope paid. Keys of jobs count
                within it, so that two orders may both number their jobs from 1. Only with a journal, and
                not for a client that has a budget of its own.
            journal: the file that keeps what was done, safe against crashes, or the ``postgres://`` URL of
                a database that many machines share; the client's own when left out.
            deadline: how long all of it may take, from the first upload to the last picture, in seconds or
                as a timedelta, without limit with ``None``; the client's own when left out. What was not
                submitted by then is not, and errors name the tasks that go on.
            headers: headers on each request to the gateway, beside the client's own; see `Client`.
            policy: how the runs behave, instead of the client's own policy.
            fetch: whether to fetch the pictures' bytes, those of jobs completed before too.
            progress: whether to show progress: with tqdm if it is there, else as text on stderr.
            submissions: submissions in flight at once, and uploads; 4 when left out.
            polls_per_second: looks a second, over all tasks, at most; 20 when left out, and 1000 at an
                `Emulator` of this process.
            unknown_in_a_row: how many submissions in a row may be of unknown outcome. Then nothing is
                submitted for 30 s, and one job shows whether the gateway answers again: if not, the jobs
                left end with a `TransportError`, unsent.

        Raises:
            InvalidRequest: an option cannot be used.
            EffectsError: the journal cannot be opened, read or written; with the first result, since the
                opening may take its time.
        """
