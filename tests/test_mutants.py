"""Mistakes that a mathematician would make, put into the library one at a time.

Each must be noticed by the fast tests of the module it is in. `make mutants` runs them by name.
"""

import ast
import compileall
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent


class Mutant(NamedTuple):
    """One mistake: in which function, what stands there once, what stands there instead.

    A function goes by its name within its module ("lower_bound", "Engine._count", a function in a
    function likewise): a mutant follows it from module to module.
    """

    function: str
    right: str
    wrong: str


class Place(NamedTuple):
    """Where a mutant's fragment was found: its module, the function there, the first character."""

    path: Path
    function: str
    at: int


MUTANTS = {
    "distribution function for quantile": Mutant("psi", "special.ndtri(", "special.ndtr("),
    "radius of 1/sigma": Mutant(
        "certified_radius",
        "_scaled_down(sigma, _lowered(top))",
        "_scaled_down(1 / sigma, _lowered(top))",
    ),
    "one half dropped": Mutant("certified_radius", "0.5 * (_lowered(top)", "1.0 * (_lowered(top)"),
    "two-sided for one-sided": Mutant(
        "certified_radius",
        "return _scaled_down(sigma, _lowered(top))",
        "return _scaled_down(sigma, 0.5 * _lowered(top))",
    ),
    "runner-up not capped at 1 - p_a": Mutant(
        "certified_radius", "np.where(loose, top,", "np.where(loose & False, top,"
    ),
    "radius rounded up": Mutant("_scaled_down", "(product, -np.inf)", "(product, np.inf)"),
    "margin on the unsafe side": Mutant(
        "_lowered", "1 - np.copysign(MARGIN, x)", "1 + np.copysign(MARGIN, x)"
    ),
    "2 L for sqrt 2 L": Mutant("lipschitz_radius", "factor = np.sqrt(2.0)", "factor = 2.0"),
    "sqrt 2 L for 2 L": Mutant("lipschitz_radius", "factor = 2.0", "factor = np.sqrt(2.0)"),
    "pi for 2 pi": Mutant("global_gradient_bound", "np.sqrt(2 * np.pi)", "np.sqrt(np.pi)"),
    "d for sqrt d": Mutant(
        "lp_radius", "d ** -np.maximum(0.5 - 1 / p, 0.0)", "d ** -np.maximum(1 - 2 / p, 0.0)"
    ),
    "shrinking below p = 2": Mutant("lp_radius", "np.where(p > 2,", "np.where(p != 2,"),
    "alpha for the n-th root of alpha": Mutant(
        "max_certified_radius", "log_p = np.log(alpha) / n", "log_p = np.log(alpha)"
    ),
    "alpha for half of alpha": Mutant(
        "runner_up_bounds",
        "lower_bound(counts[label], n, alpha / 2)",
        "lower_bound(counts[label], n, alpha)",
    ),
    "union bound over all classes forgotten for the smallest rival": Mutant(
        "runner_up_bounds", "np.delete(counts, label).max()", "np.delete(counts, label).min()"
    ),
    "one-sided test for two-sided": Mutant("hung_fithian_pvalue", "2 * tail", "1 * tail"),
    "k - 1 for k": Mutant(
        "_lower_and_complement", "successes = np.maximum(k, 1)", "successes = np.maximum(k - 1, 1)"
    ),
    "k + 1 for k": Mutant(
        "_lower_and_complement", "successes = np.maximum(k, 1)", "successes = np.minimum(k + 1, n)"
    ),
    "two steps to the root, wherever they lead": Mutant(
        "_tail_root", "left = left[~done]", "left = left[:0]"
    ),
    "a step beyond what is known": Mutant(
        "_tail_root", "np.where(done | good, at + step,", "np.where(True, at + step,"
    ),
    "selection samples used again": Mutant(
        "SmoothedClassifier.certify_by.found",
        "(Purpose.ESTIMATION, n)\n",
        "(Purpose.SELECTION, n)\n",
    ),
    "class chosen from the estimation samples": Mutant(
        "Method._checked", "return int(np.argmax(selection))", "return int(np.argmax(counts))"
    ),
    "twice alpha": Mutant(
        "AllSamples.bounds", "setting.n, setting.alpha)", "setting.n, 2 * setting.alpha)"
    ),
    "sampler's error ignored": Mutant(
        "_OneRadius.conclude", "float(p_a_lower) - setting.total_variation", "float(p_a_lower)"
    ),
    "saved radius rounded to nearest": Mutant("_round_down", "math.floor((", "round(("),
    "cost of rounding the input forgotten": Mutant(
        "_OneRadius.conclude", "_round_down(radius - setting.rounding_cost)", "_round_down(radius)"
    ),
    "test at alpha, the sampler's error ignored": Mutant(
        "predict_from_counts", "pvalue <= alpha - total_variation", "pvalue <= 2 * alpha"
    ),
    "half a step forgotten in rounding": Mutant(
        "guide_table", "lowest - reach", "lowest - reach - 1"
    ),
    "sigma for 1/sigma": Mutant(
        "GridGaussian.__init__", "self.sigma / self.step", "self.step / self.sigma"
    ),
    "variance for deviation": Mutant(
        "HostFloatStream.__init__", "np.float32(sigma)", "np.float32(sigma**2)"
    ),
    "one uniform for radius and angle": Mutant(
        "HostFloatStream._draw", "words[1], turn", "words[0], turn"
    ),
    "low bits not drawn": Mutant(
        "HostGridStream._draw", "| low.view(np.int64)", "| 0 * low.view(np.int64)"
    ),
    "total variation of one coordinate for d": Mutant(
        "GridGaussian.total_variation",
        "bound = d * (2 * self.reach + 2)",
        "bound = (2 * self.reach + 2)",
    ),
    "one stream for all purposes": Mutant("checked_key", "int(Purpose(purpose))", "0"),
    "one stream for all blocks": Mutant(
        "HostGridStream._open",
        "seed_sequence(*self._key, block, part)",
        "seed_sequence(*self._key, part)",
    ),
    "least score for largest": Mutant("answers", "scores.argmax(1)", "scores.argmin(1)"),
    "an exported network taken unseen": Mutant(
        "_recorded",
        "return found if _probes.agree(expected, _scores_of(found), dtype) else None",
        "return found",
    ),
    "scores that are not finite counted": Mutant(
        "Engine._checked_count", "if not finite:", "if False:"
    ),
    "left-over rows counted": Mutant(
        "_passes", "parts.append((job, used, used + take))", "parts.append((job, used, rows))"
    ),
    "batch statistics for running ones": Mutant(
        "in_evaluation_mode", "module.eval()", "module.train()"
    ),
    "verifier: twice alpha": Mutant(
        "_one_sided_margin",
        "return _ball(claims.alpha) - _bin",
        "return 2 * _ball(claims.alpha) - _bin",
    ),
    "verifier: alpha for half of alpha": Mutant(
        "_two_sided_radius", "_ball(claims.alpha) / 2,", "_ball(claims.alpha),"
    ),
    "verifier: radius of 1/sigma": Mutant(
        "_one_sided_margin", "_ball(radius / claims.sigma)", "_ball(radius * claims.sigma)"
    ),
    "verifier: sampler's error ignored": Mutant(
        "_one_sided_margin", ".erfc() / 2 - _ball(claims.variation)", ".erfc() / 2"
    ),
    "verifier: one half dropped": Mutant(
        "_two_sided_radius", "_ball(claims.sigma) / 2 * (of_a", "_ball(claims.sigma) * (of_a"
    ),
    "verifier: sqrt 2 dropped": Mutant("_quantile", "-arb(2).sqrt() * (2 * p)", "-(2 * p)"),
    "counts of another n accepted": Mutant(
        "Method.check_row", "if samples != n and not", "if samples > n and not"
    ),
    "a failure pays for a success": Mutant(
        "_log_e_value",
        "np.log(tail) - _log_binomial(k, m, p)",
        "np.log(tail) - _log_binomial(k, m, 1 - p)",
    ),
    "successes and failures swapped": Mutant("_log_e_value", "m = n - k + b", "m = k + b"),
    "sign of the evidence": Mutant(
        "_log_e_value", "np.log(tail) - _log_binomial", "np.log(tail) + _log_binomial"
    ),
    "weights of the bettors forgotten": Mutant(
        "_log_e_value", "np.log(weight * b / m)", "np.log(b / m)"
    ),
    "all of alpha at every look, and a fifth more at the last": Mutant(
        "is_above", "-math.log((1 - FINAL_SHARE) * alpha)", "-math.log(alpha)"
    ),
    "all of alpha at the last look too": Mutant(
        "is_above", "lower_bound(k[last], n, FINAL_SHARE * alpha)", "lower_bound(k[last], n, alpha)"
    ),
    "the ordinary bound at every look": Mutant("is_above", "last = t == n", "last = t <= n"),
    "radius from all of alpha": Mutant(
        "stopped_lower_bound",
        "sequential_lower_bound(k, t, (1 - FINAL_SHARE) * alpha)",
        "sequential_lower_bound(k, t, alpha)",
    ),
    "lower bound for upper in giving up": Mutant(
        "is_hopeless.against", "_log_e_value((t - k)[few]", "-_log_e_value((t - k)[few]"
    ),
    "giving up at twice the level": Mutant(
        "is_hopeless", "-math.log((1 - _REVERSAL_SHARE) * alpha)", "-math.log(50 * alpha)"
    ),
    "giving up although enough remain": Mutant(
        "is_hopeless", "np.array(missing > left)", "np.array(2 * missing > left)"
    ),
    "one sample too few in the chance that is left": Mutant(
        "is_unlikely", "k[few], t[few] + 1, need[few], n + 1", "k[few], t[few], need[few], n"
    ),
    "giving up by a bound that is too small": Mutant(
        "_chance_is_below", "below = drawn * rate >", "below = 2 * drawn * rate >"
    ),
    "a radius given up by its chance to be shown, unasked": Mutant(
        "AtRadii.stop_rule.given_up", "if chance is None:", "if chance is not None:"
    ),
    "selection samples looked at again": Mutant(
        "_Run.__init__",
        "for of in (Purpose.SELECTION, Purpose.ESTIMATION)]",
        "for of in (Purpose.SELECTION, Purpose.SELECTION)]",
    ),
    "sampler's error ignored in sequential runs": Mutant(
        "Setting.share_for", "* (1 + 4e-15) + self.total_variation", "* (1 + 4e-15)"
    ),
    "cost of rounding the input forgotten in sequential runs": Mutant(
        "AtRadii._shares", "share_for(float(radius) + cost)", "share_for(float(radius))"
    ),
    "stops when one radius is decided": Mutant(
        "AtRadii.stop_rule.decided", "settled.all(axis=1)", "settled.any(axis=1)"
    ),
    "one answer of the stop too many": Mutant(
        "_Run.take",
        "found[: looks[stops][0] - self._drawn]",
        "found[: looks[stops][0] - self._drawn + 1]",
    ),
    "answers given to the next run": Mutant(
        "count_until_stopped",
        "for run, asked in zip(together, jobs, strict=True):",
        "for run, asked in zip(together[1:] + together[:1], jobs, strict=True):",
    ),
    "counts given to another example": Mutant(
        "_count_together",
        "counts.reshape(len(group), len(wanted), -1), strict",
        "counts.reshape(len(group), len(wanted), -1)[::-1], strict",
    ),
    "ordinary bound after an early stop": Mutant(
        "EarlyAbstain.bounds", "if counts.sum() < setting.n:", "if False:"
    ),
    "answers in another order": Mutant(
        "Engine._count",
        "answers[done : done + len(found)] = found",
        "answers[done : done + len(found)] = found.flip(0)",
    ),
    "verifier: evidence at all of alpha": Mutant(
        "_one_sided_margin",
        "level = _ball(claims.alpha * (1 - _FINAL_SHARE))",
        "level = _ball(claims.alpha)",
    ),
    "verifier: last look at all of alpha": Mutant(
        "_one_sided_margin", "_ball(claims.alpha * _FINAL_SHARE)", "_ball(claims.alpha)"
    ),
    "verifier: ordinary bound on the way": Mutant(
        "_one_sided_margin", "if total < claims.n:", "if False:"
    ),
    "verifier: successes for failures": Mutant(
        "_evidence", "c = t - k + _ball(b)", "c = k + _ball(b)"
    ),
    "verifier: odds upside down": Mutant(
        "_evidence", "odds, evidence = q / p", "odds, evidence = p / q"
    ),
    "verifier: certificates of fewer samples": Mutant(
        "_check_row",
        'fewer |= claims.method == "early-abstain" and predict == -1',
        'fewer |= claims.method == "early-abstain"',
    ),
    "certificates of fewer samples read": Mutant(
        "EarlyAbstain._may_stop_at", "return predict == ABSTAIN", "return True"
    ),
    "radius above r for at least r": Mutant(
        "certified_counts",
        "bisect_left(certified, radius)",
        "__import__('bisect').bisect_right(certified, radius)",
    ),
    "wrong answers counted as certified": Mutant(
        "certified_counts",
        "certified = sorted(row.radius for row in rows if row.correct)",
        "certified = sorted(row.radius for row in rows)",
    ),
}


def functions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Every class and function below a node by its name within the module, outer ones first."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef):
            yield prefix + child.name, child
            yield from functions(child, f"{prefix}{child.name}.")
        elif not isinstance(child, ast.expr):
            yield from functions(child, prefix)


@lru_cache
def library() -> dict[Path, tuple[str, list[tuple[str, int, int]]]]:
    """The text of every module, and its functions: name, first character, character after."""
    found = {}
    for path in sorted((ROOT / "rslib").rglob("*.py")):
        text = path.read_text()
        starts = [0]
        for line in text.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        named = [
            (name, starts[node.lineno - 1], starts[node.end_lineno])
            for name, node in functions(ast.parse(text))
        ]
        found[path.relative_to(ROOT)] = (text, named)
    return found


def places(fragment: str) -> list[Place]:
    """Every function that a fragment stands in, the innermost one at each place."""
    found = []
    for path, (text, named) in library().items():
        at = text.find(fragment)
        while at >= 0:
            around = [name for name, start, stop in named if start <= at < stop]
            found.append(Place(path, around[-1] if around else "", at))
            at = text.find(fragment, at + 1)
    return found


def place(mutant: Mutant) -> Place:
    """The only place of a mutant's fragment in its function.

    Where the function goes by another name by now, any function that alone holds the fragment:
    enough to run the mutant, and the first test below says that it has to be written anew.
    """
    everywhere = places(mutant.right)
    here = [one for one in everywhere if one.function == mutant.function] or everywhere
    assert len(here) == 1, f"{mutant.function}: {mutant.right!r} stands in {everywhere}"
    return here[0]


# Modules that are tested with others, which they are parts of or rest on.
TESTED_WITH = dict.fromkeys(("_modules", "_outputs", "_preparation", "_probes"), "engine")
TESTED_WITH |= {"_results": "evaluation", "laws": "thresholds"}


def files_for(path: Path) -> list[str]:
    """The test files of a module: its own, and for a part of a package also the package's."""
    parts = [TESTED_WITH.get(part, part) for part in path.with_suffix("").parts[1:]]
    names = [f"tests/test_{part}.py" for part in parts]
    found = [name for name in names if (ROOT / name).exists()]
    assert found, f"{path} has no tests"
    return found


@pytest.mark.parametrize("name", MUTANTS)
def test_the_fragment_stands_once_in_the_function_that_is_named(name):
    mutant = MUTANTS[name]
    assert place(mutant).function == mutant.function, "the library changed: name it anew"
    assert files_for(place(mutant).path)
    assert mutant.right != mutant.wrong


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the library and its tests, to make mistakes in."""
    folder = tmp_path_factory.mktemp("mutants")
    ignore = shutil.ignore_patterns("__pycache__", "browser", "statistical")
    for name in ("rslib", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", folder)
    compileall.compile_dir(folder, quiet=1)  # once, for all the processes below
    return folder


def run_tests(folder: Path, *files: str) -> subprocess.CompletedProcess:
    """The fast tests of some files, on the library in the folder."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-m",
        "not slow",
        "-p",
        "no:cacheprovider",
        # To explain how two long lists differ takes hours, and nobody reads it here.
        "--assert=plain",
    ]
    environment = os.environ | {
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        # Loading the plugins takes longer than most of these tests, which use none.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    return subprocess.run(
        [*command, *files],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "file", sorted({file for mutant in MUTANTS.values() for file in files_for(place(mutant).path)})
)
def test_without_a_mistake_the_tests_pass(copy, file):
    """Else the mutants below would be killed by something other than the mistake."""
    code = "import rslib; print(rslib.__file__)"
    where = subprocess.check_output([sys.executable, "-c", code], cwd=copy, text=True)
    assert Path(where.strip()).is_relative_to(copy)
    answer = run_tests(copy, file)
    assert answer.returncode == 0, answer.stdout


def kill(copy: Path, name: str) -> None:
    """Make the mistake, see a test fail, and take it back."""
    mutant = MUTANTS[name]
    module, _, at = place(mutant)
    original = (copy / module).read_text()
    wrong = original[:at] + mutant.wrong + original[at + len(mutant.right) :]
    (copy / module).write_text(wrong)
    try:
        answer = run_tests(copy, *files_for(module))
    finally:
        (copy / module).write_text(original)
    # 1: a test failed; 2: the tests cannot even be collected.
    assert answer.returncode in (1, 2), f"survived:\n{answer.stdout}"


# The others are killed in test_mutants_second_half.py, so that two processes share them.
@pytest.mark.slow
@pytest.mark.parametrize("name", list(MUTANTS)[::2])
def test_killed(copy, name):
    kill(copy, name)
