"""``rslib`` on the command line: train, quantize, predict, certify, analyze, compare and so on.

It parses and prints; the work is done by the modules, `rslib.runs` above all.

Exit codes: 0 all is well; 1 a certificate failed verification, or a file its audit; 2 bad
arguments, unusable files or a package that is not installed; 3 the time of --budget was up, 130
interrupted or terminated (run the same command again to go on).
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rslib import (
    DISTRIBUTION,
    __version__,
    audit,
    backends,
    confidence,
    decisions,
    evaluation,
    records,
    verifier,
)
from rslib.sharding import Team

if TYPE_CHECKING:
    from rslib.datasets import Dataset
    from rslib.engine import Plan
    from rslib.runs import OpenedModel
    from rslib.smoothing import SmoothedClassifier

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
        with _terminated_as_interrupted():
            return options.run(options)
    except KeyboardInterrupt:
        print("\nInterrupted.", getattr(options, "resume_hint", ""), file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:
        print(f"rslib {options.name}: {_what_to_install(error)}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever read our output (head, say) has gone; that is no error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, TypeError, OSError, RuntimeError, ArithmeticError) as error:
        print(f"rslib {options.name}: {error}", file=sys.stderr)
        return 2


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM, which schedulers send, ends a command as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only there may handlers be set
        return

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _what_to_install(error: ModuleNotFoundError) -> str:
    """That a package is missing, and which extra of this one has it."""
    module = (error.name or "").partition(".")[0]
    package = {"sklearn": "scikit-learn", "PIL": "pillow"}.get(module, module)
    found = re.compile(rf"{re.escape(package)}\b(?![-.\w]).*extra == [\"']([\w-]+)[\"']")
    try:
        extras = [m[1] for text in requires(DISTRIBUTION) or () if (m := found.match(text))]
    except PackageNotFoundError:
        extras = []
    what = f"{DISTRIBUTION}[{extras[0]}]" if extras else package
    return f"the package {package} is not installed: pip install '{what}'"


# ------------------------------------------------------------------------------------- commands


def _train(options: argparse.Namespace) -> int:
    from rslib import runs

    dataset = _dataset(options, "train")
    _sigma(options.sigma)
    default = _WEIGHTS / options.dataset / options.model / f"sigma_{options.sigma}.safetensors"
    out = Path(options.out or default)
    done = runs.train(
        dataset,
        out,
        options.sigma,
        model=options.model,
        recipe=options.recipe,
        changes={name: getattr(options, name) for name in _HYPERPARAMETERS},
        seed=options.seed,
        store=options.store,
        threads=options.threads,
        device=options.device,
        checkpoint=options.checkpoint,
        log_file=options.log,
        budget=options.budget,
        overwrite=options.overwrite,
        command=options.command_line,
    )
    if not done.complete:
        print(
            f"{done.checkpoint}: {len(done.log)} of {done.epochs} epochs; the same command goes on"
        )
        return 3
    accuracy = done.log[-1]["noisy_accuracy"]
    print(f"{out}: noisy training accuracy {accuracy:.3f}, {done.wall_time:.1f} s")
    return 0


def _quantize(options: argparse.Namespace) -> int:
    from rslib import runs

    dataset = _dataset(options, "train")
    _sigma(options.sigma, least_positive=True)
    weights = Path(options.weights)
    made = runs.quantize(
        weights,
        dataset,
        options.out or weights.with_suffix(".int8.onnx"),
        options.sigma,
        images=options.images,
        seed=options.seed,
        overwrite=options.overwrite,
        command=options.command_line,
    )
    print(f"{made.path}: {made.path.stat().st_size / 1e6:.2f} MB, SHA-256 {made.sha256}")
    return 0


def _predict(options: argparse.Namespace) -> int:
    dataset = _dataset(options, "test")
    indices = _indices(options.indices, len(dataset))
    smoothed = _smoothed(options, dataset, _model(options, dataset))
    if options.seed is None:
        _say(f"Seed {smoothed.seed}, drawn fresh: --seed with it gives these answers again.")
    images = (dataset.images[idx] for idx in indices)
    labels = smoothed.predict_many(images, options.n, options.alpha, indices)
    print("idx\tlabel\tpredict")
    for idx, label in zip(indices, labels, strict=True):
        print(f"{idx}\t{dataset.labels[idx]}\t{label}", flush=True)
    return 0


def _certify(options: argparse.Namespace) -> int:
    with _team(options) as team:
        return _certify_share(options, team)


def _certify_share(options: argparse.Namespace, team: Team) -> int:
    """Certify this process's share of the examples; all of them where it is alone."""
    from rslib import runs

    method = decisions.method_from_options(vars(options))
    dataset = _dataset(options, "test")
    indices = _indices(options.indices, len(dataset))
    name = Path(options.weights).parent.name
    out = Path(options.out or _CERTIFICATES / options.dataset / name / f"sigma_{options.sigma}.tsv")
    earlier = runs.begun(out) if team.rank == 0 else None
    model = _model(options, dataset)
    smoothed = _smoothed(options, dataset, model, earlier, team)
    options.resume_hint = f"{out} is whole; the same command goes on where it stopped."
    outcome = runs.certify(
        smoothed,
        dataset,
        out,
        model=model,
        method=method,
        n0=options.n0,
        n=options.n,
        alpha=options.alpha_text,
        sigma=options.sigma,
        indices=indices,
        command=options.command_line,
        budget=options.budget,
        team=team,
        say=_say,
    )
    if outcome.left:
        print(f"{out}: {outcome.left} rows to do; the same command goes on")
        return 3
    if not options.quiet and team.rank == 0:
        print(evaluation.table([records.read_certificates(out)], evaluation.DEFAULT_RADII))
    return 0


def _analyze(options: argparse.Namespace) -> int:
    files = [records.read_certificates(path) for path in options.files]
    print(evaluation.table(files, options.radii, options.format, options.band))
    return 0


def _compare(options: argparse.Namespace) -> int:
    found = evaluation.compare(
        options.a,
        options.b,
        options.radii,
        confidence=options.confidence,
        difference=options.difference,
        common=options.common,
    )
    print(found.to_text(options.format))
    return 0


def _audit(options: argparse.Namespace) -> int:
    audits = audit.audit_files(
        options.paths, options.sigma, options.n, options.alpha, options.against
    )
    text, code = audit.report(audits, options.format)
    print(text)
    return code


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
    from rslib import runs

    found = runs.replay(path, options.replay, options.root, options.seed)
    for problem in found.problems:
        print(problem)
    if found.indices:
        print(found)
    return found.ok


# -------------------------------------------------------------------------------------- helpers


def _say(text: str) -> None:
    print(text, file=sys.stderr)


@contextmanager
def _team(options: argparse.Namespace) -> Iterator[Team]:
    """The processes that share the command, each with its own GPU."""
    team = Team.join()
    try:
        if team.size > 1 and options.device.startswith("cuda"):
            team.take_gpu(options.device)
        yield team
    finally:
        team.leave()


def _dataset(options: argparse.Namespace, split: str) -> Dataset:
    """The data set that the options name."""
    from rslib import datasets

    return datasets.load(options.dataset, getattr(options, "split", None) or split, options.root)


def _model(options: argparse.Namespace, dataset: Dataset) -> OpenedModel:
    """The base classifier that the options name."""
    from rslib import runs

    _sigma(options.sigma, least_positive=True)
    return runs.open_model(options.weights, dataset.shape, dataset.num_classes)


def _smoothed(
    options: argparse.Namespace,
    dataset: Dataset,
    model: OpenedModel,
    earlier: records.Manifest | None = None,
    team: Team | None = None,
) -> SmoothedClassifier:
    """The model smoothed as the options say; rank 0 decides what must be the same everywhere."""
    from rslib import runs

    def smooth(seed: int | None, plan: Plan) -> SmoothedClassifier:
        return runs.smooth(
            model,
            dataset,
            options.sigma,
            noise=options.noise,
            seed=seed,
            plan=plan,
            earlier=earlier,
        )

    team, smoothed, decided = team or Team(), None, None
    if team.rank == 0:
        plan = runs.choose_plan(
            model,
            dataset,
            rows=options.rows,
            backend=options.backend,
            dtype=options.dtype,
            threads=options.threads,
            device=options.device,
            earlier=earlier,
            say=_say,
        )
        smoothed = smooth(options.seed, plan)
        decided = smoothed.seed, plan
    decided = team.agree(decided)
    return smoothed or smooth(*decided)


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


# What a run of `train` may change in its recipe; None: as the recipe has it.
_HYPERPARAMETERS: dict[str, dict[str, Any]] = {
    "epochs": {"type": _positive, "help": "default: the recipe's"},
    "batch_size": {"type": _positive, "help": "default: the recipe's"},
    "learning_rate": {"type": float, "help": "default: the recipe's"},
    "weight_decay": {"type": float, "help": "default: the recipe's"},
    "consistency": {"type": float, "default": 0.0, "help": "weight of consistency regularisation"},
    "bfloat16": {"action": "store_true", "help": "mixed precision"},
    "compiled": {"choices": ("no", "blocks", "whole"), "default": "no"},
}


def _add_dataset(added: argparse.ArgumentParser) -> None:
    added.add_argument("dataset", help="digits, cifar10, folder, ...")
    added.add_argument("--root", help="folder of the data set (digits need none)")
    added.add_argument("--sigma", required=True, help="standard deviation of the noise")


def _add_data(added: argparse.ArgumentParser) -> None:
    _add_dataset(added)
    added.add_argument("--threads", type=_positive, default=1, help="CPU threads (default 1)")
    added.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... (default cpu)")


def _add_budget(added: argparse.ArgumentParser) -> None:
    added.add_argument(
        "--budget",
        type=_positive,
        metavar="SECONDS",
        help="stop in time; the same command goes on later",
    )


def _add_sampling(added: argparse.ArgumentParser, n: int) -> None:
    _add_data(added)
    added.add_argument(
        "--seed", type=_seed, help="fixes every draw (default: the file's, else drawn fresh)"
    )
    added.add_argument(
        "--weights", required=True, help="a .safetensors or .onnx that `train` or `quantize` wrote"
    )
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
    plan.add_argument("--backend", choices=backends.NAMES)
    plan.add_argument(
        "--dtype",
        choices=backends.DTYPES,
        help="default float32; another number type is another base classifier",
    )


def _add_methods(added: argparse.ArgumentParser) -> None:
    """An option for each method that has one; of those that may stop a run one at most."""
    stops = added.add_mutually_exclusive_group()
    for method in decisions.METHODS.values():
        option = method.option
        if option is None:
            continue
        group = stops if method.sequential else added
        if option.takes_radii:
            group.add_argument(
                option.flag,
                type=_radius,
                metavar=option.metavar,
                nargs=option.nargs,
                help=option.help,
            )
        else:
            group.add_argument(option.flag, action="store_true", help=option.help)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rslib",
        description="Certified robustness by randomized smoothing.",
        epilog="Exit codes: 0 well; 1 a certificate or an audit failed; 2 bad arguments or files; "
        "3 --budget was up; 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"rslib {__version__}")
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")

    def command(name: str, run, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    added = command("train", _train, "Train a base classifier under Gaussian noise.")
    _add_data(added)
    added.add_argument("--seed", type=_seed, default=0, help="fixes every draw (default 0)")
    added.add_argument("--model", default="cnn", help="mlp, cnn, resnet20, ... (default cnn)")
    added.add_argument(
        "--recipe",
        choices=("digits", "sgd", "evening"),
        default="digits",
        help="digits: AdamW (default); sgd: for residual networks on 32 x 32 images; "
        "evening: for the wide network on CPU cores",
    )
    for name, how in _HYPERPARAMETERS.items():
        added.add_argument(f"--{name.replace('_', '-')}", **how)
    added.add_argument("--checkpoint", metavar="FILE", help="written every epoch, and resumed")
    added.add_argument("--log", metavar="FILE", help="loss and noisy accuracy, as JSON lines")
    added.add_argument(
        "--store",
        choices=("float32", "bfloat16", "float16"),
        default="float32",
        help="number type of the weights' file (default float32)",
    )
    _add_budget(added)
    added.add_argument("--out", help="default data/models/DATASET/MODEL/sigma_SIGMA.safetensors")
    added.add_argument("--overwrite", action="store_true", help="replace existing weights")

    added = command("quantize", _quantize, "Round a network to eight bits, into its own file.")
    added.add_argument("weights", help="a .safetensors that `train` wrote")
    _add_dataset(added)
    added.add_argument(
        "--images", type=_positive, default=500, help="to calibrate on (default 500)"
    )
    added.add_argument("--seed", type=_seed, default=0, help="which images and noise (default 0)")
    added.add_argument("--out", help="default WEIGHTS with .int8.onnx in place of .safetensors")
    added.add_argument("--overwrite", action="store_true", help="replace an existing file")

    added = command("predict", _predict, "Predict with the smoothed classifier, or abstain.")
    _add_sampling(added, 1000)

    added = command("certify", _certify, "Certify examples; goes on where it was stopped.")
    _add_sampling(added, 100_000)
    added.add_argument("--n0", type=_positive, default=100, help="copies that pick the class")
    _add_budget(added)
    _add_methods(added)
    added.add_argument("--out", help="default data/certify/DATASET/MODEL/sigma_SIGMA.tsv")
    added.add_argument("--quiet", action="store_true", help="print no table at the end")

    added = command("analyze", _analyze, "Certified accuracy of certificate files, as a table.")
    added.add_argument("files", nargs="+", metavar="FILE")
    added.add_argument("--radii", nargs="+", default=evaluation.DEFAULT_RADII, metavar="R")
    added.add_argument("--format", choices=evaluation.FORMATS, default="table", help="of output")
    added.add_argument(
        "--band",
        type=float,
        metavar="CONFIDENCE",
        help="also the half width of the simultaneous band for the population, say 0.95",
    )

    added = command("compare", _compare, "Two files of the same images, in pairs.")
    added.add_argument("a", metavar="A", help="a certificate file or a log")
    added.add_argument("b", metavar="B", help="another, of the same images")
    added.add_argument("--radii", nargs="+", metavar="R", help="default: those both have decided")
    added.add_argument("--format", choices=evaluation.FORMATS, default="table", help="of output")
    added.add_argument(
        "--confidence", type=float, default=0.95, help="of all intervals together (default 0.95)"
    )
    added.add_argument(
        "--difference", type=float, default=0.02, help="whose power is given (default 0.02)"
    )
    added.add_argument("--common", action="store_true", help="leave out images that one lacks")

    added = command("audit", _audit, "What logs, also other people's, say and contradict.")
    added.add_argument("paths", nargs="+", metavar="FILE_OR_FOLDER")
    added.add_argument("--sigma", help="of the noise; default: what the file or its path says")
    added.add_argument("--n", type=_positive, help="samples that the log is said to rest on")
    added.add_argument("--alpha", help="failure probability that the log is said to have")
    added.add_argument("--against", metavar="OTHER", help="a log of the same images")
    added.add_argument("--format", choices=audit.FORMATS, default="table", help="of output")

    added = command("verify", _verify, "Recompute every radius from its counts; exit 1 if wrong.")
    added.add_argument("paths", nargs="+", metavar="FILE_OR_FOLDER")
    added.add_argument("--replay", type=_positive, metavar="K", help="also redraw K rows a file")
    added.add_argument("--root", help="folder of the data set, for --replay")
    added.add_argument("--seed", type=_seed, help="that --replay is to find in the files")
    return parser


if __name__ == "__main__":
    sys.exit(main())
