"""Time layers in bfloat16 and int8 beside float32, one thread, I = H: calls over 32 steps, and steps of a stream.

    python benchmarks/quantized.py [--rounds 9]

In every round each of the three runs once, in turn; a figure is the median over the rounds of float32's time divided by
the other's, so that whatever else the machine does falls on all of them alike. Results are compared before any timing.
"""

import argparse
from statistics import median
from time import perf_counter

import numpy as np

import fastrnn
from fastrnn.bench import machine

T = 32
SAMPLE = 0.02  # seconds
PRECISIONS = ("bfloat16", "int8")


def sample(call, x, out, repeats: int) -> float:
    """Return the seconds of one call, the mean of some in a row."""
    begin = perf_counter()
    for _ in range(repeats):
        call(x, out=out)
    return (perf_counter() - begin) / repeats


def compare(calls, x, shape: tuple[int, ...], rounds: int) -> tuple[float, float, float]:
    """Return the seconds of the first call, and how many times as long as each of the others it takes."""
    out = np.empty(shape, "float32")
    repeats = max(1, int(SAMPLE / sample(calls[0], x, out, 2)))
    times = np.array([[sample(call, x, out, repeats) for call in calls] for _ in range(rounds)])
    return median(times[:, 0]), median(times[:, 0] / times[:, 1]), median(times[:, 0] / times[:, 2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    fastrnn.set_num_threads(1)
    paths = [f"{precision}: {fastrnn.LSTM(1, 1).quantize(precision).path}" for precision in PRECISIONS]
    print(f"{machine.cpu_name()}, {fastrnn.cpu_info()['isa']}; {'; '.join(paths)}\n")
    print("| cell | H | N | T | float32, µs a step | bfloat16 | int8 |\n| --- | --: | --: | --: | --: | --: | --: |")
    for cell in (fastrnn.LSTM, fastrnn.GRU):
        for H in (128, 256, 512, 1024):
            layer = cell(H, H, seed=0, init=1 / H**0.5)
            layers = [layer, *[layer.quantize(precision) for precision in PRECISIONS]]
            x = np.random.default_rng(0).standard_normal((32, T, H), dtype="float32")
            for other in layers[1:]:
                assert np.abs(other(x)[0] - layer(x)[0]).max() < 0.05
            cases = [(1, "a stream", [each.stream().step for each in layers], x[:1, 0], (1, H), 1)]
            cases += [(N, str(T), layers, x[:N], (N, T, H), T) for N in (1, 8, 32)]
            for N, what, calls, inputs, shape, steps in cases:
                seconds, bfloat16, int8 = compare(calls, inputs, shape, rounds)
                row = f"{N} | {what} | {1e6 * seconds / steps:.1f} | {bfloat16:.2f} | {int8:.2f}"
                print(f"| {cell.__name__} | {H} | {row} |", flush=True)


if __name__ == "__main__":
    main()
