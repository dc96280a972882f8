"""Files that are written whole or not at all, what they are named by, and how they were made."""

from __future__ import annotations

import datetime
import hashlib
import os
import platform
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import BinaryIO


def replace(path: str | os.PathLike, write: Callable[[BinaryIO], object]) -> None:
    """Let ``write`` fill a file that then takes the place of ``path``.

    The bytes go to ``<path>.tmp``, to the disk, and only then take the place of ``path``: whenever
    the process dies, ``path`` is the old file or the new one. Folders are created.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def find_data(start: str | os.PathLike | None = None) -> Path:
    """The course's folder ``data``: weights and certificate files, made with the course.

    Parameters
    ----------
    start : path, optional
        Where to begin; default: the working directory. Its parents are tried too, each also for a
        clone named ``course`` in it, and last the place that the library is installed from.

    Returns
    -------
    Path
        Absolute.

    Raises
    ------
    FileNotFoundError
        If there is none: the remedy is to clone the repository.
    """
    here = Path.cwd() if start is None else Path(start).resolve()
    roots = [root for folder in (here, *here.parents) for root in (folder, folder / "course")]
    for root in (*roots, Path(__file__).resolve().parents[1]):
        if (root / "data" / "certify").is_dir() and (root / "data" / "models").is_dir():
            return root / "data"
    raise FileNotFoundError(
        f"{here} and the folders above it hold no data/ of the course: run inside a clone of its "
        "repository, or beside one that is named course"
    )


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder survive a power cut, where folders can be synced."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sha256(path: str | os.PathLike) -> str:
    """SHA-256 of a file, in hexadecimal: what a manifest names it by."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def machine(device: str = "cpu") -> str:
    """The name of the GPU, or of the processor and how many cores it has here."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    with suppress(OSError), open("/proc/cpuinfo") as file:  # Linux's; others say enough above
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        name = names[0] if names else name
    return f"{name}, {os.cpu_count()} cores"


def provenance(command: str, device: str = "cpu", optional: Iterable[str] = ()) -> dict:
    """How a file was made, as manifests say it: versions, processor or GPU, command and date.

    ``optional`` names packages whose version is given where they are installed.
    """
    import numpy
    import scipy
    import torch

    import rslib

    versions = {
        "python": platform.python_version(),
        "rslib": rslib.__version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
    }
    for name in optional:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return {
        "versions": versions,
        "device": machine(device),
        "command": command,
        "date": datetime.date.today().isoformat(),
    }
