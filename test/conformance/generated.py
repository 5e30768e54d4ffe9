#!/usr/bin/env python3
"""Generated kernels against the operators' own: random graphs of elementwise operators, run both ways.

Shapes of rank 0 to 6 with every broadcast, sizes of 0 and 1, lengths around a vector's, all types that are generated,
NaN and infinities, integers at their limits. Then the functions alone against double, in ulps.
Ends with `N passed, N failed`; exit status 1 if anything failed.
"""
import argparse
import math
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, DOUBLE, INT32, INT64, BOOL, HALF, BFLOAT = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT32, TensorProto.INT64,
                                                   TensorProto.BOOL, TensorProto.FLOAT16, TensorProto.BFLOAT16)
NUMPY = {FLOAT: np.float32, DOUBLE: np.float64, INT32: np.int32, INT64: np.int64, BOOL: np.bool_, HALF: np.float16}
UNARY = {"Exp": [FLOAT], "Log": [FLOAT], "Tanh": [FLOAT], "Erf": [FLOAT], "Sigmoid": [FLOAT], "Gelu": [FLOAT], "Softsign": [FLOAT, DOUBLE],
         "Sqrt": [FLOAT, DOUBLE], "Reciprocal": [FLOAT, DOUBLE], "Floor": [FLOAT, DOUBLE], "Ceil": [FLOAT, DOUBLE],
         "Round": [FLOAT, DOUBLE], "HardSigmoid": [FLOAT], "HardSwish": [FLOAT], "LeakyRelu": [FLOAT, DOUBLE],
         "Neg": [FLOAT, DOUBLE, INT32, INT64], "Abs": [FLOAT, DOUBLE, INT32, INT64], "Sign": [FLOAT, DOUBLE, INT32, INT64],
         "Relu": [FLOAT, DOUBLE, INT32, INT64], "Not": [BOOL]}
BINARY = {**{op: [FLOAT, DOUBLE, INT32, INT64] for op in ("Add", "Sub", "Mul", "Min", "Max")}, "Div": [FLOAT, DOUBLE],
          **{op: [BOOL] for op in ("And", "Or", "Xor")}}
COMPARE = ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual")
# Where the functions' polynomials are not the same instructions as the operators', in ulps of a result.
LOOSE = 16


class Graph:
    """A random graph of elementwise operators over one shape, and broadcasts of it."""

    def __init__(self, random, named):
        self.random, self.nodes, self.inputs, self.values, self.constants = random, [], {}, [], []
        rank = int(random.integers(0, 7))
        sizes = [0, 1, 2, 3, 5, 7, 17] if rank > 2 else [0, 1, 2, 7, 15, 16, 17, 33, 64, 65, 300]
        weights = np.array([0.03] + [0.97 / (len(sizes) - 1)] * (len(sizes) - 1))
        self.shape = [int(random.choice(sizes, p=weights)) for _ in range(rank)]
        self.named = named  # dimensions have names, so that values read outside may be results
        for kind in (FLOAT, FLOAT, INT64, INT32, BOOL, DOUBLE):
            self.input(kind, self.shape)
        for _ in range(int(random.integers(1, 4))):
            cut = int(random.integers(0, rank + 1))
            part = [1 if random.random() < 0.5 else d for d in self.shape[cut:]]
            self.input(int(random.choice([FLOAT, INT64, BOOL])), part)

    def input(self, kind, shape):
        name = f"x{len(self.inputs)}"
        if kind in (FLOAT, DOUBLE):
            value = self.random.standard_normal(shape) * 10.0 ** self.random.integers(-2, 3)
            odd = self.random.random(shape) < 0.03
            value = np.where(odd, self.random.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, 3e38, 89.5, -104.0], shape), value)
        elif kind == BOOL:
            value = self.random.random(shape) < 0.5
        else:
            limits = np.iinfo(NUMPY[kind])
            value = self.random.integers(-100, 100, shape)
            odd = self.random.random(shape) < 0.03
            value = np.where(odd, self.random.choice([limits.min, limits.max, 0, -1, 1], shape), value)
        self.inputs[name] = np.asarray(value).astype(NUMPY[kind])
        self.values.append((name, kind))

    def pick(self, kinds):
        fitting = [v for v in self.values if v[1] in kinds]
        # Rather what came last: chains, not bushes.
        return fitting[-1 - int(min(self.random.exponential(2), len(fitting) - 1))] if fitting else None

    def scalar(self, kind, value):
        name = f"c{len(self.constants)}"
        shape = [1] * int(self.random.integers(0, len(self.shape) + 1))
        self.constants.append(numpy_helper.from_array(np.full(shape, value, NUMPY[kind]), name))
        return name

    def node(self, op, inputs, kind, **attributes):
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        self.values.append((name, kind))

    def grow(self):
        random, form = self.random, self.random.random()
        if form < 0.3:
            op = str(random.choice(list(UNARY)))
            x = self.pick(UNARY[op])
            self.node(op, [x[0]], x[1], **({"approximate": "tanh"} if op == "Gelu" and random.random() < 0.5 else {}))
        elif form < 0.6:
            op = str(random.choice(list(BINARY)))
            x = self.pick(BINARY[op])
            y = self.pick([x[1]])
            self.node(op, [x[0], y[0]], x[1])
        elif form < 0.7:
            x = self.pick([FLOAT, DOUBLE, INT32, INT64])
            y = self.pick([x[1]])
            self.node(str(random.choice(COMPARE)), [x[0], y[0]], BOOL)
        elif form < 0.8:
            c, x = self.pick([BOOL]), self.pick(list(NUMPY))
            self.node("Where", [c[0], x[0], self.pick([x[1]])[0]], x[1])
        elif form < 0.9:
            x = self.pick(list(NUMPY))
            to = int(random.choice([FLOAT, DOUBLE, INT32, INT64, BOOL, HALF, BFLOAT]))
            if x[1] == DOUBLE and to in (HALF, BFLOAT):
                to = FLOAT
            self.node("Cast", [x[0]], to, to=to)
            if to == BFLOAT:  # back to what NumPy has
                self.node("Cast", [self.values.pop()[0]], FLOAT, to=FLOAT)
        elif form < 0.95:
            x = self.pick([FLOAT, DOUBLE, INT32, INT64])
            op = str(random.choice(["Mul", "Add", "Sub", "Div"]))
            value = int(random.choice([2, 3, -7, 100])) if x[1] in (INT32, INT64) else float(random.choice([0.5, 3.7, -1e-3]))
            self.node(op, [x[0], self.scalar(x[1], value)], x[1])
        else:
            x = self.pick([FLOAT])
            if random.random() < 0.5:
                self.node("Pow", [x[0], self.scalar(FLOAT, float(random.choice([2, 3, 0.5, -0.5, -1])))], FLOAT)
            else:
                ends = [self.clip_bound(-1.5), self.clip_bound(40)]
                self.node("Clip", [x[0]] + [e if random.random() < 0.8 else "" for e in ends], FLOAT)

    def clip_bound(self, value):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, np.float32), name))
        return name

    def model(self):
        def info(name, kind, shape):
            dims = [f"d{len(shape) - i}" if self.named and d == full and d != 1 else (d if self.named else None)
                    for i, (d, full) in enumerate(zip(shape, self.shape[len(self.shape) - len(shape):]))]
            return helper.make_tensor_value_info(name, kind, dims)
        inputs = [info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in self.inputs.items()]
        read = {name for node in self.nodes for name in node.input}
        last = [v for v in self.values if v[0] not in read and v[0] not in self.inputs]
        some = [v for v in self.values if v[0] in read and v[0] not in self.inputs and self.random.random() < 0.1]
        outputs = [helper.make_empty_tensor_value_info(n) for n, _ in last + some]
        for output, (_, kind) in zip(outputs, last + some):
            output.type.tensor_type.elem_type = kind
        graph = helper.make_graph(self.nodes, "g", inputs, outputs, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)


def run(uoe_run, folder, model, inputs, name, options):
    arguments = [uoe_run, "run", model, "-o", "json", "--output-dir", folder / name, *options]
    for key, value in inputs.items():
        np.save(folder / f"{key}.npy", value)
        arguments += ["--input", f"{key}={folder / key}.npy"]
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return {path.stem: np.load(path) for path in (folder / name).glob("*.npy")}


def difference(a, b, ulps):
    """None if the arrays agree to `ulps` of each element, NaN with NaN; else what is wrong."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return f"{a.dtype}{a.shape} against {b.dtype}{b.shape}"
    if a.dtype.kind != "f":
        return None if np.array_equal(a, b) else f"{np.sum(a != b)} of {a.size} elements differ"
    with np.errstate(all="ignore"):
        x, y = a.astype(np.float64), b.astype(np.float64)
        bound = ulps * np.maximum(np.spacing(np.abs(a)).astype(np.float64), np.finfo(a.dtype).tiny)
        good = (x == y) | (np.isnan(x) & np.isnan(y)) | (np.abs(x - y) <= bound)
    if np.all(good):
        return None
    at = np.unravel_index(np.argmin(good), good.shape)
    return f"{np.sum(~good)} of {a.size} elements differ, first at {tuple(map(int, at))}: {a[at]!r} against {b[at]!r}"


EXACT = {"Add", "Sub", "Mul", "Div", "Min", "Max", "And", "Or", "Xor", "Not", "Neg", "Abs", "Sign", "Relu", "Where", "Cast", "Clip", "Sqrt",
         "Floor", "Ceil", "Round", "Reciprocal", *COMPARE}


def random_graphs(uoe_run, count, seed, failures):
    passed = groups = 0
    for number in range(count):
        random = np.random.default_rng([seed, number])
        graph = Graph(random, number % 2 == 0)
        # Every second graph of arithmetic alone: results must be the same bits. In the others rounding of functions may grow
        # through cancellation and flip comparisons, so they are short and smooth.
        exact = number % 4 < 2
        while len(graph.nodes) < (24 if exact else 3):
            before = len(graph.nodes), len(graph.values)
            graph.grow()
            fresh = {n.op_type for n in graph.nodes[before[0]:]}
            rough = fresh & {"Floor", "Ceil", "Round", "Cast", "Sub", "Log", *COMPARE, "Sign"}
            if (exact and not fresh <= EXACT) or (not exact and rough):
                del graph.nodes[before[0]:], graph.values[before[1]:]
        model = graph.model()
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            onnx.save(model, folder / "model.onnx")
            label = f"graph {number} {graph.shape} {' '.join(n.op_type for n in graph.nodes)}"
            try:
                expected = run(uoe_run, folder, folder / "model.onnx", graph.inputs, "a", ["--no-generate"])
                found = run(uoe_run, folder, folder / "model.onnx", graph.inputs, "b", [])
            except RuntimeError as error:
                failures.append(f"{label}: {error}")
                continue
            problems = [f"{key}: {problem}" for key in expected
                        if (problem := difference(expected[key], found[key], 0 if exact else LOOSE))]
            if problems:
                failures.append(f"{label}: {'; '.join(problems)}")
            else:
                passed += 1
    return passed


def row_graph(random):
    """Chains of Softmax, reductions and normalisations over the last dimension, with arithmetic between: values and inputs."""
    info = helper.make_tensor_value_info
    length = int(random.choice([0, 1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 64, 100, 300], p=[0.02] + [0.98 / 13] * 13))
    lead = [int(random.choice([0, 1, 2, 3, 5, 40], p=[0.03, 0.2, 0.2, 0.2, 0.2, 0.17])) for _ in range(int(random.integers(0, 4)))]
    # Known short rows stay operators: mostly the length has a name.
    names = [f"d{i}" for i in range(len(lead))] + (["n"] if random.random() < 0.8 else [length])
    shape = [*lead, length]
    wholes = {"x": shape, "y": shape}
    rows = {"r": [*lead, 1]}
    inputs = {"s": [length], "b": [length], **wholes, **rows}
    values = {k: random.standard_normal(v).astype(np.float32) for k, v in inputs.items()}
    if random.random() < 0.3 and values["x"].size:
        values["x"].flat[int(random.integers(values["x"].size))] = random.choice([np.nan, np.inf, -np.inf])
    whole, row, nodes = ["x", "y"], ["r"], []

    def add(op, operands, to, **attributes):
        nodes.append(helper.make_node(op, operands, [f"v{len(nodes)}"], f"v{len(nodes)}", **attributes))
        to.append(nodes[-1].output[0])

    late = lambda names: names[-1 - int(min(random.exponential(1.5), len(names) - 1))]
    axis = lambda: -1 if random.random() < 0.5 else len(lead)
    constants = []
    while len(nodes) < 7:
        form = int(random.integers(0, 9))
        if form == 0:
            add("Softmax", [late(whole)], whole, axis=axis())
        elif form == 1:
            op = str(random.choice(["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"]))
            constants.append(numpy_helper.from_array(np.array([axis()], np.int64), f"a{len(constants)}"))
            add(op, [late(whole), constants[-1].name], row)
        elif form == 2:
            add("LayerNormalization", [late(whole), "s"] + (["b"] if random.random() < 0.5 else []), whole, axis=axis())
        elif form == 3:
            add("RMSNormalization", [late(whole), "s"], whole, axis=axis())
        elif form < 6:
            add(str(random.choice(["Add", "Sub", "Mul"])), [late(whole), late(whole + ["b", "s"])], whole)
        elif form == 6:
            add(str(random.choice(["Add", "Sub", "Mul"])), [late(whole), late(row)], whole)
        elif form == 7:
            add(str(random.choice(["Add", "Mul"])), [late(row), late(row)], row)
        else:
            add(str(random.choice(["Tanh", "Sigmoid", "Abs"])), [late(whole)], whole)
    read = {name for node in nodes for name in node.input}
    outputs = [n.output[0] for n in nodes if n.output[0] not in read or random.random() < 0.15]
    dims = {"s": names[-1:], "b": names[-1:], "x": names, "y": names, "r": [*names[:-1], 1]}
    shapes = {n.output[0]: dims["r"] if n.output[0] in row else dims["x"] for n in nodes}
    graph = helper.make_graph(nodes, "g", [info(k, FLOAT, dims[k]) for k in inputs], [info(k, FLOAT, shapes[k]) for k in outputs], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11), values, shape


def random_rows(uoe_run, count, seed, failures):
    passed = 0
    for number in range(count):
        model, values, shape = row_graph(np.random.default_rng([seed, 7, number]))
        label = f"rows {number} {shape} {' '.join(n.op_type for n in model.graph.node)}"
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            onnx.save(model, folder / "model.onnx")
            try:
                expected = run(uoe_run, folder, folder / "model.onnx", values, "a", ["--no-fuse"])
                found = run(uoe_run, folder, folder / "model.onnx", values, "b", [])
            except RuntimeError as error:
                failures.append(f"{label}: {error}")
                continue
            for key in expected:
                a, b = expected[key].astype(np.float64), found[key].astype(np.float64)
                with np.errstate(all="ignore"):
                    size = np.abs(a[np.isfinite(a)]).max(initial=1e-3)
                    good = a.shape == b.shape and np.all((a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= 2e-4 * size))
                if not good:
                    failures.append(f"{label}: {key}: {a.shape} {b.shape} {np.abs(a - b).max() / size if a.shape == b.shape else ''}")
                    break
            else:
                passed += 1
    return passed


def functions(uoe_run, failures):
    """Each function in a loop of its own, against double: the bound that docs/execution.md states."""
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    erf = np.vectorize(math.erf, otypes=[np.float64])
    random = np.random.default_rng(3)
    cases = {"Exp": (np.exp, -87, 88, 4), "Log": (np.log, 1e-38, 1e38, 4), "Tanh": (np.tanh, -10, 10, 4), "Erf": (erf, -4.5, 4.5, 4),
             "Sigmoid": (sigmoid, -80, 80, 4)}
    passed = 0
    for op, (f, low, high, ulps) in cases.items():
        x = random.uniform(low, high, 100003)
        if op == "Log":
            x = 10 ** random.uniform(-37.9, 38, 100003)
        small = random.standard_normal(50000) * 10.0 ** random.integers(-6, 1, 50000)
        x = np.concatenate([x, np.abs(small) if op == "Log" else small]).astype(np.float32)
        # Twice the sign: a group of two, and exact.
        nodes = [helper.make_node("Neg", ["x"], ["a"]), helper.make_node("Neg", ["a"], ["b"]), helper.make_node(op, ["b"], ["y"])]
        info = helper.make_tensor_value_info
        graph = helper.make_graph(nodes, "g", [info("x", FLOAT, ["n"])], [info("y", FLOAT, ["n"])])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            onnx.save(model, folder / "model.onnx")
            found = run(uoe_run, folder, folder / "model.onnx", {"x": x}, "out", [])["y"]
        exact = f(x.astype(np.float64))
        error = np.abs(found - exact) / np.spacing(np.abs(exact).astype(np.float32))
        worst = float(error.max())
        print(f"{op}: at most {worst:.2f} ulps")
        if worst <= ulps:
            passed += 1
        else:
            failures.append(f"{op}: {worst} ulps at {x[np.argmax(error)]!r}")
    return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--uoe-run", required=True)
    parser.add_argument("--count", type=int, default=80)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    failures = []
    passed = functions(options.uoe_run, failures)
    passed += random_graphs(options.uoe_run, options.count, options.seed, failures)
    passed += random_rows(options.uoe_run, options.count, options.seed, failures)
    for failure in failures:
        print("FAILED", failure)
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
