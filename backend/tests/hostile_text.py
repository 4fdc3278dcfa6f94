"""Text and Unicode: what a task may be called, and what may be looked for."""

from typing import Any
from urllib.parse import quote

from tests.hostile import CANARY, VALID, Case, sent

SHORT, LONG = "must have at least 1 character(s)", "must have at most 500 characters"
BLANK, STRING = "must hold more than white space", "must be a string"
NUL = "must not hold the character U+0000, which PostgreSQL can't store"

#: By name: the text as JSON writes it, and what is wrong with it.
BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b'""', SHORT),
    "a space": (b'" "', BLANK),
    "tabs and line breaks": (rb'"\t\r\n"', BLANK),
    "a no-break space": (rb'"\u00a0"', BLANK),
    "an ideographic space": (rb'"\u3000"', BLANK),
    "a line separator": (rb'"\u2028"', BLANK),
    "U+0000": (rb'"zq7canary\u0000"', NUL),
    "U+0000 alone": (rb'"\u0000"', NUL),
    "U+0000 in the middle": (rb'"a\u0000zq7canary"', NUL),
    "501 letters": (sent(CANARY + "x" * 492), LONG),
    "501 astral characters": (sent("\U0001f600" * 501), LONG),
    "501 combining marks": (sent("e" + "\u0301" * 500), LONG),
    "60,000 letters": (sent("x" * 60_000), LONG),
    "a number": (b"7", STRING),
    "a fraction": (b"1.5", STRING),
    "true": (b"true", STRING),
    "null": (b"null", STRING),
    "a list": (b'["zq7canary"]', STRING),
    "an object": (b'{"zq7canary": 1}', STRING),
}

#: Kept exactly as they are.
GOOD = {
    "one letter": "x",
    "500 letters": "x" * 500,
    "500 astral characters": "\U0001f600" * 500,
    "a family, joined": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "right to left": "\u202ecod.exe",
    "zero width": "\u200b",
    "a byte order mark": "\ufeffx",
    "not normalized": "e\u0301 \u00e9 \ufb01 \u212b",
    "combining marks": "Z" + "\u0301" * 499,
    "control characters": "\x01\x1b[31m\x7f\x85",
    "line breaks": "a\r\nb\nSet-Cookie: c=d",
    "noncharacters": "\ufffe\uffff\U0010ffff",
    "private use": "\ue000\U000f0000",
    "SQL": "'; DROP TABLE tasks; --",
    "a pattern": r"%_\ .* $1 \1",
    "HTML": "<script>alert(1)</script>&amp;",
    "a format": "%s %n {0} {self.__class__} ${jndi:ldap://x}",
    "a path": "../../etc/passwd",
    "a formula": "=cmd|' /C calc'!A0",
    "the word null": "null",
    "backslashes and quotes": '\\"\\u0000\\',
    "Turkish": "İıŞ",
    "white space around": "  x\t",
}

#: Where a text is sent, with the place that the refusal names.
PLACES = {
    "POST /tasks": (b'{"text": %b}', "text"),
    "PUT /tasks/<task>": (b'{"text": %b, "completed": false}', "text"),
    "PATCH /tasks/<task>": (b'{"text": %b}', "text"),
    "POST /tasks/batch": (
        b'{"operations": [{"op": "create", "text": "x"}, {"op": "create", "text": %b}]}',
        "operations[1].text",
    ),
}
CASES = [
    Case(
        name=f"{line}, text {name}",
        line=line,
        body=body % text,
        code=VALID,
        details=[f"{place} - {wrong}"],
    )
    for line, (body, place) in PLACES.items()
    for name, (text, wrong) in BAD.items()
]
CASES += [
    Case(name=f"text {name}", line="POST /tasks", body=sent({"text": text}), status=201)
    for name, text in GOOD.items()
]

#: What no UTF-8 is, or no Unicode, in a body: it can't be read at all.
UNREADABLE = {
    "a lone surrogate, escaped": rb'{"text": "\ud800"}',
    "surrogates the wrong way round": rb'{"text": "\udc00\ud800"}',
    "a surrogate before a letter": rb'{"text": "\ud800x"}',
    "half an escape": rb'{"text": "\u12"}',
    "an escape that is none": rb'{"text": "\x41"}',
    "a raw line break": b'{"text": "a\nb"}',
    "a raw U+0000": b'{"text": "a\0b"}',
    "latin-1": b'{"text": "\xe4"}',
    "a surrogate in UTF-8": b'{"text": "\xed\xa0\x80"}',
    "an overlong slash": b'{"text": "\xc0\xaf"}',
    "an overlong U+0000": b'{"text": "\xc0\x80"}',
    "beyond U+10FFFF": b'{"text": "\xf4\x90\x80\x80"}',
    "a cut character": b'{"text": "\xf0\x9f\x98"}',
    "UTF-16": '{"text": "x"}'.encode("utf-16"),
    "UTF-32": '{"text": "x"}'.encode("utf-32"),
    "UTF-7": b"+AHsAIg-text",
    "a byte order mark before it": b'\xef\xbb\xbf{"text": "x"}',
}
CASES += [
    Case(
        name=f"body with {name}",
        line="POST /tasks",
        body=body,
        code=VALID,
        details=["body - is not valid JSON"],
    )
    for name, body in UNREADABLE.items()
]

_SEARCH_NUL = ["q - must not hold the character U+0000, which no text has"]
_NOT_UTF8 = ["query - must be UTF-8, percent-encoded"]
#: Searches, as they are written, with what is wrong with them.
SEARCHES: dict[str, Any] = {
    "%00": _SEARCH_NUL,
    f"{CANARY}%00": _SEARCH_NUL,
    "x" * 501: ["q - must have at most 500 characters"],
    "%ff": _NOT_UTF8,
    f"{CANARY}%e4": _NOT_UTF8,
    "%c0%af": _NOT_UTF8,
    "%ed%a0%80": _NOT_UTF8,
    "%f4%90%80%80": _NOT_UTF8,
    "": None,
    "%": None,
    "%25_%5C": None,
    "%zz": None,
    "%F0%9F%98%80": None,
    "%EF%BF%BD": None,
    "'%20OR%201=1%20--": None,
    "%22%3B%20DROP%20TABLE%20tasks": None,
    "(((((((((a*)*)*)*)*)*)*)*)*)*b": None,
    quote("\u0130\ufb03" * 100): None,
    "+": None,
}
CASES += [
    Case(
        name=f"q={query[:30]}",
        line=f"GET /tasks?q={query}",
        **({"code": VALID, "details": wrong} if wrong else {}),
    )
    for query, wrong in SEARCHES.items()
]
