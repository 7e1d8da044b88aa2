"""One step at a time: a layer that carries its state from call to call."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _engine
from fastrnn.layers import _arguments as arguments
from fastrnn.layers._module import check_size

Array = NDArray[Any]


class Stream:
    """A stack of layers stepped by its user, made by `layer.stream(batch_size)`; rows start from a zero state.

    A step gives the same bits as a call over the whole sequence. The parameters are packed once, and follow the
    layer's. A stream belongs to one thread at a time.

    Attributes
    ----------
    state : array or pair
        h, or (h, c) of an LSTM, each (L, N, H): reads as copies, and takes what the layer takes as `state`.

    Examples
    --------
    >>> import fastrnn, numpy as np
    >>> lstm = fastrnn.LSTM(3, 5, seed=0)
    >>> stream, x = lstm.stream(), np.ones((1, 4, 3), "float32")
    >>> steps = [stream.step(x[:, t]) for t in range(4)]
    >>> bool((np.stack(steps, axis=1) == lstm(x)[0]).all())
    True
    """

    def __init__(self, layer: Any, batch_size: int = 1) -> None:
        if layer.bidirectional:
            raise ValueError("a bidirectional layer has no stream: its reverse direction starts at the end")
        self._batch_size = check_size(batch_size, "batch_size")
        self._layer, self._dtype = layer, layer.dtype
        self._x_shape, self._y_shape = (self.batch_size, layer.input_size), (self.batch_size, layer._output_size)
        self._states = layer._state_shapes(self.batch_size)
        self._open()

    @property
    def batch_size(self) -> int:
        """The number of rows, N."""
        return self._batch_size

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._layer!r}, batch_size={self.batch_size})"

    def _open(self) -> None:
        engine = _engine.load(self._dtype)
        self._engine = engine.Stream(self._layer._weights(engine)[0], self.batch_size)
        for parameter in self._layer._parameters.values():
            parameter.watch(self._engine)

    def step(self, x: Any, *, out: Array | None = None, resets: Any = None) -> Array:
        """Return the last layer's output for one step's input.

        Parameters
        ----------
        x : array
            (N, I) floating, or ids (N,); of a single row also (I,) or one id.
        out : array, optional
            (N, H), contiguous, of the layer's dtype: filled and returned, so that the call allocates nothing.
        resets : array of bool, optional
            (N,): rows that start anew, from a zero state, before this step.

        Returns
        -------
        y : array
            (N, H); (H,) where x was (I,) or one id.

        Raises
        ------
        TypeError, ValueError
            Naming the argument, what was expected and what came; no row has moved on.
        """
        if type(x) is not np.ndarray or x.shape != self._x_shape or x.dtype != self._dtype or not x.flags.c_contiguous:
            x, y_shape = self._check_input(x)
        else:
            y_shape = self._y_shape
        if out is None:
            y = np.empty(y_shape, self._dtype)
        else:
            y = self._check_out(out, y_shape)
        if resets is not None:
            self._restart(self._check_rows(resets, "resets"))
        self._move(x, y)
        return y

    def _move(self, x: Array, y: Array) -> None:
        """y OUT [N, H] (or [H]) for x IN [N, I] or ids [N]."""
        if self._engine.stale:
            self._engine.renew(self._layer._weights(_engine.load(self._dtype))[0])
        self._engine.step(x, y)

    def reset(self, rows: Any = None) -> None:
        """Give all rows a zero state, or those that are true in `rows` (N,)."""
        chosen = np.ones(self.batch_size, bool) if rows is None else self._check_rows(rows, "rows")
        self._restart(chosen)

    def _check_rows(self, rows: Any, name: str) -> Array:
        """Return booleans (N,), contiguous."""
        chosen = arguments.array_of(rows, name)
        if chosen.dtype != np.bool_:
            raise TypeError(f"{name} must be booleans, got dtype {chosen.dtype}")
        if chosen.shape != (self.batch_size,):
            raise ValueError(f"{name} must have the shape {(self.batch_size,)}, got {chosen.shape}")
        return np.ascontiguousarray(chosen)

    def _restart(self, rows: Array) -> None:
        self._engine.restart(rows)

    @property
    def state(self) -> Any:
        h, c = self._layer._new_states(_engine.load(self._dtype), self.batch_size)
        self._engine.read(h, c)
        return self._layer._given_state(h, c, True)

    @state.setter
    def state(self, state: Any) -> None:
        if state is None:
            self.reset()
            return
        self._engine.write(
            *arguments.check_state(state, self._layer._state_names, self._states, True, self._dtype, "state")
        )

    def _check_input(self, x: Any) -> tuple[Array, tuple[int, ...]]:
        """Return x as contiguous numbers (N, I) or ids (N,), and the shape of the output."""
        leads: tuple[tuple[int, ...], ...] = ((self.batch_size,), ()) if self.batch_size == 1 else ((self.batch_size,),)
        rows, lead = arguments.check_step(x, leads, self._layer.input_size, self._dtype)
        return rows, (*lead, self._layer._output_size)

    def _check_out(self, out: Array, shape: tuple[int, ...]) -> Array:
        """Refuse what cannot hold the output; x itself may, for it is read before anything is written."""
        if type(out) is not np.ndarray or out.dtype != self._dtype or out.shape != shape or not out.flags.writeable:
            arguments.check_out(out, shape, self._dtype, ())
        if not out.flags.c_contiguous:
            raise ValueError("out must be contiguous")
        return out

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (type(self), self._layer, self.batch_size, self.state)


def _remade(cls: type[Stream], layer: Any, batch_size: int, state: Any) -> Stream:
    stream = cls(layer, batch_size)
    stream.state = state
    return stream
