"""What the caller can do something about: 4xx."""

from app.errors.family import AppError


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


class RequestTimeout(AppError):
    """It took too long to arrive, and the connection is closed (RFC 9110 section 15.5.9)."""

    status, code = 408, "REQUEST_TIMEOUT"
    message = "The request took too long to arrive; send it again."

    def __init__(self, *, reason: str) -> None:
        super().__init__(headers={"Connection": "close"}, reason=reason)


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


class UriTooLong(AppError):
    """RFC 9110 section 15.5.15."""

    status, code = 414, "URI_TOO_LONG"
    message = "The path and query are too long."

    def __init__(self, limit: int) -> None:
        super().__init__(f"The path and query are too long; at most {limit} bytes are accepted.")


class UnsupportedMediaType(AppError):
    status, code = 415, "UNSUPPORTED_MEDIA_TYPE"
    message = "Send the body as JSON, with the header 'Content-Type: application/json'."


class EncodedBody(UnsupportedMediaType):
    """Nothing is unpacked: a few bytes could become any number (RFC 9110 section 15.5.16)."""

    message = "Send the body as it is: without a Content-Encoding, and no Transfer-Encoding but chunked."

    def __init__(self) -> None:
        super().__init__(headers={"Accept-Encoding": "identity"})


class ValidationFailed(AppError):
    status, code = 422, "VALIDATION_ERROR"
    message = "The request is not valid; each line of details names a field and what it accepts."


class RateLimited(AppError):
    """RFC 6585 section 4; Retry-After is in seconds."""

    status, code = 429, "RATE_LIMITED"
    message = "This is too much at once; try again after the seconds that Retry-After names."

    def __init__(self, message: str | None = None, *, retry_after: int = 1, reason: str = "") -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after)}, reason=reason)


class HeadersTooLarge(AppError):
    """RFC 6585 section 5; trailers are fields of a header too."""

    status, code = 431, "HEADERS_TOO_LARGE"
    message = "The headers are too large."

    def __init__(self, limit: int, count: int) -> None:
        super().__init__(f"The headers are too large; at most {limit} bytes and {count} lines are accepted.")
