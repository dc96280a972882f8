"""Compute the tables of the chapter on reading certificates from published logs.

    audit_logs.py SOURCE [--out data/audit] [--all]

SOURCE is an archive (.tar, .tar.xz) or a folder that holds one folder a repository, OWNER+NAME or
OWNER/NAME, with the logs where the repository has them. The logs are not ours and are never stored:
what is written is counts, sums, two-by-two tables and hashes. The same logs give the same bytes.
Repositories hold more logs than the tables are made from: those that data/audit/files.json names
are read, and their hashes compared, unless --all says to read every log that is there.

Repositories and the commits that were read: github.com/locuslab/smoothing, Hadisalman/
smoothing-adversarial, alinlab/smoothing-catrs, jh-jeong/smoothing-consistency; see COMMITS.
"""

import argparse
import json
import sys
import tarfile
import tempfile
from collections import Counter
from decimal import Decimal
from itertools import combinations
from pathlib import Path

import numpy as np

from rslib import _files, audit, lattice, logs
from rslib.evaluation import average_certified_radius, certified_accuracy, compare
from rslib.records import CertificateFile, read_certificates

ROOT = Path(__file__).resolve().parent.parent
COMMITS = {
    "locuslab/smoothing": "78a4d949e4f627d000a78908e001f8ca66c92943",
    "Hadisalman/smoothing-adversarial": "cff781d53ed5fa7df6ba567d3b51df202b6ec14e",
    "alinlab/smoothing-catrs": "d4bc576e7d373d158f087ba5744af8bb48466bb7",
    "jh-jeong/smoothing-consistency": "a11954aa91adb9924eecf49aaca74051e79bbb86",
}
COHEN, SALMAN, CATRS, CONSISTENCY = COMMITS
N = 100_000
PAPER_RADII = {
    "cifar10": ("0.25", "0.5", "0.75", "1.0", "1.25", "1.5"),
    "imagenet": ("0.5", "1.0", "1.5", "2.0", "2.5", "3.0"),
}
# Radii at which methods are compared in pairs, by noise level: up to 3 sigma.
PAIR_RADII = {
    "0.25": ("0", "0.25", "0.5", "0.75"),
    "0.50": ("0", "0.25", "0.5", "0.75", "1.0", "1.25", "1.5"),
    "1.00": ("0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0"),
}
OURS = "data/certify/best_models/cifar10/ours/cifar10"
END = "cifar10/resnet110/noise_{0}/test/sigma_{0}"
RECERTIFIED = "data/certify/best_models/cifar10/cohen/resnet110/noise_{0}/test/sigma_{0}"
SMOOTHADV = {
    "0.25": f"{OURS}/PGD_10steps_multiNoiseSamples/4-multitrain/eps_255/{END}",
    "1.00": f"{OURS}/PGD_10steps_multiNoiseSamples/2-multitrain/eps_512/{END}",
}


class Source:
    """The logs of the repositories, by repository and path."""

    def __init__(self, folder: Path, only: list[dict] | None = None) -> None:
        self.only = only and {(one["repository"], one["path"]): one["sha256"] for one in only}
        self.roots = {}
        for name in COMMITS:
            for place in (folder / name.replace("/", "+"), folder / name):
                if place.is_dir():
                    self.roots[name] = place
        if missing := sorted(COMMITS.keys() - self.roots):
            raise SystemExit(f"{folder}: no folder for {', '.join(missing)}")
        for key, digest in (self.only or {}).items():
            if not self.path(*key).is_file() or _files.sha256(self.path(*key)) != digest:
                raise SystemExit(
                    f"{self.path(*key)}: missing, or not the file that was read before"
                )
        self._read: dict[tuple[str, str], CertificateFile] = {}

    def path(self, repository: str, path: str) -> Path:
        return self.roots[repository] / path

    def has(self, repository: str, path: str) -> bool:
        key = (repository, path)
        return key in self.only if self.only else self.path(*key).is_file()

    def log(self, repository: str, path: str) -> CertificateFile:
        key = (repository, path)
        if key not in self._read:
            self._read[key] = logs.read_log(self.path(*key))
        return self._read[key]

    def every(self) -> list[tuple[str, str]]:
        """All logs, in the order of the repositories and of their paths."""
        if self.only:
            return list(self.only)
        return [
            (name, path.relative_to(root).as_posix())
            for name, root in self.roots.items()
            for path in audit.logs_in(root)
            if ".git" not in path.parts
        ]


# ------------------------------------------------------------------------------------- tables


def every_file(source: Source) -> list[dict]:
    """One line a log: what the audit says."""
    found = []
    for repository, path in source.every():
        one = audit.audit_file(source.path(repository, path))
        entry = {"repository": repository, "path": path, "sha256": one.sha256, "rows": one.rows}
        # What is not said is: read, without problems, with radii, rounded to nearest, n = 100,000.
        entry |= {"refused": one.refused} if one.refused else {}
        entry |= {"problems": list(one.problems)} if one.problems else {}
        for name, words in (("crlf", "CR LF"), ("even", "even"), ("predictions", "predictions")):
            if any(words in note for note in one.notes):
                entry[name] = True
        if one.largest is not None:
            entry |= {"sigma": one.sigma, "largest": round(one.largest, 4)}
        if (named := one.fingerprint) is not None:
            entry |= {"alpha": named.alpha, "fits": named.fits, "of": named.of}
            entry["above"] = named.above
            entry |= {} if named.n == N else {"n": named.n}
            entry |= {} if named.rounding == "nearest" else {"rounding": named.rounding}
        if one.rows:
            file = source.log(repository, path)
            entry["first"], entry["last"] = (
                choose(row.idx for row in file.rows) for choose in (min, max)
            )
            if "predictions" not in entry:
                entry["acr"] = round(average_certified_radius(file), 5)
        found.append(entry)
    return found


def founding(source: Source) -> list[dict]:
    """The logs of Cohen et al.: which alpha they fit, and their table at both."""
    found = []
    for repository, path in source.every():
        if repository != COHEN or "data/certify" not in path:
            continue
        file, sigma = source.log(repository, path), audit.noise_level(path)
        radii = [row.radius for row in file.rows if row.radius > 0]
        entry = {"path": path, "sigma": sigma, "rows": len(file.rows)}
        entry["radii"] = PAPER_RADII[path.split("/")[2]]
        entry["largest"] = round(float(max(radii)) / float(sigma), 4)
        for alpha in ("0.01", "0.001"):
            fit = lattice.fit(radii, float(sigma), N, alpha)
            entry[f"fit_{alpha}"] = [fit.fits, fit.of]
        highest = sorted(Counter(radii).items(), reverse=True)[:15]
        entry["top"] = [[str(radius), count] for radius, count in highest]
        named = lattice.fingerprint(radii, float(sigma)).found
        entry["named"] = named and named.alpha
        entry["certified"] = counts(file, entry["radii"])
        if named and named.alpha == "0.01":
            again = audit.recertify(file, "0.001", sigma, N, "0.01")
            entry["at_0.001"] = [
                counts(CertificateFile(file.path, None, rows), entry["radii"])
                for rows in (again.low, again.high)
            ]
            entry["unknown"] = again.unknown
            entry["acr"] = [
                round(average_certified_radius(rows), 5)
                for rows in (file.rows, again.low, again.high)
            ]
        found.append(entry)
    return found


def counts(file: CertificateFile, radii: tuple[str, ...]) -> list[int]:
    shares = certified_accuracy(file, radii)
    return [round(share * len(file.rows)) for share in shares.tolist()]


def published(source: Source) -> list[dict]:
    """Published tables against the logs that they were made from."""
    found = []
    for data, network in (("cifar10", "resnet110"), ("imagenet", "resnet50")):
        path = f"analysis/markdown/vary_noise_{data}"
        agree, of = 0, 0
        for line in source.path(COHEN, path).read_text().splitlines():
            if "sigma" not in line:
                continue
            sigma = line.split("=")[1].split()[0]
            cells = [cell.split("<")[0].strip() for cell in line.split("|")[1:7]]
            log = f"data/certify/{data}/{network}/noise_{sigma}/test/sigma_{sigma}"
            shares = certified_accuracy(source.log(COHEN, log), PAPER_RADII[data])
            agree += sum(f"{a:.2f}" == cell for a, cell in zip(shares, cells, strict=True))
            of += len(cells)
        found.append({"repository": COHEN, "path": path, "agree": agree, "of": of, "absent": 0})
    folder = source.path(SALMAN, "analysis/radii_to_best_models")
    for table in sorted(folder.iterdir()):
        agree = of = absent = 0
        for line in table.read_text().splitlines()[1:]:
            radius, share, model = line.split("\t")
            log = best_model_log(source, table.name, model)
            if log is None:
                absent += 1
                continue
            of += 1
            agree += abs(certified_accuracy(source.log(*log), [radius])[0] - float(share)) < 5e-5
        path = f"analysis/radii_to_best_models/{table.name}"
        entry = {"repository": SALMAN, "path": path, "agree": int(agree), "of": of}
        found.append(entry | {"absent": absent})
    return found


def best_model_log(source: Source, table: str, model: str) -> tuple[str, str] | None:
    """The final log of a model that a best-of table names, if it is in the source."""
    level = model.rsplit("_", 1)[1]
    place = f"cifar10/ours/{model}" if table.startswith("cifar10_ours") else model
    path = f"data/certify/best_models/{place}/test/sigma_{level}"
    return (SALMAN, path) if source.has(SALMAN, path) else None


def pairs_of_runs(source: Source) -> list[dict]:
    """Two logs of what should be one model: labels, conflicts, radii."""
    pairs = []
    for level in ("0.12", "0.25", "0.50", "1.00"):
        first = (COHEN, f"data/certify/cifar10/resnet110/noise_{level}/test/sigma_{level}")
        pairs.append(("another group", first, (SALMAN, RECERTIFIED.format(level))))
    for level in ("0.25", "0.50", "1.00"):
        end = f"resnet50/noise_{level}/test/sigma_{level}"
        second = (SALMAN, f"data/certify/best_models/imagenet/replication/{end}")
        pairs.append(("another group", (COHEN, f"data/certify/imagenet/{end}"), second))
    for repository, path in source.every():
        if repository == SALMAN and "best_models" in path:
            screening = path.replace("best_models/cifar10/ours/", "").replace("best_models/", "")
            if source.has(SALMAN, screening) and source.log(SALMAN, screening).rows:
                pairs.append(("screening", (SALMAN, screening), (SALMAN, path)))
    return [
        {"kind": kind, "a": list(a), "b": list(b)} | run_pair(source.log(*a), source.log(*b))
        for kind, a, b in pairs
    ]


def run_pair(a: CertificateFile, b: CertificateFile) -> dict:
    second = {row.idx: row for row in b.rows}
    both = [(row, second[row.idx]) for row in a.rows if row.idx in second]
    found = {"common": len(both), "labels_differ": sum(x.label != y.label for x, y in both)}
    if found["labels_differ"]:
        return found
    certified = [(x, y) for x, y in both if x.predict != -1 and y.predict != -1]
    found["both_certify"] = len(certified)
    found["conflicts"] = sum(x.predict != y.predict for x, y in certified)
    found["radius_larger"] = sum(x.radius > y.radius for x, y in certified)
    found["radius_smaller"] = sum(x.radius < y.radius for x, y in certified)
    found["one_model"] = not audit.against(a, b)[1]
    return found


def selection(source: Source) -> list[dict]:
    """Final logs on 10,000 images: correct ones among the 500 of the screening and the rest."""
    found = []
    paths = [RECERTIFIED.format(level) for level in ("0.12", "0.25", "0.50", "1.00")]
    paths += [path for name, path in source.every() if name == SALMAN and path.startswith(OURS)]
    for path in paths:
        file, level = source.log(SALMAN, path), audit.noise_level(path)
        radii = ("0", *(f"{float(level) * k:.3f}" for k in (1, 2, 3)))
        entry = {"path": path, "sigma": level, "chosen": path.startswith(OURS), "radii": radii}
        for name, chosen in (("screened", True), ("rest", False)):
            rows = [row for row in file.rows if (row.idx % 20 == 0) == chosen]
            part = CertificateFile(file.path, None, tuple(rows))
            entry[name] = [len(rows), counts(part, radii)]
            entry[f"acr_{name}"] = round(average_certified_radius(rows), 5)
        found.append(entry)
    return found


def best_of_many(source: Source, splits: int = 500) -> list[dict]:
    """The best of the screened models on one half of the 500 images, and what it is on the other.

    Sums over random halves, the same for every radius and noise level.
    """
    found, rng = [], np.random.default_rng(16)
    halves = np.array([rng.permutation(500) < 250 for _ in range(splits)])
    for level in ("0.12", "0.25", "0.50", "1.00"):
        files = [
            source.log(name, path)
            for name, path in source.every()
            if name == SALMAN and path.startswith("data/certify/cifar10/")
            if audit.noise_level(path) == level
        ]
        files = [
            file for file in files if [row.idx for row in file.rows] == [*range(0, 10_000, 20)]
        ]
        for factor in (0, 1, 2, 3):
            limit = Decimal(level) * factor
            right = np.array(
                [[row.correct and row.radius >= limit for row in file.rows] for file in files]
            )
            right, half = right.astype(int), halves.T.astype(int)
            chosen, other = right @ half, right @ (1 - half)  # (models, splits)
            best = chosen.argmax(axis=0)
            at = np.arange(splits)
            sums = [int(chosen[best, at].sum()), int(other[best, at].sum())]
            entry = {"sigma": level, "radius": str(limit), "models": len(files), "splits": splits}
            entry |= {"images": 250, "chosen": sums[0], "other": sums[1]}
            found.append(entry | {"median": int(np.median(right.sum(axis=1)))})
    return found


def methods(source: Source, level: str) -> dict[str, tuple[str, str]]:
    """Final logs on the 10,000 CIFAR-10 test images, ResNet-110, one training run each."""
    short = {"0.25": "0.25", "0.50": "0.5", "1.00": "1.0"}[level]
    place = f"data/cifar10/noise_{short}/{{}}/noise_{short}.tsv"
    found = {"Gaussian": (SALMAN, RECERTIFIED.format(level))}
    if level in SMOOTHADV:
        found["SmoothAdv"] = (SALMAN, SMOOTHADV[level].format(level))
    else:
        found["SmoothAdv"] = (CATRS, place.format("salman"))
    for name, folder in (
        ("MACER", "macer"),
        ("Consistency", "consistency"),
        ("SmoothMix", "smoothmix"),
        ("CAT-RS", "cat-rs"),
    ):
        if source.has(CATRS, place.format(folder)):
            found[name] = (CATRS, place.format(folder))
    attack = {"0.25": ("255.0", "4", "2.0"), "0.50": ("512.0", "2", "1.0")}
    eps, copies, weight = attack.get(level, attack["0.50"])
    found["Consistency + SmoothAdv"] = (
        CONSISTENCY,
        f"data/certify/cifar10/consistency/salman_{eps}_10_10/num_{copies}/lbd_{weight}/eta_0.5/"
        f"cifar_resnet110/noise_{level}",
    )
    return found


def comparisons(source: Source) -> list[dict]:
    """Two-by-two tables of all pairs of methods, on all images and on every 20th."""
    found = []
    for level, radii in PAIR_RADII.items():
        named = methods(source, level)
        for first, second in combinations(named, 2):
            a, b = source.log(*named[first]), source.log(*named[second])
            entry = {"sigma": level, "a": first, "b": second, "radii": radii}
            for name, step in (("all", 1), ("every_20th", 20)):
                entry[name] = [two_by_two(a, b, radius, step) for radius in radii]
                entry[f"acr_{name}"] = mean_difference(a, b, step)
            found.append(entry)
    return found


def baselines(source: Source) -> list[dict]:
    """One method against several logs of one baseline method, at one noise level."""
    level = "0.50"
    radii = PAIR_RADII[level]
    others = [
        path
        for name, path in source.every()
        if name == SALMAN and path.startswith(OURS) and audit.noise_level(path) == level
    ]
    others = [(SALMAN, path) for path in others] + [methods(source, level)["SmoothAdv"]]
    found = []
    for name in ("Consistency", "SmoothMix", "CAT-RS", "Consistency + SmoothAdv"):
        if name not in methods(source, level):
            continue
        a = source.log(*methods(source, level)[name])
        for other in others:
            b = source.log(*other)
            entry = {"sigma": level, "a": name, "b": list(other), "radii": radii}
            entry["all"] = [two_by_two(a, b, radius, 1) for radius in radii]
            found.append(entry | {"acr_all": mean_difference(a, b, 1)})
    return found


def with_ours(source: Source, certificates: Path = ROOT / "data/certify") -> list[dict]:
    """Our files of CIFAR-10 beside the log of Cohen et al. at the same sigma, image by image."""
    found = []
    for path in sorted(certificates.glob("cifar10*/**/sigma_*.tsv")):
        ours = read_certificates(path)
        level = f"{float(ours.manifest['sigma']):.2f}"
        log = f"data/certify/cifar10/resnet110/noise_{level}/test/sigma_{level}"
        if not ours.complete or ours.manifest["n"] != N or not source.has(COHEN, log):
            continue
        method = ours.manifest.get("method") or {}
        asked = {Decimal(radius) for radius in method.get("radii", PAPER_RADII["cifar10"])}
        radii = [radius for radius in PAPER_RADII["cifar10"] if Decimal(radius) in asked]
        found.append(
            {
                "ours": path.relative_to(certificates).as_posix(),
                "sha256": _files.sha256(path),
                "log": [COHEN, log],
                "sigma": level,
                "images": len(ours.rows),
                "radii": radii,
                "tables": [
                    [one.both, one.only_a, one.only_b, one.neither]
                    for one in compare(ours, source.log(COHEN, log), radii, common=True).accuracies
                ],
            }
        )
    return found


def in_pairs(a: CertificateFile, b: CertificateFile, step: int) -> list[tuple]:
    second = {row.idx: row for row in b.rows}
    pairs = [(row, second[row.idx]) for row in a.rows if row.idx % step == 0]
    if any(x.label != y.label for x, y in pairs):
        raise ValueError(f"{a.path} and {b.path} are of other images")
    return pairs


def two_by_two(a: CertificateFile, b: CertificateFile, radius: str, step: int) -> list[int]:
    """[both, only a, only b, neither] certified correctly at the radius."""
    limit, cells = Decimal(radius), [0, 0, 0, 0]
    for x, y in in_pairs(a, b, step):
        right = (x.correct and x.radius >= limit, y.correct and y.radius >= limit)
        cells[2 * (not right[0]) + (not right[1])] += 1
    return cells


def mean_difference(a: CertificateFile, b: CertificateFile, step: int) -> dict:
    """Sums from which the paired difference of average radii and its error follow."""
    pairs = in_pairs(a, b, step)
    difference = np.array(
        [float(x.radius) * x.correct - float(y.radius) * y.correct for x, y in pairs]
    )
    return {
        "m": len(pairs),
        "sum": round(float(difference.sum()), 4),
        "squares": round(float((difference**2).sum()), 4),
    }


# ------------------------------------------------------------------------------------- output


def write(path: Path, tables: dict[str, object]) -> None:
    """As JSON with one entry of a list a line."""
    parts = []
    for name, value in tables.items():
        if isinstance(value, list):
            lines = ",\n".join("  " + json.dumps(entry) for entry in value)
            parts.append(f'"{name}": [\n{lines}\n]')
        else:
            parts.append(f'"{name}": {json.dumps(value)}')
    text = "{\n" + ",\n".join(parts) + "\n}\n"
    _files.replace(path, lambda file: file.write(text.encode()))


def compute(folder: Path, out: Path, only: list[dict] | None) -> None:
    source = Source(folder, only)
    head = {"command": "tools/audit_logs.py", "commits": COMMITS}
    files = every_file(source)
    write(out / "files.json", head | {"files": files})
    write(out / "founding.json", head | {"logs": founding(source), "tables": published(source)})
    write(out / "paper.json", head | {"pairs": with_ours(source)})
    write(out / "runs.json", head | {"pairs": pairs_of_runs(source)})
    write(
        out / "selection.json", head | {"logs": selection(source), "halves": best_of_many(source)}
    )
    chosen = {level: methods(source, level) for level in PAIR_RADII}
    write(
        out / "methods.json",
        head
        | {
            "logs": {level: {k: list(v) for k, v in of.items()} for level, of in chosen.items()},
            "pairs": comparisons(source),
            "baselines": baselines(source),
        },
    )
    refused = sum("refused" in entry for entry in files)
    wrong = sum("problems" in entry for entry in files)
    print(f"{len(files)} logs: {refused} refused, {wrong} with problems; tables in {out}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="archive, or folder of clones")
    parser.add_argument("--out", type=Path, default=ROOT / "data/audit")
    parser.add_argument("--all", action="store_true", help="every log that is there")
    options = parser.parse_args(arguments)
    named = ROOT / "data/audit/files.json"
    known = not options.all and named.exists()
    only = json.loads(named.read_text())["files"] if known else None
    if options.source.is_dir():
        compute(options.source, options.out, only)
        return 0
    with tempfile.TemporaryDirectory() as folder, tarfile.open(options.source) as archive:
        archive.extractall(folder, filter="data")
        compute(Path(folder), options.out, only)
    return 0


if __name__ == "__main__":
    sys.exit(main())
