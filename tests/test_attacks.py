"""PGD stays inside its ball and its box, and finds what is there to be found."""

import pytest
import torch

from rslib.attacks import pgd_l2, pgd_l2_smoothed
from rslib.noise import GridGaussian


class Linear(torch.nn.Module):
    """Class 1 where the mean of the pixels is above one half: a half-space at a known distance."""

    def forward(self, x):
        margin = x.flatten(1).mean(1) - 0.5
        return torch.stack([-margin, margin], dim=1) * 10


X = torch.full((3, 1, 4, 4), 0.45)
Y = torch.zeros(3, dtype=torch.int64)
DISTANCE = 0.05 * 4  # the boundary is (0.5 - 0.45) * sqrt(16) away


def test_stays_in_the_ball_and_the_box():
    x = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    for radius in (0.0, 0.3, 5.0):
        found = pgd_l2(Linear(), x, Y[:1].expand(5), radius, restarts=2)
        assert (found - x).flatten(1).norm(dim=1).max() <= radius * (1 + 1e-5) + 1e-7
        assert found.min() >= 0 and found.max() <= 1


@pytest.mark.parametrize(("radius", "fooled"), [(DISTANCE * 1.02, 3), (DISTANCE * 0.98, 0)])
def test_finds_the_boundary_of_a_half_space_and_nothing_before_it(radius, fooled):
    found = pgd_l2(Linear(), X, Y, radius, steps=40)
    assert int((Linear()(found).argmax(1) != Y).sum()) == fooled


def test_mode_is_restored_and_seed_repeats():
    network = Linear().train()
    a, b = (pgd_l2(network, X, Y, 0.1, steps=2, seed=s) for s in (4, 4))
    assert network.training and torch.equal(a, b)
    assert not torch.equal(a, pgd_l2(network, X, Y, 0.1, steps=1, seed=5)) or a.equal(X)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"radius": -1.0}, "radius must be finite and not negative, got -1.0"),
        ({"radius": float("inf")}, "radius must be finite and not negative, got inf"),
        ({"radius": 1.0, "steps": 0}, "steps must be at least 1, got 0"),
        ({"radius": 1.0, "restarts": 0}, "restarts must be at least 1, got 0"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        pgd_l2(Linear(), X, Y, **options)


@pytest.mark.parametrize(("radius", "fooled"), [(DISTANCE * 1.3, True), (DISTANCE * 0.98, False)])
def test_the_vote_for_a_half_space_falls_where_its_boundary_is(radius, fooled):
    """A smoothed half-space is the half-space: what it votes is known without sampling."""
    x = torch.full((1, 4, 4), 112 / 255)  # 0.061 from the boundary in each pixel
    distance = (0.5 - 112 / 255) * 4
    radius = radius * distance / DISTANCE
    found = pgd_l2_smoothed(Linear(), x, 0, radius, 0.25, 1 / 255, steps=40)
    assert (found.mean() > 0.5) == fooled
    assert (found - x).norm() <= radius
    assert found.min() >= 0 and found.max() <= 1
    assert GridGaussian(0.25, 1 / 255).prepare(found).shape == found.shape  # on the grid


def test_the_vote_is_attacked_by_its_own_gradient():
    network = Linear().train()
    x = torch.full((1, 4, 4), 0.4)
    a, b = (pgd_l2_smoothed(network, x, 0, 0.3, 0.25, 1 / 255, seed=1, copies=8) for _ in "ab")
    assert network.training and torch.equal(a, b)
    assert a.mean() > x.mean()  # towards the boundary
    away = pgd_l2_smoothed(network, x, 1, 0.3, 0.25, 1 / 255, seed=1, copies=8)
    assert away.mean() < x.mean()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"radius": -1.0}, "radius must be finite and not negative, got -1.0"),
        ({"sigma": 0.0}, "sigma must be finite and positive, got 0.0"),
        ({"copies": 0}, "copies must be at least 1, got 0"),
        ({"steps": 1.5}, "steps must be a whole number, got 1.5"),
    ],
)
def test_bad_input_of_the_attack_on_votes(options, message):
    asked = {"radius": 1.0, "sigma": 0.25} | options
    with pytest.raises((ValueError, TypeError), match=message):
        pgd_l2_smoothed(Linear(), X[0], 0, step=1 / 255, **asked)
