#!/usr/bin/env python3
"""Random arguments for every operator of the runtime: any outcome is fine but a crash, a hang or an empty message.

Cases run in child processes, so that a crash names its case; with a sanitizer build of the library (and its runtime
preloaded) every invalid access counts. Ends with `N passed, N failed, N skipped`.
"""

import argparse
import multiprocessing
import random
import re
import sys

import numpy as np
import onnx

from uoe_ops import NUMBERS, Runtime, Unsupported

# Operators of com.microsoft, whose schemas the onnx package lacks.
CONTRIB = {
    "Attention": ["num_heads", "unidirectional", "mask_filter_value", "scale", "qkv_hidden_sizes"],
    "BiasGelu": [], "BiasSplitGelu": [], "FastGelu": [], "Gelu": [], "QuickGelu": ["alpha"],
    "FusedMatMul": ["alpha", "transA", "transB"], "GemmFastGelu": [],
    "GatherBlockQuantized": ["block_size", "gather_axis", "quantize_axis", "bits"],
    "GroupQueryAttention": ["num_heads", "kv_num_heads", "do_rotary", "local_window_size", "scale", "softcap"],
    "MatMulNBits": ["K", "N", "block_size", "bits", "accuracy_level"],
    "MatMulInteger16": [], "DynamicQuantizeMatMul": [], "MatMulIntegerToFloat": [], "QAttention": ["num_heads"],
    "MoE": ["k", "activation_type", "normalize_routing_weights", "swiglu_fusion"],
    "QMoE": ["k", "activation_type", "expert_weight_bits", "block_size"],
    "MultiHeadAttention": ["num_heads", "unidirectional", "scale"],
    "DecoderMaskedMultiHeadAttention": ["num_heads"],
    "EmbedLayerNormalization": ["epsilon"], "SkipLayerNormalization": ["epsilon"],
    "SimplifiedLayerNormalization": ["epsilon", "axis"], "SkipSimplifiedLayerNormalization": ["epsilon"],
    "RotaryEmbedding": ["num_heads", "interleaved", "rotary_embedding_dim", "scale"],
    "SparseAttention": [], "PackedAttention": ["num_heads"], "RelativePositionBias": ["max_distance", "is_bidirectional"],
    "GatedRelativePositionBias": ["num_heads"], "QLinearAdd": [], "QLinearMul": [], "QuantizeLinear": ["axis"],
    "DequantizeLinear": ["axis"], "Inverse": [], "Trilu": ["upper"], "NhwcConv": [], "ExpandDims": [], "Unique": [],
}
# What ONNX's importer puts under other domains or older exporters under the default one.
EXTRA = {"": {"SimplifiedLayerNormalization": ["epsilon", "axis"], "Scatter": ["axis"], "Upsample": ["mode"]}}
WORDS = ["none", "tanh", "linear", "constant", "reflect", "edge", "wrap", "add", "mul", "min", "max", "LEFT", "RIGHT",
         "DCR", "CRD", "NOTSET", "SAME_UPPER", "VALID", "ij,jk->ik", "...i,i->...", "i->", "silu", "gelu", "swiglu",
         "relu", "nearest", "cubic", "sum", "mean", "forward", "bidirectional", "circular", "", "nonsense"]
TYPES = [np.dtype(np.float32)] * 6 + [np.dtype(np.int64)] * 4 + [np.dtype(np.int32)] * 2 + list(NUMBERS)


def operators(runtime):
    result = []
    for schema in onnx.defs.get_all_schemas():
        domain = schema.domain
        if runtime.known(domain, schema.name):
            result.append((domain, schema.name, sorted(schema.attributes)))
    for domain, table in {"com.microsoft": CONTRIB, **EXTRA}.items():
        result += [(domain, op, names) for op, names in table.items() if runtime.known(domain, op)]
    return sorted(result)


def make_shape(rng):
    rank = rng.choice([0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5])
    return tuple(rng.choice([0, 1, 1, 2, 2, 3, 4, 4, 5, 8, 16]) for _ in range(rank))


def make_array(rng, shape, dtype):
    numpy_rng = np.random.default_rng(rng.getrandbits(32))
    if dtype.kind == "b":
        return numpy_rng.random(shape) < 0.5
    if dtype.kind in "iu":
        low, high = rng.choice([(0, 3), (-3, 4), (0, 2), (-(2**45), 2**45), (-(2**62), 2**62)])
        return np.asarray(numpy_rng.integers(low, high, shape)).astype(dtype)
    values = np.asarray(numpy_rng.standard_normal(shape) * rng.choice([1, 10, 1e6, 1e38]))
    if values.size and rng.random() < 0.2:
        values.reshape(-1)[0] = rng.choice([np.nan, np.inf, -np.inf, 0])
    with np.errstate(all="ignore"):
        return values.astype(dtype)


def make_attribute(rng, name):
    kind = rng.random()
    if kind < 0.45:
        return rng.choice([0, 1, 1, 2, 3, 4, 8, 16, -1, -2, 64, 2**40, -(2**63)])
    if kind < 0.6:
        return rng.choice([0.0, 0.5, 1.0, -1.0, 1e30, float("nan")])
    if kind < 0.8:
        return [rng.choice([0, 1, 1, 2, 3, -1, 5, 2**33]) for _ in range(rng.randrange(0, 5))]
    if kind < 0.9:
        return rng.choice(WORDS)
    return make_array(rng, rng.choice([(), (1,), (2, 2)]), rng.choice(TYPES))


def make_case(rng, op):
    domain, name, attributes = op
    base, dtype = make_shape(rng), rng.choice(TYPES)
    inputs = []
    for _ in range(rng.choice([0, 1, 1, 2, 2, 2, 3, 3, 4, 5, 7, 9])):
        roll = rng.random()
        if roll < 0.08:
            inputs.append(None)
        elif roll < 0.1:
            inputs.append([make_array(rng, base, dtype) for _ in range(rng.randrange(3))])
        elif roll < 0.5:
            inputs.append(make_array(rng, base, dtype))
        elif roll < 0.65:
            inputs.append(make_array(rng, tuple(rng.choice([d, 1]) for d in base), dtype))
        elif roll < 0.75:
            inputs.append(make_array(rng, base[-1:], dtype))
        elif roll < 0.85:
            inputs.append(make_array(rng, (max(len(base), 1),), np.dtype(np.int64)))
        else:
            inputs.append(make_array(rng, make_shape(rng), rng.choice(TYPES)))
    chosen = {a: make_attribute(rng, a) for a in attributes if rng.random() < 0.35}
    return domain, name, inputs, chosen, rng.choice([7, 11, 13, 18, 21, 24]), rng.choice([1, 1, 1, 2, 3])


def describe(case):
    domain, name, inputs, attributes, version, outputs = case
    shapes = ["absent" if x is None else f"sequence of {len(x)}" if isinstance(x, list) else f"{x.dtype}{list(x.shape)}"
              for x in inputs]
    return f"{domain + '.' if domain else ''}{name}-{version}({', '.join(shapes)}) {attributes} -> {outputs}"


def worker(library, op, seed, count, progress):
    runtime = Runtime(library)
    runtime.library.uoe_set_threads(1)
    for number in range(progress[0], count):
        progress[0] = number
        domain, name, inputs, attributes, version, outputs = make_case(random.Random(f"{seed} {op[:2]} {number}"), op)
        try:
            runtime.run(name, inputs, attributes, version, outputs, domain)
            progress[1] += 1
        except Unsupported:
            continue
        except RuntimeError as error:
            # An allocator's or a library's bare message says nothing about what was expected.
            if re.fullmatch(r"(std::.*|vector.*|basic_string.*|bad .*|)", str(error)):
                progress[2] = number + 1
    progress[0] = count


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", required=True, help="path of libuoe_runtime.so")
    parser.add_argument("--count", type=int, default=200, help="cases for each operator")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--op", action="append", help="only this operator (repeatable)")
    parser.add_argument("--seconds", type=float, default=60, help="limit for one case's operator")
    options = parser.parse_args()
    passed, accepted, failures = 0, 0, []
    context = multiprocessing.get_context("fork")
    for op in operators(Runtime(options.library)):
        if options.op and op[1] not in options.op:
            continue
        progress = context.Array("q", [0, 0, 0], lock=False)
        while progress[0] < options.count:
            child = context.Process(target=worker, args=(options.library, op, options.seed, options.count, progress))
            child.start()
            child.join(options.seconds)
            hung = child.is_alive()
            if hung:
                child.kill()
                child.join()
            if hung or child.exitcode:
                case = make_case(random.Random(f"{options.seed} {op[:2]} {progress[0]}"), op)
                failures.append(f"{'hangs' if hung else f'exit {child.exitcode}'}: {describe(case)}")
                print("FAILED", failures[-1], flush=True)
                progress[0] += 1
                if len([f for f in failures if f.split(": ")[1].startswith(op[1])]) > 3:
                    break
        if progress[2]:
            case = make_case(random.Random(f"{options.seed} {op[:2]} {progress[2] - 1}"), op)
            failures.append(f"says nothing: {describe(case)}")
            print("FAILED", failures[-1], flush=True)
        passed += options.count
        accepted += progress[1]
    print(f"{accepted} of the cases were valid")
    print(f"{passed - len(failures)} passed, {len(failures)} failed, 0 skipped")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
