import numpy as np
from equations import normal, relu


def inputs_of(rng, shape):
    return dict(x=normal(rng, *shape, 8), v=normal(rng, 8, 6), c=normal(rng, 6), w=normal(rng, 6, 3), base=normal(rng, 8, 5), tau=normal(rng, 3, 8, 5))


def wemoe(rng):
    for shape in ((1, 1), (3, 7)):
        i = inputs_of(rng, shape)
        r = (relu(i["x"] @ i["v"] + i["c"]) @ i["w"]).mean(1)
        theta = i["base"] + np.einsum("bi,ide->bde", r, i["tau"])
        yield i, [i["x"] @ theta]


def test_weights_of_zero_are_the_base(run):
    i = {n: a.astype(np.float32) for n, a in inputs_of(np.random.default_rng(6), (2, 4)).items()}
    i["w"][:] = 0
    for mode in ("plain", "constant"):
        np.testing.assert_allclose(run("wemoe", i, mode)[0], i["x"] @ i["base"], rtol=1e-4, atol=1e-5)
