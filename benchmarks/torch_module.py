"""fastrnn.torch's modules beside torch.nn's, from the same parameters, on one thread: a table for docs/interop.md.

    python benchmarks/torch_module.py [rounds]

The two take turns; a ratio is the median over the rounds of torch / fastrnn, of the processor's time, which counts
nothing that other programs on the machine use. Results are compared before anything is timed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from statistics import median
from time import process_time
from typing import Any

import torch

import fastrnn
from fastrnn import interop
from fastrnn import torch as ours
from fastrnn.bench import machine

POINTS = [(128, 32, 32), (32, 8, 32)]  # H, N, T; I = H
SECONDS = 0.1  # of a sample, at least


def training(module: Any, x: torch.Tensor) -> Callable[[], Any]:
    """One step of a training script: forward, backward, update."""
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-6)

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = module(x)[0].square().mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def inference(module: Any, x: torch.Tensor) -> Callable[[], Any]:
    @torch.no_grad()
    def call() -> torch.Tensor:
        return module(x)[0]

    return call


def loop(cell: Any, x: torch.Tensor) -> Callable[[], Any]:
    """A loop over a cell, forward and backward."""

    def run() -> torch.Tensor:
        cell.zero_grad()
        state, total = None, torch.zeros(())
        for step in x:
            state = cell(step, state)
            total = total + (state[0] if isinstance(state, tuple) else state).square().mean()
        total.backward()
        return total.detach()

    return run


def seconds(call: Callable[[], Any], count: int) -> float:
    start = process_time()
    for _ in range(count):
        call()
    return (process_time() - start) / count


def compare(theirs: Callable[[], Any], mine: Callable[[], Any], rounds: int) -> str:
    """Return "torch's time → fastrnn's, ratio"."""
    a, b = (torch.as_tensor(call()) for call in (theirs, mine))
    assert (a - b).abs().max() <= 1e-5 * max(1, a.abs().max()), "the results differ"
    count = max(1, round(SECONDS / max(seconds(theirs, 3), 1e-6)))
    pairs = [(seconds(theirs, count), seconds(mine, count)) for _ in range(rounds)]
    best = [min(times) * 1e6 for times in zip(*pairs, strict=True)]
    return f"{best[0]:.0f} → {best[1]:.0f} µs, {median(x / y for x, y in pairs):.2f}"


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    torch.set_num_threads(1)
    fastrnn.set_num_threads(1)
    print(machine.cpu_name(), fastrnn.cpu_info()["isa"], "torch", torch.__version__)
    print(
        "| cell | H, N, T | training step | inference | inference by from_torch | loop over the cell, with backward |"
    )
    print("| --- | --- | --: | --: | --: | --: |")
    for name in ("LSTM", "GRU", "RNN"):
        for H, N, T in POINTS:
            theirs = getattr(torch.nn, name)(H, H)
            mine = getattr(ours, name)(H, H)
            mine.load_state_dict(theirs.state_dict())
            x, layer = torch.randn(T, N, H), interop.from_torch(theirs)
            cells = [getattr(source, name + "Cell")(H, H) for source in (torch.nn, ours)]
            cells[1].load_state_dict(cells[0].state_dict())
            columns = [
                compare(inference(theirs, x), inference(mine, x), rounds),
                compare(inference(theirs, x), lambda layer=layer, x=x: layer(x)[0], rounds),
                compare(loop(cells[0], x), loop(cells[1], x), rounds),
            ]
            columns.insert(0, compare(training(theirs, x), training(mine, x), rounds))
            print(f"| {name} | {H}, {N}, {T} | {' | '.join(columns)} |", flush=True)


if __name__ == "__main__":
    main()
