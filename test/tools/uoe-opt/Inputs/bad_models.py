"""Writes models that are wrong in one way each: bad_models.py OUT_FOLDER."""
import os
import pathlib
import sys

import numpy as np
from onnx import AttributeProto, ModelProto, TensorProto, helper, numpy_helper

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
F = TensorProto.FLOAT
X = helper.make_tensor_value_info("x", F, ["n", 4])
Y = helper.make_tensor_value_info("y", F, ["n", 4])


def node(op="Relu", inputs=("x",), outputs=("y",), name="first", **attributes):
    return helper.make_node(op, list(inputs), list(outputs), name=name, **attributes)


def model(nodes=None, inputs=(X,), outputs=(Y,), initializers=(), **fields):
    graph = helper.make_graph(nodes if nodes is not None else [node()], "g", list(inputs), list(outputs), list(initializers))
    fields.setdefault("opset_imports", [helper.make_opsetid("", 17)])
    return helper.make_model(graph, ir_version=8, **fields)


def save(name, m):
    (out / f"{name}.onnx").write_bytes(m if isinstance(m, bytes) else m.SerializeToString())


def tensor(name="w", dims=(4,), data_type=F, **fields):
    return TensorProto(name=name, dims=list(dims), data_type=data_type, **fields)


good = model([node("Add", ("x", "w"))], initializers=[numpy_helper.from_array(np.ones((1024, 4), np.float32), "w")])
data = good.SerializeToString()
save("good", good)
save("empty", b"")
save("truncated", data[: len(data) // 2])
save("random", bytes(np.random.default_rng(0).integers(0, 256, 4096, dtype=np.uint8)))
save("text", b"this is no model\n")
save("no_graph", ModelProto(ir_version=8))
m = model()
m.ClearField("ir_version")
save("no_ir_version", m)

save("missing_value", model([node("Add", ("x", "ghost"))]))
save("missing_output", model([node(outputs=("z",))]))
save("cycle", model([node("Add", ("x", "c"), ("a",), "one"), node("Relu", ("a",), ("b",), "two"), node("Relu", ("b",), ("c",), "three"),
                     node("Relu", ("c",), ("y",), "four")]))
save("self_cycle", model([node("Add", ("x", "y"), ("y",), "self")]))
save("twice_defined", model([node(name="one"), node("Neg", name="two")]))
save("defines_input", model([node(outputs=("x",)), node("Neg")]))
save("twice_input", model(inputs=(X, X)))
save("twice_initializer", model(initializers=[tensor(float_data=[1] * 4), tensor(float_data=[1] * 4)]))
save("nameless_initializer", model(initializers=[tensor("", float_data=[1] * 4)]))
save("nameless_input", model(inputs=(X, helper.make_tensor_value_info("", F, [1]))))
save("no_operator", model([node("")]))
n = node()
n.attribute.extend([helper.make_attribute("a", 1), helper.make_attribute("a", 2)])
save("twice_attribute", model([n]))
n = node()
n.attribute.extend([AttributeProto(name="", i=1, type=AttributeProto.INT)])
save("nameless_attribute", model([n]))
n = node("If")
n.attribute.extend([AttributeProto(name="then_branch", type=AttributeProto.GRAPH)])
save("no_subgraph", model([n]))

save("short_data", model(initializers=[tensor(dims=(1000,), raw_data=b"\0" * 3996)]))
save("short_floats", model(initializers=[tensor(dims=(3,), float_data=[1, 2])]))
save("wrong_field", model(initializers=[tensor(dims=(2,), data_type=TensorProto.INT64, float_data=[1, 2])]))
save("large_wrong_field", model(initializers=[tensor(dims=(512,), data_type=TensorProto.INT64, float_data=[1] * 1024)]))
save("negative_dim", model(initializers=[tensor(dims=(-1,), float_data=[1])]))
save("overflow", model(initializers=[tensor(dims=(2**40, 2**40), raw_data=b"\0" * 4)]))
save("unknown_type", model(initializers=[tensor(data_type=99, raw_data=b"\0" * 16)]))
save("no_type", model(initializers=[tensor(data_type=0, raw_data=b"\0" * 16)]))
save("few_strings", model(initializers=[tensor(dims=(2,), data_type=TensorProto.STRING, string_data=[b"a"])]))
save("segment", model(initializers=[tensor(float_data=[1] * 4, segment=TensorProto.Segment(begin=0, end=4))]))
save("negative_shape", model(inputs=(helper.make_tensor_value_info("x", F, [-7, 4]),)))
save("unknown_shape_type", model(inputs=(helper.make_tensor_value_info("x", 77, [4]),)))
m = model()
m.graph.sparse_initializer.extend([helper.make_sparse_tensor(
    helper.make_tensor("s", F, [2], [1, 2]), helper.make_tensor("i", TensorProto.INT64, [2], [0, 9]), [4])])
save("sparse_index", m)

save("no_opset", model(opset_imports=[]))
save("bad_opset", model(opset_imports=[helper.make_opsetid("", 0)]))
save("two_opsets", model(opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx", 18)]))
f = helper.make_function("my", "f", ["a"], ["b"], [node("Relu", ("a",), ("b",))], [helper.make_opsetid("", 17)])
save("twice_function", model(functions=[f, f]))


def varint(n):
    result = b""
    while n > 127:
        result += bytes([n & 127 | 128])
        n >>= 7
    return result + bytes([n])


# Names that are not UTF-8 can't be made with the Python classes.
save("not_utf8", model([node(name="NAME")]).SerializeToString().replace(b"NAME", b"\xff\xfe\xfd\xfc"))
inner = b"\x0a\x01g"
for _ in range(2000):  # GraphProto in AttributeProto in NodeProto in GraphProto ...
    for tag in (b"\x32", b"\x2a", b"\x0a"):
        inner = tag + varint(len(inner)) + inner
save("deep", b"\x08\x08\x3a" + varint(len(inner)) + inner)
save("long_length", b"\x08\x08\x3a" + varint(2**62))
# A value type nested beyond what a parser's stack should take.
inner = b""
for _ in range(5000):
    for tag in (b"\x0a", b"\x22"):
        inner = tag + varint(len(inner)) + inner
value = b"\x0a\x01x\x12" + varint(len(inner)) + inner
graph = b"\x5a" + varint(len(value)) + value
save("deep_type", b"\x08\x08\x3a" + varint(len(graph)) + graph)


def external(name, **entries):
    t = tensor(dims=(1024,))
    t.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        t.external_data.add(key=key, value=str(value))
    save(name, model(initializers=[t]))


(out / "data.bin").write_bytes(b"\0" * 4096)
(out / "folder").mkdir(exist_ok=True)
for link, target in (("link.bin", "data.bin"), ("linked", "folder")):
    if not os.path.lexists(out / link):
        os.symlink(target, out / link)
(out / "folder" / "data.bin").write_bytes(b"\0" * 4096)
external("external_good", location="data.bin")
external("external_folder", location="folder/data.bin", offset=0, length=4096)
external("external_absolute", location=str((out / "data.bin").resolve()))
external("external_up", location="folder/../../data.bin")
external("external_link", location="link.bin")
external("external_linked_folder", location="linked/data.bin")
external("external_missing", location="nowhere.bin")
external("external_is_folder", location="folder")
external("external_none")
external("external_beyond", location="data.bin", offset=1)
external("external_overflow", location="data.bin", offset=2**64 - 1)
external("external_bad_offset", location="data.bin", offset="-1")
external("external_length", location="data.bin", length=100)
