"""Hostile requests as data: what is sent, byte by byte, and what exactly is answered."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.test_errors import CODES

#: Stands in whatever is sent that could come back, and must not, neither in a refusal nor in the log.
CANARY = "zq7canary"

#: What `<name>` stands for in a path, a header or a body: a task of the caller's, two of another's, ...
NAMES = ("task", "foreign", "taken", "absent", "trashed", "token")

VALID, REQUIRED = "VALIDATION_ERROR", "is required"
UUID = "must be a UUID, like 01890a5d-ac96-774b-bcce-b302099a8057"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One request, and its answer: a status, or the code of a refusal that has it."""

    name: str
    status: int = 200
    code: str = ""
    line: str = "GET /tasks"
    fields: Sequence[str] = ()
    body: bytes | None = None
    media: str | None = "application/json"
    signed_in: bool = True
    raw: bytes | None = None  #: instead of all that
    answer: Mapping[str, str | None] = field(default_factory=dict)  #: headers; None: it is not there
    details: Sequence[str] | None = None
    closes: bool = False  #: the server ends the connection, and says so
    unsent: bool = False  #: the body never comes, so that the connection is of no more use
    ours: bool = True  #: the application answers, and not the server's parser before it

    @property
    def expected(self) -> int:
        return CODES[self.code] if self.code else self.status

    @property
    def may_hide_another(self) -> bool:
        """Whether something follows the head that could be taken for the next request."""
        return not (self.closes or self.unsent) and not (self.raw is None and self.body is None)

    def request(self, names: Mapping[str, str]) -> bytes:
        """What goes over the wire; latin-1, so that a field can hold any byte."""
        whole = self._whole() if self.raw is None else self.raw
        for name in NAMES:
            whole = whole.replace(f"<{name}>".encode(), names[name].encode())
        return whole.replace(b"<length>", str(len(whole.partition(b"\r\n\r\n")[2])).encode())

    def _whole(self) -> bytes:
        lines = [f"{self.line} HTTP/1.1", "Host: api.test"]
        lines += ["Authorization: Bearer <token>"] * self.signed_in
        lines += self.fields
        if self.body is not None:
            lines += [f"Content-Type: {self.media}"] * (self.media is not None)
            if not any(line.lower().startswith("transfer-encoding") for line in self.fields):
                lines.append("Content-Length: <length>")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + (self.body or b"")


def sent(value: Any) -> bytes:
    """JSON as most clients write it."""
    return json.dumps(value).encode()


def head(line: str, *fields: str, version: str = "1.1") -> bytes:
    """A head as it is given, without anything that belongs there."""
    return "\r\n".join([f"{line} HTTP/{version}", *fields, "", ""]).encode("latin-1")


def chunked(*parts: bytes, trailer: bytes = b"") -> bytes:
    """A body in chunks (RFC 9112 section 7.1)."""
    whole = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return whole + b"0\r\n" + trailer + b"\r\n"
