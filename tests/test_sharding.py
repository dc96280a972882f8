"""Several processes certify one data set: the file is the one that a single process writes."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest
from manifests import manifest

from rslib import verifier
from rslib.records import CertificateWriter, RecordError, Row, manifest_path, read_certificates
from rslib.sharding import ShardedWriter, Team

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "data/models/digits/cnn/sigma_0.25.safetensors"
PLAN = ["--backend", "frozen", "--rows", "256"]


def command(out: Path, n: int, ranks: int = 1) -> list[str]:
    launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={ranks}", "--standalone"]
    module = ["-m", "--", "rslib"] if ranks > 1 else ["-m", "rslib"]
    start = [sys.executable, *(launcher if ranks > 1 else []), *module, "certify", "digits"]
    start += [
        "--weights",
        str(WEIGHTS),
        "--sigma",
        "0.25",
        "--seed",
        "0",
        "--indices",
        "0:26:2",
        "--n",
        str(n),
    ]
    return [*start, *PLAN, "--out", str(out)]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CI": "1"}


def certify(out: Path, n: int, ranks: int = 1) -> subprocess.CompletedProcess:
    done = subprocess.run(
        command(out, n, ranks), env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def processes_that_name(path: Path) -> list[int]:
    """The launcher and every rank: the ranks are in sessions of their own."""
    listed = subprocess.check_output(["ps", "-A", "-ww", "-o", "pid=", "-o", "args="], text=True)
    lines = (line.strip().partition(" ") for line in listed.splitlines())
    return [int(pid) for pid, _, arguments in lines if str(path) in arguments]


def without_time(path: Path) -> list[list[str]]:
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    return [line[:5] + line[6:] for line in lines]


def test_two_ranks_write_the_file_of_one(tmp_path):
    one, two = tmp_path / "one.tsv", tmp_path / "two.tsv"
    certify(one, 1000)
    printed = certify(two, 1000, ranks=2)
    assert without_time(two) == without_time(one)
    assert len(without_time(two)) == 14
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "one.json",
        "one.tsv",
        "two.json",
        "two.tsv",
    ]
    assert verifier.verify_file(two).ok
    assert printed.stdout.count("two.tsv") == 1, "one rank prints the table"


@pytest.mark.slow
def test_a_killed_rank_loses_nothing_and_another_number_of_ranks_goes_on(tmp_path):
    one, many = tmp_path / "one.tsv", tmp_path / "many.tsv"
    n = 50_000
    certify(one, n)
    running: list[int] = []
    started = subprocess.Popen(
        command(many, n, ranks=2),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        parts = [tmp_path / f"many.part{rank}.tsv" for rank in (0, 1)]
        while not all(part.exists() for part in parts):
            assert started.poll() is None, "ended before it could be killed"
            time.sleep(0.02)
        running = processes_that_name(many)
        assert len(running) >= 3, running
        while any(part.read_bytes().count(b"\n") < 3 for part in parts):
            assert started.poll() is None, "ended before it could be killed"
            time.sleep(0.002)
    finally:
        for process in running or processes_that_name(many):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        started.wait()
    kept = sum(part.read_bytes().count(b"\n") - 1 for part in parts)
    print(f"rows present at the kill: {kept}")
    assert 4 <= kept < 13
    with (tmp_path / "many.part1.tsv").open("ab") as file:
        file.write(b"24\t3")  # as a kill in the middle of a line leaves it
    printed = certify(many, n, ranks=3)
    assert f"{kept} rows are there, {13 - kept} to do" in printed.stderr
    assert without_time(many) == without_time(one)
    assert not list(tmp_path.glob("*.part*"))


# ------------------------------------------------------------- the writer, without any processes


class Half(Team):
    """One of two ranks whose partner's messages are known beforehand."""

    def agree(self, value):
        if self.rank == 0:
            Half.told = value
        return Half.told

    def wait(self):
        pass


MANIFEST = manifest(indices=[8, 3, 5, 1, 9], n0=10, n=100)


def row(idx: int) -> Row:
    return Row(idx, 1, 1, Decimal("0.1"), True, 0.5, {1: 10}, {1: 99, 2: 1})


def test_shares_are_disjoint_and_the_whole_is_in_the_order_of_the_manifest(tmp_path):
    path = tmp_path / "a.tsv"
    first = ShardedWriter(path, MANIFEST, Half(0, 2))
    second = ShardedWriter(path, MANIFEST, Half(1, 2))
    assert (first.todo, second.todo) == ([8, 5, 9], [3, 1])
    for writer in (second, first):
        for idx in writer.todo:
            writer.append(row(idx))
    second.finish()
    first.finish()
    first.close()
    second.close()
    assert [r.idx for r in read_certificates(path).rows] == MANIFEST["indices"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "a.tsv"]


def test_one_process_takes_over_the_parts_of_a_larger_run(tmp_path):
    path = tmp_path / "a.tsv"
    with ShardedWriter(path, MANIFEST, Half(0, 2)) as first:
        with ShardedWriter(path, MANIFEST, Half(1, 2)) as second:
            second.append(row(3))
        first.append(row(8))
    with ShardedWriter(path, MANIFEST, Team()) as alone:
        assert (alone.todo, alone.already_done) == ([5, 1, 9], 2)
        for idx in alone.todo:
            alone.append(row(idx))
        alone.finish()
    assert [r.idx for r in read_certificates(path).rows] == MANIFEST["indices"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "a.tsv"]


def test_alone_and_without_parts_it_writes_the_file_itself(tmp_path):
    path = tmp_path / "a.tsv"
    with ShardedWriter(path, MANIFEST, Team()) as writer:
        writer.append(row(8))
        assert path.read_text().count("\n") == 2
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "a.tsv"]


def test_a_merge_that_was_cut_short_is_finished_by_the_next_run(tmp_path, monkeypatch):
    path = tmp_path / "a.tsv"
    first = ShardedWriter(path, MANIFEST, Half(0, 2))
    second = ShardedWriter(path, MANIFEST, Half(1, 2))
    for writer in (second, first):
        for idx in writer.todo:
            writer.append(row(idx))
        if writer is second:
            second.finish()
            second.close()
    real, written = CertificateWriter.append, []

    def append(self, new):
        if len(written) == 3:
            raise RecordError("disk full")
        written.append(new.idx)
        real(self, new)

    monkeypatch.setattr(CertificateWriter, "append", append)
    with pytest.raises(RecordError, match="disk full"):
        first.finish()
    monkeypatch.undo()
    first.close()
    assert len(list(tmp_path.glob("*.part*.tsv"))) == 2, "nothing is removed before all is there"
    with ShardedWriter(path, MANIFEST, Team()) as alone:
        assert (alone.todo, alone.already_done) == ([], 5)
        alone.finish()
    assert [r.idx for r in read_certificates(path).rows] == MANIFEST["indices"]
    assert not list(tmp_path.glob("*.part*"))


def test_a_part_of_another_run_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "a.tsv"
    with CertificateWriter(tmp_path / "a.part1.tsv", MANIFEST | {"sigma": "0.5"}) as other:
        other.append(row(3))
    before = (tmp_path / "a.part1.tsv").read_bytes()
    with pytest.raises(RecordError, match=r"a\.part1\.json: sigma.*another run"):
        ShardedWriter(path, MANIFEST, Team())
    assert (tmp_path / "a.part1.tsv").read_bytes() == before


def test_a_rank_with_other_data_is_refused(tmp_path):
    """Rank 0 reads one folder, rank 1 another of the same size."""
    path = tmp_path / "a.tsv"
    mine, other = (MANIFEST | {"examples_sha256": digit * 64} for digit in "01")
    with (
        ShardedWriter(path, mine, Half(0, 2)),
        pytest.raises(RecordError, match=r"examples_sha256: .* another run"),
    ):
        ShardedWriter(path, other, Half(1, 2))


def test_names_of_parts_are_kept_for_parts(tmp_path):
    with pytest.raises(RecordError, match=r"\.partN"):
        ShardedWriter(tmp_path / "a.part0.tsv", MANIFEST, Team())
    assert not list(tmp_path.iterdir())


def test_two_runs_on_one_file(tmp_path):
    path = tmp_path / "a.tsv"
    with (
        ShardedWriter(path, MANIFEST, Half(0, 2)),
        pytest.raises(RecordError, match="in use by another process"),
    ):
        ShardedWriter(path, MANIFEST, Half(0, 2))


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"RANK": "0", "WORLD_SIZE": "two"}, "WORLD_SIZE must be a whole number"),
        ({"RANK": "", "WORLD_SIZE": "2"}, "RANK must be a whole number"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK must be below WORLD_SIZE, got 2 and 2"),
        ({"RANK": "0", "WORLD_SIZE": "0"}, "got 0 and 0"),
    ],
)
def test_a_broken_environment_is_named(monkeypatch, variables, message):
    for name, value in (variables | {"LOCAL_RANK": "0", "TORCHELASTIC_RUN_ID": "x"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        Team.join()


def test_without_torchrun_there_is_one_rank(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("RANK", "7")  # other launchers set it too; it says nothing by itself
    assert Team.join() == Team(0, 1, 0)


def test_part_manifests_are_those_of_the_whole(tmp_path):
    path = tmp_path / "a.tsv"
    with (
        ShardedWriter(path, MANIFEST, Half(0, 2)),
        ShardedWriter(path, MANIFEST | {"date": "2027-01-01"}, Half(1, 2)),
    ):
        texts = {manifest_path(p).read_text() for p in tmp_path.glob("*.tsv")}
    assert len(texts) == 1
