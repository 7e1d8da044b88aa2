"""The adding problem (Hochreiter and Schmidhuber 1997): add the two numbers that are marked among many.

Each step holds a number from U(0, 1) and a mark, which is 1 at one step of each half of the sequence. The answer 1 has
a mean squared error of 1/6 = 0.167; to do better a network must carry numbers over up to T steps. Every update sees
sequences that were never seen before.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from fastrnn.models import SequenceRegressor


def examples(count: int, T: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return sequences (count, T, 2) and their answers (count,)."""
    X = np.zeros((count, T, 2), "float32")
    X[..., 0] = rng.random((count, T))
    rows = np.arange(count)
    for low, high in ((0, T // 2), (T // 2, T)):
        X[rows, rng.integers(low, high, count), 1] = 1
    return X, (X[..., 0] * X[..., 1]).sum(axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", default=["gru", "lstm", "rnn"], help="default gru lstm rnn")
    parser.add_argument("--length", type=int, default=200, metavar="T", help="default %(default)s")
    parser.add_argument("--updates", type=int, default=3000, help="at most (default %(default)s)")
    parser.add_argument("--hidden-size", type=int, default=64, help="default %(default)s")
    parser.add_argument("--batch-size", type=int, default=50, help="default %(default)s")
    parser.add_argument("--learning-rate", type=float, default=5e-3, help="default %(default)s")
    parser.add_argument("--target", type=float, default=0.003, help="error at which to stop (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="default %(default)s")
    arguments = parser.parse_args()

    for cell in arguments.cells:
        rng = np.random.default_rng(arguments.seed)
        X_test, y_test = examples(1000, arguments.length, rng)
        model = SequenceRegressor(cell, arguments.hidden_size, standardize=False, random_state=arguments.seed)
        start = time.perf_counter()
        for update in range(1, arguments.updates + 1):
            X, y = examples(arguments.batch_size, arguments.length, rng)
            model.partial_fit(X, y, learning_rate=arguments.learning_rate)
            if update % 100 == 0:
                error = float(np.mean((model.predict(X_test) - y_test) ** 2))
                seconds = time.perf_counter() - start
                print(f"{cell:4} update {update:5}  error {error:.4f}  {seconds:4.0f} s", flush=True)
                if error < arguments.target:
                    break


if __name__ == "__main__":
    main()
