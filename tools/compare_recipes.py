"""Which training is best? Ways to train, each judged on training images that it never saw.

    compare_recipes.py --root DIR --data cifar10-jpeg --out data/runs/cifar10-jpeg-recipes.json
    compare_recipes.py ... --only cycle-12 mean-8        these, and no result yet

Some training images are held out, as many of each class. Every way trains on the others, is rounded
to eight bits and votes on those held out, under noise that is the same for all ways: so two of them
can be compared image by image. No test image is looked at. Networks are kept in --work; what is
done is not done again, and training goes on where it was stopped.
"""

import argparse
import json
import shlex
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rslib import _files, backends, datasets, runs, weights
from rslib.datasets import Dataset
from rslib.noise import Purpose
from rslib.smoothing import SmoothedClassifier

FORMAT = "rslib-recipes/1"
RATE = 0.05  # of going on, a quarter of the recipe's peak
SPLIT, TRAIN, QUANTIZE, VOTE = 15, 1, 2, 3  # seeds


@dataclass(frozen=True)
class Way:
    """A training: from which other way it goes on, for how long, and what it changes."""

    epochs: int
    start: str | None = None
    model: str | None = None
    changes: dict[str, Any] = field(default_factory=dict)


def _goes_on(start: str, epochs: int, **changes: Any) -> Way:
    return Way(epochs, start, changes={"learning_rate": RATE, **changes})


#: What was tried, each after the one that it goes on from.
WAYS = {
    "cycle-12": Way(12),
    "cycle-20": Way(20),
    "cycle-12-8": _goes_on("cycle-12", 8),
    "cycle-12-8-16": _goes_on("cycle-12-8", 16),
    "mean-8": _goes_on("cycle-12", 8, average=True),
    "mean-16": _goes_on("mean-8", 16, average=True),
    "resnet20-12": Way(12, model="resnet20"),
}


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    names = needed(options.only or list(WAYS))
    training, held_out, chosen = split(options)
    found = {}
    for name in names:
        print(f"{name}: {len(training)} images", flush=True)
        found[name] = judged(name, training, held_out, chosen, options)
        print(f"  {sum(found[name]['right']) / len(held_out) / options.n:.4f} right", flush=True)
    if options.only:
        return 0
    head = {
        "format": FORMAT,
        "dataset": held_out.name,
        "sigma": options.sigma,
        "held_out": len(held_out),
        "examples_sha256": held_out.digest(),
        "n": options.n,
        "seeds": {"split": SPLIT, "train": TRAIN, "quantize": QUANTIZE, "vote": VOTE},
        **_files.provenance(
            shlex.join(["tools/compare_recipes.py", *given]), optional=backends.PACKAGES
        ),
    }
    text = json.dumps(head, indent=1).removesuffix("\n}")
    lines = ",\n  ".join(f"{json.dumps(name)}: {json.dumps(way)}" for name, way in found.items())
    options.out.parent.mkdir(parents=True, exist_ok=True)
    written = f'{text},\n "ways": {{\n  {lines}\n }}\n}}\n'.encode()
    _files.replace(options.out, lambda file: file.write(written))
    return 0


def split(options: argparse.Namespace) -> tuple[Dataset, Dataset, list[int]]:
    """The training images to train on, those held out, and which these are."""
    whole = datasets.load(options.data, "train", options.root)
    chosen = sorted(whole.sample(options.held_out, SPLIT))
    others = sorted(set(range(len(whole))) - set(chosen))
    train, held_out = (
        replace(whole, images=whole.images[part], labels=whole.labels[part])
        for part in (others, chosen)
    )
    return train, held_out, chosen


def needed(names: list[str]) -> list[str]:
    """These ways and those that they go on from, in the order of `WAYS`."""
    wanted = set(names)
    for name in reversed(WAYS):
        if name in wanted and WAYS[name].start:
            wanted.add(WAYS[name].start)
    if unknown := wanted - set(WAYS):
        raise SystemExit(f"--only must name some of {', '.join(WAYS)}, got {unknown.pop()!r}")
    return [name for name in WAYS if name in wanted]


def described(name: str, held_out: Dataset, options: argparse.Namespace) -> dict:
    """All that decides a way's network, beside the images that are there."""
    way = WAYS[name]
    start = options.work / f"{way.start}.safetensors"
    return {
        "data": options.data,
        "without_sha256": held_out.digest(),
        "sigma": options.sigma,
        "model": way.model or options.model,
        "start": way.start,
        "start_sha256": _files.sha256(start) if way.start else None,
        "recipe": options.recipe,
        "seed": TRAIN,
        "bfloat16": options.bfloat16,
        "epochs": way.epochs,
        **way.changes,
    }


def train(name: str, dataset: Dataset, held_out: Dataset, options: argparse.Namespace) -> Path:
    """The file of a way's float weights, trained where it is not there yet.

    What is there must be of the same way and the same split: a network of another one may have
    been trained on what is held out now.
    """
    way, out = WAYS[name], options.work / f"{name}.safetensors"
    asked, kept = described(name, held_out, options), options.work / f"{name}.way.json"
    earlier = json.loads(kept.read_text()) if kept.exists() else {}
    begun = out.exists() or out.with_suffix(".checkpoint").exists()
    if begun and earlier != asked:
        key = next(key for key in asked | earlier if earlier.get(key) != asked.get(key))
        raise SystemExit(
            f"{out}: {key} is {earlier.get(key)!r} there, {asked.get(key)!r} now; delete "
            f"{name}.* there, or name another --work"
        )
    if out.exists() and out.with_suffix(".json").exists():
        return out
    options.work.mkdir(parents=True, exist_ok=True)
    _files.replace(kept, lambda file: file.write(json.dumps(asked).encode()))
    weights.train(
        dataset,
        out,
        options.sigma,
        model=asked["model"],
        start=options.work / f"{way.start}.safetensors" if way.start else None,
        recipe=options.recipe,
        changes={"epochs": way.epochs, "bfloat16": options.bfloat16, **way.changes},
        seed=TRAIN,
        store="float16",
        threads=options.threads,
        checkpoint=out.with_suffix(".checkpoint"),
        log_file=out.with_suffix(".jsonl"),
        overwrite=True,
        command=f"tools/compare_recipes.py --only {name}",
    )
    return out


def judged(
    name: str, training: Dataset, held_out: Dataset, chosen: list[int], options: argparse.Namespace
) -> dict:
    """How a way trained, and how many votes for each held-out image its network gets right."""
    trained = train(name, training, held_out, options)
    rounded, votes = trained.with_suffix(".int8.onnx"), trained.with_suffix(".votes.json")
    made = json.loads(trained.with_suffix(".json").read_text())
    about = rounded.with_suffix(".json")
    of = json.loads(about.read_text())["quantized_from"]["sha256"] if about.exists() else None
    if of != made["model"]["sha256"] or not rounded.exists():
        weights.quantize(trained, training, rounded, options.sigma, seed=QUANTIZE, overwrite=True)
    model = runs.open_model(rounded, held_out.shape, held_out.num_classes)
    plan = runs.choose_plan(
        model, held_out, rows=options.n, backend=options.backend, dtype="int8",
        threads=options.threads,
    )  # fmt: skip
    asked = {
        "sha256": model.sha256,
        "n": options.n,
        "seed": VOTE,
        "sigma": options.sigma,
        "examples_sha256": held_out.digest(),
        "plan": plan.to_dict(),
    }
    earlier = json.loads(votes.read_text()) if votes.exists() else {}
    if {key: earlier.get(key) for key in asked} != asked:
        smoothed = runs.smooth(model, held_out, options.sigma, seed=VOTE, plan=plan)
        earlier = asked | vote(smoothed, held_out, chosen, options.n)
        _files.replace(votes, lambda file: file.write(json.dumps(earlier).encode()))
    log = [json.loads(line) for line in trained.with_suffix(".jsonl").read_text().splitlines()]
    return {
        "model": made["model"]["name"],
        "start": WAYS[name].start,
        "training": {k: v for k, v in made["training"].items() if k != "final"},
        "noisy_accuracy": [entry["noisy_accuracy"] for entry in log],
        "seconds": [entry["seconds"] for entry in log],
        **{key: earlier[key] for key in ("sha256", "plan", "vote_s", "right")},
    }


def vote(smoothed: SmoothedClassifier, held_out: Dataset, chosen: list[int], n: int) -> dict:
    """For each image how many of its noisy copies the network labels rightly."""
    began = time.monotonic()
    right = [
        int(smoothed.counts(x, n, Purpose.PREDICTION, index)[label])
        for x, label, index in zip(held_out.images, held_out.labels, chosen, strict=True)
    ]
    return {"vote_s": round(time.monotonic() - began, 1), "right": right}


def _count(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, help="folder of the images")
    parser.add_argument("--data", default="cifar10", help="default %(default)s")
    parser.add_argument("--sigma", default="0.5", help="default %(default)s")
    parser.add_argument("--model", default="wide", help="where a way names none")
    parser.add_argument("--recipe", default="evening", help="default %(default)s")
    parser.add_argument("--bfloat16", action="store_true", help="as for tools/evening.py")
    parser.add_argument(
        "--held-out", type=_count, default=5000, help="images (default %(default)s)"
    )
    parser.add_argument("--n", type=_count, default=100, help="votes an image (default 100)")
    own = [name for name, one in backends.BACKENDS.items() if one.brings_its_type]
    parser.add_argument("--backend", choices=own, default="quantized", help="default %(default)s")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", metavar="WAY", help="these and what they go on from")
    parser.add_argument("--work", type=Path, default=Path(".local/recipes"), help="for networks")
    parser.add_argument("--out", type=Path, required=True, help="a .json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
