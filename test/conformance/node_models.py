#!/usr/bin/env python3
"""ONNX's node tests that are whole models, through uoe-run: subgraphs, functions' expansions, several nodes.

Complements node_ops.py, which runs single operators without the importer. Writes the models in ONNX's backend-test
layout to a temporary folder and lets `uoe-run test` judge them. Ends with `N passed, N failed, N skipped`.
"""

import argparse
import collections
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

# Random by definition, even where the result's expansion has other operators' names.
RANDOM = ("bernoulli", "random", "multinomial")


def serialise(value, info):
    if hasattr(value, "SerializeToString"):
        return value.SerializeToString()
    kind = info.type.WhichOneof("value")
    if kind == "sequence_type":
        return numpy_helper.from_list(value, info.name).SerializeToString()
    if kind == "optional_type":
        return numpy_helper.from_optional(value, info.name).SerializeToString()
    return numpy_helper.from_array(np.asarray(value), info.name).SerializeToString()


def types_of(model):
    """Element types of all inputs and outputs."""
    numbers = set()
    for value in list(model.graph.input) + list(model.graph.output):
        numbers.update(int(n) for n in re.findall(r"elem_type: (\d+)", str(value.type)))
    return numbers


def reason_to_skip(case):
    types = types_of(case.model)
    if onnx.TensorProto.STRING in types:
        return "string"
    if types & {onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128}:
        return "complex"
    if types & {onnx.TensorProto.INT2, onnx.TensorProto.UINT2}:
        return "int2 or uint2 (opset 25)"
    if onnx.TensorProto.BFLOAT16 in types:
        return "bfloat16 beyond the tolerance of one last place"
    if any(word in case.name for word in RANDOM):
        return "random"
    if any(n.domain.startswith("ai.onnx.preview") for n in case.model.graph.node):
        return "preview domain"
    return None


def is_single(case):
    graph = case.model.graph
    subgraphs = any(a.type == onnx.AttributeProto.GRAPH for n in graph.node for a in n.attribute)
    return len(graph.node) == 1 and not subgraphs and not case.model.functions


def write(case, folder):
    folder.mkdir()
    onnx.save(case.model, folder / "model.onnx")
    for number, (inputs, outputs) in enumerate(case.data_sets):
        data = folder / f"test_data_set_{number}"
        data.mkdir()
        for kind, values, infos in (("input", inputs, case.model.graph.input), ("output", outputs, case.model.graph.output)):
            for i, (value, info) in enumerate(zip(values, infos)):
                (data / f"{kind}_{i}.pb").write_bytes(serialise(value, info))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--uoe-run", required=True, help="path of uoe-run")
    parser.add_argument("--case", help="only cases whose name contains this")
    parser.add_argument("--all", action="store_true", help="single operators too")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with np.errstate(all="ignore"):
        cases = collect_testcases()
    skips = collections.Counter()
    with tempfile.TemporaryDirectory() as name:
        root, folders = pathlib.Path(name), []
        for case in cases:
            if (is_single(case) and not options.all) or (options.case and options.case not in case.name):
                continue
            reason = reason_to_skip(case)
            if reason:
                skips[reason] += 1
                continue
            write(case, root / case.name)
            folders.append(str(root / case.name))
        result = subprocess.run([options.uoe_run, "test", *folders], capture_output=True, text=True)
    lines = result.stdout.replace(f"{name}/", "").splitlines()
    print("\n".join(line for line in lines if not line.startswith("pass") and not re.match(r"\d+ passed", line)))
    print(result.stderr, end="")
    passed = sum(line.startswith("pass ") for line in lines)
    for reason, count in sorted(skips.items()):
        print(f"skipped {count}: {reason}")
    failed = len(folders) - passed
    print(f"{passed} passed, {failed} failed, {sum(skips.values())} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
