import numpy as np
from equations import normal, relu, softmax

CLUSTER = np.array([0, 1, 1, 0, 2, 2])


def inputs(rng, shape):
    i = dict(x=normal(rng, *shape, 8), w=0.5 * normal(rng, 8, 6), u=normal(rng, 8, 18), d=normal(rng, 18, 8))
    return {n: a.astype(np.float32).astype(np.float64) for n, a in i.items()}


def layer(i, mask):
    y = np.zeros(i["x"].shape)
    for at in np.ndindex(*y.shape[:2]):
        x = i["x"][at]
        p = softmax(x @ i["w"])
        cluster = max((c for c in range(3) if mask[c]), key=lambda c: p[CLUSTER == c].max())
        e = max(np.flatnonzero(CLUSTER == cluster), key=lambda e: p[e])
        part = slice(3 * e, 3 * e + 3)
        y[at] = p[e] * (relu(x @ i["u"][:, part]) @ i["d"][part])
    return y


def clusters(rng):
    for shape in ((1, 1), (2, 7), (3, 20), (1, 0)):
        i = inputs(rng, shape)
        yield i, [layer(i, (1, 1, 1))]


def masked_clusters(rng):
    for mask in ((1, 1, 1), (0, 1, 1), (0, 0, 1)):
        for shape in ((2, 7), (1, 0)):
            i = inputs(rng, shape)
            yield dict(i, mask=np.array(mask, np.float64)), [layer(i, mask)]


def test_masked_clusters_do_not_matter(run):
    """What a dropped cluster's experts compute changes nothing."""
    i = {n: a.astype(np.float32) for n, a in inputs(np.random.default_rng(5), (2, 9)).items()}
    i["mask"] = np.array([1, 0, 1], np.float32)
    for mode in ("plain", "reference", "constant"):
        before = run("masked_clusters", i, mode)[0]
        other = dict(i, u=i["u"].copy())
        other["u"][:, 3:9] += 1
        np.testing.assert_array_equal(run("masked_clusters", other, mode)[0], before)
