"""Time layers in bfloat16 and int8 beside float32, one thread, sequences of 32 steps, I = H.

    python benchmarks/quantized.py [--rounds 9]

In every round each of the three runs once, in turn; a figure is the median over the rounds of float32's time divided by
the other's, so that whatever else the machine does falls on all of them alike. Results are compared before any timing.
"""

import argparse
from statistics import median
from time import perf_counter

import machine
import numpy as np

import fastrnn

T = 32
SAMPLE = 0.02  # seconds
PRECISIONS = ("bfloat16", "int8")


def sample(layer, x, out, repeats: int) -> float:
    """Return the seconds of one call, the mean of some in a row."""
    begin = perf_counter()
    for _ in range(repeats):
        layer(x, out=out)
    return (perf_counter() - begin) / repeats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    fastrnn.set_num_threads(1)
    paths = [f"{precision}: {fastrnn.LSTM(1, 1).quantize(precision).path}" for precision in PRECISIONS]
    print(f"{machine.cpu_name()}, {fastrnn.cpu_info()['isa']}; {'; '.join(paths)}\n")
    print("| cell | H | N | float32, µs a step | bfloat16 | int8 |\n| --- | --: | --: | --: | --: | --: |")
    for cell in (fastrnn.LSTM, fastrnn.GRU):
        for H in (128, 256, 512, 1024):
            layer = cell(H, H, seed=0, init=1 / H**0.5)
            layers = [layer, *[layer.quantize(precision) for precision in PRECISIONS]]
            for N in (1, 8, 32):
                x = np.random.default_rng(0).standard_normal((N, T, H), dtype="float32")
                expected, out = layer(x)[0], np.empty((N, T, H), "float32")
                for other in layers[1:]:
                    assert np.abs(other(x)[0] - expected).max() < 0.05
                repeats = max(1, int(SAMPLE / sample(layer, x, out, 1)))
                times = np.array([[sample(each, x, out, repeats) for each in layers] for _ in range(rounds)])
                ratios = [median(times[:, 0] / times[:, k]) for k in (1, 2)]
                step = 1e6 * median(times[:, 0]) / T
                print(f"| {cell.__name__} | {H} | {N} | {step:.1f} | {ratios[0]:.2f} | {ratios[1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
