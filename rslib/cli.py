"""``rslib`` on the command line: train, predict, certify, analyze, verify.

Exit codes: 0 all is well; 1 a certificate failed verification; 2 bad arguments or unusable files;
3 the time of --budget was up, 130 interrupted (run the same command again to go on).
"""

from __future__ import annotations

import argparse
import datetime
import math
import os
import platform
import random
import re
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path

from rslib import _files, confidence, evaluation, progress, records, verifier

__all__ = ["main"]

_CERTIFICATES = Path("data/certify")
_WEIGHTS = Path("data/models")


class _UsageError(ValueError):
    """An argument that argparse could not judge by itself."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; messages for people go to standard error."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(arguments)
    options.command_line = shlex.join(["rslib", *arguments])
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("\nInterrupted.", getattr(options, "resume_hint", ""), file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output (head, say) has gone; that is no error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, TypeError, OSError, RuntimeError, ArithmeticError) as error:
        print(f"rslib {options.name}: {error}", file=sys.stderr)
        return 2


# ------------------------------------------------------------------------------------- commands


def _train(options: argparse.Namespace) -> int:
    import torch

    from rslib import models, training

    dataset = _load(options, "train")
    sigma = _sigma(options.sigma)
    default = _WEIGHTS / options.dataset / options.model / f"sigma_{options.sigma}.safetensors"
    out = Path(options.out or default)
    if out.suffix != ".safetensors":
        raise _UsageError(f"--out must end in .safetensors, got {options.out!r}")
    if out.exists() and not options.overwrite:
        raise _UsageError(f"{out} exists; --overwrite replaces it")
    if out.is_dir():
        raise _UsageError(f"--out {out} is a folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        network = models.build(options.model, dataset.shape, dataset.num_classes)
    network.to(options.device)
    recipe = training.RECIPES[options.recipe]
    hyper = {name: recipe[name] for name in ("epochs", "batch_size", "learning_rate")}
    hyper |= {name: getattr(options, name) for name in hyper if getattr(options, name) is not None}
    hyper["seed"] = options.seed
    more = {name: value for name, value in recipe.items() if name not in hyper}
    more |= {"consistency": options.consistency, "bfloat16": options.bfloat16}
    more |= {"compiled": options.compiled}
    if options.weight_decay is not None:
        more["weight_decay"] = options.weight_decay
    checkpoint = options.checkpoint or (out.with_suffix(".checkpoint") if options.budget else None)
    began = time.monotonic()
    with progress.bar(hyper["epochs"], "epochs") as bar:

        def show(entry: dict) -> None:
            bar.set_postfix(loss=f"{entry['loss']:.3f}", accuracy=f"{entry['noisy_accuracy']:.3f}")
            bar.update()

        log = training.train(
            network,
            dataset,
            float(sigma),
            progress=show,
            checkpoint=checkpoint,
            log_file=options.log,
            budget=options.budget or math.inf,
            **hyper,
            **more,
        )
    if len(log) < hyper["epochs"]:
        print(f"{checkpoint}: {len(log)} of {hyper['epochs']} epochs; the same command goes on")
        return 3
    # A resumed run counts the epochs before it, and not what it took to begin again.
    wall_time = max(time.monotonic() - began, sum(entry["seconds"] for entry in log))
    models.save_weights(network, out, options.store)
    described = {"name": options.model, "sha256": _files.sha256(out)}
    if options.store != "float32":
        described["dtype"] = options.store
    manifest = {
        "format": "rslib-model/1",
        "dataset": _describe(dataset),
        "model": described,
        "sigma": options.sigma,
        "training": {"recipe": options.recipe, **hyper, **more}
        | {"final": log[-1], "wall_time_s": round(wall_time, 1)},
        **_provenance(options),
    }
    records.write_manifest(out.with_suffix(".json"), manifest)
    if checkpoint:
        Path(checkpoint).unlink()  # the weights have taken its place
    print(f"{out}: noisy training accuracy {log[-1]['noisy_accuracy']:.3f}, {wall_time:.1f} s")
    return 0


def _predict(options: argparse.Namespace) -> int:
    dataset = _load(options, "test")
    smoothed, _ = _smoothed(options, dataset)
    indices = _indices(options.indices, len(dataset))
    images = (dataset.images[idx] for idx in indices)
    labels = smoothed.predict_many(images, options.n, options.alpha, indices)
    print("idx\tlabel\tpredict")
    for idx, label in zip(indices, labels, strict=True):
        print(f"{idx}\t{dataset.labels[idx]}\t{label}", flush=True)
    return 0


def _certify(options: argparse.Namespace) -> int:
    from rslib.sharding import Team

    team = Team.join()
    try:
        return _certify_share(options, team)
    finally:
        team.leave()


def _certify_share(options: argparse.Namespace, team) -> int:
    """Certify this process's share of the examples; all of them where it is alone."""
    from rslib.sharding import ShardedWriter

    if team.size > 1 and options.device.startswith("cuda"):
        _own_gpu(options.device, team.local_rank)
    method = _method(options)
    dataset = _load(options, "test")
    name = Path(options.weights).parent.name
    out = Path(options.out or _CERTIFICATES / options.dataset / name / f"sigma_{options.sigma}.tsv")
    beside = records.manifest_path(out)
    plan = None
    if team.rank == 0:
        if beside.exists():
            plan = records.read_manifest(beside, records.FORMAT)["plan"]
        smoothed, model = _smoothed(options, dataset, plan)
        plan = smoothed.plan.to_dict()
    plan = team.agree(plan)
    if team.rank:
        smoothed, model = _smoothed(options, dataset, plan)
    indices = _indices(options.indices, len(dataset))
    manifest = {
        "format": "rslib-certificates/1",
        "dataset": _describe(dataset),
        "indices": indices,
        "model": {
            "name": model["model"]["name"],
            "file": Path(os.path.relpath(options.weights, out.parent)).as_posix(),
            "sha256": model["model"]["sha256"],
        },
        "sigma": options.sigma,
        "n0": options.n0,
        "n": options.n,
        "alpha": options.alpha_text,
        "two_sided": options.two_sided,
        "noise": {
            "kind": smoothed.noise.name,
            "step": None if smoothed.noise.step is None else str(smoothed.noise.step),
            "total_variation": repr(smoothed.noise.total_variation(dataset.images[0].size)),
        },
        "seed": options.seed,
        "plan": smoothed.engine(dataset.shape).plan.to_dict(),
        **_provenance(options),
    }
    if method:
        manifest["method"] = method
    options.resume_hint = f"{out} is whole; the same command goes on where it stopped."
    done, slowest = 0, 0.0
    began = started = time.monotonic()
    with ShardedWriter(out, manifest, team) as writer:
        if writer.already_done and team.rank == 0:
            left = len(indices) - writer.already_done
            print(f"{out}: {writer.already_done} rows are there, {left} to do", file=sys.stderr)
        found = progress.watch(
            _certified(smoothed, dataset, writer.todo, options),
            dataset.labels[writer.todo],
            hide=team.rank > 0,
        )
        for idx, certificate in zip(writer.todo, found, strict=True):
            row = _row(idx, certificate, int(dataset.labels[idx]), time.monotonic() - started)
            writer.append(row)
            done += 1
            slowest = max(slowest, time.monotonic() - started)
            started = time.monotonic()
            if options.budget and started - began + slowest > options.budget:
                break
        writer.finish()
    if done < len(writer.todo):
        print(f"{out}: {len(writer.todo) - done} rows to do; the same command goes on")
        return 3
    if options.quiet or team.rank:
        return 0
    print(evaluation.table([records.read_certificates(out)], evaluation.DEFAULT_RADII))
    return 0


def _certified(smoothed, dataset, indices: list[int], options: argparse.Namespace):
    """What the smoothed classifier certifies at these examples, one after another."""
    images = (dataset.images[idx] for idx in indices)
    if options.at:
        radii = [float(radius) for radius in options.at]
        return smoothed.certify_at_many(
            images, radii, options.alpha, options.n, options.n0, indices
        )
    return smoothed.certify_many(
        images,
        options.n0,
        options.n,
        options.alpha,
        indices,
        two_sided=options.two_sided,
        early_abstain=options.early_abstain,
        radius_loss=None if options.radius_loss is None else float(options.radius_loss),
    )


def _row(idx: int, certificate, label: int, seconds: float) -> records.Row:
    """``seconds``: since the row before."""
    return records.Row(
        idx=idx,
        label=label,
        predict=certificate.label,
        radius=Decimal(f"{certificate.radius:.6f}"),
        correct=certificate.label == label,
        time=seconds,
        selection={c: k for c, k in enumerate(certificate.selection_counts) if k},
        estimation={c: k for c, k in enumerate(certificate.counts) if k},
    )


def _analyze(options: argparse.Namespace) -> int:
    files = [records.read_certificates(path) for path in options.files]
    print(evaluation.table(files, options.radii, options.format, options.band))
    return 0


def _verify(options: argparse.Namespace) -> int:
    reports = verifier.verify_paths(options.paths)
    for report in reports:
        for problem in report.problems:
            print(problem)
        print(report)
    failed = sum(not report.ok for report in reports)
    if options.replay and not failed:
        failed = sum(not _replay(report.path, options) for report in reports)
    return 1 if failed else 0


def _replay(path: Path, options: argparse.Namespace) -> bool:
    """Draw the noise of a few randomly chosen rows again and compare the counts."""
    from rslib import datasets, models
    from rslib.engine import Plan
    from rslib.smoothing import SmoothedClassifier

    file = records.read_certificates(path)
    manifest = file.manifest
    plan = Plan.from_dict(manifest["plan"])
    described = manifest["dataset"]
    dataset = datasets.load(described["name"], described["split"], options.root)
    if _describe(dataset) != described:
        print(f"{path}: its data set is {described}, the one at hand {_describe(dataset)}")
        return False
    same = True
    for row in file.rows:
        if row.label != dataset.labels[row.idx]:
            same = False
            print(f"{path}: idx {row.idx}: label {row.label}, is {dataset.labels[row.idx]}")
    network = models.build(manifest["model"]["name"], dataset.shape, dataset.num_classes)
    models.load_weights(network, Path(path).parent / manifest["model"]["file"])
    smoothed = SmoothedClassifier(
        network,
        dataset.num_classes,
        manifest["sigma"],
        manifest["noise"]["step"],
        noise=manifest["noise"]["kind"],
        seed=manifest["seed"],
        plan=plan,
    )
    chosen = random.SystemRandom().sample(file.rows, min(options.replay, len(file.rows)))
    with progress.bar(len(chosen), "images") as bar:
        for row in chosen:
            same &= _redrawn(smoothed, dataset, row, path)
            bar.update()
    listed = " ".join(str(row.idx) for row in chosen)
    print(f"{path}: {'identical' if same else 'NOT identical'} counts when drawn again: {listed}")
    return same


def _redrawn(smoothed, dataset, row: records.Row, path: Path) -> bool:
    """Whether a row's noise, drawn again, gives its counts."""
    from rslib.noise import Purpose

    same = True
    for name, purpose in (("selection", Purpose.SELECTION), ("estimation", Purpose.ESTIMATION)):
        recorded = getattr(row, name)
        # A run that stopped early took the first draws of the same noise.
        drawn = smoothed.counts(dataset.images[row.idx], sum(recorded.values()), purpose, row.idx)
        again = {c: k for c, k in enumerate(drawn) if k}
        if recorded != again:
            same = False
            print(f"{path}: idx {row.idx}: {name} counts {recorded}, drawn again: {again}")
    return same


# -------------------------------------------------------------------------------------- helpers


def _load(options: argparse.Namespace, split: str):
    from rslib import datasets

    return datasets.load(options.dataset, getattr(options, "split", None) or split, options.root)


def _smoothed(options: argparse.Namespace, dataset, recorded_plan: dict | None = None):
    """The smoothed classifier that the options describe, and its model's manifest."""
    import torch

    from rslib import models
    from rslib.engine import Plan, fastest_plan
    from rslib.smoothing import SmoothedClassifier

    weights = Path(options.weights)
    _sigma(options.sigma, least_positive=True)
    if not weights.is_file():
        raise _UsageError(f"--weights {weights}: no such file")
    manifest = records.read_manifest(weights.with_suffix(".json"))
    described = manifest.get("model")
    if manifest.get("format") != "rslib-model/1" or not isinstance(described, dict):
        raise _UsageError(f"{weights.with_suffix('.json')}: not the manifest of a model")
    if _files.sha256(weights) != described.get("sha256"):
        raise _UsageError(f"{weights}: its SHA-256 is not the one in its manifest")
    network = models.build(described.get("name"), dataset.shape, dataset.num_classes)
    models.load_weights(network, weights)
    asked = {name: getattr(options, name) for name in ("rows", "backend", "dtype")}
    asked = {name: value for name, value in asked.items() if value is not None}
    if recorded_plan is not None:
        plan = Plan.from_dict(recorded_plan)
        for name, value in asked.items():
            if value != recorded_plan[name]:
                raise _UsageError(
                    f"--{name} {value}: the file was begun with {recorded_plan[name]}"
                )
    else:
        torch.set_num_threads(options.threads)
        plan = Plan(threads=options.threads, device=options.device)
        if "rows" not in asked:
            dtype = options.dtype or "float32"
            shape = dataset.shape
            plan = fastest_plan(network, dataset.num_classes, shape, options.device, dtype)
        plan = replace(plan, **asked)
    smoothed = SmoothedClassifier(
        network,
        dataset.num_classes,
        options.sigma,
        None if options.noise == "float" else dataset.step,
        noise=options.noise,
        seed=options.seed,
        plan=plan,
    )
    return smoothed, manifest


def _method(options: argparse.Namespace) -> dict | None:
    """How the run may stop before its n-th sample, as the manifest says it; None if it may not."""
    if options.two_sided and (options.at or options.early_abstain or options.radius_loss):
        raise _UsageError("--two-sided takes all --n copies; it goes with no option that stops")
    if options.early_abstain:
        return {"name": "early-abstain"}
    if options.radius_loss:
        return {"name": "radius-loss", "loss": options.radius_loss}
    if options.at:
        options.at = sorted(options.at, key=lambda text: (Decimal(text), text))
        if any(Decimal(a) == Decimal(b) for a, b in pairwise(options.at)):
            raise _UsageError(f"--at must name each radius once, got {' '.join(options.at)}")
        return {"name": "at", "radii": options.at}
    return None


def _sigma(text: str, least_positive: bool = False) -> Fraction:
    if not re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,20})?", text):
        raise _UsageError(f"--sigma must be a decimal number, got {text!r}")
    value = Fraction(text)
    if value < 0 or (least_positive and value == 0):
        raise _UsageError(f"--sigma must be {'positive' if least_positive else '>= 0'}, got {text}")
    return value


def _indices(text: str | None, size: int) -> list[int]:
    """``START:STOP:STRIDE`` as in Python; all of the data set when empty."""
    try:
        parts = [int(part) if part else None for part in (text or "::").split(":")]
        if not 2 <= len(parts) <= 3:
            raise ValueError
        chosen = list(range(size))[slice(*parts)]
    except ValueError:
        raise _UsageError(f"--indices must be START:STOP:STRIDE, got {text!r}") from None
    if not chosen:
        raise _UsageError(f"--indices {text} picks none of the {size} examples")
    return chosen


def _describe(dataset) -> dict:
    return {
        "name": dataset.name,
        "split": dataset.split,
        "step": str(dataset.step),
        "shape": list(dataset.shape),
        "num_classes": dataset.num_classes,
        "size": len(dataset),
    }


def _provenance(options: argparse.Namespace) -> dict:
    import numpy
    import scipy
    import torch

    import rslib

    device = platform.machine()
    if options.device.startswith("cuda"):
        device = torch.cuda.get_device_name(options.device)
    optional = {}
    with suppress(PackageNotFoundError):
        optional["onnxruntime"] = version("onnxruntime")
    return {
        "versions": {
            "python": platform.python_version(),
            "rslib": rslib.__version__,
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            "scipy": scipy.__version__,
            **optional,
        },
        "device": device,
        "command": options.command_line,
        "date": datetime.date.today().isoformat(),
    }


def _own_gpu(device: str, local_rank: int) -> None:
    """Make "cuda" mean this rank's own GPU."""
    import torch

    if device != "cuda":
        raise _UsageError(f"--device must be cuda under torchrun: a rank has its own, got {device}")
    if local_rank >= torch.cuda.device_count():
        raise _UsageError(
            f"--device cuda: rank {local_rank} of this machine has no GPU of its own, "
            f"{torch.cuda.device_count()} are here"
        )
    torch.cuda.set_device(local_rank)


# --------------------------------------------------------------------------------------- parser


def _whole(text: str, least: int, most: int) -> int:
    if not re.fullmatch(r"-?[0-9]{1,30}", text) or not least <= int(text) <= most:
        message = f"must be a whole number from {least} to {most}, got {text}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _positive(text: str) -> int:
    return _whole(text, 1, confidence.LARGEST_N)


def _radius(text: str) -> str:
    """A radius as typed: the manifest holds the exact decimal."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text):
        message = f"must be a decimal with at most 6 places, got {text}"
        raise argparse.ArgumentTypeError(message)
    return text


def _seed(text: str) -> int:
    return _whole(text, 0, 2**63 - 1)


class _Alpha(argparse.Action):
    """Keeps alpha as typed: the manifest holds the exact decimal."""

    def __call__(self, parser, namespace, text, option_string=None) -> None:
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        least = 2 * confidence.SMALLEST_ALPHA
        if not least <= value < 1:
            parser.error(f"argument --alpha: must be between {least:g} and 1, got {text}")
        namespace.alpha, namespace.alpha_text = value, text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rslib",
        description="Certified robustness by randomized smoothing.",
        epilog="Exit codes: 0 well; 1 a certificate failed; 2 bad arguments or files; "
        "3 --budget was up; 130 interrupted.",
    )
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")

    def command(name: str, run, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    def data(added: argparse.ArgumentParser) -> None:
        added.add_argument("dataset", help="digits, cifar10, folder, ...")
        added.add_argument("--root", help="folder of the data set (digits need none)")
        added.add_argument("--sigma", required=True, help="standard deviation of the noise")
        added.add_argument("--seed", type=_seed, default=0, help="fixes every draw (default 0)")
        added.add_argument("--threads", type=_positive, default=1, help="CPU threads (default 1)")
        added.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... (default cpu)")

    def budget(added: argparse.ArgumentParser) -> None:
        added.add_argument(
            "--budget",
            type=_positive,
            metavar="SECONDS",
            help="stop in time; the same command goes on later",
        )

    def sampling(added: argparse.ArgumentParser, n: int) -> None:
        data(added)
        added.add_argument("--weights", required=True, help="a .safetensors that `train` wrote")
        added.add_argument("--split", choices=("train", "test"), default="test")
        added.add_argument("--indices", metavar="START:STOP:STRIDE", help="default: all examples")
        added.add_argument("--n", type=_positive, default=n, help=f"noisy copies (default {n})")
        added.add_argument(
            "--alpha",
            action=_Alpha,
            default=0.001,
            help="probability of a false answer, at most (default 0.001)",
        )
        added.set_defaults(alpha_text="0.001")
        added.add_argument(
            "--noise",
            choices=("grid", "float"),
            default="grid",
            help="grid: exact, certificates hold in floating point (default); float: not sound",
        )
        plan = added.add_argument_group("plan", "how the network is run; default: the fastest")
        plan.add_argument("--rows", type=_positive, help="noisy copies in a forward pass")
        plan.add_argument("--backend", choices=("eager", "frozen", "compiled", "onnxruntime"))
        plan.add_argument(
            "--dtype",
            choices=("float32", "bfloat16", "float16"),
            help="default float32; another number type is another base classifier",
        )

    added = command("train", _train, "Train a base classifier under Gaussian noise.")
    data(added)
    added.add_argument("--model", default="cnn", help="mlp, cnn, resnet20, ... (default cnn)")
    added.add_argument(
        "--recipe",
        choices=("digits", "sgd", "evening"),
        default="digits",
        help="digits: AdamW (default); sgd: for residual networks on 32 x 32 images; "
        "evening: for the wide network on CPU cores",
    )
    added.add_argument("--epochs", type=_positive, help="default: the recipe's")
    added.add_argument("--batch-size", type=_positive, help="default: the recipe's")
    added.add_argument("--learning-rate", type=float, help="default: the recipe's")
    added.add_argument("--weight-decay", type=float, help="default: the recipe's")
    added.add_argument(
        "--consistency", type=float, default=0.0, help="weight of consistency regularisation"
    )
    added.add_argument("--bfloat16", action="store_true", help="mixed precision")
    added.add_argument("--compiled", choices=("no", "blocks", "whole"), default="no")
    added.add_argument("--checkpoint", metavar="FILE", help="written every epoch, and resumed")
    added.add_argument("--log", metavar="FILE", help="loss and noisy accuracy, as JSON lines")
    added.add_argument(
        "--store",
        choices=("float32", "bfloat16", "float16"),
        default="float32",
        help="number type of the weights' file (default float32)",
    )
    budget(added)
    added.add_argument("--out", help="default data/models/DATASET/MODEL/sigma_SIGMA.safetensors")
    added.add_argument("--overwrite", action="store_true", help="replace existing weights")

    added = command("predict", _predict, "Predict with the smoothed classifier, or abstain.")
    sampling(added, 1000)

    added = command("certify", _certify, "Certify examples; goes on where it was stopped.")
    sampling(added, 100_000)
    added.add_argument("--n0", type=_positive, default=100, help="copies that pick the class")
    budget(added)
    added.add_argument("--two-sided", action="store_true", help="bound the runner-up too")
    stops = added.add_mutually_exclusive_group()
    stops.add_argument(
        "--early-abstain", action="store_true", help="stop where no certificate is to be hoped for"
    )
    stops.add_argument(
        "--radius-loss",
        type=_radius,
        metavar="LOSS",
        help="stop when the radius is this close to what all copies would give",
    )
    stops.add_argument(
        "--at",
        type=_radius,
        nargs="+",
        metavar="R",
        help="decide these radii only, each as soon as it can be",
    )
    added.add_argument("--out", help="default data/certify/DATASET/MODEL/sigma_SIGMA.tsv")
    added.add_argument("--quiet", action="store_true", help="print no table at the end")

    added = command("analyze", _analyze, "Certified accuracy of certificate files, as a table.")
    added.add_argument("files", nargs="+", metavar="FILE")
    added.add_argument("--radii", nargs="+", default=evaluation.DEFAULT_RADII, metavar="R")
    added.add_argument(
        "--format", choices=("table", "markdown", "csv", "json"), default="table", help="of output"
    )
    added.add_argument(
        "--band",
        type=float,
        metavar="CONFIDENCE",
        help="also the half width of the simultaneous band for the population, say 0.95",
    )

    added = command("verify", _verify, "Recompute every radius from its counts; exit 1 if wrong.")
    added.add_argument("paths", nargs="+", metavar="FILE_OR_FOLDER")
    added.add_argument("--replay", type=_positive, metavar="K", help="also redraw K rows a file")
    added.add_argument("--root", help="folder of the data set, for --replay")
    return parser


if __name__ == "__main__":
    sys.exit(main())
