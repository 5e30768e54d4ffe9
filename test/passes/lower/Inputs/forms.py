"""Routing in many forms, each with fused entries and node by node: forms.py FOLDER. Writes FOLDER/forms.mlir, a module with constant
weights and a result for each form, runs it on inputs of several lengths, and prints a line for each form that says whether the two
agree, and with `differs from` another form where two forms must not be the same."""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np

D = 16
X = f"tensor<?x?x{D}xf32>"
rng = np.random.default_rng(3)
initializers, body, results = [], [], []


def weight(*shape, scale=0.5):
    name, value = f"w{len(initializers)}", (scale * rng.standard_normal(shape)).astype(np.float32)
    type = f"tensor<{'x'.join(map(str, shape))}xf32>"
    initializers.append(f'  onnx.initializer @{name} : {type} = dense<"0x{value.tobytes().hex().upper()}"> : {type}')
    body.append(f"    %{name} = onnx.weight @{name} : {type}")
    return f"%{name}", type


def emit(text, *values):
    name = f"%v{len(body)}"
    body.append(f"    {name} = {text}")
    return name


def score(n, kind="linear", weights=None, over="token", attributes="", bias=False, previous=None, x="%x"):
    weights = weights or [weight(D, n)]
    attributes = ", ".join(filter(None, [attributes, f"over = #uoe<over {over}>" if over != "token" else ""]))
    rank3 = over in ("token", "patch")
    type = f"tensor<?x?x{n}xf32>" if rank3 else f"tensor<?x{n}xf32>"
    text = f"uoe.score {kind} {x} weights({', '.join(w for w, _ in weights)})"
    tail = f"{X} weights {', '.join(t for _, t in weights)}"
    if bias:
        b, t = weight(n)
        text, tail = text + f" bias({b})", tail + f" bias {t}"
    if previous:
        value, t, m = previous
        mix, u = weight(m, n)
        text, tail = text + f" previous({value}, {mix})", tail + f" previous {t}, {u}"
    return emit(f"{text} {{{attributes}}} : {tail} -> {type}"), type


def select(scores, n, rule, attributes="", per="", thresholds=None, bias=False, groups=None, within=None):
    value, type = scores
    text, tail = f"uoe.select {value} {rule}", type
    for word, given in (("thresholds", thresholds), ("selection_bias", weight(n) if bias else None), ("group_scores", groups),
                        ("within", within)):
        if given:
            text, tail = text + f" {word}({given[0]})", tail + f" {word} {given[1]}"
    routing = f"<{n}{per}>"
    return emit(f"{text} {{{attributes}}} : {tail} -> {routing}"), f"!uoe.routing{routing}"


def runs(sizes):
    return ", ".join(map(str, sizes))


def experts(routing, sizes, act="silu", gated=False, biased=False, slots=None, skip=False, gathered=False):
    """FFN experts of these sizes."""
    F = sum(sizes)
    one = str(sizes[0]) if len(set(sizes)) == 1 else "?"
    parts = [("u", weight(D, F), 1, f"tensor<{D}x{one}xf32>"), ("d", weight(F, D), 0, f"tensor<{one}x{D}xf32>")]
    if gated:
        parts.insert(1, ("g", weight(D, F), 1, f"tensor<{D}x{one}xf32>"))
    if biased:
        parts.append(("bu", weight(F), 0, f"tensor<{one}xf32>"))
        if gated:
            parts.append(("bg", weight(F), 0, f"tensor<{one}xf32>"))
    types = {name: inner for name, _, _, inner in parts}
    up = "%u" + (" + %bu" if biased else "")
    up_types = types["u"] + (f", {types['bu']}" if biased else "")
    gate = f" gate(%g{' + %bg' if biased else ''})" if gated else ""
    gate_types = f" gate {types['g']}" + (f", {types['bg']}" if biased else "") if gated else ""
    slot_text = f" slots [{runs(slots)}]" if slots else ""
    skip_text, skip_type = "", ""
    if skip:
        s, t = weight(len(sizes), D)
        skip_text, skip_type = f" skip({s})", f" skip {t}"
    names = ", ".join(value for _, (value, _), _, _ in parts)
    args = ", ".join(f"%{name}: {inner}" for name, _, _, inner in parts)
    return emit(f"""uoe.experts(%x) sliced({names}) axes [{runs(a for _, _, a, _ in parts)}] sizes [{runs(sizes)}] routing({routing[0]}){slot_text}{skip_text}{' gathered' if gathered else ''} combine sum {{
    ^bb0(%t: {X}, {args}):
      %o = uoe.ffn {act} %t up({up}){gate} down(%d) : {X}, {up_types}{gate_types} down {types['d']} -> {X}
      uoe.yield %o : {X}
    }} : shared {X} sliced {', '.join(t for _, (_, t), _, _ in parts)} routing {routing[1]}{skip_type} -> {X}""")


def matrices(routing, n, axis, biased=False, slots=None, x="%x", size=D):
    """Experts of one matrix each, columns (axis 1) or rows (axis 0) of a whole."""
    inner, outer = (D, size) if axis else (size, D)
    xs, ys = f"tensor<?x?x{inner}xf32>", f"tensor<?x?x{outer}xf32>"
    parts = [(*(weight(inner, outer * n) if axis else weight(inner * n, outer)), axis, f"tensor<{inner}x{outer}xf32>")]
    if biased:
        parts.append((*weight(outer * n), 0, f"tensor<{outer}xf32>"))
    lines = f'      %o = onnx.node "MatMul"(%t, %a0) : ({xs}, {parts[0][3]}) -> {ys}\n'
    if biased:
        lines += f'      %p = onnx.node "Add"(%o, %a1) : ({ys}, {parts[1][3]}) -> {ys}\n'
    args = ", ".join(f"%a{i}: {inner_type}" for i, (_, _, _, inner_type) in enumerate(parts))
    slot_text = f" slots [{runs(slots)}]" if slots else ""
    return emit(f"""uoe.experts({x}) sliced({', '.join(v for v, _, _, _ in parts)}) axes [{runs(a for _, _, a, _ in parts)}] sizes [{n} x {outer if axis else inner}] routing({routing[0]}){slot_text} combine sum {{
    ^bb0(%t: {xs}, {args}):
{lines}      uoe.yield {'%p' if biased else '%o'} : {ys}
    }} : shared {xs} sliced {', '.join(t for _, t, _, _ in parts)} routing {routing[1]} -> {ys}""")


def result(name, value, type=X):
    results.append((name, value, type))


def add(a, b):
    return emit(f'onnx.node "Add"({a}, {b}) : ({X}, {X}) -> {X}')


def attr(**values):
    words = []
    for key, value in values.items():
        if value is True:
            words.append(key)
        elif isinstance(value, str):
            words.append(f"{key} = #uoe<{'weight_rule' if key == 'weight' else 'axis' if key == 'normalize' else key} {value}>")
        elif isinstance(value, list):
            words.append(f"{key} = array<i64: {runs(value)}>")
        else:
            words.append(f"{key} = {value} : {'i64' if isinstance(value, int) else 'f32'}")
    return ", ".join(words)


six, uneven, singles = [16] * 6, [20, 3, 40, 1, 16, 16], [1] * 96
gate = dict(weight="gate")
forms = {
    "threshold": (6, six, "threshold", attr(tau=0.2), {}),
    "sigmoid": (6, uneven, "threshold", attr(tau=0.5, scoring="sigmoid", **gate), dict(gated=True)),
    "own-thresholds": (6, six, "threshold", attr(empty="argmax", scaling="one_over_active"), dict(thresholds=True, biased=True)),
    "empty-all": (6, six, "threshold", attr(tau=1.0, empty="all", scaling="n_over_active"), {}),
    "top-2": (6, six, "token_topk", attr(k=2, scoring="softmax", normalize="experts", factor=2.5, **gate), dict(gated=True, biased=True)),
    "top-p": (6, uneven, "top_p", attr(p=0.6, scoring="softmax", temperature=0.7, **gate), {}),
    "selection-bias": (6, six, "token_topk", attr(k=2, scoring="sigmoid", **gate), dict(bias=True)),
    "groups": (6, six, "token_topk", attr(k=2, scoring="softmax", groups=[0, 0, 1, 1, 2, 2], group_k=1, group_score="top2", **gate), {}),
    "within-group": (6, six, "all", attr(scoring="softmax", groups=[0, 1, 1, 0, 1, 0], group_temperature=0.5, **gate), dict(group_scores=2)),
    "expert-choice": (6, six, "all", attr(scoring="softmax", capacity_share=0.5, **gate), {}),
    "takers": (6, six, "token_topk", attr(k=2, scoring="softmax", normalize="batch", capacity_takers=True, capacity_share=0.6, padding="token", **gate), {}),
    "tokens-capacity": (6, six, "threshold", attr(tau=0.0, normalize="tokens", capacity=3, **gate), {}),
    "skip": (6, six, "threshold", attr(tau=0.1), dict(skip=True)),
    "merged": (6, [16] * 3, "token_topk", attr(k=3, scoring="softmax", **gate), dict(slots=[0, 2, 0, -1, 1, 2])),
    "singles": (96, singles, "threshold", attr(tau=1.0), dict(gated=True, biased=True)),
    "singles-most": (96, singles, "threshold", attr(tau=-0.5), dict(skip=True)),
    "singles-top": (96, singles, "token_topk", attr(k=9, scoring="sigmoid", **gate), {}),
    "fives": (19, [5] * 19, "token_topk", attr(k=3), dict(gated=True)),
    "one": (1, [40], "threshold", attr(tau=0.0), {}),
}
for name, (n, sizes, rule, attributes, more) in forms.items():
    s = score(n, bias=name == "threshold")
    chosen = select(s, n, rule, attributes, bias=more.get("bias", False), thresholds=weight(n) if more.get("thresholds") else None,
                    groups=score(more["group_scores"]) if "group_scores" in more else None)
    result(name, experts(chosen, sizes, **{k: v for k, v in more.items() if k in ("gated", "biased", "slots", "skip")}))
    if n == 6 and "skip" not in more:
        axis = len(results) // 2 % 2
        result(f"{name}-matrices", matrices(chosen, 3 if "slots" in more else n, axis, biased=axis == 1, slots=more.get("slots")))

# Rows of patches and samples; the choice of a token within a sample's.
s = score(6, over="patch", attributes="patch = 3 : i64")
result("patch", experts(select(s, 6, "token_topk", attr(k=2), " per 3"), six))
result("patch-capacity", experts(select(s, 6, "all", attr(scoring="softmax", capacity=1, **gate), " per 3"), uneven))
sample = select(score(6, over="sample_mean"), 6, "token_topk", attr(k=3), " per sample")
result("sample", experts(sample, six))
result("sample-matrices", matrices(sample, 6, 0))
result("within", experts(select(score(6), 6, "all", attr(scoring="softmax", capacity_share=0.5, **gate), within=sample), six))

# Heads: each with a choice of its own, values side by side, outputs added up; taken from where they lie one by one, or from one tensor.
HEADS, H = 3, "tensor<?x?x8xf32>"
for name, attributes in {"heads": attr(k=2, scoring="sigmoid", **gate), "heads-normalised": attr(k=2, scoring="softmax", normalize="experts", **gate)}.items():
    def choice():
        return select(score(5, bias=name == "heads"), 5, "token_topk", attributes)

    values = [matrices(choice(), 5, 1, size=8) for _ in range(HEADS)]
    if name == "heads-normalised":
        whole = emit(f'onnx.node "Concat"({", ".join(values)}) {{axis = -1 : i64}} : ({", ".join([H] * HEADS)}) -> tensor<?x?x24xf32>')
        shape = emit('onnx.node "Constant"() {value = dense<[0, 0, 3, 8]> : tensor<4xi64>} : () -> tensor<4xi64>')
        split = emit(f'onnx.node "Reshape"({whole}, {shape}) : (tensor<?x?x24xf32>, tensor<4xi64>) -> tensor<?x?x3x8xf32>')
        split = emit(f'onnx.node "Transpose"({split}) {{perm = array<i64: 0, 2, 1, 3>}} : (tensor<?x?x3x8xf32>) -> tensor<?x3x?x8xf32>')
        for h in range(HEADS):
            at = emit(f'onnx.node "Constant"() {{value = dense<{h}> : tensor<i64>}} : () -> tensor<i64>')
            values[h] = emit(f'onnx.node "Gather"({split}, {at}) {{axis = 1 : i64}} : (tensor<?x3x?x8xf32>, tensor<i64>) -> {H}')
    outputs = [matrices(choice(), 5, 0, x=v, size=8) for v in values]
    result(name, add(add(outputs[0], outputs[1]), outputs[2]))

# Kinds of scores.
kinds = {
    "cosine": ("cosine", [weight(D, 4), weight(4, 6)], ""),
    "cosine-wide": ("cosine", [weight(D, 6)], ""),
    "mlp": ("mlp", [weight(D, 12), weight(12), weight(12, 6)], "activation = #uoe<activation gelu>"),
    "mass": ("mass", [weight(D, 18), weight(D, 18)], ""),
    "activation": ("activation", [weight(D, 96), weight(D, 96)], "activation = #uoe<activation silu>, sizes = array<i64: 16, 16, 16, 16, 16, 16>"),
    "activation-uneven": ("activation", [weight(D, 96)], f"activation = #uoe<activation relu>, sizes = array<i64: {runs(uneven)}>"),
}
for name, (kind, weights, attributes) in kinds.items():
    s = score(6, kind, weights, attributes=attributes)
    result(name, experts(select(s, 6, "token_topk", attr(k=2)), six))
first = score(4)
result("residual", experts(select(score(6, previous=(*first, 4)), 6, "token_topk", attr(k=2)), six))

# Experts of unlike kinds on one routing: two FFNs, a copy, a constant, and a zero expert, which is nobody's.
mixed = select(score(5), 5, "token_topk", attr(k=2, scoring="softmax", **gate))
ffns = experts(mixed, [16, 24], slots=[0, 1, -1, -1, -1])
copy = emit(f"""uoe.experts(%x) sizes [1] routing({mixed[0]}) slots [-1, -1, 0, -1, -1] combine sum {{
    ^bb0(%t: {X}):
      uoe.yield %t : {X}
    }} : shared {X} routing {mixed[1]} -> {X}""")
v, v_type = weight(1, D)
constant = emit(f"""uoe.experts(%x) sliced({v}) axes [0] sizes [1] routing({mixed[0]}) slots [-1, -1, -1, 0, -1] combine sum {{
    ^bb0(%t: {X}, %c: {v_type}):
      %m = onnx.node "Add"(%t, %c) : ({X}, {v_type}) -> {X}
      uoe.yield %m : {X}
    }} : shared {X} sliced {v_type} routing {mixed[1]} -> {X}""")
result("mixed", add(add(ffns, copy), constant))

# Low-rank experts are blocks without an activation.
result("low-rank", experts(select(score(8), 8, "all", attr(scoring="softmax", **gate)), [4] * 8, act="identity"))

# Weights merged for each sample.
stack, stack_type = weight(3, D, D)
merged = emit(f"""uoe.experts() sliced({stack}) axes [0] sizes [1, 1, 1] routing({select(score(3, over="sample_mean"), 3, "all", attr(scoring="softmax", **gate), " per sample")[0]}) combine merge {{
    ^bb0(%w: tensor<1x{D}x{D}xf32>):
      %one = onnx.node "Constant"() {{value = dense<0> : tensor<1xi64>}} : () -> tensor<1xi64>
      %m = onnx.node "Squeeze"(%w, %one) : (tensor<1x{D}x{D}xf32>, tensor<1xi64>) -> tensor<{D}x{D}xf32>
      uoe.yield %m : tensor<{D}x{D}xf32>
    }} : sliced {stack_type} routing !uoe.routing<3 per sample> -> tensor<?x{D}x{D}xf32>""")
result("merge", emit(f'onnx.node "MatMul"(%x, {merged}) : ({X}, tensor<?x{D}x{D}xf32>) -> {X}'))

# Experts whose tokens see each other.
o, ot = weight(3 * 8, D)
for name, attributes in {"gathered": attr(scoring="softmax", capacity_share=0.5, **gate),
                         "gathered-padded": attr(scoring="softmax", capacity=3, padding="token"),
                         "gathered-takers": None,
                         # Normalised queries are no part of the fused entry.
                         "gathered-other": attr(scoring="softmax", capacity_share=0.5, **gate)}.items():
    chosen = select(score(3), 3, "all" if attributes else "token_topk",
                    attributes or attr(k=1, scoring="softmax", normalize="batch", capacity_takers=True, **gate))
    wq, wk, wv = (weight(D, 24) for _ in range(3))
    heads = "tensor<?x1x?x8xf32>"
    lines = []
    for key in "qkv":
        lines.append(f"""      %{key}0 = onnx.node "MatMul"(%t, %w{key}) : ({X}, tensor<{D}x8xf32>) -> tensor<?x?x8xf32>
      %{key}1 = onnx.node "Unsqueeze"(%{key}0, %axis) : (tensor<?x?x8xf32>, tensor<1xi64>) -> {heads}""")
    query = "%q1"
    if name == "gathered-other":
        query = "%q2"
        lines.append(f"""      %q2 = onnx.node "Softmax"(%q1) {{axis = -1 : i64}} : ({heads}) -> {heads}""")
    value = emit(f"""uoe.experts(%x) sliced({wq[0]}, {wk[0]}, {wv[0]}, {o}) axes [1, 1, 1, 0] sizes [8, 8, 8] routing({chosen[0]}) gathered combine sum {{
    ^bb0(%t: {X}, %wq: tensor<{D}x8xf32>, %wk: tensor<{D}x8xf32>, %wv: tensor<{D}x8xf32>, %wo: tensor<8x{D}xf32>, %valid: tensor<?x?xi1>):
      %axis = onnx.node "Constant"() {{value = dense<1> : tensor<1xi64>}} : () -> tensor<1xi64>
      %axes = onnx.node "Constant"() {{value = dense<[1, 2]> : tensor<2xi64>}} : () -> tensor<2xi64>
""" + "\n".join(lines) + f"""
      %mask = onnx.node "Unsqueeze"(%valid, %axes) : (tensor<?x?xi1>, tensor<2xi64>) -> tensor<?x1x1x?xi1>
      %a = uoe.attention {query}, %k1, %v1 bias(%mask) attributes {{scale = 0.35 : f32, causal, boolean_zero}} : ({heads}, {heads}, {heads}) bias tensor<?x1x1x?xi1> -> {heads}
      %b = onnx.node "Squeeze"(%a, %axis) : ({heads}, tensor<1xi64>) -> tensor<?x?x8xf32>
      %y = onnx.node "MatMul"(%b, %wo) : (tensor<?x?x8xf32>, tensor<8x{D}xf32>) -> {X}
      uoe.yield %y : {X}
    }} : shared {X} sliced {wq[1]}, {wk[1]}, {wv[1]}, {ot} routing {chosen[1]} -> {X}""")
    result(name, value)

# Gathered, and yet each sees its tokens one by one.
for name, more in {"gathered-ffn": "", "gathered-ffn-padded": ", padding = #uoe<padding token>"}.items():
    chosen = select(score(6), 6, "all", attr(scoring="softmax", capacity_share=0.5, **gate) + more)
    result(name, experts(chosen, uneven, gated=True, gathered=True))

# A loop over depth with tied experts, another low-rank block in each iteration.
a, at = weight(3, D, 2)
b, bt = weight(3, 2, D)
sl, st = weight(D, 6)
un = [weight(D, 96), weight(96, D)]
result("recur", emit(f"""uoe.recur(%x) each({a}, {b}) times 3 {{
    ^bb0(%h: {X}, %a: tensor<{D}x2xf32>, %b: tensor<2x{D}xf32>):
      %s = uoe.score linear %h weights({sl}) : {X} weights {st} -> tensor<?x?x6xf32>
      %r = uoe.select %s token_topk {{k = 2 : i64}} : tensor<?x?x6xf32> -> <6>
      %e = uoe.experts(%h) sliced({un[0][0]}, {un[1][0]}) axes [1, 0] sizes [{runs(six)}] routing(%r) combine sum {{
      ^bb0(%t: {X}, %u: tensor<{D}x16xf32>, %d: tensor<16x{D}xf32>):
        %o = uoe.ffn relu %t up(%u) down(%d) : {X}, tensor<{D}x16xf32> down tensor<16x{D}xf32> -> {X}
        uoe.yield %o : {X}
      }} : shared {X} sliced {un[0][1]}, {un[1][1]} routing !uoe.routing<6> -> {X}
      %l = uoe.ffn identity %h up(%a) down(%b) : {X}, tensor<{D}x2xf32> down tensor<2x{D}xf32> -> {X}
      %y = onnx.node "Add"(%e, %l) : ({X}, {X}) -> {X}
      uoe.yield %y : {X}
    }} : {X} each {at}, {bt} -> {X}"""))

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
types = ", ".join(f'{type} {{onnx.name = "{name}"}}' for name, _, type in results)
(folder / "forms.mlir").write_text("\n".join(
    ["module attributes {onnx.opset_import = {ai.onnx = 24 : i64}} {", *initializers,
     f'  func.func @main_graph(%x: {X} {{onnx.name = "x"}}) -> ({types}) {{', *body,
     f"    return {', '.join(v for _, v, _ in results)} : {', '.join(t for _, _, t in results)}", "  }", "}"]) + "\n")


def run(x, *options):
    with tempfile.TemporaryDirectory() as out:
        np.save(f"{out}/x.npy", x)
        done = subprocess.run(["uoe-run", "run", folder / "forms.mlir", "--input", f"x={out}/x.npy", "--output-dir", out, *options],
                              capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        return {name: np.load(f"{out}/{name}.npy") for name, _, _ in results}


worst = dict.fromkeys([name for name, _, _ in results], 0.0)
moved = dict.fromkeys(worst, False)
for shape in ((1, 1), (1, 7), (2, 5), (3, 64), (1, 300), (2, 0), (0, 3)):
    x = rng.standard_normal((*shape, D)).astype(np.float32)
    if x.size > D:
        x[-1, -1] = 0  # a token without a direction
    fused, plain = run(x), run(x, "--no-fuse")
    for name, y in fused.items():
        assert y.shape == plain[name].shape, (name, y.shape, plain[name].shape)
        if y.size:
            worst[name] = max(worst[name], np.abs(y - plain[name]).max() / (np.abs(plain[name]).max() + 1e-6))
            moved[name] |= np.abs(y).max() > 1e-3
for name, error in worst.items():
    print(f"{name}: {'agrees' if error < 2e-5 and moved[name] else f'differs by {error:.2g} of the largest'}")
