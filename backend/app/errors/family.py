"""What all failures have: a stable code, a status, a sentence, headers."""

from collections.abc import Mapping, Sequence
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
