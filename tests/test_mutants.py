"""Mistakes that a mathematician would make, put into the library one at a time.

Each must be noticed by the fast tests of the module it is in. `make mutants` runs them by name.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.slow


class Mutant(NamedTuple):
    """One mistake: in which module, what stood there, what stands there instead."""

    module: str
    right: str
    wrong: str


MUTANTS = {
    "distribution function for quantile": Mutant(
        "certificates", "return special.ndtri(_prob", "return special.ndtr(_prob"
    ),
    "radius of 1/sigma": Mutant(
        "certificates",
        "_scaled_down(sigma, _lowered(top))",
        "_scaled_down(1 / sigma, _lowered(top))",
    ),
    "one half dropped": Mutant("certificates", "0.5 * (_lowered(top)", "1.0 * (_lowered(top)"),
    "two-sided for one-sided": Mutant(
        "certificates",
        "return _scaled_down(sigma, _lowered(top))",
        "return _scaled_down(sigma, 0.5 * _lowered(top))",
    ),
    "runner-up not capped at 1 - p_a": Mutant(
        "certificates", "np.where(loose, top,", "np.where(loose & False, top,"
    ),
    "radius rounded up": Mutant("certificates", "(product, -np.inf)", "(product, np.inf)"),
    "margin on the unsafe side": Mutant(
        "certificates", "1 - np.copysign(MARGIN, x)", "1 + np.copysign(MARGIN, x)"
    ),
    "2 L for sqrt 2 L": Mutant("certificates", "factor = np.sqrt(2.0)", "factor = 2.0"),
    "sqrt 2 L for 2 L": Mutant("certificates", "factor = 2.0", "factor = np.sqrt(2.0)"),
    "pi for 2 pi": Mutant("certificates", "np.sqrt(2 * np.pi)", "np.sqrt(np.pi)"),
    "d for sqrt d": Mutant(
        "certificates", "d ** -np.maximum(0.5 - 1 / p, 0.0)", "d ** -np.maximum(1 - 2 / p, 0.0)"
    ),
    "shrinking below p = 2": Mutant("certificates", "np.where(p > 2,", "np.where(p != 2,"),
    "alpha for the n-th root of alpha": Mutant(
        "certificates", "log_p = np.log(alpha) / n", "log_p = np.log(alpha)"
    ),
    "alpha for half of alpha": Mutant(
        "confidence",
        "lower_bound(counts[label], n, alpha / 2)",
        "lower_bound(counts[label], n, alpha)",
    ),
    "union bound over all classes forgotten for the smallest rival": Mutant(
        "confidence", "np.delete(counts, label).max()", "np.delete(counts, label).min()"
    ),
    "one-sided test for two-sided": Mutant("confidence", "2 * tail", "1 * tail"),
    "k - 1 for k": Mutant(
        "confidence", "successes = np.maximum(k, 1)", "successes = np.maximum(k - 1, 1)"
    ),
    "k + 1 for k": Mutant(
        "confidence", "successes = np.maximum(k, 1)", "successes = np.minimum(k + 1, n)"
    ),
    "selection samples used again": Mutant(
        "smoothing", "(Purpose.ESTIMATION, n)\n", "(Purpose.SELECTION, n)\n"
    ),
    "class chosen from the estimation samples": Mutant(
        "smoothing",
        "samples = int(counts.sum())\n",
        "samples, label = int(counts.sum()), int(np.argmax(counts))\n",
    ),
    "twice alpha": Mutant(
        "smoothing",
        "confidence.lower_bound(int(counts[label]), n, alpha)",
        "confidence.lower_bound(int(counts[label]), n, 2 * alpha)",
    ),
    "sampler's error ignored": Mutant(
        "smoothing", "float(p_a_lower) - variation", "float(p_a_lower)"
    ),
    "saved radius rounded to nearest": Mutant("smoothing", "math.floor((", "round(("),
    "cost of rounding the input forgotten": Mutant(
        "smoothing", "_round_down(radius - cost)", "_round_down(radius)"
    ),
    "test at alpha, the sampler's error ignored": Mutant(
        "smoothing", "alpha - n * self.noise.total_variation(example.prepared.numel())", "2 * alpha"
    ),
    "half a step forgotten in rounding": Mutant("noise", "lowest - reach", "lowest - reach - 1"),
    "sigma for 1/sigma": Mutant("noise", "self.sigma / self.step", "self.step / self.sigma"),
    "variance for deviation": Mutant("noise", "np.float32(sigma)", "np.float32(sigma**2)"),
    "one uniform for radius and angle": Mutant("noise", "words[1], turn", "words[0], turn"),
    "low bits not drawn": Mutant("noise", "| low.view(np.int64)", "| 0 * low.view(np.int64)"),
    "total variation of one coordinate for d": Mutant(
        "noise", "bound = d * (2 * self.reach + 2)", "bound = (2 * self.reach + 2)"
    ),
    "one stream for all purposes": Mutant(
        "noise", "int(seed), int(Purpose(purpose)), int(index)", "int(seed), 0, int(index)"
    ),
    "one stream for all blocks": Mutant(
        "noise",
        "np.random.SFC64(_key(*self._key, block, part))",
        "np.random.SFC64(_key(*self._key, part))",
    ),
    "least score for largest": Mutant("engine", "scores.argmax(1)", "scores.argmin(1)"),
    "an exported network taken unseen": Mutant(
        "engine", "_faithful(_to_onnx, ready, noisy)", "_to_onnx(ready, noisy)"
    ),
    "scores that are not finite counted": Mutant("engine", "if not finite:", "if False:"),
    "left-over rows counted": Mutant(
        "engine", "parts.append((job, used, used + take))", "parts.append((job, used, rows))"
    ),
    "batch statistics for running ones": Mutant(
        "engine", ".eval().requires_grad_", ".requires_grad_"
    ),
    "verifier: twice alpha": Mutant(
        "verifier", "return _ball(claims.alpha) - _bin", "return 2 * _ball(claims.alpha) - _bin"
    ),
    "verifier: alpha for half of alpha": Mutant(
        "verifier", "_ball(claims.alpha) / 2,", "_ball(claims.alpha),"
    ),
    "verifier: radius of 1/sigma": Mutant(
        "verifier", "_ball(radius / claims.sigma)", "_ball(radius * claims.sigma)"
    ),
    "verifier: sampler's error ignored": Mutant(
        "verifier", ".erfc() / 2 - _ball(claims.variation)", ".erfc() / 2"
    ),
    "verifier: one half dropped": Mutant(
        "verifier", "_ball(claims.sigma) / 2 * (of_a", "_ball(claims.sigma) * (of_a"
    ),
    "verifier: sqrt 2 dropped": Mutant("verifier", "-arb(2).sqrt() * (2 * p)", "-(2 * p)"),
    "counts of another n accepted": Mutant(
        "records", "found != total and not", "found > total and not"
    ),
    "a failure pays for a success": Mutant(
        "confidence",
        "np.log(tail) - _log_binomial(k, m, p)",
        "np.log(tail) - _log_binomial(k, m, 1 - p)",
    ),
    "successes and failures swapped": Mutant("confidence", "m = n - k + b", "m = k + b"),
    "sign of the evidence": Mutant(
        "confidence", "np.log(tail) - _log_binomial", "np.log(tail) + _log_binomial"
    ),
    "weights of the bettors forgotten": Mutant(
        "confidence", "np.log(weight * b / m)", "np.log(b / m)"
    ),
    "all of alpha at every look, and a fifth more at the last": Mutant(
        "confidence", "-math.log((1 - FINAL_SHARE) * alpha)", "-math.log(alpha)"
    ),
    "all of alpha at the last look too": Mutant(
        "confidence",
        "lower_bound(k[last], n, FINAL_SHARE * alpha)",
        "lower_bound(k[last], n, alpha)",
    ),
    "the ordinary bound at every look": Mutant("confidence", "last = t == n", "last = t <= n"),
    "radius from all of alpha": Mutant(
        "confidence",
        "sequential_lower_bound(k, t, (1 - FINAL_SHARE) * alpha)",
        "sequential_lower_bound(k, t, alpha)",
    ),
    "lower bound for upper in giving up": Mutant(
        "confidence",
        "_log_e_value((t - k)[few]",
        "-_log_e_value((t - k)[few]",
    ),
    "giving up at twice the level": Mutant(
        "confidence", "-math.log((1 - _REVERSAL_SHARE) * alpha)", "-math.log(50 * alpha)"
    ),
    "giving up although enough remain": Mutant(
        "confidence", "np.array(missing > left)", "np.array(2 * missing > left)"
    ),
    "selection samples looked at again": Mutant(
        "smoothing",
        "for purpose in (Purpose.SELECTION, Purpose.ESTIMATION)]",
        "for purpose in (Purpose.SELECTION, Purpose.SELECTION)]",
    ),
    "sampler's error ignored in sequential runs": Mutant(
        "smoothing", "* (1 + 4e-15) + variation", "* (1 + 4e-15)"
    ),
    "cost of rounding the input forgotten in sequential runs": Mutant(
        "smoothing",
        "self._probability(one + example.cost, variation)",
        "self._probability(one, variation)",
    ),
    "stops when one radius is decided": Mutant("smoothing", ".all(axis=1)", ".any(axis=1)"),
    "one answer of the stop too many": Mutant(
        "smoothing", "found[: stops[0] - self._drawn]", "found[: stops[0] - self._drawn + 1]"
    ),
    "answers given to the next run": Mutant(
        "smoothing",
        "for run, asked in zip(together, jobs, strict=True):",
        "for run, asked in zip(together[1:] + together[:1], jobs, strict=True):",
    ),
    "counts given to another example": Mutant(
        "smoothing",
        "counts.reshape(len(group), len(wanted), -1), strict",
        "counts.reshape(len(group), len(wanted), -1)[::-1], strict",
    ),
    "ordinary bound after an early stop": Mutant("smoothing", "elif samples < n:", "elif False:"),
    "answers in another order": Mutant(
        "engine",
        "answers[done : done + len(found)] = found",
        "answers[done : done + len(found)] = found.flip(0)",
    ),
    "verifier: evidence at all of alpha": Mutant(
        "verifier",
        "level = _ball(claims.alpha * (1 - _FINAL_SHARE))",
        "level = _ball(claims.alpha)",
    ),
    "verifier: last look at all of alpha": Mutant(
        "verifier", "_ball(claims.alpha * _FINAL_SHARE)", "_ball(claims.alpha)"
    ),
    "verifier: ordinary bound on the way": Mutant("verifier", "if total < claims.n:", "if False:"),
    "verifier: successes for failures": Mutant(
        "verifier", "c = t - k + _ball(b)", "c = k + _ball(b)"
    ),
    "verifier: odds upside down": Mutant(
        "verifier", "odds, evidence = q / p", "odds, evidence = p / q"
    ),
    "verifier: certificates of fewer samples": Mutant(
        "verifier",
        'fewer |= claims.method == "early-abstain" and predict == -1',
        'fewer |= claims.method == "early-abstain"',
    ),
    "certificates of fewer samples read": Mutant(
        "records",
        'fewer |= method["name"] == "early-abstain" and predict == -1',
        'fewer |= method["name"] == "early-abstain"',
    ),
    "radius above r for at least r": Mutant(
        "evaluation",
        "bisect_left(certified, radius)",
        "__import__('bisect').bisect_right(certified, radius)",
    ),
    "wrong answers counted as certified": Mutant(
        "evaluation",
        "certified = sorted(row.radius for row in rows if row.correct)",
        "certified = sorted(row.radius for row in rows)",
    ),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the library and its tests, to make mistakes in."""
    folder = tmp_path_factory.mktemp("mutants")
    ignore = shutil.ignore_patterns("__pycache__", "browser", "statistical")
    for name in ("rslib", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def run_tests(folder: Path, module: str) -> subprocess.CompletedProcess:
    """The fast tests of one module, on the library in the folder."""
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
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [*command, f"tests/test_{module}.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("module", sorted({mutant.module for mutant in MUTANTS.values()}))
def test_without_a_mistake_the_tests_pass(copy, module):
    """Else the mutants below would be killed by something other than the mistake."""
    code = "import rslib; print(rslib.__file__)"
    where = subprocess.check_output([sys.executable, "-c", code], cwd=copy, text=True)
    assert Path(where.strip()).is_relative_to(copy)
    answer = run_tests(copy, module)
    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize("name", MUTANTS)
def test_killed(copy, name):
    mutant = MUTANTS[name]
    path = copy / f"rslib/{mutant.module}.py"
    original = path.read_text()
    assert original.count(mutant.right) == 1, "the library changed; write this mutant anew"
    path.write_text(original.replace(mutant.right, mutant.wrong))
    try:
        answer = run_tests(copy, mutant.module)
    finally:
        path.write_text(original)
    # 1: a test failed; 2: the tests cannot even be collected.
    assert answer.returncode in (1, 2), f"survived:\n{answer.stdout}"
