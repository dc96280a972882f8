"""Checks for the chapters' exercises: they say right or not yet, and hint without telling.

>>> from rslib.exercises import check
>>> verdict = check("08.1")
Exercise 8.1: no answer yet.
>>> verdict = check("08.1", 0.7)
Exercise 8.1: not yet. Hint: insert the two bounds into the formula of Theorem 1, term by term.
>>> verdict.correct
False

A chapter's checks live in a module of their own, ``ch08.py`` for chapter 8. A check is a function
of the answer that returns a hint, or None when the answer is right::

    @exercise("08.1", kind="by hand", expects="a number, such as 0.25")
    def two_sided_radius(answer):
        value = number(answer)
        ...
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module

import numpy as np

__all__ = [
    "Exercise",
    "Verdict",
    "WrongType",
    "check",
    "close",
    "exercise",
    "expression",
    "function",
    "number",
    "numeric_function",
    "rounded_up",
]

KINDS = ("by hand", "by code", "break it", "open")
MORE_DIGITS = "close: give more digits."
ROUNDED_UP = (
    "close, but above the truth: a distance that is promised may be rounded down, never up. "
    "Give more digits."
)
WHOLE_ARRAY = (
    "your function gets a whole array, not one number: use NumPy's functions, such as `np.exp`, "
    "and `np.where` instead of `if`, or wrap it in `np.vectorize`."
)


class WrongType(Exception):
    """The answer is not of the kind that the exercise asks for."""


@dataclass(frozen=True)
class Exercise:
    """One exercise: its identifier, its kind, what an answer looks like, and the check."""

    exercise_id: str
    kind: str
    expects: str
    grade: Callable[[object], str | None]

    @property
    def name(self) -> str:
        """Number of the exercise in the book, such as "8.1" for "08.1"."""
        chapter, number_ = self.exercise_id.split(".")
        return f"{int(chapter)}.{int(number_)}"


@dataclass(frozen=True)
class Verdict:
    """What a check says: whether the answer is right, and the printed sentence."""

    exercise_id: str
    correct: bool
    message: str

    def _ipython_display_(self) -> None:
        """Show nothing more in a notebook: the sentence has been printed already."""


EXERCISES: dict[str, Exercise] = {}


@dataclass
class _Comparison:
    """How `close` compares while an answer is graded, and whether anything was close."""

    rounded: bool = False
    matched: bool = False


_COMPARISON: ContextVar[_Comparison | None] = ContextVar("_COMPARISON", default=None)


def exercise(exercise_id: str, *, kind: str, expects: str) -> Callable:
    """Register a function as the check of an exercise.

    Parameters
    ----------
    exercise_id : str
        Two digits of chapter, a dot, the number: "08.1".
    kind : {"by hand", "by code", "break it", "open"}
    expects : str
        What an answer looks like, to complete the sentence "The answer should be ...".

    Returns
    -------
    callable
        A decorator that leaves the function as it is.

    Raises
    ------
    ValueError
        If the identifier is malformed or taken, or the kind unknown.
    """
    if not re.fullmatch(r"\d\d\.\d+", exercise_id):
        raise ValueError(f'exercise_id must look like "08.1", got {exercise_id!r}')
    if exercise_id in EXERCISES:
        raise ValueError(f"exercise_id must be new, got {exercise_id!r} a second time")
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")

    def register(grade: Callable[[object], str | None]) -> Callable[[object], str | None]:
        EXERCISES[exercise_id] = Exercise(exercise_id, kind, expects, grade)
        return grade

    return register


def check(exercise_id: str, answer: object = None) -> Verdict:
    """Check an answer to an exercise, print the verdict and return it.

    Parameters
    ----------
    exercise_id : str
        As the chapter names it: "08.1" (or "8.1").
    answer : object
        A number, an expression, a function or a choice: the exercise says which. None and ``...``
        mean that there is no answer yet. Whatever else is given, the check never raises.

    Returns
    -------
    Verdict
        ``verdict.correct`` is True for a right answer, else False.

    Raises
    ------
    ValueError
        If there is no exercise of that name.

    Examples
    --------
    >>> verdict = check("08.1", "a lot")
    Exercise 8.1: not yet. Hint: the answer should be a number, such as 0.25 (got str).
    """
    item = _find(exercise_id)
    if answer is None or answer is ...:
        correct, sentence = False, "no answer yet."
    else:
        hint = _hint(item, answer)
        correct = hint is None
        sentence = "right." if correct else f"not yet. Hint: {hint}"
    verdict = Verdict(item.exercise_id, correct, f"Exercise {item.name}: {sentence}")
    print(verdict.message)
    return verdict


def _find(exercise_id: str) -> Exercise:
    parts = re.fullmatch(r"(\d{1,2})\.(\d+)", exercise_id) if isinstance(exercise_id, str) else None
    if parts:
        chapter, place = int(parts[1]), int(parts[2])
        module = f"{__name__}.ch{chapter:02d}"
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:  # the chapter exists, but something that it needs does not
                raise
        item = EXERCISES.get(f"{chapter:02d}.{place}")
        if item:
            return item
    raise ValueError(f'exercise_id must name an exercise, such as "08.1", got {exercise_id!r}')


def _hint(item: Exercise, answer: object) -> str | None:
    expectation = f"the answer should be {item.expects}"
    try:
        hint, matched = _graded(item, answer)
        if hint is None or matched or item.kind not in ("by hand", "open"):
            return hint
        return MORE_DIGITS if _is_rounded(item, answer) else hint
    except WrongType as error:
        return str(error) or f"{expectation} (got {type(answer).__name__})."
    except Exception as error:  # whatever a reader hands in, the page must go on
        return f"reading it raised {type(error).__name__}; {expectation}."


def _graded(item: Exercise, answer: object, rounded: bool = False) -> tuple[str | None, bool]:
    """The hint, and whether the answer was close to any number that the check knows."""
    comparison = _Comparison(rounded)
    token = _COMPARISON.set(comparison)
    try:
        return item.grade(answer), comparison.matched
    finally:
        _COMPARISON.reset(token)


def _is_rounded(item: Exercise, answer: object) -> bool:
    """Whether a refused answer would be right but for its few digits.

    The check is asked a second time, with the wider comparison of `_few_digits`. The verdict stays
    "not yet"; a wrong idea that the check knows keeps its own hint.
    """
    try:
        for part in answer if isinstance(answer, tuple | list) else (answer,):
            number(part)
        return _graded(item, answer, rounded=True)[0] is None
    except Exception:  # the first hint stands
        return False


def _few_digits(value: float, target: float) -> bool:
    """Whether a number of three digits at most is the target, rounded or within one percent."""
    if not (math.isfinite(value) and math.isfinite(target)) or value != float(f"{value:.2e}"):
        return False
    return math.isclose(value, target, rel_tol=1e-2) or value == float(f"{target:.1e}")


def number(answer: object, *, finite: bool = True) -> float:
    """Read an answer as one real number: a float, a fraction, a SymPy constant, a 0-d array.

    Parameters
    ----------
    answer : object
    finite : bool
        Refuse infinite numbers. NaN is refused always.

    Raises
    ------
    WrongType
        If it is not such a number.

    Examples
    --------
    >>> from fractions import Fraction
    >>> number(Fraction(1, 4))
    0.25
    """
    # float() also reads strings and True, which are slips rather than numbers here.
    if isinstance(answer, str | bytes | bool) or callable(answer):
        raise WrongType
    try:
        value = float(answer)
    except Exception as error:
        raise WrongType from error
    if math.isnan(value) or (finite and math.isinf(value)):
        raise WrongType(f"the answer should be a finite number (got {value}).")
    return value


def function(answer: object) -> Callable:
    """Read an answer as a function; calling it turns the reader's exceptions into hints.

    Raises
    ------
    WrongType
        If it cannot be called. The returned function raises WrongType, naming the arguments,
        where the reader's function raises.
    """
    if not callable(answer):
        raise WrongType

    def call(*arguments: object) -> object:
        try:
            return answer(*arguments)
        except Exception as error:
            if _wants_one_number(error, arguments):
                raise WrongType(WHOLE_ARRAY) from error
            shown = ", ".join(_shown(argument) for argument in arguments)
            raise WrongType(
                f"your function raised {type(error).__name__} on the arguments ({shown})."
                if len(shown) < 100
                else f"your function raised {type(error).__name__}: {error}."
            ) from error

    return call


def _shown(argument: object) -> str:
    """An argument in a hint, on one line."""
    if isinstance(argument, np.ndarray) and argument.size > 8:
        return f"an array of shape {argument.shape}"
    return " ".join(repr(argument).split())


def _wants_one_number(error: Exception, arguments: tuple) -> bool:
    """Whether the function failed because it treats an array like one number."""
    # NumPy words the second error as size-1, length-1 or 0-dimensional arrays.
    wanted = r"truth value of an array|only \S+ arrays can be converted"
    arrays = any(isinstance(part, np.ndarray) and part.size > 1 for part in arguments)
    return arrays and re.search(wanted, str(error)) is not None


def numeric_function(answer: object) -> Callable[..., float]:
    """Read an answer as a function that returns a number, as `function` and `number` do.

    The number may be infinite, as a radius can be.
    """
    call = function(answer)

    def value(*arguments: object) -> float:
        returned = call(*arguments)
        try:
            return number(returned, finite=False)
        except WrongType as error:
            raise WrongType(
                f"your function should return one number (got {type(returned).__name__})."
                if not str(error)
                else "your function should return one number (got nan)."
            ) from error

    return value


def expression(answer: object, *names: str) -> Callable[..., float]:
    """Read an answer as a formula in some symbols: a SymPy expression, or a function of them.

    Parameters
    ----------
    answer : object
        An expression whose symbols have these names (whether they were declared positive or real
        does not matter), or a function of as many arguments.
    *names : str
        The symbols that it may use, in the order in which the returned function takes values.

    Returns
    -------
    callable
        The value of the formula, a float. It raises WrongType where that is not a real number.

    Raises
    ------
    WrongType
        If the answer is neither, or has other symbols.

    Examples
    --------
    >>> import sympy as sp
    >>> a, b = sp.symbols("a b")
    >>> expression(2 * a + b, "a", "b")(1.0, 0.5)
    2.5
    >>> expression(max, "a", "b")(1.0, 0.5)
    1.0
    """
    if callable(answer):
        return numeric_function(answer)
    symbols = getattr(answer, "free_symbols", None)
    if symbols is None:
        raise WrongType
    unknown = sorted({symbol.name for symbol in symbols} - set(names))
    if unknown:
        allowed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
        raise WrongType(f"the answer may use {allowed} only; it has {', '.join(unknown)}.")

    def value(*case: float) -> float:
        values = dict(zip(names, case, strict=True))
        result = answer.subs({symbol: values[symbol.name] for symbol in symbols})
        if getattr(result, "is_extended_real", None) is False:
            at = ", ".join(f"{name} = {number_:.4g}" for name, number_ in values.items())
            raise WrongType(f"your expression is not a real number at {at}.")
        return number(result)

    return value


def rounded_up(value: float, target: float) -> bool:
    """Whether a value that is close to a certified distance claims more than that distance.

    The target rounded to four significant digits is accepted, even where that rounds up.
    """
    comparison = _COMPARISON.get()
    if comparison is not None and comparison.rounded:
        return False  # the digits are missing; that is said first
    half_unit = 0.5 * 10.0 ** (math.floor(math.log10(target)) - 3)
    return value > target + half_unit * (1 + 1e-9)


def close(value: float, target: float, relative: float = 2e-3) -> bool:
    """Whether two numbers agree to about three significant digits."""
    agrees = math.isclose(value, target, rel_tol=relative, abs_tol=1e-12)
    comparison = _COMPARISON.get()
    if comparison is None:
        return agrees
    # Where a check asks for more digits than usual, they are the point of the exercise.
    if comparison.rounded and relative >= 1e-3:
        agrees = agrees or _few_digits(value, target)
    comparison.matched = comparison.matched or agrees
    return agrees
