"""What low precision costs: language models trained on Python's own sources, read again with quantized layers.

    python examples/quantization.py [--epochs 2]

Prints the table of docs/quantization.md: the loss on held-out text, nats a character, with float32, bfloat16 and int8
weights in the recurrent layers; in brackets how much more that is than float32's.
"""

import argparse
import copy
import sysconfig
from pathlib import Path

from fastrnn.demo import sources
from fastrnn.models import LanguageModel

MODELS = [("lstm", 1, 256), ("lstm", 2, 128), ("gru", 1, 256), ("rnn", 1, 256)]

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=2)
epochs = parser.parse_args().epochs
text, held_out, _ = sources(Path(sysconfig.get_paths()["stdlib"]))
print(f"{len(text):,} characters, {len(held_out):,} held out, {epochs} epochs\n")
print("| model | float32 | bfloat16 | int8 |\n| --- | --: | --: | --: |")
for cell, num_layers, hidden_size in MODELS:
    rate = 1e-3 if cell == "rnn" else 1e-2
    model = LanguageModel(cell=cell, num_layers=num_layers, hidden_size=hidden_size, random_state=0)
    model.fit(text, epochs=epochs, batch_size=16, sequence_length=32, learning_rate=rate)
    losses = [-model.score(held_out)]
    for precision in ("bfloat16", "int8"):
        smaller = copy.copy(model)
        smaller.recurrent_ = model.recurrent_.quantize(precision)
        losses.append(-smaller.score(held_out))
    more = [f"{loss:.4f} ({100 * (loss / losses[0] - 1):+.3f} %)" for loss in losses[1:]]
    print(f"| {cell}, {num_layers} × {hidden_size} | {losses[0]:.4f} | {more[0]} | {more[1]} |", flush=True)
