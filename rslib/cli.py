"""``rslib`` on the command line: train, quantize, predict, certify, analyze, plot and so on.

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
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rslib import (
    DISTRIBUTION,
    _options,
    audit,
    datasets,
    decisions,
    evaluation,
    progress,
    records,
    verifier,
)
from rslib._options import HYPERPARAMETERS, UsageError, as_sigma
from rslib.sharding import Team

if TYPE_CHECKING:
    from rslib.datasets import Dataset
    from rslib.engine import Plan
    from rslib.runs import OpenedModel, Prediction
    from rslib.smoothing import SmoothedClassifier

__all__ = ["main"]

_CERTIFICATES = Path("data/certify")
_WEIGHTS = Path("data/models")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; messages for people go to standard error."""
    _print_whatever_comes()
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


def _print_whatever_comes() -> None:
    """What the encoding of the output does not have is printed as an escape from now on."""
    for stream in (sys.stdout, sys.stderr):
        # Nothing that stands in for a file need have these.
        strict = getattr(stream, "errors", None) in ("strict", "surrogateescape")
        if strict and hasattr(stream, "reconfigure"):
            utf8 = stream.encoding.lower().replace("-", "") == "utf8"
            if stream.errors == "strict" or not utf8:
                stream.reconfigure(errors="backslashreplace")


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
    _say_loading()
    from rslib import runs

    dataset = _dataset(options, "train")
    as_sigma(options.sigma)
    default = _WEIGHTS / options.dataset / options.model / f"sigma_{options.sigma}.safetensors"
    out = Path(options.out or default)
    done = runs.train(
        dataset,
        out,
        options.sigma,
        model=options.model,
        start=options.start,
        recipe=options.recipe,
        changes={name: getattr(options, name) for name in HYPERPARAMETERS},
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
    _say_loading()
    from rslib import runs

    dataset = _dataset(options, "train")
    as_sigma(options.sigma, least_positive=True)
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
    missing = [name for name in options.what if not Path(name).is_file()]
    if not missing:
        return _predict_files(options)
    if len(options.what) > 1 or missing[0] not in datasets.DATASETS:
        known = ", ".join(sorted(datasets.DATASETS))
        raise UsageError(f"{missing[0]}: no such image file, and not one of {known} by itself")
    options.dataset = missing[0]
    for name in ("like", "num_classes"):
        if getattr(options, name) is not None:
            raise UsageError(f"--{name.replace('_', '-')} is for image files, got {missing[0]}")
    dataset = _dataset(options, "test")
    indices = _indices(options, dataset)
    predictions = _predictions(options, dataset, indices)
    print("idx\tlabel\tpredict")
    for found in predictions:
        print(f"{found.index}\t{dataset.labels[found.index]}\t{found.label}", flush=True)
    return 0


def _predict_files(options: argparse.Namespace) -> int:
    """Image files: what they show, by name where classes have names, and the share of the votes."""
    names, count = _classes(options)
    # Their shape is known before the model, and the number of classes may be the model's to say.
    dataset = datasets.Dataset.from_files(options.what, count or 2, **_reading(options))
    predictions = _predictions(options, dataset, range(len(dataset)), count is None)
    print("file\tpredict\tshare")
    for file, found in zip(dataset.files or (), predictions, strict=True):
        if found.label == decisions.ABSTAIN:
            shown = "ABSTAIN"
        else:
            shown = names[found.label] if names else str(found.label)
        print(f"{_in_a_cell(file)}\t{_in_a_cell(shown)}\t{found.share:.3f}", flush=True)
    return 0


def _predictions(
    options: argparse.Namespace,
    dataset: Dataset,
    indices: Sequence[int],
    count_classes: bool = False,
) -> Iterator[Prediction]:
    """What the smoothed classifier that the options name answers about examples."""
    _say_loading()
    from rslib import runs

    model = _model(options, dataset.shape, None if count_classes else dataset.num_classes)
    if count_classes:
        count = runs.classes_of(model.network, dataset.shape)
        dataset = replace(dataset, num_classes=count)
    smoothed = _smoothed(options, dataset, model)
    if options.seed is None:
        _say(f"Seed {smoothed.seed}, drawn fresh: --seed with it gives these answers again.")
    return runs.predict(smoothed, dataset, options.n, options.alpha, indices)


def _classes(options: argparse.Namespace) -> tuple[tuple[str, ...] | None, int | None]:
    """What classes are called and how many there are, as far as options say it.

    From a certificate file images and normalisation are taken over, too, where no option says them.
    """
    if options.indices is not None or options.sample is not None:
        raise UsageError("--indices and --sample are for data sets: name the image files alone")
    if options.root is not None and options.like is not None:
        raise UsageError("--root and --like both say what classes are called: give one of them")
    names, count = None, options.num_classes
    if options.root is not None:
        names = datasets.class_names(options.root, options.split)
        count = len(names) if count is None else count
    if options.like is not None:
        like = records.Manifest.read(records.manifest_path(options.like))
        names, count = like.dataset.class_names, like.dataset.num_classes
        _take_over(options, like)
    if names is not None and len(names) != count:
        raise UsageError(
            f"--num-classes must be {len(names)}, the folders in {options.root}, got {count}"
        )
    return names, count


def _take_over(options: argparse.Namespace, like: records.Manifest) -> None:
    """Options that are not given, as a certificate file was made with."""
    given = {
        "channels": like.dataset.channels or like.dataset.shape[0],
        "resize": like.dataset.resize,
        "crop": like.dataset.crop,
        "weights_entry": like.model.entry,
        "mean": like.model.mean,
        "std": like.model.std,
        "input_range": like.model.input_range,
        "output": like.model.output,
    }
    for name, value in given.items():
        if getattr(options, name) is None:
            setattr(options, name, value)


def _certify(options: argparse.Namespace) -> int:
    with _team(options) as team:
        return _certify_share(options, team)


def _certify_share(options: argparse.Namespace, team: Team) -> int:
    """Certify this process's share of the examples; all of them where it is alone."""
    method = decisions.method_from_options(vars(options))
    out = Path(options.out or _default_out(options))
    _say_loading()
    from rslib import runs

    dataset = _dataset(options, "test")
    indices = _indices(options, dataset)
    earlier = runs.begun(out) if team.rank == 0 else None
    model = _model(options, dataset.shape, dataset.num_classes, team)
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


def _default_out(options: argparse.Namespace) -> Path:
    """A place by data set, model and noise level."""
    if options.model is not None:
        where, _, named = options.model.rpartition(":")
        name = Path(where).stem if where.endswith(".py") else Path(named).stem
    elif options.weights is not None:
        name = Path(options.weights).parent.name
    else:
        raise UsageError("--weights must be given, or --model")
    return _CERTIFICATES / options.dataset / name / f"sigma_{options.sigma}.tsv"


def _analyze(options: argparse.Namespace) -> int:
    files = evaluation.find_files(options.files)
    print(evaluation.table(files, options.radii, options.format, options.band, options.labels))
    return 0


def _plot(options: argparse.Namespace) -> int:
    from rslib import plotting

    files = evaluation.find_files(options.files)
    plotting.write_curve(files, options.out, options.labels, confidence=options.band or None)
    print(f"{options.out}: {len(files)} {'curve' if len(files) == 1 else 'curves'}")
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
    for name in ("model", "weights"):
        if getattr(options, name) is not None and options.replay is None:
            raise UsageError(f"--{name} is for --replay: nothing else here runs the network")
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
    _say_loading()
    from rslib import runs

    _announce(f"Drawing rows of {path} again.")
    found = runs.replay(
        path,
        options.replay,
        options.root,
        options.seed,
        model=options.model,
        weights=options.weights,
    )
    for problem in found.problems:
        print(problem)
    if found.indices:
        print(found)
    return found.ok


# -------------------------------------------------------------------------------------- helpers


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _in_a_cell(text: str) -> str:
    """A name without what would end the cell or the line of a table: escapes stand for it."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", lambda found: repr(found[0])[1:-1], text)


def _announce(text: str) -> None:
    """Say what begins: once, where several processes share a command."""
    if os.environ.get("RANK", "0") == "0":
        progress.announce(text)


@contextmanager
def _warnings_said() -> Iterator[None]:
    """Warnings to users as lines of text: once each, and by one of the processes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    if os.environ.get("RANK", "0") == "0":
        for text in dict.fromkeys(str(one.message) for one in caught):
            _say(f"{text}.")


def _say_loading() -> None:
    if "torch" not in sys.modules:
        _announce("Loading torch.")


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
    split = getattr(options, "split", None) or split
    _announce(f"Reading {options.dataset}, {split}.")
    with _warnings_said():
        return datasets.load(options.dataset, split, options.root, **_reading(options))


def _reading(options: argparse.Namespace) -> dict[str, Any]:
    """How files become images, as far as options say it."""
    found = {name: getattr(options, name) for name in ("channels", "resize", "crop")}
    return {name: value for name, value in found.items() if value is not None}


def _model(
    options: argparse.Namespace,
    shape: tuple[int, ...],
    num_classes: int | None,
    team: Team | None = None,
) -> OpenedModel:
    """The base classifier that the options name."""
    from rslib import runs

    as_sigma(options.sigma, least_positive=True)
    _announce(f"Opening {options.model or options.weights}.")
    model = runs.open_model(
        options.weights,
        shape,
        num_classes,
        model=options.model,
        entry=options.weights_entry,
        mean=options.mean,
        std=options.std,
        input_range=options.input_range,
        output=options.output,
    )
    for note in model.notes if team is None or team.rank == 0 else ():
        _say(f"{model.name}: {note}.")
    return model


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


def _indices(options: argparse.Namespace, dataset: Dataset) -> list[int]:
    """``START:STOP:STRIDE`` as in Python, or a balanced sample; all where nothing is said."""
    text, size = options.indices, len(dataset)
    if options.sample is not None:
        if options.sample > size:
            raise UsageError(f"--sample must be at most all {size} examples, got {options.sample}")
        return dataset.sample(options.sample, options.sample_seed)
    try:
        parts = [int(part) if part else None for part in (text or "::").split(":")]
        if not 2 <= len(parts) <= 3:
            raise ValueError
        chosen = list(range(size))[slice(*parts)]
    except ValueError:
        raise UsageError(f"--indices must be START:STOP:STRIDE, got {text!r}") from None
    if not chosen:
        raise UsageError(f"--indices {text} picks none of the {size} examples")
    return chosen


def _parser() -> argparse.ArgumentParser:
    return _options.parser(
        {
            "train": _train,
            "quantize": _quantize,
            "predict": _predict,
            "certify": _certify,
            "analyze": _analyze,
            "plot": _plot,
            "compare": _compare,
            "audit": _audit,
            "verify": _verify,
        }
    )


if __name__ == "__main__":
    sys.exit(main())
