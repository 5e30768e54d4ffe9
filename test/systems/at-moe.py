import numpy as np
from equations import normal, softmax

GROUPS = ((0, 1, 2), (3,), (4, 5))


def weights_of(group_logits, logits, tau_g=1.0, tau_d=1.0, groups=GROUPS):
    w = np.zeros(logits.shape)
    outer = softmax(group_logits / tau_g)
    for g, members in enumerate(groups):
        # Short groups are padded with nothing: each softmax is over its own members.
        w[..., list(members)] = outer[..., g:g + 1] * softmax(logits[..., list(members)] / tau_d)
    return w


def at_moe(rng):
    for shape in ((1, 1), (2, 5), (1, 0)):
        i = dict(x=normal(rng, *shape, 8), w0=normal(rng, 8, 8), wg=normal(rng, 8, 3), wd=normal(rng, 8, 6), a=normal(rng, 8, 12),
                 b=normal(rng, 12, 8), ap=normal(rng, 8, 2), bp=normal(rng, 2, 8))
        x, lam = i["x"], 0.75
        w = weights_of(x @ i["wg"], x @ i["wd"], 2.0, 0.5)
        # Fused: one matrix a token, W_0 + λ Σ w A B + (1 − λ) A_p B_p.
        delta = np.stack([i["a"][:, 2 * j:2 * j + 2] @ i["b"][2 * j:2 * j + 2] for j in range(6)])
        whole = i["w0"] + lam * np.einsum("blj,jde->blde", w, delta) + (1 - lam) * i["ap"] @ i["bp"]
        yield i, [np.einsum("bld,blde->ble", x, whole)]


def no_task(rng):
    for i, _ in at_moe(rng):
        yield i, [i["x"] @ (i["w0"] + i["ap"] @ i["bp"])]


def weights(rng):
    for tokens in (1, 7):
        xs, xg = normal(rng, tokens, 6), normal(rng, tokens, 3)
        w = weights_of(xg, xs)
        np.testing.assert_allclose(w.sum(-1), 1)
        yield dict(xs=xs, xg=xg, xone=normal(rng, tokens, 1)), [w, softmax(xs)]
