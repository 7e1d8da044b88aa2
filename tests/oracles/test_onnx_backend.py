"""The onnx package's own backend tests of the operators that `from_onnx` runs: a node, its inputs and its outputs."""

import importlib
import warnings

import numpy as np
import pytest
from helpers import assert_close, oracle

from fastrnn import interop
from fastrnn.interop._onnx_operators import OPERATORS
from fastrnn.interop._onnx_recurrent import CELLS

onnx = oracle("onnx")

FILES = {"Range": "rangeop"}  # others: the operator's name in lower case
# What is refused on purpose, by a part of the test's name.
REFUSED = {"training_dropout": "training", "elements_with_reduction": "reduction", "with_duplicate": "reduction"}


def cases(operators):
    """The package's tests of some operators that use types which NumPy has."""
    node = importlib.import_module("onnx.backend.test.case.node")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's own data overflow, divide by zero, ...
        for operator in operators:
            importlib.import_module(f"onnx.backend.test.case.node.{FILES.get(operator, operator.lower())}")
    return {
        case.name: case
        for case in node._NodeTestCases
        if {one.op_type for one in case.model.graph.node} <= set(operators)
        and all(is_number(value) for data in case.data_sets for part in data for value in part)
    }


def is_number(value):
    """Whether a value is an array, or a tensor, of a type that NumPy has."""
    if isinstance(value, onnx.TensorProto):
        return value.data_type in TYPES
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "fiub"


def arrays(values):
    return [onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value for value in values]


TYPES = {onnx.helper.np_dtype_to_tensor_dtype(np.dtype(name)) for name in ("f2", "f4", "f8", "i4", "i8", "?")}
RECURRENT, OTHERS = cases(CELLS), cases(OPERATORS)


def outputs(case, k):
    inputs = dict(zip((item.name for item in case.model.graph.input), arrays(case.data_sets[k][0]), strict=True))
    return interop.from_onnx(case.model).run(inputs)


def test_there_are_tests_of_every_operator():
    tested = {node.op_type for case in [*RECURRENT.values(), *OTHERS.values()] for node in case.model.graph.node}
    assert tested == {*CELLS, *OPERATORS}
    assert len(RECURRENT) >= 18


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent(name):
    """To the package's own relative tolerance, a thousandth, and to what float32 promises."""
    case = RECURRENT[name]
    for k, (_, expected) in enumerate(case.data_sets):
        for got, right in zip(outputs(case, k).values(), arrays(expected), strict=True):
            np.testing.assert_allclose(got, right, rtol=case.rtol, atol=case.atol)
            assert_close(got, right, 2e-6)


@pytest.mark.parametrize("name", OTHERS)
def test_others(name):
    case = OTHERS[name]
    for part, reason in REFUSED.items():
        if part in name:
            with pytest.raises(ValueError, match=reason):
                outputs(case, 0)
            return
    for k, (_, expected) in enumerate(case.data_sets):
        for got, right in zip(outputs(case, k).values(), arrays(expected), strict=True):
            assert got.dtype == right.dtype
            np.testing.assert_allclose(got, right, rtol=1e-6, atol=1e-7)
