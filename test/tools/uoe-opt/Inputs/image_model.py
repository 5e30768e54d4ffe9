"""A patch embedding and two feed-forward blocks on images, and files to calibrate it with: image_model.py FOLDER"""
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(7)
initializers, nodes = [], []


def weight(name, *shape):
    initializers.append(numpy_helper.from_array((rng.standard_normal(shape) / 3).astype(np.float32), name))
    return name


def constant(name, values):
    initializers.append(numpy_helper.from_array(np.array(values, np.int64), name))
    return name


def node(op, *inputs, **attributes):
    out = f"{op}_{len(nodes)}"
    nodes.append(helper.make_node(op, list(inputs), [out], out, **attributes))
    return out


x = node("Conv", "image", weight("patch", 8, 3, 4, 4), strides=[4, 4])
x = node("Transpose", node("Reshape", x, constant("rows", [0, 8, -1])), perm=[0, 2, 1])
for layer in range(2):
    h = node("Add", node("MatMul", x, weight(f"up{layer}", 8, 32)), weight(f"bias{layer}", 32))
    x = node("Add", x, node("MatMul", node("Relu", h), weight(f"down{layer}", 32, 8)))
nodes.append(helper.make_node("Identity", [x], ["hidden"], "hidden"))
graph = helper.make_graph(nodes, "image", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 16, 16])],
                          [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["n", 16, 8])], initializers)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), folder / "model.onnx")

images = rng.standard_normal((40, 3, 16, 16)).astype(np.float32)
np.save(folder / "images.npy", images)
np.savez(folder / "images.npz", image=images)
np.savez(folder / "wrong_name.npz", picture=images)
np.savez(folder / "uneven.npz", image=images, mask=np.ones((39, 1), np.float32))
np.save(folder / "flat.npy", images.reshape(40, -1))
np.save(folder / "doubles.npy", images.astype(np.float64))
np.save(folder / "none.npy", images[:0])
np.save(folder / "tokens.npy", np.arange(20))
