#!/usr/bin/env python3
"""Makes the tiny ONNX models that the tests of this crate run.

    pip install onnx==1.23.2 numpy
    python make.py

The files are committed; run this only to change them.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

HERE = Path(__file__).parent

DATATYPES = {
    "bool": T.BOOL,
    "uint8": T.UINT8,
    "uint16": T.UINT16,
    "uint32": T.UINT32,
    "uint64": T.UINT64,
    "int8": T.INT8,
    "int16": T.INT16,
    "int32": T.INT32,
    "int64": T.INT64,
    "fp16": T.FLOAT16,
    "bf16": T.BFLOAT16,
    "fp32": T.FLOAT,
    "fp64": T.DOUBLE,
    "bytes": T.STRING,
}


def tensor(name, datatype, shape):
    return helper.make_tensor_value_info(name, datatype, shape)


def save(name, nodes, inputs, outputs, constants=(), weights_in=None):
    initializers = [numpy_helper.from_array(value, label) for label, value in constants]
    graph = helper.make_graph(nodes, name, inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    if weights_in:
        (HERE / weights_in).write_bytes(b"".join(value.tobytes() for _, value in constants))
        for initializer in model.graph.initializer:
            # Relative to the folder that the tests are run in.
            onnx.external_data_helper.set_external_data(initializer, f"tests/models/{weights_in}")
            initializer.ClearField("raw_data")
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


def main():
    for name, datatype in DATATYPES.items():
        save(
            f"identity_{name}",
            [helper.make_node("Identity", ["x"], ["y"])],
            [tensor("x", datatype, ["batch", 3])],
            [tensor("y", datatype, ["batch", 3])],
        )

    # Two dynamic axes, two outputs of different rank and type.
    save(
        "dynamic",
        [
            helper.make_node("ReduceSum", ["x", "last"], ["sum"], keepdims=0),
            helper.make_node("ArgMax", ["x"], ["highest"], axis=1, keepdims=1),
        ],
        [tensor("x", T.FLOAT, ["batch", "length"])],
        [tensor("sum", T.FLOAT, ["batch"]), tensor("highest", T.INT64, ["batch", 1])],
        [("last", np.array([1], np.int64))],
    )

    # Two inputs that share both axes, as token ids and attention mask do.
    save(
        "two_inputs",
        [helper.make_node("Mul", ["ids", "mask"], ["masked"])],
        [tensor("ids", T.INT64, ["batch", "length"]), tensor("mask", T.INT64, ["batch", "length"])],
        [tensor("masked", T.INT64, ["batch", "length"])],
    )

    # No batch axis: everything is fixed.
    save(
        "no_batch",
        [helper.make_node("Transpose", ["x"], ["y"], perm=[1, 0])],
        [tensor("x", T.FLOAT, [2, 3])],
        [tensor("y", T.FLOAT, [3, 2])],
    )

    # Looks up rows of a table of four; an index beyond it fails when the model runs.
    save(
        "fails",
        [helper.make_node("Gather", ["table", "index"], ["y"], axis=0)],
        [tensor("index", T.INT64, ["batch"])],
        [tensor("y", T.FLOAT, ["batch", 2])],
        [("table", np.arange(8, dtype=np.float32).reshape(4, 2))],
    )

    # Takes as much memory as it is told to: more than there is fails when the model runs.
    save(
        "hungry",
        [
            helper.make_node("Expand", ["one", "size"], ["ones"]),
            helper.make_node("ReduceSum", ["ones"], ["sum"], keepdims=0),
            helper.make_node("Unsqueeze", ["sum", "first"], ["y"]),
        ],
        [tensor("size", T.INT64, [1])],
        [tensor("y", T.FLOAT, [1])],
        [("one", np.ones(1, np.float32)), ("first", np.zeros(1, np.int64))],
    )

    # The first axis of the output is dynamic but is not the batch: it is twice as long.
    save(
        "doubles",
        [helper.make_node("Concat", ["x", "x"], ["y"], axis=0)],
        [tensor("x", T.FLOAT, ["batch", 3])],
        [tensor("y", T.FLOAT, ["rows", 3])],
    )

    # Works on strings.
    save(
        "shout",
        [helper.make_node("StringConcat", ["text", "mark"], ["loud"])],
        [tensor("text", T.STRING, ["batch"])],
        [tensor("loud", T.STRING, ["batch"])],
        [("mark", np.array("!", dtype=object))],
    )

    # Keeps its weights in another file. They are more than ONNX Runtime reads while it optimises the graph, where it
    # would miss the path of the model: without the setting that forbids it, this model loads.
    save(
        "external",
        [helper.make_node("Add", ["x", "weights"], ["y"])],
        [tensor("x", T.FLOAT, ["batch", 64])],
        [tensor("y", T.FLOAT, ["batch", 64])],
        [("weights", np.arange(64, dtype=np.float32))],
        weights_in="external.bin",
    )

    # Gives something that no job can carry: a sequence of tensors.
    sequence = helper.make_sequence_type_proto(helper.make_tensor_type_proto(T.FLOAT, None))
    save(
        "sequence",
        [helper.make_node("SplitToSequence", ["x"], ["y"], axis=0)],
        [tensor("x", T.FLOAT, ["batch", 3])],
        [helper.make_value_info("y", sequence)],
    )


if __name__ == "__main__":
    main()
