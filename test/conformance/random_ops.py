#!/usr/bin/env python3
"""Random comparisons of the element-wise, shape, index and reduction operators with NumPy.

What ONNX's node tests leave out: broadcasting of every pattern, empty and ragged shapes, rank 0, negative axes, every
element type, large arrays (several threads). And inputs that must be refused with a message.
Ends with `N passed, N failed, N skipped`; exit status 1 if anything failed.
"""

import argparse
import math
import sys

import ml_dtypes
import numpy as np

from uoe_ops import Runtime

REAL = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
INTEGER = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]
# Largest relative error, in units of the type's precision.
ULPS = 4


class Suite:
    def __init__(self, runtime, seed):
        self.runtime, self.random = runtime, np.random.default_rng(seed)
        self.passed, self.failures = 0, []

    def check(self, label, expected, op, inputs, attributes=None, version=24, ulps=ULPS, outputs=1):
        try:
            found = self.runtime.run(op, inputs, attributes, version, outputs)[0]
        except RuntimeError as error:
            return self.failures.append(f"{op} {label}: {error}")
        problem = None
        if found.dtype != expected.dtype or found.shape != expected.shape:
            problem = f"expected {expected.dtype}{expected.shape}, found {found.dtype}{found.shape}"
        elif expected.dtype.kind in "biu":
            if not np.array_equal(found, expected):
                problem = f"{np.sum(found != expected)} of {found.size} elements differ"
        else:
            precision = float(ml_dtypes.finfo(expected.dtype).eps)
            a, b = expected.astype(np.float64), found.astype(np.float64)
            with np.errstate(all="ignore"):
                tiny = float(ml_dtypes.finfo(expected.dtype).tiny)
                error = np.abs(a - b) / np.maximum(np.abs(a), tiny)
                error = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, error)
            if error.size and not error.max() <= ulps * precision:
                at = np.unravel_index(np.argmax(np.where(np.isnan(error), np.inf, error)), error.shape)
                problem = f"error {error[at] / precision:.1f} ulp at {tuple(map(int, at))}: expected {a[at]!r}, found {b[at]!r}"
        if problem:
            self.failures.append(f"{op} {label}: {problem}")
        else:
            self.passed += 1

    def refuse(self, label, op, inputs, attributes=None, version=24, outputs=1):
        try:
            self.runtime.run(op, inputs, attributes, version, outputs)
        except RuntimeError as error:
            if len(str(error)) > 10:
                self.passed += 1
                return
        self.failures.append(f"{op} {label}: accepted")

    def shape(self, rank=None, most=5, empty=0.1):
        rank = int(self.random.integers(0, 5)) if rank is None else rank
        return tuple(0 if self.random.random() < empty / max(rank, 1) else int(self.random.integers(1, most + 1))
                     for _ in range(rank))

    def array(self, shape, dtype, low=-4, high=4):
        dtype = np.dtype(dtype)
        if dtype.kind == "b":
            return self.random.random(shape) < 0.5
        if dtype.kind in "iu":
            return self.random.integers(0 if dtype.kind == "u" else int(low * 5), int(high * 5), shape).astype(dtype)
        return np.asarray(self.random.uniform(low, high, shape)).astype(dtype)

    def broadcastable(self):
        """Two shapes that broadcast, of any pattern."""
        whole = self.shape()
        result = []
        for _ in range(2):
            cut = whole[int(self.random.integers(0, len(whole) + 1)):]
            result.append(tuple(1 if self.random.random() < 0.3 else d for d in cut))
        return result


def unary(suite):
    softplus = lambda x: np.logaddexp(x, 0)
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    erf = np.vectorize(math.erf, otypes=[np.float64])
    cases = {
        "Exp": (np.exp, -20, 20), "Log": (np.log, 1e-3, 20), "Tanh": (np.tanh, -5, 5), "Sigmoid": (sigmoid, -20, 20),
        "Erf": (erf, -5, 5), "Sqrt": (np.sqrt, 0, 9), "Sin": (np.sin, -3, 3), "Cos": (np.cos, -1.5, 1.5),
        "Softplus": (softplus, -20, 20), "Abs": (np.abs, -4, 4), "Neg": (np.negative, -4, 4), "Ceil": (np.ceil, -4, 4),
        "Floor": (np.floor, -4, 4), "Round": (np.rint, -4, 4), "Reciprocal": (np.reciprocal, 0.1, 4),
        "Relu": (lambda x: np.maximum(x, 0), -4, 4), "Softsign": (lambda x: x / (1 + np.abs(x)), -4, 4),
        "Atan": (np.arctan, -4, 4), "Sinh": (np.sinh, -4, 4), "Asinh": (np.arcsinh, -4, 4),
        "Elu": (lambda x: np.where(x < 0, np.expm1(x), x), -9, 4), "Mish": (lambda x: x * np.tanh(softplus(x)), -9, 9),
        "Gelu": (lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2))), -3, 5),
        "Swish": (lambda x: x * sigmoid(x), -9, 9),
    }
    for op, (f, low, high) in cases.items():
        for dtype in REAL:
            for shape in [(), (0,), (3, 0, 2), (1,), (7,), (65,), (3, 1031), (200001,)]:
                x = suite.array(shape, dtype, low, high)
                # Near a zero away from the origin, and where Gelu's two terms cancel, rounding dominates.
                ulps = {"Gelu": 400, "Mish": 8, "Log": 8, "Sin": 8}.get(op, ULPS)
                wide = np.asarray(f(x.astype(np.float64)))
                with np.errstate(all="ignore"):
                    suite.check(f"{np.dtype(dtype).name}{shape}", wide.astype(dtype), op, [x], ulps=ulps)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 1e38, -1e38, 88.8, 89.5, -87.5, -104, -150], np.float32)
    for op, f in {"Exp": np.exp, "Tanh": np.tanh, "Sigmoid": sigmoid, "Relu": lambda x: np.where(np.isnan(x), x, np.maximum(x, 0)),
                  "Log": np.log, "Erf": erf, "Sin": np.sin, "Cos": np.cos, "Sqrt": np.sqrt, "Abs": np.abs}.items():
        x = np.abs(special) if op in ("Log", "Sqrt") else special
        with np.errstate(all="ignore"):
            suite.check("special values", np.asarray(f(x.astype(np.float64))).astype(np.float32), op, [x], ulps=8)
    for scale in (100, 8000, 1e6):
        x = suite.array((5000,), np.float32, -scale, scale)
        for op, f in (("Sin", np.sin), ("Cos", np.cos)):
            found = suite.runtime.run(op, [x])[0]
            error = np.abs(found - f(x.astype(np.float64))).max()
            if error <= 2e-7:
                suite.passed += 1
            else:
                suite.failures.append(f"{op} up to {scale}: absolute error {error}")
    for dtype in INTEGER[:4]:
        x = suite.array((50,), dtype)
        suite.check("int", np.abs(x), "Abs", [x])
        suite.check("int", -x, "Neg", [x])
        suite.check("int", np.sign(x), "Sign", [x])
        low, high = np.array(-3, dtype), np.array(5, dtype)
        suite.check("int", np.clip(x, -3, 5).astype(dtype), "Clip", [x, low, high])
        suite.check("one bound", np.maximum(x, low), "Clip", [x, low, None])


def binary(suite):
    cases = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Max": np.maximum, "Min": np.minimum}
    compare = {"Equal": np.equal, "Less": np.less, "LessOrEqual": np.less_equal, "Greater": np.greater,
               "GreaterOrEqual": np.greater_equal}
    for _ in range(12):
        for dtype in REAL + INTEGER:
            a_shape, b_shape = suite.broadcastable()
            a, b = suite.array(a_shape, dtype), suite.array(b_shape, dtype)
            for op, f in {**cases, **compare}.items():
                wide = np.float64 if np.dtype(dtype).kind not in "iu" else dtype
                expected = np.asarray(f(a.astype(wide), b.astype(wide)))
                if op in cases:
                    expected = expected.astype(dtype)
                    if op == "Sub" and np.dtype(dtype) in (np.float16, ml_dtypes.bfloat16):
                        continue  # cancellation leaves the operands' rounding; float and double cover the loops
                suite.check(f"{np.dtype(dtype).name}{a_shape}{b_shape}", expected, op, [a, b])
            b = np.where(np.asarray(b == 0), np.ones_like(b), b).astype(dtype) if b.size else b
            if np.dtype(dtype).kind in "iu":
                trunc = np.trunc(a.astype(np.float64) / b.astype(np.float64)).astype(dtype)
                suite.check(f"{np.dtype(dtype).name}{a_shape}{b_shape}", np.asarray(trunc), "Div", [a, b])
                suite.check(f"{np.dtype(dtype).name}{a_shape}{b_shape}", np.asarray(np.mod(a, b)), "Mod", [a, b])
                suite.check(f"{np.dtype(dtype).name}{a_shape}{b_shape}", np.asarray(np.fmod(a, b)), "Mod", [a, b], {"fmod": 1})
        for op, f in {"And": np.logical_and, "Or": np.logical_or, "Xor": np.logical_xor}.items():
            a, b = (suite.array(s, np.bool_) for s in suite.broadcastable())
            suite.check(f"{a.shape}{b.shape}", np.asarray(f(a, b)), op, [a, b])
    for a_shape, b_shape in [((300, 500), (500,)), ((300, 500), (300, 1)), ((300, 1), (1, 500)), ((500,), (300, 500)),
                             ((2, 1, 100, 300), (2, 3, 100, 300)), ((100000,), ()), ((7, 1, 9, 1, 11), (5, 1, 8, 1))]:
        a, b = suite.array(a_shape, np.float32), suite.array(b_shape, np.float32, 1, 2)
        suite.check(f"{a_shape}{b_shape}", a + b, "Add", [a, b])
        suite.check(f"{a_shape}{b_shape}", a / b, "Div", [a, b])
    for dtype in REAL:
        a = suite.array((40, 3), dtype, 0.1, 3)
        for exponent in (2, 3, 0.5, -0.5, -1, 1.7, 0):
            for other in (np.float32, np.float64):
                wide = a.astype(np.float64) ** np.float64(other(exponent))
                suite.check(f"{np.dtype(dtype).name}**{exponent}", wide.astype(dtype), "Pow", [a, np.array(exponent, other)])
    a = suite.array((6, 5), np.int64)
    suite.check("int", a ** 3, "Pow", [a, np.array(3, np.int32)])
    suite.check("int", (a.astype(np.float64) ** 2.0).astype(np.int64), "Pow", [a, np.array(2.0, np.float32)])
    parts = [suite.array(s, np.float32) for s in [(3, 1), (1, 4), (2, 3, 4)]]
    suite.check("3", (parts[0] + parts[1]) + parts[2], "Sum", parts)
    suite.check("3", np.maximum(np.maximum(*parts[:2]), parts[2]), "Max", parts)
    for _ in range(30):
        whole = suite.shape()
        shapes = [tuple(1 if suite.random.random() < 0.4 else d for d in whole) for _ in range(3)]
        for dtype in (np.float32, np.int64, np.int8, np.float16):
            c, x, y = suite.array(shapes[0], np.bool_), suite.array(shapes[1], dtype), suite.array(shapes[2], dtype)
            suite.check(f"{shapes}", np.where(c, x, y), "Where", [c, x, y])


def casts(suite):
    for source in REAL + INTEGER + [np.bool_]:
        for target in REAL + INTEGER + [np.bool_]:
            x = suite.array((37,), source, 0 if np.dtype(target).kind == "u" else -4, 4)
            from uoe_ops import NUMBERS
            expected = x.astype(np.float32).astype(target) if np.dtype(source).name == "bfloat16" else x.astype(target)
            suite.check(f"{np.dtype(source).name}", expected, "Cast", [x], {"to": NUMBERS[np.dtype(target)]}, ulps=0)
    x = suite.random.standard_normal(20000) * 10.0 ** suite.random.integers(-8, 5, 20000)
    with np.errstate(all="ignore"):
        suite.check("double to half", x.astype(np.float16), "Cast", [x], {"to": 10}, ulps=0)
        for number in (17, 18, 19, 20):
            from uoe_ops import TYPES
            y = np.clip(x, -200, 200).astype(np.float32)
            suite.check("float8", y.astype(TYPES[number]), "Cast", [y], {"to": number}, ulps=0)


def shapes(suite):
    for _ in range(150):
        dtype = [np.float32, np.int64, np.int8, np.float16, np.float64, np.bool_][int(suite.random.integers(6))]
        x = suite.array(suite.shape(), dtype)
        order = [int(d) for d in suite.random.permutation(x.ndim)]
        if x.ndim:
            suite.check(f"{x.shape}{order}", np.transpose(x, order), "Transpose", [x], {"perm": order})
            repeats = suite.random.integers(0, 4, x.ndim)
            suite.check(f"{x.shape}{repeats}", np.tile(x, repeats), "Tile", [x, repeats])
            axis = int(suite.random.integers(-x.ndim, x.ndim))
            parts = []
            for _ in range(int(suite.random.integers(1, 4))):
                shape = list(x.shape)
                shape[axis] = int(suite.random.integers(0, 4))
                parts.append(suite.array(shape, dtype))
            whole = np.concatenate(parts, axis)
            suite.check(f"{[p.shape for p in parts]} axis {axis}", whole, "Concat", parts, {"axis": axis})
            lengths = np.array([p.shape[axis] for p in parts], np.int64)
            found = suite.runtime.run("Split", [whole, lengths], {"axis": axis}, outputs=len(parts))
            if all(np.array_equal(f, p) for f, p in zip(found, parts)):
                suite.passed += 1
            else:
                suite.failures.append(f"Split {whole.shape} {lengths}")
            starts, ends = (suite.random.integers(-7, 8, x.ndim) for _ in range(2))
            steps = suite.random.choice([-3, -2, -1, 1, 2, 3], x.ndim)
            expected = x[tuple(slice(int(s), int(e) if e >= 0 or st > 0 or e >= -d else None, int(st))
                               for s, e, st, d in zip(starts, ends, steps, x.shape))]
            suite.check(f"{x.shape} {starts} {ends} {steps}", expected, "Slice",
                        [x, starts, ends, np.arange(x.ndim), steps])
            pads = suite.random.integers(0, 4, 2 * x.ndim)
            widths = list(zip(map(int, pads[: x.ndim]), map(int, pads[x.ndim:])))
            value = suite.array((), dtype)
            suite.check(f"{x.shape} {widths}", np.pad(x, widths, constant_values=value), "Pad", [x, pads, value])
            for mode in ("reflect", "edge", "wrap"):
                if x.size:
                    suite.check(f"{x.shape} {widths} {mode}", np.pad(x, widths, mode=mode), "Pad", [x, pads], {"mode": mode})
        a, b = suite.broadcastable()
        x = suite.array(a, dtype)
        if 0 not in b:
            expected = np.asarray(np.broadcast_to(x, np.broadcast_shapes(a, b)))
            suite.check(f"{a}{b}", expected, "Expand", [x, np.array(b, np.int64)])
        x = suite.array(suite.shape(3), dtype)
        axes = np.sort(suite.random.permutation(5)[:2])
        suite.check(f"{x.shape}{axes}", np.expand_dims(x, tuple(int(a) for a in axes)), "Unsqueeze", [x, axes - 5])
    x = suite.array((513, 1029), np.float32)
    suite.check("large", x.T.copy(), "Transpose", [x])
    x = suite.array((4, 100, 6, 64), np.float32)
    for order in ([0, 2, 1, 3], [0, 2, 3, 1], [3, 2, 1, 0], [1, 0, 3, 2]):
        suite.check(f"large {order}", np.transpose(x, order).copy(), "Transpose", [x], {"perm": order})
        suite.check(f"large {order}", np.transpose(x, order).astype(np.float16), "Transpose", [x.astype(np.float16)], {"perm": order})


def indices(suite):
    for _ in range(80):
        x = suite.array(suite.shape(int(suite.random.integers(1, 5)), empty=0), np.float32)
        axis = int(suite.random.integers(-x.ndim, x.ndim))
        n = x.shape[axis]
        index = suite.random.integers(-n, n, suite.shape(int(suite.random.integers(0, 3)), empty=0.3))
        for dtype in (np.int64, np.int32):
            suite.check(f"{x.shape}{index.shape} axis {axis}", np.take(x, index, axis), "Gather",
                        [x, index.astype(dtype)], {"axis": axis})
        shape = list(x.shape)
        shape[axis] = int(suite.random.integers(0, 5))
        index = suite.random.integers(-n, n, shape)
        suite.check(f"{x.shape}{shape} axis {axis}", np.take_along_axis(x, np.where(index < 0, index + n, index), axis),
                    "GatherElements", [x, index], {"axis": axis})
        updates = suite.array(shape, np.float32)
        once = np.argsort(suite.random.random(x.shape), axis)
        expected = x.copy()
        np.put_along_axis(expected, once, suite.array(x.shape, np.float32) * 0 + 7, axis)
        suite.check(f"{x.shape} axis {axis}", expected, "ScatterElements", [x, once, np.full(x.shape, 7, np.float32)], {"axis": axis})
        del updates
        order = np.argsort(-x, axis, kind="stable")
        k = int(suite.random.integers(0, n + 1))
        suite.check(f"{x.shape} axis {axis} k {k}", np.take(np.take_along_axis(x, order, axis), range(k), axis), "TopK",
                    [x, np.array([k])], {"axis": axis}, outputs=2)
        suite.check(f"{x.shape} axis {axis}", np.argmax(x, axis)[()].reshape(np.argmax(x, axis).shape), "ArgMax", [x],
                    {"axis": axis, "keepdims": 0})
        suite.check(f"{x.shape}", np.array(np.nonzero(x > 0)), "NonZero", [x > 0])
        suite.check(f"{x.shape} axis {axis}", np.cumsum(x, axis, dtype=np.float64).astype(np.float32), "CumSum",
                    [x, np.array(axis)], ulps=200)
    x = suite.array((3, 0, 4), np.float32)
    suite.check("empty", np.zeros((3, 0, 4), np.float32), "Gather", [x, np.zeros((0,), np.int64)], {"axis": 1})
    suite.check("empty", np.zeros((3, 0), np.int64), "NonZero", [x])
    x = suite.array((), np.float32)
    suite.check("scalar", np.zeros((0, 1), np.int64) if x != 0 else np.zeros((0, 0), np.int64), "NonZero", [x])
    for shape in [(6, 7), (2, 5, 5), (0, 3), (2, 0)]:
        x = suite.array(shape, np.int64)
        for k in (-9, -1, 0, 2, 9):
            suite.check(f"{shape} {k}", np.triu(x, k), "Trilu", [x, np.array(k)])
            suite.check(f"{shape} {k}", np.tril(x, k), "Trilu", [x, np.array(k)], {"upper": 0})


def reductions(suite):
    cases = {"ReduceSum": np.sum, "ReduceProd": np.prod, "ReduceMax": np.max, "ReduceMin": np.min,
             "ReduceMean": np.mean, "ReduceL1": lambda x, **k: np.sum(np.abs(x), **k),
             "ReduceL2": lambda x, **k: np.sqrt(np.sum(x * x, **k)), "ReduceSumSquare": lambda x, **k: np.sum(x * x, **k)}
    for _ in range(60):
        shape = suite.shape(int(suite.random.integers(0, 5)))
        axes = tuple(int(a) for a in np.flatnonzero(suite.random.random(len(shape)) < 0.5))
        keep = int(suite.random.integers(0, 2))
        for dtype in (np.float32, np.float64, np.int32, np.int64):
            x = suite.array(shape, dtype, 0.5, 2)
            for op, f in cases.items():
                if np.dtype(dtype).kind == "i" and op in ("ReduceMean", "ReduceL2"):
                    continue
                if op in ("ReduceMax", "ReduceMin", "ReduceMean") and 0 in shape:
                    continue
                wide = np.float64 if np.dtype(dtype).kind == "f" else dtype
                which = axes if axes else None
                expected = np.asarray(f(x.astype(wide), axis=which, keepdims=bool(keep))).astype(dtype)
                given = np.array([a - len(shape) for a in axes], np.int64)
                suite.check(f"{shape} {axes} {np.dtype(dtype).name}", expected, op, [x, given], {"keepdims": keep}, ulps=8)
                if axes:
                    suite.check(f"{shape} {axes} attribute", expected, op, [x], {"keepdims": keep, "axes": list(axes)},
                                version=11, ulps=8)
    for shape, axes in [((300, 700), (1,)), ((300, 700), (0,)), ((20, 300, 50), (1,)), ((20, 300, 50), (0, 2)), ((100000,), (0,))]:
        x = suite.array(shape, np.float32, 0.5, 2)
        for op, f in cases.items():
            if op != "ReduceProd":
                expected = np.asarray(f(x.astype(np.float64), axis=axes)).astype(np.float32)
                suite.check(f"{shape} {axes}", expected, op, [x, np.array(axes)], {"keepdims": 0}, ulps=16)
    x = np.array([1, np.nan, 3], np.float32)
    for op in ("ReduceMax", "ReduceMin", "ReduceSum"):
        suite.check("NaN", np.array(np.nan, np.float32), op, [x], {"keepdims": 0})


def refusals(suite):
    f, i = np.ones((2, 3), np.float32), np.ones((2, 3), np.int64)
    bad = [
        ("Add", [f, i], {}), ("Add", [f, np.ones((2, 4), np.float32)], {}), ("Add", [f], {}), ("Add", [], {}),
        ("Add", [f, None], {}), ("And", [f, f], {}), ("Not", [f], {}), ("Exp", [i], {}), ("Div", [i, i * 0], {}),
        ("Mod", [i, i * 0], {}), ("Where", [f, f, f], {}), ("Reshape", [f, np.array([4, 2])], {}),
        ("Reshape", [f, np.array([-1, -1])], {}), ("Reshape", [f, np.array([-2, 3])], {}), ("Reshape", [f, f], {}),
        ("Reshape", [f, np.array([-1, 0, 0, 0])], {}), ("Transpose", [f], {"perm": [0, 0]}), ("Transpose", [f], {"perm": [0]}),
        ("Transpose", [f], {"perm": [0, 2]}), ("Concat", [f, i], {"axis": 0}), ("Concat", [f, f], {"axis": 2}),
        ("Concat", [f, np.ones((3, 2), np.float32)], {"axis": 0}), ("Concat", [f, f], {}), ("Split", [f, np.array([1, 1])], {"axis": 1}),
        ("Slice", [f, np.array([0]), np.array([1]), np.array([5])], {}), ("Slice", [f, np.array([0]), np.array([1]), np.array([0]), np.array([0])], {}),
        ("Slice", [f, np.array([0, 1]), np.array([1])], {}), ("Gather", [f, np.array([2])], {}), ("Gather", [f, np.array([-3])], {}),
        ("Gather", [f, f], {}), ("Gather", [f, np.array([0])], {"axis": 2}), ("Gather", [np.float32(1), np.array([0])], {}),
        ("GatherND", [f, np.array([[2, 0]])], {}), ("GatherND", [f, np.array([[0, 0, 0]])], {}), ("GatherND", [f, np.array(0)], {}),
        ("GatherElements", [f, np.array([0])], {}), ("GatherElements", [f, i * 5], {}), ("ScatterND", [f, np.array([[9]]), f[:1]], {}),
        ("ScatterND", [f, np.array([[0]]), f], {}), ("ScatterElements", [f, i * 7, f], {}), ("ScatterElements", [f, i, i], {}),
        ("ScatterElements", [f, i, f], {"reduction": "average"}), ("Expand", [f, np.array([5, 3])], {}), ("Expand", [f, np.array([-1, 3])], {}),
        ("Tile", [f, np.array([1])], {}), ("Tile", [f, np.array([-1, 1])], {}), ("Squeeze", [f, np.array([0])], {}), ("Squeeze", [f, np.array([7])], {}),
        ("Unsqueeze", [f, np.array([0, 0])], {}), ("Unsqueeze", [f, np.array([9])], {}), ("Flatten", [f], {"axis": 3}),
        ("ReduceSum", [f, np.array([2])], {}), ("ReduceMax", [f, f], {}), ("ArgMax", [f], {"axis": -3}), ("ArgMax", [np.ones((0, 2), np.float32)], {}),
        ("TopK", [f, np.array([4])], {}), ("TopK", [f, np.array([-1])], {}), ("Cast", [f], {}), ("Cast", [f], {"to": 8}), ("Cast", [f], {"to": 99}),
        ("ConstantOfShape", [np.array([-1])], {}), ("ConstantOfShape", [np.array([2**40, 2**40])], {}), ("Range", [np.array(0), np.array(5), np.array(0)], {}),
        ("Range", [np.array(0), np.array(5.0), np.array(1)], {}), ("Pad", [f, np.array([1])], {}), ("Pad", [f, np.array([-3, 0, 0, 0])], {}),
        ("Pad", [np.ones((0, 2), np.float32), np.array([1, 0, 0, 0])], {"mode": "edge"}), ("OneHot", [i, np.array(-1), f[0, :2]], {}),
        ("Clip", [f, np.array(0), None], {}), ("CumSum", [f, np.array(2)], {}), ("Compress", [f, f], {}), ("Compress", [f, np.array([0, 0, 0, 1], bool)], {"axis": 1}),
        ("EyeLike", [f[0]], {}), ("Trilu", [f[0]], {}), ("DepthToSpace", [f], {"blocksize": 2}), ("DepthToSpace", [np.ones((1, 4, 2, 2), np.float32)], {}),
        ("ReverseSequence", [f, np.array([1, 1, 9])], {}), ("BitShift", [i, i], {}), ("BitShift", [f, f], {"direction": "LEFT"}), ("Gelu", [f], {"approximate": "x"}),
        ("Constant", [], {}), ("LeakyRelu", [f], {"alpha": "x"}), ("Transpose", [f], {"perm": 1}), ("Max", [], {}), ("PRelu", [f, np.ones((2, 2, 3), np.float32)], {}),
        ("TensorScatter", [np.ones((1, 1, 4, 2), np.float32), np.ones((1, 1, 5, 2), np.float32)], {}),
    ]
    for number, (op, inputs, attributes) in enumerate(bad):
        suite.refuse(f"bad case {number} {[None if x is None else np.asarray(x).tolist() for x in inputs]}", op, inputs, attributes, outputs=2 if op in ("Split", "TopK") else 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", required=True, help="path of libuoe_runtime.so")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    suite = Suite(Runtime(options.library), options.seed)
    for part in (unary, binary, casts, shapes, indices, reductions, refusals):
        part(suite)
    for failure in suite.failures:
        print("FAILED", failure)
    print(f"{suite.passed} passed, {len(suite.failures)} failed, 0 skipped")
    return 1 if suite.failures else 0


if __name__ == "__main__":
    sys.exit(main())
