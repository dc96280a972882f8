"""The smoothed classifier g: what it predicts, and how far from x the prediction provably holds.

g(x) is the class that the base classifier f returns most often on N(x, sigma^2 I). With the default
noise, f sees its input rounded to the grid of the data, and everything said of g holds exactly of
the smoothed version of that classifier (chapter 12).
"""

# More than half of this module is docstrings: it is one class, the one that users meet.

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import count
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from rslib import _checks, confidence, decisions
from rslib.decisions import Certificate, Decision, Method, Setting
from rslib.engine import Engine, Plan
from rslib.noise import FloatGaussian, GridGaussian, NoiseStream, Purpose
from rslib.plans import default_plan
from rslib.scheduling import Example, count_all, count_until_stopped, naming_x

__all__ = ["SmoothedClassifier"]


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
    seed : int, optional
        Fixes every draw, together with the example's ``index``; from 0 to 2^63 - 1. Default: drawn
        afresh from the operating system, kept as the attribute ``seed``, in every certificate and
        in every decision, so that all can be made again. What is promised is promised over this
        draw: choose the seed after the base classifier and the inputs, and not by its results.
    off_grid : {"refuse", "round"}
        Refuse an x off the grid, or certify the classifier that rounds every input to the grid
        before it smooths. That costs radius: half a cell's diagonal (a perturbed input may be
        rounded by as much) and the distance of x to the grid.
    plan : Plan, optional
        How the network is run; default `rslib.plans.default_plan`.
    device : str
        Where it runs, unless ``plan`` says so.

    Raises
    ------
    ValueError, TypeError
        Names the argument and its value, before any work.

    References
    ----------
    cohen2019, Algorithm 1 and Theorem 1; hung2019 for prediction; chapters 8 and 12.

    Attributes
    ----------
    base, num_classes, noise, seed, off_grid, plan, device
        As given; ``noise`` is the law, ``plan`` None where none was given. An instance can be
        copied and pickled if ``base`` can: the copy has the same seed, and gives the same.

    Examples
    --------
    A base classifier that answers by the sign of the first pixel minus a half:

    >>> import torch
    >>> def base(x):
    ...     margin = x.flatten(1)[:, 0] - 0.5
    ...     return torch.stack([margin, -margin], dim=1)
    >>> g = SmoothedClassifier(base, num_classes=2, sigma=0.25, step="1/255", seed=0)
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
        self.num_classes = _checks.whole("num_classes", num_classes, 2)
        seed = secrets.randbits(63) if seed is None else seed
        self.seed = _checks.whole("seed", seed, 0, 2**63 - 1)
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
        self.base, self.off_grid = base, off_grid
        self.plan, self.device = plan, plan.device if plan else device
        self._engines: dict[tuple[int, ...], Engine] = {}

    def __getstate__(self) -> dict:
        """Engines are made anew where they are needed: they hold locks and compiled code."""
        return self.__dict__ | {"_engines": {}}

    @property
    def sigma(self) -> Fraction:
        """Standard deviation of the noise, exact, in input units."""
        return self.noise.sigma

    def engine(self, shape: tuple[int, ...]) -> Engine:
        """The engine for examples of this shape; made on first use."""
        shape = tuple(shape)
        if shape not in self._engines or self._engines[shape].base is not self.base:
            plan = self.plan or default_plan(self.base, shape, self.device)
            with naming_x(shape):
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
        (counts,) = self.counts_many([x], n, purpose, [index])
        return counts

    def counts_many(
        self,
        xs: Iterable[Tensor | np.ndarray],
        n: int,
        purpose: Purpose,
        indices: Iterable[int] | None = None,
    ) -> Iterator[np.ndarray]:
        """What `counts` returns for each of several examples, which share forward passes.

        Parameters
        ----------
        xs, indices
            As for `predict_many`.
        n, purpose
            As for `counts`, for each example.

        Returns
        -------
        iterator of numpy.ndarray
            The counts of each example, in order, as they are found.
        """
        n = _checks.whole("n", n, 1, confidence.LARGEST_N)
        found = count_all(self._examples(xs, indices), (purpose, n))
        return (counts for _, (counts,) in found)

    def _prepare(self, x: Tensor | np.ndarray) -> tuple[Tensor, float]:
        """x as the noise wants it, and how much radius rounding it costs."""
        x = _as_dense(x)
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
    ) -> Iterator[Example]:
        """Each of xs made ready, with its index: 0, 1, 2, ... where none are given."""
        xs, none = iter(xs), object()
        for index in count() if indices is None else indices:
            index = _checks.whole("index", index, 0)
            x: Any = next(xs, none)
            if x is none and indices is not None:
                raise ValueError(f"xs must have an example for each of indices, none for {index}")
            if x is none:
                return
            yield self._example(x, index)
        if next(xs, none) is not none:
            raise ValueError("indices must have one for each of xs, got fewer")

    def _example(self, x: Tensor | np.ndarray, index: int) -> Example:
        prepared, cost = self._prepare(x)

        def stream(purpose: Purpose) -> NoiseStream:
            return self.noise.stream(prepared, self.seed, purpose, index, device=self.device)

        return Example(prepared, cost, lambda: self.engine(prepared.shape), stream)

    def _setting(self, example: Example, n0: int, n: int, alpha: float) -> Setting:
        return Setting(
            sigma=self.sigma,
            n0=n0,
            n=n,
            alpha=alpha,
            noise=self.noise.name,
            step=self.noise.step,
            total_variation=self.noise.total_variation(example.prepared.numel()),
            rounding_cost=example.cost,
            seed=self.seed,
        )

    def predict(
        self, x: Tensor | np.ndarray, n: int = 1000, alpha: float = 0.001, index: int = 0
    ) -> int:
        """The class that g returns at x, or `rslib.ABSTAIN`.

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
            A class, or `rslib.ABSTAIN` where the two leading counts are too close.

        Raises
        ------
        ValueError, TypeError
            Names the argument and its value, before any work.

        Notes
        -----
        A two-sided binomial test of the two leading counts at level alpha (Hung and Fithian 2019;
        Cohen et al. 2019, PREDICT). The n noise vectors differ from exact ones with probability at
        most n times the total variation distance, which is taken off alpha.

        The probability is over the draw of the seed, for an x that was fixed before. With the seed
        fixed, g as computed here is a function like any other: whoever chooses x in sight of its
        answers can look for one where it errs. A classifier that goes on answering such inputs
        needs a new seed for each.
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
            A class or `rslib.ABSTAIN` for each example, in order, as it is found.

        Raises
        ------
        ValueError, TypeError
            As `predict`; for an example, when its turn comes.
        """
        n = _checks.whole("n", n, 1, confidence.LARGEST_N)
        alpha = decisions.check_alpha(alpha)
        found = count_all(self._examples(xs, indices), (Purpose.PREDICTION, n))

        def variation(example: Example) -> float:
            return n * self.noise.total_variation(example.prepared.numel())

        return (
            decisions.predict_from_counts(counts, alpha, variation(example))
            for example, (counts,) in found
        )

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
        if two_sided and (early_abstain or radius_loss is not None):
            raise ValueError("two_sided must be False where a run may stop early, got True")
        method: Method = decisions.TwoSided() if two_sided else decisions.AllSamples()
        if early_abstain:
            method = decisions.EarlyAbstain()
        if radius_loss is not None:
            method = decisions.RadiusLoss(decisions.check_radius("radius_loss", radius_loss))
        found = self.certify_by(method, xs, n0, n, alpha, indices)
        return cast(Iterator[Certificate], found)

    def certify_by(
        self,
        method: Method,
        xs: Iterable[Tensor | np.ndarray],
        n0: int = 100,
        n: int = 100_000,
        alpha: float = 0.001,
        indices: Iterable[int] | None = None,
    ) -> Iterator[Certificate | Decision]:
        """Certify several examples by any method of `rslib.decisions`.

        `certify_many` and `certify_at_many` are this, with methods of their own.

        Parameters
        ----------
        method : rslib.decisions.Method
            When a run stops, and what its counts show.
        xs : iterable of Tensor or numpy.ndarray
            Examples, as for `certify`; an array (B, \\*shape) is one.
        n0 : int
            Noisy copies that pick the class; they are used for nothing else.
        n : int
            Noisy copies, others, that are drawn at most.
        alpha : float
            Probability, over the noise, that what is said of an example is false: at most this, for
            each, not for all.
        indices : iterable of int, optional
            Name the examples' noise, see `counts`; default 0, 1, 2, ...

        Returns
        -------
        iterator of Certificate or Decision
            What the method concludes for each example, in order, as it is found.

        Raises
        ------
        ValueError, TypeError
            As `certify`; for an example, when its turn comes.

        Examples
        --------
        >>> from rslib.decisions import RadiusLoss
        >>> def base(x):
        ...     margin = x.flatten(1)[:, 0] - 0.5
        ...     return torch.stack([margin, -margin], dim=1)
        >>> g = SmoothedClassifier(base, num_classes=2, sigma=0.25, step="1/255", seed=0)
        >>> (certificate,) = g.certify_by(RadiusLoss(0.05), [torch.ones(1, 2, 2)])
        >>> certificate.label, certificate.samples < 100_000
        (0, True)
        """
        if not isinstance(method, Method):
            raise TypeError(f"method must be one of rslib.decisions, got {method!r}")
        n0 = _checks.whole("n0", n0, 1, confidence.LARGEST_N)
        n = _checks.whole("n", n, 1, confidence.LARGEST_N)
        alpha = decisions.check_alpha(alpha, method.sequential)
        examples = self._examples(xs, indices)

        def found() -> Iterator[tuple[Example, np.ndarray, np.ndarray, int]]:
            if method.sequential:

                def rule(example: Example) -> decisions.Rule:
                    return method.stop_rule(self._setting(example, n0, n, alpha))

                yield from count_until_stopped(examples, n0, n, rule)
                return
            # In the same forward passes: the second count does not wait for the first.
            wanted = (Purpose.SELECTION, n0), (Purpose.ESTIMATION, n)
            for example, (selection, counts) in count_all(examples, *wanted):
                yield example, selection, counts, n

        return (
            method.conclude(self._setting(example, n0, n, alpha), selection, counts, drawn)
            for example, selection, counts, drawn in found()
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
        A radius r holds where p_a is above Phi(r/sigma). `rslib.sequential.is_above` may say so at
        any sample, and is then believed, whatever comes later; `rslib.sequential.is_hopeless` may
        say that n_max samples would not. The run stops when each radius has one or the other. The
        counts kept are those that showed the largest radius, which imply the smaller ones. A radius
        that all n_max samples would have certified is given up with probability at most alpha. The
        sampler's total variation is added to Phi(r/sigma): each draw hits the class with a
        probability that is larger than p_a by that much at most, and the draws are independent,
        whenever one stops.

        References
        ----------
        ville1939, waudbysmith2024. Chapter 13.

        Examples
        --------
        >>> def base(x):
        ...     margin = x.flatten(1)[:, 0] - 0.5
        ...     return torch.stack([margin, -margin], dim=1)
        >>> g = SmoothedClassifier(base, num_classes=2, sigma=0.25, step="1/255", seed=0)
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

        `certify_by` with ``AtRadii(radii, give_up=0.01)`` gives up sooner what is unlikely.

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
        n_max = _checks.whole("n_max", n_max, 1, confidence.LARGEST_N)
        asked: tuple = (radius,)
        if np.ndim(radius):
            asked = tuple(cast(Iterable, radius))
        if not asked:
            raise ValueError("radius must not be empty")
        method = decisions.AtRadii([decisions.check_radius("radius", one) for one in asked])
        found = self.certify_by(method, xs, n0, n_max, alpha, indices)
        return cast(Iterator[Decision], found)


def _as_dense(x: Tensor | np.ndarray) -> Tensor | np.ndarray:
    """x as the noise takes it, or a TypeError that names it.

    What is left to the noise: whether it is floating, finite and on the grid.
    """
    if isinstance(x, Tensor):
        if x.layout != torch.strided or x.is_quantized or x.is_meta or x.is_nested:
            kind = "quantized" if x.is_quantized else "on meta" if x.is_meta else x.layout
            raise TypeError(f"x must be a plain dense tensor, got one that is {kind}")
        if x.is_floating_point() and x.dtype.itemsize < 2:
            raise TypeError(f"x must have at least 16 bits a value, got {x.dtype}")
        return x
    try:
        found = np.asarray(x)
    except Exception as error:
        raise TypeError(f"x must be an array of numbers, got {type(x).__name__}: {error}") from None
    if isinstance(x, np.ma.MaskedArray) or found.dtype.kind not in "biuf":
        kind = f"{type(x).__name__} of dtype {found.dtype}"
        raise TypeError(f"x must be a plain dense array of floating numbers, got {kind}")
    if not found.dtype.isnative or found.dtype.itemsize > 8:
        raise TypeError(
            f"x must be of a type that torch has, got {found.dtype.str}; "
            "x.astype('float32') is, and x.astype('float64')"
        )
    return found
