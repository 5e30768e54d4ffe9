"""Writes models that use everything that ONNX's messages can say: rich_models.py OUT_FOLDER."""
import pathlib
import sys

import ml_dtypes
import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto, TypeProto, helper, numpy_helper

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
F, I64 = TensorProto.FLOAT, TensorProto.INT64
node, info = helper.make_node, helper.make_tensor_value_info


def note(message, *keys):
    for key in keys or ("author", "note"):
        message.metadata_props.add(key=key, value=f"{key} of {type(message).__name__}\n\"quoted\" \u00e9")
    message.doc_string = f"what {type(message).__name__} is for\n"


def unknown(message):
    # Fields 1001 (varint) and 1002 (bytes), which no version of ONNX has.
    message.MergeFromString(b"\xc8\x3e\x07" + b"\xd2\x3e\x03\x00\xffa")


def save(name, graph, opset=17, ir_version=10, functions=(), domains=("com.microsoft", "custom.domain"), **fields):
    imports = [helper.make_opsetid("", opset)] + [helper.make_opsetid(d, 1) for d in domains]
    model = helper.make_model(graph, opset_imports=imports, ir_version=ir_version, functions=list(functions), **fields)
    (out / f"{name}.onnx").write_bytes(model.SerializeToString())
    return model


X = info("x", F, ["batch", None, 4])

# Every message with all that it can carry.
w = numpy_helper.from_array(np.arange(600, dtype=np.float32).reshape(150, 4), "dir/w:0")
note(w)
unknown(w)
constant = node("Constant", [], ["c"], name="const", value=numpy_helper.from_array(np.ones((600,), np.float32), "inner name"))
constant.attribute[0].doc_string = "of an attribute"
constant.attribute[0].t.doc_string = "of its tensor"
first = node("Add", ["x", "k"], ["sum"], name="first node")
note(first)
unknown(first)
odd = node("Odd", ["sum", "", "dir/w:0", ""], ["o1", "", "o3"], name="odd", domain="custom.domain", overload="variant",
           i=-(2**63), f=float("nan"), s=b"\x00\xff bytes", ints=[1, -2], floats=[1.5, float("inf"), -0.0], strings=[b"a", b"\xff", b""],
           t=numpy_helper.from_array(np.array([[1, 2]], np.int64)))
for name, kind in (("no_ints", AttributeProto.INTS), ("no_floats", AttributeProto.FLOATS), ("no_strings", AttributeProto.STRINGS),
                   ("no_tensors", AttributeProto.TENSORS), ("no_graphs", AttributeProto.GRAPHS)):
    odd.attribute.add(name=name, type=kind)
odd.attribute.extend([
    helper.make_attribute("tensors", [w, numpy_helper.from_array(np.zeros(3, np.int8), "second")]),
    helper.make_attribute("tp", helper.make_tensor_type_proto(F, ["a", 2])),
    helper.make_attribute("tps", [helper.make_tensor_type_proto(F, []), helper.make_sequence_type_proto(helper.make_tensor_type_proto(I64, None))]),
    helper.make_attribute("sparse", helper.make_sparse_tensor(helper.make_tensor("v", F, [1], [2]), helper.make_tensor("i", I64, [1], [3]), [5])),
])
unknown(odd.attribute[0])


def branch(name, op):
    g = helper.make_graph([node(op, ["sum"], ["shared"], name=f"{name} node"), node("Add", ["shared", "local"], ["r"])], name, [], [info("r", F, None)],
                          [numpy_helper.from_array(np.float32([1, 2, 3, 4]), "local")])
    note(g)
    return g


choice = node("If", ["flag"], ["chosen"], name="choice", then_branch=branch("then graph", "Neg"), else_branch=branch("else graph", "Abs"))
cases = node("Switch", ["o1"], ["s1"], domain="custom.domain", cases=[branch("case 0", "Neg"), branch("case 1", "Exp")])
body = helper.make_graph([node("Identity", ["go"], ["go_on"]), node("Add", ["carried", "sum"], ["next"]), node("Identity", ["next"], ["scan"])], "body",
                         [info("i", I64, []), info("go", TensorProto.BOOL, []), info("carried", F, ["batch", None, 4])],
                         [info("go_on", TensorProto.BOOL, []), info("next", F, ["batch", None, 4]), info("scan", F, ["batch", None, 4])])
loop = node("Loop", ["trips", "", "sum"], ["looped", "scans"], name="loop", body=body)
call = node("twice", ["chosen"], ["called"], name="call", domain="custom.domain", scale=2.0)
f_node = node("Constant", [], ["s"])
f_node.attribute.add(name="value_float", ref_attr_name="scale", type=AttributeProto.FLOAT)
default = helper.make_attribute("bias", 0.5)
function = helper.make_function("custom.domain", "twice", ["a"], ["b"], [f_node, node("Mul", ["a", "s"], ["m"]), node("Add", ["m", "m"], ["b"])],
                                [helper.make_opsetid("", 17)], ["scale"], [default], doc_string="doubles")
function.metadata_props.add(key="k", value="v")
function.value_info.extend([info("m", F, ["batch", None, 4])])
other = helper.make_function("custom.domain", "twice", ["a"], ["b"], [node("Identity", ["a"], ["b"])], [helper.make_opsetid("", 16)], overload="other")

noted = info("sum", F, ["batch", "len", 4])
note(noted)
denoted = info("called", F, ["batch", None, 4])
denoted.type.denotation = "TENSOR"
denoted.type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
minus = info("looped", F, [-1, 4])
mapping = helper.make_value_info("s1", TypeProto(map_type=TypeProto.Map(key_type=I64, value_type=helper.make_tensor_type_proto(F, [2]))))
note(X)
graph = helper.make_graph([constant, first, odd, choice, cases, loop, call], "the graph", [X, info("k", F, [4]), info("flag", TensorProto.BOOL, []), info("trips", I64, [])],
                          [info("called", F, ["batch", None, 4]), info("x", F, ["batch", None, 4]), info("dir/w:0", F, [150, 4]), info("scans", F, None)],
                          [w, numpy_helper.from_array(np.float32([1, 2, 3, 4]), "k")], value_info=[noted, minus, mapping, info("dir/w:0", F, [150, 4])])
graph.output[0].CopyFrom(denoted)
graph.sparse_initializer.extend([helper.make_sparse_tensor(helper.make_tensor("sp", F, [2], [1, 2]), helper.make_tensor("", I64, [2, 2], [0, 1, 1, 0]), [2, 2])])
graph.quantization_annotation.add(tensor_name="sum").quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="k")
note(graph)
unknown(graph)
model = save("everything", graph, functions=[function, other], producer_name="p", producer_version="1.2", domain="d.e", model_version=7, doc_string="doc")
note(model, "z", "a", "m")
unknown(model)
training = model.training_info.add()
training.algorithm.CopyFrom(helper.make_graph([node("Identity", ["x"], ["g"])], "algorithm", [], [info("g", F, None)]))
training.update_binding.add(key="w", value="g")
model.configuration.add(name="two", num_devices=2)
(out / "everything.onnx").write_bytes(model.SerializeToString())

# Every element type, small and large, raw and in its field.
arrays = []
kinds = [np.float32, np.float64, np.float16, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64, bool, np.complex64,
         np.complex128] + [getattr(ml_dtypes, n) for n in ("bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu",
                                                            "float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn", "int4", "uint4", "int2", "uint2")]
rng = np.random.default_rng(0)
for kind in kinds:
    for shape in ((), (0, 3), (7,), (5, 1999)):
        values = rng.integers(0, 2, shape).astype(kind)
        try:
            arrays.append(numpy_helper.from_array(values, f"{np.dtype(kind).name} {shape}"))
        except Exception:
            continue  # a type that this version of onnx does not have
for data_type, field in ((F, "float"), (TensorProto.DOUBLE, "float"), (I64, "int"), (TensorProto.INT32, "int"), (TensorProto.UINT64, "int"), (TensorProto.UINT32, "int"),
                         (TensorProto.UINT8, "int"), (TensorProto.BOOL, "bool"), (TensorProto.FLOAT16, "float"), (TensorProto.BFLOAT16, "float"), (TensorProto.INT4, "int"),
                         (TensorProto.UINT4, "int"), (TensorProto.COMPLEX64, "complex"), (TensorProto.COMPLEX128, "complex"), (TensorProto.FLOAT8E5M2, "float")):
    for count in (3, 999):
        values = np.arange(count) % 2
        arrays.append(helper.make_tensor(f"typed {data_type} {count}", data_type, [count], values.astype(field).tolist() if field != "complex" else values.astype(complex).tolist()))
arrays.append(helper.make_tensor("strings", TensorProto.STRING, [2, 1], [b"a\x00\xff", b""]))
arrays.append(helper.make_tensor("no strings", TensorProto.STRING, [0], []))
arrays.append(numpy_helper.from_array(np.array([np.nan, np.inf, -np.inf, -0.0], np.float32), "not numbers"))
arrays.append(TensorProto(name="payload", data_type=F, dims=[2], raw_data=b"\x01\x00\x80\x7f\x34\x12\xc0\xff"))
save("types", helper.make_graph([node("Identity", ["x"], ["y"])], "g", [info("x", F, [1])], [info("y", F, [1])], arrays), opset=24)

# Models of IR version 3 list their initializers among the inputs; nodes in any order.
save("old", helper.make_graph([node("Relu", ["sum"], ["y"], name="last"), node("Add", ["x", "w"], ["sum"], name="early")], "old", [info("w", F, [4]), info("x", F, [2, 4]), info("v", F, ["named"])],
                              [info("y", F, [2, 4])], [numpy_helper.from_array(np.float32([1, -2, 3, -4]), "w"), numpy_helper.from_array(np.float32([1]), "v")]), opset=7, ir_version=3, domains=())
# From IR version 4 on that is a default.
save("default", helper.make_graph([node("Add", ["x", "w"], ["y"])], "g", [info("x", F, [2, 4]), info("w", F, [4])], [info("y", F, [2, 4])],
                                  [numpy_helper.from_array(np.float32([1, -2, 3, -4]), "w")]), domains=())
# A graph of nothing but names: outputs that are inputs, initializers, or the same value under two names.
save("names", helper.make_graph([node("Relu", ["x"], ["y"]), node("Identity", ["y"], ["z"])], "g", [info("x", F, [4])],
                                [info("x", F, [4]), info("y", F, [4]), info("z", F, [4]), info("w", F, [1])], [numpy_helper.from_array(np.float32([1]), "w")]), domains=())
# Sequences, optionals; a newer opset.
seq = helper.make_tensor_sequence_value_info("s", F, ["n"])
save("sequence", helper.make_graph([node("SequenceConstruct", ["x", "x"], ["s"]), node("SequenceAt", ["s", "at"], ["y"])], "g", [info("x", F, ["n"])], [info("y", F, ["n"]), seq],
                                   [numpy_helper.from_array(np.int64(0), "at")]), opset=13, domains=())
save("newer", helper.make_graph([node("Relu", ["x"], ["y"])], "g", [info("x", F, ["n"])], [info("y", F, ["n"])]), opset=26, domains=())
# Symbols that MLIR uses itself, and names that need quoting.
save("symbols", helper.make_graph([node("Add", ["main_graph", "a b\"\\\n"], ["%0"], name="@x")], "main_graph", [info("main_graph", F, [1])], [info("%0", F, [1])],
                                  [numpy_helper.from_array(np.float32([1]), "a b\"\\\n")]), domains=())
