r"""Recomputes certificates from their counts, in interval arithmetic, trusting nothing.

A verifier that shared code with the certifier would repeat its mistakes. This module imports
nothing else of the library: it reads the files with its own parser, and every real number in it is
a ball of Arb (python-flint), an interval that provably holds the true value. Where a ball is too
wide to decide, the precision is raised.

A radius r, one-sided, is right if and only if the counts reject, at level alpha, that the class has
a probability of at most :math:`p = \Phi(r/\sigma) + TV`:

.. math:: P(\mathrm{Bin}(n, p) \ge k) \le \alpha ,

where k of n noisy copies got the class and TV bounds how far the sampler is from true Gaussian
noise. No quantile needs inverting. The two-sided radius of Theorem 1 needs both Clopper-Pearson
bounds, which are enclosed by Newton's method and certified by their sign on either side.

A run that may have stopped early is judged by evidence that is valid at every sample number. With
k of t answers for the class and m = t - k others, and p as above, it is

.. math:: E = \sum_{(b, w)} w \sum_{j=0}^{k} \frac{b}{m + b} \prod_{i=1}^{j}
   \frac{k - i + 1}{m + b + i} \cdot \frac{1 - p}{p} ,
   \qquad (b, w) \in \{(\tfrac12, \tfrac35), (4, \tfrac25)\},

and must be at least :math:`1/(0.8\,\alpha)`; or, where all n samples were taken, the binomial
tail must be at most :math:`0.2\,\alpha`. E falls as p grows, so one value of p is enough. At which
sample the run stopped, and why, does not matter. Nor does what came after it: a run that was asked
about given radii keeps one that it has shown. Its row holds the counts at the look that showed the
radius, and where more samples were drawn says of how many these are: ``7:60 of 284``.

What it cannot know: whether the counts are those the network gave (``rslib verify --replay`` draws
some again), and whether ``label`` is the data set's.

References
----------
cohen2019, Theorem 1 and Algorithm 1; clopper1934; ville1939. Chapters 12 and 13.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path

from flint import arb, ctx, fmpq

__all__ = ["Report", "verify_file", "verify_paths"]

_FORMAT = "rslib-certificates/1"
_LOG_HEADER = b"idx\tlabel\tpredict\tradius\tcorrect\ttime"
_HEADER = _LOG_HEADER + b"\tselection\testimation"
_COUNTS = rb"((?:[0-9]{1,15}:[0-9]{1,15} )*[0-9]{1,15}:[0-9]{1,15})"
_ROW = re.compile(
    rb"([0-9]{1,15})\t([0-9]{1,15})\t(-1|[0-9]{1,15})\t([0-9]{1,9}\.[0-9]{6})\t([01])\t"
    rb"[0-9]{1,12}\.[0-9]{3}\t" + _COUNTS + rb"\t" + _COUNTS + rb"(?: of ([0-9]{1,15}))?"
)
_NUMBER = re.compile(r"[0-9]{1,30}(\.[0-9]{1,60})?([eE][+-]?[0-9]{1,3})?|[0-9]{1,30}/[0-9]{1,30}")
_BITS = (64, 128, 256, 512)  # working precisions, tried in turn
# The sequential test is part of the format: its bettors (b, weight), and the share of alpha that is
# for its last sample.
_BETTORS = ((Fraction(1, 2), Fraction(3, 5)), (Fraction(4), Fraction(2, 5)))
_FINAL_SHARE = Fraction(1, 5)
_RADIUS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")


@dataclass
class Report:
    """What verifying one file found.

    Attributes
    ----------
    path : Path
        The file, or the folder that holds none.
    rows : int
        Certificates looked at.
    problems : list of str
        What is wrong, each with its file and line; empty if all is well.
    notes : list of str
        What is not wrong, but what the certificates rest on.
    """

    path: Path
    rows: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.problems

    def __str__(self) -> str:
        found = f"{len(self.problems)} problems" if self.problems else "all hold"
        return "\n".join([f"{self.path}: {self.rows} certificates, {found}", *self.notes])


class _Wrong(Exception):
    """Something is wrong with the file; the message says what."""


@dataclass(frozen=True)
class _Claims:
    """What a manifest claims, as far as its certificates rest on it."""

    sigma: Fraction
    alpha: Fraction
    n0: int
    n: int
    two_sided: bool
    variation: Fraction
    num_classes: int
    indices: frozenset[int]
    model: Path
    sha256: str
    notes: list[str]
    method: str = "fixed"
    radii: tuple[Fraction, ...] = ()


# ---------------------------------------------------------------------------------------------
# The mathematics


def _ball(number: Fraction) -> arb:
    return arb(fmpq(number.numerator, number.denominator))


def _binomial_tail(k: int, n: int, p: arb, q: arb) -> tuple[arb, arb]:
    """P(Bin(n, p) >= k) with q = 1 - p, and its ratio to P(Bin(n, p) = k), for k >= 1.

    Where the terms of the tail fall, they fall ever faster, so that those left out are below a
    geometric series. Where they rise at first, the terms of the other tail fall.
    """
    ratio = p / q
    if not ratio.is_finite():
        return arb("nan"), arb("nan")
    precise = arb(2) ** (-(ctx.prec // 2))
    log_term = arb(n + 1).lgamma() - arb(k + 1).lgamma() - arb(n - k + 1).lgamma()
    first = (log_term + k * p.log() + (n - k) * q.log()).exp()
    if ratio * (n - k) > k + 1:
        tail = 1 - _binomial_tail(n - k + 1, n, q, p)[0]
        return tail, tail / first
    total, term = arb(1), arb(1)
    for j in range(k, n):
        step = ratio * (n - j) / (j + 1)
        # Looking is as dear as four more terms.
        if j % 16 == 0 and term * step < precise * total * (1 - step):
            total += (term * step / (1 - step)).union(arb(0))
            break
        term *= step
        total += term
    return first * total, total


def _lower_bound(k: int, n: int, level: arb) -> arb:
    """A ball around the p where P(Bin(n, p) >= k) = level: Clopper and Pearson's lower bound.

    Newton's method in log p, where the logarithm of the tail is concave: after the first step it
    climbs to the root. The ball is certified by the tail's being below the level at its lower end
    and above at its upper end; where it is not, the ball holds everything.
    """
    if k == 0:
        return arb(0)
    p = arb(k) / (n + 1)
    width = arb(2) ** (8 - ctx.prec // 2)
    for _ in range(100):
        tail, total = _binomial_tail(k, n, p, 1 - p)
        step = ((tail / level).log() * total / k).mid()
        p = (p * (-step).exp()).mid()
        if abs(step) < width:
            break
    low, high = p * (1 - width), p * (1 + width)
    high = high.min(arb(1))
    below = _binomial_tail(k, n, low, 1 - low)[0] < level
    above = high >= 1 or _binomial_tail(k, n, high, 1 - high)[0] > level
    return low.union(high) if below and above else arb(0).union(arb(1))


def _quantile(p: arb) -> arb:
    """The standard normal quantile."""
    return -arb(2).sqrt() * (2 * p).erfcinv()


def _one_sided_margin(radius: Fraction, top: int, total: int, claims: _Claims) -> arb:
    """Positive where the radius holds, negative where it does not."""
    if top == 0:
        return arb(-1)
    # 1 - p on its own: for a large radius it is lost in p.
    q = (_ball(radius / claims.sigma) / arb(2).sqrt()).erfc() / 2 - _ball(claims.variation)
    if q <= 0:
        return arb(-1)
    if claims.method in ("fixed", "early-abstain"):
        return _ball(claims.alpha) - _binomial_tail(top, total, 1 - q, q)[0]
    level = _ball(claims.alpha * (1 - _FINAL_SHARE))
    margin = _evidence(top, total, 1 - q, q, 2 / level) * level - 1
    if total < claims.n:
        return margin
    # A run that came to its last sample may show it either way.
    last = _ball(claims.alpha * _FINAL_SHARE) - _binomial_tail(top, total, 1 - q, q)[0]
    return margin.max(last)


def _evidence(k: int, t: int, p: arb, q: arb, enough: arb) -> arb:
    """E of the module's text, with q = 1 - p; where it is above enough, only some of its terms.

    The factors of the terms fall, so that once they are below 1 what is left out is below a
    geometric series.
    """
    precise = arb(2) ** (-ctx.prec)
    odds, evidence = q / p, arb(0)
    for b, weight in _BETTORS:
        c = t - k + _ball(b)
        term = _ball(weight * b) / c
        evidence += term
        for j in range(k):
            step = odds * (k - j) / (c + j + 1)
            # Looking is as dear as four more terms.
            if j % 16 == 0:
                if evidence > enough:
                    return evidence
                if term * step < precise * evidence * (1 - step):
                    evidence += (term * step / (1 - step)).union(arb(0))
                    break
            term *= step
            evidence += term
    return evidence


def _two_sided_radius(top: int, rival: int, claims: _Claims) -> arb:
    """A ball around the radius that the counts give; negative where they certify nothing."""
    level, variation = _ball(claims.alpha) / 2, _ball(claims.variation)
    p_a = _lower_bound(top, claims.n, level) - variation
    not_p_b = _lower_bound(claims.n - rival, claims.n, level) - variation
    if p_a <= 0:
        return arb("-inf")
    of_a = _quantile(p_a)
    # The rival cannot have more than 1 - p_a either.
    of_b = of_a if not_p_b <= 0 else of_a.max(_quantile(not_p_b))
    return _ball(claims.sigma) / 2 * (of_a + of_b)


def _is_positive(margin: Callable[[], arb]) -> bool | None:
    """Whether the margin is above 0; None if the highest precision does not tell."""
    for bits in _BITS:
        with ctx.workprec(bits):
            value = margin()
            if value > 0:
                return True
            if value < 0:
                return False
    return None


def _least_variation(sigma: Fraction, step: Fraction, dimension: int) -> Fraction:
    r"""The least total variation that a grid sampler of 63 bits can vouch for.

    Its thresholds are multiples of 2^-63, off by at most 2^-64 each. R is the first k at which
    :math:`\Phi(-(k + 1/2) step / sigma)` is below 2^-64; there are 2R + 2 thresholds, in each
    coordinate.
    """
    with ctx.workprec(256):
        end = arb(2).sqrt() * (arb(2) ** -63).erfcinv() * _ball(sigma / step) - arb("0.5")
        whole = end.ceil().unique_fmpz()
        assert whole is not None  # sigma is below 10^6 steps: 256 bits leave one number
        reach = max(0, int(whole))
    return Fraction(dimension * (2 * reach + 2), 2**64)


# ---------------------------------------------------------------------------------------------
# The files


def _pairs(pairs: list) -> dict:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


def _constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _load(path: Path) -> dict:
    try:
        manifest = json.loads(
            path.read_bytes().decode(), object_pairs_hook=_pairs, parse_constant=_constant
        )
    except OSError as error:
        raise _Wrong(f"{path}: cannot read the manifest: {error.strerror}") from None
    except ValueError as error:
        raise _Wrong(f"{path}: not a manifest: {ascii(str(error))[1:-1]}") from None
    if type(manifest) is not dict:
        raise _Wrong(f"{path}: not a manifest: must be a JSON object")
    return manifest


class _Fields:
    """Typed access to a manifest's fields."""

    def __init__(self, path: Path, manifest: dict):
        self.path, self.manifest = path, manifest

    def wrong(self, name: str, words: str) -> _Wrong:
        return _Wrong(f"{self.path}: {name}: must be {words}, got {self.shown(name)}")

    def shown(self, name: str) -> str:
        text = json.dumps(self.raw(name))
        return text if len(text) <= 60 else text[:57] + "..."

    def raw(self, name: str):
        value = self.manifest
        for key in name.split("."):
            if type(value) is not dict or key not in value:
                raise _Wrong(f"{self.path}: {name}: missing")
            value = value[key]
        return value

    def of_type(self, name: str, kind: type, words: str):
        value = self.raw(name)
        if type(value) is not kind:
            raise self.wrong(name, words)
        return value

    def integer(self, name: str, low: int) -> int:
        words = f"an integer from {low} to 10^12"
        value = self.of_type(name, int, words)
        if not low <= value <= 10**12:
            raise self.wrong(name, words)
        return value

    def number(self, name: str) -> Fraction:
        words = "a decimal or a fraction in a string"
        text = self.of_type(name, str, words)
        try:
            if _NUMBER.fullmatch(text):
                return Fraction(text)
        except ZeroDivisionError:
            pass
        raise self.wrong(name, words)

    def positive(self, name: str) -> Fraction:
        value = self.number(name)
        if value == 0:
            raise self.wrong(name, "positive")
        return value

    def integers(self, name: str, low: int) -> list[int]:
        words = f"a list of integers, each at least {low}"
        values = self.of_type(name, list, words)
        if not values or any(type(value) is not int or value < low for value in values):
            raise self.wrong(name, words)
        return values


def _read_claims(path: Path) -> _Claims:
    fields = _Fields(path, _load(path))
    if fields.raw("format") != _FORMAT:
        raise fields.wrong("format", json.dumps(_FORMAT))
    alpha = fields.positive("alpha")
    if alpha >= 1:
        raise fields.wrong("alpha", "below 1")
    size = fields.integer("dataset.size", 1)
    indices = fields.integers("indices", 0)
    if max(indices) >= size or len(set(indices)) < len(indices):
        raise fields.wrong("indices", "distinct and below dataset.size")
    # Whoever repeats the run needs it; a number that JSON rounded would give other noise.
    if fields.of_type("seed", int, "an integer") < 0:
        raise fields.wrong("seed", "non-negative")
    sigma = fields.positive("sigma")
    variation, notes = _read_noise(fields, sigma)
    two_sided = fields.of_type("two_sided", bool, "true or false")
    method, radii = _read_method(fields, two_sided)
    sha256 = fields.of_type("model.sha256", str, "64 hexadecimal digits")
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise fields.wrong("model.sha256", "64 hexadecimal digits")
    return _Claims(
        sigma=sigma,
        alpha=alpha,
        n0=fields.integer("n0", 1),
        n=fields.integer("n", 1),
        two_sided=two_sided,
        variation=variation,
        num_classes=fields.integer("dataset.num_classes", 2),
        indices=frozenset(indices),
        model=path.parent / fields.of_type("model.file", str, "a path"),
        sha256=sha256,
        notes=notes,
        method=method,
        radii=radii,
    )


def _read_method(fields: _Fields, two_sided: bool) -> tuple[str, tuple[Fraction, ...]]:
    """How the run was to stop, and the radii that it was asked for, if any."""
    if "method" not in fields.manifest:
        return "fixed", ()
    name = fields.of_type("method.name", str, "a string")
    if name not in ("early-abstain", "radius-loss", "at"):
        raise fields.wrong("method.name", '"early-abstain", "radius-loss" or "at"')
    if two_sided:
        raise fields.wrong("two_sided", "false where a run may stop early")
    texts = []
    if name == "at":
        texts = fields.of_type("method.radii", list, "a list")
    elif name == "radius-loss":
        texts = [fields.of_type("method.loss", str, "a string")]
    if any(type(text) is not str or not _RADIUS.fullmatch(text) for text in texts):
        raise fields.wrong("method", "decimals with at most 6 places in strings")
    radii = tuple(map(Fraction, texts)) if name == "at" else ()
    if name == "at" and "give_up" in fields.manifest["method"]:  # spends nothing of alpha
        chance = fields.of_type("method.give_up", str, "a string")
        if not _RADIUS.fullmatch(chance) or not 0 < Fraction(chance) <= Fraction(1, 2):
            raise fields.wrong("method.give_up", "a decimal above 0 and at most 0.5")
    if name == "at" and (not radii or any(a >= b for a, b in pairwise(radii))):
        raise fields.wrong("method.radii", "ascending, and not empty")
    return name, radii


def _read_noise(fields: _Fields, sigma: Fraction) -> tuple[Fraction, list[str]]:
    """The total variation that the manifest states, if the noise that it names keeps to it."""
    kind, variation = fields.raw("noise.kind"), fields.number("noise.total_variation")
    if kind == "float":
        if variation != 0:
            raise fields.wrong("noise.total_variation", "0 for float noise (no bound is known)")
        note = "float noise: the certificates hold for exact Gaussian noise, which this is not"
        return variation, [f"{fields.path}: {note}"]
    if kind != "grid":
        raise fields.wrong("noise.kind", '"grid" or "float"')
    step, of_data = fields.positive("noise.step"), fields.positive("dataset.step")
    if (of_data / step).denominator != 1:
        raise fields.wrong("dataset.step", f"a multiple of noise.step {fields.shown('noise.step')}")
    if not step / 100 < sigma < step * 10**6:
        raise fields.wrong("sigma", "between noise.step / 100 and 10^6 noise.step")
    dimension = math.prod(fields.integers("dataset.shape", 1))
    least = _least_variation(sigma, step, dimension)
    if variation < least:
        words = f"at least {float(least):.6g}, d times the thresholds times 2^-64"
        raise fields.wrong("noise.total_variation", words)
    return variation, []


def _check_model(manifest: Path, claims: _Claims) -> str | None:
    """Check the model file's hash; where there is no such file, a note says so."""
    try:
        os.stat(claims.model)
    except (FileNotFoundError, NotADirectoryError):
        where = f"{manifest}: model.file"
        return f"{where}: there is no file {str(claims.model)!a}, so its hash is not checked"
    except (OSError, ValueError) as error:
        raise _Wrong(f"{manifest}: model.file: cannot read it: {str(error)!a}") from None
    try:
        if not claims.model.is_file():
            raise _Wrong(f"{manifest}: model.file: there is no file {str(claims.model)!a}")
        with open(claims.model, "rb") as file:
            found = hashlib.file_digest(file, hashlib.sha256).hexdigest()
    except (OSError, ValueError) as error:
        raise _Wrong(f"{manifest}: model.file: cannot read it: {str(error)!a}") from None
    if found != claims.sha256:
        raise _Wrong(f"{manifest}: model.sha256: the model file has {found}, not this hash")
    return None


def _read_counts(
    name: str, text: bytes, total: int, num_classes: int, fewer: bool = False
) -> dict[int, int]:
    split = (pair.split(b":") for pair in text.split(b" "))
    pairs = [(int(one), int(count)) for one, count in split]
    if any(first[0] >= second[0] for first, second in pairwise(pairs)):
        raise _Wrong(f"{name}: the classes are not ascending")
    if pairs[-1][0] >= num_classes:
        raise _Wrong(f"{name}: there is no class {pairs[-1][0]}")
    if 0 in (count for _, count in pairs):
        raise _Wrong(f"{name}: holds a zero count")
    found = sum(count for _, count in pairs)
    if found != total and not (fewer and found < total):
        most = "at most " if fewer else ""
        raise _Wrong(f"{name}: the counts add up to {found}, not to {most}{total}")
    return dict(pairs)


def _check_row(raw: bytes, claims: _Claims) -> int:
    """Check one line and return its index; _Wrong says what is wrong."""
    found = _ROW.fullmatch(raw)
    if not found:
        raise _Wrong("not a row of " + _HEADER.decode().replace("\t", " "))
    idx, label, predict = map(int, found.group(1, 2, 3))
    radius = Fraction(found[4].decode())
    if label >= claims.num_classes:
        raise _Wrong(f"label: there is no class {label}")
    selection = _read_counts("selection", found[6], claims.n0, claims.num_classes)
    # An abstention claims nothing: it may come at any sample, if the method is one that stops.
    fewer = claims.method in ("radius-loss", "at")
    fewer |= claims.method == "early-abstain" and predict == -1
    estimation = _read_counts("estimation", found[7], claims.n, claims.num_classes, fewer)
    if found[8]:
        _check_drawn(int(found[8]), sum(estimation.values()), predict, claims)
    if (found[5] == b"1") != (predict == label):
        raise _Wrong(f"correct: must be {int(predict == label)}")
    # The lowest class on ties: ascending, and max keeps the first.
    chosen = max(selection, key=selection.__getitem__)
    if predict not in (-1, chosen):
        raise _Wrong(f"predict: {predict}, but class {chosen} has the most selection counts")
    if predict == -1 and radius != 0:
        raise _Wrong("radius: must be 0 where it abstains")
    _check_radius(predict == -1, radius, chosen, estimation, claims)
    return idx


def _check_drawn(drawn: int, counted: int, predict: int, claims: _Claims) -> None:
    """A row that says "of so many": only a radius can be shown before the last sample drawn."""
    if claims.method != "at" or predict == -1:
        raise _Wrong(f"estimation: {counted} of {drawn}, but all samples drawn are to be counted")
    if not counted < drawn <= claims.n:
        raise _Wrong(
            f"estimation: {counted} of {drawn}, not of more and at most {claims.n} samples"
        )


def _check_radius(
    abstained: bool, radius: Fraction, chosen: int, estimation: dict[int, int], claims: _Claims
) -> None:
    total = sum(estimation.values())
    top = estimation.pop(chosen, 0)
    basis = f"{top} of {total} for class {chosen}"
    if claims.two_sided:
        rival = max(estimation.values(), default=0)
        basis += f", {rival} for the next"
        largest = cache(lambda bits: _two_sided_radius(top, rival, claims))

        def margin(radius: Fraction) -> arb:
            return largest(ctx.prec) - _ball(radius)
    else:

        def margin(radius: Fraction) -> arb:
            return _one_sided_margin(radius, top, total, claims)

    if claims.method == "at" and not abstained and radius not in claims.radii:
        raise _Wrong("radius: not one of those that the manifest asks for")
    if not abstained:
        holds = _is_positive(lambda: margin(radius))
        if holds is None:
            raise _Wrong("radius: too close to the largest that holds to be told apart from it")
        if not holds and radius == 0:
            raise _Wrong(f"predict: must be -1, its counts certify nothing ({basis})")
        if not holds:
            raise _Wrong(f"radius: larger than its counts allow ({basis})")
    # Cutting to six decimals loses up to 1e-6, the certifier's margin for float64 less than this.
    slack = Fraction(1, 10**6) + Fraction(1, 10**8) * (1 + claims.sigma)
    if claims.method == "early-abstain" and total < claims.n:
        return
    larger = radius
    if claims.method == "at":
        # Of the radii asked for, the next one must not be certified.
        refused = [r for r in claims.radii if abstained or r > radius]
        if not refused:
            return
        larger = min(refused)
    if _is_positive(lambda: margin(larger + slack)):
        if abstained:
            raise _Wrong(f"predict: -1, but its counts certify class {chosen} ({basis})")
        raise _Wrong(f"radius: smaller than its counts give, by more than rounding ({basis})")


def _check_table(report: Report, data: bytes, claims: _Claims) -> set[int]:
    """Check every line; returns the indices that were seen."""
    *lines, rest = data.split(b"\n")
    seen: dict[int, int] = {}
    for number, raw in enumerate(lines, start=1):
        where = f"{report.path}:{number}: "
        if number == 1:
            if raw != _HEADER:
                header = _HEADER.decode().replace("\t", " ")
                report.problems.append(f"{where}the header must be {header}")
            continue
        report.rows += 1
        try:
            idx = _check_row(raw, claims)
            if idx not in claims.indices:
                raise _Wrong(f"idx: {idx} is not one of the manifest's indices")
            if idx in seen:
                raise _Wrong(f"idx: {idx} is there already, in line {seen[idx]}")
            seen[idx] = number
        except _Wrong as wrong:
            report.problems.append(f"{where}{wrong}")
            if found := re.match(rb"([0-9]{1,15})\t", raw):
                seen.setdefault(int(found[1]), number)
    if rest or not lines:
        words = "incomplete: no newline at its end" if rest else "empty: not even a header"
        report.problems.append(f"{report.path}:{len(lines) + 1}: {words}")
    return set(seen)


def verify_file(
    path: str | os.PathLike, models: bool = True, allow_incomplete: bool = False
) -> Report:
    """Verify every certificate in a file, and its manifest.

    Each of these is checked: the manifest's fields; the total variation that it states for its
    noise; the hash of the model file, if it is there (a note says where it is not); that each
    example of the manifest has exactly one row; and of each row the counts, that the class is the
    one selected, the flags, and the radius. A radius must hold, proved in interval arithmetic, and
    must not be smaller than its counts give by more than rounding: then something was changed.

    Parameters
    ----------
    path : path
        ``<name>.tsv``, its manifest beside it as ``<name>.json``.
    models : bool
        Whether to look for the model file and check its hash.
    allow_incomplete : bool
        Whether examples without a row are a note only, not a problem.

    Returns
    -------
    Report
        Never an exception, whatever the files hold.
    """
    path = Path(path)
    report = Report(path)
    try:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise _Wrong(f"{path}: cannot read: {error.strerror}") from None
        if data.partition(b"\n")[0] == _LOG_HEADER:
            raise _Wrong(f"{path}: cannot be verified: no counts")
        manifest = path.with_suffix(".json")
        try:
            claims = _read_claims(manifest)
        except RecursionError:
            raise _Wrong(f"{manifest}: not a manifest: nested too deeply") from None
    except _Wrong as wrong:
        report.problems.append(str(wrong))
        return report
    report.notes.extend(claims.notes)
    if models:
        try:
            if note := _check_model(manifest, claims):
                report.notes.append(note)
        except _Wrong as wrong:
            report.problems.append(str(wrong))
    seen = _check_table(report, data, claims)
    missing = sorted(claims.indices - seen)
    if missing:
        total = len(claims.indices)
        words = f"{path}: {len(missing)} of {total} examples have no row, the first is {missing[0]}"
        (report.notes if allow_incomplete else report.problems).append(words)
    return report


def verify_paths(
    paths: Iterable[str | os.PathLike], models: bool = True, allow_incomplete: bool = False
) -> list[Report]:
    """Verify files, and all files named ``*.tsv`` in folders and the folders below them.

    Parameters
    ----------
    paths : iterable of paths
        Files and folders. A folder in which there is no such file is a problem.
    models, allow_incomplete : bool
        As for :func:`verify_file`.

    Returns
    -------
    list of Report
        One a file, in the order given, each folder's files sorted by name.
    """
    reports = []
    for path in map(Path, paths):
        if not path.is_dir():
            reports.append(verify_file(path, models, allow_incomplete))
            continue
        unread: list[OSError] = []
        found = sorted(
            Path(folder, name)
            for folder, _, names in os.walk(path, onerror=unread.append)
            for name in names
            if name.endswith(".tsv")
        )
        reports += [verify_file(file, models, allow_incomplete) for file in found]
        for error in unread:
            problem = f"{error.filename}: cannot read the folder: {error.strerror}"
            reports.append(Report(Path(error.filename), problems=[problem]))
        if not found and not unread:
            reports.append(Report(path, problems=[f"{path}: holds no certificate file (*.tsv)"]))
    return reports
