"""The interactive figures: their first states in Python. Their scripts: tests/browser."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from matplotlib.path import Path as Curve
from scipy.stats import kstest, norm

from rslib import certificates, confidence, interactive
from rslib.interactive import _bent_scale, _vote, _worst_case
from rslib.interactive.figure import lean, normals, rounded_down, rounded_up, signed

FIGURES = (interactive.vote, interactive.worst_case, interactive.bent_scale)
ROOT = Path(__file__).resolve().parent.parent


def shown(figure: interactive.Figure) -> dict[str, str]:
    """What the numbers of a figure say."""
    return dict(
        re.findall(r'<span class="rsi-out" data-part="([\w-]+)">([^<]*)</span>', figure.html)
    )


@pytest.mark.parametrize("make", FIGURES)
def test_a_figure_is_one_small_element_that_asks_nobody(make):
    html = make().html
    assert html.startswith("<figure") and html.endswith("</figure>")
    assert len(html.encode()) <= 40_000
    assert "http" not in html, "a page of the book asks no other host"
    assert not re.search(r"\sid=|\sfor=|\sname=", html), "two copies on a page must not clash"
    assert "$" not in re.sub(r"<script>.*</script>", "", html, flags=re.DOTALL)
    assert all(line.strip() for line in html.split("\n")), "an empty line ends HTML in Markdown"
    assert html == make().html, "the stored output must not change from run to run"


@pytest.mark.parametrize("make", FIGURES)
def test_notebooks_get_the_page_and_paper_gets_a_picture(make):
    figure = make()
    bundle = figure._repr_mimebundle_()
    assert bundle["text/html"] == figure._repr_html_() == figure.html
    assert (
        bundle["text/plain"] == repr(figure) == "<interactive figure: open the page in a browser>"
    )
    assert bundle["image/png"] == make()._repr_mimebundle_()["image/png"]
    assert figure.png().startswith(b"\x89PNG") and len(figure.png()) > 20_000


def test_without_matplotlib_there_is_no_picture(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert set(interactive.vote()._repr_mimebundle_()) == {"text/html", "text/plain"}


def test_the_assets_are_installed_with_the_library():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["rslib"]
    packed = {path for pattern in patterns for path in (ROOT / "rslib").glob(pattern)}
    assets = set((ROOT / "rslib/interactive/assets").iterdir())
    assert len(assets) == 8 and assets <= packed


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("n", [10, 300, 10_000])
def test_the_vote_shows_bounds_and_radius_of_the_library(sigma, n):
    figure = interactive.vote(sigma, n, (0.3, 0.2))
    counts = [
        int(text.replace(",", "")) for text in re.findall(r"count-\d[^>]*>([\d,]+)", figure.html)
    ]
    assert sum(counts) == n
    noise = normals(_vote.SEED, _vote.MOST + _vote.SELECTION)
    answers = _vote.labels([0.3, 0.2] + sigma * noise, _vote.regions())
    assert counts == np.bincount(answers[:n], minlength=3).tolist()
    top = np.bincount(answers[_vote.MOST :]).argmax()
    p_a, p_b = confidence.runner_up_bounds(counts, top, 0.001)
    radius = certificates.certified_radius(p_a, sigma, p_b)
    says = shown(figure)
    assert says["lower"] == rounded_down(p_a, 4) and float(says["lower"]) <= p_a
    assert says["upper"] == rounded_up(p_b, 4) and float(says["upper"]) >= p_b
    assert says["radius"] == (f"R = {rounded_down(radius, 3)}" if radius > 0 else "abstain")


def test_the_vote_starts_with_a_radius_and_can_abstain():
    assert shown(interactive.vote())["radius"].startswith("R = 0.4")
    assert shown(interactive.vote(0.5, 10))["radius"] == "abstain"


def test_regions_answer_as_another_program_says():
    """Matplotlib knows which points lie in a polygon, too."""
    points = np.random.default_rng(0).uniform(-4, 4, (5000, 2))
    expected = np.zeros(5000, dtype=int)
    for label, polygon in _vote.regions():
        expected[Curve(polygon).contains_points(points)] = label
    found = _vote.labels(points, _vote.regions())
    assert np.array_equal(found, expected)
    assert set(found) == {0, 1, 2}


def test_the_noise_is_normal_and_its_coordinates_independent():
    """A fixed seed, so no alarm is false twice; a wrong law or a bad generator is seen at once."""
    z = normals(_vote.SEED, 20_000)
    assert kstest(z[:, 0], norm.cdf).pvalue > 0.001
    assert kstest(z[:, 1], norm.cdf).pvalue > 0.001
    assert abs(np.corrcoef(z.T)[0, 1]) < 4 / np.sqrt(20_000)
    assert abs(np.corrcoef(z[1:, 0], z[:-1, 0])[0, 1]) < 4 / np.sqrt(20_000)
    assert len(np.unique(z)) == z.size


@pytest.mark.parametrize("p", [0.05, 0.3, 0.5, 0.95])
def test_no_set_is_steeper_than_the_half_space(p):
    says = shown(interactive.worst_case(p))
    limit = certificates.local_gradient_bound(p, 1.0)
    assert says["limit"] == f"{limit:.4f}"
    assert 0 < float(says["slope"]) < limit
    size = round(400 * p)
    half_space = np.repeat([0, 20], [20 - size // 20, size // 20])
    assert np.isclose(_worst_case.slope(half_space), limit, rtol=1e-12)
    rng = np.random.default_rng(6)
    for _ in range(100):
        counts = _worst_case.column_counts(rng.permutation(400)[:size].tolist())
        assert counts.sum() == size and abs(_worst_case.slope(counts)) < limit


def test_the_slope_of_tiles_is_that_of_their_smoothed_indicator():
    counts = _worst_case.column_counts(_worst_case.cloud(120))
    shifts = np.array([-1e-5, 0.0, 1e-5])
    values = _worst_case.along(counts, shifts)
    assert np.isclose(values[1], 0.3)
    assert np.isclose((values[2] - values[0]) / 2e-5, _worst_case.slope(counts), rtol=1e-8)


@pytest.mark.parametrize("sigma", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("jumps", [(-0.5,), (-0.9, 0.6), (-1.6, -0.5, 0.4)])
def test_the_bent_scale_is_psi_of_the_smoothed_function(sigma, jumps):
    t = np.linspace(-3, 3, 121)
    zero, one = _bent_scale.shares(t, jumps, sigma)
    signs = np.resize([1, -1], len(jumps))
    direct = norm.cdf((t[:, None] - np.array(jumps)) / sigma) @ signs
    assert np.allclose(one, direct, atol=1e-14) and np.allclose(zero + one, 1, atol=1e-14)
    bent = _bent_scale.bent(t, jumps, sigma)
    near = np.abs(bent) < 4
    assert near.any() and np.allclose(bent[near], certificates.psi(direct[near]), atol=1e-8)
    assert np.all(np.abs(np.diff(bent) / np.diff(t)) <= 1 / sigma + 1e-9)
    slopes = _bent_scale.slope(t, jumps, sigma)
    tiny = 1e-6
    ahead, behind = (_bent_scale.shares(t + d, jumps, sigma)[1] for d in (tiny, -tiny))
    assert np.allclose(slopes, (ahead - behind) / (2 * tiny), atol=1e-8)


def test_the_bent_scale_keeps_its_digits_far_from_a_jump():
    """There the probability is 1 in double precision, and the truth is 8 sigma."""
    far = _bent_scale.bent(np.array([3.0, -3.0]), [-1.0], 0.5)
    assert np.allclose(far, [8, -4], rtol=1e-12)
    assert shown(interactive.bent_scale(0.5, 3.0, [-1.0]))["bent-value"] == "8.000"


def test_the_bent_scale_says_slopes_and_limits():
    says = shown(interactive.bent_scale(0.5, 0.0, [-0.5]))
    assert says["bent-slope"] == says["bent-limit"] == "2.000", "a half-line attains the limit"
    assert (
        says["slope"]
        == says["limit"]
        == f"{certificates.local_gradient_bound(norm.cdf(1), 0.5):.4f}"
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: interactive.vote(0.0), ValueError, "sigma must lie from 0.1 to 1, got 0.0"),
        (lambda: interactive.vote("1"), TypeError, "sigma must be a number, got '1'"),
        (lambda: interactive.vote(n=9), ValueError, "n must be at least 10, got 9"),
        (lambda: interactive.vote(n=10_001), ValueError, "n must be at most 10000, got 10001"),
        (lambda: interactive.vote(x=(0, 2)), ValueError, "x must lie from -1.4 to 1.4 in each"),
        (lambda: interactive.worst_case(0.0), ValueError, "p must lie from 0.05 to 0.95, got 0.0"),
        (
            lambda: interactive.worst_case(0.33),
            ValueError,
            "p must be a multiple of 0.05, got 0.33",
        ),
        (lambda: interactive.bent_scale(0.1), ValueError, "sigma must lie from 0.25 to 1, got 0.1"),
        (lambda: interactive.bent_scale(x=4), ValueError, "x must lie from -3 to 3, got 4"),
        (lambda: interactive.bent_scale(jumps=[3]), ValueError, "jumps must lie from -2.9 to 2.9"),
        (lambda: interactive.bent_scale(jumps=[]), ValueError, "jumps must be one to six"),
        (lambda: interactive.bent_scale(jumps=[1, 0]), ValueError, "ascending numbers, got"),
        (lambda: interactive.bent_scale(jumps=[1, 1]), ValueError, "ascending numbers, got"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_numbers_are_rounded_to_the_safe_side():
    assert rounded_down(0.4899, 3) == "0.489" and rounded_up(0.4891, 3) == "0.490"
    assert signed(-0.5, 2) == "−0.50" and signed(-0.001, 2) == "0.00"


def test_comments_and_indentation_stay_at_home():
    assert lean("  a\n\n// why\n    b // kept\n", "//") == "a\nb // kept"
