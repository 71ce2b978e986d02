#!/usr/bin/env python3
"""Makes the tiny ONNX models that the fault tests run: one that can kill its process, one that can take long.

    pip install onnx==1.23.2 numpy
    python make.py

The files are committed; run this only to change them. README.md says what they do.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

HERE = Path(__file__).parent


def tensor(name, datatype, shape):
    return helper.make_tensor_value_info(name, datatype, shape)


def save(name, nodes, inputs, outputs, constants):
    initializers = [numpy_helper.from_array(value, label) for label, value in constants]
    graph = helper.make_graph(nodes, name, inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


def divide():
    """y = 100 / (x - 100) in whole numbers, which ONNX Runtime does as the processor does it: x86 raises SIGFPE on 0.

    Not on x = 0, which models are warmed up with.
    """
    save(
        "divide",
        [
            helper.make_node("Sub", ["x", "hundred"], ["divisor"]),
            helper.make_node("Div", ["hundred", "divisor"], ["y"]),
        ],
        [tensor("x", T.INT32, ["batch", 1])],
        [tensor("y", T.INT32, ["batch", 1])],
        [("hundred", np.array([[100]], np.int32))],
    )


def slow():
    """y = x, after as many turns of a loop as the elements of x add up to.

    What the loop carries is 0 for ever, and is added to x, so that no optimisation of the graph can leave the loop out.
    """
    turn = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on_in"], ["go_on_out"]),
            helper.make_node("Mul", ["zero_in", "three"], ["zero_out"]),
        ],
        "turn",
        [tensor("turn", T.INT64, []), tensor("go_on_in", T.BOOL, []), tensor("zero_in", T.INT64, [])],
        [tensor("go_on_out", T.BOOL, []), tensor("zero_out", T.INT64, [])],
        [numpy_helper.from_array(np.array(3, np.int64), "three")],
    )
    save(
        "slow",
        [
            helper.make_node("ReduceSum", ["x"], ["turns"], keepdims=0),
            helper.make_node("Loop", ["turns", "go_on", "zero"], ["still_zero"], body=turn),
            helper.make_node("Add", ["x", "still_zero"], ["y"]),
        ],
        [tensor("x", T.INT64, ["batch", 1])],
        [tensor("y", T.INT64, ["batch", 1])],
        [("go_on", np.array(True)), ("zero", np.array(0, np.int64))],
    )


if __name__ == "__main__":
    divide()
    slow()
