"""Who may use the database now: as many as it has connections, and a short queue that is fair."""

import asyncio
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from app.errors import Overloaded
from app.held import Held
from app.pace import Pace
from app.throttle import Throttle

#: Seconds between two looks at how it goes, while anybody waits.
_LOOK_SECONDS = 0.05

#: Of its patience, how much the queue counts on: the pace varies, and who waits in vain costs the most.
_SURE = 0.6


@dataclass(eq=False, slots=True)
class _Waiting:
    user: str | None
    called: asyncio.Future[None]


class Slots:
    """Slots that are taken for one statement each, by the name of a user or by None, who is nobody's.

    Nobody takes more than he leaves to others: a user gets a slot while he has fewer than are free, and a
    place in the queue while he has fewer there than are free. So one user gets half of either, at most, two
    get a third each, and whoever has none finds some. Whoever has the fewest slots is called first, among
    equals the one who came first.

    While this process is what everybody waits for, fewer than there are slots are at work at the same time;
    what hangs in the database is none of them.

    The queue has as many places as are called within most of `patience` seconds at the present pace, at least
    one for each slot and at most `places`: who would wait in vain is told at once.
    """

    def __init__(
        self,
        size: int,
        places: int,
        patience: float,
        throttle: Throttle | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._size = size
        self._throttle = throttle or Throttle(size, clock)
        self._looking: asyncio.TimerHandle | None = None
        self._most = places
        self._patience = patience
        self._pace = Pace(clock)
        self._held = Held(clock)
        self._waiting = OrderedDict[_Waiting, None]()  # a set, in the order of coming
        self._places = Counter[str | None]()

    @property
    def queued(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    def refuses(self, user: str) -> bool:
        """Whether `take` would be refused at once."""
        return not self._may_have_one(user) and self._in_queue(user) >= self._places_left

    @property
    def room(self) -> int:
        """How many more can be taken on now, to be served or to wait."""
        return max(0, min(self._free, self._may_begin)) + max(0, self._places_left)

    async def take(self, user: str | None, *, patient: bool = False) -> None:
        """Take a slot; raises Overloaded when too many wait already, or none comes free in time.

        Who is `patient` may always wait, and as long as it takes.
        """
        if self._may_have_one(user):
            self._held.take(user)
            return
        if not patient and self._in_queue(user) >= self._places_left:
            raise Overloaded("too many wait for the database")
        await self._wait(_Waiting(user, asyncio.get_running_loop().create_future()), patient=patient)

    def give_back(self, user: str | None) -> None:
        """Leave the slot to the next."""
        self._held.give_back(user)
        if self._waiting:
            self._call_next()

    async def _wait(self, waiting: _Waiting, *, patient: bool) -> None:
        if not self._waiting:
            self._pace.begin()
        if self._looking is None:
            self._look_later()
        self._waiting[waiting] = None
        self._places[waiting.user] += 1
        timer = None if patient else waiting.called.get_loop().call_later(self._patience, _give_up, waiting)
        try:
            await waiting.called
        except BaseException:
            if waiting in self._waiting:
                self._leave_queue(waiting)
            else:  # called in the very moment that it left
                self.give_back(waiting.user)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _call_next(self) -> None:
        """Call those who may go on now: mostly one, as one slot came free."""
        while self._free and (first := self._first_waiting()) and self._may_have_one(first.user):
            self._leave_queue(first)
            self._held.take(first.user)
            first.called.set_result(None)
            self._pace.call()

    def _first_waiting(self) -> _Waiting | None:
        """Return who has the fewest slots, among equals the one who came first."""
        first, fewest = None, math.inf
        for waiting in self._waiting:
            if waiting.called.done():
                continue  # it is about to leave
            held = self._held.by(waiting.user)
            if not held:
                return waiting
            if held < fewest:
                first, fewest = waiting, held
        return first

    def _leave_queue(self, waiting: _Waiting) -> None:
        del self._waiting[waiting]
        self._places[waiting.user] -= 1
        if not self._places[waiting.user]:
            del self._places[waiting.user]

    def _may_have_one(self, user: str | None) -> bool:
        return self._held.by(user) < self._free and self._may_begin > 0

    @property
    def _free(self) -> int:
        return self._size - self._held.count

    @property
    def _may_begin(self) -> int:
        """How many more may be at work; negative while more are than may."""
        return self._throttle.open - (self._held.count - self._held.hanging)

    def _look_later(self) -> None:
        self._looking = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)

    def _look(self) -> None:
        """See, as long as anybody waits, whether it is this process that is waited for, and what hangs."""
        if not self._waiting:
            self._throttle.end()
            self._looking = None
            return
        self._held.look()
        self._throttle.look()
        self._call_next()
        self._look_later()

    def _in_queue(self, user: str | None) -> int:
        return 0 if user is None else self._places.get(user, 0)

    @property
    def _places_left(self) -> int:
        pace = self._pace.seconds(waiting=self.queued)
        in_time = _SURE * self._patience / pace if pace else self._most
        return min(self._most, max(self._size, int(in_time))) - len(self._waiting)


def _give_up(waiting: _Waiting) -> None:
    if not waiting.called.done():
        waiting.called.set_exception(Overloaded("no connection came free in time"))
