"""The same network in PyTorch, for comparison: same initial values, same sizes of batches, same rule of update."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import fastrnn


def twin_of(model: Any) -> Any:
    """Return a model's layers as torch modules by the same names, with the values they had before training."""
    import torch

    parts = torch.nn.ModuleDict()
    for name, layer in model.layers.items():
        fresh = type(layer)(**layer.get_config())  # as it was before training
        if isinstance(layer, fastrnn.Embedding):
            parts[name] = torch.nn.Embedding(layer.num_embeddings, layer.embedding_dim)
        elif isinstance(layer, fastrnn.Dense):
            parts[name] = torch.nn.Linear(layer.in_features, layer.out_features)
        else:
            parts[name] = getattr(torch.nn, type(layer).__name__)(
                layer.input_size, layer.hidden_size, layer.num_layers,
                batch_first=True, bidirectional=layer.bidirectional,
            )  # fmt: skip
        parts[name].load_state_dict({key: torch.tensor(value) for key, value in fresh.state_dict().items()})
    return parts


def train_twin(
    model: Any, X: list[np.ndarray], y: list[Any], epochs: int, batch_size: int, learning_rate: float
) -> tuple[Any, float]:
    """Return a torch module that has trained from the initial values of `model`, and the seconds that took.

    `model` is a `SequenceClassifier` of the last state or a `SequenceTagger` without dropout, X its sequences as ids, y
    labels as numbers. Batches are cut from pools sorted by length, as fastrnn does it.
    """
    import torch

    parts = twin_of(model)
    optimizer, rng = torch.optim.Adam(parts.parameters(), lr=learning_rate), np.random.default_rng(0)
    total, done, start = epochs * len(X), 0, time.perf_counter()
    for _ in range(epochs):
        order = rng.permutation(len(X))
        pools = [order[k : k + 32 * batch_size] for k in range(0, len(X), 32 * batch_size)]
        pools = [sorted(pool, key=lambda n: len(X[n])) for pool in pools]
        batches = [pool[k : k + batch_size] for pool in pools for k in range(0, len(pool), batch_size)]
        for place in rng.permutation(len(batches)):
            rows = batches[place]
            outputs = logits(parts, [X[n] for n in rows])
            targets = np.concatenate([np.atleast_1d(y[n]) for n in rows])
            loss = torch.nn.functional.cross_entropy(outputs, torch.tensor(targets))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
            optimizer.param_groups[0]["lr"] = learning_rate * (1 - done / total)
            optimizer.step()
            done += len(rows)
    return parts, time.perf_counter() - start


def logits(parts: Any, rows: list[np.ndarray]) -> Any:
    """Return the outputs at the last state of each sequence, or, of an embedded tagger, at each step of all of them."""
    import torch

    x = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    tagger = "embedding" in parts
    size = parts["recurrent"].input_size
    x = parts["embedding"](x) if tagger else torch.nn.functional.one_hot(x, size).float()
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    y, final = parts["recurrent"](packed)
    if tagger:
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True)
        return parts["output"](y[torch.arange(y.shape[1]) < lengths[:, None]])
    h = final[0] if isinstance(final, tuple) else final
    return parts["output"](torch.cat(list(h[-2:] if parts["recurrent"].bidirectional else h[-1:]), dim=1))


def accuracy(parts: Any, X: list[np.ndarray], y: list[Any]) -> float:
    """Return the share of labels that a twin predicts."""
    import torch

    right = []
    with torch.no_grad():
        for k in range(0, len(X), 256):
            predicted = logits(parts, X[k : k + 256]).argmax(dim=1).numpy()
            right.append(predicted == np.concatenate([np.atleast_1d(label) for label in y[k : k + 256]]))
    return float(np.mean(np.concatenate(right)))
