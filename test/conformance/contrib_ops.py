#!/usr/bin/env python3
"""Operators of the domain com.microsoft against ONNX Runtime: single nodes with random inputs over many attribute
combinations. Prints each failure and, last, `N passed, N failed`; exit status 1 if anything failed.
"""
import argparse
import functools
import itertools
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper

from uoe_ops import NUMBERS, Runtime

MS = "com.microsoft"
ort.set_default_logger_severity(4)


class Case:
    def __init__(self, op, inputs, attributes=None, outputs=1, tolerance=1e-5, domain=MS, opset=17,
                 note="", compare=None, weights=(), expected=None):
        self.op, self.inputs, self.attributes = op, inputs, attributes or {}
        self.outputs, self.tolerance, self.domain, self.opset = outputs, tolerance, domain, opset
        self.note, self.weights = note, weights
        self.expected = expected  # results computed here, for operators without a CPU kernel in ONNX Runtime
        self.compare = compare  # per output: a function that picks what is defined

    def name(self):
        shapes = ",".join("-" if v is None else "x".join(map(str, v.shape)) or "scalar" for v in self.inputs)
        attributes = " ".join(f"{k}={v}" for k, v in self.attributes.items())
        kind = next(str(v.dtype) for v in self.inputs if v is not None)
        return f"{self.op} [{kind} {shapes}] {attributes} {self.note}".strip()


def reference(case):
    if case.expected is not None:
        return case.expected
    names = ["" if v is None else f"i{j}" for j, v in enumerate(case.inputs)]
    while names and not names[-1]:
        names.pop()
    outs = [f"o{j}" for j in range(case.outputs)]
    node = helper.make_node(case.op, names, outs, domain=case.domain, **case.attributes)
    graph_inputs, initializers = [], []
    for j, (name, value) in enumerate(zip(names, case.inputs)):
        if not name:
            continue
        info = helper.make_tensor_value_info(name, NUMBERS[value.dtype], value.shape)
        if j in case.weights:
            initializers.append(helper.make_tensor(name, NUMBERS[value.dtype], value.shape,
                                                   value.tobytes(), raw=True))
        else:
            graph_inputs.append(info)
    graph = helper.make_graph([node], "g", graph_inputs,
                              [helper.make_empty_tensor_value_info(o) for o in outs], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", case.opset),
                                                    helper.make_opsetid(MS, 1)], ir_version=8)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {n: v for j, (n, v) in enumerate(zip(names, case.inputs)) if n and j not in case.weights}
    return session.run(None, feeds)


INTEGER_PRODUCTS = {"MatMulInteger", "QLinearMatMul", "ConvInteger", "QLinearConv", "MatMulIntegerToFloat",
                    "DynamicQuantizeMatMul", "QGemm"}


@functools.cache
def reference_saturates():
    """Whether ONNX Runtime on this machine clamps sums of two products of uint8 by int8 to 16 bits."""
    case = Case("MatMulInteger", [np.full((1, 2), 255, np.uint8), np.full((2, 1), 127, np.int8)], domain="")
    return int(reference(case)[0].item()) != 2 * 255 * 127


def check(runtime, case, expected):
    version = 1 if case.domain == MS else case.opset
    attributes = case.attributes
    if case.op in INTEGER_PRODUCTS and case.expected is None and reference_saturates():
        attributes = {**attributes, "saturating": 1}
    actual = runtime.run(case.op, case.inputs, attributes, version, case.outputs, case.domain)
    for i, (a, e) in enumerate(zip(actual, expected)):
        if case.compare and case.compare[i] is False:
            continue
        if a is None:
            return f"output {i} is absent"
        if a.shape != e.shape or a.dtype != e.dtype:
            return f"output {i}: expected {e.dtype}{list(e.shape)}, found {a.dtype}{list(a.shape)}"
        if case.compare and case.compare[i]:
            a, e = case.compare[i](a), case.compare[i](e)
        if e.size == 0:
            continue
        a, e = a.astype(np.float64), e.astype(np.float64)
        finite = np.isfinite(e)
        if not np.array_equal(finite, np.isfinite(a)) or not np.array_equal(a[~finite], e[~finite], equal_nan=True):
            return f"output {i}: infinities or NaN differ"
        if not finite.any():
            continue
        largest = max(np.abs(e[finite]).max(), 1e-3)
        error = np.abs(a - e)[finite].max() / largest
        if error > case.tolerance:
            return f"output {i}: error {error:.3g} of the largest magnitude, allowed {case.tolerance:g}"
    return None


class Inputs:
    """Random tensors from a fixed seed."""

    def __init__(self):
        self.g = np.random.default_rng(7)

    def real(self, *shape, scale=1.0, dtype=np.float32):
        return (self.g.standard_normal(shape) * scale).astype(dtype)

    def integers(self, low, high, *shape, dtype=np.int32):
        return self.g.integers(low, high, shape).astype(dtype)


def activations(r):
    for dtype, tol in ((np.float32, 1e-6), (np.float16, 2e-3)):
        x = r.real(3, 7, 37, scale=3, dtype=dtype)
        b = r.real(37, dtype=dtype)
        if dtype == np.float32:
            yield Case("Gelu", [x])
            yield Case("BiasGelu", [x, b])
            yield Case("QuickGelu", [x])
            yield Case("QuickGelu", [x], {"alpha": 1.1})
        yield Case("FastGelu", [x], tolerance=tol * 2)
        yield Case("FastGelu", [x, b], tolerance=tol * 2)
    for shape in ((0, 5), (1,), (2, 1), (5, 64)):
        yield Case("Gelu", [r.real(*shape)])
        yield Case("FastGelu", [r.real(*shape)])


def norms(r):
    for dtype, tol in ((np.float32, 2e-6), (np.float16, 2e-3)):
        for b, s, h in ((2, 5, 64), (1, 1, 33), (3, 4, 7), (0, 4, 8), (2, 0, 8)):
            x, skip = r.real(b, s, h, dtype=dtype), r.real(b, s, h, dtype=dtype)
            gamma, beta, bias = (r.real(h, dtype=dtype) for _ in range(3))
            for extra in ([], [beta], [beta, bias], [None, bias]):
                yield Case("SkipLayerNormalization", [x, skip, gamma] + extra, {"epsilon": 1e-5}, tolerance=tol)
            yield Case("SkipLayerNormalization", [x, skip, gamma, beta, bias], {"epsilon": 1e-5}, outputs=4,
                       compare=[None, False, False, None], tolerance=tol)
            for extra in ([], [bias]):
                yield Case("SkipSimplifiedLayerNormalization", [x, skip, gamma] + extra, {"epsilon": 1e-6},
                           tolerance=tol)
            yield Case("SkipSimplifiedLayerNormalization", [x, skip, gamma, bias], {"epsilon": 1e-6}, outputs=4,
                       compare=[None, False, False, None], tolerance=tol)
            yield Case("SimplifiedLayerNormalization", [x, gamma], {"axis": -1, "epsilon": 1e-6}, domain="",
                       tolerance=tol)
        x = r.real(3, 4, 16, dtype=dtype)
        yield Case("SkipLayerNormalization", [x, r.real(4, 16, dtype=dtype), r.real(16, dtype=dtype)], tolerance=tol)
        yield Case("SkipLayerNormalization", [x, r.real(1, 4, 16, dtype=dtype), r.real(16, dtype=dtype)],
                   tolerance=tol)


def embeddings(r):
    words, positions, segments = r.real(50, 24), r.real(16, 24), r.real(2, 24)
    gamma, beta = r.real(24), r.real(24)
    for b, s in ((2, 7), (1, 1), (3, 16)):
        ids = r.integers(0, 50, b, s)
        seg = r.integers(0, 2, b, s)
        mask = r.integers(0, 2, b, s)
        pos = r.integers(0, 16, b, s)
        common = {"epsilon": 1e-12}
        yield Case("EmbedLayerNormalization", [ids, seg, words, positions, segments, gamma, beta, mask], common, 2)
        yield Case("EmbedLayerNormalization", [ids, seg, words, positions, segments, gamma, beta], common, 2)
        yield Case("EmbedLayerNormalization", [ids, None, words, positions, None, gamma, beta, mask, pos], common, 3)
        yield Case("EmbedLayerNormalization", [ids, seg, words, positions, segments, gamma, beta, None, pos], common, 3)


def products(r):
    for ta, tb, alpha in itertools.product((0, 1), (0, 1), (1.0, 0.125)):
        a = r.real(2, 3, 9, 5) if ta else r.real(2, 3, 5, 9)
        b = r.real(2, 3, 11, 9) if tb else r.real(2, 3, 9, 11)
        yield Case("FusedMatMul", [a, b], {"transA": ta, "transB": tb, "alpha": alpha})
        b = r.real(11, 9) if tb else r.real(9, 11)
        yield Case("FusedMatMul", [a, b], {"transA": ta, "transB": tb, "alpha": alpha})
    for ba, bb, ta, tb in itertools.product((0, 1), repeat=4):
        order = lambda x, batch, turned: np.moveaxis(np.swapaxes(x, -1, -2) if turned else x, -2, 0) if batch else (
            np.swapaxes(x, -1, -2) if turned else x)
        flags = {"transBatchA": ba, "transBatchB": bb, "transA": ta, "transB": tb}
        a, b = order(r.real(2, 3, 5, 9), ba, ta), order(r.real(2, 3, 9, 11), bb, tb)
        yield Case("FusedMatMul", [np.ascontiguousarray(a), np.ascontiguousarray(b)], flags)
    for activation, more in (("Relu", {}), ("Tanh", {}), ("Sigmoid", {}), ("LeakyRelu", {"activation_alpha": 0.2}),
                             ("HardSigmoid", {"activation_alpha": 0.3, "activation_beta": 0.4})):
        for rows in (0, 1, 5):
            yield Case("FusedGemm", [r.real(rows, 9), r.real(9, 11), r.real(11)], {"activation": activation, **more})
        yield Case("FusedGemm", [r.real(9, 5), r.real(11, 9)], {"activation": activation, "transA": 1, "transB": 1, "alpha": 0.5, **more})
        params = {"activation_params": list(more.values())} if more else {}
        x, w, bias = r.real(2, 4, 7, 6), r.real(8, 2, 3, 3), r.real(8)
        yield Case("FusedConv", [x, w, bias], {"activation": activation, "group": 2, "pads": [1, 1, 1, 1], **params}, weights=(1,))
    x, w, bias = r.real(2, 4, 7, 6), r.real(8, 4, 3, 3), r.real(8)
    yield Case("FusedConv", [x, w, bias, r.real(2, 8, 5, 4)], {"activation": "Relu"}, weights=(1,))
    yield Case("FusedConv", [x, w, bias], {"activation": "Clip", "activation_params": [-0.5, 0.5]}, weights=(1,))
    for signed in (np.uint8, np.int8):
        # Without VNNI, ONNX Runtime adds pairs of u8 x s8 products in 16 bits, saturating: not with these.
        low, high = (0, 256) if signed == np.uint8 else (-64, 65)
        a = r.integers(0, 256, 2, 6, 33, dtype=np.uint8)
        b = r.integers(low, high, 33, 17, dtype=signed)
        sa, sb = np.float32(0.02), np.float32(0.03)
        za, zb = np.uint8(120), signed(3)
        yield Case("MatMulIntegerToFloat", [a, b, np.array(sa), np.array(sb), np.array(za), np.array(zb)])
        yield Case("MatMulIntegerToFloat", [a, b, np.array(sa), np.array(sb), np.array(za), np.array(zb), r.real(17)])
        yield Case("MatMulIntegerToFloat", [a, b, np.array(sa), np.abs(r.real(17)), np.array(za),
                                            np.full(17, zb, signed), r.real(17)])
        x = r.real(2, 6, 33)
        yield Case("DynamicQuantizeMatMul", [x, b, np.array(sb), np.array(zb)], tolerance=1e-4)
        yield Case("DynamicQuantizeMatMul", [x, b, np.abs(r.real(17)), np.full(17, zb, signed), r.real(17)],
                   tolerance=1e-4)


def packed_products(r):
    for bits, (n, k, block), zero, rows in itertools.product(
            (4, 8), ((16, 32, 16), (33, 96, 32), (20, 200, 64), (8, 256, 128)), (None, "packed", "float"),
            ((1,), (2, 3))):
        blocks = -(-k // block)
        b = r.integers(0, 256, n, blocks, block * bits // 8, dtype=np.uint8)
        scales = np.abs(r.real(n * blocks)) + np.float32(0.01)
        if zero == "packed":
            zeros = r.integers(0, 256, n * (-(-blocks * bits // 8)), dtype=np.uint8)
        elif zero == "float":
            if bits == 8:
                continue
            zeros = r.real(n * blocks, scale=3) + np.float32(8)
        else:
            zeros = None
        x = r.real(*rows, k)
        attributes = {"K": k, "N": n, "bits": bits, "block_size": block}
        yield Case("MatMulNBits", [x, b, scales, zeros], attributes, tolerance=2e-5, weights=(1, 2, 3))
        if bits == 4 and zero != "float":
            yield Case("MatMulNBits", [x, b, scales, zeros, None, r.real(n)], attributes, tolerance=2e-5,
                       weights=(1, 2, 3, 5))
    for (n, k, block), zero, rows in itertools.product(((16, 64, 32), (33, 96, 16), (20, 512, 128)), (False, True),
                                                       (1, 5)):
        blocks = k // block
        zeros = r.integers(0, 256, n * (-(-blocks // 2)), dtype=np.uint8) if zero else None
        yield Case("MatMulNBits", [r.real(rows, k), r.integers(0, 256, n, blocks, block // 2, dtype=np.uint8),
                                   np.abs(r.real(n * blocks)), zeros],
                   {"K": k, "N": n, "bits": 4, "block_size": block, "accuracy_level": 4}, tolerance=1e-4,
                   weights=(1, 2, 3))
    for n, k, block in ((16, 64, 32), (24, 128, 16)):
        blocks = k // block
        group = np.sort(r.integers(0, blocks, k)).astype(np.int32)
        yield Case("MatMulNBits", [r.real(3, k), r.integers(0, 256, n, blocks, block // 2, dtype=np.uint8),
                                   np.abs(r.real(n * blocks)), None, group],
                   {"K": k, "N": n, "bits": 4, "block_size": block}, tolerance=2e-5, weights=(1, 2, 4))


def rotary(r):
    for interleaved, dtype in itertools.product((0, 1), (np.float32, np.float16)):
        tol = 1e-6 if dtype == np.float32 else 2e-3
        angle = np.outer(np.arange(32), 1.0 / 100 ** (np.arange(8) / 8))
        cos, sin = np.cos(angle).astype(dtype), np.sin(angle).astype(dtype)
        ids = r.integers(0, 32, 2, 5, dtype=np.int64)
        common = {"interleaved": interleaved}
        yield Case("RotaryEmbedding", [r.real(2, 5, 48, dtype=dtype), ids, cos, sin], common, tolerance=tol)
        yield Case("RotaryEmbedding", [r.real(2, 3, 5, 16, dtype=dtype), ids, cos, sin], common, tolerance=tol)
        yield Case("RotaryEmbedding", [r.real(2, 5, 48, dtype=dtype), np.array([4], np.int64), cos, sin], common,
                   tolerance=tol)
        partial = dict(common, num_heads=2, rotary_embedding_dim=16)
        yield Case("RotaryEmbedding", [r.real(2, 5, 48, dtype=dtype), ids, cos, sin], partial, tolerance=tol)


def padding(r, batch, rows, keys):
    """Masks of every form: None, ends, ends and starts, per key, per query and key."""
    yield "none", None
    yield "ends", r.integers(1, keys + 1, batch)
    ends = r.integers(max(1, keys // 2), keys + 1, batch)
    yield "starts", np.concatenate([ends, r.integers(0, max(1, keys // 2), batch)]).astype(np.int32)
    raw = r.integers(0, 2, batch, keys)
    yield "raw", raw
    left = np.ones((batch, keys), np.int32)
    left[0, : keys // 2] = 0
    yield "left", left
    yield "all masked", np.zeros((batch, keys), np.int32)
    yield "per query", r.integers(0, 2, batch, rows, keys)


def attention(r):
    heads = 3
    for (batch, rows, past), size, causal in itertools.product(
            ((2, 5, 0), (2, 5, 4), (1, 1, 6), (2, 1, 0)), (8, 20), (0, 1)):
        hidden, keys = heads * size, rows + past
        weights, bias = r.real(24, 3 * hidden, scale=0.3), r.real(3 * hidden)
        for note, mask in padding(r, batch, rows, keys):
            x = r.real(batch, rows, 24)
            cache = r.real(2, batch, heads, past, size) if past else None
            attributes = {"num_heads": heads, "unidirectional": causal}
            yield Case("Attention", [x, weights, bias, mask, cache], attributes, outputs=2 if past else 1, note=note,
                       weights=(1, 2))
        x = r.real(batch, rows, 24)
        if not past:
            yield Case("Attention", [x, weights, bias, None, None, r.real(batch, heads, rows, keys)],
                       {"num_heads": heads, "unidirectional": causal}, note="biased")
            yield Case("Attention", [x, weights, bias, r.integers(0, 2, batch, keys), None,
                                     r.real(1, heads, rows, keys)],
                       {"num_heads": heads, "scale": 0.5, "mask_filter_value": -50.0}, note="biased, masked")
            yield Case("Attention", [x, r.real(24, 2 * hidden + 30, scale=0.3), r.real(2 * hidden + 30)],
                       {"num_heads": heads, "qkv_hidden_sizes": [hidden, hidden, 30]}, note="uneven")


def quantised_attention(r):
    heads, size = 2, 8
    for (batch, rows, past), causal, signed in itertools.product(((2, 5, 0), (1, 3, 4)), (0, 1), (np.uint8, np.int8)):
        hidden = heads * size
        x = r.integers(0, 256, batch, rows, 24, dtype=np.uint8)
        w = r.integers(0, 256, 24, 3 * hidden, dtype=np.uint8) if signed == np.uint8 else r.integers(
            -60, 60, 24, 3 * hidden, dtype=np.int8)
        mask = r.integers(0, 2, batch, rows + past)
        cache = r.real(2, batch, heads, past, size) if past else None
        common = [x, w, r.real(3 * hidden), np.array(0.01, np.float32), np.array(0.02, np.float32)]
        zero = [np.array(128, np.uint8), np.array(3, signed)]
        for m in (None, mask):
            yield Case("QAttention", common + [m] + zero + [cache], {"num_heads": heads, "unidirectional": causal},
                       outputs=2 if past else 1, tolerance=1e-4)


def relative_positions(r):
    """T5's buckets as transformers' modeling_t5 computes them."""
    for both, (queries, keys), buckets in itertools.product((0, 1), ((5, 5), (40, 40), (1, 7)), (32, 8)):
        table = r.real(buckets, 3)
        distance = np.arange(keys)[None] - np.arange(queries)[:, None]
        count = buckets // 2 if both else buckets
        start = (distance > 0) * count if both else 0
        distance = np.abs(distance) if both else -np.minimum(distance, 0)
        exact = count // 2
        far = exact + (np.log(np.maximum(distance, 1).astype(np.float32) / exact) / np.log(20 / exact)
                       * (count - exact)).astype(np.int64)
        bucket = start + np.where(distance < exact, distance, np.minimum(far, count - 1))
        yield Case("RelativePositionBias", [table, np.array(queries, np.int64), np.array(keys, np.int64)],
                   {"max_distance": 20, "is_bidirectional": both}, expected=[table[bucket].transpose(2, 0, 1)[None]])


def multi_head(r):
    heads = 2
    for (batch, rows, keys), size, causal in itertools.product(((2, 5, 5), (1, 3, 7), (2, 1, 4)), (8, 12), (0, 1)):
        if causal and rows != keys:
            continue
        hidden = heads * size
        attributes = {"num_heads": heads, "unidirectional": causal}
        q, k, v = r.real(batch, rows, hidden), r.real(batch, keys, hidden), r.real(batch, keys, hidden)
        bias = r.real(3 * hidden)
        for b in (None, bias):
            yield Case("MultiHeadAttention", [q, k, v, b], attributes)
        yield Case("MultiHeadAttention", [q, k, v, None, None, r.real(batch, heads, rows, keys)], attributes)
        yield Case("MultiHeadAttention", [q, k, v, None, None, r.real(1, 1, rows, keys)], attributes)
        for note, mask in padding(r, batch, rows, keys):
            if note in ("starts",) or mask is None:
                continue
            yield Case("MultiHeadAttention", [q, k, v, bias, mask], attributes, note=note)
            if note == "raw":
                yield Case("MultiHeadAttention", [q, k, v, bias, mask, r.real(batch, heads, rows, keys)],
                           dict(attributes, scale=0.7, mask_filter_value=-20.0), note=note)
        yield Case("MultiHeadAttention", [q, k, r.real(batch, keys, heads * 6)], attributes, note="value size")
        yield Case("MultiHeadAttention", [q, k, v], attributes, outputs=3)
        yield Case("MultiHeadAttention", [q, r.real(batch, heads, keys, size), r.real(batch, heads, keys, size)],
                   {"num_heads": heads}, note="cross cache")
        yield Case("MultiHeadAttention", [q, r.real(batch, keys, heads, 2, size)], {"num_heads": heads},
                   note="packed key")
        yield Case("MultiHeadAttention", [r.real(batch, rows, heads, 3, size)], {"num_heads": heads},
                   note="packed query")
        if rows == keys or rows == 1:
            past = [r.real(batch, heads, 4, size), r.real(batch, heads, 4, size)]
            fresh = [r.real(batch, rows, hidden), r.real(batch, rows, hidden)]
            yield Case("MultiHeadAttention", [q, *fresh, None, None, None, *past], attributes, outputs=3, note="past")
            yield Case("MultiHeadAttention", [q, *fresh, bias, r.integers(0, 2, batch, rows + 4), None, *past],
                       attributes, outputs=3, note="past, masked")


def group_query(r):
    for (heads, kv), size, packed, rotary_mode, window, softcap in itertools.product(
            ((4, 2), (4, 4), (6, 1)), (16,), (False, True), (None, 0, 1), (-1, 3), (0.0, 5.0)):
        angle = np.outer(np.arange(64), 1.0 / 100 ** (np.arange(size // 2) / (size // 2)))
        cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
        base = {"num_heads": heads, "kv_num_heads": kv, "local_window_size": window, "softcap": softcap}
        caches = [None, None]
        if rotary_mode is not None:
            base.update(do_rotary=1, rotary_interleaved=rotary_mode)
            caches = [cos, sin]

        def operands(batch, rows):
            if packed:
                return [r.real(batch, rows, (heads + 2 * kv) * size), None, None]
            return [r.real(batch, rows, heads * size), r.real(batch, rows, kv * size), r.real(batch, rows, kv * size)]

        def past(batch, length):
            return [r.real(batch, kv, length, size), r.real(batch, kv, length, size)]

        def total(n):
            return np.array(n, np.int32)

        yield Case("GroupQueryAttention", operands(2, 7) + past(2, 0) + [np.full(2, 6, np.int32), total(7)] + caches,
                   base, outputs=3, note="prompt")
        lengths = np.array([6, 3], np.int32)
        valid = lambda a: np.concatenate([a[0, :7].reshape(-1), a[1, :4].reshape(-1)])
        cut = lambda a: np.concatenate([a[0, :, :7].reshape(-1), a[1, :, :4].reshape(-1)])
        yield Case("GroupQueryAttention", operands(2, 7) + past(2, 0) + [lengths, total(7)] + caches, base, outputs=3,
                   note="ragged prompt", compare=[valid, cut, cut])
        yield Case("GroupQueryAttention", operands(2, 1) + past(2, 9) + [np.full(2, 9, np.int32), total(10)] + caches,
                   base, outputs=3, note="decode")
        lengths = np.array([9, 5], np.int32)
        cut2 = lambda a: np.concatenate([a[0, :, :10].reshape(-1), a[1, :, :6].reshape(-1)])
        yield Case("GroupQueryAttention", operands(2, 1) + past(2, 9) + [lengths, total(10)] + caches, base, outputs=3,
                   note="ragged decode", compare=[None, cut2, cut2])
        yield Case("GroupQueryAttention", operands(1, 4) + past(1, 5) + [np.array([8], np.int32), total(9)] + caches,
                   base, outputs=3, note="continued prompt")
        cut3 = lambda a: a[:, :, :10]
        yield Case("GroupQueryAttention", operands(1, 1) + past(1, 16) + [np.array([9], np.int32), total(10)] + caches,
                   base, outputs=3, note="roomy cache", compare=[None, cut3, cut3])
        if window < 0:
            bias = r.real(1, heads, 7, 7)
            yield Case("GroupQueryAttention", operands(2, 7) + past(2, 0) +
                       [np.full(2, 6, np.int32), total(7)] + caches + [None, bias], base, outputs=3, note="biased")
            sink = r.real(heads)
            yield Case("GroupQueryAttention", operands(2, 7) + past(2, 0) +
                       [np.full(2, 6, np.int32), total(7)] + caches + [None, None, sink], base, outputs=3,
                       note="sink")
            yield Case("GroupQueryAttention", operands(2, 7) + past(2, 0) +
                       [np.full(2, 6, np.int32), total(7)] + caches, dict(base, smooth_softmax=1), outputs=3,
                       note="smooth")
        if rotary_mode is not None and window < 0:
            # ONNX Runtime takes a prompt's positions to be consecutive from the first element on.
            ids = np.tile(np.arange(11, 18, dtype=np.int64), (2, 1))
            yield Case("GroupQueryAttention", operands(2, 7) + past(2, 0) +
                       [np.full(2, 6, np.int32), total(7)] + caches + [ids], base, outputs=3, note="positions")


def experts(r):
    for kind, k, normalise, bias, tokens in itertools.product(
            ("relu", "gelu", "silu", "identity", "swiglu"), (1, 2, 4), (0, 1), (False, True), ((5,), (2, 3))):
        e, h, i = 6, 16, 10
        fused = 2 if kind == "swiglu" else 1
        x, logits = r.real(*tokens, h), r.real(int(np.prod(tokens)), e, scale=2)
        attributes = {"k": k, "activation_type": kind, "normalize_routing_weights": normalise}
        if kind == "swiglu":
            attributes.update(swiglu_fusion=1, activation_alpha=1.702, activation_beta=1.0)
        inputs = [x, logits, r.real(e, fused * i, h, scale=0.3), r.real(e, fused * i) if bias else None,
                  r.real(e, h, i, scale=0.3), r.real(e, h) if bias else None]
        yield Case("MoE", inputs, attributes)
        if kind == "swiglu" and bias:
            yield Case("MoE", inputs, dict(attributes, activation_alpha=1.0, activation_beta=0.0, swiglu_limit=1.5))
    x = r.real(4, 16)
    logits = np.full((4, 6), -1e4, np.float32)
    logits[0, [1, 3]] = np.log([0.2, 0.5]).astype(np.float32)
    logits[2, 5] = 0
    yield Case("MoE", [x, logits, r.real(6, 20, 16), None, r.real(6, 16, 10)],
               {"k": 3, "activation_type": "swiglu", "swiglu_fusion": 1, "activation_alpha": 1.0,
                "activation_beta": 0.0, "normalize_routing_weights": 1}, note="few chosen",
               compare=[lambda a: a[[0, 2]]])  # which of equal logits win is open


def packed_experts(r):
    for bits, block, kind, zero, own in itertools.product((4, 8), (None, 16, 32), ("silu", "swiglu"), (False, True),
                                                          (False, True)):
        e, h, i, tokens, k = 4, 64, 32, 5, 2
        fused = 2 if kind == "swiglu" else 1
        blocks = (1, 1) if block is None else (h // block, i // block)

        def weights(rows, columns):
            return r.integers(0, 256, e, rows, columns * bits // 8, dtype=np.uint8)

        def scales(rows, count):
            values = np.abs(r.real(e, rows, count, scale=0.02)) + np.float32(0.005)
            return values[:, :, 0] if block is None else values

        def zeros(rows, count):
            if not zero:
                return None
            shape = (e, -(-rows * bits // 8)) if block is None else (e, rows, -(-count * bits // 8))
            return r.integers(0, 256, *shape, dtype=np.uint8)

        inputs = [r.real(tokens, h), r.real(tokens, e, scale=2), weights(fused * i, h), scales(fused * i, blocks[0]),
                  r.real(e, fused * i), weights(h, i), scales(h, blocks[1]), r.real(e, h), None, None, None,
                  zeros(fused * i, blocks[0]), zeros(h, blocks[1]), None,
                  np.abs(r.real(tokens, e)) if own else None]
        attributes = {"k": k, "activation_type": kind, "expert_weight_bits": bits, "normalize_routing_weights": 1}
        if block:
            attributes["block_size"] = block
        if kind == "swiglu":
            attributes.update(swiglu_fusion=1, activation_alpha=1.702, activation_beta=1.0, swiglu_limit=7.0)
        # ONNX Runtime rounds the activations of 8-bit blocks to 8 bits, at every accuracy level.
        yield Case("QMoE", inputs, attributes, tolerance=3e-2 if bits == 8 and block else 1e-4,
                   weights=(2, 3, 4, 5, 6, 7, 11, 12))


def quantised_elementwise(r):
    """A rounding tie may fall either way: one step of the result is allowed."""
    step = 1 / 80
    for kind in (np.uint8, np.int8):
        low, high = (0, 256) if kind == np.uint8 else (-128, 128)

        def values(*shape):
            return r.integers(low, high, *shape, dtype=kind)

        def scale(value, zero):
            return [np.array(value, np.float32), np.array(zero, kind)]

        for a, b in (((2, 5, 8), (2, 5, 8)), ((2, 5, 8), (8,)), ((4, 1), (1, 6))):
            yield Case("QLinearAdd", [values(*a), *scale(0.05, 3), values(*b), *scale(0.03, 7), *scale(0.1, 5)],
                       tolerance=step)
            yield Case("QLinearMul", [values(*a), *scale(0.05, 3), values(*b), *scale(0.03, 7), *scale(0.2, 5)],
                       tolerance=step)
        yield Case("QLinearSigmoid", [values(3, 20), *scale(0.05, 3), *scale(1 / 200, 1)], tolerance=step)
        yield Case("QLinearLeakyRelu", [values(3, 20), *scale(0.05, 3), *scale(0.04, 1)], {"alpha": 0.2},
                   tolerance=step)
        yield Case("QLinearSoftmax", [values(3, 20), *scale(0.02, 3), *scale(1 / 256, 0)], {"axis": -1, "opset": 13},
                   tolerance=2 * step)
        yield Case("QLinearConcat", [*scale(0.05, 2), values(2, 3, 4), *scale(0.04, 1), values(2, 5, 4),
                                     *scale(0.06, 3)], {"axis": 1}, tolerance=step)
        for ta, tb in itertools.product((0, 1), (0, 1)):
            a, b = values(*((9, 5) if ta else (5, 9))), values(*((7, 9) if tb else (9, 7)))
            bias = r.integers(-900, 900, 7)
            common = [a, *scale(0.02, 3), b, *scale(0.03, 4), bias]
            yield Case("QGemm", common, {"transA": ta, "transB": tb}, tolerance=1e-4)
            yield Case("QGemm", common + scale(0.2, 6), {"transA": ta, "transB": tb}, tolerance=step)


def gathered_blocks(r):
    for bits, block, zero in itertools.product((4, 8), (16, 32), (False, True)):
        rows, width = 12, 64
        blocks = width // block
        data = r.integers(0, 256, rows, width * bits // 8, dtype=np.uint8)
        zeros = r.integers(0, 256, rows, -(-blocks * bits // 8), dtype=np.uint8) if zero else None
        for indices in (r.integers(0, rows, 2, 5, dtype=np.int64), np.array([-1, 3], np.int64)):
            yield Case("GatherBlockQuantized", [data, indices, np.abs(r.real(rows, blocks)), zeros],
                       {"bits": bits, "block_size": block, "gather_axis": 0, "quantize_axis": 1}, weights=(0, 2, 3))


FAMILIES = (activations, norms, embeddings, products, packed_products, rotary, attention, quantised_attention,
            relative_positions, multi_head, group_query,
            experts, packed_experts, quantised_elementwise, gathered_blocks)


def run_families(families, description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--library", required=True, help="libuoe_runtime.so")
    parser.add_argument("--only", default="", help="run only cases whose description contains this")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    runtime = Runtime(arguments.library)
    passed = failed = refused = 0
    for family in families:
        for case in family(Inputs()):
            name = case.name()
            if arguments.only not in name:
                continue
            try:
                expected = reference(case)
            except Exception as error:  # what ONNX Runtime's CPU provider refuses is no reference
                refused += 1
                if arguments.verbose:
                    print(f"refused {name}: {str(error).strip().splitlines()[0][:160]}")
                continue
            try:
                problem = check(runtime, case, expected)
            except RuntimeError as error:
                problem = str(error)
            if problem:
                failed += 1
                print(f"FAILED {name}: {problem}")
            else:
                passed += 1
    print(f"{refused} refused by ONNX Runtime")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(run_families(FAMILIES, __doc__))
