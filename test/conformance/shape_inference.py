"""Inferred shapes against run-time shapes, and canonical graphs against the originals, in ONNX Runtime.

For every graph (folders in ONNX's backend-test layout, or .onnx files with --dim): the types that `infer-shapes` gives to all values
are compared with the values that ONNX Runtime computes (element type, rank, sizes; names of dimensions must be consistent). Then the
graph is normalised, folded and canonicalised, exported, and run on the recorded inputs; outputs must agree with the original's.

    python shape_inference.py --uoe-opt build/bin/uoe-opt GRAPH_DIR...
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

CANONICAL = "normalize-opset,infer-shapes,fold-constants,canonicalize-onnx,fold-constants,infer-shapes"


def load_case(folder):
    data = os.path.join(folder, "test_data_set_0")
    def read(kind):
        arrays, i = [], 0
        while os.path.exists(path := os.path.join(data, f"{kind}_{i}.pb")):
            tensor = onnx.TensorProto()
            with open(path, "rb") as file:
                tensor.ParseFromString(file.read())
            arrays.append(numpy_helper.to_array(tensor))
            i += 1
        return arrays
    return read("input"), read("output")


def session(model, optimise=True):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def values_of(model, feeds):
    """All values of the main graph at run time, by name."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    have = {o.name for o in model.graph.output}
    for node in model.graph.node:
        for name in node.output:
            if name and name not in have:
                model.graph.output.append(onnx.ValueInfoProto(name=name))
                have.add(name)
    run = session(model.SerializeToString(), optimise=False)
    names = [o.name for o in run.get_outputs()]
    return dict(zip(names, run.run(names, feeds)))


class Evaluator:
    """Checks that dimension names (sums and products of symbols) have one value each."""

    def __init__(self):
        self.symbols = {}

    def bind(self, name, size):
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", name):
            return self.symbols.setdefault(name, size) == size
        return True

    def check(self, name, size):
        text = re.sub(r"\bM(ax|in|od)\(", lambda m: "_" + m.group(1) + "(", name)
        env = dict(self.symbols, _ax=max, _in=min, _od=lambda a, b: a % b)
        try:
            return eval(text, {"__builtins__": {}}, env) == size
        except Exception:
            return True  # a symbol that no input binds, or a name that is no expression


NP = {1: np.float32, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float16,
      11: np.float64, 12: np.uint32, 13: np.uint64}


def compare_shapes(inferred, values, inputs):
    """(values compared, fully known, problems)"""
    problems, known, total = [], 0, 0
    evaluator = Evaluator()
    for info in inferred.graph.input:
        array = inputs.get(info.name)
        if array is None:
            continue
        for dim, size in zip(info.type.tensor_type.shape.dim, array.shape):
            if dim.dim_param:
                evaluator.bind(dim.dim_param, size)
    outputs = {o.name for o in inferred.graph.output}
    for info in list(inferred.graph.value_info) + list(inferred.graph.output):
        value = values.get(info.name)
        if not isinstance(value, np.ndarray):
            continue
        total += 1
        tensor = info.type.tensor_type
        if tensor.elem_type in NP and value.dtype != NP[tensor.elem_type]:
            problems.append(f"{info.name}: element type {tensor.elem_type}, found {value.dtype}")
        if not tensor.HasField("shape"):
            continue
        dims = tensor.shape.dim
        if len(dims) != value.ndim:
            problems.append(f"{info.name}: rank {len(dims)}, found {value.shape}")
            continue
        complete = True
        for dim, size in zip(dims, value.shape):
            if dim.HasField("dim_value"):
                if dim.dim_value != size:
                    problems.append(f"{info.name}: {dim.dim_value} where {value.shape} was computed")
            elif dim.dim_param:
                # Names of outputs are the model's own, right or wrong.
                if info.name not in outputs and not evaluator.check(dim.dim_param, size):
                    problems.append(f"{info.name}: {dim.dim_param} where {value.shape} was computed ({evaluator.symbols})")
            else:
                complete = False
        known += complete
    return total, known, problems


def difference(got, want):
    """Largest absolute difference over the largest magnitude."""
    if got.shape != want.shape:
        return float("inf")
    if want.size == 0:
        return 0.0
    a, b = got.astype(np.float64), want.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return 0.0
    scale = max(np.abs(b[np.isfinite(b)]).max(initial=0), 1e-30)
    return float(np.nan_to_num(np.abs(np.where(same, 0, a - b)), nan=np.inf).max() / scale)


def opt(tool, model, passes, output):
    result = subprocess.run([tool, model, f"--pass-pipeline=builtin.module({passes})", "-o", output], capture_output=True, text=True)
    return result.returncode, result.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--uoe-opt", required=True)
    parser.add_argument("--tolerance", type=float, default=1e-5)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("folders", nargs="+")
    args = parser.parse_args()
    failures = 0
    print(f"{'graph':34} {'nodes':>6} {'after':>6} {'values':>6} {'known':>6} {'difference':>11}")
    for folder in args.folders:
        name = os.path.basename(folder.rstrip("/"))
        path = os.path.join(folder, "model.onnx")
        model = onnx.load(path)
        inputs, _ = load_case(folder)
        initial = {i.name for i in model.graph.initializer}
        names = [i.name for i in model.graph.input if i.name not in initial]
        feeds = dict(zip(names, inputs))
        problems, total, known, after, error = [], 0, 0, 0, float("nan")
        with tempfile.TemporaryDirectory() as scratch:
            typed, canonical = os.path.join(scratch, "typed.onnx"), os.path.join(scratch, "canonical.onnx")
            code, text = opt(args.uoe_opt, path, "infer-shapes", typed)
            if code:
                problems.append("infer-shapes: " + text.strip()[:400])
            else:
                total, known, wrong = compare_shapes(onnx.load(typed), values_of(model, feeds), feeds)
                problems += wrong
            code, text = opt(args.uoe_opt, path, CANONICAL, canonical)
            if code:
                problems.append("canonicalise: " + text.strip()[:400])
            else:
                after = len(onnx.load(canonical).graph.node)
                want = session(path).run(None, feeds)
                try:
                    run = session(canonical)
                    if [o.name for o in run.get_outputs()] != [o.name for o in model.graph.output]:
                        problems.append("outputs: " + str([o.name for o in run.get_outputs()]))
                    got = run.run(None, feeds)
                    error = max(difference(g, w) for g, w in zip(got, want))
                    loose = any(t in name for t in ("fp16", "int8", "int4"))
                    if not error <= (1e-2 if loose else args.tolerance):
                        problems.append(f"difference {error:.1e}")
                except Exception as exception:
                    problems.append("ONNX Runtime: " + str(exception)[:300])
        print(f"{name:34} {len(model.graph.node):6} {after:6} {total:6} {known:6} {error:11.1e}"
              + ("" if not problems else f"   {len(problems)} problems"), flush=True)
        for problem in problems if args.verbose else problems[:4]:
            print("    " + problem)
        failures += bool(problems)
    print(f"{len(args.folders) - failures} passed, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
