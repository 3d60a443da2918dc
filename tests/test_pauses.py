import os
import signal

import pytest

from slime.pauses import ASKS_TO_END, Pauses
from slime.ranks import Ranks


def test_a_save_is_due_after_its_seconds(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("slime.pauses.time.monotonic", lambda: now[0])
    kept = []
    pauses = Pauses(kept.append, 10.0)
    for second, due in ((101.0, False), (109.9, False), (110.0, True)):
        now[0] = second
        assert pauses.due() == due
    pauses.save({"epoch": 1})
    assert (kept, pauses.due()) == ([{"epoch": 1}], False)


@pytest.fixture
def heard():
    """Signals as a terminal leaves them: a job in the background ignores some."""
    numbers = [getattr(signal, name) for name in ASKS_TO_END]
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("name", ASKS_TO_END)
def test_a_signal_lets_the_step_end_then_saves_and_stops(name):
    number, kept = getattr(signal, name), []
    before = signal.getsignal(number)

    def signalled():
        with Pauses(kept.append, 1e9) as pauses:
            assert not pauses.due()
            os.kill(os.getpid(), number)
            assert pauses.due()
            pauses.save({"epoch": 2})

    with pytest.raises(KeyboardInterrupt):
        signalled()
    assert kept == [{"epoch": 2}]
    assert signal.getsignal(number) == before


@pytest.mark.usefixtures("heard")
def test_a_second_signal_stops_at_once():
    def signalled():
        with Pauses(print, 1e9) as pauses:
            os.kill(os.getpid(), signal.SIGINT)
            assert pauses.due()
            os.kill(os.getpid(), signal.SIGINT)
            raise AssertionError

    with pytest.raises(KeyboardInterrupt):
        signalled()


@pytest.mark.usefixtures("heard")
def test_a_signal_after_the_last_step_is_not_lost():
    with pytest.raises(KeyboardInterrupt), Pauses(print, 1e9):
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Pauses(print, 1e9) as pauses:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not pauses.due()
    finally:
        signal.signal(signal.SIGHUP, before)


class Two(Ranks):
    """One of two ranks; what the other says stands in `other`."""

    def __init__(self, rank, other):
        super().__init__(rank, 2)
        self.other, self.n_asked = other, 0

    def highest(self, values):
        self.n_asked += 1
        return [max(pair) for pair in zip(values, self.other, strict=True)]


def test_ranks_pause_when_any_is_asked_and_look_by_the_pace_of_the_first(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("slime.pauses.time.monotonic", lambda: now[0])
    ranks = Two(1, [False, False, 20.0])  # rank 0 makes 20 steps a second
    pauses = Pauses(print, 1.0, ranks=ranks)
    assert not pauses.due()
    assert ranks.n_asked == 1
    now[0] = 50.0  # the seconds of rank 1 do not count
    for _ in range(19):
        assert not pauses.due()
    assert ranks.n_asked == 1
    ranks.other = [True, True, 20.0]
    assert pauses.due()
    with pytest.raises(KeyboardInterrupt):
        pauses.end()
