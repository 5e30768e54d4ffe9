"""Small decoders with mixtures of experts: mixtures.py make FOLDER writes

  moe.onnx    com.microsoft.MoE, SwiGLU with biases; experts 4 and 5 are copies of 1 and 0
  zero.onnx   com.microsoft.MoE, SiLU with a bias; expert 3 gives nothing
  qmoe.onnx   com.microsoft.QMoE, SwiGLU of 4 bits, in blocks with zero points in the second layer
  tokens.npy  text to calibrate with, ids.npy an input

mixtures.py compare FOLDER REFERENCE.onnx MODEL...: REFERENCE by ONNX Runtime, each model by uoe-run and, if it is ONNX, by ONNX Runtime;
says whether they agree within 1e-4 of the largest value, how many MoE nodes it has and how many weights."""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

VOCABULARY, D, F, E = 40, 32, 16, 6
folder = pathlib.Path(sys.argv[2])
rng = np.random.default_rng(17)


def real(*shape, scale=1.0):
    return (scale * rng.standard_normal(shape)).astype(np.float32)


def fused(layer, kind):
    """The inputs after the router's logits, and the attributes."""
    gated = kind != "zero"
    attributes = dict(k=2, normalize_routing_weights=1, activation_type="swiglu" if gated else "silu")
    if gated:
        attributes.update(swiglu_fusion=1, activation_alpha=1.0, activation_beta=0.0)
    rows = 2 * F if gated else F
    if kind == "qmoe":
        attributes.update(expert_weight_bits=4)
        block = 16 if layer else 0
        if block:
            attributes.update(block_size=block)

        def packed(out, width):
            return rng.integers(0, 256, (E, out, width // 2), dtype=np.uint8)

        def scales(out, width):
            s = 0.02 + 0.02 * rng.random((E, out, width // block if block else 1))
            return (s if block else s[:, :, 0]).astype(np.float32)

        def zeros(out, width):
            return rng.integers(0, 256, (E, out, -(-(width // block) // 2)), dtype=np.uint8) if block else None

        return [packed(rows, D), scales(rows, D), real(E, rows, scale=0.1), packed(D, F), scales(D, F), real(E, D, scale=0.1), None,
                None, None, zeros(rows, D), zeros(D, F)], attributes
    weights = [real(E, rows, D, scale=D**-0.5), real(E, rows, scale=0.2), real(E, D, F, scale=F**-0.5), real(E, D, scale=0.2)]
    for w in weights:
        if kind == "moe":
            w[4], w[5] = w[1], w[0]
    if kind == "zero":
        weights[2][3], weights[3][3] = 0, 0
    return weights, attributes


def decoder(kind):
    nodes, initializers = [], []

    def weight(name, value):
        initializers.append(numpy_helper.from_array(value, name))
        return name

    nodes.append(helper.make_node("Gather", [weight("embedding", real(VOCABULARY, D)), "input_ids"], ["x0"]))
    rows = weight("rows", np.array([-1, D], np.int64))
    for i in range(2):
        nodes.append(helper.make_node("Reshape", [f"x{i}", rows], [f"flat{i}"]))
        nodes.append(helper.make_node("MatMul", [f"flat{i}", weight(f"router{i}", real(D, E, scale=0.5))], [f"logits{i}"]))
        inputs, attributes = fused(i, kind)
        names = [weight(f"w{i}.{j}", value) if value is not None else "" for j, value in enumerate(inputs)]
        nodes.append(helper.make_node("QMoE" if kind == "qmoe" else "MoE", [f"x{i}", f"logits{i}", *names], [f"m{i}"],
                                      domain="com.microsoft", **attributes))
        nodes.append(helper.make_node("Add", [f"x{i}", f"m{i}"], [f"x{i + 1}"]))
    nodes.append(helper.make_node("MatMul", ["x2", weight("head", real(D, VOCABULARY))], ["logits"]))
    graph = helper.make_graph(nodes, kind, [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "seq"])],
                              [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "seq", VOCABULARY])], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)], ir_version=9)
    onnx.save(model, folder / f"{kind}.onnx")


def runtime(path):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"input_ids": np.load(folder / "ids.npy")})[0]


def ours(path):
    with tempfile.TemporaryDirectory() as out:
        subprocess.run(["uoe-run", "run", path, "--input", f"input_ids={folder / 'ids.npy'}", "--output-dir", out], check=True,
                       capture_output=True)
        return np.load(pathlib.Path(out) / "logits.npy")


if sys.argv[1] == "make":
    folder.mkdir(parents=True, exist_ok=True)
    for kind in ("moe", "zero", "qmoe"):
        decoder(kind)
    np.save(folder / "tokens.npy", rng.integers(1, VOCABULARY, 2048))
    np.save(folder / "ids.npy", rng.integers(1, VOCABULARY, (2, 9)))
else:
    expected = runtime(folder / sys.argv[3])
    for name in sys.argv[4:]:
        results, moes, size = [ours(folder / name)], 0, 0
        if name.endswith(".onnx"):
            results.append(runtime(folder / name))
            graph = onnx.load(folder / name).graph
            moes = sum(node.op_type in ("MoE", "QMoE") for node in graph.node)
            size = sum(np.prod(tensor.dims) for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT)
        error = max(np.abs(y - expected).max() / np.abs(expected).max() for y in results)
        print(f"{name}: {'agrees' if error < 1e-4 else f'differs by {error:.2g}'}; MoE {moes}, weights {size}")
