"""torch's recurrent modules and cells, constructors and parameters its own, with another `forward`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from fastrnn import layers
from fastrnn.layers.recurrent import Recurrent
from fastrnn.torch.checks import array_of, check_input, check_traced, refuse_scripts, state_arrays
from fastrnn.torch.function import Call, as_parts, as_state, run
from fastrnn.torch.snapshot import layer_of, with_dropout

State = Any  # a tensor, or the pair (h, c) of an LSTM


def between_graphs(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Let torch.compile leave a `forward` as it is, and compile what stands before and after it."""

    @wraps(forward)
    def called(self: nn.Module, input: Any, hx: State = None) -> Any:
        if torch.compiler.is_compiling():
            return torch.compiler.disable(forward)(self, input, hx)  # type: ignore[no-untyped-call]
        return forward(self, input, hx)

    return called


class Sequences(nn.RNNBase):
    """The `forward` of `RNN`, `LSTM` and `GRU`."""

    _layer: ClassVar[type[Recurrent]]

    @between_graphs
    def forward(self, input: Any, hx: State = None) -> tuple[Any, State]:
        """Run the layers over whole sequences.

        Parameters
        ----------
        input : Tensor or PackedSequence
            (T, N, I), with `batch_first` (N, T, I), unbatched (T, I), of the parameters' dtype, on the CPU; or packed,
            sorted or not.
        hx : Tensor or pair, optional
            h, or (h, c) of an LSTM, each (L·D, N, H), unbatched (L·D, H); zeros by default.

        Returns
        -------
        output : Tensor or PackedSequence
            The last layer's h, both directions side by side, laid out as `input`.
        hx : Tensor or pair
            Each layer's and direction's state after its last step.

        Raises
        ------
        TypeError, ValueError
            Naming the argument, what was expected and what came; also for tensors that are not on the CPU.
        """
        if not isinstance(input, PackedSequence):
            return self._run(input, hx, None)
        x, lengths = pad_packed_sequence(PackedSequence(input.data, input.batch_sizes), self.batch_first)
        y, final = self._run(x, None if hx is None else self.permute_hidden(hx, input.sorted_indices), lengths)
        packed = PackedSequence(
            pack_padded_sequence(y, lengths, self.batch_first).data,
            input.batch_sizes,
            input.sorted_indices,
            input.unsorted_indices,
        )
        return packed, self.permute_hidden(final, input.unsorted_indices)

    def __prepare_scriptable__(self) -> NoReturn:
        """Refuse torch.jit.script, which asks for this."""
        refuse_scripts(self)

    def _run(self, x: Tensor, hx: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        check_traced(self)
        parameters = {name: getattr(self, name) for name in self._flat_weights_names}
        layer = layer_of(self, self._layer, self._config(), parameters)
        array = array_of(x, "input")
        check_input(array, layer.dtype, self.input_size, ("N, T, " if self.batch_first else "T, N, ", "T, "))
        rows = (array.shape[0 if self.batch_first else 1],) if array.ndim == 3 else ()
        states = (self.num_layers * (2 if self.bidirectional else 1), *rows)
        shapes = [(*states, self.proj_size or self.hidden_size), (*states, self.hidden_size)]
        given = state_arrays(hx, self._layer is layers.LSTM, layer.dtype, shapes)
        if self.dropout and self.training and self.num_layers > 1:
            layer = with_dropout(layer, self.dropout, int(torch.randint(2**63 - 1, ())))
        y, *final = run(Call(layer, lengths), [array, *given], [x, *as_parts(hx), *parameters.values()])
        return y, as_state(final)

    def _config(self) -> dict[str, Any]:
        """Return the layer's constructor's arguments."""
        names = ("input_size", "hidden_size", "num_layers", "bidirectional", "batch_first", "bias", "proj_size")
        return {name: getattr(self, name) for name in names}


class RNN(Sequences, nn.RNN):
    """`torch.nn.RNN`, constructor and parameters its own, computed by fastrnn.

    Examples
    --------
    >>> import torch
    >>> from fastrnn import torch as rnn
    >>> y, h = rnn.RNN(3, 5, nonlinearity="relu")(torch.zeros(4, 2, 3))
    >>> y.shape, h.shape
    (torch.Size([4, 2, 5]), torch.Size([1, 2, 5]))
    """

    _layer = layers.RNN

    def _config(self) -> dict[str, Any]:
        return super()._config() | {"nonlinearity": self.nonlinearity}


class LSTM(Sequences, nn.LSTM):
    """`torch.nn.LSTM`, constructor and parameters its own, computed by fastrnn.

    Examples
    --------
    >>> import torch
    >>> from fastrnn import torch as rnn
    >>> lstm = rnn.LSTM(3, 5, num_layers=2, batch_first=True)
    >>> y, (h, c) = lstm(torch.ones(2, 4, 3))
    >>> y.sum().backward()
    >>> lstm.weight_hh_l1.grad.shape
    torch.Size([20, 5])
    """

    _layer = layers.LSTM


class GRU(Sequences, nn.GRU):
    """`torch.nn.GRU`, constructor and parameters its own, computed by fastrnn.

    Examples
    --------
    >>> import torch
    >>> from torch.nn.utils.rnn import pack_sequence
    >>> from fastrnn import torch as rnn
    >>> packed = pack_sequence([torch.ones(2, 3), torch.ones(4, 3)], enforce_sorted=False)
    >>> y, h = rnn.GRU(3, 5, bidirectional=True)(packed)
    >>> y.data.shape, h.shape
    (torch.Size([6, 10]), torch.Size([2, 2, 5]))
    """

    _layer = layers.GRU


class Cell(nn.RNNCellBase):
    """The `forward` of `RNNCell`, `LSTMCell` and `GRUCell`: a sequence of one step."""

    _layer: ClassVar[type[Recurrent]]

    @between_graphs
    def forward(self, input: Tensor, hx: State = None) -> State:
        """Take one step.

        Parameters
        ----------
        input : Tensor
            (N, I) or (I,), of the parameters' dtype, on the CPU.
        hx : Tensor or pair, optional
            h, or (h, c) of an LSTM, each (N, H) or (H,); zeros by default.

        Returns
        -------
        hx : Tensor or pair
            The next state.

        Raises
        ------
        TypeError, ValueError
            Naming the argument, what was expected and what came; also for tensors that are not on the CPU.
        """
        check_traced(self)
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh") if self.bias else ("weight_ih", "weight_hh")
        parameters = {f"{name}_l0": getattr(self, name) for name in names}
        layer = layer_of(self, self._layer, self._config(), parameters)
        x = array_of(input, "input")
        check_input(x, layer.dtype, self.input_size, ("N, ", ""))
        given = state_arrays(hx, self._layer is layers.LSTM, layer.dtype, [(*x.shape[:-1], self.hidden_size)] * 2)
        tensors = [input, *as_parts(hx), *parameters.values()]
        return as_state(list(run(Call(layer, step=True), [x, *given], tensors)))

    def __prepare_scriptable__(self) -> NoReturn:
        """Refuse torch.jit.script, which asks for this."""
        refuse_scripts(self)

    def _config(self) -> dict[str, Any]:
        """Return the layer's constructor's arguments."""
        return {name: getattr(self, name) for name in ("input_size", "hidden_size", "bias")} | {"batch_first": False}


class RNNCell(Cell, nn.RNNCell):
    """`torch.nn.RNNCell`, constructor and parameters its own, computed by fastrnn."""

    _layer = layers.RNN

    def _config(self) -> dict[str, Any]:
        return super()._config() | {"nonlinearity": self.nonlinearity}


class LSTMCell(Cell, nn.LSTMCell):
    """`torch.nn.LSTMCell`, constructor and parameters its own, computed by fastrnn.

    Examples
    --------
    >>> import torch
    >>> from fastrnn import torch as rnn
    >>> cell, x = rnn.LSTMCell(3, 5), torch.ones(4, 2, 3)
    >>> state = None
    >>> for t in range(4):
    ...     state = cell(x[t], state)
    >>> state[0].shape
    torch.Size([2, 5])
    """

    _layer = layers.LSTM


class GRUCell(Cell, nn.GRUCell):
    """`torch.nn.GRUCell`, constructor and parameters its own, computed by fastrnn."""

    _layer = layers.GRU
