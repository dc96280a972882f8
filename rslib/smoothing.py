"""The smoothed classifier g: what it predicts, and how far from x the prediction provably holds.

g(x) is the class that the base classifier f returns most often on N(x, sigma^2 I). With the default
noise, f sees its input rounded to the grid of the data, and everything said of g holds exactly of
the smoothed version of that classifier (chapter 12).
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from numbers import Integral, Real

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor

from rslib import certificates, confidence
from rslib.engine import Engine, Plan, default_plan
from rslib.noise import FloatGaussian, GridGaussian, NoiseStream, Purpose

__all__ = ["ABSTAIN", "Certificate", "Decision", "SmoothedClassifier"]

#: What `SmoothedClassifier.predict` and a `Certificate` give instead of a class.
ABSTAIN = -1

# A stored radius is below the computed one by this much and then cut to six decimals: more than
# every rounding error on the way, by orders of magnitude.
_MARGIN = 1e-9
# A group that shares forward passes fills this many: little of the last one is lost.
_PASSES_SHARED = 8
_MOST_TOGETHER = 1024
# Runs share a pass only while each gets this many rows of it: looking costs time, too.
_LEAST_SHARE = 1024


@dataclass(frozen=True)
class Certificate:
    """What was certified at one example, and the counts that it rests on.

    Attributes
    ----------
    label : int
        The certified class, or `ABSTAIN`.
    radius : float
        For every perturbation with an l2 norm below it, in input units, g returns ``label``;
        rounded down to six decimals, 0 on abstention. False with probability at most ``alpha``
        over the noise.
    p_a_lower : float
        Lower confidence bound on the probability of the class that the selection picked, the total
        variation distance of the noise already taken off.
    p_b_upper : float or None
        Upper confidence bound on every other class; None in the one-sided form.
    counts, selection_counts : tuple of int
        Answers of the base classifier over the estimation samples (n of them, or fewer where the
        run stopped early) and over the n0 selection samples, class by class.
    n0, n, alpha, sigma
        As certified; sigma is an exact fraction.
    noise, step, total_variation
        Kind of noise, its grid step (None for float noise), and how far the law of one noise
        vector may be from exact.
    two_sided : bool
        Which form of Theorem 1 was used.
    rounding_cost : float
        What was taken off the radius because inputs are rounded to the grid; 0 where off-grid
        inputs are refused.
    method : {"fixed", "early-abstain", "radius-loss"}
        What the run was to stop for before its n-th sample.
    """

    label: int
    radius: float
    p_a_lower: float
    p_b_upper: float | None
    counts: tuple[int, ...]
    selection_counts: tuple[int, ...]
    n0: int
    n: int
    alpha: float
    sigma: Fraction
    noise: str
    step: Fraction | None
    total_variation: float
    two_sided: bool = False
    rounding_cost: float = 0.0
    method: str = "fixed"

    @property
    def samples(self) -> int:
        """Estimation samples drawn, at most n."""
        return sum(self.counts)

    def __str__(self) -> str:
        n = f"{self.n}" if self.samples == self.n else f"{self.samples} of at most {self.n}"
        basis = f"n = {n}, sigma = {float(self.sigma):g}, {self.noise} noise"
        if self.label == ABSTAIN:
            return f"Abstains: {basis} do not show which class wins (alpha = {self.alpha:g})."
        caveat = "" if self.noise == "grid" else ", as if its noise were exactly Gaussian"
        return (
            f"Class {self.label} for every perturbation with an l2 norm below {self.radius:.6f}, "
            f"false with probability at most {self.alpha:g}{caveat} ({basis})."
        )


@dataclass(frozen=True)
class Decision:
    """Which of the radii that were asked for are certified, decided with as few samples as needed.

    Attributes
    ----------
    label : int
        The class for which a radius is certified, or `ABSTAIN` where none is.
    radii : tuple of float
        The radii asked for, l2 norm, in input units.
    verdicts : tuple of bool
        For each radius r whether it is certified: for every perturbation with an l2 norm of at
        most r, g returns ``label``. All that are certified hold together; any of them is false
        with probability at most ``alpha`` over the noise. A radius that is not certified is not
        claimed to be false.
    counts, selection_counts : tuple of int
        Answers of the base classifier over the estimation samples that were drawn, and over the
        n0 others that picked the class.
    n0, n_max, alpha, sigma
        As asked; sigma is an exact fraction.
    noise, step, total_variation, rounding_cost
        As in `Certificate`.
    """

    label: int
    radii: tuple[float, ...]
    verdicts: tuple[bool, ...]
    counts: tuple[int, ...]
    selection_counts: tuple[int, ...]
    n0: int
    n_max: int
    alpha: float
    sigma: Fraction
    noise: str
    step: Fraction | None
    total_variation: float
    rounding_cost: float = 0.0

    @property
    def certified(self) -> bool:
        """Whether every radius asked for is certified."""
        return all(self.verdicts)

    @property
    def radius(self) -> float:
        """The largest radius that is certified; 0 where none is."""
        return max(
            (r for r, yes in zip(self.radii, self.verdicts, strict=True) if yes), default=0.0
        )

    @property
    def samples(self) -> int:
        """Estimation samples drawn."""
        return sum(self.counts)

    @property
    def stopped(self) -> str:
        """``"n_max"`` where the run took every sample that it might, else ``"decided"``."""
        return "decided" if self.samples < self.n_max else "n_max"

    def __str__(self) -> str:
        basis = f"{self.samples} of at most {self.n_max} samples, sigma = {float(self.sigma):g}"
        basis += f", {self.noise} noise"
        if self.label == ABSTAIN:
            return f"Certifies no radius among {_listed(self.radii)} ({basis})."
        caveat = "" if self.noise == "grid" else ", as if its noise were exactly Gaussian"
        others = [r for r, yes in zip(self.radii, self.verdicts, strict=True) if not yes]
        rest = f" Not certified: {_listed(others)}." if others else ""
        return (
            f"Class {self.label} for every perturbation with an l2 norm of at most "
            f"{self.radius:g}, false with probability at most {self.alpha:g}{caveat} ({basis})."
            f"{rest}"
        )


def _listed(radii: Sequence[float]) -> str:
    return ", ".join(f"{radius:g}" for radius in radii)


#: At which looks, k of t answers being the label's, a run stops.
_Rule = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class _Example:
    """An example as the noise wants it, what rounding it costs in radius, and its index."""

    prepared: Tensor
    cost: float
    index: int


class SmoothedClassifier:
    """A base classifier smoothed by Gaussian noise.

    Parameters
    ----------
    base : callable
        From a float32 batch (B, \\*shape) to scores (B, num_classes); a torch module or any
        function. Each row's scores must depend on that row alone.
    num_classes : int
        Number of classes K, at least 2.
    sigma : float, str or Fraction
        Standard deviation of the noise, in input units; a float stands for its shortest decimal.
    step : float, str or Fraction, optional
        The grid that inputs lie on, in input units: 1/255 for 8-bit images in [0, 1]. Required
        unless ``noise="float"``.
    noise : {"grid", "float"}
        ``grid``: exact noise on the grid; the certificate holds in floating point.
        ``float``: float32 noise, whose certificates are not sound against a base classifier that
        looks at low bits (chapter 12).
    seed : int
        Fixes every draw, together with the example's ``index``.
    off_grid : {"refuse", "round"}
        Refuse an x off the grid, or certify the classifier that rounds every input to the grid
        before it smooths. That costs radius: half a cell's diagonal (a perturbed input may be
        rounded by as much) and the distance of x to the grid.
    plan : Plan, optional
        How the network is run; default `rslib.engine.default_plan`.
    device : str
        Where it runs, unless ``plan`` says so.

    Raises
    ------
    ValueError, TypeError
        Names the argument and its value, before any work.

    References
    ----------
    cohen2019, Algorithm 1 and Theorem 1; hung2019 for prediction; chapters 8 and 12.

    Examples
    --------
    A base classifier that answers by the sign of the first pixel minus a half:

    >>> import torch
    >>> def base(x):
    ...     margin = x.flatten(1)[:, 0] - 0.5
    ...     return torch.stack([margin, -margin], dim=1)
    >>> g = SmoothedClassifier(base, num_classes=2, sigma=0.25, step="1/255")
    >>> x = torch.ones(1, 2, 2)
    >>> g.predict(x)
    0
    >>> certificate = g.certify(x, n=10_000)
    >>> certificate.label, 0.4 < certificate.radius < 0.5
    (0, True)
    """

    def __init__(
        self,
        base: Callable[[Tensor], Tensor],
        num_classes: int,
        sigma: float | str | Fraction,
        step: float | str | Fraction | None = None,
        *,
        noise: str = "grid",
        seed: int | None = None,
        off_grid: str = "refuse",
        plan: Plan | None = None,
        device: str = "cpu",
    ) -> None:
        if not callable(base):
            raise TypeError(f"base must be callable, got {base!r}")
        _check_count("num_classes", num_classes, 2)
        seed = secrets.randbits(63) if seed is None else seed
        _check_count("seed", seed, 0)
        if off_grid not in ("refuse", "round"):
            raise ValueError(f"off_grid must be 'refuse' or 'round', got {off_grid!r}")
        if noise == "grid":
            if step is None:
                raise ValueError(
                    "step must be given with noise='grid' (1/255 for 8-bit images), got None; "
                    "noise='float' needs none, and its certificates are not sound"
                )
            self.noise: GridGaussian | FloatGaussian = GridGaussian(sigma, step)
        elif noise == "float":
            self.noise = FloatGaussian(sigma)
        else:
            raise ValueError(f"noise must be 'grid' or 'float', got {noise!r}")
        self.base, self.num_classes, self.seed = base, int(num_classes), int(seed)
        self.off_grid, self.plan, self.device = off_grid, plan, plan.device if plan else device
        self._engines: dict[tuple[int, ...], Engine] = {}

    @property
    def sigma(self) -> Fraction:
        """Standard deviation of the noise, exact, in input units."""
        return self.noise.sigma

    def engine(self, shape: tuple[int, ...]) -> Engine:
        """The engine for examples of this shape; made on first use."""
        shape = tuple(shape)
        if shape not in self._engines or self._engines[shape].base is not self.base:
            plan = self.plan or default_plan(self.base, shape, self.device)
            self._engines[shape] = Engine(self.base, self.num_classes, shape, plan)
        return self._engines[shape]

    def counts(
        self, x: Tensor | np.ndarray, n: int, purpose: Purpose, index: int = 0
    ) -> np.ndarray:
        """Answers of the base classifier on n noisy copies of x.

        Parameters
        ----------
        x : Tensor or numpy.ndarray
            One example without a batch axis, floating, on the grid.
        n : int
            Number of copies.
        purpose : Purpose
            Which of the example's independent noise streams.
        index : int
            Names the example: equal (seed, purpose, index) give equal noise, whatever else was
            run.

        Returns
        -------
        numpy.ndarray
            Int64 (K,), summing to n.
        """
        _check_count("n", n, 1, confidence.LARGEST_N)
        ((_, (counts,)),) = self._fixed(self._examples([x], [index]), (purpose, n))
        return counts

    def _prepare(self, x: Tensor | np.ndarray) -> tuple[Tensor, float]:
        """x as the noise wants it, and how much radius rounding it costs."""
        if self.off_grid == "refuse" or self.noise.step is None:
            return self.noise.prepare(x), 0.0
        nearest, _ = self.noise.nearest(x)
        step = float(self.noise.step)
        moved = nearest.double() * step - torch.as_tensor(x).detach().to("cpu", torch.float64)
        # A perturbed input is rounded too, and moves by half a cell's diagonal at most.
        cost = float(moved.norm()) + step * math.sqrt(moved.numel()) / 2
        return nearest, cost * (1 + 1e-9)

    def _examples(
        self, xs: Iterable[Tensor | np.ndarray], indices: Iterable[int] | None
    ) -> Iterator[_Example]:
        """Each of xs made ready, with its index: 0, 1, 2, ... where none are given."""
        xs, none = iter(xs), object()
        for index in count() if indices is None else indices:
            _check_count("index", index, 0)
            x = next(xs, none)
            if x is none and indices is not None:
                raise ValueError(f"xs must have an example for each of indices, none for {index}")
            if x is none:
                return
            yield _Example(*self._prepare(x), int(index))
        if next(xs, none) is not none:
            raise ValueError("indices must have one for each of xs, got fewer")

    def _stream(self, example: _Example, purpose: Purpose) -> NoiseStream:
        return self.noise.stream(
            example.prepared, self.seed, purpose, example.index, device=self.device
        )

    def _fixed(
        self, examples: Iterator[_Example], *wanted: tuple[Purpose, int]
    ) -> Iterator[tuple[_Example, np.ndarray]]:
        """Examples with counts (len(wanted), K), of so many copies for each purpose.

        Where one example's copies do not fill several forward passes, examples share them.
        """
        group: list[_Example] = []
        errors: list[Exception] = []
        for example in _up_to_an_error(examples, errors):
            if group and example.prepared.shape != group[0].prepared.shape:
                yield from self._fixed_group(group, wanted)
                group = []
            group.append(example)
            rows = self.engine(example.prepared.shape).plan.rows
            full = len(group) * sum(n for _, n in wanted) >= _PASSES_SHARED * rows
            if full or len(group) == _MOST_TOGETHER:
                yield from self._fixed_group(group, wanted)
                group = []
        yield from self._fixed_group(group, wanted)
        if errors:
            raise errors[0]

    def _fixed_group(
        self, group: list[_Example], wanted: Sequence[tuple[Purpose, int]]
    ) -> Iterator[tuple[_Example, np.ndarray]]:
        if not group:
            return
        jobs = [(self._stream(one, purpose), n) for one in group for purpose, n in wanted]
        try:
            counts = self.engine(group[0].prepared.shape).count_each(jobs)
        except ValueError:
            if len(group) == 1:
                raise
            for one in group:  # those before the one with scores that are not finite
                yield from self._fixed_group([one], wanted)
            return
        yield from zip(group, counts.reshape(len(group), len(wanted), -1), strict=True)

    def _sequential(
        self, examples: Iterator[_Example], n0: int, n: int, rule: Callable[[_Example], _Rule]
    ) -> Iterator[tuple[_Example, np.ndarray, np.ndarray]]:
        """Examples, in order, with the counts of their selection and of their estimation.

        The latter are those of the first of n samples at which the example's rule says to stop.
        Runs go side by side where the forward passes are wide enough for several: each takes its
        share of a pass, and where one stops the next begins.
        """
        active: list[_Run] = []
        waiting: list[_Run] = []  # in order; the first is the next to be handed out
        errors: list[Exception] = []
        examples, more = _up_to_an_error(examples, errors), True
        while more or waiting:
            while more and (not active or len(active) < active[0].abreast):
                # Not far ahead of the first that is not done, or a break would lose much.
                if len(waiting) >= 4 * (active[0].abreast if active else 1):
                    break
                example = next(examples, None)
                if more := example is not None:
                    streams = [self._stream(example, purpose)
                               for purpose in (Purpose.SELECTION, Purpose.ESTIMATION)]  # fmt: skip
                    engine = self.engine(example.prepared.shape)
                    run = _Run(example, *streams, int(n0), int(n), rule(example), engine)
                    active.append(run)
                    waiting.append(run)
            # One engine at a time: the runs of other shapes wait.
            together = [run for run in active if run.engine is active[0].engine]
            jobs = [run.jobs(len(together)) for run in together]
            if together:
                answers = iter(
                    together[0].engine.answers_each([job for one in jobs for job in one])
                )
            for run, asked in zip(together, jobs, strict=True):
                run.take([next(answers) for _ in asked])
            active = [run for run in active if not run.done]
            while waiting and waiting[0].done:
                run = waiting.pop(0)
                yield run.example, run.selection, run.counts
        if errors:
            raise errors[0]

    def predict(
        self, x: Tensor | np.ndarray, n: int = 1000, alpha: float = 0.001, index: int = 0
    ) -> int:
        """The class that g returns at x, or `ABSTAIN`.

        Parameters
        ----------
        x : Tensor or numpy.ndarray
            One example without a batch axis, floating, on the grid.
        n : int
            Noisy copies.
        alpha : float
            Probability, over the noise, of returning a class that is not g(x): at most this.
        index : int
            Names the example's noise, see `counts`.

        Returns
        -------
        int
            A class, or `ABSTAIN` where the two leading counts are too close.

        Raises
        ------
        ValueError, TypeError
            Names the argument and its value, before any work.

        Notes
        -----
        A two-sided binomial test of the two leading counts at level alpha (Hung and Fithian 2019;
        Cohen et al. 2019, PREDICT). The n noise vectors differ from exact ones with probability at
        most n times the total variation distance, which is taken off alpha.
        """
        (label,) = self.predict_many([x], n, alpha, [index])
        return label

    def predict_many(
        self,
        xs: Iterable[Tensor | np.ndarray],
        n: int = 1000,
        alpha: float = 0.001,
        indices: Iterable[int] | None = None,
    ) -> Iterator[int]:
        """What `predict` returns for each of several examples, which share forward passes.

        Parameters
        ----------
        xs : iterable of Tensor or numpy.ndarray
            Examples, as for `predict`; an array (B, \\*shape) is one.
        n, alpha
            As for `predict`, for each example.
        indices : iterable of int, optional
            Name the examples' noise, see `counts`; default 0, 1, 2, ...

        Returns
        -------
        iterator of int
            A class or `ABSTAIN` for each example, in order, as it is found.

        Raises
        ------
        ValueError, TypeError
            As `predict`; for an example, when its turn comes.
        """
        _check_count("n", n, 1, confidence.LARGEST_N)
        alpha = _check_alpha(alpha)

        def labels() -> Iterator[int]:
            found = self._fixed(self._examples(xs, indices), (Purpose.PREDICTION, n))
            for example, (counts,) in found:
                level = alpha - n * self.noise.total_variation(example.prepared.numel())
                second, first = np.argsort(counts, kind="stable")[-2:]
                pvalue = confidence.hung_fithian_pvalue(int(counts[first]), int(counts[second]))
                yield int(first) if pvalue <= level else ABSTAIN

        return labels()

    def certify(
        self,
        x: Tensor | np.ndarray,
        n0: int = 100,
        n: int = 100_000,
        alpha: float = 0.001,
        index: int = 0,
        two_sided: bool = False,
        *,
        early_abstain: bool = False,
        radius_loss: float | None = None,
    ) -> Certificate:
        """Certify g at x by Monte Carlo.

        Parameters
        ----------
        x : Tensor or numpy.ndarray
            One example without a batch axis, floating, on the grid.
        n0 : int
            Noisy copies that pick the class; they are used for nothing else.
        n : int
            Noisy copies, others, that bound its probability.
        alpha : float
            Probability, over the noise, that the certificate is false: at most this.
        index : int
            Names the example's noise, see `counts`.
        two_sided : bool
            False: Cohen et al.'s Algorithm 1, radius sigma psi(p_a) with p_b <= 1 - p_a.
            True: Theorem 1 as the lecture states it, with a bound on the runner-up too; alpha is
            split in two halves.
        early_abstain : bool
            Stop as soon as there is no hope of a certificate, and abstain. A certificate is what
            it would have been; one that n samples would have given is missed with probability at
            most alpha. Takes none of the certificates' own alpha, since it claims nothing.
        radius_loss : float, optional
            Stop also as soon as the certified radius is at most this much, in input units, below
            the one that n samples with the same share of answers would give. Where that never
            happens, all n samples are taken; the radius is then what they give at a fifth of alpha
            or more. The bound behind it holds at all times at once, so that stopping costs no
            soundness: the certificate is false with probability at most alpha.

        Returns
        -------
        Certificate

        Raises
        ------
        ValueError, TypeError
            Names the argument and its value, before any work; or a score that is not finite.

        References
        ----------
        cohen2019, Theorem 1 and Algorithm 1; clopper1934. Chapter 8; chapter 13 for early stops.
        """
        (certificate,) = self.certify_many(
            [x],
            n0,
            n,
            alpha,
            [index],
            two_sided,
            early_abstain=early_abstain,
            radius_loss=radius_loss,
        )
        return certificate

    def certify_many(
        self,
        xs: Iterable[Tensor | np.ndarray],
        n0: int = 100,
        n: int = 100_000,
        alpha: float = 0.001,
        indices: Iterable[int] | None = None,
        two_sided: bool = False,
        *,
        early_abstain: bool = False,
        radius_loss: float | None = None,
    ) -> Iterator[Certificate]:
        """What `certify` returns for each of several examples, which share forward passes.

        They do where one example's noisy copies would leave a pass half empty; the certificates
        are the same.

        Parameters
        ----------
        xs : iterable of Tensor or numpy.ndarray
            Examples, as for `certify`; an array (B, \\*shape) is one.
        n0, n, alpha, two_sided, early_abstain, radius_loss
            As for `certify`, for each example: the probability is alpha for each, not for all.
        indices : iterable of int, optional
            Name the examples' noise, see `counts`; default 0, 1, 2, ...

        Returns
        -------
        iterator of Certificate
            One for each example, in order, as it is found.

        Raises
        ------
        ValueError, TypeError
            As `certify`; for an example, when its turn comes.
        """
        _check_count("n0", n0, 1, confidence.LARGEST_N)
        _check_count("n", n, 1, confidence.LARGEST_N)
        sequential = early_abstain or radius_loss is not None
        if sequential and two_sided:
            raise ValueError("two_sided must be False where a run may stop early, got True")
        alpha = _check_sequential_alpha(alpha) if sequential else _check_alpha(alpha)
        if radius_loss is not None:
            radius_loss = _check_radius("radius_loss", radius_loss)
        examples = self._examples(xs, indices)

        def rule(example: _Example) -> _Rule:
            variation = self.noise.total_variation(example.prepared.numel())
            stop = self._undecidable(n, alpha, variation, radius_loss is not None)
            if radius_loss is not None:
                stop = self._close_enough(n, alpha, variation, radius_loss, stop)
            return stop

        def found() -> Iterator[tuple[_Example, np.ndarray, np.ndarray]]:
            if sequential:
                yield from self._sequential(examples, n0, n, rule)
                return
            # In the same forward passes: the second count does not wait for the first.
            wanted = (Purpose.SELECTION, n0), (Purpose.ESTIMATION, n)
            for example, (selection, counts) in self._fixed(examples, *wanted):
                yield example, selection, counts

        return (
            self._certificate(*one, n0, n, alpha, two_sided, early_abstain, radius_loss)
            for one in found()
        )

    def _certificate(
        self,
        example: _Example,
        selection: np.ndarray,
        counts: np.ndarray,
        n0: int,
        n: int,
        alpha: float,
        two_sided: bool,
        early_abstain: bool,
        radius_loss: float | None,
    ) -> Certificate:
        """The certificate that counts give."""
        cost, variation = example.cost, self.noise.total_variation(example.prepared.numel())
        label = int(np.argmax(selection))
        samples = int(counts.sum())
        p_b_upper = None
        if radius_loss is not None:
            p_a_lower = confidence.run_lower_bound(int(counts[label]), samples, n, alpha)
        elif samples < n:
            p_a_lower = 0.0  # all of alpha is for the bound at n, and there is none before
        elif two_sided:
            p_a_lower, p_b_upper = confidence.runner_up_bounds(counts, label, alpha)
            p_b_upper = min(1.0, float(p_b_upper) + variation)
        else:
            p_a_lower = confidence.lower_bound(int(counts[label]), n, alpha)
        # One rounding may favour the certificate here; the margin covers it.
        p_a_lower = max(0.0, float(p_a_lower) - variation)
        radius = -math.inf
        if 0.0 < p_a_lower and not p_b_upper == 1.0:
            radius = float(certificates.certified_radius(p_a_lower, float(self.sigma), p_b_upper))
        certified = radius > 0
        return Certificate(
            label=label if certified else ABSTAIN,
            radius=_round_down(radius - cost) if certified else 0.0,
            p_a_lower=p_a_lower,
            p_b_upper=p_b_upper,
            counts=tuple(map(int, counts)),
            selection_counts=tuple(map(int, selection)),
            n0=int(n0),
            n=int(n),
            alpha=alpha,
            sigma=self.sigma,
            noise=self.noise.name,
            step=self.noise.step,
            total_variation=variation,
            two_sided=bool(two_sided),
            rounding_cost=cost,
            method=(
                "radius-loss"
                if radius_loss is not None
                else "early-abstain"
                if early_abstain
                else "fixed"
            ),
        )

    def certify_at(
        self,
        x: Tensor | np.ndarray,
        radius: float | Sequence[float],
        alpha: float = 0.001,
        n_max: int = 100_000,
        n0: int = 100,
        index: int = 0,
    ) -> Decision:
        """Decide whether g is robust at x within a radius, with as few samples as needed.

        Parameters
        ----------
        x : Tensor or numpy.ndarray
            One example without a batch axis, floating, on the grid.
        radius : float or sequence of float
            The radius to certify, l2 norm, in input units; or several, answered together. At 0 the
            question is whether g(x) is the class that the selection picks.
        alpha : float
            Probability, over the noise, that any radius is certified that should not be: at most
            this, however many radii are asked for.
        n_max : int
            The most noisy copies that are drawn. They are the first ones that `certify` would draw.
        n0 : int
            Noisy copies, others, that pick the class; they are used for nothing else.
        index : int
            Names the example's noise, see `counts`.

        Returns
        -------
        Decision

        Raises
        ------
        ValueError, TypeError
            Names the argument and its value, before any work; or a score that is not finite.

        Notes
        -----
        A radius r holds where p_a is above Phi(r/sigma). `rslib.confidence.is_above` may say so at
        any sample, `rslib.confidence.is_hopeless` that n_max samples would not; the run stops when
        each radius has one or the other. A radius that all n_max samples would have certified is
        given up with probability at most alpha. The sampler's total variation is added to
        Phi(r/sigma): each draw hits the class with a probability that is larger than p_a by that
        much at most, and the draws are independent, whenever one stops.

        References
        ----------
        ville1939, waudbysmith2024. Chapter 13.

        Examples
        --------
        >>> def base(x):
        ...     margin = x.flatten(1)[:, 0] - 0.5
        ...     return torch.stack([margin, -margin], dim=1)
        >>> g = SmoothedClassifier(base, num_classes=2, sigma=0.25, step="1/255")
        >>> decision = g.certify_at(torch.ones(1, 2, 2), [0.25, 0.75])
        >>> decision.verdicts, decision.radius, decision.samples < 200
        ((True, False), 0.25, True)
        """
        (decision,) = self.certify_at_many([x], radius, alpha, n_max, n0, [index])
        return decision

    def certify_at_many(
        self,
        xs: Iterable[Tensor | np.ndarray],
        radius: float | Sequence[float],
        alpha: float = 0.001,
        n_max: int = 100_000,
        n0: int = 100,
        indices: Iterable[int] | None = None,
    ) -> Iterator[Decision]:
        """What `certify_at` returns for each of several examples, which share forward passes.

        Parameters
        ----------
        xs : iterable of Tensor or numpy.ndarray
            Examples, as for `certify_at`; an array (B, \\*shape) is one.
        radius, alpha, n_max, n0
            As for `certify_at`, for each example: the probability is alpha for each, not for all.
        indices : iterable of int, optional
            Name the examples' noise, see `counts`; default 0, 1, 2, ...

        Returns
        -------
        iterator of Decision
            One for each example, in order, as it is found.

        Raises
        ------
        ValueError, TypeError
            As `certify_at`; for an example, when its turn comes.
        """
        _check_count("n0", n0, 1, confidence.LARGEST_N)
        _check_count("n_max", n_max, 1, confidence.LARGEST_N)
        alpha = _check_sequential_alpha(alpha)
        radii = tuple(radius) if np.ndim(radius) else (radius,)
        if not radii:
            raise ValueError("radius must not be empty")
        radii = tuple(_check_radius("radius", one) for one in radii)
        examples = self._examples(xs, indices)

        def thresholds(example: _Example) -> np.ndarray:
            variation = self.noise.total_variation(example.prepared.numel())
            return np.array([self._probability(one + example.cost, variation) for one in radii])

        def rule(example: _Example) -> _Rule:
            p = thresholds(example)
            need = np.array([confidence.needed(float(one), int(n_max), alpha) for one in p])

            def decided(k: np.ndarray, t: np.ndarray) -> np.ndarray:
                k, t = k[:, None], t[:, None]
                above = confidence.is_above(k, t, p, n_max, alpha)
                return (above | confidence.is_hopeless(k, t, need, n_max, alpha)).all(axis=1)

            return decided

        def decisions() -> Iterator[Decision]:
            for example, selection, counts in self._sequential(examples, n0, n_max, rule):
                label, p = int(np.argmax(selection)), thresholds(example)
                k, t = int(counts[label]), int(counts.sum())
                verdicts = confidence.is_above(k, t, p, n_max, alpha)
                yield Decision(
                    label=label if verdicts.any() else ABSTAIN,
                    radii=radii,
                    verdicts=tuple(map(bool, verdicts)),
                    counts=tuple(map(int, counts)),
                    selection_counts=tuple(map(int, selection)),
                    n0=int(n0),
                    n_max=int(n_max),
                    alpha=alpha,
                    sigma=self.sigma,
                    noise=self.noise.name,
                    step=self.noise.step,
                    total_variation=self.noise.total_variation(example.prepared.numel()),
                    rounding_cost=example.cost,
                )

        return decisions()

    def certify_by(self, method, xs, n0=100, n=100_000, alpha=0.001, indices=None):
        """What the method certifies for each of several examples."""
        if method.name == "at":
            radii = [float(radius) for radius in method.radii]
            return self.certify_at_many(xs, radii, alpha, n, n0, indices)
        loss = float(method.loss) if method.name == "radius-loss" else None
        return self.certify_many(
            xs,
            n0,
            n,
            alpha,
            indices,
            two_sided=method.name == "two-sided",
            early_abstain=method.name == "early-abstain",
            radius_loss=loss,
        )

    def _probability(self, radius: float, variation: float) -> float:
        """What the sampled share must exceed for a radius, rounded up."""
        p = float(ndtr(radius / float(self.sigma))) * (1 + 4e-15) + variation
        # No number of samples that is allowed can show what lies above.
        return min(math.nextafter(p, 2), 1 - 2**-53)

    def _undecidable(
        self, n: int, alpha: float, variation: float, sequential: bool
    ) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """The test of whether n samples will not certify anything."""
        need = confidence.needed(self._probability(0.0, variation), int(n), alpha, sequential)
        return lambda k, t: confidence.is_hopeless(k, t, need, n, alpha)

    def _close_enough(
        self, n: int, alpha: float, variation: float, loss: float, undecidable: Callable
    ) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """The test of whether the radius is within the loss of what n samples would give."""
        sigma = float(self.sigma)

        def stop(k: np.ndarray, t: np.ndarray) -> np.ndarray:
            fixed = confidence.lower_bound(k * n // t, n, alpha) - variation
            goal = certificates.certified_radius(np.clip(fixed, 0.5, None), sigma) - loss
            p = [self._probability(max(0.0, float(one)), variation) for one in goal]
            return confidence.is_above(k, t, np.array(p), n, alpha) | undecidable(k, t)

        return stop


def _up_to_an_error(examples: Iterator[_Example], errors: list[Exception]) -> Iterator[_Example]:
    """Examples until one is refused: the error waits in the list, for those before it to end."""
    try:
        yield from examples
    except Exception as error:
        errors.append(error)


class _Run:
    """A run of one example that may stop: what it asks for, and what it makes of the answers."""

    def __init__(
        self,
        example: _Example,
        selection: NoiseStream,
        estimation: NoiseStream,
        n0: int,
        n: int,
        rule: _Rule,
        engine: Engine,
    ) -> None:
        self.example, self.engine = example, engine
        self.selection = self.counts = np.zeros(engine.num_classes, dtype=np.int64)
        self.done = False
        self._streams, self._n0, self._n, self._rule = (selection, estimation), n0, n, rule
        self._looks, self._drawn = confidence.looks(n), 0

    @property
    def abreast(self) -> int:
        """How many runs go side by side."""
        return max(1, self.engine.plan.rows // _LEAST_SHARE) if self.engine.packs else 1

    def jobs(self, runs: int) -> list[tuple[NoiseStream, int]]:
        """What it wants from passes that are shared by so many runs."""
        rows = self.engine.plan.rows
        share = max(1, rows // runs) if self.engine.packs else rows
        selection, estimation = self._streams
        if self._drawn:
            # Alone, no more than lies between two looks; among others its share of one pass.
            passes = max(1, self._drawn // (100 * rows)) if runs == 1 else 1
            return [(estimation, min(passes * share, self._n - self._drawn))]
        wanted = share - self._n0 % share if self.engine.packs else rows
        return [(selection, self._n0), (estimation, min(wanted, self._n))]

    def take(self, answers: list[np.ndarray]) -> None:
        """Count the answers, up to the first look at which the rule says to stop."""
        classes = self.engine.num_classes
        if not self._drawn:
            self.selection = np.bincount(answers.pop(0), minlength=classes)
        (found,) = answers
        label, end = np.argmax(self.selection), self._drawn + len(found)
        looks = self._looks[(self._looks > self._drawn) & (self._looks <= end)]
        k = self.counts[label] + np.cumsum(found == label)[looks - self._drawn - 1]
        stops = looks[self._rule(k, looks)] if len(looks) else looks
        if len(stops):
            found = found[: stops[0] - self._drawn]
        self.counts = self.counts + np.bincount(found, minlength=classes)
        self.done = len(stops) > 0 or end == self._n
        self._drawn = end


def _round_down(radius: float) -> float:
    """The largest six-digit decimal that is below the radius by the margin; never negative."""
    return max(0, math.floor((radius - _MARGIN) * 1e6)) / 1e6


def _check_count(name: str, value: int, least: int, most: float = math.inf) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}")
    if value > most:
        raise ValueError(f"{name} must be at most {most}, got {value!r}")


def _check_radius(name: str, radius: float) -> float:
    if isinstance(radius, bool) or not isinstance(radius, Real):
        raise TypeError(f"{name} must be a number, got {radius!r}")
    if not 0 <= radius < math.inf:
        raise ValueError(f"{name} must be finite and not negative, got {radius!r}")
    return float(radius)


def _check_sequential_alpha(alpha: float) -> float:
    alpha = _check_alpha(alpha)
    if alpha < 100 * confidence.SMALLEST_ALPHA:
        least = 100 * confidence.SMALLEST_ALPHA
        raise ValueError(f"alpha must be at least {least:g} where a run may stop, got {alpha!r}")
    return alpha


def _check_alpha(alpha: float) -> float:
    if isinstance(alpha, bool) or not isinstance(alpha, Real):
        raise TypeError(f"alpha must be a number, got {alpha!r}")
    # Half of it must be in the range for which the confidence bounds were measured.
    if not 2 * confidence.SMALLEST_ALPHA <= alpha < 1:
        least = 2 * confidence.SMALLEST_ALPHA
        raise ValueError(f"alpha must be between {least:g} and 1, got {alpha!r}")
    return float(alpha)
