import numpy as np
from equations import normal, silu

# Shares of chosen pairs from none to all: what is added to the scores.
LOADS = (-100.0, -3.0, 0.0, 3.0, 100.0)


def inputs(rng, shape, experts, load):
    i = dict(x=normal(rng, *shape, 16), w=0.5 * normal(rng, 16, experts), load=np.full(experts, load), u=0.3 * normal(rng, 16, 64), g=0.3 * normal(rng, 16, 64),
             d=0.3 * normal(rng, 64, 16))
    return {n: a.astype(np.float32).astype(np.float64) for n, a in i.items()}


def layer(i):
    x = i["x"]
    chosen = np.repeat(x @ i["w"] + i["load"] > 0, 64 // len(i["load"]), axis=-1)
    return np.where(chosen, silu(x @ i["g"]) * (x @ i["u"]), 0) @ i["d"]


def cases(rng, experts):
    for load in LOADS:
        for shape in ((1, 1), (1, 7), (2, 40), (1, 0)):
            i = inputs(rng, shape, experts, load)
            yield i, [layer(i)]


def groups(rng):
    return cases(rng, 4)


def neurons(rng):
    return cases(rng, 64)


def test_a_row_does_not_depend_on_the_load(run):
    """Bit for bit where experts are groups; single neurons change form with the load, and are equal up to rounding."""
    rng = np.random.default_rng(11)
    for case, experts in (("groups", 4), ("neurons", 64)):
        for load in LOADS[1:]:
            i = {n: a.astype(np.float32) for n, a in inputs(rng, (1, 48), experts, load).items()}
            many = run(case, i, "constant")[0]
            for t in (0, 13, 47):
                alone = run(case, dict(i, x=i["x"][:, t:t + 1]), "constant")[0]
                if case == "groups":
                    np.testing.assert_array_equal(alone, many[:, t:t + 1])
                else:
                    np.testing.assert_allclose(alone, many[:, t:t + 1], rtol=1e-5, atol=1e-5)
