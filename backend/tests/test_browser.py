"""A real Chromium: /docs used as a person uses it, and what pages of other origins may read.

Run by `make test-browser`. It is Debian's browser; playwright only drives it and downloads none.
"""

import importlib
import json
import os
import shutil
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from app.auth.tokens import sign
from app.config import Settings
from app.main import create_app
from tests.conftest import SECRET, MakeDatabase, administer
from tests.test_openapi import served
from tests.test_tasks import NEVER

pytestmark = pytest.mark.browser

FLAGS = [
    "--headless",
    "--no-sandbox",  # root, and containers, have none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

Page = Any  # playwright's; only this suite's group of dependencies has it


@pytest.fixture(scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Any]:
    chromium = shutil.which("chromium")
    assert chromium is not None, "make test-browser installs it"
    # By name: the fast suite collects this file too, and has no playwright.
    playwright = importlib.import_module("playwright.async_api")
    home = {"HOME": str(tmp_path_factory.mktemp("home"))}  # whatever Chromium keeps goes with the test
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path=chromium, args=FLAGS, env={**os.environ, **home}
        )
        yield browser
        await browser.close()


@pytest.fixture
async def page(browser: Any) -> AsyncIterator[Page]:
    """A page with nothing remembered."""
    context = await browser.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(10_000)
    yield await context.new_page()
    await context.close()


@pytest.fixture(scope="module")
def front_end() -> Iterator[str]:
    """The origin of a front end: any path is the same empty page."""

    class EmptyPage(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<!doctype html><link rel=icon href=data:,><title>A front end</title>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def serve(database_url: str, front_end: str) -> Any:
    """Serve the service, for this front end, on a port of its own."""
    return served(
        create_app(Settings(database_url=database_url, better_auth_secret=SECRET, cors_origins=front_end))
    )


@pytest.fixture(scope="module")
def api(database_url: str, front_end: str) -> Iterator[str]:
    with serve(database_url, front_end) as url:
        yield url


@pytest.fixture
def token() -> str:
    return sign(f"browser-{uuid.uuid4()}", SECRET, seconds=3600)


class Witness:
    """Collects everything that must not happen on a page."""

    def __init__(self, page: Page, origin: str) -> None:
        self.seen: list[str] = []
        self.requests = 0
        self._own = (f"{origin}/", "data:")
        page.on("request", self._request)
        page.on("response", self._response)
        page.on("requestfailed", lambda request: self.seen.append(f"{request.failure}: {request.url}"))
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.seen.append(f"uncaught: {error}"))

    def _request(self, request: Any) -> None:
        self.requests += 1
        if not request.url.startswith(self._own):
            self.seen.append(f"left the origin: {request.url}")

    def _response(self, response: Any) -> None:
        if response.status >= 400:
            self.seen.append(f"{response.status}: {response.url}")

    def _console(self, line: Any) -> None:
        if line.type in {"error", "warning"}:  # what the policy stops is an error here too
            self.seen.append(f"console: {line.text}")


async def authorize(page: Page, token: str) -> None:
    """Open /docs's dialog and give it a token."""
    await page.get_by_role("button", name="Authorize").click()
    dialog = page.locator(".modal-ux")
    await dialog.locator("input").fill(token)
    await dialog.get_by_role("button", name="Apply credentials").click()
    await dialog.get_by_role("button", name="Close").click()


async def execute(page: Page, operation: str, body: dict[str, Any] | None = None) -> tuple[str, str]:
    """Open an operation, press Execute, and return the status and the body that the page then shows."""
    block = page.locator(f"#operations-Tasks-{operation}")
    await block.locator(".opblock-summary-control").click()
    if body is not None:
        await block.locator("textarea.body-param__text").fill(json.dumps(body, ensure_ascii=False))
    await block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table tr.response")
    shown = await answer.locator(".response-col_description pre").first.inner_text()
    return await answer.locator(".response-col_status").inner_text(), shown


async def test_a_person_can_sign_in_and_make_a_task_on_the_docs_page(page, api, token, tmp_path: Path):
    witness = Witness(page, api)
    await page.goto(f"{api}/docs")
    await authorize(page, token)
    status, shown = await execute(page, "createTask", {"text": "Feed the cat 🐈"})
    assert (status, json.loads(shown)["text"]) == ("201", "Feed the cat 🐈")
    status, shown = await execute(page, "listTasks")
    assert (status, [task["text"] for task in json.loads(shown)["tasks"]]) == ("200", ["Feed the cat 🐈"])

    picture = await page.screenshot(path=tmp_path / "docs.png", full_page=True)
    assert len(picture) > 50_000
    assert witness.requests >= 7
    assert witness.seen == []


async def test_the_example_that_the_page_fills_in_makes_a_task(page, api, token):
    await page.goto(f"{api}/docs")
    await authorize(page, token)
    status, shown = await execute(page, "createTask")
    assert (status, json.loads(shown)["text"]) == ("201", "Buy milk")


async def test_the_docs_page_can_run_and_reach_nothing_foreign(page, api, front_end):
    await page.goto(f"{api}/docs")
    await page.locator(".opblock").first.wait_for()
    blocked = await page.evaluate(
        """async (foreign) => {
            const blocked = []
            addEventListener("securitypolicyviolation", (event) => blocked.push(event.effectiveDirective))
            document.head.append(Object.assign(document.createElement("script"), {text: "window.ran = true"}))
            document.head.append(Object.assign(document.createElement("script"), {src: foreign}))
            await fetch(foreign, {mode: "no-cors"}).catch(() => {})
            await new Promise((resolve) => setTimeout(resolve, 100))
            return {ran: window.ran ?? false, blocked: blocked.sort()}
        }""",
        front_end,
    )
    assert blocked == {"ran": False, "blocked": ["connect-src", "script-src-elem", "script-src-elem"]}


#: What a script can read of an answer; "unreadable" is all that a refused one learns.
FETCH = """async ([url, options]) => {
    const answer = await fetch(url, options).catch(() => null)
    if (!answer) return "unreadable"
    const text = await answer.text()
    return {
        status: answer.status, body: text && JSON.parse(text), headers: Object.fromEntries(answer.headers)
    }
}"""


async def fetch(page: Page, url: str, token: str | None = None, **options: Any) -> Any:
    """Fetch as a front end's script does."""
    headers = options.pop("headers", {})
    if token is not None:
        headers = {"Authorization": f"Bearer {token}"} | headers
    return await page.evaluate(FETCH, [url, options | {"headers": headers}])


JSON = {"Content-Type": "application/json"}


async def test_a_page_of_a_listed_origin_works_with_tasks(page, api, front_end, token):
    """Each of these calls needs a preflight, and a browser sends that without the token."""
    await page.goto(front_end)
    made = await fetch(page, f"{api}/tasks", token, method="POST", headers=JSON, body='{"text": "x"}')
    assert (made["status"], made["body"]["text"]) == (201, "x")
    path = f"{api}/tasks/{made['body']['id']}"
    put = await fetch(page, path, token, method="PUT", headers=JSON, body='{"text": "y", "completed": true}')
    assert (put["status"], put["body"]["text"]) == (200, "y")
    patched = await fetch(page, path, token, method="PATCH", headers=JSON, body='{"order": 2}')
    assert (patched["status"], patched["body"]["order"]) == (200, 2)
    listed = await fetch(page, f"{api}/tasks", token, headers={"X-Request-ID": "from-a-script"})
    assert listed["body"] == {"tasks": [patched["body"]], "count": 1}
    assert listed["headers"]["x-request-id"] == "from-a-script"
    assert (await fetch(page, path, token, method="DELETE"))["status"] == 204


async def test_the_browser_shows_nobody_the_list_of_who_was_there_before(page, api, front_end):
    """Both lists have the same tag: each user has made one change, not here, which would empty the cache."""
    await page.goto(front_end)
    tags, lists = [], []
    for text in ("alice's", "bob's"):
        token = sign(f"browser-{uuid.uuid4()}", SECRET, seconds=3600)
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as elsewhere:
            await elsewhere.post(f"{api}/tasks", json={"text": text})
        for _ in range(2):
            listed = await fetch(page, f"{api}/tasks", token)
            tags.append(listed["headers"]["etag"])
            lists.append([task["text"] for task in listed["body"]["tasks"]])
    assert tags == ['W/"1"'] * 4
    assert lists == [["alice's"]] * 2 + [["bob's"]] * 2


@pytest.mark.parametrize(
    ("status", "code", "path", "options", "header"),
    [
        (401, "UNAUTHORIZED", "/tasks", {"headers": {"Authorization": "Bearer dead"}}, "www-authenticate"),
        (404, "NOT_FOUND", f"/tasks/{NEVER}", {}, None),
        (404, "NOT_FOUND", "/nowhere", {}, None),
        (405, "METHOD_NOT_ALLOWED", "/tasks", {"method": "PUT", "headers": JSON, "body": "{}"}, "allow"),
        (413, "PAYLOAD_TOO_LARGE", "/tasks", {"method": "POST", "headers": JSON, "body": "x" * 70_000}, None),
        (415, "UNSUPPORTED_MEDIA_TYPE", "/tasks", {"method": "POST", "body": "text"}, None),
        (422, "VALIDATION_ERROR", "/tasks", {"method": "POST", "headers": JSON, "body": "{"}, None),
    ],
)
async def test_a_listed_origin_can_read_every_refusal(
    page, api, front_end, token, status, code, path, options, header
):
    await page.goto(front_end)
    answer = await fetch(page, f"{api}{path}", token, **options)
    assert (answer["status"], answer["body"]["error"]) == (status, code)
    assert answer["headers"]["x-request-id"]
    if header is not None:
        assert answer["headers"][header]


async def test_a_listed_origin_can_read_that_the_database_is_down(page, front_end, token):
    with serve("postgresql://nobody@127.0.0.1:1/nothing", front_end) as api:
        await page.goto(front_end)
        answer = await fetch(page, f"{api}/tasks", token)
        health = await fetch(page, f"{api}/health")
    assert (answer["status"], answer["body"]["error"]) == (503, "SERVICE_UNAVAILABLE")
    assert int(answer["headers"]["retry-after"]) >= 1
    assert answer["headers"]["x-request-id"]
    assert (health["status"], health["body"]["database"]) == (503, "disconnected")


async def test_a_listed_origin_can_read_a_failure_of_ours(
    page, front_end, token, make_database: MakeDatabase
):
    """A column of another type is nothing that the service expects."""
    url = await make_database()
    await administer(url, "ALTER TABLE tasks ALTER COLUMN deleted_at TYPE text")
    await administer(url, "ALTER TABLE tasks ALTER COLUMN user_id TYPE bytea USING user_id::bytea")
    with serve(url, front_end) as api:
        await page.goto(front_end)
        answer = await fetch(page, f"{api}/tasks", token)
    assert (answer["status"], answer["body"]["error"]) == (500, "INTERNAL_ERROR")
    assert answer["headers"]["x-request-id"]


async def test_a_page_of_another_origin_can_read_and_change_nothing(page, api, front_end, token):
    """The same page under another name is another origin."""
    await page.goto(front_end.replace("127.0.0.1", "localhost"))
    assert await fetch(page, f"{api}/health") == "unreadable"
    assert await fetch(page, f"{api}/nowhere") == "unreadable"
    assert await fetch(page, f"{api}/tasks", token) == "unreadable"
    refused = await fetch(page, f"{api}/tasks", token, method="POST", headers=JSON, body='{"text": "x"}')
    assert refused == "unreadable"
    async with httpx.AsyncClient(base_url=api) as client:
        listed = await client.get("/tasks", headers={"Authorization": f"Bearer {token}"})
    assert listed.json() == {"tasks": [], "count": 0}
