"""What re-encoding CIFAR-10 as JPEG changes: distances, and the smoothed classifier's answers.

    jpeg_check.py --root .gpu --weights FILE --out data/runs/cifar10-jpeg-check.json

The root holds cifar10_test_head.npz, the first 932 test images as they are, and cifar10_jpeg.npz,
all of them as JPEG files. Each image gets three votes: as it is, as JPEG with the same noise, and
as it is with other noise. The third says how often two votes about one image differ by chance.
"""

import argparse
import datetime
import json
import platform
import shlex
import sys
import time
from pathlib import Path

import numpy as np
import torch

import rslib
from rslib import _files, datasets, models
from rslib.confidence import hung_fithian_pvalue
from rslib.engine import default_plan
from rslib.noise import Purpose
from rslib.smoothing import ABSTAIN, SmoothedClassifier

FORMAT = "rslib-jpeg-check/1"
VOTES = ("lossless", "jpeg", "lossless, other noise")


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    began = time.monotonic()
    torch.set_num_threads(options.threads)
    original = datasets.load("cifar10-head", "test", options.root)
    encoded = datasets.load("cifar10-jpeg", "test", options.root)
    count = min(len(original), options.images)
    assert np.array_equal(original.labels, encoded.labels[: len(original)])
    rows = []
    for index in range(count):
        about = {"idx": index, "label": int(original.labels[index])}
        rows.append(about | compare(original.images[index], encoded.images[index]))
    result = {
        "format": FORMAT,
        "command": shlex.join(["tools/jpeg_check.py", *given]),
        "device": platform.machine(),
        "versions": {"python": platform.python_version(), "rslib": rslib.__version__,
                     "torch": torch.__version__, "numpy": np.__version__},
        "date": datetime.date.today().isoformat(),
    }  # fmt: skip
    if options.weights:
        result |= _vote(options, original, encoded, rows)
    result["wall_time_s"] = round(time.monotonic() - began, 1)
    result["summary"] = summary(rows, options.alpha)
    text = json.dumps(result, indent=1).removesuffix("\n}")
    lines = ",\n  ".join(json.dumps(row) for row in rows)  # a row a line
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(f'{text},\n "rows": [\n  {lines}\n ]\n}}\n')
    print(json.dumps(result["summary"], indent=1))
    return 0


def _vote(options, original, encoded, rows: list[dict]) -> dict:
    """Give every row its three counts; returns what decided them."""
    manifest = json.loads(options.weights.with_suffix(".json").read_text())
    network = models.build(manifest["model"]["name"], original.shape, original.num_classes)
    network = models.load_weights(network, options.weights).eval()
    plan = default_plan(network, original.shape, options.device)
    plain, other = (
        SmoothedClassifier(
            network, original.num_classes, manifest["sigma"], original.step, seed=seed, plan=plan
        )
        for seed in (0, 1)
    )
    for row in rows:
        index = row["idx"]
        lossless, jpeg = original.images[index], encoded.images[index]
        row["counts"] = [
            smoothed.counts(x, options.n, Purpose.PREDICTION, index).tolist()
            for smoothed, x in ((plain, lossless), (plain, jpeg), (other, lossless))
        ]
    return {
        "model": manifest["model"]["name"],
        "model_sha256": _files.sha256(options.weights),
        "sigma": manifest["sigma"],
        "n": options.n,
        "alpha": options.alpha,
        "seeds": [0, 0, 1],
        "plan": plan.to_dict(),
    }


def compare(original: np.ndarray, encoded: np.ndarray) -> dict:
    """l2 distance in input units, and peak signal-to-noise ratio in dB (None: equal images)."""
    moved = encoded.astype(float) - original.astype(float)
    mean_square = float(np.mean(moved**2))
    psnr = round(-10 * float(np.log10(mean_square)), 2) if mean_square else None
    return {"distance": round(float(np.linalg.norm(moved)), 4), "psnr": psnr}


def predicted(counts: list[int], alpha: float) -> int:
    """What PREDICT answers with these counts."""
    second, first = np.argsort(counts, kind="stable")[-2:]
    certain = hung_fithian_pvalue(int(counts[first]), int(counts[second])) <= alpha
    return int(first) if certain else ABSTAIN


def summary(rows: list[dict], alpha: float) -> dict:
    """Means over the images; how each vote answers, and how often as the lossless one does."""
    psnr = [row["psnr"] for row in rows if row["psnr"] is not None]
    found = {
        "images": len(rows),
        "mean_distance": round(float(np.mean([row["distance"] for row in rows])), 4),
        "median_psnr": float(np.median(psnr)) if psnr else None,
    }
    if "counts" not in rows[0]:
        return found
    answers = np.array([[predicted(counts, alpha) for counts in row["counts"]] for row in rows])
    labels = np.array([row["label"] for row in rows])
    shares = np.array([[c[row["label"]] / sum(c) for c in row["counts"]] for row in rows])
    lossless = answers[:, 0]
    found["votes"] = {
        name: {
            "mean_share_of_right_class": round(float(share.mean()), 6),
            "right": int((answer == labels).sum()),
            "abstained": int((answer == ABSTAIN).sum()),
            "same_answer": int((answer == lossless).sum()),
            "other_class": _contradictions(answer, lossless),
        }
        for name, answer, share in zip(VOTES, answers.T, shares.T, strict=True)
    }
    return found


def _contradictions(one: np.ndarray, other: np.ndarray) -> int:
    """Images on which both answered, and not the same."""
    return int(((one != other) & (one != ABSTAIN) & (other != ABSTAIN)).sum())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="of the images")
    parser.add_argument("--weights", type=Path, help="of the network that votes; none: no votes")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    parser.add_argument("--images", type=int, default=10**9, help="so many of the first ones")
    parser.add_argument("--n", type=int, default=100, help="copies of an image")
    parser.add_argument("--alpha", type=float, default=0.001)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    return parser


if __name__ == "__main__":
    sys.exit(main())
