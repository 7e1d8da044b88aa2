"""Stream pools: sessions that come and go, each with the bits of a stream of its own."""

import copy
import gc
import pickle
import threading

import numpy as np
import pytest
from helpers import CELLS, DTYPES, assert_close, assert_same_bits, is_lstm, make, normal, python

import fastrnn
from fastrnn import reference

every_cell = pytest.mark.parametrize("cell", CELLS)


@pytest.fixture
def restore_threads():
    before = fastrnn.get_num_threads()
    yield
    fastrnn.set_num_threads(before)


def parts(state) -> tuple:
    return state if isinstance(state, tuple) else (state,)


class Twins:
    """A pool beside a stream for each of its sessions; every step must give both the same bits."""

    def __init__(self, layer) -> None:
        self.layer, self.pool, self.streams = layer, layer.stream_pool(), {}
        self.rng = np.random.default_rng(0)

    def open(self, count: int = 1) -> None:
        for _ in range(count):
            self.streams[self.pool.open()] = self.layer.stream()

    def close(self, ids) -> None:
        self.pool.close(ids)
        for id in np.atleast_1d(ids):
            del self.streams[int(id)]

    def choose(self, count: int) -> np.ndarray:
        return self.rng.permutation(np.array(list(self.streams)))[:count]

    def step(self, count: int, symbols: bool = False) -> None:
        ids, I = self.choose(count), self.layer.input_size
        x = self.rng.integers(0, I, count) if symbols else self.rng.standard_normal((count, I)).astype(self.layer.dtype)
        y = self.pool.step(ids, x)
        expected = [self.streams[int(id)].step(x[m : m + 1]) for m, id in enumerate(ids)]
        assert_same_bits(y, np.concatenate(expected))

    def check_states(self) -> None:
        state = self.pool.get_state(list(self.streams))
        streams = zip(*(parts(stream.state) for stream in self.streams.values()), strict=True)
        assert_same_bits(parts(state), tuple(np.concatenate(part, axis=1) for part in streams))


@every_cell
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("I", "H", "L"), [(3, 5, 1), (33, 65, 2), (16, 17, 3)])
def test_equals_streams_of_their_own(I, H, L, dtype, cell):
    twins = Twins(make(cell, I, H, L, dtype=dtype, seed=0))
    twins.open(7)
    for count in (1, 7, 3, 6):
        twins.step(count)
    twins.close(twins.choose(4))
    twins.open(2)
    twins.step(5)
    twins.step(4, symbols=True)
    twins.check_states()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kind", "options"), [
    ("LSTM", {"proj_size": 5, "peephole": True}), ("LSTM", {"layer_norm": True}), ("GRU", {"layer_norm": True}),
], ids=["projected", "lstm-norm", "gru-norm"])  # fmt: skip
def test_sessions_of_other_cells(kind, options, dtype):
    twins = Twins(getattr(fastrnn, kind)(3, 17, 2, dtype=dtype, seed=0, init=0.3, **options))
    twins.open(7)
    for count in (7, 3, 5):
        twins.step(count)
    twins.check_states()


@every_cell
def test_blocks_shares_and_growth(cell, restore_threads):
    """More sessions than one block of rows holds, opened in three goes, on one thread and on several."""
    twins = Twins(make(cell, 9, 80, 2, seed=0))
    for threads, count in ((1, 150), (3, 170), (1, 330)):
        fastrnn.set_num_threads(threads)
        twins.open(150)
        twins.step(count)
        twins.step(2)
    twins.check_states()


@every_cell
def test_few_rows_of_a_wide_layer_share_their_units(cell, restore_threads):
    twins = Twins(make(cell, 300, 600, 2, seed=0, init=0.1))
    twins.open(5)
    fastrnn.set_num_threads(3)
    for count in (5, 1, 3):
        twins.step(count)
    twins.check_states()


@every_cell
def test_the_reference_agrees(cell):
    options = {"batch_first": False, "dtype": "float64", "seed": 0}
    pools = [make(cell, 3, 9, 2, module=module, **options).stream_pool() for module in (fastrnn, reference)]
    ids = [[pool.open() for _ in range(4)] for pool in pools]
    assert ids[0] == ids[1]
    first = ids[0][0]

    def both(call) -> None:
        got, expected = (call(pool) for pool in pools)
        assert_close(np.array(got), np.array(expected), 1e-12)

    both(lambda pool: pool.step(ids[0], normal("x", 4, 3)))
    both(lambda pool: pool.step([ids[0][2], first], np.array([1, 2])))
    both(lambda pool: pool.close(ids[0][1]) or pool.open(pool.get_state(first)))
    both(lambda pool: pool.set_state(first, None) or pool.step(first, 2))
    both(lambda pool: pool.reset([ids[0][3]]) or pool.step(pool.ids, normal("x", 4, 3)))
    both(lambda pool: pool.get_state(pool.ids))
    both(lambda pool: pickle.loads(pickle.dumps(pool)).step(first, normal("x", 3)))
    for pool in pools:
        for wrong in ([first, first], [first, ids[0][1]], [99]):
            with pytest.raises(ValueError, match="ids must be"):
                pool.step(wrong, normal("x", len(wrong), 3))
    both(lambda pool: pool.get_state(pool.ids))


def test_the_reference_grows():
    pool = reference.LSTM(3, 4, dtype="float64", seed=0).stream_pool()
    first, x = pool.open(), normal("x", 3)
    pool.step(first, x)
    before = pool.get_state(first)
    for _ in range(100):
        pool.open()
    assert_same_bits(pool.get_state(first), before)


def test_many_symbols():
    layer = fastrnn.GRU(50, 16, seed=0)
    pool, symbols = layer.stream_pool(), np.random.default_rng(0).integers(0, 50, (400, 2))
    ids = [pool.open() for _ in range(400)]
    for t in range(2):
        y = pool.step(ids, symbols[:, t])
    assert_same_bits(y, layer(symbols)[0][:, 1].copy())


@every_cell
def test_state_is_read_and_written_as_copies(cell):
    layer = make(cell, 3, 9, 2, seed=0)
    pool, x = layer.stream_pool(), normal("x", 2, 4, 3)
    ids = [pool.open(), pool.open()]
    for t in range(2):
        pool.step(ids, x[:, t])
    saved = pool.get_state(ids[::-1])
    _, expected = layer(x[::-1, :2])
    assert_same_bits(saved, expected)
    for part in parts(pool.get_state(ids)):
        part.fill(7)
    assert_same_bits(pool.get_state(ids[::-1]), expected)
    pool.close(ids)
    single = tuple(part[:, 0] for part in saved) if is_lstm(layer) else saved[:, 0]
    again = pool.open(single)
    assert_same_bits(pool.get_state(again), single)
    other = pool.open()
    pool.set_state([other, again], saved)
    for t in range(2, 4):
        y = pool.step([again, other], x[:, t])
    assert_same_bits(y, layer(x)[0][:, -1].copy())


def test_no_id_is_given_twice_and_slots_are_used_again():
    pool = fastrnn.GRU(3, 4, seed=0).stream_pool()
    given = set()
    for _ in range(300):
        id = pool.open()
        assert id not in given and id in pool and len(pool) == 1 and pool.ids.tolist() == [id]
        assert not pool.get_state(id).any()
        pool.step(id, normal("x", 3))
        given.add(id)
        pool.close(id)
        assert id not in pool and len(pool) == 0
    assert -1 not in pool and 2**40 not in pool and "a" not in pool
    assert len(pool._holders) == 64


@every_cell
def test_a_new_session_in_an_old_place_starts_from_zeros(cell):
    layer = make(cell, 3, 4, seed=0)
    pool, x = layer.stream_pool(), normal("x", 3)
    before = pool.open()
    first = pool.step(before, x)
    pool.step(before, x)
    pool.close(before)
    assert_same_bits(pool.step(pool.open(), x), first)


@every_cell
def test_follows_the_parameters(cell):
    layer, other = make(cell, 3, 40, 2, seed=0), make(cell, 3, 40, 2, seed=1)
    pool, x = layer.stream_pool(), normal("x", 5, 6, 3)
    ids = np.array([pool.open() for _ in range(5)])
    for t in range(3):
        pool.step(ids, x[:, t])
    pool.step(pool.open(), x[0, 0])  # fewer rows than before and after the change
    _, state = layer(x[:, :3])
    layer.load_state_dict(other.state_dict())
    for t in range(3, 6):
        y = pool.step(ids, x[:, t])
    assert_same_bits(y, layer(x[:, 3:], state)[0][:, -1].copy())


def test_one_session_or_several():
    layer = fastrnn.LSTM(3, 9, seed=0)
    pool, x = layer.stream_pool(), normal("x", 3)
    ids = [pool.open() for _ in range(3)]
    y = layer(x[None])[0][0].copy()
    assert_same_bits(pool.step(ids[0], x), y)
    assert_same_bits(pool.step(np.int32(ids[1]), x.tolist()), y)
    assert_same_bits(pool.step([ids[2]], x[None]), y[None])
    pool.reset(ids)
    assert_same_bits(pool.step(ids[0], 2), layer([2])[0][0].copy())
    assert pool.step([], np.empty((0, 3), "float32")).shape == (0, 9)
    assert pool.get_state(ids[0])[0].shape == (1, 9)
    assert pool.get_state(ids[:1])[0].shape == (1, 1, 9)


def test_out():
    layer = fastrnn.GRU(3, 9, seed=0)
    pool, x, out = layer.stream_pool(), normal("x", 2, 3), np.full((2, 9), 7, "float32")
    assert pool.step([pool.open(), pool.open()], x, out=out) is out
    assert_same_bits(out, layer(x[:, None])[0][:, 0].copy())


def test_any_array_is_taken():
    layer = fastrnn.LSTM(3, 9, seed=0)
    x = normal("x", 2, 3)
    y = layer.stream(2).step(x)
    for other in (x.tolist(), np.asfortranarray(x), x.astype("float64"), np.repeat(x, 2, axis=1)[:, ::2]):
        pool = layer.stream_pool()
        assert_same_bits(pool.step((pool.open(), pool.open()), other), y)


def test_copies_go_their_own_ways():
    layer = fastrnn.LSTM(3, 9, seed=0)
    pool, x = layer.stream_pool(), normal("x", 4, 3)
    ids = [pool.open() for _ in range(4)]
    pool.step(ids, x)
    pool.close(ids.pop(1))
    copies = copy.deepcopy(pool), copy.copy(pool), pickle.loads(pickle.dumps(pool))
    expected = pool.step(ids, x[:3])
    new = pool.open()
    for other in copies:
        assert other.ids.tolist() == ids
        assert_same_bits(other.step(ids, x[:3]), expected)
        assert other.open() == new


def test_an_abandoned_pool_is_forgotten():
    layer = fastrnn.LSTM(3, 9, seed=0)
    pool = layer.stream_pool()
    parameter = layer._parameters["weight_hh_l0"]
    assert len(parameter._watchers) == 1
    del pool
    gc.collect()
    assert not parameter._watchers


def test_bad_calls_move_nothing():
    layer = fastrnn.LSTM(9, 9, seed=0)
    pool, x = layer.stream_pool(), normal("x", 2, 9)
    a, b, closed = (pool.open() for _ in range(3))
    pool.close(closed)
    pool.step([a, b], x)
    before = pool.get_state([a, b])
    calls = [
        (ValueError, f"ids must be of open sessions, got {closed}", lambda: pool.step([a, closed], x)),
        (ValueError, "ids must be of open sessions, got 77", lambda: pool.step([a, 77], x)),
        (ValueError, "ids must be of open sessions, got -1", lambda: pool.step([a, -1], x)),
        (ValueError, "ids must be of open sessions", lambda: pool.step(np.array([a, 2**64 - 1], "uint64"), x)),
        (ValueError, f"ids must be different sessions, got {b} twice", lambda: pool.step([b, b], x)),
        (ValueError, "twice", lambda: pool.close([a, a])),
        (ValueError, "open sessions", lambda: pool.close([a, closed])),
        (ValueError, "open sessions", lambda: pool.reset([a, closed])),
        (ValueError, "open sessions", lambda: pool.get_state(closed)),
        (ValueError, "open sessions", lambda: pool.set_state([a, closed], before)),
        (TypeError, "ids must be integers", lambda: pool.step([True, False], x)),
        (TypeError, "ids must be integers", lambda: pool.step([0.0, 1.0], x)),
        (ValueError, "ids must be one id or have the shape", lambda: pool.step([[a, b]], x)),
        (ValueError, r"x must have the shape \(2, 9\), got \(9,\)", lambda: pool.step([a, b], x[0])),
        (ValueError, r"x must have the shape \(9,\), got \(1, 9\)", lambda: pool.step(a, x[:1])),
        (ValueError, r"x must have the shape \(2,\)", lambda: pool.step([a, b], [1, 2, 0])),
        (ValueError, "ids from 0 to 8", lambda: pool.step([a, b], [1, 9])),
        (TypeError, "x must be floating numbers or integer ids", lambda: pool.step([a, b], x > 0)),
        (ValueError, "out must have the shape", lambda: pool.step([a, b], x, out=np.empty((2, 8), "float32"))),
        (ValueError, "out must not share memory", lambda: pool.step([a, b], x, out=x)),
        (ValueError, "out must be contiguous", lambda: pool.step([a, b], x, out=np.empty((2, 18), "float32")[:, ::2])),
        (ValueError, "state h must have the shape", lambda: pool.set_state(a, before)),
        (ValueError, "pair", lambda: pool.open(before[0][:, 0])),
        (ValueError, "bidirectional", lambda: fastrnn.LSTM(3, 9, bidirectional=True).stream_pool()),
        (ValueError, "bidirectional", lambda: reference.LSTM(3, 9, bidirectional=True).stream_pool()),
    ]
    for error, message, call in calls:
        with pytest.raises(error, match=message):
            call()
        assert pool.ids.tolist() == [a, b]
        assert pool._find_slots(pool.ids, np.empty(2, np.int64)) == 2  # no mark of this call is left
        assert_same_bits(pool.get_state([a, b]), before)


def test_pools_in_several_threads():
    layer = fastrnn.GRU(8, 40, 2, seed=0)
    x = normal("x", 300, 5, 8)
    expected, got = layer(x)[0], {}

    def serve(k: int) -> None:
        pool = layer.stream_pool()
        ids = np.array([pool.open() for _ in range(300)])
        got[k] = np.stack([pool.step(ids, x[:, t]) for t in range(5)], axis=1)

    threads = [threading.Thread(target=serve, args=[k]) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(4):
        assert_same_bits(got[k], expected)


def test_steps_of_a_large_vocabulary_take_little_memory():
    code = """
import fastrnn, tracemalloc
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
pool = fastrnn.GRU(200_000, 4, seed=0, init=0.1).stream_pool()
ids, before = [pool.open(), pool.open()], peak()
pool.step(ids, [5, 199_999])
print(peak() - before)
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 20_000
