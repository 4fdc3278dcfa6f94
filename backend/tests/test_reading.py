"""Reading a part of the list: filters, orders, pages, totals, and that a plain list stays what it was."""

import asyncio
import itertools
import json
import re
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args
from urllib.parse import quote

import asyncpg
import httpx2 as httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.api.preferences import prefers
from app.queries.reading_statements import PARTS
from app.schemas.reading import MOST_OF_A_CURSOR, Sort
from tests.conftest import ClientFor, administer
from tests.test_isolation import comparable
from tests.test_tasks import make

SORTS = list(PARTS)
START = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)
MOST_PAGES = 50
Task = dict[str, Any]


async def store(database_url: str, user_id: str, tasks: Iterable[Task]) -> None:
    """Put tasks there as they are, times included, which no endpoint would."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("INSERT INTO task_lists VALUES ($1, 1, 0)", user_id)
        await connection.executemany(
            'INSERT INTO tasks (user_id, id, text, completed, "order", created_at, updated_at, completed_at,'
            " deleted_at, revision) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1)",
            [
                (user_id, t["id"], t["text"], t["completed_at"] is not None, t["order"], t["created_at"],
                 t["updated_at"], t["completed_at"], t.get("deleted_at"))
                for t in tasks
            ],
        )  # fmt: skip
    finally:
        await connection.close()


def a_task(text: str = "x", **fields: Any) -> Task:
    times = {"created_at": START, "updated_at": START, "completed_at": None}
    return {"id": uuid.uuid4(), "text": text, "order": 0} | times | fields


async def read(client: httpx.AsyncClient, **parameters: Any) -> dict[str, Any]:
    answer = await client.get("/tasks", params=parameters)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["count"] == len(body["tasks"])
    return body


async def texts(client: httpx.AsyncClient, **parameters: Any) -> list[str]:
    return [task["text"] for task in (await read(client, **parameters))["tasks"]]


def ids(tasks: Iterable[Task]) -> list[str]:
    return [str(task["id"]) for task in tasks]


async def refusal(client: httpx.AsyncClient, query: str) -> list[str]:
    answer = await client.get(f"/tasks?{query}")
    assert (answer.status_code, answer.json()["error"]) == (422, "VALIDATION_ERROR"), query
    return answer.json()["details"]


# What a plain list is, it stays


async def test_a_plain_list_is_the_same_bytes_as_ever(alice):
    for number in range(5):
        await make(alice, str(number), order=number % 2, completed=number == 3)
    plain = await alice.get("/tasks")
    assert set(plain.json()) == {"tasks", "count"}
    assert not {"link", "preference-applied"} & set(plain.headers)
    for same in ("?", "?unknown=1&page=2&Limit=0&LIMIT=x", "?sort=order", "?q=", "?q=&sort=order"):
        assert comparable(await alice.get(f"/tasks{same}")) == comparable(plain), same
    preferring = await alice.get("/tasks", headers={"Prefer": "return=minimal, count=planned"})
    assert comparable(preferring) == comparable(plain)


async def test_an_empty_list_has_an_empty_part(alice):
    for sort in SORTS:
        assert await read(alice, sort=sort, limit=1) == {"tasks": [], "count": 0, "next_cursor": None}
    answer = await alice.get("/tasks?limit=5", headers={"Prefer": "count=exact"})
    assert answer.json() == {"tasks": [], "count": 0, "next_cursor": None, "total": 0}
    assert answer.headers["ETag"] == 'W/"0"'
    assert "Link" not in answer.headers


async def test_tasks_without_a_counter_are_listed_too(client_for, database_url):
    """As an import may leave them: nobody's tasks look lost."""
    user_id = f"imported-{uuid.uuid4()}"
    async with client_for(user_id) as client:
        await make(client, "there")
        await administer(database_url, "DELETE FROM task_lists WHERE user_id = $1", user_id)
        assert await texts(client) == ["there"]
        assert await texts(client, limit=1) == ["there"]
        assert (await client.get("/tasks")).headers["ETag"] == 'W/"0"'


# Filters


async def test_completed_is_one_or_the_other(alice):
    await make(alice, "open")
    await make(alice, "done", completed=True)
    assert await texts(alice, completed="true") == ["done"]
    assert await texts(alice, completed="false") == ["open"]


async def test_updated_since_takes_the_very_moment_too(alice):
    first, second = await make(alice, "first"), await make(alice, "second")
    moment = datetime.fromisoformat(second["updated_at"])
    step = timedelta(microseconds=1)
    assert first["updated_at"] < second["updated_at"]
    for since, found in [(moment - step, 1), (moment, 1), (moment + step, 0)]:
        for zone in (UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-11))):
            written = since.astimezone(zone).isoformat(timespec="microseconds")
            assert await texts(alice, updated_since=written) == ["second"] * found
    await alice.patch(f"/tasks/{first['id']}", json={"order": 1})
    assert await texts(alice, updated_since=second["updated_at"]) == ["second", "first"]


@pytest.mark.parametrize(
    ("since", "found"),
    [
        ("0001-01-01T00:00:00Z", True),  # Go's zero
        ("0001-01-01T00:00:00+23:59", True),
        ("1970-01-01t00:00:00z", True),
        ("2026-01-05T08:30:00.0000000001Z", True),
        ("2026-01-05T08:30:00.000001Z", False),
        ("2026-01-05T08:30:00-00:00", True),
        ("2024-02-29T00:00:00.5+14:00", True),
        ("9999-12-31T23:59:59.999999999Z", False),
        ("9999-12-31T23:59:59-23:59", False),
    ],
)
async def test_any_rfc_3339_time_will_do(client_for, database_url, since, found):
    user = f"alice-{uuid.uuid4()}"
    await store(database_url, user, [a_task()])
    async with client_for(user) as client:
        assert await texts(client, updated_since=since) == ["x"] * found


@pytest.mark.parametrize(
    ("text", "q", "found"),
    [
        ("Buy milk", "MILK", True),
        ("Buy milk", "buy milk", True),
        ("Buy milk", "y m", True),
        ("Buy milk", "buymilk", False),
        ("Buy milk", "", True),
        ("Buy milk", "Buy milk!", False),
        ("100 %", "%", True),
        ("100", "%", False),
        ("a_b", "_", True),
        ("ab", "a_", False),
        ("ab", "a%", False),
        ("ab", ".*", False),
        ("a\\b", "\\", True),
        ("ab", "\\", False),
        ("a\\%b", "\\%", True),
        ("a%b", "\\%", False),
        ("it's", "'", True),
        ("+1 & more", "+1 & m", True),
        ("two\nlines", "o\nl", True),
        ("🥛 milk", "🥛", True),
        ("a\ufffdb", "\ufffd", True),
        # What is the same letter is the database's to say; the embedded one's locale is C.UTF-8.
        ("Ärger", "ärger", True),
        ("ärger", "ÄRGER", True),
        ("Straße", "STRAẞE", True),
        ("Straße", "STRASSE", False),
        ("ΟΔΟΣ", "οδοσ", True),
        ("οδος", "ΟΔΟΣ", False),  # the sigma at the end of a word is a letter of its own
        ("Молоко", "мОЛОКО", True),
        ("İstanbul", "istanbul", True),
        ("\u0131s\u0131", "ISI", False),  # Turkish, without dots
        ("ISI", "isi", True),
        ("Caf\u00e9", "CAF\u00c9", True),
        ("Caf\u00e9", "cafe\u0301", False),  # one code point and two are not brought together
        ("Cafe\u0301", "CAFE\u0301", True),
        ("Caf\u00e9", "cafe", False),
    ],
)
async def test_q_is_looked_for_as_it_is_written(alice, text, q, found):
    await make(alice, text)
    assert await texts(alice, q=q) == [text] * found


async def test_500_characters_of_any_size_can_be_looked_for(alice):
    text = "🥛" * 500
    await make(alice, text)
    assert await texts(alice, q=text) == [text]


async def test_deleted_tasks_are_in_no_part(alice):
    await alice.delete(f"/tasks/{(await make(alice, 'gone'))['id']}")
    await make(alice, "there")
    for sort in SORTS:
        assert await texts(alice, sort=sort, q="e") == ["there"]
    answer = await alice.get("/tasks", headers={"Prefer": "count=exact"})
    assert answer.json()["total"] == 1


# Orders

DAY = timedelta(days=1)
ORDERS = {
    "order": "d b c a e",
    "-order": "e a c b d",
    "created_at": "a b c d e",
    "-created_at": "e d c b a",
    "updated_at": "e d a b c",
    "-updated_at": "c b a d e",
    "completed_at": "d b a c e",
    "-completed_at": "b d e c a",
    "text": "a b c d e",
    "-text": "e d c b a",
}


@pytest.mark.parametrize("sort", SORTS)
async def test_a_list_stands_in_the_order_that_is_asked_for(client_for, database_url, sort):
    tasks = [
        a_task("a", order=1, updated_at=START),
        a_task("b", order=0, updated_at=START, completed_at=START + 2 * DAY),
        a_task("c", order=0, updated_at=START + DAY),
        a_task("d", order=-1, updated_at=START - DAY, completed_at=START + DAY),
        a_task("e", order=2, updated_at=START - 2 * DAY),
    ]
    for number, task in enumerate(tasks):
        task |= {"id": uuid.UUID(int=number + 1), "created_at": START + number * DAY}
    tasks[1]["order"], tasks[2]["order"] = 0, 0
    tasks[1]["id"], tasks[2]["id"] = uuid.UUID(int=3), uuid.UUID(int=2)
    tasks[0]["updated_at"] = tasks[1]["updated_at"] = START
    user = f"alice-{uuid.uuid4()}"
    await store(database_url, user, tasks)
    async with client_for(user) as client:
        assert " ".join(await texts(client, sort=sort)) == ORDERS[sort]


async def test_every_order_has_a_statement_and_is_documented(app):
    assert set(SORTS) == set(get_args(Sort)) == set(ORDERS)
    operation = app.openapi()["paths"]["/tasks"]["get"]
    parameters = {parameter["name"]: parameter for parameter in operation["parameters"]}
    names = ["completed", "q", "updated_since", "sort", "limit", "cursor"]
    assert [name for name, parameter in parameters.items() if parameter["in"] == "query"] == names
    assert parameters["sort"]["schema"]["enum"] == list(get_args(Sort))
    assert not [parameter for parameter in parameters.values() if parameter.get("required")]
    assert {"If-None-Match", "Prefer"} <= set(parameters)
    assert {"Link", "Preference-Applied"} == set(operation["responses"]["200"]["headers"])


# Random lists and questions, against a model

INSTANTS = [START + timedelta(microseconds=number) for number in range(4)]
ALPHABET = "aAbBäÄß%_\\' ."
TASKS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.uuids(),
            "text": st.text(ALPHABET, min_size=1, max_size=4),
            "order": st.sampled_from([-(2**31), -1, 0, 0, 1, 2**31 - 1]),
            "created_at": st.sampled_from(INSTANTS),
            "updated_at": st.sampled_from(INSTANTS),
            "completed_at": st.none() | st.sampled_from(INSTANTS),
            "deleted_at": st.sampled_from([None, None, None, START]),
        }
    ),
    max_size=12,
    unique_by=lambda task: task["id"],
)
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "completed": st.booleans(),
        "q": st.text(ALPHABET, max_size=2),
        "updated_since": st.sampled_from(INSTANTS),
    },
)


def model(tasks: list[Task], filters: dict[str, Any], sort: str) -> list[Task]:
    """What the list should be, in plain Python."""
    field, descending = sort.removeprefix("-"), sort.startswith("-")
    found = [task for task in tasks if not task["deleted_at"]]
    if "completed" in filters:
        found = [task for task in found if (task["completed_at"] is not None) is filters["completed"]]
    if "q" in filters:
        found = [task for task in found if filters["q"].lower() in task["text"].lower()]
    if "updated_since" in filters:
        found = [task for task in found if task["updated_at"] >= filters["updated_since"]]
    found.sort(key=lambda task: task["id"].int, reverse=descending != (field == "order"))
    without = [task for task in found if task[field] is None]
    keyed = [task for task in found if task[field] is not None]
    if descending:
        return _descending(keyed, field) + without
    return sorted(keyed, key=lambda task: task[field]) + without


def _descending(tasks: list[Task], field: str) -> list[Task]:
    """Sorted by a field, the greatest first; equals stay as they stand."""
    keys = sorted({task[field] for task in tasks}, reverse=True)
    return [task for key in keys for task in tasks if task[field] == key]


def written(filters: dict[str, Any]) -> dict[str, str]:
    forms: dict[type, Callable[[Any], str]] = {
        bool: lambda value: str(value).lower(),
        datetime: datetime.isoformat,
    }
    return {name: forms.get(type(value), str)(value) for name, value in filters.items()}


async def walk(client: httpx.AsyncClient, parameters: dict[str, Any]) -> list[list[Task]]:
    """All pages: from one to the next by `Link`, literally."""
    answer = await client.get("/tasks", params=parameters, headers={"Prefer": "count=exact"})
    pages: list[list[Task]] = []
    while len(pages) < MOST_PAGES:
        assert answer.status_code == 200, answer.text
        body = answer.json()
        pages.append(body["tasks"])
        assert body["count"] == len(body["tasks"])
        if body["next_cursor"] is None:
            assert "Link" not in answer.headers
            return pages
        link = re.fullmatch(r'<(/tasks\?[!-;=?-~]+)>; rel="next"', answer.headers["Link"])
        assert link
        assert quote(body["next_cursor"], safe="") == body["next_cursor"]
        assert httpx.URL(link[1]).params["cursor"] == body["next_cursor"]
        total = body["total"]
        answer = await client.get(link[1], headers={"Prefer": "count=exact"})
        assert answer.json()["total"] == total
    pytest.fail("the walk does not end")


@pytest.mark.no_cover
@settings(max_examples=80, deadline=None)
@given(tasks=TASKS, filters=FILTERS, sort=st.sampled_from(SORTS), limit=st.integers(1, 5))
async def test_any_question_is_answered_as_the_model_does(
    client_for: ClientFor,
    database_url: str,
    tasks: list[Task],
    filters: dict[str, Any],
    sort: str,
    limit: int,
) -> None:
    user = f"alice-{uuid.uuid4()}"
    await store(database_url, user, tasks)
    expected = ids(model(tasks, filters, sort))
    async with client_for(user) as client:
        parameters = written(filters) | {"sort": sort}
        whole = await client.get("/tasks", params=parameters, headers={"Prefer": "count=exact"})
        assert ids(whole.json()["tasks"]) == expected
        assert whole.json()["total"] == len(expected)
        pages = await walk(client, parameters | {"limit": limit})
        assert ids(itertools.chain(*pages)) == expected
        assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
        assert len(pages) == max(1, -(-len(expected) // limit))
        first = await read(client, **parameters, limit=limit)
        if first["next_cursor"]:
            rest = await read(client, **parameters, cursor=first["next_cursor"])
            assert ids(rest["tasks"]) == expected[limit:]
            assert set(rest) == {"tasks", "count"}


@pytest.mark.no_cover
@settings(max_examples=40, deadline=None)
@given(tasks=TASKS, filters=FILTERS, sort=st.sampled_from(SORTS))
async def test_filters_can_only_narrow(
    client_for: ClientFor, database_url: str, tasks: list[Task], filters: dict[str, Any], sort: str
) -> None:
    """Each filter that is added leaves a part of what there was, task for task, in the same order."""
    user = f"alice-{uuid.uuid4()}"
    await store(database_url, user, tasks)
    async with client_for(user) as client:
        for names in itertools.permutations(filters):
            asked: dict[str, str] = {"sort": sort}
            before = (await read(client, **asked))["tasks"]
            for name in names:
                asked |= written({name: filters[name]})
                after = (await read(client, **asked))["tasks"]
                assert after == [task for task in before if task in after]
                before = after


# Pages


@pytest.mark.parametrize("sort", SORTS)
async def test_a_walk_neither_skips_nor_repeats_what_stays(alice, sort):
    """Between the pages others make, change and delete tasks, the one where the page ended among them."""
    kept = [
        await make(alice, f"kept {number % 3}", order=number % 2, completed=number % 3 == 0)
        for number in range(9)
    ]
    moving = [await make(alice, f"kept {number % 3}", order=number % 2) for number in range(9)]
    expected = [i for i in ids((await read(alice, sort=sort))["tasks"]) if i in set(ids(kept))]
    found: list[str] = []
    page = await read(alice, sort=sort, limit=2)
    while True:
        found += ids(page["tasks"])
        if page["next_cursor"] is None:
            break
        last = page["tasks"][-1]["id"]
        ended_at = [task for task in moving if task["id"] == last]
        for task in ended_at or moving[:1]:
            await alice.delete(f"/tasks/{task['id']}")
            moving.remove(task)
        await make(alice, "kept 1", order=len(found) % 2, completed=len(found) % 4 == 0)
        if moving:
            await alice.patch(
                f"/tasks/{moving[0]['id']}", json={"order": 1, "text": "kept 2", "completed": True}
            )
        page = await read(alice, sort=sort, limit=2, cursor=page["next_cursor"])
        assert len(found) < 200
    assert [i for i in found if i in set(ids(kept))] == expected


async def test_walks_that_race_with_writers_miss_nothing(alice):
    kept = [await make(alice, "kept", order=number % 4) for number in range(20)]
    done = asyncio.Event()

    async def write() -> None:
        while not done.is_set():
            task = await make(alice, "other", order=2)
            await alice.delete(f"/tasks/{task['id']}")

    async def walked() -> list[str]:
        return ids(itertools.chain(*await walk_quietly(alice, {"limit": 3, "sort": "order"})))

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(write())
        walks = await asyncio.gather(*(walked() for _ in range(8)))
        done.set()
    expected = [i for i in ids((await read(alice))["tasks"]) if i in set(ids(kept))]
    for found in walks:
        assert [i for i in found if i in set(ids(kept))] == expected
        assert len(found) == len(set(found))


async def walk_quietly(client: httpx.AsyncClient, parameters: dict[str, Any]) -> list[list[Task]]:
    page = await read(client, **parameters)
    pages = [page["tasks"]]
    while page["next_cursor"] is not None:
        page = await read(client, **parameters, cursor=page["next_cursor"])
        pages.append(page["tasks"])
        assert len(pages) < MOST_PAGES, "the walk does not end"
    return pages


async def test_limit_decides_about_the_fields(alice):
    for number in range(3):
        await make(alice, str(number), order=number)
    assert set(await read(alice, completed="false")) == {"tasks", "count"}
    for limit, more in [(2, True), (3, False), (4, False), (1000, False)]:
        page = await read(alice, limit=limit)
        assert set(page) == {"tasks", "count", "next_cursor"}
        assert (page["count"], page["next_cursor"] is not None) == (min(limit, 3), more)
    first = await read(alice, limit=1)
    assert await texts(alice, limit=2, cursor=first["next_cursor"]) == ["1", "2"]  # pages may differ in size
    assert await texts(alice, cursor=first["next_cursor"]) == ["1", "2"]


async def test_the_link_has_our_parameters_as_they_were_sent(alice):
    for _ in range(2):
        await make(alice, '50% <a&b> "ü" +\r\nX: y')
    q, since = '% <A&B> "Ü" +\r\nx: ', "2026-01-05T08:30:00.5+01:00"
    asked = {"q": q, "updated_since": since, "sort": "-text", "limit": "1", "completed": "false"}
    answer = await alice.get("/tasks", params=asked | {"other": "</x>; rel=prev"})
    target, _, rest = answer.headers["Link"][1:].partition(">")
    assert rest == '; rel="next"'
    assert not set(target) & set(' "<>\r\n')
    assert dict(httpx.URL(target).params) == asked | {"cursor": answer.json()["next_cursor"]}
    assert (await alice.get(target)).json()["count"] == 1


async def test_the_link_works_below_a_path_of_a_proxys(app, alice):
    user = (await make(alice))["user_id"]
    await make(alice)
    transport = httpx.ASGITransport(app=app, root_path="/api")
    async with httpx.AsyncClient(
        transport=transport, base_url="http://a.test", headers=alice.headers
    ) as client:
        answer = await client.get("/api/tasks?limit=1")
        assert answer.headers["Link"].startswith("</api/tasks?limit=1&cursor=")
        (following,) = (await client.get(answer.links["next"]["url"])).json()["tasks"]
        assert following["user_id"] == user


# Cursors


def encoded(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def contents(cursor: str) -> list[Any]:
    return json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))


@pytest.mark.parametrize("sort", SORTS)
async def test_a_cursor_is_for_its_sort_and_filters(alice, sort):
    for _ in range(2):
        await make(alice, completed=True)
    asked = {"sort": sort, "q": "milk", "completed": "true", "updated_since": "2020-01-01T00:00:00Z"}
    cursor = (await read(alice, **asked, limit=1))["next_cursor"]
    same = asked | {"updated_since": "2020-01-01T01:00:00.000+01:00", "cursor": cursor}
    assert (await read(alice, **same))["count"] == 1
    others: list[dict[str, str]] = [asked | {"sort": other} for other in SORTS if other != sort]
    others += [
        {name: value for name, value in asked.items() if name != left} for left in asked if left != "sort"
    ]
    others += [asked | {"completed": "false"}, asked | {"q": "Milk"}, asked | {"q": ""}]
    others += [asked | {"updated_since": "2020-01-01T00:00:00.000001Z"}]
    for other in others:
        answer = await alice.get("/tasks", params=other | {"cursor": cursor})
        assert answer.status_code == 422, other
        assert answer.json()["details"] == [
            "cursor - was not given for this sort and these filters; start again without it"
        ]


async def test_a_cursor_without_sort_is_one_of_the_display_order(alice):
    await make(alice)
    await make(alice)
    cursor = (await read(alice, limit=1))["next_cursor"]
    assert (await read(alice, sort="order", cursor=cursor))["count"] == 1


@pytest.mark.parametrize("sort", SORTS)
async def test_a_made_up_cursor_is_refused(alice, sort):
    for _ in range(2):
        await make(alice, "x" * 500, completed=True)
    real = (await read(alice, sort=sort, limit=1))["next_cursor"]
    name, key, task_id, mark = contents(real)
    keys: list[Any] = [True, 1.0, [], {}, "\0", "x" * 501, 2**31, -(2**31) - 1, 2**63, 10**30, "1", ""]
    if not sort.endswith("order"):
        keys += [0] if sort.endswith("text") else [10**18]
    if not sort.endswith("completed_at"):
        keys.append(None)
    if sort.endswith("text"):
        keys = [k for k in keys if k not in ("1", "")]
    if sort.endswith("_at"):
        keys = [k for k in keys if k not in (2**31, -(2**31) - 1)]
    made_up = [encoded([name, other, task_id, mark]) for other in keys]
    made_up += [
        encoded([name, key, other, mark]) for other in ("", "x", 1, None, f"{{{task_id}}}", task_id.upper())
    ]
    made_up += [encoded([name, key, task_id, other]) for other in ("", "0" * 12, None, 0)]
    made_up += [encoded([other, key, task_id, mark]) for other in ("", "id", None, "--order")]
    made_up += [
        encoded([name, key, task_id]),
        encoded([name, key, task_id, mark, 1]),
        encoded({}),
        encoded("["),
    ]
    made_up += [encoded(json.dumps([name, key, task_id, mark])), encoded("[" * 3000), encoded('["\\ud800"]')]
    made_up += [
        real[:-1],
        real + "A",
        real + "=",
        real + "%0A",
        "%20" + real,
        real + "%00",
        "%C3%A4",
        "",
        "x",
    ]
    made_up += [quote(urlsafe_b64decode(real + "=" * (-len(real) % 4))), "A" * 20_000]
    for cursor in made_up:
        (line,) = await refusal(alice, f"sort={sort}&cursor={cursor}")
        assert line == "cursor - was not given for this sort and these filters; start again without it", (
            cursor
        )
    assert (await read(alice, sort=sort, cursor=real))["count"] == 1


@pytest.mark.parametrize("sort", SORTS)
async def test_a_cursor_of_ones_own_making_finds_nothing_but_ones_own(alice, bob, sort):
    """A place is no right: it need not be signed."""
    for client in (alice, bob):
        await make(client, "x", completed=True)
        await make(client, "x")
    name, key, _, mark = contents((await read(alice, sort=sort, limit=1))["next_cursor"])
    ends: dict[str, list[Any]] = {"order": [-(2**31), 2**31 - 1], "text": ["", "\U0010ffff" * 500]}
    calendar = [-62_135_596_800_000_000, 253_402_300_799_999_999]
    for end in [*ends.get(sort.removeprefix("-"), calendar), key]:
        for task_id in (uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)):
            cursor = urlsafe_b64encode(
                json.dumps([name, end, task_id.hex, mark], separators=(",", ":"), ensure_ascii=False).encode()
            )
            found = await read(bob, sort=sort, cursor=cursor.decode().rstrip("="))
            assert {task["user_id"] for task in found["tasks"]} <= {(await read(bob))["tasks"][0]["user_id"]}


@pytest.mark.parametrize("text", ["\x01" * 499 + "x", "🥛" * 500, '"' * 500, "x" * 500])
async def test_the_longest_cursor_is_as_long_as_the_document_says(alice, text):
    for _ in range(2):
        await make(alice, text)
    page = await read(alice, sort="-text", limit=1)
    assert len(page["next_cursor"]) <= MOST_OF_A_CURSOR
    assert await texts(alice, sort="-text", cursor=page["next_cursor"]) == [text]


# Totals


async def test_the_total_is_of_all_that_matches(alice):
    for number in range(5):
        await make(alice, "milk" if number else "bread", order=number)
    prefer = {"Prefer": "count=exact"}
    everything = await alice.get("/tasks", headers=prefer)
    assert set(everything.json()) == {"tasks", "count", "total"}
    assert everything.json()["total"] == 5
    assert everything.headers["Preference-Applied"] == "count=exact"
    assert everything.json()["tasks"] == (await read(alice))["tasks"]
    page = await alice.get("/tasks?q=milk&limit=3", headers=prefer)
    assert (page.json()["count"], page.json()["total"]) == (3, 4)
    rest = await alice.get(page.links["next"]["url"], headers=prefer)
    assert (rest.json()["count"], rest.json()["total"]) == (1, 4)
    without = await alice.get(page.links["next"]["url"])
    assert "total" not in without.json()
    assert "Preference-Applied" not in without.headers
    nothing = await alice.get("/tasks?q=cheese", headers=prefer)
    assert nothing.json() == {"tasks": [], "count": 0, "total": 0}


@pytest.mark.parametrize(
    ("headers", "counted"),
    [
        (["count=exact"], True),
        (["Count = exact"], True),
        (['count="exact"'], True),
        (["count=exact; x=1"], True),
        (["respond-async, wait=10", "count=exact"], True),
        (["return=minimal,,count=exact,"], True),
        (['x="a, b", count=exact'], True),
        (['x="a\\", count=none", count=exact'], True),
        (["count=exact, count=none"], True),
        (["count=none", "count=exact"], False),  # the first counts (RFC 7240 section 2)
        (["count=EXACT"], False),
        (["count"], False),
        (["count=exactly"], False),
        (["count=estimated"], False),
        (["x; count=exact"], False),
        (['x="count=exact"'], False),
        (['x="a, count=exact'], False),
        (['x="a\\", count=exact"'], False),
        (["discount=exact"], False),
        ([""], False),
        (["=;,\"'\\"], False),
        ([';"\\"' * 1000 + "\\"], False),
    ],
)
async def test_a_preference_is_never_an_error(alice, headers, counted):
    answer = await alice.get("/tasks", headers=[("Prefer", header) for header in headers])
    assert answer.status_code == 200
    assert ("total" in answer.json()) is ("Preference-Applied" in answer.headers) is counted


@given(st.lists(st.text(st.sampled_from('count=exact ,;"\\\tx')), max_size=3))
def test_whatever_is_preferred_can_be_read(headers):
    assert prefers("count", "exact", headers) in {True, False}
    assert prefers("count", "exact", ["count=exact", *headers])


# What the caller has


async def test_what_the_caller_has_of_a_part_is_not_sent_again(alice):
    task = await make(alice)
    await make(alice)
    for query in ("?limit=1", "?q=milk&sort=-text", "?completed=true", ""):
        first = await alice.get(f"/tasks{query}", headers={"Prefer": "count=exact"})
        assert first.headers["ETag"] == 'W/"2"'
        for known in (first.headers["ETag"], '"2"', "*", '"7", W/"2"'):
            again = await alice.get(
                f"/tasks{query}", headers={"Prefer": "count=exact", "If-None-Match": known}
            )
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["ETag"] == 'W/"2"'
            assert not {"link", "preference-applied"} & set(again.headers)
        changed = await alice.get(f"/tasks{query}", headers={"If-None-Match": 'W/"1"'})
        assert changed.status_code == 200
    await alice.patch(f"/tasks/{task['id']}", json={"order": 1})
    assert (await alice.get("/tasks?limit=1", headers={"If-None-Match": 'W/"2"'})).status_code == 200


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize(
    ("known", "wanted", "counted", "scans"),
    [([1], True, True, 0), ([2], False, True, 0), ([2], True, False, 1), ([2], True, True, 2)],
)
async def test_only_what_is_asked_for_is_read(database_url, alice, sort, known, wanted, counted, scans):
    """In a generic plan too, which knows no values: it is the one that a connection keeps."""
    arguments = dict.fromkeys(["completed", "q", "updated_since", "last_key", "last_id", "most"])
    arguments |= {"user_id": (await make(alice))["user_id"], "counted": counted}
    values = PARTS[sort].arguments(arguments | {"known": known, "wanted": wanted})
    own = await administer(database_url, f"EXPLAIN (ANALYZE, TIMING OFF) {PARTS[sort].sql}", *values)
    connection = await asyncpg.connect(
        database_url, server_settings={"plan_cache_mode": "force_generic_plan"}
    )
    try:
        await connection.execute(f"PREPARE part AS {PARTS[sort].sql}")
        literals = ", ".join(map(literal, values))
        generic = await connection.fetch(f"EXPLAIN (ANALYZE, TIMING OFF) EXECUTE part({literals})")
    finally:
        await connection.close()
    for plan in (own, generic):
        found = [line[0] for line in plan if re.search(r"Scan .*on tasks ", line[0])]
        assert len([line for line in found if "never executed" not in line]) == scans
    assert len(found) == 2


def literal(value: object) -> str:
    match value:
        case None | bool() | int():
            return json.dumps(value)
        case list():
            return f"ARRAY{value}"
    return f"'{value}'"


# Whose


async def test_a_part_holds_only_its_owners_tasks(alice, bob):
    ours = {(await make(alice))["id"] for _ in range(4)}
    theirs = {(await make(bob))["id"] for _ in range(3)}
    for sort in SORTS:
        cursor = (await read(alice, sort=sort, limit=2))["next_cursor"]
        assert {task["id"] for task in (await read(alice, sort=sort))["tasks"]} == ours
        assert {task["id"] for task in (await read(bob, sort=sort, q="milk"))["tasks"]} == theirs
        assert set(ids((await read(bob, sort=sort, cursor=cursor))["tasks"])) <= theirs
        counted = await bob.get(
            "/tasks", params={"sort": sort, "limit": 1}, headers={"Prefer": "count=exact"}
        )
        assert counted.json()["total"] == 3


async def test_a_stranger_learns_nothing_of_parameters(stranger):
    for query in ("", "?limit=1", "?limit=0", "?cursor=x", "?sort=x"):
        assert (await stranger.get(f"/tasks{query}")).status_code == 401


INJECTIONS = [
    "' OR '1'='1",
    "'; DROP TABLE tasks; --",
    '"; DROP TABLE tasks; --',
    "') UNION SELECT * FROM tasks --",
    "$1",
    "%' OR user_id LIKE '%",
    "\\'; SELECT pg_sleep(9); --",
    "order; DROP TABLE tasks",
]


@pytest.mark.parametrize("value", INJECTIONS)
async def test_what_looks_like_sql_is_text_or_refused(alice, bob, value):
    await make(bob)
    mine = await make(alice, f"my {value}")
    assert ids((await read(alice, q=value))["tasks"]) == [mine["id"]]
    await make(alice, "another")
    asked = {"q": value, "sort": "-text", "limit": 1}
    assert (await read(alice, **asked))["count"] == 1
    for name in ("sort", "cursor", "limit", "completed", "updated_since"):
        (line,) = await refusal(alice, f"{name}={quote(value)}")
        assert line.startswith(f"{name} - ")
    assert (await read(alice))["count"] == 2


# What is refused

TIME = "must be a time with its offset, like 2026-01-05T17:45:00Z (RFC 3339); write + as %2B"
NUMBER = "must be a whole number from 1 to 1000"
SORTED = (
    "must be 'order', '-order', 'created_at', '-created_at', 'updated_at', '-updated_at', 'completed_at', "
    "'-completed_at', 'text' or '-text'"
)
REFUSED = {
    "completed": (
        "must be true or false",
        ["", "1", "0", "True", "FALSE", "yes", "%20true", "true,false", "null"],
    ),
    "limit": (
        NUMBER,
        [
            *("", "0", "-1", "1001", "99999", "9" * 5000, "5.0", "%205", "5%20", "+5", "%2B5", "5_0", "05"),
            *("%D9%A5", "1e2", "0x5", "abc", "null", "5%0A", "%C2%B2"),
        ],
    ),
    "updated_since": (
        TIME,
        [
            *("", "0", "null", "now", "1767600000", "2026-01-05", "2026-01-05T17:45:00", "2026-01-05T17:45Z"),
            *(
                "2026-01-05T17:45:00+01:00",
                "2026-01-05%2017:45:00Z",
                "20260105T174500Z",
                "2026-W02-1T00:00:00Z",
            ),
            *("2026-02-30T00:00:00Z", "2026-01-05T24:00:00Z", "2026-01-05T23:59:60Z", "2026-01-05T23:60:00Z"),
            *("2026-01-05T17:45:00%2B01", "2026-01-05T17:45:00%2B0100", "2026-01-05T17:45:00%2B24:00"),
            *("2026-01-05T17:45:00%2B01:60", "2026-01-05T17:45:00.Z", "2026-01-05T17:45:00,5Z"),
            *("0000-01-01T00:00:00Z", "12026-01-05T17:45:00Z", "2026-01-05T17:45:00Z%0A"),
            *("%D9%A2026-01-05T17:45:00Z", "2026-01-05T17:45:00Z%00", "2026-01-05T17:45:00%C4%B1"),
        ],
    ),
    "sort": (
        SORTED,
        [
            *("", "-", "id", "ORDER", "Text", "--order", "+order", "%2Border", "order,text", "order%20"),
            *("user_id", "null"),
        ],
    ),
    "q": ("must not hold the character U+0000, which no text has", ["%00", "a%00b"]),
}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [(name, value, sentence) for name, (sentence, values) in REFUSED.items() for value in values],
)
async def test_a_bad_value_is_refused_and_what_is_accepted_named(alice, name, value, sentence):
    assert await refusal(alice, f"{name}={value}") == [f"{name} - {sentence}"]


async def test_a_search_for_more_than_a_text_can_be_is_refused(alice):
    assert await refusal(alice, f"q={'x' * 501}") == ["q - must have at most 500 characters"]


async def test_every_bad_value_is_named_at_once(alice):
    lines = await refusal(alice, "completed=1&q=%00&updated_since=x&sort=x&limit=0&cursor=x")
    assert [line.split(" - ")[0] for line in lines] == ["completed", "q", "updated_since", "sort", "limit"]


@pytest.mark.parametrize("name", ["completed", "q", "updated_since", "sort", "limit", "cursor"])
async def test_a_parameter_that_comes_twice_is_refused(alice, name):
    good = {
        "completed": "true",
        "q": "x",
        "updated_since": "2026-01-05T17:45:00Z",
        "sort": "text",
        "limit": "5",
    }
    value = good.get(name) or encoded("x")
    lines = await refusal(alice, f"{name}={value}&{name}={value}")
    assert lines == [f"{name} - must be given only once"]
    assert (await alice.get("/tasks?other=1&other=2")).status_code == 200
