"""Shape inference on ONNX's own node tests: inferred output types against the outputs that the tests record.

Small integer inputs become initializers, since shapes depend on them; declared output types are removed first.

    python node_shapes.py --uoe-opt build/bin/uoe-opt [--filter TEXT]
"""
import argparse
import os
import subprocess
import sys
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
from onnx import numpy_helper

warnings.filterwarnings("ignore")


def prepare(case):
    """The test's model without output types, its small integer inputs as initializers; and the outputs by name."""
    model = onnx.ModelProto.FromString(case.model.SerializeToString())
    inputs, outputs = case.data_sets[0]
    for info, value in list(zip(model.graph.input, inputs)):
        if isinstance(value, np.ndarray) and value.dtype.kind in "iub" and value.size <= 64 and info.type.HasField("tensor_type"):
            model.graph.initializer.append(numpy_helper.from_array(value, info.name))
            model.graph.input.remove(info)
    for info in model.graph.output:
        info.ClearField("type")
    del model.graph.value_info[:]
    return model, dict(zip([o.name for o in model.graph.output], outputs))


def check(tool, case):
    """(outputs, with a known rank, with all sizes known, problems)"""
    model, expected = prepare(case)
    with tempfile.TemporaryDirectory() as scratch:
        source, target = os.path.join(scratch, "in.onnx"), os.path.join(scratch, "out.onnx")
        with open(source, "wb") as file:
            file.write(model.SerializeToString())
        result = subprocess.run([tool, source, "--pass-pipeline=builtin.module(infer-shapes)", "-o", target], capture_output=True, text=True)
        if result.returncode:
            return len(expected), 0, 0, [result.stderr.strip()[:300]]
        inferred = onnx.load(target)
    total = ranked = known = 0
    problems = []
    for info in inferred.graph.output:
        value = expected[info.name]
        if not isinstance(value, np.ndarray):
            continue
        total += 1
        if not info.type.HasField("tensor_type"):
            continue
        tensor = info.type.tensor_type
        if tensor.elem_type and onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type) != value.dtype and tensor.elem_type != onnx.TensorProto.STRING:
            problems.append(f"{info.name}: element type {tensor.elem_type}, found {value.dtype}")
        if not tensor.HasField("shape"):
            continue
        ranked += 1
        dims = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
        if len(dims) != value.ndim or any(d is not None and d != size for d, size in zip(dims, value.shape)):
            problems.append(f"{info.name}: {dims}, found {value.shape}")
        known += None not in dims
    return total, ranked, known, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--uoe-opt", required=True)
    parser.add_argument("--filter", default="")
    args = parser.parse_args()
    from onnx.backend.test.case.node import collect_testcases
    cases = [c for c in collect_testcases(None) if args.filter in c.name and "training" not in c.name]
    failures, sums, open_ranks = 0, np.zeros(3, int), {}
    with ThreadPoolExecutor(2) as pool:
        for case, (total, ranked, known, problems) in zip(cases, pool.map(lambda c: check(args.uoe_opt, c), cases)):
            sums += (total, ranked, known)
            operator = case.model.graph.node[0].op_type if case.model.graph.node else "?"
            if known < total:
                open_ranks.setdefault((operator, case.model.graph.node[0].domain), []).append(case.name)
            if problems:
                failures += 1
                print(case.name, *problems, sep="\n    ", flush=True)
    print("not fully known:", ", ".join(f"{op}({len(names)})" for (op, _), names in sorted(open_ranks.items())))
    print(f"{sums[0]} outputs, rank known {sums[1]}, all sizes known {sums[2]}")
    print(f"{len(cases) - failures} passed, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
