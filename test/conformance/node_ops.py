#!/usr/bin/env python3
"""ONNX's own node tests on single operators of the runtime.

Runs every single-node model of onnx.backend.test.case.node whose operator the runtime knows, through the C ABI.
Prints each failure, a count per operator that has any, the skipped cases by reason and, last,
`N passed, N failed, N skipped`. Exit status 1 if anything failed.
"""

import argparse
import collections
import sys
import warnings

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

from uoe_ops import Runtime, Unsupported

# Their results are random by definition; only type and shape are compared.
RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli",
          "Multinomial"}


def attributes_of(node):
    result = {}
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        if attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
            raise Unsupported("subgraph")
        if attribute.type == onnx.AttributeProto.TENSOR:
            if value.data_type == onnx.TensorProto.STRING:
                raise Unsupported("string")
            value = numpy_helper.to_array(value)
        elif attribute.type in (onnx.AttributeProto.SPARSE_TENSOR, onnx.AttributeProto.TYPE_PROTO):
            raise Unsupported("sparse tensor or type attribute")
        elif attribute.type in (onnx.AttributeProto.STRINGS, onnx.AttributeProto.STRING) and attribute.name in (
                "value_string", "value_strings"):
            raise Unsupported("string")
        elif attribute.type in (onnx.AttributeProto.FLOATS, onnx.AttributeProto.INTS):
            value = list(value)
        result[attribute.name] = value
    return result


def to_value(data):
    if data is None:
        return None
    if isinstance(data, (list, tuple)):
        return [to_value(x) for x in data]
    if isinstance(data, onnx.TensorProto):
        if data.data_type == onnx.TensorProto.STRING:
            raise Unsupported("string")
        return numpy_helper.to_array(data)
    if isinstance(data, (onnx.SequenceProto, onnx.OptionalProto)):
        raise Unsupported("protobuf sequence")
    return np.asarray(data)


def difference(expected, found, rtol, atol):
    """Why two results differ, or None."""
    if isinstance(expected, list):
        if not isinstance(found, list) or len(found) != len(expected):
            return f"expected a sequence of {len(expected)}, found {type(found).__name__}"
        return next((d for d in map(lambda p: difference(*p, rtol, atol), zip(expected, found)) if d), None)
    if expected is None or found is None:
        return None if expected is None and found is None else "one result is absent"
    if isinstance(found, list):
        return "found a sequence, expected a tensor"
    if expected.dtype != found.dtype:
        return f"expected type {expected.dtype}, found {found.dtype}"
    if expected.shape != found.shape:
        return f"expected shape {expected.shape}, found {found.shape}"
    if expected.dtype.kind in "biu" and expected.dtype.itemsize > 0 and expected.dtype.name not in ("int4", "uint4"):
        wrong = expected != found
        # Quantised results may differ by one step, as in ONNX's own runner.
        if expected.dtype.kind in "iu":
            wide = np.abs(expected.astype(np.float64) - found.astype(np.float64))
            wrong &= wide > atol + rtol * np.abs(expected.astype(np.float64))
        return f"{wrong.sum()} of {wrong.size} elements differ" if wrong.any() else None
    a, b = expected.astype(np.float64), found.astype(np.float64)
    if expected.dtype == np.float32 and np.isfinite(a).any():
        # Where terms cancel, what is left is the rounding of the largest ones: in the reference's results too.
        atol = max(atol, 2 * np.finfo(np.float32).eps * np.abs(a[np.isfinite(a)]).max())
    with np.errstate(invalid="ignore"):
        close = np.isclose(b, a, rtol=rtol, atol=atol, equal_nan=True)
    if close.all():
        return None
    at = np.unravel_index(np.argmin(close), close.shape) if close.ndim else ()
    return f"{(~close).sum()} of {close.size} elements differ, at {tuple(map(int, at))} expected {a[at]}, found {b[at]}"


def run_case(runtime, case):
    """Returns None, or why it failed; raises Unsupported to skip."""
    graph = case.model.graph
    node = graph.node[0]
    if graph.initializer or graph.sparse_initializer:
        raise Unsupported("initializers")
    version = next((o.version for o in case.model.opset_import if o.domain == node.domain), 1)
    attributes = attributes_of(node)
    if node.op_type == "Cast" and attributes["to"] in (onnx.TensorProto.INT2, onnx.TensorProto.UINT2):
        raise Unsupported("type int2 or uint2 (opset 25)")
    for inputs, outputs in case.data_sets:
        names = [value.name for value in graph.input]
        values = dict(zip(names, [to_value(x) for x in inputs]))
        expected = [to_value(x) for x in outputs]
        args = [values[name] if name else None for name in node.input]
        wanted = list(node.output)
        tensors = [v for v in list(values.values()) + expected]
        for value in tensors:
            for part in value if isinstance(value, list) else [value]:
                if part is not None and part.dtype.kind in "OSU":
                    raise Unsupported("string")
                if part is not None and part.dtype.kind == "c":
                    raise Unsupported("complex")
        try:
            found = runtime.run(node.op_type, args, attributes, version, len(wanted), node.domain)
        except RuntimeError as error:
            return str(error)
        found = [f for f, name in zip(found, wanted) if name]
        names = [name for name in wanted if name]
        order = [value.name for value in graph.output]
        found = [found[names.index(name)] for name in order]
        rtol, atol = case.rtol, case.atol
        for i, (e, f) in enumerate(zip(expected, found)):
            if node.op_type in RANDOM:
                if e.shape != f.shape or e.dtype != f.dtype:
                    return f"output {i}: expected {e.dtype}{e.shape}, found {f.dtype}{f.shape}"
                continue
            # A last-place difference of the 16-bit types is more than the tests' tolerance for float.
            small = getattr(e, "dtype", None) is not None and e.dtype.name in ("float16", "bfloat16")
            unit = {"float16": 2e-3, "bfloat16": 1.6e-2}[e.dtype.name] if small else 0
            problem = difference(e, f, max(rtol, unit), max(atol, unit * 0.1))
            if problem:
                return f"output {i}: {problem}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", required=True, help="path of libuoe_runtime.so")
    parser.add_argument("--op", action="append", help="only this operator (repeatable)")
    parser.add_argument("--case", help="only cases whose name contains this")
    parser.add_argument("--verbose", action="store_true", help="list the skipped cases")
    parser.add_argument("--unknown", action="store_true", help="list the operators without a kernel")
    options = parser.parse_args()

    runtime = Runtime(options.library)
    warnings.simplefilter("ignore")
    with np.errstate(all="ignore"):
        cases = collect_testcases()
    passed, failures, skips, unknown = 0, [], collections.defaultdict(list), collections.Counter()
    for case in cases:
        graph = case.model.graph
        if len(graph.node) != 1 or case.model.functions:
            reason = "expanded function" if "_expanded" in case.name else "several nodes"
            if not options.op or any(n.op_type in options.op for n in graph.node):
                skips[reason].append(case.name)
            continue
        node = graph.node[0]
        if options.op and node.op_type not in options.op or options.case and options.case not in case.name:
            continue
        if not runtime.known(node.domain, node.op_type):
            unknown[f"{node.domain + '.' if node.domain else ''}{node.op_type}"] += 1
            skips["no kernel"].append(case.name)
            continue
        try:
            problem = run_case(runtime, case)
        except Unsupported as reason:
            skips[str(reason)].append(case.name)
            continue
        if problem:
            failures.append((node.op_type, case.name, problem))
        else:
            passed += 1
    for op, name, problem in failures:
        print(f"FAILED {op}: {name}: {problem}")
    for op, count in sorted(collections.Counter(op for op, _, _ in failures).items()):
        print(f"{op}: {count} failed")
    for reason, names in sorted(skips.items()):
        print(f"skipped {len(names)}: {reason}")
        if options.verbose:
            for name in names:
                print(f"  {name}")
    if options.unknown:
        print("without a kernel:", ", ".join(f"{op} ({n})" for op, n in sorted(unknown.items())))
    print(f"{passed} passed, {len(failures)} failed, {sum(map(len, skips.values()))} skipped")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
