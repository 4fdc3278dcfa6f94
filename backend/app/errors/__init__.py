"""Everything that can go wrong, named: a stable code, a status, a sentence, headers. Knows no framework."""

from app.errors.client import (
    BadRequest,
    Conflict,
    EncodedBody,
    Gone,
    HeadersTooLarge,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    PreconditionFailed,
    PreconditionRequired,
    RateLimited,
    RequestTimeout,
    TaskNotFound,
    Unauthorized,
    UnsupportedMediaType,
    UriTooLong,
    ValidationFailed,
)
from app.errors.ending import (
    Ending,
)
from app.errors.family import (
    AppError,
    ConfigurationError,
)
from app.errors.server import (
    InternalError,
    NotAsked,
    OutcomeUnknown,
    Overloaded,
    SignInUnavailable,
    TooLate,
    Unavailable,
)

__all__ = [
    "AppError",
    "BadRequest",
    "ConfigurationError",
    "Conflict",
    "EncodedBody",
    "Ending",
    "Gone",
    "HeadersTooLarge",
    "InternalError",
    "MethodNotAllowed",
    "NotAsked",
    "NotFound",
    "OutcomeUnknown",
    "Overloaded",
    "PayloadTooLarge",
    "PreconditionFailed",
    "PreconditionRequired",
    "RateLimited",
    "RequestTimeout",
    "SignInUnavailable",
    "TaskNotFound",
    "TooLate",
    "Unauthorized",
    "Unavailable",
    "UnsupportedMediaType",
    "UriTooLong",
    "ValidationFailed",
]
