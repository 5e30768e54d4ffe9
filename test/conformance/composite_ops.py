#!/usr/bin/env python3
"""ai.onnx's composite operators against ONNX Runtime: products, normalisation, convolution, pooling, resizing,
quantisation and recurrence over many shapes, attributes and element types, empty tensors included.

Prints each failure and, last, `N passed, N failed`; exit status 1 if anything failed.
"""

import itertools
import sys

import numpy as np

from contrib_ops import Case, run_families


def case(op, inputs, attributes=None, outputs=1, tolerance=1e-5, opset=17, **rest):
    return Case(op, inputs, attributes, outputs, tolerance, domain="", opset=opset, **rest)


SHAPES = (((5, 7), (7, 3)), ((2, 3, 5, 7), (7, 3)), ((2, 3, 5, 7), (3, 7, 4)), ((1, 3, 5, 7), (2, 1, 7, 4)),
          ((7,), (7, 3)), ((5, 7), (7,)), ((7,), (7,)), ((2, 5, 7), (2, 7, 33)), ((1, 64), (64, 130)),
          ((0, 7), (7, 3)), ((5, 0), (0, 3)), ((2, 0, 7), (7, 3)), ((4, 0, 5), (4, 5, 3)), ((70, 65), (65, 129)))


def products(r):
    for a, b in SHAPES:
        for dtype in (np.float32, np.float64):
            yield case("MatMul", [r.real(*a, dtype=dtype), r.real(*b, dtype=dtype)])
            yield case("MatMul", [r.real(*a, dtype=dtype), r.real(*b, dtype=dtype)], weights=(1,), note="constant")
        yield case("MatMul", [r.real(*a, dtype=np.float16), r.real(*b, dtype=np.float16)], tolerance=3e-3)
        for dtype in (np.int32, np.int64, np.uint32, np.uint64):
            yield case("MatMul", [r.integers(0, 90, *a, dtype=dtype), r.integers(0, 90, *b, dtype=dtype)])
    for ta, tb, (alpha, beta), c in itertools.product(
            (0, 1), (0, 1), ((1.0, 1.0), (0.5, 2.0)), (None, (), (1,), (6,), (1, 6), (5, 1), (5, 6))):
        for dtype in (np.float32, np.float64):
            inputs = [r.real(*((4, 5) if ta else (5, 4)), dtype=dtype), r.real(*((6, 4) if tb else (4, 6)), dtype=dtype),
                      None if c is None else r.real(*c, dtype=dtype)]
            attributes = {"transA": ta, "transB": tb, "alpha": alpha, "beta": beta}
            yield case("Gemm", inputs, attributes)
            if dtype == np.float32:
                yield case("Gemm", inputs, attributes, weights=(1, 2), note="constant")
    for equation, shapes in (("ij,jk->ik", ((3, 4), (4, 5))), ("bhid,bhjd->bhij", ((2, 3, 4, 5), (2, 3, 6, 5))),
                             ("bhij,bhjd->bhid", ((2, 3, 4, 6), (2, 3, 6, 5))), ("bij,bjk", ((2, 3, 4), (2, 4, 5))),
                             ("...ij,...jk->...ik", ((2, 1, 3, 4), (5, 4, 6))), ("ii->i", ((4, 4),)),
                             ("ii", ((4, 4),)), ("ij->ji", ((3, 4),)), ("ij->", ((3, 4),)), ("i,j->ij", ((3,), (4,))),
                             ("bnd,ndh->bnh", ((2, 3, 4), (3, 4, 5))), ("ij,jk,kl->il", ((2, 3), (3, 4), (4, 5))),
                             ("bshd,lhd->bls", ((2, 3, 4, 5), (6, 4, 5))), ("ij,ij->i", ((0, 4), (0, 4))),
                             ("bi,bj->bij", ((2, 3), (2, 4)))):
        for dtype in (np.float32, np.float64, np.int32, np.int64):
            make = (lambda *s: r.integers(-9, 9, *s, dtype=dtype)) if dtype in (np.int32, np.int64) else (
                lambda *s: r.real(*s, dtype=dtype))
            yield case("Einsum", [make(*s) for s in shapes], {"equation": equation})


def integer_products(r):
    for (a, b), ka, kb in itertools.product(SHAPES[:8], (np.uint8, np.int8), (np.uint8, np.int8)):
        make = lambda s, k: r.integers(*((0, 256) if k == np.uint8 else (-128, 128)), *s, dtype=k)
        x, y = make(a, ka), make(b, kb)
        yield case("MatMulInteger", [x, y])
        yield case("MatMulInteger", [x, y, np.array(3, ka), np.array(5, kb)])
        if len(b) == 2 and len(a) > 1:
            yield case("MatMulInteger", [x, y, np.array(3, ka), make((b[-1],), kb)], weights=(1, 3))
            scale = lambda v: np.array(v, np.float32)
            yield case("QLinearMatMul", [x, scale(0.02), np.array(3, ka), y, scale(0.03), np.array(5, kb), scale(0.9),
                                         np.array(9, ka)], tolerance=1 / 80)
    for shape in ((3, 17), (1,), (0,), (4, 5, 6)):
        yield case("DynamicQuantizeLinear", [r.real(*shape)], outputs=3)
        yield case("DynamicQuantizeLinear", [np.abs(r.real(*shape))], outputs=3)
    yield case("DynamicQuantizeLinear", [np.zeros((3, 4), np.float32)], outputs=3)
    for kind in (np.uint8, np.int8, np.uint16, np.int16):
        info = np.iinfo(kind)
        x = r.real(2, 3, 4, scale=float(info.max) / 2)
        step = 1.0 / float(info.max)
        for scale, zero, axis in ((np.array(0.7, np.float32), np.array(7, kind), None),
                                  (np.array([0.5, 0.25, 2.0], np.float32), np.array([1, 2, 3], kind), 1),
                                  (np.array([0.5, 0.25, 2.0, 1.0], np.float32), np.array([1, 2, 3, 4], kind), -1)):
            attributes = {} if axis is None else {"axis": axis}
            yield case("QuantizeLinear", [x, scale, zero], attributes, opset=21, tolerance=step)
            yield case("DequantizeLinear", [r.integers(info.min, info.max, 2, 3, 4, dtype=kind), scale, zero],
                       attributes, opset=21)
        for block, shape in ((2, (2, 3, 2)), (3, (2, 3, 2))):
            scale = np.abs(r.real(*shape)) + np.float32(0.1)
            yield case("DequantizeLinear", [r.integers(info.min, info.max, 2, 3, 4, dtype=kind), scale],
                       {"axis": 2, "block_size": block}, opset=21)


def normalisation(r):
    for opset, shape in itertools.product((11, 13), ((2, 3, 4), (5,), (2, 0, 4), (3, 130))):
        for axis in range(-len(shape), len(shape)):
            for dtype in (np.float32, np.float64):
                x = r.real(*shape, scale=4, dtype=dtype)
                for op in ("Softmax", "LogSoftmax") + (("Hardmax",) if dtype == np.float32 else ()):
                    yield case(op, [x], {"axis": axis}, opset=opset)
    masked = r.real(4, 6)
    masked[1] = -np.inf
    masked[2, 3:] = -np.inf
    yield case("Softmax", [masked], note="masked")
    for shape, axis in itertools.product(((2, 3, 40), (1, 7), (0, 4)), (-1, 1)):
        for dtype in (np.float32, np.float64):
            x = r.real(*shape, dtype=dtype)
            inner = shape[axis if axis >= 0 else len(shape) - 1:]
            yield case("LayerNormalization", [x, r.real(*inner, dtype=dtype), r.real(*inner, dtype=dtype)],
                       {"axis": axis, "epsilon": 1e-6}, outputs=1)
        yield case("LayerNormalization", [r.real(*shape), r.real(*inner)], {"axis": axis})
    yield case("LayerNormalization", [r.real(2, 3, 40), r.real(40), r.real(40)], outputs=3)
    for shape in ((2, 3, 4, 5), (2, 3), (2, 3, 7), (2, 3, 2, 2, 2)):
        stats = [r.real(3), r.real(3), r.real(3), np.abs(r.real(3)) + np.float32(0.1)]
        yield case("BatchNormalization", [r.real(*shape)] + stats, {"epsilon": 1e-3})
        if len(shape) > 2:
            yield case("InstanceNormalization", [r.real(*shape), r.real(3), r.real(3)])
    for groups in (1, 2, 4):
        yield case("GroupNormalization", [r.real(2, 4, 5, 3), r.real(4), r.real(4)], {"num_groups": groups}, opset=21)
    for axis, p in itertools.product((0, 1, -1), (1, 2)):
        yield case("LpNormalization", [r.real(3, 4, 5)], {"axis": axis, "p": p})
    yield case("LRN", [r.real(2, 6, 4, 4)], {"size": 3, "alpha": 0.1, "beta": 0.6, "bias": 1.5})


def convolution(r):
    for dims, group, stride, dilation, pad in itertools.product((1, 2, 3), (1, 2, 4), (1, 2), (1, 2), (0, 1)):
        size = (9, 8, 7)[:dims]
        weights = r.real(8, 4 // group, *(3,) * dims)
        attributes = {"group": group, "strides": [stride] * dims, "dilations": [dilation] * dims,
                      "pads": [pad] * 2 * dims, "kernel_shape": [3] * dims}
        yield case("Conv", [r.real(2, 4, *size), weights, r.real(8)], attributes)
        if dilation == 1 and dims < 3:
            yield case("ConvTranspose", [r.real(2, 4, *size), r.real(4, 6, *(3,) * dims), r.real(6 * group)],
                       attributes)
            yield case("ConvInteger", [r.integers(0, 256, 2, 4, *size, dtype=np.uint8),
                                       r.integers(0, 256, 8, 4 // group, *(3,) * dims, dtype=np.uint8),
                                       np.array(7, np.uint8), np.array(9, np.uint8)], attributes)
    for pad in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        yield case("Conv", [r.real(1, 3, 9, 8), r.real(5, 3, 3, 2)], {"auto_pad": pad, "strides": [2, 3]})
        yield case("MaxPool", [r.real(1, 3, 9, 8)], {"auto_pad": pad, "strides": [2, 3], "kernel_shape": [3, 2]})
    yield case("Conv", [r.real(1, 3, 32, 32), r.real(16, 3, 8, 8), r.real(16)], {"strides": [8, 8]}, note="patches")
    yield case("Conv", [r.real(2, 16, 20), r.real(32, 16, 1)], note="pointwise")
    yield case("Conv", [r.real(0, 3, 8, 8), r.real(4, 3, 3, 3)], note="empty batch")
    # One channel for each filter.
    yield case("Conv", [r.real(2, 5, 40), r.real(5, 1, 31), r.real(5)], {"group": 5, "pads": [15, 15]}, note="long")
    yield case("Conv", [r.real(2, 3, 40), r.real(3, 1, 4)], {"group": 3, "pads": [3, 0]}, note="causal")
    for strides in ([1, 1], [2, 1], [1, 2]):
        yield case("Conv", [r.real(2, 3, 21, 37), r.real(6, 1, 5, 3), r.real(6)],
                   {"group": 3, "strides": strides, "pads": [2, 0, 1, 3], "dilations": [1, 2]}, note="uneven")
    yield case("ConvTranspose", [r.real(1, 3, 5, 5), r.real(3, 2, 3, 3)], {"strides": [2, 2], "output_padding": [1, 1]})
    scale = lambda v: np.array(v, np.float32)
    yield case("QLinearConv", [r.integers(0, 256, 1, 3, 7, 7, dtype=np.uint8), scale(0.02), np.array(3, np.uint8),
                               r.integers(-128, 128, 4, 3, 3, 3, dtype=np.int8), np.abs(r.real(4)) * np.float32(0.02),
                               np.zeros(4, np.int8), scale(0.5), np.array(100, np.uint8), r.integers(-500, 500, 4)],
               tolerance=1 / 80)
    for ceil, stride, pad in itertools.product((0, 1), (1, 2, 3), (0, 1)):
        common = {"kernel_shape": [3, 2], "strides": [stride] * 2, "pads": [pad] * 4, "ceil_mode": ceil}
        x = r.real(2, 3, 9, 8)
        yield case("MaxPool", [x], common, outputs=2)
        yield case("MaxPool", [x], common)
        yield case("MaxPool", [x], dict(common, dilations=[2, 1]))
        yield case("MaxPool", [r.integers(0, 256, 2, 3, 9, 8, dtype=np.uint8)], common)
        for include in (0, 1):
            yield case("AveragePool", [x], dict(common, count_include_pad=include), opset=19)
        yield case("LpPool", [np.abs(x)], {k: v for k, v in common.items() if k != "ceil_mode"})
    for op in ("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"):
        yield case(op, [r.real(2, 3, 4, 5)])


def resizing(r):
    x = r.real(2, 3, 5, 6)
    for mode, coordinates, sizes in itertools.product(
            ("nearest", "linear", "cubic"), ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"),
            ((10, 12), (7, 9), (3, 4), (5, 6))):
        attributes = {"mode": mode, "coordinate_transformation_mode": coordinates}
        if mode == "nearest":
            attributes["nearest_mode"] = "floor"
        shape = np.array([2, 3, *sizes], np.int64)
        yield case("Resize", [x, None, None, shape], attributes, tolerance=1e-4, opset=18)
    for scale in (2.0, 1.5, 0.5):
        scales = np.array([1, 1, scale, scale], np.float32)
        for mode in ("nearest", "linear"):
            yield case("Resize", [x, None, scales], {"mode": mode, "coordinate_transformation_mode": "asymmetric",
                                                     "nearest_mode": "floor"}, opset=13)
            yield case("Resize", [x, scales], {"mode": mode}, opset=10)
    for mode, padding, align in itertools.product(("linear", "nearest", "cubic"), ("zeros", "border", "reflection"),
                                                  (0, 1)):
        yield case("GridSample", [x, r.real(2, 4, 3, 2, scale=0.7)],
                   {"mode": mode, "padding_mode": padding, "align_corners": align}, opset=20, tolerance=1e-4)


def recurrence(r):
    steps, batch, inputs, hidden = 5, 3, 4, 6
    for direction, lengths, bias in itertools.product(("forward", "reverse", "bidirectional"), (False, True),
                                                      (False, True)):
        n = 2 if direction == "bidirectional" else 1
        common = {"hidden_size": hidden, "direction": direction}
        ends = np.array([5, 2, 4], np.int32) if lengths else None
        x = r.real(steps, batch, inputs)

        def operands(gates):
            return [x, r.real(n, gates * hidden, inputs, scale=0.4), r.real(n, gates * hidden, hidden, scale=0.4),
                    r.real(n, 2 * gates * hidden) if bias else None, ends, r.real(n, batch, hidden)]

        yield case("RNN", operands(1), common, outputs=2)
        for linear in (0, 1):
            yield case("GRU", operands(3), dict(common, linear_before_reset=linear), outputs=2)
        yield case("LSTM", operands(4) + [r.real(n, batch, hidden)], common, outputs=3)
        yield case("LSTM", operands(4) + [r.real(n, batch, hidden), r.real(n, 3 * hidden)], dict(common, clip=0.8),
                   outputs=3)


if __name__ == "__main__":
    sys.exit(run_families((products, integer_products, normalisation, convolution, resizing, recurrence), __doc__))
