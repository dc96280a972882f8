"""Several processes on one certificate file: each writes its own part, one puts them together.

Start a command under ``torchrun`` and every process learns its rank from the environment. Rank 0
decides what has to be the same everywhere (the plan, and which examples are still to do). Rank r of
R takes every R-th of them and writes ``<name>.part<r>.tsv``, a certificate file like any other.
When all are done, rank 0 appends the parts' rows to ``<name>.tsv`` in the order of the manifest and
removes the parts. A run that was killed loses nothing, and may go on with another number of
processes: rows in parts that are found count as done.

The processes need a common folder, and no more than a few bytes between them: they talk through
gloo on the CPU, also where the networks run on GPUs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rslib.records import (
    CertificateWriter,
    Manifest,
    RecordError,
    Row,
    manifest_path,
    read_certificates,
)

__all__ = ["ShardedWriter", "Team"]

_PART = re.compile(r"\.part[0-9]+$")


@dataclass(frozen=True)
class Team:
    """The processes that share one job, and which of them this is.

    Attributes
    ----------
    rank, size : int
        This process, from 0, of how many.
    local_rank : int
        Its number on its own machine: which of the machine's GPUs is its own.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    def join(cls) -> Team:
        """The team that ``torchrun`` started, or a team of one.

        Raises
        ------
        ValueError
            If one of torchrun's environment variables is no whole number, or not in range.
        """
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            return cls()
        rank, size, local = map(_from_environment, ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        if size < 1 or rank >= size:
            raise ValueError(f"RANK must be below WORLD_SIZE, got {rank} and {size}")
        if size > 1:
            import torch.distributed as dist

            # Ranks wait for the slowest one; that may take hours.
            dist.init_process_group("gloo", timeout=timedelta(days=30))
        return cls(rank, size, local)

    def agree(self, value):
        """Rank 0's value, on every rank (a barrier, too)."""
        if self.size == 1:
            return value
        import torch.distributed as dist

        held = [value]
        dist.broadcast_object_list(held, src=0)
        return held[0]

    def wait(self) -> None:
        """Return when all ranks have come here."""
        if self.size > 1:
            import torch.distributed as dist

            dist.barrier()

    def take_gpu(self, device: str) -> None:
        """Make "cuda" mean this rank's own GPU.

        Raises
        ------
        ValueError
            If a GPU is named by number, or there is none left for this rank.
        """
        import torch

        if device != "cuda":
            raise ValueError(
                f"device must be cuda under torchrun: a rank has its own, got {device!r}"
            )
        if self.local_rank >= torch.cuda.device_count():
            raise ValueError(
                f"device cuda: rank {self.local_rank} of this machine has no GPU of its own, "
                f"{torch.cuda.device_count()} are here"
            )
        torch.cuda.set_device(self.local_rank)

    def leave(self) -> None:
        """End the communication; an error on one rank must not keep the others waiting."""
        if self.size > 1:
            import torch.distributed as dist

            dist.destroy_process_group()


def _from_environment(name: str) -> int:
    text = os.environ.get(name, "")
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ValueError(f"{name} must be a whole number (set by torchrun), got {text!r}")
    return int(text)


class ShardedWriter:
    """Writes this rank's share of a certificate file; rank 0 puts the whole together.

    ``with ShardedWriter(path, manifest, team) as writer:`` and for each index of ``writer.todo``
    an ``append``; then ``finish``. Alone and without old parts it writes the file itself.

    Parameters
    ----------
    path : path
        ``<name>.tsv``, in a folder that all ranks see.
    manifest : Manifest or mapping
        As for `rslib.records.CertificateWriter`, the same on every rank.
    team : Team
        The processes.

    Attributes
    ----------
    todo : list of int
        The examples that this rank has to certify, in the manifest's order.
    already_done : int
        How many of the manifest's examples had their row before this run, in whatever part.
    earlier : Row or None
        One of those rows.

    Raises
    ------
    RecordError
        As `rslib.records.CertificateWriter`; also if a part belongs to another run, or this rank's
        manifest is another one than that of rank 0.
    """

    def __init__(self, path: str | os.PathLike, manifest: Manifest | Mapping, team: Team) -> None:
        self.path, self._team = Path(path), team
        manifest_path(self.path)  # refuses a name that is no certificate file's
        if _PART.search(self.path.stem):
            raise RecordError(f"{self.path}: a name in .partN is kept for the parts of a file")
        self._whole = self._own = None
        plan = None
        try:
            if team.rank == 0:
                # Held open, and so locked, for the whole run.
                self._whole = CertificateWriter(self.path, manifest)
                parts = self._parts()
                done, first = set(self._whole.done), self._whole.first
                for part in parts:
                    rows = self._rows(part)
                    done.update(rows)
                    first = first or next(iter(rows.values()), None)
                todo = [idx for idx in self._whole.manifest.indices if idx not in done]
                shared = team.size > 1 or bool(parts)
                plan = (todo, len(done), first, shared, self._whole.manifest)
            todo, self.already_done, self.earlier, in_parts, whole = team.agree(plan)
            if team.rank > 0:
                # Its data, its model and its options may be others than those of rank 0.
                beside = manifest_path(self.path)
                whole.check_same(beside, Manifest.checked(beside, manifest))
            self.todo = todo[team.rank :: team.size]
            if not in_parts:
                self._own = self._whole
            elif self.todo:
                own = self.path.with_name(f"{self.path.stem}.part{team.rank}.tsv")
                self._own = CertificateWriter(own, whole)
        except BaseException:
            self.close()
            raise

    def _parts(self) -> list[Path]:
        stem = re.escape(self.path.stem)
        name = re.compile(rf"{stem}\.part([0-9]+)\.tsv")
        matches = ((name.fullmatch(path.name), path) for path in self.path.parent.iterdir())
        found = [(int(match[1]), path) for match, path in matches if match]
        return [path for _, path in sorted(found)]

    def _rows(self, part: Path) -> dict[int, Row]:
        """The rows of a part of this run, by index; a last line cut off by a kill is removed."""
        if not manifest_path(part).exists() and part.stat().st_size == 0:
            return {}
        assert self._whole is not None  # rank 0 alone reads parts
        # Opening it as a writer checks the manifest, the lock and every row, and mends the end.
        with CertificateWriter(part, self._whole.manifest):
            return {row.idx: row for row in read_certificates(part).rows}

    def append(self, row: Row) -> None:
        """Write a row; it is on the disk when this returns.

        Raises
        ------
        RecordError
            As `rslib.records.CertificateWriter.append`.
        """
        assert self._own is not None  # there is one where there is something to do
        self._own.append(row)

    def finish(self) -> None:
        """Wait for the other ranks; then rank 0 makes one file of all parts and removes them.

        Raises
        ------
        RecordError
            If a part cannot be read, or the disk is full. Nothing is removed before every row is
            in the whole file.
        """
        if self._own is not None and self._own is not self._whole:
            self._own.close()
        self._team.wait()
        if self._team.rank == 0:
            assert self._whole is not None
            parts = self._parts()
            rows: dict[int, Row] = {}
            for part in parts:
                rows.update(self._rows(part))
            for idx in self._whole.manifest.indices:
                if idx in rows and idx not in self._whole.done:
                    self._whole.append(rows[idx])
            for part in parts:
                part.unlink()
                with suppress(FileNotFoundError):
                    manifest_path(part).unlink()
        self._team.wait()

    def close(self) -> None:
        """Close the files; what was written stays, and the next run goes on from it."""
        for writer in (self._own, self._whole):
            if writer is not None:
                writer.close()

    def __enter__(self) -> ShardedWriter:
        return self

    def __exit__(self, *exception) -> None:
        self.close()
