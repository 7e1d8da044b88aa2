"""The layers of a language model, made from what its constructor was given."""

from __future__ import annotations

from typing import Any

from fastrnn.layers import GRU, LSTM, RNN, Dense, Embedding, MinGRU, MinLSTM
from fastrnn.layers._initial import FORGET
from fastrnn.layers._module import check_dtype, check_number, check_real, check_size
from fastrnn.layers.recurrent import Recurrent
from fastrnn.train._checks import check_choice

CELLS: dict[str, type[Recurrent]] = {"lstm": LSTM, "gru": GRU, "rnn": RNN, "mingru": MinGRU, "minlstm": MinLSTM}


def check_params(model: Any) -> None:
    """Check what the layers do not check."""
    check_choice(model.cell, "cell", CELLS)
    for name in ("embedding_size", "max_vocab"):
        if getattr(model, name) is not None:
            check_size(getattr(model, name), name)
    E = embedding_size(model)
    if model.tied and E != model.hidden_size:
        raise ValueError(f"tied=True needs embedding_size to equal hidden_size, got {E} and {model.hidden_size}")
    if model.dropout and model.num_layers == 1:
        raise ValueError(f"dropout acts between layers and needs num_layers of at least 2, got {model.num_layers}")
    for name in ("dropout", "input_dropout", "output_dropout", "recurrent_dropout", "embedding_dropout"):
        value = getattr(model, name)
        check_number(value, name, below=1)
        if name in ("input_dropout", "embedding_dropout") and value and E is None:
            raise ValueError(f"{name} needs embedding_size, got None")
    for name in ("activation_penalty", "temporal_penalty"):
        check_number(getattr(model, name), name)
    if model.forget_bias is not None:
        check_real(model.forget_bias, "forget_bias")
        if model.cell not in FORGET:
            raise ValueError(f'forget_bias needs cell="lstm" or "minlstm", got {model.cell!r}')
    check_dtype(model.dtype)


def embedding_size(model: Any) -> int | None:
    """Return the columns of the embedding, or None where input is one-hot."""
    size: int | None = model.embedding_size
    return model.hidden_size if model.tied and size is None else size


def new_layers(model: Any, V: int, seeds: list[int]) -> tuple[Embedding | None, Recurrent, Dense]:
    """Return embedding, recurrent layers and output of a vocabulary of V ids."""
    H, E = model.hidden_size, embedding_size(model)
    common: dict[str, Any] = {"dtype": model.dtype, "init": model.init}
    drop = {"dropout": model.dropout, "recurrent_dropout": model.recurrent_dropout}
    stack = {"num_layers": model.num_layers, **drop, **common}
    recurrent = CELLS[model.cell](V if E is None else E, H, **stack, seed=seeds[0])
    if model.forget_bias is not None:
        set_forget_bias(recurrent, model.forget_bias)
    init = 0.1 if model.tied and model.init == "default" else model.init  # N(0, 1): first logits as large as sqrt(H)
    embedding = None if E is None else Embedding(V, E, **{**common, "init": init}, seed=seeds[1])
    output = Dense(H, V, **common, seed=seeds[2], tied=embedding if model.tied else None)
    return embedding, recurrent, output


def renew_dropout(model: Any, recurrent: Recurrent) -> None:
    """Let fitted layers drop as the model's parameters say now, which `set_params` may have changed."""
    recurrent.dropout = model.dropout if recurrent.num_layers > 1 else 0.0
    recurrent.recurrent_dropout = getattr(model, "recurrent_dropout", 0.0)


def set_forget_bias(recurrent: Any, value: float) -> None:
    """Give the forget gates of all layers their bias, in `bias_ih`."""
    H, gate = recurrent.hidden_size, FORGET[recurrent._name]
    for layer in range(recurrent.num_layers):
        bias = recurrent.state_dict()[f"bias_ih_l{layer}"]
        bias[gate * H : (gate + 1) * H] = value
        recurrent.set_parameters(**{f"bias_ih_l{layer}": bias})
