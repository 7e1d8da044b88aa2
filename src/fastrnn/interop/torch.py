"""torch modules to layers and back: the same parameters bit for bit, the same options, or a refusal.

Equations, names, shapes and gate orders are one and the same on both sides, so nothing is computed.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from fastrnn.layers import GRU, LSTM, RNN, Dense, Embedding
from fastrnn.layers._module import Layer

if TYPE_CHECKING:
    import torch

TORCH = {"RNN": "RNN", "LSTM": "LSTM", "GRU": "GRU", "Dense": "Linear", "Embedding": "Embedding"}
STACK = ("input_size", "hidden_size", "num_layers", "bidirectional", "batch_first", "bias", "dropout", "proj_size")
CELL = ("input_size", "hidden_size", "bias")


def from_torch(module: Any) -> RNN | LSTM | GRU | Dense | Embedding:
    """Return the layer of a torch module, its parameters bit for bit, independent of the module from then on.

    Parameters
    ----------
    module : torch.nn.Module
        `RNN`, `LSTM` or `GRU`; an `RNNCell`, `LSTMCell` or `GRUCell`, which becomes a layer that is called with
        sequences or stepped by `layer.stream`; `Linear`, which becomes `Dense`; or `Embedding`, whose `padding_idx`
        does not come along: that row is what it is, and training here would change it where such ids are real steps.
        The modules of `fastrnn.torch` too. On the CPU, float32 or float64.

    Returns
    -------
    layer : RNN, LSTM, GRU, Dense or Embedding
        Of the module's dtype and, for sequences, its `batch_first`, which is False by torch's default.

    Raises
    ------
    TypeError
        The module is of another class, has a `forward` of its own, or holds numbers of another dtype.
    ValueError
        An option has no counterpart, or the parameters are not on the CPU.
    ImportError
        PyTorch is not installed.

    Examples
    --------
    >>> import torch
    >>> from fastrnn import interop
    >>> lstm = interop.from_torch(torch.nn.LSTM(3, 5, num_layers=2, batch_first=True))
    >>> stream = lstm.stream()
    >>> stream.step(torch.ones(1, 3)).shape
    (1, 5)
    """
    nn = torch_nn()
    name = name_of(module, nn)
    if name == "Embedding":
        for option, default in (("max_norm", None), ("scale_grad_by_freq", False)):
            if getattr(module, option) != default:
                raise ValueError(
                    f"module must be an Embedding without {option}, which a layer does not have, "
                    f"got {option}={getattr(module, option)!r}"
                )
        layer: Any = Embedding(module.num_embeddings, module.embedding_dim, **described(module))
    elif name == "Linear":
        layer = Dense(module.in_features, module.out_features, module.bias is not None, **described(module))
    else:
        cell = name.endswith("Cell")
        options = {option: getattr(module, option) for option in (CELL if cell else STACK)}
        if name.startswith("RNN"):
            options["nonlinearity"] = module.nonlinearity
        layer = {"RNN": RNN, "LSTM": LSTM, "GRU": GRU}[name.removesuffix("Cell")](**options, **described(module))
    suffix = "_l0" if name.endswith("Cell") else ""
    layer.load_state_dict({ours: array_of(module, ours.removesuffix(suffix)) for ours in layer.parameters})
    return layer


def to_torch(layer: RNN | LSTM | GRU | Dense | Embedding) -> torch.nn.Module:
    """Return the torch module of a layer, its parameters bit for bit, independent of the layer from then on.

    Draws nothing from torch's generator.

    Parameters
    ----------
    layer : RNN, LSTM, GRU, Dense or Embedding
        Dropout masks are torch's from then on; the table of a tied `Dense` is copied.

    Returns
    -------
    module : torch.nn.RNN, LSTM, GRU, Linear or Embedding
        In training mode, as every new module.

    Raises
    ------
    TypeError
        Not a layer.
    ValueError
        An option has no counterpart: of an RNN ``nonlinearity="sigmoid"`` or ``"linear"``, of a GRU
        ``reset_after=False``.
    ImportError
        PyTorch is not installed.

    Examples
    --------
    >>> import fastrnn
    >>> fastrnn.interop.to_torch(fastrnn.GRU(3, 5, bidirectional=True))
    GRU(3, 5, batch_first=True, bidirectional=True)
    """
    nn = torch_nn()
    if not isinstance(layer, (RNN, LSTM, GRU, Dense, Embedding)):
        raise TypeError(f"layer must be an RNN, LSTM, GRU, Dense or Embedding, got {type(layer).__name__}")
    import torch

    module: torch.nn.Module = getattr(nn, TORCH[type(layer).__name__])(**torch_options(layer), device="meta")
    module.to_empty(device="cpu")
    module.load_state_dict({name: torch.from_numpy(value) for name, value in layer.state_dict().items()})
    return module


def torch_nn() -> ModuleType:
    """Return torch.nn, or say what to install."""
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError("from_torch and to_torch need PyTorch: pip install 'fastrnn[torch]'") from error
    return torch.nn


NAMES = ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell", "Linear", "Embedding")


def name_of(module: Any, nn: ModuleType) -> str:
    """Return the name of the class in torch.nn that a module behaves as."""
    from fastrnn import torch as ours

    for name in NAMES:
        base = getattr(nn, name)
        if isinstance(module, base):
            if type(module).forward not in (base.forward, getattr(ours, name, base).forward):
                raise TypeError(
                    f"module must compute as torch.nn.{name} does, got a {type(module).__name__} with a "
                    "forward of its own"
                )
            if module._forward_hooks or module._forward_pre_hooks:
                raise ValueError(f"module must have no forward hooks, which a layer cannot run, got a {name} with some")
            return name
    raise TypeError(
        f"module must be one of torch.nn's {', '.join(NAMES)}, got {type(module).__name__}: "
        "take a larger model apart and convert its modules one by one"
    )


def described(module: Any) -> dict[str, Any]:
    """Return the layer's dtype, after a look at every parameter."""
    tensors = dict(module.named_parameters())
    dtypes = {str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()}
    if len(dtypes) != 1 or not dtypes <= {"float32", "float64"}:
        raise TypeError(
            f"module must hold float32 or float64 numbers, got {', '.join(sorted(dtypes))}; "
            "module.float() makes a float32 module of it"
        )
    for name, tensor in tensors.items():
        if tensor.device.type != "cpu":
            raise ValueError(f"module must lie on the CPU, got {name} on {tensor.device}; module.cpu() takes it there")
    return {"dtype": dtypes.pop(), "init": "torch"}


def array_of(module: Any, name: str) -> NDArray[Any]:
    """Return a parameter's numbers; computed ones too, as torch.nn.utils.parametrize makes them."""
    array: NDArray[Any] = getattr(module, name).detach().numpy()
    return array


KEPT_HERE = ("seed", "init")  # how a layer was made, not what it is


def torch_options(layer: Layer) -> dict[str, Any]:
    """Return the arguments of the torch module's constructor, or refuse what it has no argument for."""
    import torch

    name, options = type(layer).__name__, layer.get_config()
    known = {*STACK, "nonlinearity", "in_features", "out_features", "num_embeddings", "embedding_dim", "dtype"}
    defaults = type(layer)(1, 1).get_config()  # type: ignore[call-arg]
    for option in options.keys() - known - set(KEPT_HERE):
        if options[option] != defaults[option]:
            raise ValueError(
                f"layer must have {option}={defaults[option]!r}, as torch.nn.{TORCH[name]} has, got {options[option]!r}"
            )
    if options.get("nonlinearity", "tanh") not in ("tanh", "relu"):
        raise ValueError(
            f'layer must have nonlinearity "tanh" or "relu", as torch.nn.RNN has, got {options["nonlinearity"]!r}'
        )
    held = {option: options[option] for option in options.keys() & known}
    if not held.get("proj_size"):
        held.pop("proj_size", None)  # torch's RNN and GRU refuse the very name
    return held | {"dtype": getattr(torch, held["dtype"])}
