"""Where a request begins and ends: heads, lengths, chunks, versions, methods, upgrades."""

from tests.hostile import CANARY, Case, chunked, head

HOST, TOKEN, JSON = "Host: api.test", "Authorization: Bearer <token>", "Content-Type: application/json"
TASK = b'{"text": "x"}'
UPGRADE = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
WEBSOCKET = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
POST = (HOST, TOKEN, JSON)
CHUNKED = (*POST, "Transfer-Encoding: chunked")

#: What no HTTP is: the parser answers 400 and the connection ends.
MALFORMED = {
    "a line without a path": head("GET", HOST),
    "a path with a space": head("GET /tasks x", HOST),
    "a path that is not ASCII": head("GET /\xfftasks", HOST),
    "a query that is not ASCII": head("GET /tasks?q=\xff", HOST),
    "a path with U+0000": head("GET /tasks\0", HOST),
    "a path with a tab": head("GET /ta\tsks", HOST),
    "an authority without a path": head("GET http://evil.example", HOST),
    "no slash before the path": head("GET tasks", HOST),
    "a method in lower case": head("get /tasks", HOST),
    "a method that nobody knows": head("FANCY /tasks", HOST),
    "a method without end": head("A" * 3000 + " /tasks", HOST),
    "CONNECT": head("CONNECT api.test:443", HOST),
    "CONNECT with a body": head("CONNECT api.test:443", HOST, "Content-Length: 3") + b"zq7",
    "HTTP/2 that begins so": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 40,
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "another protocol": b"*1\r\n$4\r\nPING\r\n",
    "bytes": bytes(range(256)),
    "lines that end in LF": head("GET /tasks", HOST, TOKEN).replace(b"\r\n", b"\n"),
    "lines that end in CR": head("GET /tasks", HOST, TOKEN).replace(b"\r\n", b"\r") + b"\r\n\r\n",
    "a field in two lines": head("GET /tasks", HOST, f"X-A: {CANARY}\r\n b"),
    "a space before the colon": head("GET /tasks", HOST, "X-A : b"),
    "a space before the name": head("GET /tasks", HOST, " X-A: b"),
    "no name": head("GET /tasks", HOST, ": b"),
    "no colon": head("GET /tasks", HOST, CANARY),
    "an odd name": head("GET /tasks", HOST, "X(A): b"),
    "a name that is not ASCII": head("GET /tasks", HOST, "X-\xe4: b"),
    "a value with U+0000": head("GET /tasks", HOST, "X-A: a\0b"),
    "a value with CR": head("GET /tasks", HOST, "X-A: a\rb"),
    "a value with an escape": head("GET /tasks", HOST, "X-A: \x1b[31m"),
    "both lengths": head("POST /tasks", *CHUNKED, "Content-Length: 3") + chunked(TASK),
    "both lengths, the other way round": head(
        "POST /tasks", *POST, "Content-Length: 3", "Transfer-Encoding: chunked"
    )
    + chunked(TASK),
    "two lengths": head("POST /tasks", *POST, "Content-Length: 13", "Content-Length: 14") + TASK,
    "two equal lengths": head("POST /tasks", *POST, "Content-Length: 13", "Content-Length: 13") + TASK,
    "lengths in a list": head("POST /tasks", *POST, "Content-Length: 13, 13") + TASK,
    **{
        f"a length of {length!r:.30}": head("POST /tasks", *POST, f"Content-Length: {length}") + TASK
        for length in ("-1", "+13", "0x0d", "1e1", "13;", "1 3", "1_3", "\xb2", CANARY, "", "9" * 30)
    },
    **{
        f"Transfer-Encoding: {coding}": head("POST /tasks", *POST, f"Transfer-Encoding: {coding}")
        + chunked(TASK)
        for coding in ("identity", "xchunked", "gzip", "chunked, identity", "chunked;q=1", "chun ked", CANARY)
    },
    **{
        f"a chunk of {size!r}": head("POST /tasks", *CHUNKED) + size + b"\r\n" + TASK + b"\r\n0\r\n\r\n"
        for size in (b"zq", b"-1", b"+d", b"0xd", b"", b" d", b"f" * 17)
    },
    "a chunk longer than it says": head("POST /tasks", *CHUNKED) + b"2\r\n{}x\r\n0\r\n\r\n",
    "a length in a trailer": head("POST /tasks", *CHUNKED)
    + chunked(TASK, trailer=b"Content-Length: 99999999\r\n"),
    "no Host": head("GET /tasks", TOKEN),
    "two Hosts": head("GET /tasks", HOST, TOKEN, HOST),
    "two Hosts that differ": head("GET /tasks", HOST, TOKEN, "Host: evil.example"),
    **{
        f"Host: {host}": head("GET /tasks", f"Host: {host}", TOKEN)
        for host in ("a b", "a/b", "<x>", "a@b", "a, b", "a:b", "[::1", "[zz]", "\xe4.test", "a#b", "a\\b")
    },
}

#: What is HTTP, and answered like any other request.
ODD = {
    "a whole address": (head("GET http://evil.example/tasks", HOST, TOKEN), 200, False),
    "a path that is encoded": (head("GET /%74%61sks", HOST, TOKEN), 200, False),
    "a fragment": (head("GET /tasks#x", HOST, TOKEN), 200, False),
    "empty lines before it": (b"\r\n\r\n" + head("GET /tasks", HOST, TOKEN), 200, False),
    "no space after the colon": (
        head("GET /tasks", "Host:api.test", "Authorization:Bearer <token>"),
        200,
        False,
    ),
    "white space around values": (
        head("GET /tasks", "Host: \t api.test\t ", "Authorization:\tBearer <token> \t"),
        200,
        False,
    ),
    "an empty Host": (head("GET /tasks", "Host:", TOKEN), 200, False),
    "Host with IPv6": (head("GET /tasks", "Host: [::1]:8000", TOKEN), 200, False),
    "HTTP/1.0": (head("GET /tasks", TOKEN, version="1.0"), 200, True),
    "HTTP/1.0 with a body": (
        head("POST /tasks", TOKEN, JSON, "Content-Length: 13", version="1.0") + TASK,
        201,
        True,
    ),
    "Connection: close": (head("GET /tasks", HOST, TOKEN, "Connection: close"), 200, True),
    "a thousand bytes in a value": (head("GET /tasks", HOST, TOKEN, "X-A: " + "a" * 1000), 200, False),
    "a value that is not ASCII": (head("GET /tasks", HOST, TOKEN, "X-A: \xff\xe4"), 200, False),
    "a range": (head("GET /tasks", HOST, TOKEN, "Range: bytes=0-1"), 200, False),
    "a media type that is not ours": (
        head("GET /tasks", HOST, TOKEN, "Accept: text/xml;q=zq, */*;q=0"),
        200,
        False,
    ),
    "an encoding that is not ours": (
        head("GET /tasks", HOST, TOKEN, "Accept-Encoding: br, *;q=0"),
        200,
        False,
    ),
    "h2c": (head("GET /tasks", HOST, TOKEN, *UPGRADE), 200, False),
    "a websocket": (head("GET /tasks", HOST, TOKEN, *WEBSOCKET), 200, False),
    "h2c with a body": (head("POST /tasks", *POST, *UPGRADE, "Content-Length: 13") + TASK, 201, False),
    "a websocket with a body": (
        head("POST /tasks", *POST, *WEBSOCKET, "Content-Length: 13") + TASK,
        201,
        False,
    ),
    "h2c in chunks": (head("POST /tasks", *CHUNKED, *UPGRADE) + chunked(TASK), 201, False),
    "chunks": (head("POST /tasks", *CHUNKED) + chunked(*(bytes([byte]) for byte in TASK)), 201, False),
    "chunks with extensions": (
        head("POST /tasks", *CHUNKED) + b'd;a="b";c\r\n' + TASK + b"\r\n0;x\r\n\r\n",
        201,
        False,
    ),
    "a chunk of many zeros": (
        head("POST /tasks", *CHUNKED) + b"00000d\r\n" + TASK + b"\r\n000\r\n\r\n",
        201,
        False,
    ),
    "Chunked": (head("POST /tasks", *POST, "Transfer-Encoding: Chunked") + chunked(TASK), 201, False),
    "a body for GET": (head("GET /tasks", HOST, TOKEN, "Content-Length: 7") + b"{zq7can", 200, False),
    "chunks for DELETE": (
        head("DELETE /tasks/trash", HOST, TOKEN, "Transfer-Encoding: chunked") + chunked(b"{zq7canary"),
        204,
        False,
    ),
}

_SMUGGLED = head("GET /zq7canary", HOST)
CASES = [
    *(Case(name=name, raw=raw, status=400, closes=True, ours=False) for name, raw in MALFORMED.items()),
    *(Case(name=name, raw=raw, status=status, closes=closes) for name, (raw, status, closes) in ODD.items()),
    Case(
        name="a token in a trailer",
        raw=head("POST /tasks", HOST, JSON, "Transfer-Encoding: chunked")
        + chunked(TASK, trailer=b"Authorization: Bearer <token>\r\n"),
        code="UNAUTHORIZED",
    ),
    Case(
        name="a media type in a trailer",
        raw=head("POST /tasks", HOST, TOKEN, "Transfer-Encoding: chunked")
        + chunked(TASK, trailer=b"Content-Type: application/json\r\n"),
        code="UNSUPPORTED_MEDIA_TYPE",
    ),
    Case(
        name="an id in a trailer",
        raw=head("POST /tasks", *CHUNKED) + chunked(TASK, trailer=b"X-Request-ID: zq7canary\r\n"),
        status=201,
        answer={"X-Request-ID": "<own>"},
    ),
    Case(
        name="a condition in a trailer",
        raw=head("PATCH /tasks/<task>", *CHUNKED) + chunked(TASK, trailer=b'If-Match: "999"\r\n'),
        status=200,
    ),
    Case(
        name="a request in a body that is upgraded",
        raw=head(
            "POST /tasks", *POST, "Connection: upgrade", "Upgrade: x", f"Content-Length: {len(_SMUGGLED)}"
        )
        + _SMUGGLED,
        code="VALIDATION_ERROR",
    ),
    Case(
        name="a request in a body of a stranger",
        raw=head("POST /tasks", HOST, JSON, f"Content-Length: {len(_SMUGGLED)}") + _SMUGGLED,
        code="UNAUTHORIZED",
    ),
    Case(
        name="a request in a body for nowhere",
        raw=head("POST /zq7canary", HOST, f"Content-Length: {len(_SMUGGLED)}") + _SMUGGLED,
        code="NOT_FOUND",
    ),
    Case(
        name="gzip, then chunks",
        raw=head("POST /tasks", *POST, "Transfer-Encoding: gzip, chunked") + chunked(TASK),
        code="UNSUPPORTED_MEDIA_TYPE",
        answer={"Accept-Encoding": "identity"},
    ),
]
