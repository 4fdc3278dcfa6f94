"""Who has slots, and which of them hang."""

from app.held import _HANGS_SECONDS, Held


def test_what_is_held_counts_against_its_user_and_that_of_the_service_against_nobody():
    held = Held()
    for user in ("alice", None, "alice", "bob", None):
        held.take(user)
    assert (held.by("alice"), held.by("bob"), held.by("carol"), held.by(None)) == (2, 1, 0, 0)
    assert held.count == 5
    for user in ("alice", None, "bob", "alice", None):
        held.give_back(user)
    assert (held.by("alice"), held.count) == (0, 0)
    assert not held._since, "nobody is remembered"  # noqa: SLF001 - it would take memory for each user


def test_what_hangs_stays_and_what_comes_after_it_goes():
    now = 1000.0
    held = Held(lambda: now)
    held.take("alice")
    held.take(None)
    now += _HANGS_SECONDS + 0.001
    for _ in range(3):
        held.take("alice")
        held.look()
        assert held.hanging == 2
        held.give_back("alice")
    held.give_back(None)
    held.look()
    assert held.hanging == 1
