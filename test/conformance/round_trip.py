#!/usr/bin/env python3
"""Round trips through uoe-opt: messages equal, outputs bit-identical.

    round_trip.py --uoe-opt build/bin/uoe-opt MODEL_OR_FOLDER...     models, or folders in ONNX's backend-test layout
    round_trip.py --uoe-opt build/bin/uoe-opt --node-tests           ONNX's own node tests, from the onnx package

Each model goes IN.onnx -> OUT.onnx, and by way of .mlir and .mlirbc. What counts as equal: everything but the storage of tensors
(raw or typed fields, inline or external), the order of attributes, metadata, opset imports and value_info, and entries of value_info
that say nothing or repeat an output's. Outputs are compared in ONNX Runtime on the folder's inputs, or on generated ones.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from google.protobuf import unknown_fields
from onnx import numpy_helper


def tensor_key(tensor, base):
    if tensor.data_type == onnx.TensorProto.STRING:
        data = tuple(tensor.string_data)
    else:
        data = numpy_helper.to_array(tensor, base_dir=base).tobytes()
    return {"dims": tuple(tensor.dims), "type": tensor.data_type, "data": data, "name": tensor.name,
            "doc": tensor.doc_string, "metadata": pairs(tensor.metadata_props)}


def pairs(entries):
    return sorted((e.key, e.value) for e in entries)


def canonical(message, base):
    """A message as nested Python values, normalised as the module's text says."""
    if isinstance(message, onnx.TensorProto):
        return tensor_key(message, base)
    result = {}
    unknown = [(f.field_number, str(f.data)) for f in unknown_fields.UnknownFieldSet(message)]
    if unknown:
        result["unknown"] = unknown
    for field, value in message.ListFields():
        repeated = field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
        if field.message_type is None:
            result[field.name] = list(value) if repeated else value
        elif repeated:
            result[field.name] = [canonical(v, base) for v in value]
        else:
            result[field.name] = canonical(value, base)
    if "metadata_props" in result:
        result["metadata_props"] = sorted(result["metadata_props"], key=lambda e: (e.get("key"), e.get("value")))
    for name in ("name", "domain", "doc_string", "producer_name", "producer_version", "overload"):
        if result.get(name) == "":
            del result[name]
    if isinstance(message, onnx.NodeProto):
        result["attribute"] = sorted(result.get("attribute", []), key=lambda a: a["name"])
    if isinstance(message, (onnx.ModelProto, onnx.FunctionProto)) and "opset_import" in result:
        for entry in result["opset_import"]:
            if entry.get("domain") in ("", "ai.onnx"):
                entry.pop("domain")
        result["opset_import"] = sorted(result["opset_import"], key=lambda e: e.get("domain", ""))
    if isinstance(message, onnx.GraphProto):
        outputs = {o["name"] for o in result.get("output", [])}
        infos = {v["name"]: v for v in result.get("value_info", []) if "type" in v and v["name"] not in outputs}
        result["value_info"] = infos
        # Nodes that use what comes later are put in order on import: there, any order counts as equal.
        known, sorted_nodes = set(), True
        producers = {o for n in message.node for o in n.output}
        for node in message.node:
            sorted_nodes &= all(i in known or i not in producers for i in node.input)
            known.update(node.output)
        result["node"] = [] if not message.node else result["node"]
        result["sorted"] = sorted_nodes
    return result


def difference(a, b, path=""):
    """The first place where two canonical values differ, or None."""
    if isinstance(a, dict) and isinstance(b, dict):
        if a.get("sorted") is False:
            a, b = ({**g, "node": sorted(g["node"], key=lambda n: n["output"])} for g in (a, b))
        for key in sorted((set(a) | set(b)) - {"sorted"}):
            if key not in a or key not in b:
                return f"{path}.{key}: {'missing before' if key not in a else 'missing after'}"
            found = difference(a[key], b[key], f"{path}.{key}")
            if found:
                return found
        return None
    if isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            return f"{path}: {len(a)} before, {len(b)} after"
        for i, (x, y) in enumerate(zip(a, b)):
            found = difference(x, y, f"{path}[{i}]")
            if found:
                return found
        return None
    equal = a == b or (isinstance(a, float) and isinstance(b, float) and np.float32(a).tobytes() == np.float32(b).tobytes())
    return None if equal else f"{path}: {str(a)[:80]!r} before, {str(b)[:80]!r} after"


def generated_inputs(session, given):
    """Small inputs: symbolic dimensions by name (sums as written), token ids and masks as ints below 2."""
    rng = np.random.default_rng(0)
    sizes = {"batch": 2, "batch_size": 2, "past": 3, "past_sequence_length": 3, "seq": 5, "sequence": 5, "sequence_length": 5, **given}

    def size(dim):
        if isinstance(dim, int):
            return dim
        if not dim:
            return 2
        parts = [p.strip() for p in re.split(r"\+", dim)]
        if len(parts) > 1:
            return sum(int(p) if p.isdigit() else size(p) for p in parts)
        if dim.startswith("total"):
            return size("past") + size("seq")
        return sizes.setdefault(dim, 2)

    feeds = {}
    for value in session.get_inputs():
        shape = [size(d) for d in value.shape]
        if "int" in value.type:
            low, high = (1, 2) if "mask" in value.name else (0, 2)
            feeds[value.name] = rng.integers(low, high, shape).astype(value.type[7:-1])
        elif "bool" in value.type:
            feeds[value.name] = rng.integers(0, 2, shape).astype(bool)
        else:
            kind = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}[value.type]
            feeds[value.name] = rng.standard_normal(shape).astype(kind)
    return feeds


def read_inputs(session, folder):
    feeds = {}
    for i, value in enumerate(session.get_inputs()):
        path = folder / f"input_{i}.pb"
        if not path.exists():
            break
        data = path.read_bytes()
        if value.type.startswith("tensor"):
            feeds[value.name] = numpy_helper.to_array(onnx.TensorProto.FromString(data))
        elif value.type.startswith("seq"):
            feeds[value.name] = numpy_helper.to_list(onnx.SequenceProto.FromString(data))
        else:
            feeds[value.name] = numpy_helper.to_optional(onnx.OptionalProto.FromString(data))
    return feeds


def run(path, feeds):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds(session))


def flat(values):
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from flat(value)
        else:
            yield np.asarray(value)


def same_bits(a, b):
    if len(a) != len(b):
        return False
    for x, y in zip(flat(a), flat(b)):
        if x.dtype != y.dtype or x.shape != y.shape:
            return False
        if x.dtype == object:
            if x.tolist() != y.tolist():
                return False
        elif x.tobytes() != y.tobytes():
            return False
    return True


class Checker:
    def __init__(self, tool, forms, execute, verbose):
        self.tool, self.forms, self.execute, self.verbose = tool, forms, execute, verbose
        self.passed = self.failed = self.executed = 0

    def convert(self, source, target):
        result = subprocess.run([self.tool, str(source), "-o", str(target)], capture_output=True, text=True)
        if result.returncode:
            raise RuntimeError(result.stderr.strip()[:300] or f"exit status {result.returncode}")

    def check(self, name, path, feeds):
        """`feeds`: functions from a session to its inputs."""
        before = None
        try:
            before = canonical(onnx.load(str(path), load_external_data=False), str(path.parent))
            expected = None
            if self.execute:
                try:
                    expected = [run(path, f) for f in feeds]
                    self.executed += 1
                except Exception as error:  # not every model is one that ONNX Runtime knows
                    if self.verbose:
                        print(f"not executed: {name}: {str(error)[:200]}", flush=True)
            for form in self.forms:
                with tempfile.TemporaryDirectory() as folder:
                    folder = pathlib.Path(folder)
                    out = folder / "out.onnx"
                    if form == "onnx":
                        self.convert(path, out)
                    else:
                        self.convert(path, folder / f"between.{form}")
                        self.convert(folder / f"between.{form}", out)
                    after = canonical(onnx.load(str(out), load_external_data=False), str(folder))
                    found = difference(before, after)
                    if found:
                        raise RuntimeError(f"by way of {form}: {found}")
                    if expected is not None and not all(same_bits(e, run(out, f)) for e, f in zip(expected, feeds)):
                        raise RuntimeError(f"by way of {form}: outputs differ")
        except Exception as error:
            self.failed += 1
            print(f"FAIL {name}: {error}", flush=True)
            return
        self.passed += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uoe-opt", required=True)
    parser.add_argument("--node-tests", action="store_true")
    parser.add_argument("--no-run", action="store_true", help="compare messages only")
    parser.add_argument("--verbose", action="store_true", help="say why a model was not executed")
    parser.add_argument("--forms", default="onnx,mlir,mlirbc")
    parser.add_argument("--filter", default="", help="only names that match this regular expression")
    parser.add_argument("--dim", action="append", default=[], metavar="NAME=SIZE", help="size of a symbolic dimension")
    parser.add_argument("paths", nargs="*", type=pathlib.Path)
    args = parser.parse_args()
    given = {name: int(size) for name, size in (d.split("=") for d in args.dim)}
    checker = Checker(args.uoe_opt, args.forms.split(","), not args.no_run, args.verbose)

    found = []
    for path in args.paths:
        found += [path] if path.is_file() else sorted(path.rglob("*.onnx"))
    for path in found:
        name = path.parent.name if path.name == "model.onnx" else path.stem
        if not re.search(args.filter, name):
            continue
        sets = sorted(path.parent.glob("test_data_set_*")) if path.name == "model.onnx" else []
        feeds = [lambda s, f=f: read_inputs(s, f) for f in sets] or [lambda s: generated_inputs(s, given)]
        checker.check(name, path, feeds)
    if args.node_tests:
        from onnx.backend.test.case.node import collect_testcases
        for case in collect_testcases(None):
            if not re.search(args.filter, case.name) or case.model is None:
                continue
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / "model.onnx"
                path.write_bytes(case.model.SerializeToString())
                inputs = [dict(zip((i.name for i in case.model.graph.input), data[0])) for data in (case.data_sets or [])]
                checker.check(case.name, path, [lambda s, i=i: i for i in inputs])
    print(f"{checker.passed} passed, {checker.failed} failed ({checker.executed} executed)")
    return 1 if checker.failed or not checker.passed else 0


if __name__ == "__main__":
    sys.exit(main())
