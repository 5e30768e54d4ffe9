import numpy as np
from equations import normal, sigmoid, silu


def choose(logits, bias):
    """The weights of the chosen experts of one token, by expert."""
    gate = sigmoid(logits)
    biased = gate + bias
    groups = [np.sort(biased[3 * g:3 * g + 3])[-2:].sum() for g in range(3)]
    best = np.argsort(-np.array(groups), kind="stable")[:2]
    allowed = np.where(np.isin(np.arange(9) // 3, best), biased, -np.inf)
    chosen = np.argsort(-allowed, kind="stable")[:3]
    return {e: 2.5 * gate[e] / gate[chosen].sum() for e in chosen}


def group_limited(rng):
    for shape in ((1, 1), (2, 9), (1, 0)):
        i = dict(x=normal(rng, *shape, 8), w=0.4 * normal(rng, 8, 9), bias=0.3 * normal(rng, 9), u=normal(rng, 8, 27), d=normal(rng, 27, 8))
        i = {n: a.astype(np.float32).astype(np.float64) for n, a in i.items()}
        y = np.zeros(i["x"].shape)
        for at in np.ndindex(*shape):
            x = i["x"][at]
            for e, weight in choose(x @ i["w"], i["bias"]).items():
                part = slice(3 * e, 3 * e + 3)
                y[at] += weight * (silu(x @ i["u"][:, part]) @ i["d"][part])
        yield i, [y]


def mixture(rng):
    for shape in ((1, 1), (2, 9), (1, 0)):
        i = dict(x=normal(rng, *shape, 8), w=0.4 * normal(rng, 8, 9), bias=0.3 * normal(rng, 9), u=normal(rng, 9, 8, 3), g=normal(rng, 9, 8, 3), d=normal(rng, 9, 3, 8),
                 us=normal(rng, 8, 6), gs=normal(rng, 8, 6), ds=normal(rng, 6, 8))
        i = {n: a.astype(np.float32).astype(np.float64) for n, a in i.items()}
        y = (silu(i["x"] @ i["gs"]) * (i["x"] @ i["us"])) @ i["ds"]
        for at in np.ndindex(*shape):
            x = i["x"][at]
            for e, weight in choose(x @ i["w"], i["bias"]).items():
                y[at] += weight * ((silu(x @ i["g"][e]) * (x @ i["u"][e])) @ i["d"][e])
        yield i, [y]
