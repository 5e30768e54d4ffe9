import numpy as np
from equations import normal, sigmoid, softmax, topk

SHAPES = ((1, 1), (2, 7), (3, 33), (1, 0))
LIMIT, OFFSET = 0.75, 1.0


def inputs(rng, shape):
    i = dict(x=normal(rng, *shape, 8), w=normal(rng, 8, 4), u=0.5 * normal(rng, 4, 8, 6), b=normal(rng, 4, 6), g=0.5 * normal(rng, 4, 8, 6), a=normal(rng, 4, 6),
             d=0.5 * normal(rng, 4, 6, 8), c=normal(rng, 4, 8))
    return {n: a.astype(np.float32).astype(np.float64) for n, a in i.items()}


def expert(i, e):
    gate = np.minimum(i["x"] @ i["g"][e] + i["a"][e], LIMIT)
    up = np.clip(i["x"] @ i["u"][e] + i["b"][e], -LIMIT, LIMIT)
    return (gate * sigmoid(1.702 * gate) * (up + OFFSET)) @ i["d"][e] + i["c"][e]


def mixture(rng):
    for shape in SHAPES:
        i = inputs(rng, shape)
        logits = i["x"] @ i["w"]
        weights = softmax(np.where(topk(logits, 2), logits, -np.inf))
        yield i, [sum(weights[..., e:e + 1] * expert(i, e) for e in range(4))]


def mixture_as_experts(rng):
    for i, y in mixture(rng):
        beside = {n: i[n].transpose(1, 0, 2).reshape(8, 24) for n in "ug"}
        yield dict(i, **beside, d=i["d"].reshape(24, 8), a=i["a"].ravel(), b=i["b"].ravel()), y


def test_far_limits_do_not_matter(run):
    """Where nothing reaches the limit and the offset is taken out of the bias, it is a plain gated block: the equations at other constants."""
    rng = np.random.default_rng(5)
    i = inputs(rng, (2, 5))
    small = dict(i, g=i["g"] * 1e-2, a=i["a"] * 1e-2, u=i["u"] * 1e-2, b=i["b"] * 1e-2)
    logits = small["x"] @ small["w"]
    weights = softmax(np.where(topk(logits, 2), logits, -np.inf))
    y = 0
    for e in range(4):
        gate, up = small["x"] @ small["g"][e] + small["a"][e], small["x"] @ small["u"][e] + small["b"][e] + OFFSET
        y = y + weights[..., e:e + 1] * ((gate * sigmoid(1.702 * gate) * up) @ small["d"][e] + small["c"][e])
    for mode in ("plain", "reference", "constant", "onnx"):
        np.testing.assert_allclose(run("mixture", {n: a.astype(np.float32) for n, a in small.items()}, mode)[0], y, rtol=2e-4, atol=2e-5)
