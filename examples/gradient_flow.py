"""Watch a gradient go back through 200 steps: an RNN, a GRU and an LSTM before and after some training.

Each net reads 200 random numbers and is asked, at the end, for their sum. Run it with the name of a figure to be
written, which needs matplotlib (`pip install 'fastrnn[plot]'`), or without one:

    python examples/gradient_flow.py flow.png

docs/gradient-flow.md says what there is to see.
"""

import sys

import numpy as np

import fastrnn
from fastrnn.diagnostics import GradientFlow, gradient_flow

N, T, H = 32, 200, 32
UPDATES = 300


class Adder:
    """A recurrent layer and a dense layer on its last output."""

    def __init__(self, layer) -> None:
        self.layer, self.dense = layer, fastrnn.Dense(H, 1, seed=0)
        self.optimizer = fastrnn.optim.Adam([self.layer, self.dense], lr=5e-3)
        self.rng = np.random.default_rng(0)

    def draw(self) -> tuple[np.ndarray, np.ndarray]:
        """Return random numbers (N, T, 1) and their sums (N, 1), scaled to a variance of 1."""
        x = self.rng.standard_normal((N, T, 1), dtype="float32")
        return x, x.sum(axis=1) / T**0.5

    def loss(self, y, target):
        """Return the squared error at the last step, its gradient in y, and the gradients of the dense layer."""
        prediction, tape = self.dense.forward(y[:, -1])
        value, dprediction = fastrnn.losses.squared_error(prediction, target)
        dy = np.zeros_like(y)
        dy[:, -1], grads = self.dense.backward(tape, dprediction)
        return value, dy, grads

    def train(self, updates: int) -> float:
        """Return the mean loss of the last 50 updates."""
        losses = []
        for _ in range(updates):
            x, target = self.draw()
            y, _, tape = self.layer.forward(x)
            value, dy, dense_grads = self.loss(y, target)
            grads = [self.layer.backward(tape, dy)[2], dense_grads]
            fastrnn.optim.clip_grad_norm(grads, 1.0)
            self.optimizer.step(grads)
            losses.append(value)
        return float(np.mean(losses[-50:]))

    def flow(self) -> GradientFlow:
        x, target = self.draw()
        return gradient_flow(self.layer, x, loss=lambda y: self.loss(y, target))


def main() -> None:
    before, after = {}, {}
    for name, kind in {"RNN": fastrnn.RNN, "GRU": fastrnn.GRU, "LSTM": fastrnn.LSTM}.items():
        adder = Adder(kind(1, H, seed=0))
        before[name] = adder.flow()
        loss = adder.train(UPDATES)
        after[name] = adder.flow()
        print(f"{name}, before training:\n{before[name]}\nafter {UPDATES} updates, loss {loss:.3f}:\n{after[name]}\n")
    if len(sys.argv) > 1:
        fastrnn.plot.gradient_flow(after).savefig(sys.argv[1], dpi=80)


if __name__ == "__main__":
    main()
