"""What the commands of the command line take: their arguments, and what these are read as."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from rslib import __version__, audit, backends, confidence, datasets, decisions, evaluation

__all__ = ["HYPERPARAMETERS", "UsageError", "as_sigma", "parser"]


class UsageError(ValueError):
    """An argument that argparse could not judge by itself."""


# --------------------------------------------------------------------------------------- values


def as_sigma(text: str, least_positive: bool = False) -> Fraction:
    """The number that --sigma names, exact."""
    if not re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,20})?", text):
        raise UsageError(f"--sigma must be a decimal number, got {text!r}")
    value = Fraction(text)
    if value < 0 or (least_positive and value == 0):
        raise UsageError(f"--sigma must be {'positive' if least_positive else '>= 0'}, got {text}")
    return value


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


def _sample_seed(text: str) -> int:
    return _whole(text, 0, 2**32 - 1)


def _classes(text: str) -> int:
    return _whole(text, 2, 10**9)


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


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be finite numbers, got {text!r}")
    return value


def _part(text: str) -> str | int:
    """The name of a part of an output, or its place in a tuple."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else text


# --------------------------------------------------------------------------- groups of options


# What a run of `train` may change in its recipe; None: as the recipe has it.
HYPERPARAMETERS: dict[str, dict[str, Any]] = {
    "epochs": {"type": _positive, "help": "default: the recipe's"},
    "batch_size": {"type": _positive, "help": "default: the recipe's"},
    "learning_rate": {"type": float, "help": "default: the recipe's"},
    "weight_decay": {"type": float, "help": "default: the recipe's"},
    "consistency": {"type": float, "default": 0.0, "help": "weight of consistency regularisation"},
    "average": {"action": "store_true", "help": "constant rate, mean of the weights"},
    "bfloat16": {"action": "store_true", "help": "mixed precision"},
    "compiled": {"choices": ("no", "blocks", "whole"), "default": "no"},
}


def _add_dataset(added: argparse.ArgumentParser, *names: str, **named: Any) -> None:
    added.add_argument(*names or ["dataset"], **named or {"help": "digits, cifar10, folder, ..."})
    added.add_argument("--root", help="folder of the data set (digits need none)")
    added.add_argument("--sigma", required=True, help="standard deviation of the noise")
    images = added.add_argument_group("images", "how files become images; default: as they are")
    images.add_argument("--channels", type=int, choices=(1, 3), help="1 keeps grey images grey")
    images.add_argument("--resize", type=_positive, metavar="PIXELS", help="of the shorter side")
    images.add_argument(
        "--crop", type=_positive, metavar="PIXELS", help="side of the middle square"
    )


def _add_data(added: argparse.ArgumentParser, *names: str, **named: Any) -> None:
    _add_dataset(added, *names, **named)
    added.add_argument("--threads", type=_positive, default=1, help="CPU threads (default 1)")
    added.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ... (default cpu)")


def _add_budget(added: argparse.ArgumentParser) -> None:
    added.add_argument(
        "--budget",
        type=_positive,
        metavar="SECONDS",
        help="stop in time; the same command goes on later",
    )


def _add_model(added: argparse.ArgumentParser) -> None:
    """A model of one's own; without --model, weights that `train` wrote."""
    model = added.add_argument_group("model", "the base classifier; named code is executed")
    model.add_argument(
        "--model",
        metavar="SPEC",
        help="FILE.py:NAME, PACKAGE.MODULE:NAME, FILE.onnx, FILE.pt2, a TorchScript file, or "
        "one of the course's; default: the one that --weights was trained as",
    )
    model.add_argument(
        "--weights",
        metavar="FILE",
        help="what `train` or `quantize` wrote; with --model any checkpoint",
    )
    model.add_argument("--weights-entry", metavar="KEY", help="which part of the checkpoint")
    model.add_argument("--mean", type=_number, nargs="+", help="subtracted: one, or one a channel")
    model.add_argument("--std", type=_number, nargs="+", help="divided by: one, or one a channel")
    model.add_argument(
        "--input-range",
        type=_number,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="what pixels 0 and 1 become before that (default 0 1)",
    )
    model.add_argument(
        "--output", type=_part, metavar="PART", help="name or place of the scores in the output"
    )


def _add_sampling(added: argparse.ArgumentParser, n: int) -> None:
    _add_model(added)
    added.add_argument(
        "--seed", type=_seed, help="fixes every draw (default: the file's, else drawn fresh)"
    )
    added.add_argument("--split", choices=datasets.SPLITS, help="(default test)")
    which = added.add_mutually_exclusive_group()
    which.add_argument("--indices", metavar="START:STOP:STRIDE", help="default: all examples")
    which.add_argument(
        "--sample", type=_positive, metavar="N", help="N examples, as many of each class as can be"
    )
    added.add_argument(
        "--sample-seed", type=_sample_seed, default=0, metavar="S", help="of --sample (default 0)"
    )
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
    plan.add_argument(
        "--backend",
        choices=backends.CHOICES,
        help="quantized and openvino are for networks of eight bits, the others for all others",
    )
    plan.add_argument(
        "--dtype",
        choices=backends.DTYPES,
        help="default float32; another number type is another base classifier",
    )


def _add_methods(added: argparse.ArgumentParser) -> None:
    """An option for each method that has one; of those that may stop a run one at most."""
    stops = added.add_mutually_exclusive_group()
    offered = [(m.option, stops if m.sequential else added) for m in decisions.METHODS.values()]
    settings = [(one, added) for m in decisions.METHODS.values() for one in m.settings]
    for option, group in [*offered, *settings]:
        if option is None:
            continue
        if option.takes_decimals:
            group.add_argument(
                option.flag,
                type=_radius,
                metavar=option.metavar,
                nargs=option.nargs,
                help=option.help,
            )
        else:
            group.add_argument(option.flag, action="store_true", help=option.help)


def _add_format(added: argparse.ArgumentParser) -> None:
    added.add_argument("--format", choices=evaluation.FORMATS, default="table", help="of output")


# ------------------------------------------------------------------------------------- commands


def _train(added: argparse.ArgumentParser) -> None:
    _add_data(added)
    added.add_argument("--seed", type=_seed, default=0, help="fixes every draw (default 0)")
    added.add_argument("--model", default="cnn", help="mlp, cnn, resnet20, ... (default cnn)")
    added.add_argument(
        "--start",
        metavar="WEIGHTS",
        help="a .safetensors of this model that `train` wrote, to begin with",
    )
    added.add_argument(
        "--recipe",
        choices=("digits", "sgd", "evening"),
        default="digits",
        help="digits: AdamW (default); sgd: for residual networks on 32 x 32 images; "
        "evening: for the wide network on CPU cores",
    )
    for name, how in HYPERPARAMETERS.items():
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


def _quantize(added: argparse.ArgumentParser) -> None:
    added.add_argument("weights", help="a .safetensors that `train` wrote")
    _add_dataset(added)
    added.add_argument(
        "--images", type=_positive, default=500, help="to calibrate on (default 500)"
    )
    added.add_argument("--seed", type=_seed, default=0, help="which images and noise (default 0)")
    added.add_argument("--out", help="default WEIGHTS with .int8.onnx in place of .safetensors")
    added.add_argument("--overwrite", action="store_true", help="replace an existing file")


def _predict(added: argparse.ArgumentParser) -> None:
    _add_data(
        added,
        "what",
        nargs="+",
        metavar="IMAGES_OR_DATASET",
        help="image files, or digits, cifar10, folder, ...",
    )
    _add_sampling(added, 1000)
    files = added.add_argument_group("files", "for image files: what classes are called")
    names = files.add_mutually_exclusive_group()
    names.add_argument(
        "--like",
        metavar="FILE.tsv",
        help="as in this certificate file; its images and normalisation too, where not given",
    )
    names.add_argument("--num-classes", type=_classes, metavar="K", help="how many there are")


def _certify(added: argparse.ArgumentParser) -> None:
    _add_data(added)
    _add_sampling(added, 100_000)
    added.add_argument("--n0", type=_positive, default=100, help="copies that pick the class")
    _add_budget(added)
    _add_methods(added)
    added.add_argument("--out", help="default data/certify/DATASET/MODEL/sigma_SIGMA.tsv")
    added.add_argument("--quiet", action="store_true", help="print no table at the end")


def _analyze(added: argparse.ArgumentParser) -> None:
    added.add_argument("files", nargs="+", metavar="FILE_OR_FOLDER")
    added.add_argument("--labels", nargs="+", metavar="NAME", help="one a file")
    added.add_argument("--radii", nargs="+", default=evaluation.DEFAULT_RADII, metavar="R")
    _add_format(added)
    added.add_argument(
        "--band",
        type=float,
        metavar="CONFIDENCE",
        help="also the half width of the simultaneous band for the population, say 0.95",
    )


def _plot(added: argparse.ArgumentParser) -> None:
    added.add_argument("files", nargs="+", metavar="FILE_OR_FOLDER")
    added.add_argument("--out", required=True, help="FILE.png, FILE.svg or FILE.pdf")
    added.add_argument("--labels", nargs="+", metavar="NAME", help="one a file")
    added.add_argument(
        "--band",
        type=float,
        metavar="CONFIDENCE",
        default=0.95,
        help="of the shaded bands (default 0.95); 0 draws none",
    )


def _compare(added: argparse.ArgumentParser) -> None:
    added.add_argument("a", metavar="A", help="a certificate file or a log")
    added.add_argument("b", metavar="B", help="another, of the same images")
    added.add_argument("--radii", nargs="+", metavar="R", help="default: those both have decided")
    _add_format(added)
    added.add_argument(
        "--confidence", type=float, default=0.95, help="of all intervals together (default 0.95)"
    )
    added.add_argument(
        "--difference", type=float, default=0.02, help="whose power is given (default 0.02)"
    )
    added.add_argument("--common", action="store_true", help="leave out images that one lacks")


def _audit(added: argparse.ArgumentParser) -> None:
    added.add_argument("paths", nargs="+", metavar="FILE_OR_FOLDER")
    added.add_argument("--sigma", help="of the noise; default: what the file or its path says")
    added.add_argument("--n", type=_positive, help="samples that the log is said to rest on")
    added.add_argument("--alpha", help="failure probability that the log is said to have")
    added.add_argument("--against", metavar="OTHER", help="a log of the same images")
    added.add_argument("--format", choices=audit.FORMATS, default="table", help="of output")


def _verify(added: argparse.ArgumentParser) -> None:
    added.add_argument("paths", nargs="+", metavar="FILE_OR_FOLDER")
    added.add_argument("--replay", type=_positive, metavar="K", help="also redraw K rows a file")
    added.add_argument("--root", help="folder of the data set, for --replay")
    added.add_argument(
        "--model", metavar="SPEC", help="as for certify, for --replay: only here is it executed"
    )
    added.add_argument(
        "--weights", metavar="FILE", help="for --replay; default: where the manifest says"
    )
    added.add_argument("--seed", type=_seed, help="that --replay is to find in the files")


# Name of a command -> its options, and what it does in a sentence.
_COMMANDS: dict[str, tuple[Callable[[argparse.ArgumentParser], None], str]] = {
    "train": (_train, "Train a base classifier under Gaussian noise."),
    "quantize": (_quantize, "Round a network to eight bits, into its own file."),
    "predict": (_predict, "Predict with the smoothed classifier, or abstain."),
    "certify": (_certify, "Certify examples; goes on where it was stopped."),
    "analyze": (_analyze, "Certified accuracy of certificate files, as a table."),
    "plot": (_plot, "Certified accuracy of certificate files and logs, as a figure."),
    "compare": (_compare, "Two files of the same images, in pairs."),
    "audit": (_audit, "What logs, also other people's, say and contradict."),
    "verify": (_verify, "Recompute every radius from its counts; exit 1 if wrong."),
}


def parser(runs: Mapping[str, Callable]) -> argparse.ArgumentParser:
    """The parser of the command line.

    Parameters
    ----------
    runs : mapping
        Name of a command -> what runs it; it becomes the attribute ``run`` of what is parsed.
    """
    made = argparse.ArgumentParser(
        prog="rslib",
        description="Certified robustness by randomized smoothing.",
        epilog="Exit codes: 0 well; 1 a certificate or an audit failed; 2 bad arguments or files; "
        "3 --budget was up; 130 interrupted.",
    )
    made.add_argument("--version", action="version", version=f"rslib {__version__}")
    commands = made.add_subparsers(dest="name", required=True, metavar="COMMAND")
    for name, (add_options, words) in _COMMANDS.items():
        added = commands.add_parser(name, help=words, description=words)
        add_options(added)
        added.set_defaults(run=runs[name])
    return made
