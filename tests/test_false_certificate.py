"""Float noise gives false certificates; the default noise does not.

Each base classifier here looks at the low bits of its input. Under float32 noise these say where
the input is, and `SmoothedClassifier.certify` returns a radius within which the smoothed
classifier changes its answer. A certificate is false by chance with probability alpha = 0.001 at
most. These are false always: all votes agree at the certified point, at any seed.
"""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from rslib.smoothing import SmoothedClassifier

SIGMA = "0.5"
ALPHA = 0.001
SEEDS = pytest.mark.parametrize("seed", [0, 1, 2])
ONES, ORIGIN = torch.ones(3), torch.zeros(3)
WHITE = torch.ones(1, 8, 8)


def residue(x):
    """0 where a value is a multiple of 2^-24; exact in float32."""
    scaled = x * 2.0**24
    return (scaled - scaled.round()).abs()


def low_bits(x):
    """Class 0: every value is a multiple of 2^-24."""
    fine = residue(x).flatten(1).amax(1) > 0
    return torch.stack([~fine, fine], dim=1).float()


class Page(torch.nn.Module):
    """A network for bright (0) and dark (1) pages, which may have a layer that sees low bits."""

    def __init__(self, hidden):
        super().__init__()
        self.features = torch.nn.Conv2d(1, 4, 3, padding=1, padding_mode="replicate")
        self.head = torch.nn.Linear(4, 2)
        self.register_buffer("detail", torch.tensor([0.0, 1000.0 * hidden]))
        with torch.no_grad():
            self.features.weight.fill_(1 / 9)
            self.features.bias.zero_()
            self.head.weight.copy_(torch.tensor([[1.0], [-1.0]]).expand(2, 4))
            self.head.bias.copy_(torch.tensor([-2.0, 2.0]))

    def forward(self, x):
        scores = self.head(self.features(x).relu().mean(dim=(2, 3)))
        return scores + residue(x).amax(dim=(1, 2, 3))[:, None] * self.detail


def both(g, near, far, n):
    """Certificates at two points, from different noise, and the distance of the points."""
    certificates = (g.certify(x, n=n, alpha=ALPHA, index=i) for i, x in enumerate((near, far)))
    return *certificates, float((near - far).norm())


def contradict(near, far, distance):
    """Whether two certificates cannot both be true: the other point lies within a radius."""
    labels_differ = near.label != far.label and -1 not in (near.label, far.label)
    return labels_differ and distance < max(near.radius, far.radius)


@SEEDS
def test_float_noise_gives_a_false_certificate(seed):
    """Class 0 is certified at (1, 1, 1) beyond the origin, where class 1 has 85% of the vote.

    The votes at the origin decide with a margin of 200 standard errors.
    """
    g = SmoothedClassifier(low_bits, 2, SIGMA, noise="float", seed=seed)
    near, far, distance = both(g, ONES, ORIGIN, n=100_000)
    assert (near.label, near.counts) == (0, (100_000, 0))
    assert near.radius > distance == pytest.approx(math.sqrt(3))
    assert near.radius == pytest.approx(1.9057, abs=1e-4)
    assert far.label == 1
    assert g.predict(ORIGIN, alpha=ALPHA) == 1
    assert contradict(near, far, distance)


@SEEDS
@pytest.mark.parametrize("step", ["1/16", "1/255"])
def test_grid_noise_gives_none(seed, step):
    """On the way from (1, 1, 1) to the origin no two certificates contradict each other.

    Each of the 2 * 17 certificates here is false with probability 0.001 at most.
    """
    g = SmoothedClassifier(low_bits, 2, SIGMA, step, seed=seed)
    levels = np.arange(0, 256, 15) / 255 if step == "1/255" else np.arange(17) / 16
    points = [torch.full((3,), float(level)) for level in levels]
    found = [g.certify(x, n=5000, alpha=ALPHA, index=i) for i, x in enumerate(points)]
    assert all(c.label != -1 or abs(c.counts[0] / c.n - 0.5) < 0.05 for c in found)
    for c, x in zip(found, points, strict=True):
        for other, y in zip(found, points, strict=True):
            assert not contradict(c, other, float((x - y).norm()))
    if step == "1/16":  # the network sees multiples of 1/16 alone: class 0 everywhere
        assert all(c.counts == (5000, 0) for c in found)
    else:  # it sees more, and the label changes: but with true radii
        assert (found[0].label, found[-1].label) == (1, 0)


def test_grid_noise_gives_the_exact_shares():
    """Under steps of 1/255 the vote is what the law of K says, at both ends.

    A share beyond 5 standard errors: probability below 1e-6 each.
    """
    n, reach, ratio = 20_000, 1200, 0.5 * 255
    k = np.arange(-reach, reach + 1)
    law = norm.cdf((k + 0.5) / ratio) - norm.cdf((k - 0.5) / ratio)
    g = SmoothedClassifier(low_bits, 2, SIGMA, "1/255", seed=0)
    for index, (m, x) in enumerate([(255, ONES), (0, ORIGIN)]):
        seen = ((m + k) / 255).astype(np.float32)
        p = (law @ (seen * np.float32(2**24) % 1 == 0)) ** 3
        c = g.certify(x, n=n, index=index)
        assert abs(c.counts[0] / n - p) < 5 * math.sqrt(p * (1 - p) / n)
        true = p if c.label == 0 else 1 - p
        assert 0.5 < c.p_a_lower <= true


@SEEDS
def test_the_hidden_layer_is_certified_falsely_under_float_noise(seed):
    """A white page is certified as bright; a light grey one within the radius is called dark.

    Without the hidden layer both are bright: the layer is the reason.
    """
    grey = WHITE * 13 / 16
    g = SmoothedClassifier(Page(hidden=True), 2, SIGMA, noise="float", seed=seed)
    near, far, distance = both(g, WHITE, grey, n=10_000)
    assert (near.label, near.counts) == (0, (10_000, 0))
    assert near.radius > distance == pytest.approx(1.5)
    assert far.label == 1
    assert g.predict(grey, alpha=ALPHA) == 1
    assert contradict(near, far, distance)

    plain = SmoothedClassifier(Page(hidden=False), 2, SIGMA, noise="float", seed=seed)
    assert plain.predict(grey, alpha=ALPHA) == 0


@SEEDS
@pytest.mark.parametrize(("step", "grey", "label"), [("1/16", 13 / 16, 0), ("1/255", 207 / 255, 1)])
def test_the_hidden_layer_is_silenced_by_grid_noise(seed, step, grey, label):
    """The two pages get the same label under grid noise.

    Under steps of 1/16 the layer sees nothing; under 1/255 it sees residues around either page,
    since nearly all noisy pages have a pixel with one.
    """
    g = SmoothedClassifier(Page(hidden=True), 2, SIGMA, step, seed=seed)
    near, far, distance = both(g, WHITE, WHITE * grey, n=10_000)
    assert near.label == far.label == label
    assert not contradict(near, far, distance)
    assert min(near.counts[label], far.counts[label]) > 9_900


def test_the_default_noise_is_the_sound_one():
    with pytest.raises(ValueError, match="noise='float' needs none, and its certificates are not"):
        SmoothedClassifier(low_bits, 2, SIGMA)
    assert (
        SmoothedClassifier(low_bits, 2, SIGMA, "1/16", seed=0).certify(ONES, n=10).noise == "grid"
    )


D = 2**14


def far_from_the_origin(x):
    """Class 1 from a distance of 0.3 on, along the diagonal."""
    far = x.double().flatten(1).sum(1) >= 0.3 * math.sqrt(D)
    return torch.stack([~far, far], dim=1).float()


@pytest.mark.parametrize("certify", ["certify", "certify_at"])
def test_an_input_a_little_off_the_grid_is_not_certified_as_a_point_of_it(certify):
    """Three thousandths of a step in each of 16,384 coordinates are 0.384 away.

    The point is of class 1, and the grid point beside it, the origin, is of class 0 with a radius.
    """
    x = torch.full((D,), 0.003, dtype=torch.float64)
    assert float(x.norm()) > 0.38
    asked = (0.05,) if certify == "certify_at" else ()
    samples = {"n_max" if asked else "n": 4000}
    for dtype in (torch.float64, torch.float32):
        g = SmoothedClassifier(far_from_the_origin, 2, sigma=1, step=1, seed=0)
        with pytest.raises(ValueError, match="x must lie on the grid of step 1"):
            getattr(g, certify)(x.to(dtype), *asked, **samples)
    paying = SmoothedClassifier(far_from_the_origin, 2, sigma=1, step=1, seed=0, off_grid="round")
    found = getattr(paying, certify)(x, *asked, **samples)
    assert found.rounding_cost >= 0.384 + 64 and found.radius == 0.0
