"""The routing forms that bench/routing.py times: each as a module with seeded constant weights, the dense layer of the same weights beside it, and
the multiply-adds of both for a given input. How a form is spelled is documented in test/systems; sizes are d = 1024, F = 4096 or the paper's."""

import dataclasses
from typing import Callable

import numpy as np

MODULE = """module attributes {{onnx.opset_import = {{ai.onnx = 20 : i64}}}} {{
  func.func @main_graph(%x: tensor<?x?x{d}xf32> {{onnx.name = "x"}}) -> (tensor<?x?x{d}xf32> {{onnx.name = "y"}}) {{
{body}    return %y : tensor<?x?x{d}xf32>
  }}
}}
"""


def tensor(*shape):
    return "tensor<" + "".join(f"{n}x" for n in shape) + "f32>"


@dataclasses.dataclass
class Layer:
    """What a form is made of: weights by name, the body's text, and multiply-adds as a function of x [tokens, d]."""

    d: int
    weights: dict
    routed: str
    dense: str
    # x -> (multiply-adds of the routed layer, of the dense one), scores counted
    work: Callable

    def text(self, body):
        constants = ""
        for name, value in self.weights.items():
            if f"%{name}" not in body.replace(f"%{name}_", ""):
                continue
            kind = tensor(*value.shape)
            bits = np.ascontiguousarray(value, np.float32).tobytes().hex().upper()
            constants += f'    %{name} = onnx.node "Constant"() {{value = dense<"0x{bits}"> : {kind}}} : () -> {kind}\n'
        return MODULE.format(d=self.d, body=constants + body)


class Weights(dict):
    def __init__(self, seed=1):
        super().__init__()
        self.random = np.random.default_rng(seed)

    def add(self, name, *shape, scale=None):
        self[name] = self.random.normal(0, scale or shape[0] ** -0.5, shape).astype(np.float32)
        return self[name]


def score(name, kind, weights, d, n, extra=""):
    """%name = uoe.score of x by the weights [(ssa, shape)...]."""
    operands = ", ".join(f"%{w}" for w, _ in weights)
    types = ", ".join(tensor(*shape) for _, shape in weights)
    x = tensor("?", "?", d)
    return f"    %{name} = uoe.score {kind} %x weights({operands}){extra} : {x} weights {types} -> {tensor('?', '?', n)}\n"


def select(rule, attributes, n, scores="s"):
    return f"    %r = uoe.select %{scores} {rule} {{{attributes}}} : {tensor('?', '?', n)} -> <{n}>\n"


def ffn(result, activation, d, hidden, gated, x="%x", names=("%u", "%g", "%v")):
    inner, outer, xs = tensor(d, hidden), tensor(hidden, d), tensor("?", "?", d)
    up, gate, down = names
    between, types = (f" gate({gate})", f" gate {inner}") if gated else ("", "")
    return f"%{result} = uoe.ffn {activation} {x} up({up}){between} down({down}) : {xs}, {inner}{types} down {outer} -> {xs}\n"


def experts(result, activation, d, n, size, gated, slots="", routing=None):
    """%result = the weights %u, %g?, %v [d, n size] as n experts of `size`."""
    xs, hidden = tensor("?", "?", d), n * size
    routing = routing or n
    whole = [tensor(d, hidden)] * (2 if gated else 1) + [tensor(hidden, d)]
    part = [tensor(d, size)] * (2 if gated else 1) + [tensor(size, d)]
    names = ["u", "g", "v"] if gated else ["u", "v"]
    axes = "1, 1, 0" if gated else "1, 0"
    arguments = ", ".join(f"%{a}i: {t}" for a, t in zip(names, part))
    return (
        f"    %{result} = uoe.experts(%x) sliced({', '.join('%' + a for a in names)}) axes [{axes}] sizes [{n} x {size}] routing(%r)"
        f"{slots} combine sum {{\n    ^bb0(%h: {xs}, {arguments}):\n      "
        + ffn("o", activation, d, size, gated, "%h", ("%ui", "%gi", "%vi"))
        + f"      uoe.yield %o : {xs}\n    }} : shared {xs} sliced {', '.join(whole)} routing !uoe.routing<{routing}> -> {xs}\n"
    )


def sigmoid(s):
    return 1 / (1 + np.exp(-s))


def softmax(s):
    e = np.exp(s - s.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def unit(x, axis):
    return x / np.linalg.norm(x, axis=axis, keepdims=True)


def mixture(d, n, size, activation, gated, head, scored, chosen, weights=None, slots="", routing=None, tail="", result="y"):
    """A layer of n experts: `head` is the text up to %r, `scored` the multiply-adds of a token's scores, chosen(x, weights) the pairs of token and
    expert."""
    weights = weights if weights is not None else Weights()
    hidden = n * size
    weights.add("u", d, hidden)
    if gated:
        weights.add("g", d, hidden)
    weights.add("v", hidden, d)
    matrices = 3 if gated else 2

    def work(x):
        pairs = chosen(x, weights)
        return len(x) * scored + pairs * matrices * d * size, len(x) * matrices * d * hidden

    body = head + experts(result, activation, d, n, size, gated, slots, routing) + tail
    return Layer(d, weights, body, "    " + ffn("y", activation, d, hidden, gated), work)


def linear(d, n):
    weights = Weights()
    weights.add("w", d, n)
    return weights, score("s", "linear", [("w", (d, n))], d, n)


SOFTMAX, SIGMOID = "scoring = #uoe<scoring softmax>", "scoring = #uoe<scoring sigmoid>"
GATE, RENORMALISED = "weight = #uoe<weight_rule gate>", "normalize = #uoe<axis experts>"


def mixtral(d=1024, n=8, size=512, k=2):
    weights, text = linear(d, n)
    text += select("token_topk", f"k = {k} : i64, {SOFTMAX}, {RENORMALISED}, {GATE}", n)
    return mixture(d, n, size, "silu", True, text, d * n, lambda x, w: k * len(x), weights)


def sigma_moe(d=412, n=155, size=128, k=12):
    weights, text = linear(d, n)
    text += select("token_topk", f"k = {k} : i64, {SIGMOID}, {GATE}", n)
    return mixture(d, n, size, "relu", False, text, d * n, lambda x, w: k * len(x), weights)


def dsmoe(d=1024, n=8, size=512):
    weights, text = linear(d, n)
    text += select("threshold", f"tau = 0.5 : f32, {SIGMOID}, {GATE}, scaling = #uoe<scaling n_over_active>", n)
    return mixture(d, n, size, "silu", True, text, d * n, lambda x, w: np.sum(x @ w["w"] > 0), weights)


def top_p(d=1024, n=16, size=256, p=0.4):
    weights, text = linear(d, n)
    text += select("top_p", f"p = {p} : f32, {SOFTMAX}, {GATE}", n)

    def chosen(x, w):
        gates = -np.sort(-softmax(x @ w["w"]), axis=-1)
        return np.sum(np.cumsum(gates, -1) - gates <= p)

    return mixture(d, n, size, "silu", False, text, d * n, chosen, weights)


def top_any(d=1024, n=16, size=256, limit=0.03):
    weights = Weights()
    weights.add("w", d, n)
    weights["t"] = np.full(n, limit, np.float32)
    text = score("s", "cosine", [("w", (d, n))], d, n)
    text += (f"    %r = uoe.select %s threshold thresholds(%t) {{empty = #uoe<empty argmax>, scaling = #uoe<scaling one_over_active>}} : "
             f"{tensor('?', '?', n)} thresholds {tensor(n)} -> <{n}>\n")

    def chosen(x, w):
        on = unit(x, -1) @ unit(w["w"], 0) > limit
        return np.sum(np.maximum(on.sum(-1), 1))

    return mixture(d, n, size, "relu", False, text, d * n, chosen, weights)


def x_moe(d=1024, n=32, size=128, low=16):
    weights = Weights()
    weights.add("p", d, low)
    weights.add("e", low, n)
    text = score("s", "cosine", [("p", (d, low)), ("e", (low, n))], d, n)
    text += select("token_topk", f"k = 1 : i64, {SOFTMAX}, temperature = 0.07 : f32, {GATE}", n)
    return mixture(d, n, size, "gelu", False, text, d * low + low * n, lambda x, w: len(x), weights)


def deepseek(d=1024, n=64, size=64, groups=8, group_k=4, k=8):
    weights, text = linear(d, n)
    weights.add("bias", n, scale=0.1)
    of = ", ".join(str(e * groups // n) for e in range(n))
    text += (f"    %r = uoe.select %s token_topk selection_bias(%bias) {{k = {k} : i64, {SIGMOID}, groups = array<i64: {of}>, group_k = {group_k} : i64, "
             f"group_score = #uoe<group_score top2>, {RENORMALISED}, {GATE}, factor = 2.5 : f32}} : {tensor('?', '?', n)} selection_bias {tensor(n)} "
             f"-> <{n}>\n")
    return mixture(d, n, size, "silu", True, text, d * n, lambda x, w: k * len(x), weights)


def union(d=1024, n=8, size=512, k=2, padding=False):
    """Union of Experts: each expert takes half of the tokens among those that chose it; with padding, others fill its places. Output biases of the
    experts that a token got are added by `combine merge`."""
    weights, text = linear(d, n)
    weights.add("b", n, d, scale=0.1)
    fill = ", padding = #uoe<padding token>" if padding else ""
    text += select("token_topk", f"k = {k} : i64, {SOFTMAX}, {RENORMALISED}, capacity_share = 0.5 : f32{fill}", n)
    xs = tensor("?", "?", d)
    tail = (
        f"    %c = uoe.experts() sliced(%b) axes [0] sizes [{n} x 1] routing(%r) combine merge {{\n    ^bb0(%row: {tensor(1, d)}):\n"
        f'      %axes = onnx.node "Constant"() {{value = dense<0> : tensor<1xi64>}} : () -> tensor<1xi64>\n'
        f'      %o = onnx.node "Squeeze"(%row, %axes) : ({tensor(1, d)}, tensor<1xi64>) -> {tensor(d)}\n'
        f"      uoe.yield %o : {tensor(d)}\n    }} : sliced {tensor(n, d)} routing !uoe.routing<{n}> -> {xs}\n"
        f'    %y = onnx.node "Add"(%f, %c) : ({xs}, {xs}) -> {xs}\n'
    )

    def chosen(x, w):
        capacity = max(1, len(x) // 2)
        if padding:
            return n * capacity
        takers = np.zeros(n, int)
        np.add.at(takers, np.argsort(-(x @ w["w"]), -1)[:, :k].ravel(), 1)
        return np.sum(np.minimum(takers, capacity))

    return mixture(d, n, size, "relu", False, text, d * n, chosen, weights, tail=tail, result="f")


def neurons(d=1024, n=4096, low=64, share=0.1):
    """Single neurons behind a router of low rank, about `share` of them on."""
    weights = Weights()
    weights.add("a", d, low)
    weights["c"] = np.zeros(low, np.float32)
    weights.add("w", low, n)

    def scores(x, w):
        return np.maximum(x @ w["a"] + w["c"], 0) @ w["w"]

    probe = np.random.default_rng(2).normal(size=(256, d)).astype(np.float32)
    tau = float(np.quantile(scores(probe, weights), 1 - share))
    x = tensor("?", "?", d)
    text = (f"    %s = uoe.score mlp %x weights(%a, %c, %w) {{activation = #uoe<activation relu>}} : {x} weights {tensor(d, low)}, {tensor(low)}, "
            f"{tensor(low, n)} -> {tensor('?', '?', n)}\n")
    text += select("threshold", f"tau = {tau:.6e} : f32", n)
    return mixture(d, n, 1, "relu", False, text, d * low + low * n, lambda x, w: np.sum(scores(x, w) > tau), weights)


def slots(d=1024, n=8, size=512, k=2):
    """MoE++: feed-forward experts, a copy, a constant and a zero expert behind one router."""
    m = n + 3
    weights, text = linear(d, m)
    weights.add("wc", d, 2)
    weights.add("cv", d, scale=1.0)
    text += select("token_topk", f"k = {k} : i64, {SOFTMAX}, {GATE}", m)
    xs, one, two = tensor("?", "?", d), tensor("?", "?", 1), tensor("?", "?", 2)

    def served(*which):
        return " slots [" + ", ".join(str(which.index(i)) if i in which else "-1" for i in range(m)) + "]"

    tail = f"""    %copy = uoe.experts(%x) sizes [1] routing(%r){served(n)} combine sum {{
    ^bb0(%h: {xs}):
      uoe.yield %h : {xs}
    }} : shared {xs} routing !uoe.routing<{m}> -> {xs}
    %constant = uoe.experts(%x, %wc, %cv) sizes [1] routing(%r){served(n + 1)} combine sum {{
    ^bb0(%h: {xs}, %m: {tensor(d, 2)}, %c: {tensor(d)}):
      %l = onnx.node "MatMul"(%h, %m) : ({xs}, {tensor(d, 2)}) -> {two}
      %a = onnx.node "Softmax"(%l) {{axis = -1 : i64}} : ({two}) -> {two}
      %a12:2 = onnx.node "Split"(%a) {{axis = -1 : i64, num_outputs = 2 : i64}} : ({two}) -> ({one}, {one})
      %0 = onnx.node "Mul"(%a12#0, %h) : ({one}, {xs}) -> {xs}
      %1 = onnx.node "Mul"(%a12#1, %c) : ({one}, {tensor(d)}) -> {xs}
      %o = onnx.node "Add"(%0, %1) : ({xs}, {xs}) -> {xs}
      uoe.yield %o : {xs}
    }} : shared {xs}, {tensor(d, 2)}, {tensor(d)} routing !uoe.routing<{m}> -> {xs}
    %1 = onnx.node "Add"(%f, %copy) : ({xs}, {xs}) -> {xs}
    %y = onnx.node "Add"(%1, %constant) : ({xs}, {xs}) -> {xs}
"""

    def chosen(x, w):
        return np.sum(np.argsort(-(x @ w["w"]), -1)[:, :k] < n)

    return mixture(d, n, size, "gelu", False, text, d * m + 2 * d, chosen, weights, served(*range(n)), m, tail, "f")


def merged(d=1024, tasks=4, low=64):
    """WEMoE on one square matrix: weights merged for each sample. More multiply-adds than the base alone, by nature."""
    weights = Weights()
    weights.add("a", d, low)
    weights["c"] = np.zeros(low, np.float32)
    weights.add("w", low, tasks)
    weights.add("base", d, d)
    weights.add("tau", tasks, d, d, scale=0.01)
    xs, matrices = tensor("?", "?", d), tensor("?", d, d)
    body = f"""    %s = uoe.score mlp %x weights(%a, %c, %w) {{activation = #uoe<activation relu>, over = #uoe<over sample_mean>}} : {xs} weights {tensor(d, low)}, {tensor(low)}, {tensor(low, tasks)} -> {tensor('?', tasks)}
    %r = uoe.select %s all {{{GATE}}} : {tensor('?', tasks)} -> <{tasks} per sample>
    %delta = uoe.experts() sliced(%tau) axes [0] sizes [{tasks} x 1] routing(%r) combine merge {{
    ^bb0(%t: {tensor(1, d, d)}):
      %axes = onnx.node "Constant"() {{value = dense<0> : tensor<1xi64>}} : () -> tensor<1xi64>
      %o = onnx.node "Squeeze"(%t, %axes) : ({tensor(1, d, d)}, tensor<1xi64>) -> {tensor(d, d)}
      uoe.yield %o : {tensor(d, d)}
    }} : sliced {tensor(tasks, d, d)} routing !uoe.routing<{tasks} per sample> -> {matrices}
    %theta = onnx.node "Add"(%base, %delta) : ({tensor(d, d)}, {matrices}) -> {matrices}
    %y = onnx.node "MatMul"(%x, %theta) : ({xs}, {matrices}) -> {xs}
"""
    dense = f'    %y = onnx.node "MatMul"(%x, %base) : ({xs}, {tensor(d, d)}) -> {xs}\n'
    return Layer(d, weights, body, dense,
                 lambda x: (len(x) * (d * low + low * tasks + d * d) + tasks * d * d, len(x) * d * d))


def switch_head(d=1024, heads=4, n=10, size=128, k=2):
    """SwitchHead's projections, MoEUT 244M's shape, with nothing between them: per head, value experts [d, size] and output experts [size, d]."""
    weights = Weights()
    text, total = "", heads * n * size
    xs, vs, ss = tensor("?", "?", d), tensor("?", "?", size), tensor("?", "?", n)

    def expert(result, x, matrix, routing, axis, given, made):
        part = (d, size) if axis else (size, d)
        whole = (d, n * size) if axis else (n * size, d)
        return (f"    %{result} = uoe.experts(%{x}) sliced(%{matrix}) axes [{axis}] sizes [{n} x {size}] routing(%{routing}) combine sum {{\n"
                f"    ^bb0(%h: {given}, %m: {tensor(*part)}):\n"
                f'      %o = onnx.node "MatMul"(%h, %m) : ({given}, {tensor(*part)}) -> {made}\n'
                f"      uoe.yield %o : {made}\n    }} : shared {given} sliced {tensor(*whole)} routing !uoe.routing<{n}> -> {made}\n")

    # Dense, the heads' matrices side by side.
    values, outputs = weights.add("u", d, total), weights.add("v", total, d, scale=(heads * k * size) ** -0.5)
    for h in range(heads):
        part = slice(h * n * size, (h + 1) * n * size)
        weights[f"wv{h}"], weights[f"wo{h}"] = values[:, part].copy(), outputs[part].copy()
        for kind in "vo":
            weights.add(f"s{kind}{h}", d, n)
            text += score(f"c{kind}{h}", "linear", [(f"s{kind}{h}", (d, n))], d, n)
            text += (f"    %r{kind}{h} = uoe.select %c{kind}{h} token_topk {{k = {k} : i64, {SIGMOID}, {GATE}}} : {ss} -> <{n}>\n")
        text += expert(f"z{h}", "x", f"wv{h}", f"rv{h}", 1, xs, vs)
        text += expert(f"o{h}", f"z{h}", f"wo{h}", f"ro{h}", 0, vs, xs)
    for h in range(1, heads):
        name, left = "y" if h == heads - 1 else f"a{h}", "o0" if h == 1 else f"a{h - 1}"
        text += f'    %{name} = onnx.node "Add"(%{left}, %o{h}) : ({xs}, {xs}) -> {xs}\n'
    work = 2 * heads * (d * n + k * d * size)
    return Layer(d, weights, text, "    " + ffn("y", "identity", d, total, False), lambda x: (len(x) * work, len(x) * 2 * d * total))


def smha(d=1024, heads=8, k=4, share=0.5):
    """Attention heads that pick half of the tokens each (Union of Experts' SMHA), k = heads / 2, causal; dense: all heads on all tokens."""
    size = d // heads
    weights = Weights()
    weights.add("w", d, heads)
    for name in "qkvo":
        weights.add(name, d, d)
    xs, whole = tensor("?", "?", d), tensor(d, d)
    square = "onnx.node \"MatMul\""

    def attention(x, names, width, count, bias, bias_type, indent):
        """Text of %y = attention of `count` heads, [d, width] matrices `names`; for one head the body of an expert."""
        rows, four = tensor("?", "?", width), tensor("?", count, "?", width // count)
        part, back = tensor(d, width), tensor(width, d)
        text = f"{indent}%shape = onnx.node \"Constant\"() {{value = dense<[0, 0, {count}, {width // count}]> : tensor<4xi64>}} : () -> tensor<4xi64>\n"
        split, swap = tensor("?", "?", count, width // count), "{perm = array<i64: 0, 2, 1, 3>}"
        for name, matrix in zip("qkv", names):
            text += f"{indent}%{name}2 = {square}({x}, {matrix}) : ({xs}, {part}) -> {rows}\n"
            text += f"{indent}%{name}3 = onnx.node \"Reshape\"(%{name}2, %shape) : ({rows}, tensor<4xi64>) -> {split}\n"
            text += f"{indent}%{name}4 = onnx.node \"Transpose\"(%{name}3) {swap} : ({split}) -> {four}\n"
        scale = (width // count) ** -0.5
        text += (f"{indent}%a4 = uoe.attention %q4, %k4, %v4{bias} attributes {{scale = {scale:e} : f32, boolean_zero, causal}} : "
                 f"({four}, {four}, {four}){bias_type} -> {four}\n")
        text += f"{indent}%a3 = onnx.node \"Transpose\"(%a4) {swap} : ({four}) -> {split}\n"
        text += f"{indent}%flat = onnx.node \"Constant\"() {{value = dense<[0, 0, {width}]> : tensor<3xi64>}} : () -> tensor<3xi64>\n"
        text += f"{indent}%a2 = onnx.node \"Reshape\"(%a3, %flat) : ({split}, tensor<3xi64>) -> {rows}\n"
        return text + f"{indent}%y = {square}(%a2, {names[3]}) : ({rows}, {back}) -> {xs}\n"

    flags, mask = "tensor<?x?xi1>", "tensor<?x1x1x?xi1>"
    body = attention("%h", ["%qi", "%ki", "%vi", "%oi"], size, 1, " bias(%allowed)", f" bias {mask}", "      ")
    part, back = tensor(d, size), tensor(size, d)
    text = score("s", "linear", [("w", (d, heads))], d, heads)
    text += select("token_topk", f"k = {k} : i64, {SOFTMAX}, {RENORMALISED}, capacity_share = {share} : f32", heads)
    text += (f"    %y = uoe.experts(%x) sliced(%q, %k, %v, %o) axes [1, 1, 1, 0] sizes [{heads} x {size}] routing(%r) gathered combine sum {{\n"
             f"    ^bb0(%h: {xs}, %qi: {part}, %ki: {part}, %vi: {part}, %oi: {back}, %valid: {flags}):\n"
             f"      %axes = onnx.node \"Constant\"() {{value = dense<[1, 2]> : tensor<2xi64>}} : () -> tensor<2xi64>\n"
             f"      %allowed = onnx.node \"Unsqueeze\"(%valid, %axes) : ({flags}, tensor<2xi64>) -> {mask}\n{body}"
             f"      uoe.yield %y : {xs}\n    }} : shared {xs} sliced {whole}, {whole}, {whole}, {whole} routing !uoe.routing<{heads}> -> {xs}\n")
    dense = attention("%x", ["%q", "%k", "%v", "%o"], d, heads, "", "", "    ")

    def work(x):
        gates = softmax(x @ weights["w"])
        chosen = gates >= np.sort(gates, -1)[:, -k][:, None]
        takers = np.minimum(chosen.sum(0), max(1, int(share * len(x))))

        def pairs(n):
            return n * (n + 1) / 2

        return (len(x) * d * heads + 4 * d * size * takers.sum() + 2 * size * pairs(takers).sum(),
                4 * len(x) * d * d + 2 * d * pairs(len(x)))

    return Layer(d, weights, text, dense, work)


FORMS = {
    "mixtral": ("top-2 of 8, softmax renormalised, SwiGLU 8 x 512", mixtral),
    "sigma-moe": ("sigmoid, top-12 of 155 x 128, d = 412, ReLU", sigma_moe),
    "dsmoe": ("sigmoid, threshold 0.5, n/active, SwiGLU 8 x 512", dsmoe),
    "top-p": ("softmax, p = 0.4, 16 x 256", top_p),
    "top-any": ("cosine, thresholds, argmax where empty, 16 x 256", top_any),
    "x-moe": ("cosine in 16 dimensions, top-1 of 32 x 128", x_moe),
    "deepseek": ("sigmoid with bias, 4 of 8 groups, top-8 of 64, SwiGLU 64 x 64", deepseek),
    "uoe": ("top-2 of 8, capacity L/2, places left blank, 8 x 512", union),
    "uoe-padded": ("the same, places filled with tokens", lambda: union(padding=True)),
    "neurons": ("4096 single neurons by a router of rank 64, a tenth of them on", neurons),
    "neurons-25": ("the same, a quarter of them on", lambda: neurons(share=0.25)),
    "neurons-50": ("the same, half of them on", lambda: neurons(share=0.5)),
    "neurons-75": ("the same, three quarters of them on", lambda: neurons(share=0.75)),
    "slots": ("MoE++: top-2 of 8 x 512, copy, constant and zero", slots),
    "switch-head": ("SwitchHead: 4 heads, top-2 of 10 value matrices 1024 x 128 and of 10 output matrices", switch_head),
    "smha": ("8 heads of 128, top-4, capacity L/2, places left blank, causal attention on a head's own tokens", smha),
    "merged": ("WEMoE: one 1024 x 1024 matrix, 4 task matrices merged for each sample", merged),
}
