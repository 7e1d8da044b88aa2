"""A Keras file to a running stream: `python examples/keras_file.py [model.keras]`.

Without a file a small model is written first, which needs Keras; reading and running it needs h5py and fastrnn alone.
"""

import os
import sys
import tempfile

import numpy as np

import fastrnn


def written_by_keras() -> str:
    """The file of a model that gives the odds of three classes after every step of eight features."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras
    from keras import layers

    model = keras.Sequential(
        [
            keras.Input((None, 8)),
            layers.LSTM(64, return_sequences=True),
            layers.LSTM(64, return_sequences=True),
            layers.Dense(3, activation="softmax"),
        ]
    )
    path = os.path.join(tempfile.mkdtemp(), "model.keras")
    model.save(path)
    return path


model = fastrnn.interop.from_keras(sys.argv[1] if len(sys.argv) > 1 else written_by_keras())
print("layers:", *model.layers, sep="\n  ")

I = model.layers[0].input_size
x = np.random.default_rng(0).standard_normal((1, 20, I), dtype="float32")
whole = model(x)  # the model's own call, over the sequence

stream = model.stream()  # and one step at a time, as the data comes in
for t in range(x.shape[1]):
    now = stream.step(x[:, t])
print("after the last step:", now, "the same bits as in one call:", bool((now == whole[:, -1]).all()))
