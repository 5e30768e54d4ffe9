"""Writes small models and data for the tests of uoe-run: model.py KIND PATH."""

import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def port(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def weight(name, array):
    return numpy_helper.from_array(np.ascontiguousarray(array), name)


def save(path, nodes, inputs, outputs, weights=(), domains=()):
    graph = helper.make_graph(list(nodes), "g", list(inputs), list(outputs), list(weights))
    opsets = [helper.make_opsetid("", 18)] + [helper.make_opsetid(domain, 1) for domain in domains]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)


def linear(path, scale=1.0):
    """y = relu(x W + b), where W is twice the identity and b is 1."""
    save(
        path,
        [helper.make_node("MatMul", ["x", "W"], ["xw"], "product"), helper.make_node("Add", ["xw", "b"], ["z"]),
         helper.make_node("Relu", ["z"], ["y"])],
        [port("x", TensorProto.FLOAT, ["batch", 4])],
        [port("y", TensorProto.FLOAT, ["batch", 4])],
        [weight("W", np.float32(2 * scale) * np.eye(4, dtype=np.float32)), weight("b", np.ones(4, np.float32))],
    )


def saturated(path):
    """x W in integers, recorded as it comes out where sums of two products stop at 16 bits."""
    os.makedirs(os.path.join(path, "test_data_set_0"))
    save(os.path.join(path, "model.onnx"), [helper.make_node("MatMulInteger", ["x", "W"], ["y"])],
         [port("x", TensorProto.UINT8, ["batch", 4])], [port("y", TensorProto.INT32, ["batch", 2])],
         [weight("W", np.full((4, 2), 127, np.int8))])
    for name, array in (("input_0", np.full((1, 4), 255, np.uint8)), ("output_0", np.full((1, 2), 2 * 32767, np.int32))):
        with open(os.path.join(path, "test_data_set_0", name + ".pb"), "wb") as file:
            file.write(numpy_helper.from_array(array).SerializeToString())


def encoder(path, turn=0.0):
    """Hidden states are rows of a table; `turn` rotates each by that angle within its pairs."""
    rng = np.random.default_rng(1)
    table = rng.standard_normal((32, 8)).astype(np.float32)
    c, s = np.cos(turn), np.sin(turn)
    rotation = np.kron(np.eye(4), np.array([[c, s], [-s, c]])).astype(np.float32)
    save(
        path,
        [helper.make_node("Gather", ["E", "input_ids"], ["rows"]),
         helper.make_node("MatMul", ["rows", "R"], ["last_hidden_state"])],
        [port("input_ids", TensorProto.INT64, ["batch", "seq"]),
         port("attention_mask", TensorProto.INT64, ["batch", "seq"])],
        [port("last_hidden_state", TensorProto.FLOAT, ["batch", "seq", 8])],
        [weight("E", table), weight("R", rotation)],
    )


def decoder(path):
    """All 32 tokens are equally likely, so perplexity is 32; the cache collects rows of the table."""
    save(
        path,
        [helper.make_node("Gather", ["E", "input_ids"], ["rows"]),
         helper.make_node("MatMul", ["rows", "head"], ["logits"]),
         helper.make_node("Unsqueeze", ["rows", "one"], ["keys"]),
         helper.make_node("Concat", ["past_key_values.0.key", "keys"], ["present.0.key"], axis=2)],
        [port("input_ids", TensorProto.INT64, ["batch", "seq"]),
         port("attention_mask", TensorProto.INT64, ["batch", "past + seq"]),
         port("past_key_values.0.key", TensorProto.FLOAT, ["batch", 1, "past", 4])],
        [port("logits", TensorProto.FLOAT, ["batch", "seq", 32]),
         port("present.0.key", TensorProto.FLOAT, ["batch", 1, "past + seq", 4])],
        [weight("E", np.ones((32, 4), np.float32)), weight("head", np.zeros((4, 32), np.float32)),
         weight("one", np.array([1], np.int64))],
    )


def attention(path):
    """A decoder of one causal attention layer over its cache; keys and values are the embeddings."""
    rng = np.random.default_rng(2)
    node = helper.make_node
    save(
        path,
        [node("Gather", ["E", "input_ids"], ["rows"]),
         node("Unsqueeze", ["rows", "one"], ["queries"]),
         node("Concat", ["past_key_values.0.key", "queries"], ["present.0.key"], axis=2),
         node("Transpose", ["present.0.key"], ["turned"], perm=[0, 1, 3, 2]),
         node("MatMul", ["queries", "turned"], ["scores"]),
         node("Shape", ["present.0.key"], ["total"], start=2, end=3),
         node("Squeeze", ["total"], ["t"]),
         node("Range", ["zero", "t", "step"], ["columns"]),
         node("Unsqueeze", ["position_ids", "middle"], ["lines"]),
         node("LessOrEqual", ["columns", "lines"], ["seen"]),
         node("Where", ["seen", "scores", "low"], ["masked"]),
         node("Softmax", ["masked"], ["weights"], axis=-1),
         node("MatMul", ["weights", "present.0.key"], ["mixed"]),
         node("Squeeze", ["mixed", "one"], ["states"]),
         node("MatMul", ["states", "head"], ["logits"])],
        [port("input_ids", TensorProto.INT64, ["batch", "seq"]),
         port("position_ids", TensorProto.INT64, ["batch", "seq"]),
         port("past_key_values.0.key", TensorProto.FLOAT, ["batch", 1, "past", 8])],
        [port("logits", TensorProto.FLOAT, ["batch", "seq", 32]),
         port("present.0.key", TensorProto.FLOAT, ["batch", 1, "past + seq", 8])],
        [weight("E", rng.standard_normal((32, 8)).astype(np.float32)),
         weight("head", rng.standard_normal((8, 32)).astype(np.float32)),
         weight("one", np.array([1], np.int64)), weight("middle", np.array([1, 3], np.int64)),
         weight("zero", np.array(0, np.int64)), weight("step", np.array(1, np.int64)),
         weight("low", np.array(-1e9, np.float32))],
    )


def unknown(path):
    save(
        path,
        [helper.make_node("Mystery", ["x"], ["y"], "riddle", domain="com.example")],
        [port("x", TensorProto.FLOAT, ["batch", 4])],
        [port("y", TensorProto.FLOAT, ["batch", 4])],
        domains=["com.example"],
    )


def tests(path):
    """Three folders in the layout of backend tests: right, wrong by 1e-3 of the largest, not executable."""
    x = np.array([[1, 2, 3, -4]], np.float32)
    y = np.maximum(2 * x + 1, 0)
    for name, make, expected in (
        ("right", linear, y), ("wrong", linear, y * np.float32(1.001)), ("refused", unknown, y),
    ):
        data = os.path.join(path, name, "test_data_set_0")
        os.makedirs(data)
        make(os.path.join(path, name, "model.onnx"))
        for file, array in (("input_0.pb", x), ("output_0.pb", expected)):
            with open(os.path.join(data, file), "wb") as out:
                out.write(weight(file[:-5], array).SerializeToString())


def sequence(path):
    """One folder: a tensor split into a sequence, and an optional input that is absent."""
    os.makedirs(os.path.join(path, "test_data_set_0"))
    elements = helper.make_tensor_sequence_value_info("parts", TensorProto.FLOAT, None)
    save(
        os.path.join(path, "model.onnx"),
        [helper.make_node("SplitToSequence", ["x"], ["parts"], axis=0, keepdims=1)],
        [port("x", TensorProto.FLOAT, [2, 2])], [elements],
    )
    x = np.arange(4, dtype=np.float32).reshape(2, 2)
    with open(os.path.join(path, "test_data_set_0", "input_0.pb"), "wb") as out:
        out.write(weight("x", x).SerializeToString())
    with open(os.path.join(path, "test_data_set_0", "output_0.pb"), "wb") as out:
        out.write(numpy_helper.from_list([x[:1], x[1:]], "parts").SerializeToString())


MODELS = {
    "linear": linear, "linear-half": lambda path: linear(path, 0.5), "encoder": encoder,
    "encoder-turned": lambda path: encoder(path, 0.5), "decoder": decoder,
    "attention": attention, "unknown": unknown,
    "tests": tests, "saturated": saturated, "sequence": sequence,
}
MODELS[sys.argv[1]](sys.argv[2])
