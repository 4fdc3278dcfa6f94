"""All connections are looked at now and then, and never all of them at once."""

import asyncio
from collections import Counter
from contextlib import suppress

from app.patience import _AT_ONCE, Patience

MANY = 100


class Looked:
    """A connection; it notes the turns of the event loop in which it was looked at."""

    turn = 0

    def __init__(self) -> None:
        self.turns: list[int] = []

    def look(self) -> None:
        self.turns.append(Looked.turn)


async def count_turns() -> None:
    while True:
        Looked.turn += 1
        await asyncio.sleep(0)


async def test_each_connection_is_looked_at_in_each_round_and_few_in_one_turn():
    counting = asyncio.create_task(count_turns())
    connections = {Looked() for _ in range(MANY)}
    looked_at = list(connections)
    patience = Patience(head=0.4, send=0.4)  # rounds of 0.1 s
    patience.watch(asyncio.get_running_loop(), connections)
    async with asyncio.timeout(20):
        while min(len(one.turns) for one in looked_at) < 3:  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0.01)
    assert max(len(one.turns) for one in looked_at) <= 4
    in_one_turn = Counter(turn for one in looked_at for turn in one.turns)
    assert max(in_one_turn.values()) <= _AT_ONCE
    connections.clear()
    counting.cancel()
    with suppress(asyncio.CancelledError):
        await counting


async def test_who_has_gone_is_not_looked_at():
    gone, stays = Looked(), Looked()
    connections = {gone, stays}
    Patience(head=0.2, send=0.2).watch(asyncio.get_running_loop(), connections)
    connections.discard(gone)
    async with asyncio.timeout(20):
        while not stays.turns:  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0.01)
    assert gone.turns == []
    connections.clear()
