"""Everything that can go wrong, named: a stable code, a status, a sentence, headers. Knows no framework."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import ClassVar


class ConfigurationError(Exception):
    """A setting that the service can't start with; the text is one line that names the variable."""


class AppError(Exception):
    """The family of failures that a caller is told about (the contract's ErrorResponse).

    `message` is one sentence for a person and says what to do next where there is something to do;
    `details` has one line per problem. None of them may hold driver text, a token or a task's text.
    `reason` is for the log and the operator, never for the caller, and holds nothing that a caller sent.
    """

    status: ClassVar[int]
    code: ClassVar[str]
    message: str = ""

    def __init__(
        self,
        message: str | None = None,
        *,
        details: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        reason: str = "",
    ) -> None:
        self.message = message or self.message
        self.details = list(details)
        self.headers = dict(headers or {})
        self.reason = reason
        super().__init__(self.message)


class BadRequest(AppError):
    status, code = 400, "BAD_REQUEST"
    message = "The request could not be understood."


class Unauthorized(AppError):
    status, code = 401, "UNAUTHORIZED"
    message = "Sign in: send the header 'Authorization: Bearer <token>'."


class NotFound(AppError):
    status, code = 404, "NOT_FOUND"
    message = "There is nothing at this path; GET /docs shows what there is."


class TaskNotFound(NotFound):
    """Also another user's task: it is not forbidden, it is not there."""

    message = "You have no task with this id."


class MethodNotAllowed(AppError):
    status, code = 405, "METHOD_NOT_ALLOWED"
    message = "This path does not take this method; the Allow header lists those it takes."


class Conflict(AppError):
    """An id of the caller's that is in use (RFC 9110 section 15.5.10)."""

    status, code = 409, "CONFLICT"
    message = "You have another task with this id, or changed it since; use a new id for a new task."


class Gone(AppError):
    """What was asked for was there and is not any more (RFC 9110 section 15.5.11)."""

    status, code = 410, "GONE"
    message = "What changed since then is no longer known; start over without `since`."


class PreconditionFailed(AppError):
    """The task is no longer as the caller knew it; the current ETag comes along (RFC 9110 section 13.1.1)."""

    status, code = 412, "PRECONDITION_FAILED"
    message = "The task was changed since you read it; read it again and repeat your change."

    def __init__(self, revision: int | None = None) -> None:
        super().__init__(headers={} if revision is None else {"ETag": f'"{revision}"'})


class PreconditionRequired(AppError):
    status, code = 428, "PRECONDITION_REQUIRED"
    message = (
        "Send If-Match with the ETag of the task as you read it, so that nobody's change is overwritten."
    )


class PayloadTooLarge(AppError):
    status, code = 413, "PAYLOAD_TOO_LARGE"
    message = "The request body is too large."

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request body is too large; at most {limit} bytes are accepted.")


class UnsupportedMediaType(AppError):
    status, code = 415, "UNSUPPORTED_MEDIA_TYPE"
    message = "Send the body as JSON, with the header 'Content-Type: application/json'."


class ValidationFailed(AppError):
    status, code = 422, "VALIDATION_ERROR"
    message = "The request is not valid; each line of details names a field and what it accepts."


class RateLimited(AppError):
    """RFC 6585 section 4; Retry-After is in seconds."""

    status, code = 429, "RATE_LIMITED"
    message = "This is too much at once; try again after the seconds that Retry-After names."

    def __init__(self, message: str | None = None, *, retry_after: int = 1, reason: str = "") -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after)}, reason=reason)


class InternalError(AppError):
    status, code = 500, "INTERNAL_ERROR"
    message = "Something went wrong on our side; please report it with the X-Request-ID of this answer."


class Unavailable(AppError):
    """Something that is needed can't be had now (RFC 9110 section 15.6.4: 503; Retry-After is in seconds)."""

    status, code = 503, "SERVICE_UNAVAILABLE"
    message = "The database is not reachable right now; try again in a moment."

    def __init__(self, message: str | None = None, *, retry_after: int = 1, reason: str = "") -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after)}, reason=reason)


class SignInUnavailable(Unavailable):
    """What a credential is checked against can't be had now. Never a 401: that logs people out."""

    message = "Your sign-in can't be checked right now; try again in a moment."

    def __init__(self, reason: str) -> None:
        super().__init__(retry_after=5, reason=reason)


class Ending(StrEnum):
    """Why something that lasts is over for its caller."""

    TOKEN_EXPIRED = "TOKEN_EXPIRED"  # noqa: S105 - it is a reason
    SIGNED_OUT = "SIGNED_OUT"
    SHUTDOWN = "SHUTDOWN"
