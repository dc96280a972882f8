r"""How often a certificate is false, counted through `SmoothedClassifier` itself.

Every base classifier here has probabilities that can be computed: the grid sampler draws
:math:`K = \lfloor \sigma z/\Delta + 1/2 \rfloor`, so that P(K <= k) = Phi((k + 1/2) / s), and the
smoothed classifier of "round to the grid, then f" is known at every real x. A certificate is false
if its label is not g(x), or its radius reaches past the nearest x' where g is another class. The
share of false ones must be at most alpha; and since the exact probability of a false certificate
can be computed from the binomial law, the share must also be near that: a certifier that is merely
timid fails too.

Each check that a share agrees with a probability fails by chance with probability below 1e-6
(normal deviate beyond 5, two-sided 5.7e-7), at these fixed seeds or not at all. Where alpha is
large, it is so that a thousand runs tell alpha from its half and its double: each such check is
also run on a certifier that was given those, and on one that never errs, and must refuse them.
"""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import beta, binom, multinomial

from rslib import certificates, confidence, sequential
from rslib.decisions import ABSTAIN
from rslib.engine import Plan
from rslib.smoothing import SmoothedClassifier

FEW = 1_000
MANY = 100_000
STEP = 1 / 16
counts_of_runs = pytest.mark.parametrize(
    "runs", [FEW, pytest.param(MANY, marks=pytest.mark.slow)], ids=["few", "many"]
)


def classifier(base, classes, sigma, n, seed=0):
    plan = Plan("callable", rows=n)
    return SmoothedClassifier(base, classes, sigma, "1/16", seed=seed, plan=plan)


def slabs(*edges):
    """Class i between edges i - 1 and i of the first coordinate; edges lie between grid values."""
    bounds = torch.tensor(edges)

    def base(x):
        place = torch.bucketize(x.flatten(1)[:, 0], bounds)
        return torch.nn.functional.one_hot(place, len(edges) + 1).float()

    return base


def agree(found, runs, probability):
    """Whether a share of so many runs is within five standard errors of its probability."""
    error = math.sqrt(max(probability * (1 - probability), 1 / runs) / runs)
    print(f"share {found / runs:.5f}, exact {probability:.5f}, standard error {error:.5f}")
    return abs(found / runs - probability) <= 5 * error


def half_space(cells):
    """Distance to the boundary, and the probability of the class that x = 0 is in."""
    distance = (cells - 0.5) * STEP
    return distance, ndtr(distance / 0.5)


def half_space_runs(cells, n0, n, alpha, runs):
    """How many certificates, bounds and selections were wrong."""
    distance, p_a = half_space(cells)
    g = classifier(slabs(-distance), 2, "0.5", n)
    x, false, failed_bounds, wrong_selection = np.zeros(1), 0, 0, 0
    for index in range(runs):
        c = g.certify(x, n0, n, alpha, index=index)
        picked = int(np.argmax(c.selection_counts))
        wrong_selection += picked == 0
        failed_bounds += c.p_a_lower > (1 - p_a, p_a)[picked]
        false += c.label == 0 or (c.label == 1 and c.radius > distance)
    return false, failed_bounds, wrong_selection


@pytest.mark.parametrize(
    "runs",
    [FEW, pytest.param(MANY // 3 + 1, marks=pytest.mark.slow)],
    ids=["few", "third-of-many"],
)
@pytest.mark.parametrize("cells", [1, 4, 10])
def test_certify_half_space(runs, cells):
    """The radius may exceed the distance to the half-space with probability alpha at most."""
    n0, n, alpha = 20, 60, 0.3
    p_a = half_space(cells)[1]
    false, failed_bounds, wrong_selection = half_space_runs(cells, n0, n, alpha, runs)
    # Exactly: class 1 selected and its count too high, or class 0 selected and certified at all.
    k = np.arange(n + 1)
    bounds = beta.ppf(alpha, k, n - k + 1)  # NaN at k = 0: no bound, never above anything
    selected = binom.sf(n0 // 2, n0, p_a)  # ties go to class 0
    too_high, too_high_of_0 = (binom.pmf(k, n, p)[bounds > p].sum() for p in (p_a, 1 - p_a))
    certified_wrong = binom.pmf(k, n, 1 - p_a)[bounds > 0.5].sum()
    exact = selected * too_high + (1 - selected) * certified_wrong
    exact_bounds = selected * too_high + (1 - selected) * too_high_of_0
    assert exact <= alpha and alpha / 2 < exact_bounds <= alpha
    assert agree(false, runs, exact)
    assert agree(failed_bounds, runs, exact_bounds)
    assert agree(wrong_selection, runs, 1 - selected)
    for wrong in (alpha / 2, 2 * alpha) if runs == FEW and cells == 4 else ():
        assert not agree(half_space_runs(cells, n0, n, wrong, runs)[1], runs, exact_bounds)
    assert not agree(0, runs, exact_bounds)


LEFT, RIGHT = -2.5 * STEP, 3.5 * STEP
SLABS = np.array([ndtr(LEFT / 0.25), ndtr(RIGHT / 0.25) - ndtr(LEFT / 0.25), ndtr(-RIGHT / 0.25)])


def two_sided_runs(n0, n, alpha, runs):
    """How many certificates were false, and how often a bound on winner or runner-up failed."""
    g = classifier(slabs(LEFT, RIGHT), 3, "0.25", n)

    def lead(x):
        return 1 - 2 * ndtr((LEFT - x) / 0.25) - ndtr((x - RIGHT) / 0.25)

    distance = -brentq(lead, LEFT, 0.0)  # class 0 overtakes class 1 before class 2 does
    x, false, failed_bounds = np.zeros(1), 0, 0
    for index in range(runs):
        c = g.certify(x, n0, n, alpha, index=index, two_sided=True)
        picked = int(np.argmax(c.selection_counts))
        rivals = np.delete(SLABS, picked).max()
        failed_bounds += c.p_a_lower > SLABS[picked] or c.p_b_upper < rivals
        false += c.label in (0, 2) or (c.label == 1 and c.radius > distance)
    return false, failed_bounds


def three_counts(n):
    """Every way in which n samples fall into three classes, and its probability."""
    first, second = (a.ravel() for a in np.mgrid[: n + 1, : n + 1])
    rows = np.stack([first, second, n - first - second])[:, first + second <= n].T
    return rows, multinomial.pmf(rows, n, SLABS)


def chance_that_a_bound_fails(n0, n, alpha):
    """Exactly, over all counts of both stages, with SciPy's beta quantiles."""
    selections, chance = three_counts(n0)
    picked = np.bincount(selections.argmax(axis=1), chance, minlength=3)
    counts, chance = three_counts(n)
    k = np.arange(n + 1)
    lower = np.nan_to_num(beta.ppf(alpha / 2, k, n - k + 1))
    upper = np.nan_to_num(beta.ppf(1 - alpha / 2, k + 1, n - k), nan=1.0)
    total = 0.0
    for label in range(3):
        others = [c for c in range(3) if c != label]
        failed = lower[counts[:, label]] > SLABS[label]
        failed |= upper[counts[:, others].max(axis=1)] < SLABS[others].max()
        total += picked[label] * chance[failed].sum()
    return total


@counts_of_runs
def test_certify_two_sided(runs):
    """Three slabs: the bound on the winner fails, or that on the runner-up, at most at alpha."""
    n0, n, alpha = 10, 80, 0.4
    exact = chance_that_a_bound_fails(n0, n, alpha)
    assert alpha / 2 < exact <= alpha
    false, failed_bounds = two_sided_runs(n0, n, alpha, runs)
    assert false <= failed_bounds
    assert agree(failed_bounds, runs, exact)
    for wrong in (alpha / 2, 2 * alpha) if runs == FEW else ():
        assert not agree(two_sided_runs(n0, n, wrong, runs)[1], runs, exact)
    assert not agree(0, runs, exact)


@pytest.mark.parametrize(
    "runs", [FEW, pytest.param(20_000, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_certify_disc(runs):
    """A disc in the plane, its true radius found by integrating the grid classifier exactly."""
    sigma, n0, n, alpha = 0.25, 20, 40, 0.3
    reach = 6
    k = np.arange(-40, 41)
    inside = (k[:, None] ** 2 + k[None, :] ** 2) <= reach**2
    centre = np.array([2, 1]) * STEP

    def p_inside(at):
        edges = np.concatenate([k - 0.5, [k[-1] + 0.5]]) * STEP
        u, v = (np.diff(ndtr((edges - a) / sigma)) for a in at)
        return float(u @ inside @ v)

    p_a = p_inside(centre)
    assert 0.6 < p_a < 0.75
    angles = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    distance = min(brentq(lambda t, u=u: p_inside(centre + t * u) - 0.5, 0, 2) for u in directions)

    def base(x):
        far = torch.round(x.flatten(1) / STEP).square().sum(1) > reach**2
        return torch.stack([~far, far], dim=1).float()

    g = classifier(base, 2, "0.25", n)
    false = failed_bounds = 0
    for index in range(runs):
        c = g.certify(centre, n0, n, alpha, index=index)
        picked = int(np.argmax(c.selection_counts))
        failed_bounds += c.p_a_lower > (p_a, 1 - p_a)[picked]
        false += c.label == 1 or (c.label == 0 and c.radius > distance)
    bounds = confidence.lower_bound(np.arange(n + 1), n, alpha)
    selected = binom.sf(n0 // 2 - 1, n0, p_a)
    exact = selected * binom.pmf(np.arange(n + 1), n, p_a)[bounds > p_a].sum()
    exact += (1 - selected) * binom.pmf(np.arange(n + 1), n, 1 - p_a)[bounds > 1 - p_a].sum()
    assert false <= failed_bounds
    assert exact <= alpha
    assert agree(failed_bounds, runs, exact)


@counts_of_runs
def test_predict(runs):
    """Near a tie, a class that is not g(x) is returned with probability alpha at most."""
    sigma, n, alpha = 0.5, 50, 0.2
    distance = STEP / 2
    p_a = ndtr(distance / sigma)
    g = classifier(slabs(-distance), 2, "0.5", n)
    x = np.zeros(1)
    answers = np.array([g.predict(x, n, alpha, index=index) for index in range(runs)])
    k = np.arange(n + 1)
    significant = np.array(
        [confidence.hung_fithian_pvalue(max(i, n - i), min(i, n - i)) for i in k]
    )
    pmf = binom.pmf(k, n, p_a)
    wrong = pmf[(significant <= alpha) & (k < n / 2)].sum()
    right = pmf[(significant <= alpha) & (k > n / 2)].sum()
    assert wrong <= alpha
    assert agree((answers == 0).sum(), runs, wrong)
    assert agree((answers == 1).sum(), runs, right)
    assert agree((answers == ABSTAIN).sum(), runs, 1 - wrong - right)


def test_reusing_the_selection_samples_would_be_seen():
    """With selection counts used as estimation counts the share of failed bounds exceeds alpha.

    The check above is worth something only if it fails on a certifier that is wrong.
    """
    n, alpha, runs = 12, 0.05, FEW
    base = slabs(-1.5 * STEP, -0.5 * STEP, 0.5 * STEP, 1.5 * STEP)
    sigma = 0.125
    edges = np.array([-np.inf, -1.5, -0.5, 0.5, 1.5, np.inf]) * STEP / sigma
    p = np.diff(ndtr(edges))
    g = classifier(base, 5, "0.125", n)
    honest = reused = 0
    for index in range(runs):
        c = g.certify(np.zeros(1), n, n, alpha, index=index)
        picked = int(np.argmax(c.selection_counts))
        honest += c.p_a_lower > p[picked]
        reused += confidence.lower_bound(c.selection_counts[picked], n, alpha) > p[picked]
    error = math.sqrt(alpha / runs)
    assert honest / runs <= alpha + 5 * error
    assert reused / runs > alpha + 5 * error


# --- runs that stop early


def chance_of_certifying(p, threshold, n, alpha):
    """Exact probability that `certify_at` certifies one radius, by recursion over all paths."""
    need = sequential.least_successes(threshold, n, alpha)
    alive, certified, last = np.ones(1), 0.0, 0
    for t in sequential.looking_times(n):
        alive = np.convolve(alive, binom.pmf(np.arange(t - last + 1), t - last, p))
        k = np.arange(t + 1)
        yes = sequential.is_above(k, t, threshold, n, alpha)
        certified += alive[yes].sum()
        alive = np.where(yes | sequential.is_hopeless(k, t, need, n, alpha), 0.0, alive)
        last = t
    assert alive.sum() == 0
    return certified


def runs_of(third):
    return pytest.mark.parametrize(
        "runs", [FEW, pytest.param(MANY // third + 1, marks=pytest.mark.slow)], ids=["few", "many"]
    )


@runs_of(3)
@pytest.mark.parametrize("cells", [2, 7])
def test_certify_at_the_boundary_exactly(runs, cells):
    """The radius asked for is the distance itself: p_A = Phi(r / sigma), the hardest null."""
    sigma, n0, n, alpha = 0.5, 20, 120, 0.05
    distance = (cells - 0.5) * STEP
    p_a = ndtr(distance / sigma)
    g = classifier(slabs(-distance), 2, "0.5", n)
    x = np.zeros(1)
    false = sum(g.certify_at(x, distance, alpha, n, n0, index=i).certified for i in range(runs))
    threshold = float(np.nextafter(p_a, 1)) + 1e-13
    wrong = binom.sf(n0 // 2, n0, 1 - p_a) + binom.pmf(n0 // 2, n0, p_a)  # ties go to class 0
    exact = (1 - wrong) * chance_of_certifying(p_a, threshold, n, alpha)
    exact += wrong * chance_of_certifying(1 - p_a, threshold, n, alpha)
    assert alpha / 4 < exact <= alpha
    assert agree(false, runs, exact)


@runs_of(3)
def test_certify_at_many_radii(runs):
    """Radii before, at and beyond the distance: any false one counts, and all share one alpha.

    The check fails by chance with probability below 3e-7 (five standard errors, one-sided).
    """
    n0, n, alpha = 20, 120, 0.05
    distance = 3.5 * STEP
    g = classifier(slabs(-distance), 2, "0.5", n)
    radii = [0, distance / 2, distance, distance + STEP / 4, distance + STEP]
    x, false, right = np.zeros(1), 0, 0
    for index in range(runs):
        d = g.certify_at(x, radii, alpha, n, n0, index=index)
        false += d.label == 0 or d.radius >= distance
        right += d.label == 1 and d.radius == distance / 2
    error = math.sqrt(alpha * (1 - alpha) / runs)
    print(f"false {false / runs:.5f}, alpha {alpha}, a true radius {right / runs:.3f}")
    assert alpha / 10 < false / runs <= alpha + 5 * error
    assert right > runs / 10


BEYOND = 11.5 * STEP  # the distance to the other class


def radius_loss_runs(n0, n, alpha, loss, runs):
    """How many certificates reach beyond the distance, and the samples that all runs drew."""
    g = classifier(slabs(-BEYOND), 2, "0.5", n)
    x, false, samples = np.zeros(1), 0, 0
    for index in range(runs):
        c = g.certify(x, n0, n, alpha, index=index, radius_loss=loss)
        false += c.label == 0 or c.radius > BEYOND
        samples += c.samples
    return false, samples


def chance_of_too_large_a_radius(p, p_a, n, alpha, loss):
    """Exactly, over all paths: a run that ends with a bound above p_a, for successes of chance p.

    It stops when the radius is within the loss of the one that n samples would give at this share
    of successes, and when n samples would certify nothing.
    """
    sigma, need = 0.5, sequential.least_successes(0.5, n, alpha)
    alive, wrong, last = np.ones(1), 0.0, 0
    for t in sequential.looking_times(n):
        alive = np.convolve(alive, binom.pmf(np.arange(t - last + 1), t - last, p))
        k, last = np.arange(t + 1), t
        fixed = np.maximum(confidence.lower_bound(k * n // t, n, alpha), 0.5)
        goal = np.maximum(certificates.certified_radius(fixed, sigma) - loss, 0)
        stops = sequential.is_above(k, t, ndtr(goal / sigma), n, alpha)
        stops |= sequential.is_hopeless(k, t, need, n, alpha) | (t == n)
        for at in np.flatnonzero(stops & (alive > 0)):
            bound = sequential.stopped_lower_bound(int(at), int(t), n, alpha)
            wrong += alive[at] * (bound > p_a)
        alive = np.where(stops, 0.0, alive)
    return wrong


LOSS = {"n0": 20, "n": 60, "alpha": 0.45, "loss": 0.1}


def chance_of_a_false_radius(n0, n, alpha, loss):
    p_a = ndtr(BEYOND / 0.5)
    selected = binom.sf(n0 // 2, n0, p_a)  # ties go to class 0, for which any radius is too large
    of_1 = chance_of_too_large_a_radius(p_a, p_a, n, alpha, loss)
    of_0 = chance_of_too_large_a_radius(1 - p_a, 0.5, n, alpha, loss)
    return selected * of_1 + (1 - selected) * of_0


@runs_of(10)
def test_radius_loss(runs):
    """A radius beyond the distance is certified with probability alpha at most."""
    exact = chance_of_a_false_radius(**LOSS)
    assert LOSS["alpha"] / 10 < exact <= LOSS["alpha"]
    false, samples = radius_loss_runs(**LOSS, runs=runs)
    assert agree(false, runs, exact)
    assert samples < runs * LOSS["n"]
    assert not agree(0, runs, exact)


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.5, 2])
def test_radius_loss_tells_alpha_from_its_half_and_its_double(factor):
    """The check above refuses a certifier that was given another alpha."""
    wrong = LOSS | {"alpha": factor * LOSS["alpha"]}
    false, _ = radius_loss_runs(**wrong, runs=FEW)
    assert not agree(false, FEW, chance_of_a_false_radius(**LOSS))


def test_peeking_with_clopper_and_pearson_would_be_seen(monkeypatch):
    """The same run with the ordinary bound at every look: far more than alpha are false.

    The check above is worth something only if it fails on a certifier that is wrong.
    """
    n, alpha = 120, 0.05
    distance = 1.5 * STEP
    g = classifier(slabs(-distance), 2, "0.5", n)

    def peek(k, t, p, n, alpha):
        return confidence.lower_bound(k, t, alpha) > p

    def share():
        runs = [g.certify_at(np.zeros(1), distance, alpha, n, 20, index=i) for i in range(FEW)]
        return sum(run.certified for run in runs) / FEW

    error = math.sqrt(alpha * (1 - alpha) / FEW)
    assert share() <= alpha + 5 * error
    monkeypatch.setattr(sequential, "is_above", peek)
    assert share() > alpha + 5 * error


@pytest.mark.parametrize(
    "runs", [FEW, pytest.param(20_000, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_early_abstention_loses_few_certificates(runs):
    """On the same noise, where a full run certifies in a third of the runs: alpha at most.

    The check fails by chance with probability below 3e-7 (five standard errors, one-sided).
    """
    n, alpha = 150, 0.2
    distance = STEP / 2
    g = classifier(slabs(-distance), 2, "0.5", n)
    x, lost, kept, saved = np.zeros(1), 0, 0, 0
    for index in range(runs):
        full = g.certify(x, 20, n, alpha, index=index)
        early = g.certify(x, 20, n, alpha, index=index, early_abstain=True)
        assert early.label in (full.label, ABSTAIN)
        lost += early.label != full.label
        kept += early.label != ABSTAIN
        saved += n - early.samples
    error = math.sqrt(alpha * (1 - alpha) / runs)
    print(f"lost {lost / runs:.5f}, kept {kept / runs:.3f}, saved {saved / runs / n:.2f} of n")
    assert lost / runs <= alpha + 5 * error
    assert kept > runs / 10 and saved > 0.1 * runs * n
