"""The verifier accepts what is right, and names the line of whatever was changed."""

import hashlib
import itertools
import json
import math
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import flint
import manifests
import mpmath
import numpy as np
import pytest
from flint import arb

from rslib import certificates, confidence, sequential, verifier
from rslib.verifier import Report, verify_file, verify_paths

HEADER = "idx\tlabel\tpredict\tradius\tcorrect\ttime\tselection\testimation"
WEIGHTS = b"weights of a network"
VARIATION = "1.1e-15"

# idx -> label, selection, estimation. n0 = 100, n = 1000.
EXAMPLES = {
    0: (7, {7: 100}, {7: 1000}),
    1: (3, {7: 90, 8: 10}, {3: 4, 7: 990, 8: 6}),
    2: (2, {2: 60, 4: 40}, {2: 500, 4: 500}),
    3: (4, {4: 50, 6: 50}, {4: 700, 6: 300}),
    4: (1, {1: 100}, {2: 1000}),
    5: (0, {0: 99, 9: 1}, {0: 549, 9: 451}),
    6: (0, {0: 99, 9: 1}, {0: 550, 9: 450}),
}


def manifest(**changes):
    """A manifest of the examples above, with fields changed by name: noise__step."""
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    model = {"name": "cnn", "file": "../models/cnn.safetensors", "sha256": sha256}
    of_examples = {"indices": list(EXAMPLES), "model": model, "noise__total_variation": VARIATION}
    return manifests.manifest(**(of_examples | changes))


def radius_of(selection, estimation, claims):
    """The class and radius that Algorithm 1 gives, as the library computes them (in float64)."""
    chosen = min(selection, key=lambda label: (-selection[label], label))
    n, alpha = claims["n"], float(Fraction(claims["alpha"]))
    sigma = float(Fraction(claims["sigma"]))
    variation = float(claims["noise"]["total_variation"])
    p_b = None
    if claims["two_sided"]:
        counts = np.zeros(claims["dataset"]["num_classes"], dtype=np.int64)
        counts[list(estimation)] = list(estimation.values())
        p_a, p_b = confidence.runner_up_bounds(counts, chosen, alpha)
        p_b = min(1.0, float(p_b) + variation)
    else:
        p_a = confidence.lower_bound(estimation.get(chosen, 0), n, alpha)
    p_a = max(0.0, float(p_a) - variation)
    if p_a == 0 or p_b == 1:
        return -1, "0.000000"
    radius = float(certificates.certified_radius(p_a, sigma, p_b))
    if radius <= 0:
        return -1, "0.000000"
    return chosen, f"{max(0, math.floor((radius - 1e-9) * 1e6)) / 1e6:.6f}"


def line_of(idx, label, selection, estimation, claims, /, **changes):
    """A line of the table, with fields changed by name."""
    predict, radius = radius_of(selection, estimation, claims)
    fields = {
        "idx": idx,
        "label": label,
        "predict": predict,
        "radius": radius,
        "correct": int(predict == label),
        "time": "0.412",
        "selection": " ".join(f"{c}:{k}" for c, k in sorted(selection.items())),
        "estimation": " ".join(f"{c}:{k}" for c, k in sorted(estimation.items())),
    } | changes
    return "\t".join(map(str, fields.values()))


def lines_of(claims, examples=EXAMPLES):
    return [HEADER, *(line_of(idx, *example, claims) for idx, example in examples.items())]


def write(folder, claims, lines=None):
    """A certificate file, its manifest and its model; the path of the first."""
    path = folder / "certify" / "sigma_0.25.tsv"
    model = folder / "models" / "cnn.safetensors"
    for file in (path, model):
        file.parent.mkdir(parents=True, exist_ok=True)
    model.write_bytes(WEIGHTS)
    path.with_suffix(".json").write_text(json.dumps(claims))
    text = "".join(f"{line}\n" for line in (lines_of(claims) if lines is None else lines))
    path.write_text(text)
    return path


def problems(path, **options):
    """What verifying finds, less the path that each problem must begin with."""
    found = verify_file(path, **options).problems
    assert all(problem.startswith(str(path.parent)) for problem in found)
    return [problem.removeprefix(str(path)) for problem in found]


TWO_SIDED = pytest.mark.parametrize("two_sided", [False, True])


# --- what is right is accepted


@TWO_SIDED
def test_right_certificates(tmp_path, two_sided):
    path = write(tmp_path, manifest(two_sided=two_sided))
    report = verify_file(path)
    assert report == Report(path, rows=len(EXAMPLES), problems=[], notes=[])
    assert report.ok
    assert str(report) == f"{path}: 7 certificates, all hold"


def test_the_examples_cover_the_cases():
    """Ties, abstentions and both sides of one half are among the examples above."""
    predicted = [int(line.split("\t")[2]) for line in lines_of(manifest())[1:]]
    assert predicted == [7, 7, -1, 4, -1, -1, 0]


@TWO_SIDED
@pytest.mark.parametrize(
    "changes",
    [
        {"sigma": "1/4"},
        {"sigma": "2.5e-1", "alpha": "1/1000"},
        {
            "sigma": "255",
            "dataset__step": "1",
            "noise__step": "1",
            "noise__total_variation": "1e-7",
        },
        {"sigma": "0.001", "noise__step": "1/1024", "noise__total_variation": "1e-9"},
        {"alpha": "0.9"},  # bounds above k/n, where the tail's terms first rise
        {"alpha": "1e-9"},
        {"noise__total_variation": "0.01"},
        {"noise": {"kind": "float", "step": None, "total_variation": "0.0"}},
    ],
)
def test_right_certificates_of_other_runs(tmp_path, two_sided, changes):
    assert problems(write(tmp_path, manifest(two_sided=two_sided, **changes))) == []


@TWO_SIDED
@pytest.mark.parametrize("n", [1, 2, 17, 20_000, 1_000_000])
def test_right_certificates_of_all_counts(tmp_path, n, two_sided):
    """Float64 in the library and intervals in the verifier agree, wherever the count lies."""
    rng = np.random.default_rng(n)
    shares = [0, 0.3, 0.5, 0.501, 0.52, 0.6, 0.7, 0.9, 0.99, 0.999, 0.9999, 1 - 1 / n, 1]
    examples = {}
    for idx, share in enumerate(shares):
        top = round(share * n)
        second = int(rng.integers(0, n - top + 1))
        counts = {1: n - top - second, 5: top, 8: second}
        examples[idx] = (5, {5: 100}, {label: k for label, k in counts.items() if k})
    claims = manifest(n=n, indices=list(examples), two_sided=two_sided)
    assert problems(write(tmp_path, claims, lines_of(claims, examples))) == []


def test_a_billion_samples_that_all_agree(tmp_path):
    n = 10**9
    examples = {0: (5, {5: 100}, {5: n})}
    claims = manifest(n=n, indices=[0], noise__total_variation="2.6e-16")
    lines = lines_of(claims, examples)
    assert problems(write(tmp_path, claims, lines)) == []
    assert lines[1].split("\t")[3] > "1.36"


# --- a radius is judged exactly


def radius_in_digits(k, n, alpha, sigma, variation):
    """sigma Phi^-1(Clopper-Pearson bound - TV) to 40 digits, by mpmath's root finder."""
    with mpmath.workdps(60):

        def excess(p):
            return mpmath.betainc(k, n - k + 1, 0, p, regularized=True) - mpmath.mpf(alpha)

        low, high = mpmath.mpf(0), mpmath.mpf(1)
        for _ in range(180):
            middle = (low + high) / 2
            low, high = (low, middle) if excess(middle) > 0 else (middle, high)
        p = low - mpmath.mpf(variation)
        return sigma * mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1)


@pytest.mark.parametrize("k", [70, 85, 99, 100])
def test_the_largest_radius_that_holds_is_found_to_the_last_digit(tmp_path, k):
    """Just below it a radius holds, just above it does not, and far below it was changed."""
    variation = "0.001"
    exact = radius_in_digits(k, 100, "0.001", mpmath.mpf(1000), variation)
    claims = manifest(
        n=100, sigma="1000", indices=[0], noise__total_variation=variation, dataset__step="1",
        noise__step="1",
    )  # fmt: skip
    selection, estimation = {5: 100}, {5: k} | ({6: 100 - k} if k < 100 else {})
    # sigma = 1000, so that the sixth decimal is the ninth digit; rounding may cost 1e-6 + 1e-5.
    below = Fraction(int(mpmath.floor(exact * 10**6)), 10**6)
    basis = f" ({k} of 100 for class 5)"
    for steps, verdict in [
        (0, []),
        (1, [f":2: radius: larger than its counts allow{basis}"]),
        (-9, []),
        (-12, [f":2: radius: smaller than its counts give, by more than rounding{basis}"]),
    ]:
        radius = f"{float(below + Fraction(steps, 10**6)):.6f}"
        assert Fraction(radius) == below + Fraction(steps, 10**6)
        line = line_of(0, 5, selection, estimation, claims, radius=radius)
        assert problems(write(tmp_path, claims, [HEADER, line])) == verdict


@TWO_SIDED
def test_one_more_or_less_in_the_last_digit(tmp_path, two_sided):
    """Each radius of the examples, up and down by 0.000001."""
    claims = manifest(two_sided=two_sided)
    rival = {0: ", 0 for the next", 1: ", 6 for the next", 3: ", 300 for the next"}
    for idx, basis in [
        (0, "1000 of 1000 for class 7"),
        (1, "990 of 1000 for class 7"),
        (3, "700 of 1000 for class 4"),
    ]:
        basis += rival[idx] if two_sided else ""
        for change, verdict in [(1, "larger than its counts allow"), (-1, "smaller than its ")]:
            lines = lines_of(claims)
            fields = lines[idx + 1].split("\t")
            fields[3] = f"{float(fields[3]) + change * 1e-6:.6f}"
            lines[idx + 1] = "\t".join(fields)
            (found,) = problems(write(tmp_path, claims, lines))
            assert found.startswith(f":{idx + 2}: radius: {verdict}")
            assert found.endswith(f" ({basis})")


@TWO_SIDED
@pytest.mark.parametrize("radius", ["0.500000", "9.951234", "999999999.000000"])
def test_a_radius_far_too_large(tmp_path, radius, two_sided):
    claims = manifest(indices=[3], two_sided=two_sided)
    basis = "700 of 1000 for class 4" + two_sided * ", 300 for the next"
    lines = [HEADER, line_of(3, *EXAMPLES[3], claims, radius=radius)]
    assert problems(write(tmp_path, claims, lines)) == [
        f":2: radius: larger than its counts allow ({basis})"
    ]


@pytest.mark.parametrize(
    ("two_sided", "basis"),
    [(False, "500 of 1000 for class 2"), (True, "500 of 1000 for class 2, 500 for the next")],
)
def test_a_certificate_without_grounds(tmp_path, two_sided, basis):
    claims = manifest(indices=[2], two_sided=two_sided)
    lines = [HEADER, line_of(2, *EXAMPLES[2], claims, predict=2, correct=1)]
    assert problems(write(tmp_path, claims, lines)) == [
        f":2: predict: must be -1, its counts certify nothing ({basis})"
    ]


@TWO_SIDED
def test_a_certificate_for_a_class_that_was_never_counted(tmp_path, two_sided):
    claims = manifest(indices=[4], two_sided=two_sided)
    lines = [HEADER, line_of(4, *EXAMPLES[4], claims, predict=1, correct=1, radius="0.000001")]
    (found,) = problems(write(tmp_path, claims, lines))
    assert found.startswith(":2: radius: larger than its counts allow (0 of 1000 for class 1")


def test_an_abstention_without_grounds(tmp_path):
    claims = manifest(indices=[6])
    lines = [HEADER, line_of(6, *EXAMPLES[6], claims, predict=-1, correct=0, radius="0.000000")]
    assert problems(write(tmp_path, claims, lines)) == [
        ":2: predict: -1, but its counts certify class 0 (550 of 1000 for class 0)"
    ]


def test_two_sided_certifies_below_one_half(tmp_path):
    """480 of 1000 is no majority, but far from the 270 of the runner-up: Theorem 1 applies."""
    examples = {0: (5, {5: 100}, {1: 250, 5: 480, 8: 270})}
    claims = manifest(indices=[0], two_sided=True)
    lines = lines_of(claims, examples)
    assert float(lines[1].split("\t")[3]) > 0.03
    assert problems(write(tmp_path, claims, lines)) == []
    one_sided = manifest(indices=[0])
    (found,) = problems(write(tmp_path, one_sided, lines))
    assert found == ":2: radius: larger than its counts allow (480 of 1000 for class 5)"


def test_an_exact_tie_is_not_decided(tmp_path):
    """One sample of one, alpha = 1/2, radius 0: the tail is alpha exactly, which no ball shows."""
    claims = manifest(
        n=1,
        alpha="1/2",
        indices=[0],
        noise={"kind": "float", "step": None, "total_variation": "0"},
    )
    lines = [HEADER, "0\t5\t5\t0.000000\t1\t0.1\t5:100\t5:1".replace("0.1\t", "0.100\t")]
    assert problems(write(tmp_path, claims, lines)) == [
        ":2: radius: too close to the largest that holds to be told apart from it"
    ]


# --- the mathematics, function by function


@pytest.mark.parametrize("bits", [64, 128, 300])
@pytest.mark.parametrize(
    ("k", "n", "p"),
    [
        (1, 1, "0.3"),
        (5, 10, "0.3"),
        (5, 10, "0.5"),
        (5, 10, "0.95"),  # the terms first rise
        (10, 10, "0.9"),
        (60, 100, "0.45"),
        (900, 1000, "0.85"),
        (990, 1000, "0.97"),
        (999, 1000, "0.999"),
        (1, 1000, "1e-6"),
        (1000, 1000, "0.5"),
        (600_000, 1_000_000, "0.598"),
    ],
)
def test_the_binomial_tail_is_enclosed_tightly(k, n, p, bits):
    with flint.ctx.workprec(bits):
        ball = arb(p)
        tail, ratio = verifier._binomial_tail(k, n, ball, 1 - ball)
        assert tail.rel_accuracy_bits() > bits // 2 - 8
        assert ratio.rel_accuracy_bits() > bits // 2 - 8
    with flint.ctx.workprec(400):
        exact = arb(p).beta_lower(k, n - k + 1, True)
        first = arb(n + 1).lgamma() - arb(k + 1).lgamma() - arb(n - k + 1).lgamma()
        first = (first + k * arb(p).log() + (n - k) * (1 - arb(p)).log()).exp()
        assert tail.overlaps(exact)
        assert ratio.overlaps(exact / first)


def test_the_binomial_tail_against_exact_fractions():
    p, n, k = Fraction(3, 10), 12, 7
    exact = sum(math.comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(k, n + 1))
    with flint.ctx.workprec(200):
        ball = verifier._ball(p)
        tail, _ = verifier._binomial_tail(k, n, ball, 1 - ball)
        assert tail.overlaps(verifier._ball(exact))
        assert tail.rel_accuracy_bits() > 180


@pytest.mark.parametrize("bits", [64, 128, 256])
@pytest.mark.parametrize(
    ("k", "n", "level"),
    [(1, 1, "0.001"), (1, 1000, "0.001"), (500, 1000, "0.0005"), (999, 1000, "0.45"),
     (1000, 1000, "0.0005"), (99_000, 100_000, "0.0005"), (3, 10**6, "1e-9")],
)  # fmt: skip
def test_the_lower_bound_is_enclosed_tightly(k, n, level, bits):
    with flint.ctx.workprec(bits):
        p = verifier._lower_bound(k, n, arb(level))
        assert p.rel_accuracy_bits() > bits // 2 - 12
    with flint.ctx.workprec(400):
        low, high = (
            verifier._binomial_tail(k, n, arb(end), 1 - arb(end))[0]
            for end in (p.lower(), p.upper())
        )
        assert low < arb(level) < high


def test_the_lower_bound_of_nothing_is_nothing():
    assert verifier._lower_bound(0, 10, arb("0.001")) == 0


@pytest.mark.parametrize("bits", [8, 12, 16, 24, 32])
def test_a_bound_that_cannot_be_certified_holds_everything(bits):
    with flint.ctx.workprec(bits):
        p = verifier._lower_bound(900, 1000, arb("0.001"))
    with flint.ctx.workprec(300):
        exact = verifier._lower_bound(900, 1000, arb("0.001"))
    assert p.overlaps(exact)


@pytest.mark.parametrize("side", [-1, 1])
def test_a_bound_certified_on_one_side_only_holds_everything(monkeypatch, side):
    """The tail is p itself (k = n = 1), but on one side of the root too blurred to tell."""
    level = arb("0.125")

    def tail(k, n, p, q):
        assert (p + q - 1).contains(arb(0))
        blurred = (p - level) * side > 0
        return (arb("0.125", "0.1") if blurred else p), arb(1)

    monkeypatch.setattr(verifier, "_binomial_tail", tail)
    p = verifier._lower_bound(1, 1, level)
    assert p.contains(arb(0))
    assert p.contains(arb(1))


def test_a_tail_without_a_probability_is_no_number():
    for q in (arb(0), arb(0, "1e-3")):
        assert all(ball.is_nan() for ball in verifier._binomial_tail(5, 10, 1 - q, q))


@pytest.mark.parametrize("p", ["1e-9", "0.1", "0.5", "0.975", "0.9999999"])
def test_the_quantile(p):
    with mpmath.workdps(50):
        exact = mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(p) - 1)
        with flint.ctx.workprec(120):
            found = verifier._quantile(arb(p))
            assert abs(found - arb(str(exact))) < 1e-25


def test_precision_is_raised_until_it_tells_and_then_restored():
    before = flint.ctx.prec
    tried = []

    def margin(last):
        tried.append(flint.ctx.prec)
        return arb(last) if flint.ctx.prec == 512 else arb(0, 1)

    assert verifier._is_positive(lambda: margin(1)) is True
    assert verifier._is_positive(lambda: margin(-1)) is False
    assert tried == 2 * [64, 128, 256, 512]
    assert verifier._is_positive(lambda: arb(0)) is None
    assert verifier._is_positive(lambda: arb("nan")) is None
    assert flint.ctx.prec == before


@pytest.mark.parametrize("ratio", ["1/25", "1/20", "1/2", "4", "30.6", "127"])
@pytest.mark.parametrize("d", [1, 64])
def test_the_total_variation_that_is_asked_for(ratio, d):
    """(2R + 2) thresholds off by 2^-64 each, R the first k whose tail rounds to no unit."""
    with mpmath.workdps(40):
        s = mpmath.mpf(Fraction(ratio).numerator) / Fraction(ratio).denominator
        reach = next(
            k for k in itertools.count() if mpmath.ncdf(-(k + mpmath.mpf("0.5")) / s) < 2.0**-64
        )
    found = verifier._least_variation(Fraction(ratio) / 16, Fraction(1, 16), d)
    assert found == Fraction(d * (2 * reach + 2), 2**64)


# --- changed rows


def changed(folder, idx, /, **changes):
    claims = manifest()
    lines = lines_of(claims)
    lines[idx + 1] = line_of(idx, *EXAMPLES[idx], claims, **changes)
    return problems(write(folder, claims, lines))


@pytest.mark.parametrize(
    ("idx", "changes", "words"),
    [
        (0, {"estimation": "7:999"}, "estimation: the counts add up to 999, not to 1000"),
        (0, {"estimation": "7:1001"}, "estimation: the counts add up to 1001, not to 1000"),
        (0, {"selection": "7:99"}, "selection: the counts add up to 99, not to 100"),
        (1, {"estimation": "3:5 7:989 8:6"}, "radius: larger than its counts allow (989 of 1000"),
        (1, {"estimation": "3:3 7:991 8:6"}, "radius: smaller than its counts give, by more than "),
        (1, {"estimation": "3:5 7:990 8:5"}, None),  # the losers' votes decide no radius
        (1, {"estimation": "7:4 3:990 8:6"}, "estimation: the classes are not ascending"),
        (1, {"estimation": "3:4 3:990 8:6"}, "estimation: the classes are not ascending"),
        (1, {"estimation": "3:4 7:990 10:6"}, "estimation: there is no class 10"),
        (1, {"selection": "7:90 8:0 9:10"}, "selection: holds a zero count"),
        (1, {"selection": "7:10 8:90"}, "predict: 7, but class 8 has the most selection counts"),
        (3, {"predict": 6, "correct": 0}, "predict: 6, but class 4 has the most selection counts"),
        (0, {"label": 6}, "correct: must be 0"),
        (0, {"label": 6, "correct": 0}, None),  # nobody can know the true label
        (0, {"label": 10, "correct": 0}, "label: there is no class 10"),
        (0, {"correct": 0}, "correct: must be 1"),
        (1, {"correct": 1}, "correct: must be 0"),
        (2, {"radius": "0.000001"}, "radius: must be 0 where it abstains"),
        (0, {"idx": 499}, "idx: 499 is not one of the manifest's indices"),
        (0, {"radius": "0.5"}, f"not a row of {HEADER.replace(chr(9), ' ')}"),
        (0, {"radius": "nan"}, f"not a row of {HEADER.replace(chr(9), ' ')}"),
        (0, {"radius": "-0.500000"}, f"not a row of {HEADER.replace(chr(9), ' ')}"),
        (0, {"time": "1"}, f"not a row of {HEADER.replace(chr(9), ' ')}"),
        (0, {"correct": 2}, f"not a row of {HEADER.replace(chr(9), ' ')}"),
        (0, {"predict": -2}, f"not a row of {HEADER.replace(chr(9), ' ')}"),
        (0, {"selection": "7:100 "}, f"not a row of {HEADER.replace(chr(9), ' ')}"),
        (0, {"selection": "7"}, f"not a row of {HEADER.replace(chr(9), ' ')}"),
        (0, {"idx": "9" * 5000}, f"not a row of {HEADER.replace(chr(9), ' ')}"),
    ],
)
def test_a_changed_field(tmp_path, idx, changes, words):
    found = changed(tmp_path, idx, **changes)
    if words is None:
        assert found == []
        return
    assert found[0].startswith(f":{idx + 2}: {words}")
    # A row whose index cannot be believed leaves its example without one.
    missing = ": 1 of 7 examples have no row, the first is 0"
    assert found[1:] == ([missing] if "idx" in changes else [])


def test_a_row_twice(tmp_path):
    claims = manifest()
    lines = lines_of(claims)
    path = write(tmp_path, claims, [*lines, lines[3]])
    assert problems(path) == [":9: idx: 2 is there already, in line 4"]
    broken = lines[3].replace("\t0\t", "\t1\t")
    assert problems(write(tmp_path, claims, [*lines[:3], broken, *lines[3:]])) == [
        ":4: correct: must be 0",
        ":5: idx: 2 is there already, in line 4",
    ]


def test_missing_rows(tmp_path):
    claims = manifest()
    lines = lines_of(claims)
    path = write(tmp_path, claims, [lines[0], *lines[2:5]])
    words = ": 4 of 7 examples have no row, the first is 0"
    assert problems(path) == [words]
    report = verify_file(path, allow_incomplete=True)
    assert report.ok
    assert report.rows == 3
    assert report.notes == [f"{path}{words}"]
    assert str(report) == f"{path}: 3 certificates, all hold\n{path}{words}"


def test_every_problem_is_reported(tmp_path):
    claims = manifest()
    lines = lines_of(claims)
    path = write(tmp_path, claims, [lines[0].upper(), lines[1].replace("7:100", "7:9"), *lines[3:]])
    (tmp_path / "models" / "cnn.safetensors").write_bytes(b"another")
    found = verify_file(path).problems
    assert len(found) == 4
    assert [problem.split(": ")[1] for problem in found] == [
        "model.sha256",
        f"the header must be {HEADER.replace(chr(9), ' ')}",
        "selection",
        "1 of 7 examples have no row, the first is 1",
    ]
    assert str(verify_file(path)) == f"{path}: 6 certificates, 4 problems"


def test_a_cut_file(tmp_path):
    claims = manifest()
    path = write(tmp_path, claims)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert problems(path) == [
        ":8: incomplete: no newline at its end",
        ": 1 of 7 examples have no row, the first is 6",
    ]
    path.write_bytes(b"")
    assert problems(path) == [
        ":1: empty: not even a header",
        ": 7 of 7 examples have no row, the first is 0",
    ]
    path.write_bytes(whole.replace(b"\n", b"\r\n"))
    assert len(problems(path)) == 9 - 1


# --- changed manifests


def test_long_values_are_cut_in_messages(tmp_path):
    for value, shown in [("x" * 58, f'"{"x" * 58}"'), ("x" * 59, f'"{"x" * 56}...')]:
        (found,) = verify_file(write(tmp_path, manifest(format=value), [HEADER])).problems
        assert found.endswith(f'must be "rslib-certificates/1", got {shown}')


POSITIVE = "must be positive, got"
NUMBER = "must be a decimal or a fraction in a string, got"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("format", "rslib-certificates/2", 'must be "rslib-certificates/1", got "rslib-cert'),
        ("format", None, 'must be "rslib-certificates/1", got null'),
        ("dataset", 3, "missing"),
        ("dataset__size", 6, "must be distinct and below dataset.size, got [0, 1, 2, 3"),
        ("dataset__size", 0, "must be an integer from 1 to 10^12, got 0"),
        ("dataset__size", True, "must be an integer from 1 to 10^12, got true"),
        ("dataset__shape", [], "must be a list of integers, each at least 1, got []"),
        ("dataset__shape", [8, 0], "must be a list of integers, each at least 1, got [8, 0]"),
        ("dataset__shape", [8.0], "must be a list of integers, each at least 1, got [8.0]"),
        ("dataset__shape", 64, "must be a list of integers, each at least 1, got 64"),
        ("dataset__num_classes", 1, "must be an integer from 2 to 10^12, got 1"),
        ("dataset__num_classes", 9.0, "must be an integer from 2 to 10^12, got 9.0"),
        ("dataset__step", None, f"{NUMBER} null"),
        ("dataset__step", "1/24", 'must be a multiple of noise.step "1/16", got "1/24"'),
        ("dataset__step", "1/32", 'must be a multiple of noise.step "1/16", got "1/32"'),
        ("indices", [0, 1, 2, 3, 4, 5, 6, 6], "must be distinct and below dataset.size, got [0"),
        ("indices", [-1], "must be a list of integers, each at least 0, got [-1]"),
        ("indices", "0:7", 'must be a list of integers, each at least 0, got "0:7"'),
        ("model__file", 1, "must be a path, got 1"),
        ("model__sha256", "0", 'must be 64 hexadecimal digits, got "0"'),
        ("model__sha256", None, "must be 64 hexadecimal digits, got null"),
        ("sigma", "0", f'{POSITIVE} "0"'),
        ("sigma", "-1", f'{NUMBER} "-1"'),
        ("sigma", "1/0", f'{NUMBER} "1/0"'),
        ("sigma", "1e9999", f'{NUMBER} "1e9999"'),
        ("sigma", 0.25, f"{NUMBER} 0.25"),
        ("sigma", "nan", f'{NUMBER} "nan"'),
        (
            "sigma",
            "0.000625",
            'must be between noise.step / 100 and 10^6 noise.step, got "0.000625',
        ),
        ("sigma", "62500", 'must be between noise.step / 100 and 10^6 noise.step, got "62500"'),
        ("alpha", "0", f'{POSITIVE} "0"'),
        ("alpha", "1", 'must be below 1, got "1"'),
        ("n0", 0, "must be an integer from 1 to 10^12, got 0"),
        ("n", 10**12 + 1, "must be an integer from 1 to 10^12, got 1000000000001"),
        ("n", "1000", 'must be an integer from 1 to 10^12, got "1000"'),
        ("two_sided", 0, "must be true or false, got 0"),
        ("seed", "0", 'must be an integer, got "0"'),
        ("seed", 0.0, "must be an integer, got 0.0"),
        ("seed", -1, "must be non-negative, got -1"),
        ("noise__kind", "gaussian", 'must be "grid" or "float", got "gaussian"'),
        ("noise__kind", "float", "must be 0 for float noise (no bound is known), got "),
        ("noise__step", "0", f'{POSITIVE} "0"'),
        ("noise__total_variation", 0, f"{NUMBER} 0"),
        ("noise__total_variation", "0", "must be at least 2.56739e-16, d times the thresholds "),
    ],
)
def test_a_wrong_field_of_the_manifest(tmp_path, name, value, words):
    claims = manifest()
    lines = lines_of(claims)
    path = write(tmp_path, manifest(**{name: value}), lines)
    shown = {
        "dataset__size": "indices" if value == 6 else "dataset.size",
        "noise__kind": "noise.total_variation" if value == "float" else "noise.kind",
        "dataset": "dataset.size",
    }.get(name, name.replace("__", "."))
    (found,) = verify_file(path).problems
    assert found.startswith(f"{path.with_suffix('.json')}: {shown}: {words}")
    assert verify_file(path).rows == 0


@pytest.mark.parametrize(
    "name",
    ["format", "sigma", "alpha", "n", "n0", "two_sided", "seed", "indices", "noise.kind",
     "noise.step", "noise.total_variation", "dataset.size", "dataset.step", "dataset.shape",
     "dataset.num_classes", "model.file", "model.sha256"],
)  # fmt: skip
def test_a_missing_field_of_the_manifest(tmp_path, name):
    claims = manifest()
    *parents, last = name.split(".")
    del (claims[parents[0]] if parents else claims)[last]
    path = write(tmp_path, claims, [HEADER])
    assert verify_file(path).problems == [f"{path.with_suffix('.json')}: {name}: missing"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "not a manifest: Expecting value: line 1 column 1 (char 0)"),
        (b"[]", "not a manifest: must be a JSON object"),
        (b'{"a": 1, "a": 1}', "not a manifest: a key is there twice"),
        (b'{"a": NaN}', "not a manifest: NaN is not JSON"),
        (b"[" * 100_000, "not a manifest: nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not a manifest: Exceeds the limit (4300 digits) for "),
        (b"\xff", "not a manifest: 'utf-8' codec can"),
        (b"{}", "format: missing"),
    ],
)
def test_a_manifest_that_is_none(tmp_path, text, words):
    path = write(tmp_path, manifest())
    path.with_suffix(".json").write_bytes(text)
    (found,) = verify_file(path).problems
    assert found.startswith(f"{path.with_suffix('.json')}: {words}")


@pytest.mark.parametrize(
    "changes",
    [
        {"sigma": "0.26"},
        {"sigma": "0.24"},
        {"alpha": "0.00099"},
        {"alpha": "0.00101"},
        {"two_sided": True},
        {"noise__total_variation": "0.001"},
    ],
)
def test_claims_that_the_rows_do_not_bear_out(tmp_path, changes):
    """Each moves every radius: all that certify are noticed."""
    path = write(tmp_path, manifest(**changes), lines_of(manifest()))
    found = problems(path)
    assert [line[:3] for line in found] == [":2:", ":3:", ":5:", ":8:"]


def test_the_total_variation_may_be_the_least(tmp_path):
    """d = 64, sigma / step = 4: R = 36 and 74 thresholds a coordinate."""
    least = Fraction(64 * 74, 2**64)
    exact = f"{least.numerator}/{least.denominator}"
    lines = lines_of(manifest())
    assert problems(write(tmp_path, manifest(noise__total_variation=exact), lines)) == []
    lower = f"{least.numerator - 1}/{least.denominator}"
    path = write(tmp_path, manifest(noise__total_variation=lower), lines)
    (found,) = verify_file(path).problems
    words = (
        "noise.total_variation: must be at least 2.56739e-16, d times the thresholds times 2^-64"
    )
    assert found == f'{path.with_suffix(".json")}: {words}, got "{lower}"'


def test_float_noise_is_noted(tmp_path):
    claims = manifest(
        noise={"kind": "float", "step": None, "total_variation": "0"}, dataset__step=None
    )
    path = write(tmp_path, claims)
    report = verify_file(path)
    assert report.ok
    assert report.notes == [
        f"{path.with_suffix('.json')}: float noise: the certificates hold for exact Gaussian "
        "noise, which this is not"
    ]


# --- the model


def test_the_model_file(tmp_path):
    path = write(tmp_path, manifest())
    where = path.with_suffix(".json")
    model = tmp_path / "models" / "cnn.safetensors"
    model.write_bytes(WEIGHTS + b"!")
    now = hashlib.sha256(WEIGHTS + b"!").hexdigest()
    assert verify_file(path).problems == [
        f"{where}: model.sha256: the model file has {now}, not this hash"
    ]
    model.unlink()
    shown = path.parent / "../models/cnn.safetensors"
    gone = f"{where}: model.file: there is no file '{shown}'"
    report = verify_file(path)
    assert (report.problems, report.rows) == ([], 7)
    assert report.notes == [f"{gone}, so its hash is not checked"]
    assert verify_file(path, models=False).notes == []
    model.mkdir()
    assert verify_file(path).problems == [gone]


@pytest.mark.parametrize("name", ["\0", "\ud800", "x" * 5000, ""])
def test_an_impossible_model_file(tmp_path, name):
    path = write(tmp_path, manifest(model__file=name))
    (found,) = verify_file(path).problems
    assert found.startswith(f"{path.with_suffix('.json')}: model.file: ")
    found.encode()


def test_a_model_file_that_cannot_be_read(tmp_path, monkeypatch):
    path = write(tmp_path, manifest())

    def fail(*arguments):
        raise OSError("out of luck")

    monkeypatch.setattr(verifier.hashlib, "file_digest", fail)
    assert verify_file(path).problems == [
        f"{path.with_suffix('.json')}: model.file: cannot read it: 'out of luck'"
    ]


# --- files and folders


def test_files_that_are_not_there(tmp_path):
    path = tmp_path / "a.tsv"
    assert verify_file(path) == Report(
        path, problems=[f"{path}: cannot read: No such file or directory"]
    )
    assert verify_file(tmp_path).problems == [f"{tmp_path}: cannot read: Is a directory"]
    path.write_text("")
    assert verify_file(str(path)) == Report(
        path,
        problems=[f"{tmp_path / 'a.json'}: cannot read the manifest: No such file or directory"],
    )


@pytest.mark.parametrize("end", ["\n", "", "\n0\t0\t0\t0.165\t1\t0:02:31.238689\n"])
def test_a_log_of_the_original_authors(tmp_path, end):
    path = tmp_path / "sigma_0.25"
    path.write_text("idx\tlabel\tpredict\tradius\tcorrect\ttime" + end)
    report = verify_file(path)
    assert report.problems == [f"{path}: cannot be verified: no counts"]
    assert not report.ok


def test_folders_are_walked(tmp_path):
    for name in ("b", "a/deeper", "c"):
        write(tmp_path / name, manifest())
    (tmp_path / "a" / "notes.txt").write_text("")
    (tmp_path / "c" / "certify" / "sigma_0.25.tsv").write_text("x\n")
    reports = verify_paths([tmp_path])
    assert [report.path for report in reports] == [
        tmp_path / name / "certify" / "sigma_0.25.tsv" for name in ("a/deeper", "b", "c")
    ]
    assert [report.ok for report in reports] == [True, True, False]
    one = tmp_path / "b" / "certify" / "sigma_0.25.tsv"
    assert [report.path for report in verify_paths([str(one), tmp_path / "a"])] == [
        one,
        reports[0].path,
    ]


def test_options_are_handed_on(tmp_path):
    claims = manifest()
    path = write(tmp_path, claims, lines_of(claims)[:-1])
    (tmp_path / "models" / "cnn.safetensors").write_bytes(b"another")
    for given in (path, tmp_path):
        assert [len(report.problems) for report in verify_paths([given])] == [2]
        assert [len(r.problems) for r in verify_paths([given], models=False)] == [1]
        assert [len(r.problems) for r in verify_paths([given], allow_incomplete=True)] == [1]


def test_a_folder_without_files(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    assert verify_paths([tmp_path, tmp_path / "x.tsv"]) == [
        Report(tmp_path, problems=[f"{tmp_path}: holds no certificate file (*.tsv)"]),
        Report(
            tmp_path / "x.tsv",
            problems=[f"{tmp_path / 'x.tsv'}: cannot read: No such file or directory"],
        ),
    ]


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    write(tmp_path, manifest())
    real, shut = os.scandir, tmp_path / "models"

    def scandir(folder):
        if Path(folder) == shut:
            raise PermissionError(13, "Permission denied", str(folder))
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    unread = Report(shut, problems=[f"{shut}: cannot read the folder: Permission denied"])
    reports = verify_paths([tmp_path])
    assert len(reports) == 2
    assert reports[1] == unread
    assert verify_paths([shut]) == [unread]


def test_it_stands_alone():
    """Run as a lone file, the verifier loads nothing of the library, and no torch or NumPy."""
    code = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('alone', {verifier.__file__!r})\n"
        "module = sys.modules['alone'] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "print([name for name in ('rslib', 'torch', 'numpy', 'scipy') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


# --- runs that may stop early


def stopping(name, **more):
    """A manifest of a run that may stop, of up to 1,000 samples."""
    fields = {"at": {"radii": ["0", "0.1", "0.25", "0.5"]}, "radius-loss": {"loss": "0.05"}}
    return manifest(indices=[0], method={"name": name, **fields.get(name, {}), **more})


def sequential_line(claims, counts, predict=None, radius=None):
    """The line that the library would write for counts of class 5 and others."""
    k, t = counts
    n, alpha, variation = claims["n"], float(claims["alpha"]), float(VARIATION)
    bound = sequential.stopped_lower_bound(k, t, n, alpha) - variation
    found = float(certificates.certified_radius(bound, 0.25)) if bound > 0.5 else -1.0
    if claims["method"]["name"] == "at":
        asked = [float(r) for r in claims["method"]["radii"]]
        found = max([r for r in asked if r < found], default=-1.0)
        digits = f"{max(found, 0):.6f}"
    else:
        digits = f"{max(0, math.floor((found - 1e-9) * 1e6)) / 1e6:.6f}"
    changes = {"predict": 5 if found >= 0 else -1, "radius": digits}
    changes |= {} if predict is None else {"predict": predict}
    changes |= {} if radius is None else {"radius": radius}
    changes["correct"] = int(changes["predict"] == 5)
    estimation = {c: v for c, v in {5: k, 6: t - k}.items() if v}
    return line_of(0, 5, {5: 100}, estimation, claims, **changes)


def sequential_problems(folder, claims, *arguments, **named):
    line = sequential_line(claims, *arguments, **named)
    return problems(write(folder, claims, [HEADER, line]))


@pytest.mark.parametrize("name", ["at", "radius-loss"])
@pytest.mark.parametrize(
    "counts",
    [(12, 12), (13, 13), (40, 40), (90, 100), (300, 500), (1000, 1000), (980, 1000), (556, 1000),
     (557, 1000), (558, 1000), (0, 60), (30, 60), (1, 1), (700, 999), (995, 999)],
)  # fmt: skip
def test_right_rows_of_sequential_runs(tmp_path, name, counts):
    """Float64 and the incomplete beta function there, intervals and a series here."""
    assert sequential_problems(tmp_path, stopping(name), counts) == []


@pytest.mark.parametrize("n", [60_000, 10**6])
def test_right_rows_of_long_sequential_runs(tmp_path, n):
    claims = stopping("radius-loss") | {"n": n}
    for share in (0.503, 0.7, 0.99, 0.9999, 1):
        for t in (n // 7, n):
            assert sequential_problems(tmp_path, claims, (round(share * t), t)) == []


def evidence_in_digits(k, t, p):
    """The mean wealth of the bettors by integrating over their stakes, to 30 digits."""
    with mpmath.workdps(30):
        p, total = mpmath.mpf(p.numerator) / p.denominator, mpmath.mpf(0)
        for b, weight in (("0.5", "0.6"), ("4", "0.4")):
            b = mpmath.mpf(b)

            def wealth(s, b=b):
                u = 1 - s ** (1 / b)
                return (1 + u * (1 - p) / p) ** k * (1 - u) ** (t - k)

            points = [0, mpmath.mpf("1e-6"), mpmath.mpf("1e-3"), 0.03, 0.2, 0.5, 0.8, 1]
            total += mpmath.mpf(weight) * mpmath.quad(wealth, points)
        return total


@pytest.mark.parametrize("bits", [64, 256])
@pytest.mark.parametrize(
    ("k", "t", "p"),
    [(13, 13, "1/2"), (9, 10, "1/3"), (30, 40, "1/2"), (80, 81, "9/10"), (60, 100, "1/2")],
)
def test_the_evidence_is_enclosed(k, t, p, bits):
    p = Fraction(p)
    with flint.ctx.workprec(bits):
        found = verifier._evidence(k, t, verifier._ball(p), verifier._ball(1 - p), arb(10**9))
        exact = arb(mpmath.nstr(evidence_in_digits(k, t, p), 25))
        assert abs(found - exact) < exact * arb("1e-9")
        assert found.rad() < exact * arb("1e-9")


def test_evidence_stops_where_it_is_enough():
    with flint.ctx.workprec(64):
        found = verifier._evidence(10**8, 10**8, arb("0.5"), arb("0.5"), arb(2000))
        assert found > 2000  # after a few terms of a hundred million
        unknown = verifier._evidence(8, 10, arb("0.5", "0.1"), arb("0.5", "0.1"), arb(2000))
        exact = verifier._evidence(8, 10, arb("0.5"), arb("0.5"), arb(2000))
        assert exact > 1 and unknown.contains(exact)


@pytest.mark.parametrize("steps", [-3, 1])
@pytest.mark.parametrize("counts", [(90, 100), (1000, 1000), (980, 1000)])
def test_a_sequential_radius_is_judged_exactly(tmp_path, counts, steps):
    claims = stopping("radius-loss")
    digits = sequential_line(claims, counts).split("\t")[3]
    radius = f"{float(digits) + steps * 1e-6:.6f}"
    (found,) = sequential_problems(tmp_path, claims, counts, radius=radius)
    words = "larger than its counts allow" if steps > 0 else "smaller than its counts give"
    assert words in found and f"{counts[0]} of {counts[1]}" in found


def test_the_ordinary_bound_is_for_the_last_sample_only(tmp_path):
    """557 of 1,000 certify radius 0 as the last of 1,000 samples, and as a look on the way not."""
    claims = stopping("at")
    assert sequential_problems(tmp_path, claims, (557, 1000), predict=5) == []
    (found,) = sequential_problems(tmp_path, claims | {"n": 1001}, (557, 1000), predict=5)
    assert "certify nothing (557 of 1000 for class 5)" in found


def test_a_radius_that_fixed_samples_would_give_is_too_large_for_a_look(tmp_path):
    p_a = confidence.lower_bound(90, 100, 0.001)
    radius = f"{float(certificates.certified_radius(p_a, 0.25)) - 1e-5:.6f}"
    claims = stopping("radius-loss")
    (found,) = sequential_problems(tmp_path, claims, (90, 100), predict=5, radius=radius)
    assert "larger than its counts allow" in found


@pytest.mark.parametrize(
    ("counts", "changes", "words"),
    [
        (
            (40, 40),
            {"radius": "0.200000"},
            "2: radius: not one of those that the manifest asks for",
        ),
        ((200, 200), {"radius": "0.100000"}, "smaller than its counts give"),
        ((200, 200), {"predict": -1, "radius": "0.000000"}, "-1, but its counts certify class 5"),
        ((40, 40), {"radius": "0.500000"}, "larger than its counts allow"),
        ((12, 12), {"predict": 5}, "its counts certify nothing"),
        ((1001, 1001), {}, "the counts add up to 1001, not to at most 1000"),
    ],
)
def test_wrong_rows_at_given_radii(tmp_path, counts, changes, words):
    claims = stopping("at")
    if counts[1] > 1000:
        line = sequential_line(claims, (1000, 1000)).replace("5:1000", "5:1001")
        (found,) = problems(write(tmp_path, claims, [HEADER, line]))
    else:
        (found,) = sequential_problems(tmp_path, claims, counts, **changes)
    assert words in found


def test_early_abstentions(tmp_path):
    """An abstention may rest on any number of samples, a certificate on all n only."""
    claims = stopping("early-abstain")
    line = line_of(0, 5, {5: 100}, {5: 30, 6: 40}, claims, predict=-1, radius="0.000000", correct=0)
    assert problems(write(tmp_path, claims, [HEADER, line])) == []
    # It need not be wise: 60 of 60 would certify if they were all that was asked for.
    hasty = line_of(0, 5, {5: 100}, {5: 60}, claims, predict=-1, radius="0.000000", correct=0)
    assert problems(write(tmp_path, claims, [HEADER, hasty])) == []
    full = line_of(0, 5, {5: 100}, {5: 900, 6: 100}, claims)
    assert problems(write(tmp_path, claims, [HEADER, full])) == []
    for radius in (full.split("\t")[3], "0.000001"):
        short = line_of(
            0, 5, {5: 100}, {5: 899, 6: 100}, claims, predict=5, radius=radius, correct=1
        )
        (found,) = problems(write(tmp_path, claims, [HEADER, short]))
        assert "the counts add up to 999, not to 1000" in found
    gave_up = line_of(
        0, 5, {5: 100}, {5: 900, 6: 100}, claims, predict=-1, radius="0.000000", correct=0
    )
    (found,) = problems(write(tmp_path, claims, [HEADER, gave_up]))
    assert "-1, but its counts certify class 5" in found
    fixed = manifest(indices=[0])
    (found,) = problems(write(tmp_path, fixed, [HEADER, line]))
    assert "the counts add up to 70, not to 1000" in found


def test_a_radius_that_was_shown_and_lost_again(tmp_path):
    """The example of test_smoothing: 27 of 27 answers show 0.25, and 246 of all 284 do not."""
    changes = {"alpha": "0.05", "n": 3000}
    claims = stopping("at", radii=["0.2", "0.25", "0.35"]) | changes

    def found(estimation, predict=0, radius="0.250000"):
        line = line_of(0, 0, {0: 87, 1: 13}, {0: 1}, claims, predict=predict, radius=radius,
                       correct=int(predict == 0), estimation=estimation)  # fmt: skip
        return problems(write(tmp_path, claims, [HEADER, line]))

    assert found("0:27 of 284") == []
    (problem,) = found("0:246 1:38")
    assert "radius: larger than its counts allow" in problem
    (problem,) = found("0:27 of 284", radius="0.200000")
    assert "radius: smaller than its counts give" in problem
    (problem,) = found("0:27 of 284", radius="0.350000")
    assert "radius: larger than its counts allow" in problem
    (problem,) = found("0:27 of 284", predict=-1, radius="0.000000")
    assert "27 of 284, but all samples drawn are to be counted" in problem


@pytest.mark.parametrize(
    ("name", "of", "words"),
    [
        ("at", "60", "estimation: 60 of 60, not of more and at most 1000 samples"),
        ("at", "59", "estimation: 60 of 59, not of more and at most 1000 samples"),
        ("at", "1001", "estimation: 60 of 1001, not of more and at most 1000 samples"),
        ("at", "", "not a row of"),
        ("at", "-1", "not a row of"),
        ("radius-loss", "100", "60 of 100, but all samples drawn are to be counted"),
    ],
)
def test_rows_that_say_a_wrong_number_of_samples_drawn(tmp_path, name, of, words):
    claims = stopping(name)
    line = sequential_line(claims, (60, 60))
    assert problems(write(tmp_path, claims, [HEADER, line])) == []
    (found,) = problems(write(tmp_path, claims, [HEADER, line + f" of {of}"]))
    assert words in found
    if name == "at":
        for most in ("61", "1000"):
            assert problems(write(tmp_path, claims, [HEADER, line + f" of {most}"])) == []


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ({"name": 3}, "method.name: must be a string, got 3"),
        (
            {"name": "peeking"},
            'method.name: must be "early-abstain", "radius-loss" or "at", got "peeking"',
        ),
        ({"name": "fixed"}, "method.name: must be"),
        ("at", "method.name: missing"),
        ({}, "method.name: missing"),
        ({"name": "at"}, "method.radii: missing"),
        ({"name": "at", "radii": "0.5"}, 'method.radii: must be a list, got "0.5"'),
        ({"name": "at", "radii": []}, "method.radii: must be ascending, and not empty"),
        ({"name": "at", "radii": ["0.5", "0.25"]}, "method.radii: must be ascending"),
        ({"name": "at", "radii": ["0.5", "0.50"]}, "method.radii: must be ascending"),
        ({"name": "at", "radii": [0.5]}, "method: must be decimals with at most 6 places"),
        ({"name": "at", "radii": ["1e-3"]}, "method: must be decimals with at most 6 places"),
        *(
            (
                {"name": "at", "radii": ["0"], "give_up": chance},
                "method.give_up: must be a decimal above 0 and at most 0.5, got",
            )
            for chance in ("0", "0.6", "1e-2")
        ),
        ({"name": "at", "radii": ["0"], "give_up": 0.1}, "method.give_up: must be a string"),
        ({"name": "radius-loss"}, "method.loss: missing"),
        ({"name": "radius-loss", "loss": 0.05}, "method.loss: must be a string, got 0.05"),
        ({"name": "radius-loss", "loss": "-0.05"}, "method: must be decimals"),
    ],
)
def test_a_wrong_method(tmp_path, method, words):
    claims = manifest(indices=[0]) | {"method": method}
    line = line_of(0, 5, {5: 100}, {5: 1000}, claims)
    (found,) = problems(write(tmp_path, claims, [HEADER, line]))
    assert words in found


def test_the_largest_number_of_samples(tmp_path):
    claims = manifest(indices=[0], n=10**12)
    line = line_of(0, 5, {5: 100}, {5: 1000}, claims | {"n": 1000})
    (found,) = problems(write(tmp_path, claims, [HEADER, line]))
    assert "the counts add up to 1000, not to 1000000000000" in found


def test_two_sided_goes_with_no_method_that_stops(tmp_path):
    claims = stopping("early-abstain") | {"two_sided": True}
    line = line_of(0, 5, {5: 100}, {5: 1000}, claims)
    (found,) = problems(write(tmp_path, claims, [HEADER, line]))
    assert "two_sided: must be false where a run may stop early, got true" in found
