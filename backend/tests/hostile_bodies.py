"""Bodies: sizes, media types, compression."""

import gzip
import zlib

from tests.hostile import CANARY, VALID, Case, chunked, head, sent

TASK = sent({"text": "x"})
MOST = 65_536
PACKED = {"Accept-Encoding": "identity"}
HOST, TOKEN, JSON = "Host: api.test", "Authorization: Bearer <token>", "Content-Type: application/json"
WRITES = {
    "POST /tasks": TASK,
    "PUT /tasks/<task>": sent({"text": "x", "completed": False}),
    "PATCH /tasks/<task>": TASK,
}

MEDIA = (
    None, "", "text/plain", "text/json", "application/jsonx", "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=zq7canary",
    "application/merge-patch+json", "application/json-patch+json", "application/vnd.api+json",
    "application/ json", "json", CANARY,
    "text/plain; application/json", "application/xml", "application/json, text/plain", "\xff/json",
    "application/json\xa0",
)  # fmt: skip
CODINGS = {
    "gzip": gzip.compress(TASK),
    "x-gzip": gzip.compress(TASK),
    "GZIP": gzip.compress(TASK),
    "deflate": zlib.compress(TASK),
    "br": TASK,
    "zstd": TASK,
    "compress": TASK,
    "aes128gcm": TASK,
    "identity, gzip": TASK,
    "gzip, gzip": TASK,
    CANARY: TASK,
    "": TASK,
    "*": TASK,
    "\xff": TASK,
}

CASES = [
    *(
        Case(name=f"{line} as {media}", line=line, body=body, media=media, code="UNSUPPORTED_MEDIA_TYPE")
        for media in MEDIA
        for line, body in WRITES.items()
    ),
    *(
        Case(name=f"media type {media}", line="POST /tasks", body=TASK, media=media, status=201)
        for media in (
            "application/json;",
            "APPLICATION/JSON",
            "application/json; charset=utf-8",
            "application/json ;charset=UTF-16",
            "application/json;zq7canary",
        )
    ),
    Case(name="two media types", line="POST /tasks", body=TASK, fields=[JSON], code="UNSUPPORTED_MEDIA_TYPE"),
    Case(
        name="two media types, one of a form",
        line="POST /tasks",
        body=TASK,
        fields=["Content-Type: text/plain"],
        code="UNSUPPORTED_MEDIA_TYPE",
    ),
    *(
        Case(
            name=f"packed as {coding}",
            line="POST /tasks",
            fields=[f"Content-Encoding: {coding}"],
            body=body,
            code="UNSUPPORTED_MEDIA_TYPE",
            answer=PACKED,
        )
        for coding, body in CODINGS.items()
    ),
    Case(
        name="packed in the second header",
        line="POST /tasks",
        fields=["Content-Encoding: identity", "Content-Encoding: gzip"],
        body=TASK,
        code="UNSUPPORTED_MEDIA_TYPE",
        answer=PACKED,
    ),
    Case(
        name="a bomb",
        line="POST /tasks",
        fields=["Content-Encoding: gzip"],
        body=gzip.compress(b" " * 10_000_000),
        code="UNSUPPORTED_MEDIA_TYPE",
        answer=PACKED,
    ),
    Case(
        name="packed, and does not say so",
        line="POST /tasks",
        body=gzip.compress(TASK),
        code=VALID,
        details=["body - is not valid JSON"],
    ),
    Case(name="identity", line="POST /tasks", fields=["Content-Encoding: Identity"], body=TASK, status=201),
    *(
        Case(
            name=f"one byte too many, {line}",
            raw=head(line, HOST, TOKEN, JSON, f"Content-Length: {most + 1}"),
            code="PAYLOAD_TOO_LARGE",
            unsent=True,
        )
        for line, most in (
            ("POST /tasks", MOST),
            ("PUT /tasks/<task>", MOST),
            ("DELETE /tasks/<task>", MOST),
            ("GET /tasks", MOST),
            ("POST /tasks/batch", 10 * MOST),
        )
    ),
    *(
        Case(
            name=f"a length of {length}",
            raw=head("POST /tasks", HOST, TOKEN, JSON, f"Content-Length: {length}"),
            code="PAYLOAD_TOO_LARGE",
            unsent=True,
        )
        for length in (2**31, 2**32, 2**53, 2**63, 2**64 - 1)
    ),
    Case(name="the greatest body", line="POST /tasks", body=TASK + b" " * (MOST - len(TASK)), status=201),
    Case(
        name="one byte too many, sent",
        line="POST /tasks",
        body=TASK + b" " * (MOST - len(TASK) + 1),
        code="PAYLOAD_TOO_LARGE",
    ),
    Case(
        name="one byte too many, in chunks",
        raw=head("POST /tasks", HOST, TOKEN, JSON, "Transfer-Encoding: chunked")
        + chunked(TASK, b" " * (MOST - len(TASK) + 1)),
        code="PAYLOAD_TOO_LARGE",
    ),
]
