"""Stay in step with the other devices. listen.ts is the same in TypeScript."""

import asyncio
import random

from api import ApiError
from sync import TaskSync


async def listen(tasks: TaskSync) -> str:
    """Sync whenever something changed, until the token is over; return why. Raises what does not pass."""
    wait = 1.0
    while True:
        try:
            await tasks.sync()
            async for event in tasks.api.events(tasks.state["revision"]):
                wait = 1
                if event.get("reason", "SHUTDOWN") != "SHUTDOWN":
                    return str(event["reason"])
                if event.get("revision", 0) > tasks.state["revision"]:
                    await tasks.sync()
        except ApiError as error:
            if not error.passes:
                raise
            wait = max(wait, error.retry_after)
        await asyncio.sleep(wait * random.uniform(1, 1.5))  # not all at the same moment
        wait = min(2 * wait, 60)
