from equations import normal, relu, sigmoid, topk

import numpy as np


def shapes(rng):
    for shape in ((1, 1), (2, 5), (1, 0)):
        yield normal(rng, *shape, 8)


def weights(rng):
    return dict(ws=normal(rng, 8, 4), u=normal(rng, 8, 12), d=normal(rng, 12, 8))


def sigma_moe(rng):
    for x in shapes(rng):
        w, scale = weights(rng), normal(rng, 8)
        centred = x - x.mean(-1, keepdims=True)
        ln = centred / np.sqrt((centred ** 2).mean(-1, keepdims=True) + 1e-5) * scale
        s = sigmoid(ln @ w["ws"])
        s = np.where(topk(s, 2), s, 0)
        y = sum(s[..., e:e + 1] * (relu(x @ w["u"][:, 3 * e:3 * e + 3]) @ w["d"][3 * e:3 * e + 3]) for e in range(4))
        yield dict(x=x, scale=scale, **w), [y]


def all_experts(rng):
    for x in shapes(rng):
        w = weights(rng)
        yield dict(x=x, **w), [relu(x @ w["u"]) @ w["d"]]
