"""Certify some examples of a committed certificate file again and compare.

    recertify.py [FILE]

Certifies every 25th example with what the file's manifest says. The noise is the same draw for
draw; the last bits of a network's scores differ between processors. So the labels
must be equal and every count must lie within 0.1% of n of the committed one.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from rslib import datasets, runs
from rslib.records import CertificateFile, Row, read_certificates

ROOT = Path(__file__).resolve().parent.parent
DEFAULT = ROOT / "data/certify/digits/cnn/sigma_0.25.tsv"
EVERY = 25
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


def certify_again(stored: CertificateFile, out: Path) -> None:
    """Certify some examples of a file as its manifest says, into another file."""
    manifest = stored.manifest
    dataset = datasets.load(manifest.dataset.name, manifest.dataset.split)
    weights = (stored.path.parent / manifest.model.file).resolve()
    model = runs.open_model(weights, dataset.shape, dataset.num_classes)
    smoothed = runs.smooth(
        model,
        dataset,
        manifest.sigma,
        noise=manifest.noise.kind,
        seed=manifest.seed,
        plan=runs.choose_plan(model, dataset),
    )
    runs.certify(
        smoothed,
        dataset,
        out,
        model=model,
        n0=manifest.n0,
        n=manifest.n,
        alpha=manifest.alpha,
        indices=range(0, len(dataset), EVERY),
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shown = DEFAULT.relative_to(ROOT)
    parser.add_argument("file", type=Path, nargs="?", default=DEFAULT, help=f"default: {shown}")
    path = parser.parse_args(arguments).file
    stored = read_certificates(path)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "fresh.tsv"
        certify_again(stored, out)
        fresh = read_certificates(out)
    found = differences(fresh.rows, stored.rows, stored.manifest.n)
    verdict = f"{len(fresh.rows)} examples certified again agree with {path.name}"
    print("\n".join(found) or verdict)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
