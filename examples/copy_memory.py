"""Copy memory (Hochreiter and Schmidhuber 1997, as Arjovsky et al. 2016 set it): say ten symbols again after T steps.

A sequence holds ten symbols of eight kinds, T - 1 blanks, a mark and ten blanks; what is wanted is blanks, and in the
last ten steps the symbols. Without memory nothing is better than a blank until the mark and any symbol after it, a loss
of 10 ln 8 / (T + 20) nats a step. Every update sees sequences that were never seen before. At the first T each network
has a twin in torch, where that is installed: the same initial values, batches and rule of update.

    python examples/copy_memory.py --figure copy-memory.png
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from typing import Any

import numpy as np

import fastrnn
from fastrnn.models import SequenceTagger

COPIED, KINDS = 10, 8
MARK = KINDS + 1  # 0 is the blank
LOOK = 100  # updates between two looks at the test, and in a point of the figure


def examples(count: int, T: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return sequences and what is wanted, both (count, T + 20) ids."""
    X, y = np.zeros((2, count, T + 2 * COPIED), np.int64)
    X[:, :COPIED] = y[:, -COPIED:] = rng.integers(1, KINDS + 1, (count, COPIED))
    X[:, T + COPIED - 1] = MARK
    return X, y


class Ours:
    """A tagger of one direction."""

    def __init__(self, cell: str, arguments: argparse.Namespace) -> None:
        size, self.rate = arguments.hidden_size, arguments.learning_rate
        self.model = SequenceTagger(cell, size, bidirectional=False, max_vocab=MARK + 1, random_state=arguments.seed)

    def update(self, X: np.ndarray, y: np.ndarray) -> float:
        """Learn from a batch; return its loss before."""
        return self.model.partial_fit(X, y, learning_rate=self.rate).history_["loss"][-1]

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.model.predict(X)


class Theirs:
    """The same in torch, from the initial values of one of ours."""

    def __init__(self, ours: Ours) -> None:
        import torch
        from torch_twin import twin_of

        torch.set_num_threads(fastrnn.get_num_threads())
        self.torch, self.parts = torch, twin_of(ours.model)
        self.optimizer = torch.optim.Adam(self.parts.parameters(), lr=ours.rate)

    def logits(self, X: np.ndarray) -> Any:
        x = self.torch.nn.functional.one_hot(self.torch.tensor(X), MARK + 1).float()
        return self.parts["output"](self.parts["recurrent"](x)[0])

    def update(self, X: np.ndarray, y: np.ndarray) -> float:
        loss = self.torch.nn.functional.cross_entropy(self.logits(X).flatten(0, 1), self.torch.tensor(y).flatten())
        self.optimizer.zero_grad()
        loss.backward()
        self.torch.nn.utils.clip_grad_norm_(self.parts.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()

    def predict(self, X: np.ndarray) -> np.ndarray:
        with self.torch.no_grad():
            return self.logits(X).argmax(dim=2).numpy()


def train(name: str, net: Ours | Theirs, T: int, updates: int, arguments: argparse.Namespace) -> list[float]:
    """Train until the symbols of other sequences are remembered, or for all updates; return the mean losses."""
    rng = np.random.default_rng(arguments.seed)
    X_test, y_test = examples(1000, T, rng)
    losses, recent, start = [], [], time.perf_counter()
    for update in range(1, updates + 1):
        recent.append(net.update(*examples(arguments.batch_size, T, rng)))
        if update % LOOK:
            continue
        losses.append(float(np.mean(recent)))
        recent.clear()
        right = np.mean(net.predict(X_test)[:, -COPIED:] == y_test[:, -COPIED:])
        seconds = time.perf_counter() - start
        print(f"{name}  update {update:5}  loss {losses[-1]:.5f}  right {right:6.1%}  {seconds:4.0f} s", flush=True)
        if right >= arguments.target:
            break
    return losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", default=["gru", "lstm"], help="default gru lstm")
    parser.add_argument("--lengths", nargs="+", type=int, default=[10, 100], metavar="T", help="default 10 100")
    parser.add_argument("--updates", nargs="+", type=int, default=[6000, 1000], help="at each T (default 6000 1000)")
    parser.add_argument("--hidden-size", type=int, default=128, help="default %(default)s")
    parser.add_argument("--batch-size", type=int, default=128, help="default %(default)s")
    parser.add_argument("--learning-rate", type=float, default=1e-2, help="default %(default)s")
    parser.add_argument("--target", type=float, default=0.99, help="share right to stop at (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="default %(default)s")
    parser.add_argument("--figure", metavar="FILE", help="draw the losses; needs matplotlib")
    arguments = parser.parse_args()

    curves = {}
    for T, updates in zip(arguments.lengths, arguments.updates, strict=True):
        print(f"T = {T}: {baseline(T):.5f} without memory")
        for cell in arguments.cells:
            name, ours = f"{cell}, T = {T}", Ours(cell, arguments)
            curves[name] = {"loss": train(name, ours, T, updates, arguments)}
            if T == arguments.lengths[0] and importlib.util.find_spec("torch"):
                name = f"torch's {name}"
                curves[name] = {"loss": train(name, Theirs(ours), T, updates, arguments)}
    if arguments.figure:
        figure = fastrnn.plot.history(curves, unit=f"{LOOK} updates")
        for T in arguments.lengths:
            figure.axes[0].axhline(baseline(T), color="black", linewidth=1, linestyle=":")
        figure.axes[0].set_yscale("log")
        figure.savefig(arguments.figure, dpi=100)


def baseline(T: int) -> float:
    """Return the loss without memory."""
    return COPIED * float(np.log(KINDS)) / (T + 2 * COPIED)


if __name__ == "__main__":
    main()
