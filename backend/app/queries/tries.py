"""How often, and how fast, something is tried again that lost a race."""

import asyncio
import random

#: As often as this, seconds apart: at first, and at the most.
TRIES = 100
_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.02


async def pause(attempt: int) -> None:
    """Wait before the next try: for a random time, so that those who raced once do not race again."""
    most = min(_LONGEST_PAUSE, _FIRST_PAUSE * (attempt + 1))
    await asyncio.sleep(random.uniform(0, most))  # noqa: S311 - no secret
