"""Certify some examples of a committed certificate file again and compare.

    recertify.py [FILE]

Runs `rslib certify` with what the file's manifest says, on every 25th example. The noise is the
same draw for draw; the last bits of a network's scores differ between processors. So the labels
must be equal and every count must lie within 0.1% of n of the committed one.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from rslib.records import Row, read_certificates

ROOT = Path(__file__).resolve().parent.parent
DEFAULT = ROOT / "data/certify/digits/cnn/sigma_0.25.tsv"
EXAMPLES = "0:500:25"
TOLERANCE = 0.001


def differences(fresh: Iterable[Row], stored: Iterable[Row], n: int) -> list[str]:
    """In what the fresh rows differ from the stored ones by more than is allowed."""
    by_index = {row.idx: row for row in stored}
    found = [] if fresh else ["no example was certified"]
    for row in fresh:
        if row.idx not in by_index:
            found.append(f"example {row.idx}: not in the committed file")
            continue
        old = by_index[row.idx]
        if (row.label, row.predict) != (old.label, old.predict):
            found.append(
                f"example {row.idx}: label {row.label}, predicted {row.predict}; "
                f"committed: label {old.label}, predicted {old.predict}"
            )
        for label in sorted(row.estimation.keys() | old.estimation.keys()):
            now, before = row.estimation.get(label, 0), old.estimation.get(label, 0)
            if abs(now - before) > TOLERANCE * n:
                found.append(f"example {row.idx}: class {label} counted {now}, committed {before}")
    return found


def certify_again(manifest: dict, folder: Path, out: Path) -> None:
    """Run the command line with the settings of a manifest whose file lies in folder."""
    command = [sys.executable, "-m", "rslib.cli", "certify", manifest["dataset"]["name"]]
    command += ["--weights", str((folder / manifest["model"]["file"]).resolve())]
    for option in ("sigma", "n0", "n", "alpha", "seed"):
        command += [f"--{option}", str(manifest[option])]
    command += ["--split", manifest["dataset"]["split"], "--noise", manifest["noise"]["kind"]]
    command += ["--indices", EXAMPLES, "--out", str(out), "--quiet"]
    subprocess.run(command, check=True)


def main(arguments: list[str]) -> int:
    path = Path(arguments[0]) if arguments else DEFAULT
    stored = read_certificates(path)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "fresh.tsv"
        certify_again(stored.manifest, path.parent, out)
        fresh = read_certificates(out)
    found = differences(fresh.rows, stored.rows, stored.manifest["n"])
    verdict = f"{len(fresh.rows)} examples certified again agree with {path.name}"
    print("\n".join(found) or verdict)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
