"""How many samples a decision takes: ``python -m benchmarks.samples [--quick]``.

Is the certified radius at least r? Both columns beside ours are sequential methods as measured
elsewhere on the same questions (alpha = 0.001, at most 100,000 samples): a confidence sequence from
one mixture, and Clopper-Pearson bounds with alpha spent over groups of samples. Ours is
`SmoothedClassifier.certify_at`: the same looks, the same tests, fed with Bernoulli draws of known
probability.
"""

import argparse
from collections.abc import Callable

import numpy as np
from scipy.special import ndtr, ndtri

from rslib import confidence, sequential

N, ALPHA = 100_000, 0.001
RUNS, QUICK = 10_000, 1_000
RADII = (0.0, 0.5, 1.0, 2.0)  # in sigma
# p_A -> for each radius: mean samples of a mixture e-process, and of group-sequential bounds.
ELSEWHERE = {
    0.45: ((2114, 2445), (124, 114), (100, 100), (100, 100)),
    0.55: ((2116, 2444), (268, 298), (101, 101), (100, 100)),
    0.70: ((161, 154), (63134, 66161), (210, 210), (100, 100)),
    0.90: ((100, 100), (112, 112), (662, 819), (197, 197)),
    0.99: ((100, 100), (100, 100), (102, 102), (1850, 2736)),
    0.999: ((100, 100), (100, 100), (100, 100), (453, 699)),
}


def _least(test: Callable[[np.ndarray], np.ndarray], looks: np.ndarray) -> np.ndarray:
    """At each look t the least k in 0..t for which a test, monotone in k, is True; t + 1: none."""
    low, high = np.full(len(looks), -1), looks + 1
    while (high - low > 1).any():
        middle = np.clip((low + high) // 2, 0, looks)
        yes = test(middle)
        open_ = high - low > 1
        low, high = np.where(open_ & ~yes, middle, low), np.where(open_ & yes, middle, high)
    return high


def boundaries(radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The looks, the least count that certifies a radius in sigma, the least that keeps hope."""
    looks, p = sequential.looking_times(N), float(ndtr(radius))
    need = sequential.least_successes(p, N, ALPHA)
    certifies = _least(lambda k: sequential.is_above(k, looks, p, N, ALPHA), looks)
    hopes = _least(lambda k: ~sequential.is_hopeless(k, looks, need, N, ALPHA), looks)
    return looks, certifies, hopes


def simulate(p_a: float, limits: tuple, runs: int, seed: int = 0) -> tuple[np.ndarray, int]:
    """Samples that each of many runs takes, and how many of them certify."""
    rng = np.random.default_rng(seed)
    k, samples, certified, last = np.zeros(runs, int), [], 0, 0
    for t, enough, hope in zip(*limits, strict=True):
        k += rng.binomial(t - last, p_a, len(k))
        yes, no = k >= enough, k < hope
        certified += int(yes.sum())
        stops = yes | no if t < N else np.ones(len(k), bool)
        samples.append(np.full(stops.sum(), t))
        k, last = k[~stops], t
        if not len(k):
            break
    return np.concatenate(samples), certified


def rows(runs: int = RUNS) -> list[dict]:
    """A row for each p_A and radius: mean samples with standard error, and the other columns."""
    limits = {radius: boundaries(radius) for radius in RADII}
    found = []
    for p_a, cells in ELSEWHERE.items():
        for radius, (mixture, groups) in zip(RADII, cells, strict=True):
            samples, certified = simulate(p_a, limits[radius], runs)
            found.append(
                {
                    "p_A": p_a,
                    "radius / sigma": radius,
                    "samples": float(samples.mean()),
                    "standard error": float(samples.std(ddof=1) / np.sqrt(runs)),
                    "mixture": mixture,
                    "groups": groups,
                    "certified": certified / runs,
                }
            )
    return found


def radius_lost() -> list[dict]:
    """What a run that takes all N samples loses against one that was to take them, in sigma."""
    found = []
    for p_a in (0.55, 0.7, 0.9, 0.99, 0.999, 0.9999, 1.0):
        k = round(p_a * N)
        fixed = ndtri(confidence.lower_bound(k, N, ALPHA))
        found.append(
            {
                "share": p_a,
                "lost": float(fixed - ndtri(sequential.stopped_lower_bound(k, N, N, ALPHA))),
            }
        )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} runs a cell, not {RUNS}")
    runs = QUICK if parser.parse_args().quick else RUNS
    print(f"Mean samples of {runs} runs, alpha = {ALPHA}, at most {N} samples")
    print("  p_A    r/sigma  samples  (s.e.)   mixture  groups  certified")
    for row in rows(runs):
        p_a, radius, mean, error, mixture, groups, certified = row.values()
        mark = "  more than the best" if mean - 2 * error > min(mixture, groups) else ""
        print(
            f"  {p_a:<6g} {radius:<8g} {mean:7.0f}  ({error:5.1f})  {mixture:7d} {groups:7d}"
            f"  {certified:9.4f}{mark}"
        )
    print("Radius lost by a run that takes them all, in sigma, at some shares of the answers")
    print("  " + "  ".join(f"{row['share']:g}: {row['lost']:.4f}" for row in radius_lost()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
