"""The checks of chapter 16 accept right answers, however written, and know the common mistakes."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import sympy as sp
from answers import (
    test_common_mistakes_get_their_hint,  # noqa: F401
    test_every_exercise_has_answers_to_test,  # noqa: F401
    test_no_hint_tells_the_answer,  # noqa: F401
    test_right_answers_are_accepted,  # noqa: F401
)
from scipy.stats import beta, norm

from rslib import audit, lattice, logs, paired
from rslib.exercises import EXERCISES, check
from rslib.exercises.ch16 import SIGMA, N, made_logs

check("16.1")
CHAPTER = sorted(name for name in EXERCISES if name.startswith("16."))


def at_stated(printed, sigma, n, made_with, stated, end=-1):
    radii = sigma * lattice.radii_of(n, made_with)
    near = np.flatnonzero(np.abs(radii - printed) <= 0.01 * printed)
    strays = [f for f in near if float(f"{radii[f]:.3}") == printed]
    again = sigma * lattice.radii_of(n, stated)
    return again[strays[end]] if strays[end] < len(again) else 0.0


def by_scipy(printed, sigma, n, made_with, stated):
    """Bisection for the most votes against, with SciPy's beta quantile."""

    def radius(f, alpha):
        return sigma * norm.ppf(beta.ppf(float(alpha), n - f, f + 1))

    low, high = 0, n // 2
    while high - low > 1:
        middle = (low + high) // 2
        above = float(f"{radius(middle, made_with):.3}") >= printed
        low, high = (middle, high) if above else (low, middle)
    return max(0.0, float(radius(low, stated)))


def as_decimal(*case):
    return Decimal(repr(float(at_stated(*case))))


def as_array(*case):
    return np.array(at_stated(*case))


RIGHT = {
    "16.1": [
        ("birch", 0.01),
        ["Birch", Decimal("0.01")],
        ("birch", Fraction(1, 100)),
        (" birch ", sp.Rational(1, 100)),
        ("birch", "0.01"),
    ],
    "16.2": [at_stated, by_scipy, as_decimal, as_array],
    "16.3": [("dogwood", "fir"), ["fir", "dogwood"], {"fir", "dogwood"}, ("Fir", "Dogwood")],
    "16.4": ["cedar", "Cedar", ("cedar",), ["cedar "]],
    "16.5": [
        (300, 12, 0, 188),
        [400, 0, 15, 85],
        np.array([200, 40, 12, 248]),
        (sp.Integer(300), 11, 0, Fraction(189)),
    ],
    "16.6": [
        paired.images_needed(0.02, 0.1),
        1960,
        2000,
        2.8**2 * 0.1 / 0.02**2,
        sp.Rational(784, 100) * sp.Rational(1, 10) * 2500,
    ],
}
# Each wrong answer with a word of the hint that it must get.
WRONG = {
    "16.1": [
        (("alder", 0.01), "both lattices"),
        (("cedar", 0.001), "tells little"),
        (("birch", 0.001), "printed as"),
        (("birch", 0.05), "p^n = alpha"),
        (("oak", 0.01), "none of the six"),
        (("birch", "0.001"), "printed as"),
        (("birch", "small"), "an alpha, such as"),
        (0.01, "an alpha, such as"),
        ("birch", "an alpha, such as"),
    ],
    "16.2": [
        (lambda *case: at_stated(*case, end=0), "most votes against"),
        (lambda *case: at_stated(*case[:4], case[3]), "now the bound"),
        (lambda printed, *rest: printed, "other alpha"),
        (
            lambda printed, sigma, n, made, stated: (
                printed * lattice.radii_of(n, stated, 0)[0] / lattice.radii_of(n, made, 0)[0]
            ),
            "proportion",
        ),
        (lambda *case: 1.001 * at_stated(*case), "above"),
        (lambda *case: max(at_stated(*case), 0.001), "then it is 0"),
        (lambda *case: 0.9 * at_stated(*case), "not the best"),
        (lambda *case: min(case[0], at_stated(*case)), "not the best"),
        (lambda *case: "much", "the answer should be"),
        (1.9, "function"),
    ],
    "16.3": [
        (("alder", "elm"), "two runs of one model"),
        (("cedar", "fir"), "no sign"),
        (("alder", "birch"), "row by row"),
        ("fir", "two of the logs"),
        (("fir", "oak"), "none of the six"),
        (7, "two names"),
    ],
    "16.4": [
        ("birch", "column predict"),
        (("cedar", "fir"), "one of the logs"),
        ("oak", "none of the six"),
        (3, "a name"),
    ],
    "16.5": [
        ((300, 40, 0, 160), "outside the band"),
        ((300, 30, 20, 150), "fewer images differ"),
        ((300, 9, 0, 191), "gap be wider"),
        ((300, 12, 0, 100), "add up to 500"),
        ((300, 12.5, 0, 187.5), "numbers of images"),
        ((300, 12, 0), "four whole numbers"),
        (12, "four whole numbers"),
    ],
    "16.6": [
        (9800, "0.1 of them"),
        (960, "where is the power"),
        (39, "square"),
        (204, "so many"),
        (500, "standard errors"),
        ("many", "whole number"),
    ],
}
TELLS = {"16.1": "0.01", "16.3": "dogwood", "16.4": "cedar", "16.6": "2043"}


def test_the_made_logs_are_what_the_exercises_say(tmp_path):
    files = {}
    for name, text in made_logs().items():
        (tmp_path / name).write_text(text)
        files[name] = logs.read_log(tmp_path / name)
    named = {
        name: lattice.fingerprint([row.radius for row in file.rows], SIGMA).found
        for name, file in files.items()
    }
    assert {name: found and (found.n, found.alpha) for name, found in named.items()} == {
        name: (N, "0.01" if name == "birch" else "0.001") if name != "cedar" else None
        for name in files
    }
    assert audit.against(files["alder"], files["elm"], 0.001)[1] == []
    assert "a copy" in audit.against(files["fir"], files["dogwood"], 0.001)[1][0]
    assert {row.predict for row in files["cedar"].rows} == {3}
    assert len({row.predict for row in files["alder"].rows}) > 9
    assert made_logs() == made_logs()
