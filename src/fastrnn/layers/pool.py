"""Many sessions that share a layer's weights, each with a state of its own: any of them take a step together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _engine
from fastrnn.layers import _arguments as arguments

Array = NDArray[Any]

SLOT_BITS = 24  # an id is where its session stands, and above these bits how often that place was taken before
FIRST_CAPACITY = 64


class StreamPool:
    """Sessions that come and go, stepped some at a time, made by `layer.stream_pool()`.

    A session is a stream of one row: a user, a voice, a sensor. Whichever sessions stand beside it in a step, its
    outputs are bit for bit those of a `Stream` of its own. A step of many sessions is one call of the engine, and costs
    about what a step of a stream of as many rows does. The parameters are packed once, and follow the layer's; storage
    grows with the sessions and is used again. A pool belongs to one thread at a time.

    Attributes
    ----------
    ids : array
        The ids of the open sessions. No id is given twice in the life of a pool.

    Examples
    --------
    >>> import fastrnn, numpy as np
    >>> lstm = fastrnn.LSTM(3, 5, seed=0)
    >>> pool, x = lstm.stream_pool(), np.ones((2, 3), "float32")
    >>> ann, bob = pool.open(), pool.open()
    >>> pool.step([ann, bob], x).shape, pool.step(ann, x[0]).shape
    ((2, 5), (5,))
    >>> saved = pool.get_state(ann)
    >>> pool.close(ann)
    >>> ann = pool.open(saved)  # goes on where it was
    >>> len(pool)
    2
    """

    def __init__(self, layer: Any) -> None:
        if layer.bidirectional:
            raise ValueError("a bidirectional layer has no streams: its reverse direction starts at the end")
        self._layer, self._dtype = layer, layer.dtype
        self._holders = np.empty(0, np.int64)  # the id in each slot, -1 in none
        self._taken = np.empty(0, np.int64)  # how often each slot was taken
        self._seen = np.empty(0, bool)
        self._slots = np.empty(FIRST_CAPACITY, np.int64)  # scratch: where the sessions of a call stand
        self._free: list[int] = []
        self._start()

    def __len__(self) -> int:
        return len(self._holders) - len(self._free)

    def __contains__(self, id: Any) -> bool:
        if not isinstance(id, (int, np.integer)) or id < 0:
            return False
        slot = int(id) & (1 << SLOT_BITS) - 1
        return slot < len(self._holders) and bool(self._holders[slot] == id)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._layer!r}, {len(self)} open)"

    @property
    def ids(self) -> Array:
        """The ids of the open sessions, int64."""
        return self._holders[self._holders >= 0]

    def open(self, state: Any = None) -> int:
        """Begin a session and return its id.

        Parameters
        ----------
        state : array or pair, optional
            h, or (h, c) of an LSTM, each (L, H), as `get_state` of one session returns it; zeros by default.
        """
        h, c = self._check_state(state, 1, single=True)
        if not self._free:
            self._enlarge()
        slot = self._free.pop()
        where = np.array([slot])
        if h is None:
            self._restart(where)
        else:
            self._write(where, h, c)
        self._holders[slot] = int(self._taken[slot]) << SLOT_BITS | slot
        self._taken[slot] += 1
        return int(self._holders[slot])

    def close(self, ids: Any) -> None:
        """End a session, or some; all of them or, after an error, none."""
        slots, _ = self._find(ids)
        self._holders[slots] = -1
        self._free.extend(slots.tolist())

    def step(self, ids: Any, x: Any, *, out: Array | None = None) -> Array:
        """Return the last layer's output for one step of some sessions, whose states move on.

        Parameters
        ----------
        ids : array of int
            (M,), no id twice; or one id.
        x : array
            (M, I) floating, or symbols (M,), integers; of one id (I,) or one symbol.
        out : array, optional
            (M, H), contiguous, of the layer's dtype: filled and returned, so that the call allocates nothing.

        Returns
        -------
        y : array
            (M, H); (H,) of one id.

        Raises
        ------
        TypeError, ValueError
            Naming the argument, what was expected and what came, an id that is not open or given twice among them; no
            session has moved on.
        """
        slots, single = self._find(ids)
        lead: tuple[int, ...] = () if single else (len(slots),)
        shape = (*lead, self._layer.input_size)
        if type(x) is not np.ndarray or x.shape != shape or x.dtype != self._dtype or not x.flags.c_contiguous:
            x, _ = arguments.check_step(x, (lead,), self._layer.input_size, self._dtype)
        elif single:
            x = x[None]
        shape = (*lead, self._layer._output_size)
        if out is None:
            y = np.empty(shape, self._dtype)
        else:
            arguments.check_out(out, shape, self._dtype, (x,))
            if not out.flags.c_contiguous:
                raise ValueError("out must be contiguous")
            y = out
        self._move(slots, x, y)
        return y

    def reset(self, ids: Any) -> None:
        """Give a session, or some, a zero state."""
        self._restart(self._find(ids)[0])

    def get_state(self, ids: Any) -> Any:
        """Return the state of some sessions: h, or (h, c) of an LSTM, each (L, M, H); (L, H) of one id."""
        slots, single = self._find(ids)
        return self._shown(*self._read(slots), not single)

    def set_state(self, ids: Any, state: Any) -> None:
        """Give some sessions a state, in the form of `get_state`; None is zeros."""
        slots, single = self._find(ids)
        h, c = self._check_state(state, len(slots), single)
        if h is None:
            self._restart(slots)
        else:
            self._write(slots, h, c)

    def _check_state(self, state: Any, M: int, single: bool) -> tuple[Array | None, Array | None]:
        shapes = self._layer._state_shapes(M)
        return arguments.check_state(state, self._layer._state_names, shapes, not single, self._dtype, "state")

    def _find(self, ids: Any) -> tuple[Array, bool]:
        """Return where some sessions stand, (M,), until the next call; and whether it is one id alone."""
        if type(ids) is np.ndarray and ids.dtype == np.int64 and ids.ndim == 1 and ids.flags.c_contiguous:
            given = flat = ids
        else:
            given = arguments.array_of(ids, "ids")
            if given.dtype.kind not in "iu" and given.size:
                raise TypeError(f"ids must be integers, got dtype {given.dtype}")
            if given.ndim > 1:
                raise ValueError(f"ids must be one id or have the shape (M,), got {given.shape}")
            flat = np.ascontiguousarray(given, np.int64).reshape(-1)
        if len(flat) > len(self._slots):
            self._slots = np.empty(2 * len(flat), np.int64)
        slots = self._slots[: len(flat)]
        found = self._find_slots(flat, slots)
        if found < len(flat):
            wrong = given.reshape(-1)[found]
            if (flat[:found] == flat[found]).any():
                raise ValueError(f"ids must be different sessions, got {wrong} twice")
            raise ValueError(f"ids must be of open sessions, got {wrong}")
        return slots, given.ndim == 0

    def _enlarge(self) -> None:
        """Double the slots."""
        before = len(self._holders)
        capacity = max(2 * before, FIRST_CAPACITY)
        if capacity > 1 << SLOT_BITS:
            raise ValueError(f"a pool holds at most {1 << SLOT_BITS} sessions")
        self._grow(capacity)
        added = capacity - before
        self._holders = np.concatenate([self._holders, np.full(added, -1)])
        self._taken = np.concatenate([self._taken, np.zeros(added, np.int64)])
        self._seen = np.zeros(capacity, bool)
        self._free = list(range(capacity - 1, before - 1, -1))

    def _start(self) -> None:
        """Make what holds the states; it has no slots yet."""
        self._engine = _engine.load(self._dtype).Pool(self._layer._weights(_engine.load(self._dtype))[0])
        for parameter in self._layer._parameters.values():
            parameter.watch(self._engine)

    def _grow(self, capacity: int) -> None:
        self._engine.grow(capacity)

    def _find_slots(self, ids: Array, slots: Array) -> int:
        """slots OUT [M] of ids [M]; return how many ids are right before the first that is not."""
        return int(_engine.load(self._dtype).find_slots(ids, self._holders, self._seen, slots))

    def _move(self, slots: Array, x: Array, y: Array) -> None:
        """y OUT [M, H] (or [H]) for x IN [M, I] or symbols [M]."""
        if self._engine.stale:
            self._engine.renew(self._layer._weights(_engine.load(self._dtype))[0])
        self._engine.step(slots, x, y)

    def _restart(self, slots: Array) -> None:
        self._engine.restart(slots)

    def _shown(self, h: Array, c: Array | None, batched: bool) -> Any:
        """Return a state as the caller sees it."""
        return self._layer._given_state(h, c, batched)

    def _read(self, slots: Array) -> tuple[Array, Array | None]:
        h, c = self._layer._new_states(_engine.load(self._dtype), len(slots))
        self._engine.read(slots, h, c)
        return h, c

    def _write(self, slots: Array, h: Array, c: Array | None) -> None:
        self._engine.write(slots, h, c)

    def __getstate__(self) -> tuple[Any, ...]:
        slots = np.flatnonzero(self._holders >= 0)
        return self._layer, self._holders.copy(), self._taken.copy(), list(self._free), slots, self._read(slots)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        layer, holders, taken, free, slots, states = state
        StreamPool.__init__(self, layer)
        self._grow(len(holders))
        self._holders, self._taken, self._free = holders, taken, free
        self._seen = np.zeros(len(holders), bool)
        self._write(slots, *states)
