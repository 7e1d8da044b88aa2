"""Where sharing short steps pays is found out as calls go on."""

import sys
import threading
import time

import numpy as np
import pytest
from helpers import assert_same_bits, make, normal, run

import fastrnn
from fastrnn._engine import _team

posix = pytest.mark.skipif(sys.platform == "win32", reason="without POSIX threads there is no team")


@pytest.fixture(autouse=True)
def two_threads():
    before = fastrnn.get_num_threads()
    fastrnn.set_num_threads(2)
    yield
    fastrnn.set_num_threads(before)


def choices(pace, seconds, calls: int) -> list[bool]:
    """What a pace chooses, where a step alone takes seconds[0] and a shared one seconds[1]."""
    chosen = []
    for _ in range(calls):
        chosen.append(pace.shares())
        pace.record(chosen[-1], seconds[chosen[-1]])
    return chosen


FIRST = 2 * _team.TRIAL  # calls, until both ways are known


def test_a_trial_of_each_way_at_first():
    assert choices(_team.Pace(), (1e-6, 2e-6), FIRST) == [True] * _team.TRIAL + [False] * _team.TRIAL


@pytest.mark.parametrize("seconds", [(1.6e-6, 1e-6), (1e-6, 1.3e-6), (1e-6, 5e-6)])
def test_the_faster_goes_on(seconds):
    """And the slower is tried again for about a hundredth of the time."""
    pace = _team.Pace()
    choices(pace, seconds, FIRST)
    chosen = choices(pace, seconds, 10000)
    spent, least = sum(seconds[way] for way in chosen), 10000 * min(seconds)
    assert 0.008 < spent / least - 1 < 0.012


@pytest.mark.parametrize("shared", [True, False])
def test_one_slow_call_proves_nothing(shared):
    pace = _team.Pace()
    seconds = (2e-6, 1e-6) if shared else (1e-6, 2e-6)
    choices(pace, seconds, FIRST + 10)
    pace.record(shared, 1e-3)
    assert choices(pace, seconds, 10) == [shared] * 10


def test_follows_a_change():
    """Shared steps become slower, which two calls show, and faster again, which the next trial does."""
    pace = _team.Pace()
    choices(pace, (2e-6, 1e-6), 50)
    chosen = choices(pace, (2e-6, 2.6e-6), 100)
    assert chosen[:3] == [True, True, False]
    assert chosen[3:].count(True) <= _team.TRIAL
    chosen = choices(pace, (2e-6, 1e-6), 150)
    assert chosen.index(True) <= 100
    assert all(chosen[chosen.index(True) :])


def test_a_worker_has_time_to_wake():
    """Where calls alone let it sleep, the first shared ones after them are no faster than these."""
    pace, chosen, in_a_row = _team.Pace(), [], 0
    for _ in range(500):
        chosen.append(pace.shares())
        in_a_row = in_a_row + 1 if chosen[-1] else 0
        pace.record(chosen[-1], {0: 1.0, 1: 1.04, 2: 1.02}.get(in_a_row, 0.65))
    assert chosen[FIRST:].count(True) > 400


def test_equal_ways_take_turns():
    pace = _team.Pace()
    choices(pace, (1e-6, 1e-6), FIRST)
    assert choices(pace, (1e-6, 1e-6), 12).count(True) == 6


def test_shapes_are_remembered_up_to_a_bound():
    assert _team.pace_of((1, 2)) is _team.pace_of((1, 2))
    for k in range(2 * _team.SHAPES):
        _team.pace_of((k,))
        assert len(_team.paces) <= _team.SHAPES


class Script:
    """A pace that shares every other call, and writes down what it is told."""

    def __init__(self):
        self.told = []

    def shares(self):
        self.shared = len(self.told) % 2 == 0
        return self.shared

    def record(self, shared, seconds):
        assert seconds > 0
        self.told.append((self.shared, shared))


@pytest.fixture
def scripts(monkeypatch):
    paces = {}
    monkeypatch.setattr(_team, "pace_of", lambda shape: paces.setdefault(shape, Script()))
    return paces


@posix
@pytest.mark.parametrize(
    ("cell", "N", "T", "H"),
    [
        ("lstm", 1, 20, 150),
        ("gru", 3, 20, 200),
        ("gru-before", 1, 20, 200),
        ("rnn-tanh", 3, 20, 320),
        ("lstm", 1, 40, 64),
    ],
)
def test_either_way_gives_the_same_bits(cell, N, T, H, scripts):
    """Inference, forward and backward passes; where steps are short the backward pass alone, for its products."""
    layer = make(cell, 31, H, seed=0)
    x, dy = normal("x", N, T, 31), normal("dy", N, T, H)
    expected = run(layer, x, dy=dy), layer(x)
    for _ in range(3):
        assert_same_bits((run(layer, x, dy=dy), layer(x)), expected)
    assert len(scripts) == (1 if H == 64 else 3)
    assert all(asked == told for script in scripts.values() for asked, told in script.told)
    assert all(len(script.told) == 4 for script in scripts.values())


@posix
def test_what_tells_times_apart(scripts):
    """Inference, both passes of training, ids, lengths of another order, other numbers of threads have their own."""
    layer = make("lstm", 150, 150, seed=0)
    for T in (20, 30, 200):
        for x in (normal("x", 1, T, 150), np.arange(T)[None] % 150):
            for threads in (2, 3, 2):
                fastrnn.set_num_threads(threads)
                run(layer, x, dy=normal("dy", 1, T, 150))
                layer(x)
    assert len(scripts) == 2 * 2 * 3 * 2


@posix
def test_calls_that_another_keeps_from_the_team_prove_nothing(scripts):
    """What was to be shared ran on one thread then: only what was to be alone was so."""
    layer, x = make("lstm", 31, 150, seed=0), normal("x", 1, 20, 31)
    layer(x)
    (script,) = scripts.values()
    for _ in range(20):
        busy = threading.Thread(target=_team.exercise, args=(2, 3000, 2), kwargs={"work": 50000})
        busy.start()
        time.sleep(0.05)
        script.told, held = script.told[:1], team_is_held()
        layer(x)
        layer(x)
        held = held and team_is_held()
        busy.join()
        if held:
            break
    assert held
    assert script.told[1:] == [(False, False)]


def team_is_held() -> bool:
    return _team.exercise(2, 1, 2)["size"] == 1


@posix
@pytest.mark.parametrize(
    ("N", "T", "H", "lengths"),
    [(2, 20, 150, [2, 20]), (33, 20, 32, None), (1, 20, 300, None), (1, 30000, 150, None)],
    ids=["rows", "batch", "step", "call"],
)
def test_varied_rows_large_batches_long_steps_and_calls_are_not_tried(N, T, H, lengths, scripts):
    layer = make("lstm", 8, H, seed=0)
    x = normal("x", N, T, 8)
    layer(x, lengths=lengths)
    assert not scripts
