"""Writes FOLDER/model.onnx, a feed-forward block of small random weights in MatMulNBits (nbits.py FOLDER [plain] [zeros] [bytes] [wide]): 4 bits, or
8 with `bytes`, in blocks of 16, with zero points or without; and FOLDER/x.npy, samples for it. With `wide` there are 2064 neurons instead of 64."""

import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

folder, options = pathlib.Path(sys.argv[1]), sys.argv[2:]
D, F, TOKENS, BLOCK = 32, 2064 if "wide" in options else 64, 640, 16
gated, bits = "plain" not in options, 8 if "bytes" in options else 4
folder.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(5)
nodes, weights = [], []


def packed(values):
    return values.astype(np.uint8) if bits == 8 else (values[..., ::2] | values[..., 1::2] << 4).astype(np.uint8)


def product(x, name, k, n):
    blocks = k // BLOCK
    codes = rng.integers(0, 2**bits, (n, blocks, BLOCK))
    scales = rng.uniform(0.5, 1.5, (n, blocks)).astype(np.float32) * 2 ** (1 - bits) / np.sqrt(k).astype(np.float32)
    zeros = rng.integers(0, 2**bits, (n, blocks)) if "zeros" in options else np.full((n, blocks), 2 ** (bits - 1))
    inputs = {"codes": packed(codes), "scales": scales.ravel()}
    if "zeros" in options:
        inputs["zeros"] = packed(zeros)
    for key, value in inputs.items():
        weights.append(numpy_helper.from_array(value, f"{name}.{key}"))
    nodes.append(helper.make_node("MatMulNBits", [x] + [f"{name}.{key}" for key in inputs], [name], domain="com.microsoft", K=k, N=n, bits=bits,
                                  block_size=BLOCK))


if gated:
    product("x", "gate", D, F)
    product("x", "up", D, F)
    nodes += [helper.make_node("Sigmoid", ["gate"], ["s"]), helper.make_node("Mul", ["gate", "s"], ["a"]), helper.make_node("Mul", ["a", "up"], ["h"])]
else:
    product("x", "up", D, F)
    nodes.append(helper.make_node("Relu", ["up"], ["h"]))
product("h", "y", F, D)
shape = ["batch", "seq", D]
graph = helper.make_graph(nodes, "block", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
                          [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)], weights)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)])
model.ir_version = 9
onnx.save(model, folder / "model.onnx")
np.save(folder / "x.npy", rng.standard_normal((4, TOKENS // 4, D)).astype(np.float32))
