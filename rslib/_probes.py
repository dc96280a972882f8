"""Is it the same function, and does it answer each row by itself? Asked with random rows.

Whatever a network is turned into is compared with the network, and whatever answers is asked about
the same row twice, in another place and among other rows: Theorem 1 and the binomial bounds rest
on every noisy copy being answered by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor

from rslib._modules import GlobalGenerators, Watched, state_kept

#: From a batch in float32 to scores (B, K) or labels (B,).
Scores = Callable[[Tensor], Tensor]

# Scores of one function that is computed in two ways, relative to how much they vary.
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-4}
_LOW_PRECISION, _TENSOR_FLOAT = 5e-2, 5e-3
# Of one network of eight bits, run by two programs, relative to how much scores vary over all
# probes: twenty layers differ by 0.04 there, a network that is computed wrongly by more than 1.
_TWO_PROGRAMS = 0.2
# Scores of one row, computed in one way, in one place; and in another place, where rounding may be
# another, inside the base classifier even in low precision.
_AGAIN, _ELSEWHERE = 1e-6, 5e-2
# Of each of four tests, for a base classifier that answers each row by itself; with the fifth,
# of turns (64 * 4^-14 = 2.4e-7), 10^-6 in all.
_FALSE_ALARM = 1.8e-7
_ROWS_TESTED, _SIGNS_WANTED = 64, 48
_TURNS = 14


def probes(example: Tensor) -> list[Tensor]:
    """Four batches like the example: pixels, noise, and both larger and whole.

    On a grid values tie, and a tie may be broken in another way.
    """
    generator = torch.Generator(example.device).manual_seed(0)
    found = [
        torch.empty_like(example).copy_(
            draw(example.shape, generator=generator, device=example.device)
        )
        for draw in (torch.rand, torch.randn, torch.rand, torch.randn)
    ]
    return [*found[:2], *((4 * probe).round() for probe in found[2:])]


def agree(expected: list[Tensor], found: list[Tensor], dtype: torch.dtype) -> bool:
    """Whether these are the scores of one function, computed in two ways in this number type.

    Each score may differ by little of what the scores of its class vary by, so that a class that
    is never chosen, at a score of -10^9, hides nothing of the others.
    """
    tolerance = _TOLERANCE.get(dtype, _LOW_PRECISION)
    if expected[0].is_cuda and dtype == torch.float32 and torch.backends.cudnn.allow_tf32:
        tolerance = _TENSOR_FLOAT
    few = len(expected[0]) < 16
    spreads = _spread(torch.cat(expected)) if few and len(expected) > 1 else None
    return all(
        _close(one, other, tolerance, dtype, _spread(one) if spreads is None else spreads)
        for one, other in zip(expected, found, strict=True)
    )


def agree_as_programs(expected: list[Tensor], found: list[Tensor]) -> bool:
    """Whether these are the scores of one network of eight bits, run by two programs.

    They round in different places, and layer by layer that adds up; in a batch of probes that all
    look alike to the network it may be as large as what tells them apart. So the yardstick is how
    much the scores of a class vary over all batches.
    """
    spread = _spread(torch.cat(expected))
    return all(
        _close(one, other, _TWO_PROGRAMS, torch.float32, spread)
        for one, other in zip(expected, found, strict=True)
    )


def _spread(scores: Tensor) -> Tensor:
    """By how much the scores of each class vary (K,), beside infinities."""
    scores = scores.double().nan_to_num(math.nan, math.nan, math.nan)
    missing = scores.isnan()
    high = scores.masked_fill(missing, -math.inf).amax(0)
    low = scores.masked_fill(missing, math.inf).amin(0)
    return (high - low).clamp(min=0).nan_to_num(0.0, 0.0, 0.0)


def _close(
    one: Tensor, other: Tensor, tolerance: float, dtype: torch.dtype, spread: Tensor
) -> bool:
    if one.shape != other.shape:
        return False
    if not (one.dtype.is_floating_point and other.dtype.is_floating_point):
        return torch.equal(one, other.to(one.dtype))
    rounding = 8 * torch.finfo(dtype).eps
    one, other = one.double(), other.double().to(one.device)
    off = (one - other).abs()
    allowed = tolerance * spread + rounding * one.abs()
    return bool(((off <= allowed) | (one == other) | (one.isnan() & other.isnan())).all())


def check_rows(
    scores: Scores, example: Tensor, num_classes: int, dtype: torch.dtype, watch: bool
) -> bool:
    """Refuse a base classifier whose answer to a row depends on the rest of the batch.

    Parameters
    ----------
    scores : callable
        The base classifier as it will be run.
    example : Tensor
        A batch of the shape and layout that it will be given.
    num_classes : int
        Number of classes K.
    dtype : torch.dtype
        The number type that it computes in.
    watch : bool
        Whether it may call modules in Python. They get their state back.

    Returns
    -------
    bool
        Whether a row's scores are the same, to the last bit, wherever it stands.

    Raises
    ------
    ValueError
        If rows are not answered by themselves, with the likely cause. A base classifier that draws
        its randomness anew for each row is refused with a probability of at most 10^-6.
    """
    generators = GlobalGenerators(example.device)
    asked = _Asked(scores, example, num_classes, dtype, generators)
    refused, watched, answer = None, Watched(), False
    with state_kept() if watch else nullcontext(watched) as watched:
        try:
            answer = asked.independent_of_place(watched)
        except ValueError as error:
            refused = error
        finally:
            generators.restore()
    if watched.changed_in_training:
        names = ", ".join(watched.changed_in_training[:3])
        raise ValueError(
            "base must answer each row by itself, got a network in training mode, which every call "
            f"changes ({names}): call its .eval() first"
        ) from refused
    if refused:
        raise refused
    return answer


class _Asked:
    """A base classifier under questions."""

    def __init__(
        self,
        scores: Scores,
        example: Tensor,
        num_classes: int,
        dtype: torch.dtype,
        generators: GlobalGenerators,
    ) -> None:
        self._scores, self._num_classes, self._generators = scores, num_classes, generators
        self._dtype = dtype
        uniform, noise, *_ = probes(example)
        # The others are above all rows, or below: their mean, their norm and their rank are others.
        self._rows, self._others = uniform, 2 + 3 * noise.abs()

    def _of(self, *parts: Tensor) -> Tensor:
        """What a batch of these rows gets (B, 2 K): scores, and by how much they are not highest.

        Labels are scores of 0 and 1. An answer is a difference of scores: what all classes of a
        row have in common, however widely it varies, hides nothing there.
        """
        batch = torch.empty_like(self._rows)
        batch.copy_(torch.cat(parts))
        found = self._scores(batch).detach()
        if found.dim() == 1:
            found = torch.nn.functional.one_hot(found, self._num_classes)
        found = found if found.dtype.is_floating_point else found.float()
        return torch.cat([found, found - found.amax(1, keepdim=True)], 1)

    def independent_of_place(self, watched: Watched) -> bool:
        rows, kept = self._rows, len(self._rows) // 2
        first = self._of(rows)
        if not torch.isfinite(first).all():
            return True  # that is refused where scores are counted
        self._generators.restore()
        moved = self._of(rows[-1:], rows[:-1]).roll(-1, 0)
        among = []
        for others in (self._others, -self._others):
            self._generators.restore()
            among.append(self._of(rows[:kept], others[kept:]))
        again = self._of(rows)
        spread = _spread(torch.cat([first, *among]))
        if (
            _close(first, again, _AGAIN, self._dtype, spread)
            and _close(first, moved, _ELSEWHERE, self._dtype, spread)
            and all(_close(first[:kept], one[:kept], _AGAIN, self._dtype, spread) for one in among)
        ):
            return torch.equal(first, moved)
        if kept:
            self._test_steady_answers(spread, watched)
            self._test_fresh_randomness(kept)
            self._test_neighbours(kept, spread, watched)
        return False

    def _test_steady_answers(self, spread: Tensor, watched: Watched) -> None:
        """Refuse if a row always gets the same scores, and always others one place further on.

        A random answer that is another one with probability p would do so k times each with
        probability (p (1 - p))^k at most.
        """
        rows = self._rows
        here, there = [], []
        for _ in range(_TURNS):
            here.append(self._of(rows)[:_ROWS_TESTED].double())
            there.append(self._of(rows[-1:], rows[:-1]).roll(-1, 0)[:_ROWS_TESTED].double())
        steady = ((torch.stack(here) - here[0]).abs() <= _AGAIN * spread).all(2).all(0)
        moved = ((torch.stack(there) - here[0]).abs() > _ELSEWHERE * spread).any(2).all(0)
        if bool((steady & moved).any()):
            raise ValueError(self._in_another_place(watched))

    def _in_another_place(self, watched: Watched) -> str:
        return (
            "base must answer each row by itself, got other scores for the same row in another "
            f"place of the batch: {_cause(watched)}"
        )

    def _test_neighbours(self, kept: int, spread: Tensor, watched: Watched) -> None:
        rows, rest = self._rows[:kept], self._others[: len(self._rows) - 2 * kept]
        first, second = slice(0, kept), slice(kept, 2 * kept)
        mixed = self._others[:kept]
        for one, other in ((mixed, -mixed), (self._rows[second], mixed)):
            batches = (rows, one, rest), (rows, other, rest)
            if self._differ(*batches, first, first, _AGAIN * spread):
                raise ValueError(
                    "base must answer each row by itself, got other scores for the same row among "
                    f"other rows of the batch: {_cause(watched)}"
                )
        if self._differ(
            (rows, mixed, rest), (mixed, rows, rest), first, second, _ELSEWHERE * spread
        ):
            raise ValueError(self._in_another_place(watched))

    def _differ(
        self,
        here: tuple[Tensor, ...],
        there: tuple[Tensor, ...],
        place_here: slice,
        place_there: slice,
        small: Tensor,
    ) -> bool:
        """Whether the rows in these places of two batches, which are the same, get other scores.

        What differs by no more than ``small``, one number a class, is taken to be the same.

        Where each row is answered by itself, the difference of its two scores is as often positive
        as negative, independently of all others. A few rounds choose for each row the class and
        the sign that look worst; the others count how often they are right.
        """
        tested = min(place_here.stop - place_here.start, _ROWS_TESTED)
        chosen, counted = 4, max(4, math.ceil(_SIGNS_WANTED / tested))
        differences = []
        for turn in range(chosen + counted):
            if turn % 2:
                second = self._of(*there)[place_there]
                first = self._of(*here)[place_here]
            else:
                first = self._of(*here)[place_here]
                second = self._of(*there)[place_there]
            differences.append((first - second)[:tested].double())
        worst = torch.stack(differences[:chosen]).mean(0)
        classes = (worst.abs() / small.clamp_min(1e-300)).argmax(1, keepdim=True)
        signs = worst.gather(1, classes).sign()
        seen = torch.stack([one.gather(1, classes) * signs for one in differences[chosen:]])
        seen = seen[seen.abs() > small[classes.squeeze(1)][None, :, None]]
        return _tail(int((seen > 0).sum()), seen.numel()) <= _FALSE_ALARM

    def _test_fresh_randomness(self, kept: int) -> None:
        """Two equal rows of one batch differ as much as two of different batches.

        Where each row has its own randomness, which of the two differ more is a fair coin.
        """
        rows = self._rows
        batch = (rows[:kept], rows[:kept], rows[: len(rows) - 2 * kept])
        tested = min(kept, _ROWS_TESTED)
        ahead = ties = total = 0
        for _ in range(max(4, math.ceil(_SIGNS_WANTED / tested))):
            first, second = self._of(*batch).double(), self._of(*batch).double()
            twin = (first[:tested] - first[kept : kept + tested]).norm(dim=1)
            stranger = (first[:tested] - second[kept : kept + tested]).norm(dim=1)
            ahead += int((stranger > twin).sum())
            ties += int((stranger == twin).sum())
            total += tested
        if _tail(ahead, total - ties) <= _FALSE_ALARM:
            raise ValueError(
                "base must draw its randomness anew for each row, got scores that equal rows of "
                "one batch share more than those of two batches: draw as many values as there are "
                "rows"
            )


def _tail(successes: int, n: int) -> float:
    """The probability that a fair coin falls as often, or more often, in n throws."""
    return sum(math.comb(n, k) for k in range(successes, n + 1)) / 2**n


def _cause(watched: Watched) -> str:
    if watched.in_training():
        return "a network it calls is in training mode; call its .eval() first"
    for module in watched.modules:
        for name, part in module.named_modules():
            if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
                if part.running_mean is None:
                    return f"batch statistics in {name or type(part).__name__}"
    return "does it use a mean, a norm or a rank over the batch?"
