"""An ONNX file to a running stream: `python examples/onnx_file.py [model.onnx]`.

Without a file a small model is written first, by fastrnn itself; an export of another framework is read alike.
"""

import os
import sys
import tempfile

import numpy as np

import fastrnn


def written_here() -> str:
    """The file of a GRU over eight features with three outputs after every step."""
    layers = [fastrnn.GRU(8, 64, seed=0), fastrnn.Dense(64, 3, seed=0)]
    path = os.path.join(tempfile.mkdtemp(), "model.onnx")
    fastrnn.interop.to_onnx(layers, path)
    return path


path = sys.argv[1] if len(sys.argv) > 1 else written_here()
model = fastrnn.interop.from_onnx(path)
print(model)

if len(sys.argv) == 1:
    x = np.random.default_rng(0).standard_normal((1, 20, 8), dtype="float32")
    whole = model.run({"x": x})  # the graph, as its own runtime would run it

    (gru,) = model.layers  # its recurrent layer, one step at a time as the data comes in
    stream = gru.stream()
    for t in range(x.shape[1]):
        h = stream.step(x[:, t])
    print("the same state after the last step:", bool((h == whole["h"][0]).all()))
