"""A process that is about to end says so first, and goes on serving for a pause."""

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.config import Settings
from app.draining import Draining
from app.main import close, create_app
from tests.conftest import ClientFor, held_up, until_waiting

PAUSE = 0.05


@contextmanager
def signals_noted(number: signal.Signals) -> Iterator[list[int]]:
    """Be the server that a signal is passed on to in the end."""
    passed_on: list[int] = []
    before = signal.signal(number, lambda came, _: passed_on.append(came))
    try:
        yield passed_on
    finally:
        signal.signal(number, before)


async def comes_true(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a signal handler sets it
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_is_passed_on_only_after_the_pause(number):
    told: list[str] = []
    draining = Draining(PAUSE, 1)
    with signals_noted(number) as passed_on, draining.before_signals(lambda: told.append("told")):
        assert not draining.began
        signal.raise_signal(number)
        assert (draining.began, told, passed_on) == (True, [], [])
        await comes_true(lambda: passed_on)
        assert (told, len(passed_on)) == (["told"], 1)
        await asyncio.sleep(2 * PAUSE)
        assert (told, len(passed_on)) == (["told"], 1)


async def test_a_second_signal_ends_the_pause_and_is_told_of_once(caplog):
    told: list[str] = []
    caplog.set_level(logging.INFO, "app")
    caplog.clear()
    draining = Draining(PAUSE, 1)
    with signals_noted(signal.SIGTERM) as passed_on, draining.before_signals(lambda: told.append("told")):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert (told, len(passed_on)) == (["told"], 1)
        await asyncio.sleep(2 * PAUSE)
        assert (told, len(passed_on)) == (["told"], 1)
        assert not caplog.messages, "there was no pause to speak of"
        signal.raise_signal(signal.SIGTERM)  # what a third one means is the server's matter
        assert (told, len(passed_on)) == (["told"], 2)


async def test_without_a_pause_a_signal_is_passed_on_at_once():
    draining = Draining(0, 1)
    with signals_noted(signal.SIGTERM) as passed_on, draining.before_signals(lambda: None):
        signal.raise_signal(signal.SIGTERM)
        assert draining.began
        assert passed_on


async def test_who_starts_again_is_ready_again():
    draining = Draining(0, 1)
    with signals_noted(signal.SIGTERM):
        with draining.before_signals(lambda: None):
            signal.raise_signal(signal.SIGTERM)
        with draining.before_signals(lambda: None):
            assert not draining.began


async def test_what_is_left_of_the_grace_is_for_closing():
    draining = Draining(0, 0.2)
    with signals_noted(signal.SIGTERM), draining.before_signals(lambda: None):
        patient = Draining(0, 300)
        assert patient.seconds_left() == 300
        signal.raise_signal(signal.SIGTERM)
        assert draining.seconds_left() == 0.5  # at least that
    with signals_noted(signal.SIGTERM), patient.before_signals(lambda: None):
        signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(0.01)
        assert 200 < patient.seconds_left() < 300


async def test_readiness_turns_and_answers_ask_for_their_connection_to_be_closed(
    settings: Settings, client_for
):
    app = create_app(settings)
    async with client_for("alice", app) as client:
        before = await client.get("/health/ready")
        assert (before.status_code, before.json()) == (200, {"status": "ready"})
        assert "Connection" not in before.headers
        app.state.draining.began = True
        after = await client.get("/health/ready")
        assert (after.status_code, after.json()) == (503, {"status": "draining"})
        assert after.headers["Connection"] == "close"
        assert after.headers["Retry-After"] == "1"
        for path, status in (("/tasks", 200), ("/health/live", 200), ("/nowhere", 404)):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["Connection"]) == (status, "close")
    await close(app)


@pytest.mark.parametrize("draining", [True, False])
async def test_a_request_that_is_cut_off_is_told_so_when_the_process_ends(
    settings: Settings, client_for: ClientFor, *, draining: bool
):
    app = create_app(settings)
    user = f"cut-off-{draining}"
    async with client_for(user, app) as client:
        await client.post("/tasks", json={"text": "x"})
        async with held_up(settings.database_url, user, 0):
            request = asyncio.create_task(client.post("/tasks", json={"text": "y"}))
            await until_waiting(settings.database_url)
            app.state.draining.began = draining
            request.cancel()
            if draining:
                answer = await request
                assert (answer.status_code, answer.json()["error"]) == (503, "SERVICE_UNAVAILABLE")
                assert answer.headers["Retry-After"] == "1"
            else:
                with pytest.raises(asyncio.CancelledError):
                    await request
    await close(app)
