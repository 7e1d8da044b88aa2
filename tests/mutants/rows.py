"""Planted faults in sparse gradients."""

from __future__ import annotations

from mutant import ENGINE, LAYERS, Mutant, compiled

RECURRENT = "test_sparse_grad.py::test_recurrent_layers_give_the_dense_gradient[True-float64-lstm]"
UPDATE = "test_sparse_grad.py::test_an_update_is_that_of_the_dense_gradient"
REFUSAL = "test_sparse_grad.py::test_other_rules_refuse_by_name"


def fault(name: str, file: str, old: str, new: str, test: str) -> Mutant:
    """A fault in Python."""
    return Mutant(name, file, old, new, test)


OPTIM = "src/fastrnn/optim.py"
GRADIENTS = "src/fastrnn/_gradients.py"

ROWS = [
    compiled(
        "rows-strides-of-the-ids",
        ENGINE + "stack.pxi",
        "run[d].ids, run[d].x = ids_of(places), input_rows(places)",
        "run[d].ids = ids_of(places)",
        "test_sparse_grad.py::test_recurrent_layers_give_the_dense_gradient[True-float32-gru]",
    ),
    fault(
        "rows-padding-counts",
        LAYERS + "recurrent.py",
        "touched(tape.input, tape.active)",
        "touched(tape.input + 7 * (tape.input < 0))",
        RECURRENT,
    ),
    fault("rows-all-in-the-first", LAYERS + "sparse.py", "places[active] = ranks", "places[active] = 0", RECURRENT),
    fault(
        "rows-dense-form-transposed-back",
        LAYERS + "sparse.py",
        "return dense.T if self.transposed else dense",
        "return dense",
        RECURRENT,
    ),
    fault(
        "rows-taken-twice",
        LAYERS + "sparse.py",
        "(np.diff(self.indices) <= 0)",
        "(np.diff(self.indices) < 0)",
        "test_sparse_grad.py::test_rows_that_make_no_matrix_are_refused[ValueError-indices must ascend-arguments6]",
    ),
    fault(
        "rows-start-undefined",
        LAYERS + "recurrent.py",
        "            rooms[name].fill(0)\n",
        "            rooms[name].fill(1)\n",
        RECURRENT,
    ),
    fault(
        "rows-memory-not-written-back",
        OPTIM,
        "            state[slot][g.indices] = array\n",
        "            pass\n",
        UPDATE + "[adagrad-None-float32]",
    ),
    fault("rows-parameter-not-written-back", OPTIM, "        p[g.indices] = rows\n", "", UPDATE + "[sgd-None-float64]"),
    fault(
        "rows-taken-with-momentum",
        OPTIM,
        '("momentum", "weight_decay") if',
        '("weight_decay",) if',
        REFUSAL + "[SGD with momentum]",
    ),
    fault(
        "rows-taken-by-adagrad-with-decay",
        OPTIM,
        '"Adagrad with weight_decay" if self',
        '"" if self',
        REFUSAL + "[Adagrad with weight_decay]",
    ),
    fault(
        "rows-taken-by-all",
        OPTIM,
        "        return type(self).__name__\n",
        '        return ""\n',
        REFUSAL + "[Adam]",
    ),
    fault(
        "rows-not-clipped",
        GRADIENTS,
        "array = gradient.values if isinstance(",
        "array = gradient.values.copy() if isinstance(",
        UPDATE + "[sgd-value-float32]",
    ),
]
