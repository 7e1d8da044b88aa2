"""The recurrent layers: check the arguments, allocate, and call the engine once for the whole stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastrnn import _engine
from fastrnn.layers import _arguments as arguments
from fastrnn.layers._cells import GRUBase, LSTMBase, RNNBase
from fastrnn.layers._parameter import Parameter
from fastrnn.layers._recurrent import WEIGHTS, RecurrentBase
from fastrnn.layers._segments import Sizes, check_checkpoint, segments_for
from fastrnn.layers._traits import ACTIVATIONS, with_parameters
from fastrnn.layers.pool import StreamPool
from fastrnn.layers.sparse import SparseRows, touched
from fastrnn.layers.stream import Stream
from fastrnn.layers.tape import Tape

if TYPE_CHECKING:
    from fastrnn.layers.quantized import Quantized

Array = NDArray[Any]
State = Any  # an array, or the pair (h, c) of an LSTM

NUMBERS = tuple(ACTIVATIONS)  # of the engine


class Recurrent(RecurrentBase):
    """A stack of recurrent layers in one or both directions; the base of `RNN`, `LSTM`, `GRU` and the minimal cells."""

    _transient = ("_packed",)
    _packed: tuple[list[Any], tuple[int, ...], int] | None = None  # weights, their versions, changes when last compared
    _state_names: tuple[str, ...] = ("h",)
    _gate_names: ClassVar[tuple[str, ...]]
    _number: int  # the engine's number of the cell

    def _parameter(self, name: str, value: Array) -> Parameter:
        return Parameter(name, value, transposed=value.ndim == 2)

    def __call__(
        self,
        x: Any,
        state: State = None,
        lengths: Any = None,
        *,
        mask: Any = None,
        resets: Any = None,
        pad: str = "zero",
        out: Array | None = None,
    ) -> tuple[Array, State]:
        """Run the layers over whole sequences for inference: nothing is kept, and dropout is off.

        Parameters
        ----------
        x : array
            (N, T, I) floating, or (T, N, I) where not `batch_first`, or (T, I) unbatched; or integer ids (N, T), (T, N)
            or (T,), which mean one-hot rows of size I.
        state : array or pair, optional
            h, or (h, c) of an LSTM, each (L·D, N, H), (L·D, H) unbatched; zeros by default. h has P = `proj_size`
            columns instead of H where that is set, here and everywhere.
        lengths : array of int, optional
            (N,) real steps of each row, from 0 to T; the rest is padding: output 0, the state frozen.
        mask : array of bool, optional
            (N, T) laid out as ids are: which steps are real, holes and left padding allowed; instead of `lengths`.
        resets : array of bool, optional
            (N, T): a new sequence starts at this step with zero state.
        pad : {"zero", "hold"}
            The output at padded steps: 0, or the row's last output (0 before its first).
        out : array, optional
            Filled with the output and returned as `y`.

        Returns
        -------
        y : array
            (N, T, D·H), or as x lies: the last layer's h, both directions side by side.
        state : array or pair
            Each layer's and direction's state after its last real step, as `state`.

        Raises
        ------
        TypeError, ValueError
            Naming the argument, what was expected and what came.
        """
        if lengths is None and mask is None and resets is None and pad == "zero":
            engine = _engine.load(self.dtype)
            weights, D = self._weights(engine)[0], self._directions
            plain = engine.plain_call(weights, D, x, state, out, self.input_size, self.batch_first, False)
            if plain is not None:
                return plain
        y, final, _ = self._run(x, state, lengths, mask, resets, pad, out, keep=False)
        return y, final

    def forward(
        self,
        x: Any,
        state: State = None,
        lengths: Any = None,
        *,
        mask: Any = None,
        resets: Any = None,
        pad: str = "zero",
        out: Array | None = None,
        checkpoint: str | int | None = None,
        tape_dtype: str | None = None,
    ) -> tuple[Array, State, Tape]:
        """Run the layers for training: as a call, with dropout, and with a tape for `backward`.

        The tape keeps a reference to x: do not change it before `backward`.

        Parameters
        ----------
        x, state, lengths, mask, resets, pad, out
            As of a call.
        checkpoint : {None, "sqrt"} or int
            What the tape keeps: every gate and state, or only the states before each segment of time, so that
            `backward` runs each segment forward again; "sqrt" takes the segments that need least memory, a number of
            bytes keeps as much besides as fits. No result depends on it, bit for bit.
        tape_dtype : {None, "bfloat16"}
            What the tape keeps gates and states in: the layer's `dtype`, or bfloat16, 2 bytes a number; then y and the
            final state are the same, gradients as far off as that rounding puts them (docs/memory.md).

        Returns
        -------
        y, state
            As of a call.
        tape : Tape
            For `backward`.

        Raises
        ------
        TypeError, ValueError
            Naming the argument, what was expected and what came; for a budget that is too small, the least.

        Examples
        --------
        >>> import fastrnn, numpy as np
        >>> lstm = fastrnn.LSTM(1, 4, seed=0)
        >>> x = np.ones((1, 10_000, 1), "float32")
        >>> plain, small = (lstm.forward(x, checkpoint=how)[2] for how in (None, "sqrt"))
        >>> plain.nbytes, small.nbytes
        (960000, 972)
        """
        plain = None
        if lengths is mask is resets is checkpoint is tape_dtype is None and pad == "zero" and not self._drops:
            plain = self._forward_plain(x, state, out)
        y, final, tape = plain or self._run(x, state, lengths, mask, resets, pad, out, True, checkpoint, tape_dtype)
        assert tape is not None
        self.forward_count += 1
        return y, final, tape

    def _forward_plain(self, x: Any, state: State, out: Array | None) -> tuple[Array, State, Tape] | None:
        """Run for training where the arguments are as the engine wants them, or return None."""
        engine = _engine.load(self.dtype)
        (weights, versions), D, I = self._weights(engine), self._directions, self.input_size
        plain = engine.plain_call(weights, D, x, state, out, I, self.batch_first, True)
        if plain is None:
            return None
        y, final, kept = plain
        N, T, _ = shape = y.shape
        if not self.batch_first:
            N, T = T, N
        return y, final, Tape(self, versions, shape, True, False, None, None, T, N, kept)

    def _run(
        self,
        x: Any,
        state: State,
        lengths: Any,
        mask: Any,
        resets: Any,
        pad: str,
        out: Array | None,
        keep: bool,
        checkpoint: str | int | None = None,
        tape_dtype: str | None = None,
    ) -> tuple[Array, State, Tape | None]:
        """Check every argument, and run for inference or, if `keep`, for training."""
        engine = _engine.load(self.dtype)
        check_checkpoint(checkpoint, tape_dtype)
        hold = arguments.check_pad(pad)
        rows, batched = arguments.check_input(x, self.input_size, self.batch_first, self.dtype)
        (T, N), D, P = rows.shape[:2], self._directions, self._output_size
        active = restarts = h0 = c0 = None
        if lengths is not None or mask is not None:
            active = arguments.check_active(lengths, mask, T, N, batched, self.batch_first)
        if rows.ndim == 2:
            arguments.check_ids(rows, active, self.input_size)
        if resets is not None:
            restarts = arguments.check_resets(resets, T, N, batched, self.batch_first)
        if state is not None:
            shapes = self._state_shapes(N)
            h0, c0 = arguments.check_state(state, self._state_names, shapes, batched, self.dtype, "state")
        shape = ((N, T, D * P) if self.batch_first else (T, N, D * P)) if batched else (T, D * P)
        if out is not None:
            inputs = (rows, *(state if isinstance(state, (tuple, list)) else [state]))
            arguments.check_out(out, shape, self.dtype, inputs)
        weights, versions = self._weights(engine)
        dropout = self._draw(self.dropout) if keep else None
        weight_dropout = self._draw(self.weight_dropout) if keep else None
        drawn = self._draw_within() if keep else None
        if weight_dropout is not None:
            weights = self._pack(engine, weight_dropout)
        segments = self._segments(engine, weights, T, N, checkpoint, tape_dtype, dropout is not None) if keep else None
        y = out if out is not None and arguments.lies_by_rows(out) else engine.pooled(shape)
        h, c = self._new_states(engine, N)
        rows_of_y = arguments.time_major(y, batched, self.batch_first)
        given = (weights, D, rows, active, restarts, h0, c0, rows_of_y, h, c)
        if segments is None:
            kept = engine.stack_forward(*given, keep, hold, dropout, drawn)
        else:
            kept = engine.segments_forward(*given, hold, dropout, drawn, *segments)
        tape = Tape(self, versions, shape, batched, hold, active, dropout, T, N, kept) if keep else None
        if tape is not None:
            tape.drawn = drawn
            if weight_dropout is not None:
                tape.weight_dropout, tape.weights = weight_dropout, weights
        if out is not None and y is not out:
            out[...] = y
            y = out
        return y, self._given_state(h, c, batched), tape

    def _segments(
        self, engine: Any, weights: list[Any], T: int, N: int, checkpoint: Any, tape_dtype: Any, dropout: bool
    ) -> tuple[int, int, bool] | None:
        """Return the steps of a segment, how many are kept, and whether in bfloat16; None for a plain tape."""
        if checkpoint is None and tape_dtype is None:
            return None
        sizes = Sizes(*engine.segment_sizes(weights, self._directions, T, N, dropout))
        if tape_dtype is not None:
            return sizes.block, 0, True
        chosen = segments_for(checkpoint, T, 1 if self._directions == 1 else len(weights), sizes)
        return None if chosen is None else (*chosen, False)

    def backward(
        self, tape: Tape, dy: Any = None, dstate: State = None, *, retain: bool = False
    ) -> tuple[Array | None, State, dict[str, Array]]:
        """Return the gradients of a `forward` call by back-propagation through time.

        Parameters
        ----------
        tape : Tape
            Of this layer's `forward`, its parameters unchanged since.
        dy : array, optional
            The gradient of y, in y's shape; zeros by default. At padded steps it counts only for ``pad="hold"``.
        dstate : array or pair, optional
            The gradient of the final state; of an LSTM's pair either may be None.
        retain : bool
            Keep the tape for another backward.

        Returns
        -------
        dx : array or None
            The gradient of x in x's shape, zeros at padded steps; None where x was ids.
        dstate : array or pair
            The gradient of the initial state.
        grads : dict
            {parameter name: gradient}, names and shapes as `parameters`; with `sparse_grad`, where x was ids, those of
            the first layer's input weights as `SparseRows`.
        """
        return self._backward(tape, dy, dstate, retain, with_dx=True)

    def _backward(
        self, tape: Tape, dy: Any, dstate: State, retain: bool, with_dx: bool
    ) -> tuple[Array | None, State, dict[str, Array]]:
        if not isinstance(tape, Tape):
            raise TypeError(f"tape must come from this layer's forward, got {type(tape).__name__}")
        engine = _engine.load(self.dtype)
        weights, versions = self._weights(engine)
        tape.check(self, versions)
        T, N, D = tape.T, tape.N, self._directions
        above = arguments.check_gradient(dy, tape.y_shape, self.dtype)
        if above is not None:
            above = arguments.time_major(above, tape.batched, self.batch_first)
        dh = dc = None
        if dstate is not None:
            shapes = self._state_shapes(N)
            dh, dc = arguments.check_state(dstate, self._state_names, shapes, tape.batched, self.dtype, "dstate")
        ids = tape.input.ndim == 2
        dx = None if ids or not with_dx else self._room_for_input(engine, tape)
        dh0, dc0 = self._new_states(engine, N)
        read, places = touched(tape.input, tape.active) if ids and self.sparse_grad else (None, None)
        arrays = self._rooms_for_gradients(engine, ids, read)
        rooms = [self._named(arrays, k) for k in range(len(self._groups))]
        watched = [np.zeros((T, N, self._output_size), self.dtype) for _ in rooms] if tape.watching else None
        given = (tape.weights or weights, D, tape.kept, above, dh, dc, dx, rooms, dh0, dc0, watched, tape.hold)
        if isinstance(tape.kept, list):
            engine.stack_backward(*given, tape.dropout, tape.drawn, places)
        else:
            engine.segments_backward(*given, places)
        tape.watched = watched or []
        if tape.weight_dropout is not None:
            for k, room in enumerate(rooms):
                room[1][...] = tape.masked_weight(room[1], k)
        if not retain:
            tape.spend()
        return (
            None if dx is None else arguments.as_given(dx, tape.batched, self.batch_first),
            self._given_state(dh0, dc0, tape.batched),
            self._given_gradients(arrays, read),
        )

    def stream(self, batch_size: int = 1) -> Stream:
        """Return a `Stream`, which steps `batch_size` rows one input at a time and carries their states.

        Raises
        ------
        ValueError
            The layer is bidirectional.
        """
        return Stream(self, batch_size)

    def stream_pool(self) -> StreamPool:
        """Return a `StreamPool`: sessions that come and go, any of which take a step together.

        Raises
        ------
        ValueError
            The layer is bidirectional.
        """
        return StreamPool(self)

    def quantize(self, precision: str) -> Quantized:
        """Return a copy for inference alone, its weights converted to a lower precision.

        Parameters
        ----------
        precision : {"bfloat16", "int8"}
            Of the weights; a quantized layer takes a half or a quarter of the memory.

        Raises
        ------
        ValueError
            The precision is another, a weight is nan or inf, or the layer has none that is recurrent.
        """
        from fastrnn.layers.quantized import Quantized

        return Quantized(self, precision)

    def _new_states(self, engine: Any, N: int) -> tuple[Array, Array | None]:
        """Return h and, of an LSTM, c of N rows, not filled."""
        count, H = self.num_layers * self._directions, self.hidden_size
        h: Array = engine.pooled((count, N, self._output_size))
        return h, engine.pooled((count, N, H)) if self._name == "lstm" else None

    def _given_state(self, h: Array, c: Array | None, batched: bool) -> State:
        """Return a state in the caller's form."""
        if not batched:
            h, c = h[:, 0], None if c is None else c[:, 0]
        return h if c is None else (h, c)

    def _room_for_input(self, engine: Any, tape: Tape) -> Array:
        """Return an array [T, N, I] for the gradient of the input."""
        T, N, I = tape.T, tape.N, self.input_size
        room: Array = engine.pooled((N, T, I) if self.batch_first else (T, N, I))
        return arguments.time_major(room, True, self.batch_first)

    @property
    def _input_weights(self) -> tuple[str, ...]:
        """The names of the parameters that ids read from."""
        return ("weight_ih_l0", "weight_ih_l0_reverse")[: self._directions]

    def _rooms_for_gradients(self, engine: Any, ids: bool, read: Array | None) -> dict[str, Array]:
        """Return arrays for the gradients of the parameters, as these lie in memory; zeros where ids scatter into them.

        `read`: the ids for which alone there is to be room, or None.
        """
        pooled, parameters = engine.pooled, self._parameters
        scattered = self._input_weights if ids else ()
        rooms = {name: pooled(parameters[name].stored.shape) for name in parameters if name not in scattered}
        for name in scattered:
            rows, width = parameters[name].stored.shape
            rooms[name] = pooled((rows if read is None else len(read), width))
            rooms[name].fill(0)
        return rooms

    def _given_gradients(self, arrays: dict[str, Array], read: Array | None) -> dict[str, Any]:
        """Return the gradients in the caller's form and order, of the rows `read` alone where these are given."""
        given: dict[str, Any] = {
            name: arrays[name].T if parameter.transposed else arrays[name]
            for name, parameter in self._parameters.items()
        }
        for name in () if read is None else self._input_weights:
            given[name] = SparseRows(read, arrays[name], self._parameters[name].value.shape, transposed=True)
        return given

    def _weights(self, engine: Any) -> tuple[list[Any], tuple[int, ...]]:
        """Return the packed parameters of every layer and direction, and the versions that these are of."""
        if self._packed is None or self._packed[2] != Parameter.changes:
            changes, versions = Parameter.changes, self._versions()
            if self._packed is None or self._packed[1] != versions:
                self._packed = (self._pack(engine), versions, changes)
            else:
                self._packed = (self._packed[0], versions, changes)
        return self._packed[:2]

    def _traits(self) -> tuple[list[tuple[Any, ...]], float | None, bool, tuple[float, float]]:
        """Return in what the cell differs from the plain one, in the engine's terms."""
        activations = [with_parameters(activation) for activation in self.activations]
        numbered = [(NUMBERS.index(kind), *numbers) for kind, *numbers in activations]
        return numbered, self.clip, self.coupled, self._zoneouts

    def _pack(self, engine: Any, weight_dropout: tuple[int, int, float] | None = None) -> list[Any]:
        stored = {name: parameter.stored for name, parameter in self._parameters.items()}
        traits, packs = self._traits(), []
        for k in range(self.num_layers * self._directions):
            arrays = self._named(stored, k)
            if weight_dropout is not None:
                arrays[1] = dropped_weights(engine, arrays[1], weight_dropout, k)
            packs.append(engine.Weights(self._number, traits, len(arrays[0]), self.hidden_size, *arrays))
        return packs


def dropped_weights(engine: Any, array: Array, dropout: tuple[int, int, float], k: int) -> Array:
    """Return a weight_hh as it is stored, or the gradient of the dropped one, times the mask of the k-th direction."""
    product: Array = engine.dropped(array[None], dropout, WEIGHTS + k)[0]
    return product


class RNN(RNNBase, Recurrent):
    """The simple recurrent network, h = g(W x + b_ih + U h' + b_hh) (Elman 1990; torch.nn.RNN).

    Parameters
    ----------
    input_size, hidden_size : int
        I and H.
    num_layers : int
        Layers in the stack, each reading the outputs of the one below.
    nonlinearity : activation
        g, one of those that `LSTM` lists.
    clip : float, optional
        As of `LSTM`.
    zoneout : float
        Probability with which a unit of h stays as it was: see `LSTM`.
    bidirectional, batch_first, bias, dropout, weight_dropout, dtype, seed, sparse_grad, init
        As of `LSTM`.
    input_dropout, recurrent_dropout
        As of `LSTM`.

    Examples
    --------
    >>> import fastrnn, numpy as np
    >>> rnn = fastrnn.RNN(3, 5, nonlinearity="relu", seed=0)
    >>> y, h = rnn(np.zeros((2, 4, 3), "float32"))
    >>> y.shape, h.shape
    ((2, 4, 5), (1, 2, 5))
    """

    _gate_names = ("h",)
    _number = 0


class LSTM(LSTMBase, Recurrent):
    """Long short-term memory with a forget gate (Hochreiter and Schmidhuber 1997; Gers et al. 2000; torch.nn.LSTM).

    i, f, o = sigmoid(W x + b_ih + U h' + b_hh) and g = tanh(...), each with its own rows of W, U and the biases, in the
    order i, f, g, o; c = f c' + i g; h = o tanh(c). All of these can be varied, see docs/cells.md.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H.
    num_layers : int
        Layers in the stack, each reading the outputs of the one below.
    activations : (f, g, h)
        Of the gates i, f and o, of g, and of c on its way to h; each a name (tanh, relu, sigmoid, linear, affine,
        leaky_relu, thresholded_relu, scaled_tanh, hard_sigmoid, elu, softsign, softplus) or a tuple (name, alpha) or
        (name, alpha, beta); formulas and defaults are ONNX's.
    peephole : bool
        Whether the gates see the cell, by the parameter `weight_peephole_l0`, (3·H,) in the order i, f, o: p_i c' and
        p_f c' are added to the sums of i and f, p_o c to that of o (Gers and Schmidhuber 2000; ONNX's input P).
    coupled : bool
        Whether f = 1 - i (ONNX's input_forget). The rows of f stay in weights and biases, so that files keep their
        shapes; nothing reads them, and their gradients are zero.
    clip : float, optional
        The sums that the activations f and g are given, peepholes included, are brought into -clip ... clip first.
    layer_norm : bool
        Whether W x, U h' and c are normalised (Ba, Kiros and Hinton 2016): the sums become LN(W x) + b_ih + LN(U h') +
        b_hh, each over all gates together, and h = o tanh(LN(c)); gains are the parameters `weight_norm_ih_l0` and
        `weight_norm_hh_l0` (4·H,) and `weight_norm_c_l0` (H,), c's bias `bias_norm_c_l0` (H,). Not with `peephole` or
        `proj_size`.
    bidirectional : bool
        Whether a second set of parameters reads each sequence from its end.
    batch_first : bool
        Whether x is (N, T, I), as by default, or (T, N, I), which is torch's default.
    bias : bool
        Whether there are `bias_ih` and `bias_hh`.
    dropout : float
        Probability with which `forward` drops a value between two layers of the stack; a single layer, which has none
        between, warns.
    proj_size : int
        P: where it is not 0, h = R (o tanh(c)) with the parameter `weight_hr_l0` (P, H), and h, y and what the
        recurrent weights read have P columns (Sak et al. 2014; torch's `proj_size`).
    weight_dropout : float
        Probability with which `forward` drops a recurrent weight for the whole of the call, the others being scaled by
        1 / (1 - p) (DropConnect, Wan et al. 2013; of recurrent weights, Merity et al. 2018).
    input_dropout, recurrent_dropout : float
        Probabilities with which `forward` drops a column of the input of every layer, and a unit of h' as the recurrent
        weights read it, the others being scaled by 1 / (1 - p): one mask for each row of the batch, the same at every
        step (Gal and Ghahramani 2016). Of ids, a row's mask drops whole symbols, as it would of their one-hot rows.
    zoneout : float or (float, float)
        Probabilities with which, in `forward`, a unit of c and of h stays as it was before the step, drawn at every
        step; one number for both. In inference and streams a state is p times the old one and 1 - p times the new
        (Krueger et al. 2017).
    dtype : {"float32", "float64"}
        Of parameters and results.
    seed : int, optional
        Makes initial values and dropout reproducible.
    sparse_grad : bool
        Whether `backward` gives the gradient of the input weights that ids read as `SparseRows`: for vocabularies so
        large that a dense gradient costs more than all else. SGD and Adagrad take it.
    init : {"default", "torch"} or float
        Initial values: Glorot uniform and orthogonal gate by gate, zero biases, forget gate 1; torch's
        U(-1/sqrt(H), 1/sqrt(H)); or U(-init, init).

    Examples
    --------
    >>> import fastrnn, numpy as np
    >>> lstm = fastrnn.LSTM(3, 5, num_layers=2, seed=0)
    >>> y, (h, c), tape = lstm.forward(np.ones((2, 4, 3), "float32"))
    >>> dx, (dh, dc), grads = lstm.backward(tape, dy=np.ones_like(y))
    >>> dx.shape, grads["weight_hh_l1"].shape
    ((2, 4, 3), (20, 5))
    """

    _state_names = ("h", "c")
    _gate_names = ("i", "f", "g", "o", "c", "h")
    _number = 1


class GRU(GRUBase, Recurrent):
    """The gated recurrent unit (Cho et al. 2014; torch.nn.GRU).

    r, z = sigmoid(W x + b_ih + U h' + b_hh), n = tanh(W x + b_in + r (U h' + b_hn)), h = (1 - z) n + z h'; with
    ``reset_after=False`` n = tanh(W x + b_in + U (r h') + b_hn), ONNX's default.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H.
    num_layers : int
        Layers in the stack, each reading the outputs of the one below.
    reset_after : bool
        Whether the reset gate multiplies after the recurrent product or before it.
    activations : (f, g)
        Of the gates r and z, and of n; one of those that `LSTM` lists each.
    clip : float, optional
        As of `LSTM`.
    layer_norm : bool
        Whether W x and U h' are normalised (Ba, Kiros and Hinton 2016, supplement), each by the gains of a parameter,
        `weight_norm_ih_l0` and `weight_norm_hh_l0` (3·H,), r and z together and n by itself. With `reset_after` alone.
    zoneout : float
        Probability with which a unit of h stays as it was: see `LSTM`.
    bidirectional, batch_first, bias, dropout, weight_dropout, dtype, seed, sparse_grad, init
        As of `LSTM`.
    input_dropout, recurrent_dropout
        As of `LSTM`.

    Examples
    --------
    >>> import fastrnn, numpy as np
    >>> gru = fastrnn.GRU(10, 5, bidirectional=True, seed=0)
    >>> y, h = gru(np.array([[1, 2, 3], [4, 0, 0]]), lengths=[3, 1])
    >>> y.shape, h.shape
    ((2, 3, 10), (2, 2, 5))
    """

    _gate_names = ("r", "z", "n", "h")

    @property
    def _number(self) -> int:  # type: ignore[override]
        return 2 if self.reset_after else 3
