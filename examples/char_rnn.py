"""Character language modelling of tinyshakespeare in the default setting of char-rnn (Karpathy 2015).

    python examples/char_rnn.py tinyshakespeare/input.txt
    python examples/char_rnn.py tinyshakespeare/input.txt --updates 1000 --torch

Two layers of 128 LSTM units on one-hot input, RMSprop, 50 streams of the text side by side, the first 95 % of the
windows of each for training and the rest for validation, as that program has them. After every thousand updates it says
the validation loss in nats per character; char-rnn itself reached 1.78 after 1,000 updates and 1.47 after 3,000.
`--torch` then trains the same network in PyTorch for the same number of updates, to compare the time.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

import fastrnn
from fastrnn.models import LanguageModel
from fastrnn.models.presets import PRESETS

N = T = 50
TRAINED = 0.95  # of each stream's windows
EVERY = 1000


def split(text: str) -> tuple[str, str]:
    """Return the first parts of the 50 streams joined, and their last parts."""
    windows = len(text) // (N * T)
    cut, length = math.floor(windows * TRAINED) * T, windows * T
    streams = [text[n * length : (n + 1) * length] for n in range(N)]
    first, last = "".join(one[:cut] for one in streams), "".join(one[cut:] for one in streams)
    return first + streams[-1][cut], last + streams[0][0]  # and what follows the last character of each


def train(first: str, last: str, updates: int, seed: int) -> float:
    """Train for whole epochs, print the loss at each thousandth update, and return the seconds that an update took."""
    preset = PRESETS["char-rnn"]
    per_epoch = len(first) // (N * T)
    epochs = math.ceil(updates / per_epoch)
    with tempfile.TemporaryDirectory() as folder:
        start = perf_counter()
        model = LanguageModel(**preset.model, random_state=seed)
        model.fit(first, **{**preset.fit, "epochs": epochs}, checkpoint=folder, checkpoint_every=EVERY, keep=1000)
        seconds = (perf_counter() - start) / (epochs * per_epoch)
        for done in range(EVERY, updates + 1, EVERY):
            loss = -fastrnn.load(Path(folder) / f"checkpoint-{done:09d}.safetensors").score(last, batch_size=N)
            print(f"update {done:6,}: validation {loss:.4f} nats per character")
    print(f"fastrnn: {1000 * seconds:.2f} ms an update, {seconds * updates:.1f} s for {updates:,}")
    print(model.sample(300, temperature=0.8, random_state=seed))
    return seconds


def train_torch(first: str, updates: int) -> float:
    """Return the seconds that an update of the same network takes in PyTorch."""
    import torch

    torch.set_num_threads(fastrnn.get_num_threads())
    symbols = sorted(set(first))
    ids = np.array([symbols.index(character) for character in first])
    length = (len(ids) - 1) // N
    inputs, targets = (torch.tensor(part[: N * length].reshape(N, length)) for part in (ids[:-1], ids[1:]))
    V = len(symbols)
    lstm, dense = torch.nn.LSTM(V, 128, 2, batch_first=True), torch.nn.Linear(128, V)
    parameters = [*lstm.parameters(), *dense.parameters()]
    for parameter in parameters:
        torch.nn.init.uniform_(parameter, -0.08, 0.08)
    optimizer = torch.optim.RMSprop(parameters, lr=2e-3, alpha=0.95, eps=1e-8)
    done, start, state, window = 0, perf_counter(), None, 0
    while done < updates:
        x, y = inputs[:, window : window + T], targets[:, window : window + T]
        h, state = lstm(torch.nn.functional.one_hot(x, V).float(), state)
        state = tuple(part.detach() for part in state)
        loss = T * torch.nn.functional.cross_entropy(dense(h).reshape(-1, V), y.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_value_(parameters, 5.0)
        optimizer.step()
        done, window = done + 1, window + T
        if window + T > length:
            state, window = None, 0
    return (perf_counter() - start) / updates


def main() -> None:
    """Train, print, and compare where that is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("text", type=Path, help="tinyshakespeare's input.txt, or another text")
    parser.add_argument("--updates", type=int, default=3000, metavar="N", help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default %(default)s")
    parser.add_argument("--torch", action="store_true", help="train in PyTorch too, to compare the time")
    arguments = parser.parse_args()
    first, last = split(arguments.text.read_text("utf-8"))
    print(f"{len(first):,} characters to train on, {len(last):,} for validation")
    seconds = train(first, last, arguments.updates, arguments.seed)
    if arguments.torch:
        other = train_torch(first, arguments.updates)
        print(f"PyTorch: {1000 * other:.2f} ms an update, {other / seconds:.2f} times as long")


if __name__ == "__main__":
    main()
