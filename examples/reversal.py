"""Learn to write strings backwards: an encoder-decoder on random strings of 10 to 20 letters.

The decoder sees nothing of the source but its own initial state, which a learned layer makes from where a bidirectional
encoder ends. All strings are made here; those for the test are none of those trained on.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from fastrnn.models import EncoderDecoder


def strings(count: int, letters: str, rng: np.random.Generator) -> list[str]:
    """Return random strings of 10 to 20 letters."""
    return ["".join(rng.choice(list(letters), rng.integers(10, 21))) for _ in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--letters", default="abcd", help="default %(default)s")
    parser.add_argument("--strings", type=int, default=20000, help="to train on (default %(default)s)")
    parser.add_argument("--epochs", type=int, default=10, help="default %(default)s")
    parser.add_argument("--cell", default="gru", help="default %(default)s")
    parser.add_argument("--hidden-size", type=int, default=128, help="default %(default)s")
    parser.add_argument("--learning-rate", type=float, default=5e-3, help="default %(default)s")
    parser.add_argument("--batch-size", type=int, default=64, help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default %(default)s")
    arguments = parser.parse_args()

    rng = np.random.default_rng(arguments.seed)
    train = strings(arguments.strings, arguments.letters, rng)
    test = sorted(set(strings(2000, arguments.letters, rng)) - set(train))
    model = EncoderDecoder(cell=arguments.cell, hidden_size=arguments.hidden_size, random_state=arguments.seed)
    start = time.perf_counter()
    model.fit(
        train, [string[::-1] for string in train], validation=(test[:500], [string[::-1] for string in test[:500]]),
        epochs=arguments.epochs, batch_size=arguments.batch_size, learning_rate=arguments.learning_rate, verbose=2,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    backwards = [string[::-1] for string in test]
    print(f"trained on {len(train)} strings for {seconds:.0f} s; {test[0]} -> {model.predict(test[:1])[0]}")
    for width in (1, 4):
        print(f"beam of {width}: {model.score(test, backwards, beam_width=width):.2%} of {len(test)} new strings right")


if __name__ == "__main__":
    main()
