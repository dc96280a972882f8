"""Certifying survives being killed: no row lost, none doubled, the file the same in the end."""

import multiprocessing
import os
import random
import sys
import time
from pathlib import Path

import pytest

from rslib import cli, records

WEIGHTS = Path(__file__).parents[1] / "data/models/digits/cnn/sigma_0.25.safetensors"
ROWS = 80


def command(out):
    return [
        *(
            "certify",
            "digits",
            "--weights",
            str(WEIGHTS),
            "--sigma",
            "0.25",
            "--seed",
            "0",
            "--n",
            "3000",
        ),
        *("--indices", f"0:{ROWS}", "--out", str(out), "--quiet"),
        *("--rows", "250", "--backend", "eager"),
    ]


def run_quietly(out):
    """In the child: one uninterrupted call of the command line."""
    os.environ["CI"] = "1"
    sys.stderr = open(os.devnull, "w")
    raise SystemExit(cli.main(command(out)))


def rows_in(path):
    """Whole rows in the file, its header aside."""
    return max(0, path.read_bytes().count(b"\n") - 1) if path.exists() else 0


def without_time(path):
    lines = path.read_text().splitlines()
    place = lines[0].split("\t").index("time")
    return [[f for i, f in enumerate(line.split("\t")) if i != place] for line in lines]


@pytest.fixture(scope="module")
def children():
    """Processes that start in milliseconds: everything is imported in the server they fork from."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["rslib.cli", "rslib.smoothing", "rslib.models", "rslib.datasets", "sklearn.datasets"]
    )
    return context


@pytest.fixture(scope="module")
def uninterrupted(children, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "sigma_0.25.tsv"
    child = children.Process(target=run_quietly, args=(out,))
    child.start()
    child.join()
    assert child.exitcode == 0 and rows_in(out) == ROWS
    return out


def killed_once(children, out, target, delay):
    """Certify until `target` rows are there and `delay` seconds more, then kill; rows left."""
    child = children.Process(target=run_quietly, args=(out,))
    child.start()
    while child.is_alive() and rows_in(out) < target:
        time.sleep(0.0005)
    time.sleep(delay)
    child.kill()
    child.join()
    return rows_in(out) if child.exitcode == -9 else None


@pytest.mark.slow
def test_killed_a_hundred_times(children, uninterrupted, tmp_path, capsys):
    """SIGKILL after the first row and spread over the run, in files that are resumed each time."""
    rng = random.Random(0)
    present = []
    for attempt in range(12):
        if len(present) >= 100:
            break
        out = tmp_path / str(attempt) / "sigma_0.25.tsv"
        while rows_in(out) < ROWS - 3:
            target = rows_in(out) + rng.randint(1, 12)
            left = killed_once(children, out, target, rng.uniform(0, 0.02))
            if left is None:
                break
            assert left >= 1
            present.append(left)
        child = children.Process(target=run_quietly, args=(out,))
        child.start()
        child.join()
        assert child.exitcode == 0
        assert without_time(out) == without_time(uninterrupted)
        assert len(records.read_certificates(out).rows) == ROWS
        extra = {p.name for p in out.parent.iterdir()} - {out.name, out.with_suffix(".json").name}
        assert not extra, f"left behind: {extra}"
    with capsys.disabled():
        print(f"\nrows present at each of {len(present)} kills: {' '.join(map(str, present))}")
    assert len(present) >= 100
    assert min(present) < 10 and max(present) > ROWS - 20, "not spread over the run"


def test_killed_three_times(children, uninterrupted, tmp_path):
    out = tmp_path / "sigma_0.25.tsv"
    for target in (1, 20, 50):
        assert killed_once(children, out, target, 0.003) >= target
    child = children.Process(target=run_quietly, args=(out,))
    child.start()
    child.join()
    assert without_time(out) == without_time(uninterrupted)


def test_a_run_that_is_complete_is_left_as_it_is(children, uninterrupted):
    before = uninterrupted.read_bytes(), uninterrupted.with_suffix(".json").read_bytes()
    child = children.Process(target=run_quietly, args=(uninterrupted,))
    child.start()
    child.join()
    assert child.exitcode == 0
    after = uninterrupted.read_bytes(), uninterrupted.with_suffix(".json").read_bytes()
    assert before == after
