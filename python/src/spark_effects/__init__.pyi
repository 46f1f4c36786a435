"""`Client` and `AsyncClient`: styled pictures out of photos, by the paid web API ``spark_img_effects``."""

from . import errors as errors
from ._answer import ServiceError as ServiceError
from ._answer import TaskStatus as TaskStatus
from ._answer import Usage as Usage
from ._client import AsyncClient as AsyncClient
from ._client import Client as Client
from ._effect import Effect as Effect
from ._emulator import Emulator as Emulator
from ._emulator import SeenRequest as SeenRequest
from ._event import Event as Event
from ._hooks import ExchangeRequest as ExchangeRequest
from ._hooks import ExchangeResponse as ExchangeResponse
from ._job import Job as Job
from ._many import AsyncResults as AsyncResults
from ._many import Result as Result
from ._many import ResultList as ResultList
from ._many import Results as Results
from ._picture import Picture as Picture
from ._task import AsyncEvents as AsyncEvents
from ._task import AsyncTask as AsyncTask
from ._task import Events as Events
from ._task import Task as Task
from ._templates import Template as Template
from ._templates import UnlistedTemplate as UnlistedTemplate
from ._templates import templates as templates
from ._values import Backoff as Backoff
from ._values import Pace as Pace
from ._values import Policy as Policy
from .errors import AuthError as AuthError
from .errors import BudgetExceeded as BudgetExceeded
from .errors import DeadlineExceeded as DeadlineExceeded
from .errors import EffectsError as EffectsError
from .errors import InvalidRequest as InvalidRequest
from .errors import OutcomeUnknown as OutcomeUnknown
from .errors import OutOfCredit as OutOfCredit
from .errors import RateLimited as RateLimited
from .errors import TaskFailed as TaskFailed
from .errors import TaskNotFound as TaskNotFound
from .errors import TransportError as TransportError
from .errors import UnreadableAnswer as UnreadableAnswer
from .errors import Violation as Violation
from .errors import WaitTimeout as WaitTimeout

__version__: str
__all__ = [
    "AsyncClient",
    "AsyncEvents",
    "AsyncResults",
    "AsyncTask",
    "AuthError",
    "Backoff",
    "BudgetExceeded",
    "Client",
    "DeadlineExceeded",
    "Effect",
    "EffectsError",
    "Emulator",
    "Event",
    "Events",
    "ExchangeRequest",
    "ExchangeResponse",
    "InvalidRequest",
    "Job",
    "OutOfCredit",
    "OutcomeUnknown",
    "Pace",
    "Picture",
    "Policy",
    "RateLimited",
    "Result",
    "ResultList",
    "Results",
    "SeenRequest",
    "ServiceError",
    "Task",
    "TaskFailed",
    "TaskNotFound",
    "TaskStatus",
    "Template",
    "TransportError",
    "UnlistedTemplate",
    "UnreadableAnswer",
    "Usage",
    "Violation",
    "WaitTimeout",
    "errors",
    "templates",
]
