"""Planted faults in a batch's slices and in how their gradients come together."""

from __future__ import annotations

from mutant import ENGINE, Mutant, compiled

SLICES_FILE = ENGINE + "slices.pxi"
BACKWARD = ENGINE + "backward.pxi"


def equals(cell: str, inputs: str = "float", kind: str = "mask") -> str:
    return f"test_slices.py::test_equals_reference[{cell}-{inputs}-{kind}-float64]"


def option(name: str) -> str:
    """Of options, which are tried in float64."""
    return f"test_slices.py::test_every_option[{name}-float]"


def in_float64(name: str, file: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(name, file, old, new, test, "float64")


SLICES = [
    compiled(
        "slices-second-dropped",
        SLICES_FILE,
        "range(1, slices_in(cuts))",
        "range(2, slices_in(cuts))",
        equals("gru"),
    ),
    in_float64(
        "slices-second-dropped-of-ids",
        SLICES_FILE,
        "range(1, slices_in(cuts))",
        "range(2, slices_in(cuts))",
        "test_slices.py::test_rows_of_ids_alone",
    ),
    in_float64(
        "slices-third-dropped",
        SLICES_FILE,
        "range(1, slices_in(cuts))",
        "range(1, min(slices_in(cuts), 2))",
        "test_slices.py::test_four_and_eight_slices[lstm-float-131-13]",
    ),
    compiled(
        "slices-table-not-cleared",
        SLICES_FILE,
        "        arrays[0][...] = 0\n",
        "        pass\n",
        equals("lstm", "ids"),
    ),
    compiled(
        "slices-last-row-in-none",
        SLICES_FILE,
        "share_end(<int>N, slices, i)\n",
        "share_end(<int>N, slices, i) - (i == 0)\n",
        equals("rnn-tanh", kind="full"),
    ),
    compiled(
        "slices-by-threads",
        SLICES_FILE,
        "    return slices\n",
        "    return min(slices, shares_for(1))\n",
        "test_shares.py::test_recurrent_layers[lstm-slices-full]",
    ),
    compiled(
        "slices-steps-overlap-in-the-block",
        BACKWARD,
        "        M += place_of(steps, span.t, b.n1) - place_of(steps, span.t, b.n0)\n",
        "        M += place_of(steps, span.t, b.n1) - place_of(steps, span.t, b.n0) - (b.n0 > 0)\n",
        equals("lstm"),
    ),
    compiled(
        "slices-previous-of-another-row",
        BACKWARD,
        "    return b.previous[t * (b.n1 - b.n0) + n]\n",
        "    return b.previous[t * (b.n1 - b.n0) + n - (b.n0 > 0)]\n",
        equals("gru"),
    ),
    compiled(
        "slices-workspaces-not-kept",
        ENGINE + "memory.pxi",
        "KEPT = 256 ",
        "KEPT = 6 ",
        "test_slices.py::test_a_repeated_call_allocates_nothing",
    ),
    in_float64(
        "slices-mask-of-another-row",
        ENGINE + "masks.pxi",
        "m.of_state + n * m.P",
        "m.of_state + (n + (n0 > 0) * (n + 1 < n1)) * m.P",
        option("drawn"),
    ),
    in_float64(
        "slices-norms-of-the-first",
        ENGINE + "norm.pxi",
        "    for n in range(1, b.n1 - b.n0):\n",
        "    for n in range(1, b.n1 - b.n0 - (b.n0 > 0)):\n",
        option("lstm-norm"),
    ),
    in_float64(
        "slices-projection-of-the-first",
        ENGINE + "projection.pxi",
        "        b.dhidden_rows[n] = b.dhidden + n * b.state_row\n",
        "        b.dhidden_rows[n] = b.dhidden + b.n0 * b.state_row\n",
        option("projected"),
    ),
]
