import numpy as np
from equations import normal, relu, softmax, topk

N = 4


def capacity(chosen, share, takers):
    length = chosen.shape[1]
    c = length
    if share:
        c = min(c, max(1, int(np.floor(np.float32(share) * np.float32(length)))))
    if takers:
        c = min(c, int(chosen.sum(1).max(initial=0)))
    return c


def picks(x, wg, bg, k, axis, share=None, takers=False, experts=N):
    """For each sample and expert (tokens in ascending order, which of them really chose it)."""
    s = softmax(x @ wg + bg)
    chosen = topk(s, k)
    g = s * chosen
    total = g.sum(axis, keepdims=True)
    g = np.divide(g, total, out=np.zeros_like(g), where=total > 0)
    c = capacity(chosen, share, takers)
    result = {}
    for b in range(x.shape[0]):
        for e in range(experts):
            # Zero-score tokens come after all takers, the earliest first.
            key = np.where(chosen[b, :, e], g[b, :, e], -1)
            best = np.argsort(-key, kind="stable")[:c]
            result[b, e] = np.sort(best), chosen[b, :, e]
    return result


def ffn_expert(i, e):
    part = slice(3 * e, 3 * e + 3)
    return lambda x: relu(x @ i["u"][:, part] + i["b1"][part]) @ i["d"][part] + i["b2"][e]


def uome(rng, k=2, axis=-1, padding="token", **options):
    for shape in ((1, 1), (3, 7), (2, 10), (1, 0)):
        i = dict(x=normal(rng, *shape, 8), wg=normal(rng, 8, N), bg=normal(rng, N), u=normal(rng, 8, 12), b1=normal(rng, 12), d=normal(rng, 12, 8),
                 b2=normal(rng, N, 8))
        y = np.zeros(i["x"].shape)
        for (b, e), (tokens, chose) in picks(i["x"], i["wg"], i["bg"], k, axis, **options).items():
            if padding == "masked":
                tokens = tokens[chose[tokens]]
            np.add.at(y[b], tokens, ffn_expert(i, e)(i["x"][b, tokens]))
        yield i, [y]


def decomposition(rng):
    for shape in ((1, 1), (2, 7), (1, 0)):
        i = dict(x=normal(rng, *shape, 8), u=normal(rng, 8, 12), b1=normal(rng, 12), d=normal(rng, 12, 8), b2=normal(rng, 8))
        yield i, [relu(i["x"] @ i["u"] + i["b1"]) @ i["d"] + i["b2"]]


def uome_lm(rng):
    return uome(rng, axis=0, share=0.5)


def uome_blank(rng):
    return uome(rng, axis=0, share=0.5, padding="masked")


def uome_lra(rng):
    return uome(rng, share=0.5)


def uome_takers(rng):
    return uome(rng, takers=True)


def uome_least(rng):
    return uome(rng, takers=True, share=0.6)


def uome_all(rng):
    """k = n and c = L: the dense block with bias Σ b2."""
    for i, _ in uome(rng, k=4):
        yield i, [relu(i["x"] @ i["u"] + i["b1"]) @ i["d"] + i["b2"].sum(0)]


def attention(h, i, e, causal, keys):
    part = slice(4 * e, 4 * e + 4)
    q, k, v = h @ i["wq"][:, part], h @ i["wk"][:, part], h @ i["wv"][:, part]
    scores = 0.5 * q @ k.T
    allowed = np.broadcast_to(keys, scores.shape)
    if causal:
        allowed = allowed & np.tril(np.ones(scores.shape, bool))
    return softmax(np.where(allowed, scores, -np.inf)) @ v @ i["wo"][part]


def smha(rng, k, share, padding, causal):
    for shape in ((1, 2), (2, 9)):
        i = dict(x=normal(rng, *shape, 8), wg=normal(rng, 8, N), bg=normal(rng, N), wq=normal(rng, 8, 16), wk=normal(rng, 8, 16), wv=normal(rng, 8, 16),
                 wo=normal(rng, 16, 8))
        y = np.zeros(i["x"].shape)
        for (b, e), (tokens, chose) in picks(i["x"], i["wg"], i["bg"], k, -1, share=share).items():
            if padding == "masked":
                tokens = tokens[chose[tokens]]
            if len(tokens):
                np.add.at(y[b], tokens, attention(i["x"][b, tokens], i, e, causal, np.ones(len(tokens), bool)))
        yield i, [y]


def smha_token(rng):
    return smha(rng, 2, 0.5, "token", True)


def smha_blank(rng):
    return smha(rng, 2, 0.5, "masked", True)


def smha_all(rng):
    """All heads take all tokens: multi-head attention."""
    return smha(rng, 4, 1.0, "masked", False)


def grouped(rng, padding="token", tables=0, compacted=False, mask=None, causal=True):
    """Experts of two query heads and their key head, with `tables` of that batch (0: none) or a mask of "keys" or "pairs"."""
    for batch, length in ((1, 1), (1, 2), (3, 9), (2, 14)):
        i = dict(x=normal(rng, batch, length, 8), wg=normal(rng, 8, 2), wq=normal(rng, 8, 2, 8), wk=normal(rng, 8, 2, 4), wv=normal(rng, 8, 2, 4),
                 wo=normal(rng, 2, 8, 8))
        if tables:
            angles = rng.uniform(0, 6, (batch if tables > 1 else 1, length, 2))
            i |= dict(xcos=np.cos(angles), xsin=np.sin(angles))
        if mask == "keys":
            i["xmask"] = rng.random((batch, length)) < 0.7
        if mask == "pairs":
            i["xbias"] = 3 * normal(rng, 1 if compacted else batch, length, length)
        y = np.zeros(i["x"].shape)
        for (b, e), (tokens, chose) in picks(i["x"], i["wg"], 0, 1, -1, share=0.5, experts=2).items():
            if padding == "masked":
                tokens = tokens[chose[tokens]]
            c = len(tokens)
            if not c:
                continue
            rows = np.arange(c) if compacted else tokens
            h = i["x"][b, tokens]
            q, k, v = (h @ i[name][:, e] for name in ("wq", "wk", "wv"))
            bias = np.where(np.tril(np.ones((c, c), bool)), 0, -np.inf) if causal else np.zeros((c, c))
            if mask == "keys":
                bias = np.where(i["xmask"][b, tokens], bias, -np.inf)
            if mask == "pairs":
                bias = bias + i["xbias"][b % len(i["xbias"])][np.ix_(rows, rows)]
            heads = [q[:, :4], q[:, 4:], k]
            if tables:
                cos, sin = (i[name][b % len(i[name])][rows] for name in ("xcos", "xsin"))
                heads = [np.concatenate([z[:, :2] * cos - z[:, 2:] * sin, z[:, 2:] * cos + z[:, :2] * sin], -1) for z in heads]
            mixed = []
            for head in heads[:2]:
                scores = 0.5 * head @ heads[2].T + bias
                # A row whose keys are all hidden is zero.
                seen = np.isfinite(scores).any(-1, keepdims=True)
                mixed.append(np.where(seen, softmax(np.where(seen, scores, 0)), 0) @ v)
            np.add.at(y[b], tokens, np.concatenate(mixed, -1) @ i["wo"][e])
        yield i, [y]


def smha_rotary(rng):
    return grouped(rng, "masked", tables=2)


def smha_rotary_compacted(rng):
    return grouped(rng, tables=1, compacted=True)


def smha_keys(rng):
    return grouped(rng, "masked", mask="keys", causal=False)


def smha_pairs(rng):
    return grouped(rng, "masked", mask="pairs", causal=False)


def smha_pairs_compacted(rng):
    return grouped(rng, mask="pairs", compacted=True)


def by_mask(i, mask):
    return sum(mask[..., e:e + 1] * (relu(i["x"] @ i["u"][:, 3 * e:3 * e + 3]) @ i["d"][3 * e:3 * e + 3]) for e in range(N))


def sampled(rng, batch):
    return dict(x=normal(rng, batch, 5, 8), wg=normal(rng, 40, N), u=normal(rng, 8, 12), d=normal(rng, 12, 8))


def expert_selection(rng):
    for batch in (1, 3):
        i = sampled(rng, batch)
        yield i, [by_mask(i, topk(i["x"].reshape(batch, -1) @ i["wg"], 2)[:, None])]


def hierarchy(rng):
    for batch in (1, 3):
        i = dict(sampled(rng, batch), wt=normal(rng, 8, N))
        sample = topk(i["x"].reshape(batch, -1) @ i["wg"], 2)
        g = softmax(i["x"] @ i["wt"])
        tokens = topk(np.swapaxes(g, 1, 2), 2).swapaxes(1, 2)
        yield i, [by_mask(i, tokens & sample[:, None])]


def patches(rng):
    for shape in ((1, 1), (2, 6), (2, 11), (1, 0)):
        i = dict(x=normal(rng, *shape, 8), wg=normal(rng, 8, N), u=normal(rng, 8, 12), d=normal(rng, 12, 8))
        s, length = i["x"] @ i["wg"], shape[1]
        count = -(-length // 3)
        means = np.stack([s[:, 3 * p:3 * p + 3].mean(1) for p in range(count)], 1) if count else np.zeros((shape[0], 0, N))
        g = softmax(means)
        c = max(1, count // 2)
        chosen = topk(np.swapaxes(g, 1, 2), c).swapaxes(1, 2)
        yield i, [by_mask(i, np.repeat(chosen, 3, axis=1)[:, :length])]


def test_normalising_over_the_batch_depends_on_the_batch(run):
    """What a sample gets depends on the others with the released LM code's axis, and does not with the LRA code's."""
    i = next(iter([c for c in uome(np.random.default_rng(11), share=0.5)][2:3]))[0]
    i = {n: a.astype(np.float32) for n, a in i.items()}
    alone = dict(i, x=i["x"][:1])
    np.testing.assert_allclose(run("uome_lra", alone)[0][0], run("uome_lra", i)[0][0], rtol=1e-4, atol=1e-4)
    assert np.abs(run("uome_lm", alone)[0][0] - run("uome_lm", i)[0][0]).max() > 1e-2


def test_gather_and_scatter_of_identity_count(run):
    """With W1 = 0 and b2 = 1 every visit adds 1: the number of experts that computed a token."""
    i = [c for c in uome(np.random.default_rng(12), share=0.5, padding="masked", axis=0)][1][0]
    i = {n: a.astype(np.float32) for n, a in i.items()}
    i["d"][:], i["b2"][:] = 0, 1
    count = sum(np.isin(np.arange(7), t[c[t]]) for (b, e), (t, c) in picks(i["x"].astype(float), i["wg"], i["bg"], 2, 0, share=0.5).items() if b == 0)
    np.testing.assert_allclose(run("uome_blank", i)[0][0], np.repeat(count[:, None], 8, 1), atol=1e-5)
