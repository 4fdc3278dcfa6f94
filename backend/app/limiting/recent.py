"""A map that forgets: what was not written for a while, and the oldest when there is too much."""

from typing import Generic, TypeVar

_Value = TypeVar("_Value")


class Recent(Generic[_Value]):
    """Two generations of a dictionary. The elder is dropped as a whole when the younger gets old, or full.

    What was written less than `keep` ago is there, unless `most` other keys were written since. No thread
    tidies up, no order is kept, and each call costs as much as a look into a dictionary or two.
    """

    __slots__ = ("_keep", "_most", "_old", "_turn", "_young")

    def __init__(self, keep: int, most: int) -> None:
        self._keep = keep
        self._most = most
        self._turn = 0
        self._young: dict[str, _Value] = {}
        self._old: dict[str, _Value] = {}

    def __len__(self) -> int:
        """Return how many entries are held, a key in both generations counted twice."""
        return len(self._young) + len(self._old)

    def get(self, key: str, default: _Value) -> _Value:
        found = self._young.get(key)
        return self._old.get(key, default) if found is None else found

    def put(self, key: str, value: _Value, now: int) -> None:
        """Write; `now` is in the unit of `keep`, by a clock that is never set back."""
        if now >= self._turn or len(self._young) >= self._most:
            self._old = self._young
            self._young = {}
            self._turn = now + self._keep
        self._young[key] = value
