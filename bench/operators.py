#!/usr/bin/env python3
"""Single operators that models other than text decoders stand on, uoe-run beside ONNX Runtime, by turns, one thread.

    bench/operators.py [--build build] [--rounds 5] [NAME...]

Prints the least time of each and the median of the rounds' ratios. Shapes are those of ViT, Whisper, wav2vec 2, SegFormer,
ConvNeXt, Swin, DPT and of BERT quantised dynamically.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

RANDOM = numpy.random.default_rng(0)


def real(*shape):
    return (RANDOM.standard_normal(shape) * 0.05).astype(numpy.float32)


def conv(x, weights, **attributes):
    return x, [helper.make_node("Conv", ["x", "w", "b"], ["y"], **attributes)], {"w": real(*weights), "b": real(weights[0])}


def unary(op, x, extra=(), initializers=None, **attributes):
    return x, [helper.make_node(op, ["x", *extra], ["y"], **attributes)], initializers or {}


def dynamic_product(rows, depth, columns):
    nodes = [helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
             helper.make_node("MatMulInteger", ["q", "w", "z"], ["i"]),
             helper.make_node("Cast", ["i"], ["f"], to=TensorProto.FLOAT), helper.make_node("Mul", ["f", "s"], ["y"])]
    return (rows, depth), nodes, {"w": RANDOM.integers(-127, 128, (depth, columns)).astype(numpy.int8)}


def cases():
    yield "patches 16x16", conv((1, 3, 224, 224), (384, 3, 16, 16), strides=[16, 16])
    yield "patches 7x7, overlapping", conv((1, 3, 224, 224), (64, 3, 7, 7), strides=[4, 4], pads=[3] * 4)
    yield "3x3", conv((1, 64, 56, 56), (64, 64, 3, 3), pads=[1] * 4)
    yield "1x1", conv((1, 96, 56, 56), (384, 96, 1, 1))
    yield "depthwise 3x3", conv((1, 96, 56, 56), (96, 1, 3, 3), pads=[1] * 4, group=96)
    yield "depthwise 7x7", conv((1, 96, 56, 56), (96, 1, 7, 7), pads=[3] * 4, group=96)
    yield "sound, 3 taps", conv((1, 80, 3000), (384, 80, 3), pads=[1, 1])
    yield "sound, 3 taps, stride 2", conv((1, 512, 3199), (512, 512, 3), strides=[2])
    yield "positions, 128 taps, 16 groups", conv((1, 768, 99), (768, 48, 128), pads=[64, 64], group=16)
    yield "max pooling 3x3", unary("MaxPool", (1, 64, 112, 112), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    yield "average pooling 2x2", unary("AveragePool", (8, 96, 56, 56), kernel_shape=[2, 2], strides=[2, 2])
    scales = {"s": numpy.array([1, 1, 2, 2], numpy.float32)}
    yield "resizing, linear", unary("Resize", (1, 256, 64, 64), ("", "s"), scales, mode="linear")
    yield "sums along the middle axis", unary("CumSum", (8, 512, 768), ("a",), {"a": numpy.array(1)})
    yield "softmax along the middle axis", unary("Softmax", (8, 128, 768), axis=1)
    yield "8 bits, 128 rows", dynamic_product(128, 768, 3072)
    yield "8 bits, one row", dynamic_product(1, 768, 3072)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=pathlib.Path(__file__).resolve().parent.parent / "build", type=pathlib.Path)
    parser.add_argument("--rounds", default=5, type=int)
    parser.add_argument("names", nargs="*", help="cases whose name contains one of these")
    args = parser.parse_args()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    print(f"onnxruntime {onnxruntime.__version__}, one thread, {args.rounds} rounds; times in ms\n")
    print("| operator | onnxruntime | uoe | ratio |\n| --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.onnx"
        for name, (shape, nodes, initializers) in cases():
            if args.names and not any(wanted in name for wanted in args.names):
                continue
            graph = helper.make_graph(nodes, "operator", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
                                      [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
                                      [numpy_helper.from_array(value, key) for key, value in initializers.items()])
            onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)
            session = onnxruntime.InferenceSession(str(path), options)
            feed = {"x": RANDOM.standard_normal(shape).astype(numpy.float32)}
            theirs, ours = [], []
            for _ in range(args.rounds):
                times = []
                for _ in range(12):
                    start = time.perf_counter()
                    session.run(None, feed)
                    times.append(1e3 * (time.perf_counter() - start))
                theirs.append(min(times))
                run = subprocess.run([args.build / "bin/uoe-run", "bench", path, "--threads", "1", "-o", "json"],
                                     stdout=subprocess.PIPE, text=True)
                if run.returncode:
                    return run.returncode
                ours.append(1e3 * json.loads(run.stdout)["latency"]["min"])
            ratio = statistics.median(b / a for a, b in zip(theirs, ours))
            print(f"| {name} | {min(theirs):.2f} | {min(ours):.2f} | {ratio:.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
