"""The cases that the cells are tested on: a pairwise covering set over awkward sizes and every option.

Any two values of any two factors meet in at least one case. The set is made by a greedy algorithm without chance:
the same cases, in the same order, on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import combinations

FACTORS: dict[str, tuple] = {
    "H": (1, 2, 3, 7, 15, 16, 17, 31, 33, 64, 65, 127, 200),
    "I": (1, 2, 3, 7, 15, 16, 17, 31, 33, 64, 65, 127, 200),
    "N": (1, 2, 5, 6, 7, 32, 33),
    "T": (1, 2, 7, 40),
    "cell": ("lstm", "gru", "gru-before", "rnn-tanh", "rnn-relu", "rnn-sigmoid", "rnn-linear"),
    "layers": (1, 2, 3),
    "directions": (1, 2),
    "bias": (True, False),
    "batch_first": (True, False),
    "inputs": ("float", "ids"),
    "rows": ("full", "lengths", "mask"),
    "resets": (False, True),
    "pad": ("zero", "hold"),
    "state": (False, True),
}


@dataclass(frozen=True)
class Case:
    """One point of the grid; the fields are the keys of `FACTORS`."""

    H: int
    I: int
    N: int
    T: int
    cell: str
    layers: int
    directions: int
    bias: bool
    batch_first: bool
    inputs: str
    rows: str
    resets: bool
    pad: str
    state: bool

    def __str__(self) -> str:
        words = [self.cell, f"H{self.H}", f"I{self.I}", f"N{self.N}", f"T{self.T}", f"L{self.layers}"]
        words += ["bi"] * (self.directions == 2) + ["nobias"] * (not self.bias)
        words += ["time-major"] * (not self.batch_first) + ["ids"] * (self.inputs == "ids")
        words += [self.rows] * (self.rows != "full") + ["resets"] * self.resets
        words += ["hold"] * (self.pad == "hold") + ["state"] * self.state
        return "-".join(words)


def pairwise(factors: dict[str, tuple]) -> list[dict]:
    """A small list of rows in which every pair of values of every two factors occurs.

    Each row begins with the first pair not yet covered; every other factor then takes the value that covers most
    new pairs with what the row already holds (the least used value among equals).
    """
    names = list(factors)
    uncovered = {
        ((a, u), (b, v)): None for a, b in combinations(names, 2) for u in factors[a] for v in factors[b]
    }  # a dict for its order
    uses = {(name, value): 0 for name in names for value in factors[name]}
    rows = []

    def pair(name, value, other, row):
        mine, its = (name, value), (other, row[other])
        return (mine, its) if names.index(name) < names.index(other) else (its, mine)

    while uncovered:
        row = dict(next(iter(uncovered)))
        for name in sorted(set(names) - set(row), key=names.index):
            row[name] = max(
                factors[name],
                key=lambda value: (
                    sum(pair(name, value, other, row) in uncovered for other in row),
                    -uses[name, value],
                ),
            )
        for a, b in combinations(names, 2):
            uncovered.pop(((a, row[a]), (b, row[b])), None)
        for item in row.items():
            uses[item] += 1
        rows.append({name: row[name] for name in names})
    return rows


# The second set lets every two values of the other factors meet over a real sequence too, not at T = 1 alone.
ROWS = pairwise(FACTORS) + pairwise(FACTORS | {"T": (7,), "N": (2, 7, 33)})
CASES = list(dict.fromkeys(Case(**row) for row in ROWS))

assert [field.name for field in fields(Case)] == list(FACTORS)
assert len(CASES) <= 400
