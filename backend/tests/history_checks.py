"""Whether one user's history can be: nothing acknowledged is lost, doubled or out of order.

Every number of the user's counter belongs to one write, and whoever saw a task at a revision saw what that
write left. So each task is replayed in the order of the revisions, from nothing to what the server has at
the end. Attempts that nobody had an answer of may have been made or not: all that can be is carried along.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from tests.history import NEVER, Attempt, Content, Listed, UserHistory, content_of

Operation: TypeAlias = Mapping[str, Any]

#: What answers with the revision that stands, where there is nothing to do.
MAY_ECHO = {"restore", "move"}

_LOOK_BACK = 20  # revisions
_MOST_MAYBES = 6


class State(NamedTuple):
    """A task as it may be. `order` is None where a move may have made room, `revision` if it is unknown."""

    text: str
    completed: bool
    order: int | None
    alive: bool
    revision: int | None


class Effect(NamedTuple):
    """What an attempt did, or may have done, to one task."""

    operation: Operation
    revision: int
    attempt: Attempt
    sure: bool = True  #: it took this revision; otherwise it may only have told it

    @property
    def task(self) -> str:
        task: str = self.operation["id"]
        return task


Possible: TypeAlias = "set[tuple[State | None, frozenset[int]]]"
NOTHING: Possible = {(None, frozenset())}


@dataclass(frozen=True)
class Server:
    """What the server has at the end, each with its revision."""

    revision: int
    living: Mapping[str, tuple[int, Content]]
    trash: Mapping[str, tuple[int, Content]]


def check(history: UserHistory, server: Server) -> None:
    """Add what is wrong to the violations of the history."""
    _Check(history, server).run()


class _Check:
    def __init__(self, history: UserHistory, server: Server) -> None:
        self.history, self.server, self.wrong = history, server, history.wrong
        self.effects: defaultdict[int, list[Effect]] = defaultdict(list)
        self.maybe: defaultdict[str | None, list[Effect]] = defaultdict(list)
        self.purges: list[Attempt] = []
        self.moves: list[int] = []
        self.by_task: defaultdict[str, list[Effect]] = defaultdict(list)
        self._unknown = False
        self.timelines: dict[str, list[tuple[int, Possible]]] = {}

    def run(self) -> None:
        self._sort()
        self._each_key_once()
        self._settle()
        self._each_revision_once()
        self._in_real_time()
        self._if_match()
        self._refusals()
        for task in self._tasks():
            self.timelines[task] = _Task(self, task).replay()
        self._lists()

    def _sort(self) -> None:
        for attempt in self.history.attempts:
            purge = attempt.operations[0]["op"] in {"purge", "empty"}
            if purge and (attempt.successful or attempt.unknown):
                self.purges.append(attempt)
            elif attempt.unknown:
                for operation in attempt.operations:
                    self.maybe[operation.get("id")].append(Effect(operation, 0, attempt, sure=False))
            elif attempt.successful and attempt.answer and not attempt.answer.replayed and not purge:
                self._note_effects(attempt)

    def _settle(self) -> None:
        """Where nobody else can have taken a number, who told it took it."""
        unknown_moves = [m for ms in self.maybe.values() for m in ms if _is_move(m)]
        self._unknown = any(self.maybe.values())
        for revision, group in self.effects.items():
            (first, *others) = group
            if not others and not self.maybe[first.task] and not unknown_moves:
                self.effects[revision] = [first._replace(sure=True)]
        self.moves = sorted(
            revision
            for revision, group in self.effects.items()
            if any(_is_move(effect) for effect in group)
            and not any(e.sure and not _is_move(e) for e in group)
        )
        for group in self.effects.values():
            for effect in group:
                self.by_task[effect.task].append(effect)

    def _note_effects(self, attempt: Attempt) -> None:
        answer = attempt.answer
        assert answer
        if answer.revision is None:
            return self.wrong("numbers", f"no X-Revision: {attempt}")
        if not attempt.batch and answer.status == 200 and attempt.operations[0]["op"] == "create":
            return None  # it was there already
        results = answer.body["results"] if attempt.batch else [answer.body]
        first = answer.revision - len(results) + 1
        for place, (operation, result) in enumerate(zip(attempt.operations, results, strict=True)):
            made = {"id": result["id"]} if result else {}
            sure = attempt.batch or operation["op"] not in MAY_ECHO
            effect = Effect({**operation, **made}, first + place, attempt, sure)
            self.effects[effect.revision].append(effect)
        return None

    def _each_key_once(self) -> None:
        keyed = defaultdict(list)
        for attempt in self.history.attempts:
            if attempt.once is not None and attempt.successful:
                keyed[attempt.once].append(attempt)
        for key, attempts in keyed.items():
            first = [attempt for attempt in attempts if attempt.answer and not attempt.answer.replayed]
            if len(first) > 1:
                self.wrong("doubled", f"key {key} was made {len(first)} times: {first[0]}, {first[1]}")
            told = [attempt.answer._replace(replayed=False) for attempt in attempts if attempt.answer]
            if any(answer != told[0] for answer in told):
                self.wrong("replay differs", f"key {key} was answered in different ways: {told}")
            if not first:
                # The answer of the first got lost for everybody; what was told again is what it did.
                again = attempts[0]
                made = Attempt(again.number, again.operations, again.batch, key, again.sent, again.done)
                made.sent = min(a.sent for a in self.history.attempts if a.once == key)
                made.answer = told[0]
                self._note_effects(made)
            for task in list(self.maybe):  # whichever it was, it was made once, and that one is known
                self.maybe[task] = [maybe for maybe in self.maybe[task] if maybe.attempt.once != key]

    def _each_revision_once(self) -> None:
        taken = 0
        for revision, group in self.effects.items():
            taken += 1
            sure = [effect for effect in group if effect.sure]
            echoes = [effect for effect in group if not effect.sure]
            if len(sure) > 1:
                self.wrong(
                    "revision twice", f"{revision} was taken by {sure[0].attempt} and {sure[1].attempt}"
                )
            if sure and any(effect.task != sure[0].task for effect in echoes):
                self.wrong(
                    "revision twice", f"{revision} was taken by {sure[0].attempt}, {echoes[0].attempt}"
                )
            if revision > self.server.revision:
                self.wrong("numbers", f"{revision} is beyond the counter, {self.server.revision}")
        unused = self.server.revision - taken
        idle = sum(
            len(attempt.operations)
            for attempt in self.history.attempts
            if not attempt.successful or attempt.operations[0]["op"] in {*MAY_ECHO, "create"}
        )
        if unused > idle:
            self.wrong(
                "numbers", f"{unused} numbers were taken by no write; {idle} attempts may have left one"
            )

    def _in_real_time(self) -> None:
        """Who had an answer before another was sent has the smaller revision."""
        sure = [effect for group in self.effects.values() for effect in group if effect.sure]
        answered = [(effect.attempt.done, effect.revision, effect) for effect in sure]
        sent = [(effect.attempt.sent, effect.revision, effect) for effect in sure]
        read = [(at, revision, None) for at, revision in self.history.reads]
        answered.sort(key=itemgetter(0))
        before = iter([*answered, (NEVER + 1, 0, None)])
        at, revision, effect = next(before)
        newest, last = 0, None
        for now, told, what in sorted([*sent, *read], key=itemgetter(0)):
            while at < now:
                if revision > newest:
                    newest, last = revision, effect
                at, revision, effect = next(before)
            if what is None and told < newest:
                self.wrong("stale read", f"a read told {told} after the answer of {last and last.attempt}")
            if what is not None and told <= newest:
                self.wrong("order", f"{what.attempt} took {told} after the answer of {last and last.attempt}")

    def _if_match(self) -> None:
        for task, effects in self.by_task.items():
            revisions = sorted({effect.revision for effect in effects if effect.sure})
            used: dict[int, Effect] = {}
            for effect in effects:
                expected = effect.operation.get("if_match")
                if expected is None or not effect.sure:
                    continue
                if expected in used:
                    self.wrong(
                        "If-Match", f"{expected} of {task}: {used[expected].attempt}, {effect.attempt}"
                    )
                used[expected] = effect
                place = bisect_right(revisions, expected)
                if place < len(revisions) and revisions[place] < effect.revision:
                    self.wrong("If-Match", f"{task} was at {revisions[place]} before {effect.attempt}")

    def _refusals(self) -> None:
        """A task that nobody deleted is there, and one that nobody changed is as it was."""
        touching: defaultdict[str, list[Attempt]] = defaultdict(list)
        for attempt in self.history.attempts:
            for task in {operation.get("id", "") for operation in attempt.operations}:
                touching[task].append(attempt)
        moves = [a for a in self.history.attempts if a.operations[0]["op"] == "move"]
        creates = [
            effect for task in self.by_task.values() for effect in task if effect.operation["op"] == "create"
        ]
        made = {effect.task: effect.attempt.done for effect in creates}
        for attempt in self.history.attempts:
            if attempt.answer is None or attempt.batch or "id" not in attempt.operations[0]:
                continue
            task, operation = attempt.operations[0]["id"], attempt.operations[0]
            others = [a for a in touching[task] if a is not attempt and a.sent < attempt.done and a.reached]
            match attempt.answer.status:
                case 404 if operation["op"] != "purge" and made.get(task, NEVER) < attempt.sent:
                    if not any(_deletes(other, task) for other in others):
                        self.wrong("lost", f"nobody deleted it: {attempt}")
                case 409 if not others:
                    self.wrong("lost", f"nobody made it: {attempt}")
                case 412:
                    self._was_it_changed(attempt, [*others, *moves])

    def _was_it_changed(self, refused: Attempt, others: Iterable[Attempt]) -> None:
        expected = refused.operations[0]["if_match"]
        task = refused.operations[0]["id"]
        at = [effect.attempt for effect in self.effects[expected] if effect.task == task]
        if len(at) != 1 or at[0].done > refused.sent:
            return
        for other in others:
            told = other.answer.revision if other.answer else None
            may_have = other.unknown or (other.successful and told is not None and told > expected)
            if other is not refused and other.sent < refused.done and may_have:
                return
        self.wrong("If-Match", f"nobody had changed it since {at[0]}: {refused}")

    def about(self, task: str, told: Content | None) -> list[str]:
        """Return the attempts that may have to do with a task."""
        text = told and told.text
        return [
            str(attempt)
            for attempt in self.history.attempts
            if any(o.get("id") == task or o.get("text", "") == text for o in attempt.operations)
        ]

    def _tasks(self) -> Collection[str]:
        named = {task for task in self.maybe if task is not None}
        told = {task for task, _ in self.history.told}
        return {*self.by_task, *named, *told, *self.server.living, *self.server.trash}

    def moved_between(self, low: int, high: int) -> bool:
        """Whether a move took a number above `low` and not above `high`."""
        return bisect_right(self.moves, high) > bisect_right(self.moves, low)

    def _lists(self) -> None:
        """A list is in display order, and is what the writes up to its revision left."""
        for listed in self.history.lists:
            keys = [(task["order"], -int(UUID(task["id"]))) for task in listed.tasks]
            if keys != sorted(keys):
                self.wrong("list", f"the list at {listed.revision} is not in order: {keys}")
            there = {task["id"]: content_of(task) for task in listed.tasks}
            for task in there.keys() - self.timelines.keys():
                self.wrong("list", f"nobody made {task}, which is in the list at {listed.revision}")
            self._stands_where_it_was_put(listed)
            for task, timeline in self.timelines.items():
                self._listed(listed.revision, task, timeline, there.get(task))

    def _stands_where_it_was_put(self, listed: Listed) -> None:
        """The last that was moved is next to its anchor, as long as nothing else is put anywhere."""
        ids = [None, *(task["id"] for task in listed.tasks), None]
        oldest = max(0, listed.revision - _LOOK_BACK)
        for revision in range(listed.revision, oldest, -1):
            effects = self.effects.get(revision, [])
            moves = [effect for effect in effects if _is_move(effect) and effect.sure]
            for move in moves:
                side, step = ("after", -1) if "after" in move.operation else ("before", 1)
                anchor = move.operation[side]
                if move.task in ids and anchor in ids and ids[ids.index(move.task) + step] != anchor:
                    self.wrong("list", f"{move.attempt}, and at {listed.revision} the list is {ids}")
            if moves or self._unknown or not all(_keeps_the_order(effect) for effect in effects):
                return

    def _listed(
        self, revision: int, task: str, timeline: Sequence[tuple[int, Possible]], found: Content | None
    ) -> None:
        if self.maybe[task] or self.maybe[None]:
            return
        place = bisect_right(timeline, revision, key=lambda entry: entry[0])
        at, possible = timeline[place - 1] if place else (0, NOTHING)
        moved = self.moved_between(at, revision) or any(
            _is_move(maybe) for maybes in self.maybe.values() for maybe in maybes
        )
        for state, _ in possible:
            if state is None or not state.alive:
                if found is None:
                    return
            elif found and _as_told(state._replace(order=None) if moved else state, found):
                return
        was = sorted({str(state) for state, _ in possible})
        self.wrong("list", f"{task} is {found} in the list at {revision}, and was {was} since {at}")


class _Task:
    """One task, replayed."""

    def __init__(self, user: _Check, task: str) -> None:
        self.user, self.task = user, task
        maybe = [*user.maybe[task], *(m for m in user.maybe[None] if m.operation["op"] == "create")]
        created = any(effect.operation["op"] == "create" for effect in user.by_task[task])
        # A create without an id that nobody had an answer of may have made a task of unknown origin.
        self.maybe = [m for m in maybe if "id" in m.operation or not created]
        # Too many to carry along which of them were made: then each may have been made again and again.
        self.once = len(self.maybe) <= _MOST_MAYBES
        self.unknown_moves = [m for ms in user.maybe.values() for m in ms if m.operation["op"] == "move"]
        self.possible: Possible = NOTHING
        self.at = 0
        self.timeline: list[tuple[int, Possible]] = []

    def replay(self) -> list[tuple[int, Possible]]:
        """Return what it may have been since which revision."""
        events: dict[int, list[Effect]] = defaultdict(list)
        for effect in self.user.by_task[self.task]:
            events[effect.revision].append(effect)
        for task, revision in self.user.history.told:
            if task == self.task:
                events.setdefault(revision, [])
        purges = sorted(
            # Of two at one revision, who names a task was first: nothing would have been left to name.
            (purge.answer.revision or 0, "id" not in purge.operations[0], purge.number, purge)
            for purge in self.user.purges
            if purge.successful and purge.answer and purge.operations[0].get("id", self.task) == self.task
        )
        for revision in sorted(events):
            while purges and purges[0][0] < revision:
                self._purge(purges[0][0], purges.pop(0)[-1])
            self._step(revision, events[revision])
        for revision, *_, purge in purges:
            self._purge(revision, purge)
        self._end()
        return self.timeline

    def _step(self, revision: int, effects: Sequence[Effect]) -> None:
        done = max((effect.attempt.done for effect in effects), default=NEVER)
        before = self._whatever_else(self.possible, revision - 1, done)
        after: Possible = set()
        sure = [effect for effect in effects if effect.sure]
        for effect in sure or effects:
            after |= {
                (changed, used)
                for state, used in before
                if (changed := _applied(effect, state, revision)) is not None
            }
        if not sure and (self.user.moved_between(revision - 1, revision) or self.unknown_moves):
            after |= {
                (state._replace(order=None, revision=revision), used)
                for state, used in before
                if state and state.alive
            }
        if not sure:  # only told: who made it, nobody knows
            for one in self.possible:
                others = self._whatever_else({one}, revision, done)
                after |= {
                    (state._replace(revision=revision), used)
                    for state, used in others
                    if state and state.revision is None and (used != one[1] or not self.once)
                }
        told = self.user.history.told.get((self.task, revision))
        self._now(
            {(state, used) for found, used in after if (state := _as_told(found, told))}, revision, effects
        )
        if told is not None:
            self.possible = {(State(*told, revision), used) for _, used in self.possible}
        self.timeline.append((revision, self.possible))

    def _now(self, possible: Possible, revision: int, effects: Sequence[Effect]) -> None:
        if not possible:
            before = sorted({str(state) for state, _ in self.possible})[:3]
            told = self.user.history.told.get((self.task, revision))
            by = [str(effect.attempt) for effect in effects] or self.user.about(self.task, told)
            what = f"{self.task} at {revision} was {told} after {by}"
            self.user.wrong("replay", f"{what}, and before {before}")
            possible = {(State("", completed=False, order=None, alive=True, revision=revision), frozenset())}
        self.possible, self.at = possible, revision

    def _purge(self, revision: int, purge: Attempt) -> None:
        """Removed for good, right after a revision."""
        before = self._whatever_else(self.possible, revision, purge.done)
        one = purge.operations[0]["op"] == "purge"
        after: Possible = set()
        for state, used in before:
            if state is None or state.alive:
                if not one:
                    after.add((state, used))
                continue
            after.add((None, used))
            if not one and not self._deleted_before(state, purge):
                after.add((state, used))
        if not after:
            self.user.wrong("purge", f"{self.task} was not deleted, and removed by {purge}")
            after = NOTHING
        self.possible = after
        self.timeline.append((revision, after))

    def _deleted_before(self, state: State, purge: Attempt) -> bool:
        if state.revision is None:
            return False
        return any(
            effect.attempt.done < purge.sent
            for effect in self.user.effects[state.revision]
            if effect.task == self.task
        )

    def _whatever_else(self, possible: Possible, up_to: int, done: int) -> Possible:
        """Add what attempts without an answer, moves that made room and unknown purges may have led to."""
        maybe = [(place, m) for place, m in enumerate(self.maybe) if m.attempt.sent < done]
        moved = self.user.moved_between(self.at, up_to) or any(
            m.attempt.sent < done for m in self.unknown_moves
        )
        purged = any(
            purge.unknown and purge.sent < done and purge.operations[0].get("id", self.task) == self.task
            for purge in self.user.purges
        )
        found, new = set(possible), list(possible)
        while new:
            state, used = new.pop()
            more: Possible = set()
            for place, m in maybe:
                if place not in used and (changed := _applied(m, state, None)) is not None:
                    more.add((changed, used | {place} if self.once else used))
            if moved and state and state.alive:
                more.add((state._replace(order=None, revision=None), used))
            if purged and state and not state.alive:
                more.add((None, used))
            new += more - found
            found |= more
        return found

    def _end(self) -> None:
        """Hold what is left against what the server has."""
        living, trash = self.user.server.living.get(self.task), self.user.server.trash.get(self.task)
        revision, told = living or trash or (self.at, None)
        possible = self._whatever_else(self.possible, revision, NEVER)
        if told is None:
            if not any(state is None for state, _ in possible):
                self.user.wrong(
                    "lost", f"{self.task} is gone, and was {sorted({str(s) for s, _ in possible})}"
                )
        elif not any(
            state and state.revision in {None, revision} and _as_told(state, told) for state, _ in possible
        ):
            self.user.wrong(
                "end", f"{self.task} is {told} at {revision}, not {sorted({str(s) for s, _ in possible})[:3]}"
            )


def _keeps_the_order(effect: Effect) -> bool:
    return effect.operation["op"] == "delete" or (
        effect.operation["op"] in {"patch", "put"} and "order" not in effect.operation
    )


def _deletes(attempt: Attempt, task: str) -> bool:
    return any(
        operation["op"] == "delete" and operation.get("id") == task for operation in attempt.operations
    )


def _is_move(effect: Effect) -> bool:
    return bool(effect.operation["op"] == "move")


def _as_told(state: State | None, told: Content | None) -> State | None:
    if state is None or told is None:
        return state
    same = (state.text, state.completed, state.alive) == (told.text, told.completed, told.alive)
    return state._replace(order=told.order) if same and state.order in {None, told.order} else None


def _applied(effect: Effect, state: State | None, revision: int | None) -> State | None:
    """Return what an operation makes of a task; None where it can't have been made of this."""
    operation = effect.operation
    op = operation["op"]
    if op == "create" and state is None:
        completed, order = operation.get("completed", False), operation.get("order", 0)
        return State(operation["text"], completed, order, alive=True, revision=revision)
    if op == "create" or state is None or not (state.alive or op == "restore"):
        return None
    if operation.get("if_match") not in {None, state.revision} and state.revision is not None:
        return None
    match op:
        case "delete":
            # A move makes room among deleted tasks too, without a stamp: the place stays, not the number.
            changes: dict[str, Any] = {"alive": False, "order": None}
        case "restore" if state.alive and not effect.attempt.batch:
            return None  # takes no number, and only tells the one that stands
        case "restore":
            changes = {"alive": True}
        case "move":
            changes = {"order": None}
        case _:
            changes = {name: operation[name] for name in ("text", "completed", "order") if name in operation}
    return state._replace(**changes, revision=revision)
