"""Attack the vote itself: how near to a certified image does the smoothed classifier change?

    attack_vote.py CERTIFICATES --root DIR --out data/runs/NAME-vote-attack.json

For the first images that the file certifies, projected gradient descent looks for images that the
smoothed classifier gives another class, in balls that grow from the certified radius on, and the
nearest on the way back is kept. So every image gets two numbers with the truth between them: its
certificate and the distance of the attack. Gradients come from the float weights, answers from the
network that was certified, by votes that abstain where they are close. What is found is written
image by image; the same command goes on where it was stopped.
"""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import torch
from torch import Tensor

from rslib import _files, attacks, backends, datasets, runs
from rslib.decisions import ABSTAIN
from rslib.engine import Plan
from rslib.records import Row, read_certificates

FORMAT = "rslib-vote-attack/1"
HALVINGS = 6  # of the way back to the image


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    torch.set_num_threads(options.threads)
    file = read_certificates(options.certificates)
    m = file.manifest
    dataset = datasets.load(m["dataset"]["name"], m["dataset"]["split"], options.root)
    path = (file.path.parent / m["model"]["file"]).resolve()
    certified = runs.open_model(path, dataset.shape, dataset.num_classes)
    head = {
        "format": FORMAT,
        "certificates": file.path.name,
        "certificates_sha256": _files.sha256(file.path),
        "model_sha256": certified.sha256,
        "sigma": m["sigma"],
        "steps": options.steps,
        "copies": options.copies,
        "restarts": options.restarts,
        "growth": options.growth,
        "largest": options.largest,
        "n": options.n,
        "alpha": options.alpha,
        "seed": options.seed,
    }
    rows = _begun(options.out, head)
    source = certified.manifest.get("quantized_from", {}).get("file", path.name)
    network = runs.open_model(path.with_name(source), dataset.shape, dataset.num_classes).network
    plan = Plan.from_dict(m["plan"])
    smoothed = runs.smooth(certified, dataset, m["sigma"], seed=options.seed, plan=plan)
    correct = [row for row in file.rows if row.correct and row.radius > 0][: options.images]
    command = shlex.join(["tools/attack_vote.py", *given])
    about = _files.provenance(command, optional=backends.PACKAGES)
    for row in correct[len(rows) :]:
        began, number = time.monotonic(), count(1000 * row.idx)

        def answer(image: Tensor, number=number) -> int:
            # An image that was chosen in sight of answers is judged by noise that is new.
            return smoothed.predict(image, options.n, options.alpha, next(number))

        x = torch.from_numpy(dataset.images[row.idx])
        found = nearest(network, x, row, answer, float(m["sigma"]), float(dataset.step), options)
        asked = next(number) - 1000 * row.idx
        rows.append(
            {"idx": row.idx, "label": row.label, "certified": float(row.radius)}
            | found
            | {"answers": asked, "seconds": round(time.monotonic() - began, 1)}
        )
        _write(options.out, head | about, rows)
        print(json.dumps(rows[-1]), flush=True)
    return 0


def nearest(
    network: torch.nn.Module,
    x: Tensor,
    row: Row,
    answer: Callable[[Tensor], int],
    sigma: float,
    step: float,
    options: argparse.Namespace,
) -> dict:
    """The nearest image found that gets another class: its distance and that class, or None."""
    radius, same = float(row.radius), (row.label, ABSTAIN)
    while radius <= options.largest:
        for restart in range(options.restarts):
            image = attacks.pgd_l2_smoothed(
                network,
                x,
                row.label,
                radius,
                sigma,
                step,
                copies=options.copies,
                steps=options.steps,
                seed=options.seed + restart,
            )
            if (reached := answer(image)) not in same:
                return _way_back(x, image, reached, answer, same, step)
        radius += options.growth
    return {"attack": None, "class": None}


def _way_back(
    x: Tensor,
    image: Tensor,
    reached: int,
    answer: Callable[[Tensor], int],
    same: tuple[int, int],
    step: float,
) -> dict:
    """Halve the way from the image found to x, as long as the class stays another."""
    k = (x.double() / step).round()
    change = kept = (image.double() / step).round() - k
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        nearer = (middle * change).trunc()  # towards x: still in the box
        given = answer(((k + nearer) * step).to(x.dtype))
        if given in same:
            low = middle
        else:
            high, kept, reached = middle, nearer, given
    return {"attack": float(kept.norm()) * step, "class": reached}


def _begun(out: Path, head: dict) -> list[dict]:
    """What an earlier run with the same arguments found."""
    if not out.exists():
        return []
    earlier = json.loads(out.read_text())
    for key, value in head.items():
        if earlier.get(key) != value:
            raise SystemExit(
                f"{out}: {key} is {earlier.get(key)!r} there, {value!r} now; name another --out"
            )
    return earlier["rows"]


def _write(out: Path, head: dict, rows: list[dict]) -> None:
    text = json.dumps(head, indent=1).removesuffix("\n}")
    lines = ",\n  ".join(json.dumps(row) for row in rows)  # a row a line
    out.parent.mkdir(parents=True, exist_ok=True)
    _files.replace(
        out, lambda file: file.write(f'{text},\n "rows": [\n  {lines}\n ]\n}}\n'.encode())
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("certificates", type=Path, help="a certificate file, complete or not")
    parser.add_argument("--root", type=Path, help="folder of its images (digits need none)")
    parser.add_argument("--out", type=Path, required=True, help="a .json")
    parser.add_argument("--images", type=int, default=10, help="default %(default)s")
    parser.add_argument("--steps", type=int, default=20, help="of descent (default %(default)s)")
    parser.add_argument("--copies", type=int, default=64, help="a gradient (default %(default)s)")
    parser.add_argument("--restarts", type=int, default=2, help="a ball (default %(default)s)")
    parser.add_argument(
        "--growth", type=float, default=0.25, help="of the ball, in pixels (default %(default)s)"
    )
    parser.add_argument("--largest", type=float, default=4.0, help="ball (default %(default)s)")
    parser.add_argument("--n", type=int, default=1000, help="answers a vote (default %(default)s)")
    parser.add_argument(
        "--alpha", type=float, default=1e-6, help="false, of one vote (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=16, help="of attack and votes")
    parser.add_argument("--threads", type=int, default=1, help="for the gradients")
    return parser


if __name__ == "__main__":
    sys.exit(main())
