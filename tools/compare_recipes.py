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
    training, held_out, chosen = split(options)
    _same_work(options, held_out)
    found = {}
    for name in needed(options.only or list(WAYS)):
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
        "split_seed": SPLIT,
        "n": options.n,
        "seed": VOTE,
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


def _same_work(options: argparse.Namespace, held_out: Dataset) -> None:
    """Raise where the networks kept are of another split or setting: they may know its images."""
    path = options.work / "settings.json"
    names = ("data", "sigma", "model", "recipe", "bfloat16")
    settings = {name: getattr(options, name) for name in names}
    settings |= {"held_out": len(held_out), "examples_sha256": held_out.digest()}
    earlier = json.loads(path.read_text()) if path.exists() else settings
    for name, value in settings.items():
        if earlier.get(name) != value:
            was = earlier.get(name)
            raise SystemExit(f"{path}: {name} is {was!r} there, {value!r} now; name another --work")
    options.work.mkdir(parents=True, exist_ok=True)
    _files.replace(path, lambda file: file.write(json.dumps(settings).encode()))


def needed(names: list[str]) -> list[str]:
    """These ways and those that they go on from, in the order of `WAYS`."""
    wanted = set(names)
    for name in reversed(WAYS):
        if name in wanted and WAYS[name].start:
            wanted.add(WAYS[name].start)
    if unknown := wanted - set(WAYS):
        raise SystemExit(f"--only must name some of {', '.join(WAYS)}, got {unknown.pop()!r}")
    return [name for name in WAYS if name in wanted]


def train(name: str, dataset: Dataset, options: argparse.Namespace) -> Path:
    """The file of a way's float weights, trained where it is not there yet."""
    way, out = WAYS[name], options.work / f"{name}.safetensors"
    if out.exists():
        made = json.loads(out.with_suffix(".json").read_text())["training"]
        for key, value in {"epochs": way.epochs, **way.changes}.items():
            if made[key] != value:
                raise SystemExit(f"{out}: {key} is {made[key]!r} there, {value!r} now; delete it")
        return out
    weights.train(
        dataset,
        out,
        options.sigma,
        model=way.model or options.model,
        start=options.work / f"{way.start}.safetensors" if way.start else None,
        recipe=options.recipe,
        changes={"epochs": way.epochs, "bfloat16": options.bfloat16, **way.changes},
        seed=TRAIN,
        store="float16",
        threads=options.threads,
        checkpoint=out.with_suffix(".checkpoint"),
        log_file=out.with_suffix(".jsonl"),
        command=f"tools/compare_recipes.py --only {name}",
    )
    return out


def judged(
    name: str, training: Dataset, held_out: Dataset, chosen: list[int], options: argparse.Namespace
) -> dict:
    """How a way trained, and how many votes for each held-out image its network gets right."""
    trained = train(name, training, options)
    rounded, votes = trained.with_suffix(".int8.onnx"), trained.with_suffix(".votes.json")
    if not rounded.exists():
        weights.quantize(trained, training, rounded, options.sigma, seed=QUANTIZE)
    model = runs.open_model(rounded, held_out.shape, held_out.num_classes)
    asked = {"sha256": model.sha256, "n": options.n, "examples_sha256": held_out.digest()}
    earlier = json.loads(votes.read_text()) if votes.exists() else {}
    if {key: earlier.get(key) for key in asked} != asked:
        earlier = asked | vote(model, held_out, chosen, options)
        _files.replace(votes, lambda file: file.write(json.dumps(earlier).encode()))
    made = json.loads(trained.with_suffix(".json").read_text())
    log = [json.loads(line) for line in trained.with_suffix(".jsonl").read_text().splitlines()]
    return {
        "model": made["model"]["name"],
        "start": WAYS[name].start,
        "training": {k: v for k, v in made["training"].items() if k not in ("final", "start")},
        "noisy_accuracy": [entry["noisy_accuracy"] for entry in log],
        "seconds": [entry["seconds"] for entry in log],
        **{key: earlier[key] for key in ("sha256", "plan", "vote_s", "right")},
    }


def vote(
    model: runs.OpenedModel, held_out: Dataset, chosen: list[int], options: argparse.Namespace
) -> dict:
    """For each image how many of its noisy copies the network labels rightly."""
    began = time.monotonic()
    plan = runs.choose_plan(
        model, held_out, rows=options.n, backend=options.backend, dtype="int8",
        threads=options.threads,
    )  # fmt: skip
    smoothed = runs.smooth(model, held_out, options.sigma, seed=VOTE, plan=plan)
    right = [
        int(smoothed.counts(x, options.n, Purpose.PREDICTION, index)[label])
        for x, label, index in zip(held_out.images, held_out.labels, chosen, strict=True)
    ]
    taken = round(time.monotonic() - began, 1)
    return {"plan": plan.to_dict(), "vote_s": taken, "right": right}


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
    parser.add_argument("--held-out", type=int, default=5000, help="images (default %(default)s)")
    parser.add_argument("--n", type=int, default=100, help="votes an image (default %(default)s)")
    parser.add_argument("--backend", help="that votes, e.g. openvino")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", metavar="WAY", help="these and what they go on from")
    parser.add_argument("--work", type=Path, default=Path(".local/recipes"), help="for networks")
    parser.add_argument("--out", type=Path, required=True, help="a .json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
