"""CIFAR-10 at the paper's protocol on CPU cores: train, round to eight bits, certify 500 images.

    evening.py --root DIR                      sigma 0.5, then 0.25, 1.0 and 0.12, on two cores
    evening.py --root DIR --sigma 0.5 --show   only show the commands
    evening.py --root DIR --sigma 0.5 --consistency 10     the better training
    evening.py --root DIR --sigma 0.5 --fixed        every fifth image by the paper's protocol
    evening.py --root DIR --sigma 0                  only train, from random weights: undefended

Every step is a command of `rslib` that can be given by hand, and goes on where it was stopped; what
is done is not done again. One network is trained from random weights at sigma 0.5, `first`, and
goes on there, ending as the mean of its weights on the way: `second`. The network of every sigma
goes on from that in the same way, twice as long, which makes them cheaper together. Images are
those of torchvision's CIFAR-10 under DIR, or with `--data cifar10-jpeg` of DIR/cifar10_jpeg.npz.
"""

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

# Those of the table of Cohen et al. (2019), the points half way between them, and 0.
RADII = tuple(f"{eighth / 8:g}" for eighth in range(13))
LARGEST = 3.81  # times sigma: no radius beyond can be certified with 100,000 samples
GIVE_UP = "0.01"  # a radius with less chance than that to be shown
SEEDS = {"train": 1, "quantize": 2}
SHARED = "0.5"  # sigma of the weights that all begin with
EPOCHS = {"second": "8", "own": "16"}  # of going on: together, and for one sigma
RATE = "0.05"  # there: a quarter of the recipe's, constant


def commands(sigma: str, options: argparse.Namespace) -> list[tuple[Path, list[str]]]:
    """The file that each step makes, and the arguments of `rslib` that make it."""
    data = [options.data, "--root", str(options.root), "--sigma", sigma]
    name = options.model + ("-consistency" if options.consistency else "")
    models = options.out / "models" / options.data
    trained = models / name / f"sigma_{sigma}.safetensors"
    first, second = (models / options.model / f"{n}.safetensors" for n in ("first", "second"))
    rounded = trained.with_suffix(".int8.onnx")
    folder = name + ("-fixed" if options.fixed else "")
    certified = options.out / "certify" / options.data / folder / f"sigma_{sigma}.tsv"
    radii = [radius for radius in RADII if float(radius) < LARGEST * float(sigma)]

    def train(sigma: str, out: Path, *more: str) -> tuple[Path, list[str]]:
        images = [options.data, "--root", str(options.root), "--sigma", sigma]
        words = ["train", *images, "--model", options.model, "--recipe", options.recipe, *more]
        words += ["--seed", str(SEEDS["train"]), "--threads", str(options.cores)]
        words += ["--bfloat16"] if options.bfloat16 else []
        words += ["--store", "float16", "--log", str(out.with_suffix(".jsonl"))]
        words += ["--checkpoint", str(out.with_suffix(".checkpoint")), "--out", str(out)]
        return out, words

    def goes_on(
        sigma: str, start: Path, out: Path, epochs: str, *more: str
    ) -> tuple[Path, list[str]]:
        words = ["--epochs", epochs, "--learning-rate", RATE, *more]
        return train(sigma, out, "--start", str(start), "--average", *words)

    if float(sigma) == 0:  # its robustness is to owe nothing to noise
        return [train(sigma, trained, *(["--epochs", options.epochs] if options.epochs else []))]
    more = ["--consistency", options.consistency] if options.consistency else []
    steps = [train(SHARED, first), goes_on(SHARED, first, second, EPOCHS["second"])]
    steps += [goes_on(sigma, second, trained, options.epochs or EPOCHS["own"], *more)]
    quantize = ["quantize", str(trained), *data, "--seed", str(SEEDS["quantize"])]
    quantize += ["--out", str(rounded)]
    certify = ["certify", *data, "--weights", str(rounded), "--dtype", "int8"]
    certify += ["--n0", "100", "--n", "100000", "--alpha", "0.001", "--indices"]
    certify += ["::100"] if options.fixed else ["::20", "--at", *radii, "--give-up", GIVE_UP]
    certify += ["--out", str(certified)]
    return [*steps, (rounded, quantize), (certified, certify)]


def shares(arguments: list[str], cores: int) -> list[str]:
    """The program and its arguments; certifying is shared by one process for each core."""
    if arguments[0] == "certify" and cores > 1:
        several = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(cores)]
        return [sys.executable, *several, "-m", "--", "rslib", *arguments]
    return [sys.executable, "-m", "rslib", *arguments]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True, help="folder of the images")
    parser.add_argument("--data", default="cifar10", help="cifar10 (default) or cifar10-jpeg")
    parser.add_argument("--sigma", nargs="+", default=["0.5", "0.25", "1.0", "0.12"])
    parser.add_argument("--model", default="wide")
    parser.add_argument("--recipe", default="evening")
    parser.add_argument("--consistency", metavar="WEIGHT", help="of the regularisation, e.g. 10")
    parser.add_argument(
        "--epochs", help=f"of one sigma alone (default {EPOCHS['own']}; 12 without noise)"
    )
    parser.add_argument(
        "--bfloat16", action="store_true", help="train faster where the processor has AMX"
    )
    parser.add_argument(
        "--fixed", action="store_true", help="all 100,000 samples, of every fifth of the images"
    )
    parser.add_argument("--out", type=Path, default=Path("data"), help="default data")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--show", action="store_true", help="show the commands and run none")
    options = parser.parse_args(arguments)
    if options.consistency and "0" in options.sigma:
        parser.error("argument --consistency: is for networks that see noise, not for --sigma 0")
    for sigma in options.sigma:
        for made, step in commands(sigma, options):
            # A certificate file is there from its first row on: its command knows what is left.
            if made.exists() and step[0] != "certify" and not options.show:
                print(f"# {made} is there", flush=True)
                continue
            print(shlex.join(["rslib", *step]), flush=True)
            if options.show:
                continue
            code = subprocess.run(shares(step, options.cores), check=False).returncode
            if code:
                return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
