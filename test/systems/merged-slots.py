import numpy as np
from equations import normal, silu, softmax, topk


def reference(x, w, u, d, k, slots, normalise):
    g = softmax(x @ w)
    g = np.where(topk(g, k), g, 0)
    if normalise:
        g = g / g.sum(-1, keepdims=True)
    y = np.zeros(x.shape)
    for slot, e in enumerate(slots):
        if e >= 0:
            y += g[..., slot:slot + 1] * (silu(x @ u[:, 3 * e:3 * e + 3]) @ d[3 * e:3 * e + 3])
    return y


def cases(rng, **options):
    for shape in ((1, 1), (2, 9), (1, 0)):
        i = dict(x=normal(rng, *shape, 8), w=normal(rng, 8, 6), u=normal(rng, 8, 12), d=normal(rng, 12, 8))
        yield i, [reference(**i, **options)]


def aliases(rng):
    return cases(rng, k=3, slots=(0, 1, 1, 0, 2, 3), normalise=True)


def pruned(rng):
    return cases(rng, k=2, slots=(0, -1, 1, 2, -1, 3), normalise=False)
