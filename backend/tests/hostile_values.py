"""Numbers, booleans, ids and the shape of JSON."""

from tests.hostile import CANARY, REQUIRED, UUID, VALID, Case, sent

WHOLE, TRUTH, OBJECT = "must be a whole number", "must be true or false", "must be a JSON object"
JSON = "body - is not valid JSON"

#: By how JSON writes it, what is wrong with an `order`.
ORDERS = {
    "2147483648": "must be 2147483647 or less",
    "-2147483649": "must be -2147483648 or more",
    "9223372036854775807": "must be 2147483647 or less",
    "9223372036854775808": "must be 2147483647 or less",
    "18446744073709551616": WHOLE,
    "1.0": WHOLE,
    "1e2": WHOLE,
    "-0.0": WHOLE,
    "1e308": WHOLE,
    "5e-324": WHOLE,
    "true": WHOLE,
    "null": WHOLE,
    '"1"': WHOLE,
    '"zq7canary"': WHOLE,
    "[1]": WHOLE,
    "{}": WHOLE,
}
TRUTHS = ("0", "1", "1.0", '"true"', '"zq7canary"', "null", "[]", "{}", "[true]", '""')

#: Numbers that JSON has none of, and other texts that no JSON are.
UNREADABLE = {
    **{
        f"order {text}": f'{{"text": "x", "order": {text}}}'.encode()
        for text in (
            "1" + "0" * 400,
            "NaN",
            "Infinity",
            "-Infinity",
            "1e400",
            "-1e999",
            "01",
            "+1",
            "0x10",
            ".5",
            "1.",
            "1_000",
            "--1",
            "\u0663",
            "1e",
            "-",
        )
    },
    "True": b'{"text": "x", "completed": True}',
    "undefined": b'{"text": undefined}',
    "quotes of one kind": b"{'text': 'zq7canary'}",
    "no quotes": b"{text: 1}",
    "a comma too many": b'{"text": "x",}',
    "a comma missing": b'{"text": "x" "order": 1}',
    "a comment": b'{"text": "x" /* zq7canary */}',
    "two documents": b'{"text": "x"}{"text": "y"}',
    "text behind": b'{"text": "x"} zq7canary',
    "U+0000 behind": b'{"text": "x"}\0',
    "cut": b'{"text": "zq7can',
    "a brace": b"{",
    "white space": b" \r\n\t ",
    "a guard against JSON in scripts": b")]}',\n" + b'{"text": "x"}',
    "XML": b"<task><text>zq7canary</text></task>",
    "a form": b"text=zq7canary",
    "YAML": b"text: zq7canary",
    "many lists": b"[" * 60_000,
    "many objects": b'{"a":' * 10_000,
    "too deep": b'{"text": ' + b"[" * 1100 + b"]" * 1100 + b"}",
    "an odd white space": b'{\x0c"text": "x"}',
}

#: JSON that is no task, and what is told of it.
SHAPES = {
    "null": (b"null", ["body - must be a JSON object"]),
    "a list": (b"[]", ["body - must be a JSON object"]),
    "a list with a task": (b'[{"text": "x"}]', ["body - must be a JSON object"]),
    "a text": (b'"zq7canary"', ["body - must be a JSON object"]),
    "a number": (b"0", ["body - must be a JSON object"]),
    "false": (b"false", ["body - must be a JSON object"]),
    "an empty object": (b"{}", [f"text - {REQUIRED}"]),
    "another case": (b'{"Text": "x", "TEXT": "zq7canary"}', [f"text - {REQUIRED}"]),
    "a name with U+0000": (rb'{"text\u0000": "zq7canary"}', [f"text - {REQUIRED}"]),
    "a name that is a path": (b'{"a.text": "x", "__proto__": {"text": "zq7canary"}}', [f"text - {REQUIRED}"]),
    "deep, but not too deep": (b'{"text": ' + b"[" * 900 + b"]" * 900 + b"}", ["text - must be a string"]),
    "of two with one name the last": (
        b'{"text": "x", "text": ""}',
        ["text - must have at least 1 character(s)"],
    ),
    "all wrong": (
        b'{"text": 1, "completed": "zq7canary", "order": "zq7canary", "id": "zq7canary"}',
        ["text - must be a string", f"completed - {TRUTH}", f"order - {WHOLE}", f"id - {UUID}"],
    ),
}
IDS = (
    '"zq7canary"', '""', "1", "null", "true", "[]", '"01890a5d-ac96-774b-bcce-b302099a805"',
    '"01890a5d-ac96-774b-bcce-b302099a80577"',
    '"01890a5d-ac96-774b-bcce-b302099a805g"', '"01890a5d-ac96-774b-bcce-b302099a8057\\n"', '"\\u0000"',
    '"\u06601890a5d-ac96-774b-bcce-b302099a8057"',
)  # fmt: skip

CASES = [
    *(
        Case(
            name=f"order {text[:30]}, {line}",
            line=line,
            body=f'{{"text": "x", "completed": true, "order": {text}}}'.encode(),
            code=VALID,
            details=[f"order - {wrong}"],
        )
        for text, wrong in ORDERS.items()
        for line in ("POST /tasks", "PATCH /tasks/<task>")
    ),
    *(
        Case(
            name=f"completed {text}",
            line="PUT /tasks/<task>",
            body=f'{{"text": "x", "completed": {text}}}'.encode(),
            code=VALID,
            details=[f"completed - {TRUTH}"],
        )
        for text in TRUTHS
    ),
    *(
        Case(name=f"JSON with {name}", line="POST /tasks", body=body, code=VALID, details=[JSON])
        for name, body in UNREADABLE.items()
    ),
    *(
        Case(name=f"a task that is {name}", line="POST /tasks", body=body, code=VALID, details=details)
        for name, (body, details) in SHAPES.items()
    ),
    *(
        Case(
            name=f"id {text}",
            line="POST /tasks",
            body=f'{{"text": "x", "id": {text}}}'.encode(),
            code=VALID,
            details=[f"id - {UUID}"],
        )
        for text in IDS
    ),
    Case(name="no body", line="POST /tasks", body=b"", code=VALID, details=[f"body - {REQUIRED}"]),
    Case(
        name="an owner of one's choice",
        line="POST /tasks",
        status=201,
        body=sent({"text": "x", "user_id": CANARY, "revision": 10**30, "deleted_at": "now", "created_at": 0}),
    ),
    Case(
        name="the greatest order", line="POST /tasks", body=b'{"text": "x", "order": 2147483647}', status=201
    ),
    Case(name="the least order", line="POST /tasks", body=b'{"text": "x", "order": -2147483648}', status=201),
    Case(name="minus zero", line="POST /tasks", body=b'{"text": "x", "order": -0}', status=201),
    Case(
        name="a thousand names that say nothing",
        line="POST /tasks",
        status=201,
        body=sent({"text": "x"} | {f"{CANARY}{number}": number for number in range(1000)}),
    ),
    Case(
        name="completed that is absent",
        line="PUT /tasks/<task>",
        body=b'{"text": "x"}',
        code=VALID,
        details=["completed - is required"],
    ),
    Case(name="a patch of nothing", line="PATCH /tasks/<task>", body=b"{}"),
    Case(
        name="a patch of what is no field",
        line="PATCH /tasks/<task>",
        body=b'{"user_id": "zq7canary", "id": 1}',
    ),
]
