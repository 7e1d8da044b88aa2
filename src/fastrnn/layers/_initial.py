"""Initial values of parameters, in plain NumPy; the engine's layers and the reference draw from the same functions."""

from __future__ import annotations

import numpy as np

GATES = {"rnn": 1, "lstm": 4, "gru": 3, "mingru": 2, "minlstm": 3}
FORGET = {"lstm": 1, "minlstm": 0}  # position of the forget gate, in torch's order i, f, g, o and in f, i, n
MINIMAL = ("mingru", "minlstm")  # cells without recurrent weights


def parameter_shapes(
    cell: str,
    input_size: int,
    hidden_size: int,
    num_layers: int,
    bidirectional: bool,
    bias: bool,
    proj_size: int,
    peephole: bool,
    layer_norm: bool,
) -> dict[str, tuple[int, ...]]:
    """Return {torch's parameter name: torch's shape}, in torch's order, without what a minimal cell has not."""
    directions = 2 if bidirectional else 1
    rows, output_size = GATES[cell] * hidden_size, proj_size or hidden_size
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(num_layers):
        width = input_size if layer == 0 else directions * output_size
        for suffix in [f"l{layer}", f"l{layer}_reverse"][:directions]:
            shapes[f"weight_ih_{suffix}"] = (rows, width)
            if cell not in MINIMAL:
                shapes[f"weight_hh_{suffix}"] = (rows, output_size)
            if bias:
                shapes[f"bias_ih_{suffix}"] = (rows,)
            if bias and cell not in MINIMAL:
                shapes[f"bias_hh_{suffix}"] = (rows,)
            if proj_size:
                shapes[f"weight_hr_{suffix}"] = (proj_size, hidden_size)
            if peephole:
                shapes[f"weight_peephole_{suffix}"] = (3 * hidden_size,)
            if layer_norm:
                shapes[f"weight_norm_ih_{suffix}"] = (rows,)
                shapes[f"weight_norm_hh_{suffix}"] = (rows,)
            if layer_norm and cell == "lstm":
                shapes[f"weight_norm_c_{suffix}"] = (hidden_size,)
                if bias:
                    shapes[f"bias_norm_c_{suffix}"] = (hidden_size,)
    return shapes


def initial_values(
    cell: str,
    input_size: int,
    hidden_size: int,
    num_layers: int,
    bidirectional: bool,
    bias: bool,
    proj_size: int,
    peephole: bool,
    layer_norm: bool,
    init: str | float,
    seed: int | None,
    dtype: np.dtype | str,
) -> dict[str, np.ndarray]:
    """Return the initial parameters of a recurrent layer, {torch's name: array}.

    ``init="default"`` draws input weights and projections from Glorot's uniform distribution and recurrent weights
    orthogonal (of a projected h their columns), both gate by gate, with zero peepholes and biases but 1 for the forget
    gate of an LSTM or MinLSTM (in ``bias_ih`` alone, so that it counts once); ``"torch"`` draws everything from
    U(-1/sqrt(H), 1/sqrt(H)); a number b from U(-b, b). Whatever it is, norms start with gain 1 and bias 0, as torch's.
    """
    rng = np.random.default_rng(seed)
    bound = uniform_bound(init, hidden_size)
    values: dict[str, np.ndarray] = {}
    sizes = (input_size, hidden_size, num_layers)
    shapes = parameter_shapes(cell, *sizes, bidirectional, bias, proj_size, peephole, layer_norm)
    for name, shape in shapes.items():
        if "_norm_" in name:
            value = np.full(shape, float(name.startswith("weight")))
        elif bound is not None:
            value = rng.uniform(-bound, bound, shape)
        elif name.startswith("weight_ih"):
            value = np.concatenate([glorot_uniform(rng, hidden_size, shape[1]) for _ in range(GATES[cell])])
        elif name.startswith("weight_hh"):
            value = np.concatenate([orthogonal(rng, hidden_size)[:, : shape[1]] for _ in range(GATES[cell])])
        elif name.startswith("weight_hr"):
            value = glorot_uniform(rng, *shape)
        else:
            value = np.zeros(shape)
            if cell in FORGET and name.startswith("bias_ih"):
                value[FORGET[cell] * hidden_size : (FORGET[cell] + 1) * hidden_size] = 1.0
        values[name] = value.astype(dtype)
    return values


def dense_values(
    in_features: int, out_features: int, bias: bool, init: str | float, seed: int | None, dtype: np.dtype | str
) -> dict[str, np.ndarray]:
    """Return a dense layer's initial weight (out, in), Glorot uniform, and bias (out,), zeros; ``init`` as above."""
    rng = np.random.default_rng(seed)
    bound = uniform_bound(init, in_features)
    if bound is None:
        values = {"weight": glorot_uniform(rng, out_features, in_features)}
        if bias:
            values["bias"] = np.zeros(out_features)
    else:
        values = {"weight": rng.uniform(-bound, bound, (out_features, in_features))}
        if bias:
            values["bias"] = rng.uniform(-bound, bound, out_features)
    return {name: value.astype(dtype) for name, value in values.items()}


def embedding_values(
    num_embeddings: int, embedding_dim: int, init: str | float, seed: int | None, dtype: np.dtype | str
) -> dict[str, np.ndarray]:
    """Return an embedding's initial weight (V, E): standard normal, torch's choice too; a number b draws U(-b, b)."""
    rng = np.random.default_rng(seed)
    shape = (num_embeddings, embedding_dim)
    bound = uniform_bound(init, embedding_dim)
    value = rng.standard_normal(shape) if bound is None or isinstance(init, str) else rng.uniform(-bound, bound, shape)
    return {"weight": value.astype(dtype)}


def uniform_bound(init: str | float, fan: int) -> float | None:
    """Return b of U(-b, b) for ``init``, or None where it means the default scheme."""
    if isinstance(init, str):
        if init == "default":
            return None
        if init == "torch":
            return 1.0 / np.sqrt(fan)
        raise ValueError(f'init must be "default", "torch" or a positive number, got {init!r}')
    if isinstance(init, bool) or not isinstance(init, (int, float, np.number)) or not 0 <= init < float("inf"):
        raise ValueError(f'init must be "default", "torch" or a positive number, got {init!r}')
    return float(init)


def glorot_uniform(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Return one gate's matrix from U(-b, b), b = sqrt(6 / (rows + columns)) (Glorot and Bengio 2010)."""
    bound = np.sqrt(6.0 / (rows + columns))
    return rng.uniform(-bound, bound, (rows, columns))


def orthogonal(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return a random orthogonal matrix, uniform over the group (Saxe et al. 2014; sign fix of Mezzadri 2007)."""
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    return q * np.sign(np.diag(r))
