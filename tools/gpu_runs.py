"""The runs that need a GPU, one command each; `--tiny` tries any of them on a CPU in seconds.

    gpu_runs.py probe --out DIR                      seconds an epoch, by compilation and batch size
    gpu_runs.py train-certify --sigma 0.5 --out DIR  train, then certify 500 test images
    gpu_runs.py attack --out DIR                     PGD on the undefended network, each radius
    gpu_runs.py imagenet-time --out DIR              seconds for one 3 x 224 x 224 image
    gpu_runs.py bench --out DIR                      python -m benchmarks

DIR has the form of the project's data/: models/, certify/, runs/. A stage stops by itself when
`--budget` seconds are over and leaves what it has, whole; it goes on from a copy of that, named by
`--resume`. It then ends with exit code 3. runs/ holds a manifest of every stage.
"""

import argparse
import json
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from rslib import _files, attacks, backends, datasets, evaluation, models, runs, training
from rslib.plans import fastest_plan
from rslib.records import read_certificates
from rslib.smoothing import SmoothedClassifier

ROOT = Path(__file__).resolve().parent.parent
RADII = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
TIMES_UP = 3


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    options.began = time.monotonic()
    given = sys.argv[1:] if arguments is None else arguments
    options.command_line = shlex.join(["tools/gpu_runs.py", *given])
    options.out.mkdir(parents=True, exist_ok=True)
    if options.resume:
        shutil.copytree(options.resume, options.out, dirs_exist_ok=True)
        for path in options.out.rglob("*"):  # a copy of read-only files is read-only
            path.chmod(0o755 if path.is_dir() else 0o644)
    torch.backends.cudnn.benchmark = True
    if options.device.startswith("cuda") and not options.tiny:
        from torch._dynamo import config

        # Five kinds of blocks, with and without gradients: the default of 8 is close.
        config.recompile_limit = 64
    with tempfile.TemporaryDirectory() as made:
        if options.tiny:
            _make_tiny(options, Path(made))
        name, results, code = STAGES[options.stage](options)
    results["exit_code"] = code
    path = options.out / "runs" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    earlier = json.loads(path.read_text())["sessions"] if path.exists() else []
    path.write_text(json.dumps({"sessions": [*earlier, _manifest(options) | results]}, indent=1))
    print(json.dumps(results, indent=1))
    return code


def train_certify(options: argparse.Namespace) -> tuple[str, dict, int]:
    """Two runs, each of which can stop in time and go on."""
    weights = _weights(options)
    results = {"images": _images_sha256(options)}
    code = _train(options, weights)
    if code == 0 and not options.train_only:
        results["trained after, s"] = round(time.monotonic() - options.began, 1)
        code = _certify(options, weights, _certificates(options))
    return f"{_name(options)}-sigma_{options.sigma}", results, code


def _certify(options: argparse.Namespace, weights: Path, out: Path) -> int:
    if (left := _seconds_left(options)) < 1:
        return TIMES_UP
    dataset = datasets.load(options.data, "test", options.root)
    model = runs.open_model(weights, dataset.shape, dataset.num_classes)
    plan = runs.choose_plan(
        model,
        dataset,
        rows=64 if options.tiny else None,
        dtype=options.dtype,
        device=options.device,
        earlier=runs.begun(out),
    )
    outcome = runs.certify(
        runs.smooth(model, dataset, options.sigma, seed=options.seed, plan=plan),
        dataset,
        out,
        model=model,
        n0=100,
        n=300 if options.tiny else 100_000,
        alpha="0.001",
        sigma=options.sigma,
        indices=range(0, len(dataset), 5 if options.tiny else max(1, len(dataset) // 500)),
        command=options.command_line,
        budget=left,
    )
    print(evaluation.table([read_certificates(out)], evaluation.DEFAULT_RADII))
    return TIMES_UP if outcome.left else 0


def attack(options: argparse.Namespace) -> tuple[str, dict, int]:
    """An upper bound on the robust accuracy of the undefended network, radius by radius."""
    options.sigma, options.consistency, options.dtype = "0", 0.0, "float32"
    weights = options.weights or _weights(options)
    name = f"{_name(options)}-attack"
    code = 0 if options.weights else _train(options, weights)
    if code:
        return name, {}, code
    dataset = datasets.load(options.data, "test", options.root)
    chosen = np.arange(len(dataset))[:: 1 if options.tiny else max(1, len(dataset) // 500)]
    opened = runs.open_model(weights, dataset.shape, dataset.num_classes)
    if opened.name != options.model or not isinstance(opened.network, torch.nn.Module):
        what = opened.name + (
            "" if isinstance(opened.network, torch.nn.Module) else " in eight bits"
        )
        raise ValueError(f"weights must be of --model {options.model} in floats, got {what}")
    network = opened.network.to(options.device).eval()
    x = torch.from_numpy(dataset.images[chosen]).to(options.device)
    y = torch.from_numpy(dataset.labels[chosen]).to(options.device)
    steps, restarts = (20, 1) if options.tiny else (options.steps, options.restarts)
    with torch.no_grad():
        standing = network(x).argmax(1) == y
    rows = []
    for radius in RADII[: 3 if options.tiny else None]:
        # An adversarial example within a smaller radius is one within this radius, too.
        left = standing.nonzero().flatten()
        if len(left):
            found = attacks.pgd_l2(
                network, x[left], y[left], radius, steps=steps, restarts=restarts, seed=options.seed
            )
            with torch.no_grad():
                standing[left] = network(found).argmax(1) == y[left]
        print(f"radius {radius}: {int(standing.sum())} of {len(chosen)} stand", flush=True)
        rows.append({"radius": radius, "robust_accuracy_at_most": float(standing.float().mean()),
                     "standing": chosen[standing.cpu().numpy()].tolist()})  # fmt: skip
    results = {"model_sha256": opened.sha256, "trained_at": opened.manifest.get("sigma"),
               "images": _images_sha256(options), "examples": chosen.tolist(), "steps": steps,
               "restarts": restarts, "step_length": "2.5 radius / steps", "rows": rows}  # fmt: skip
    return name, results, 0


def imagenet_time(options: argparse.Namespace) -> tuple[str, dict, int]:
    """Weights and pixels change no time, so an untrained ResNet-50 and a made image will do."""
    shape, n = ((3, 32, 32), 64) if options.tiny else ((3, 224, 224), 100_000)
    torch.manual_seed(options.seed)
    network = models.build("resnet50", shape, 1000).eval()
    x = torch.randint(0, 256, shape) / 255
    rows = {}
    for dtype in ("float32",) if options.tiny else ("bfloat16", "float16"):
        plan = fastest_plan(network, 1000, shape, options.device, dtype, repeats=1)
        smoothed = SmoothedClassifier(network, 1000, "0.5", "1/255", seed=0, plan=plan)
        smoothed.certify(x, 10, max(32, n // 50), 0.001)  # warms up; is not counted
        taken = []
        for index in range(3):
            began = time.perf_counter()
            smoothed.certify(x, 100, n, 0.001, index=index)
            taken.append(time.perf_counter() - began)
            if time.monotonic() - options.began + 2 * max(taken) > options.budget:
                break
        rows[dtype] = {"seconds_an_image": statistics.median(taken), "all": taken,
                       "plan": smoothed.engine(shape).plan.to_dict()}  # fmt: skip
    return "imagenet-time", {"shape": shape, "n0": 100, "n": n, "rows": rows}, 0


def bench(options: argparse.Namespace) -> tuple[str, dict, int]:
    out = options.out / "bench" / f"{options.device}.json"
    command = [sys.executable, "-m", "benchmarks", "--device", options.device, "--out", str(out)]
    command += ["--quick"] if options.tiny else []
    done = subprocess.run(command, check=False, cwd=ROOT, timeout=options.budget)
    return "bench", {"file": str(out.relative_to(options.out))}, done.returncode


def probe(options: argparse.Namespace) -> tuple[str, dict, int]:
    """Where the time of an epoch goes: choose --compiled, --batch-size and --epochs by it."""
    dataset = datasets.load(options.data, "train", options.root)
    rows = []
    cases = [(kind, size) for size in (512, 1024) for kind in ("no", "blocks", "whole")]
    for compiled, size in [("no", 8)] if options.tiny else cases:
        if time.monotonic() - options.began > options.budget / 2:
            break
        torch.manual_seed(options.seed)
        network = models.build(options.model, dataset.shape, dataset.num_classes)
        recipe = training.RECIPES["sgd"] | {"epochs": 3, "batch_size": size}
        torch.compiler.reset()  # or the shapes of the last case count towards the limit
        try:
            log = training.train(network.to(options.device), dataset, 0.5, compiled=compiled,
                                 bfloat16=True, **recipe)  # fmt: skip
        except Exception as error:  # what does not compile is a result, too
            rows.append({"compiled": compiled, "batch_size": size, "error": str(error)[:500]})
            continue
        rows.append({"compiled": compiled, "batch_size": size,
                     "first_epoch_s": log[0]["seconds"], "epoch_s": log[-1]["seconds"],
                     "noisy_accuracy": log[-1]["noisy_accuracy"]})  # fmt: skip
        print(rows[-1], flush=True)
    return "probe", {"model": options.model, "rows": rows}, 0


STAGES = {"probe": probe, "train-certify": train_certify, "attack": attack,
          "imagenet-time": imagenet_time, "bench": bench}  # fmt: skip


def _train(options: argparse.Namespace, weights: Path) -> int:
    if weights.exists():
        return 0
    if (left := _seconds_left(options)) < 1:
        return TIMES_UP
    changes = ("epochs", "batch_size", "learning_rate", "weight_decay", "consistency", "compiled")
    trained = runs.train(
        datasets.load(options.data, "train", options.root),
        weights,
        options.sigma,
        model=options.model,
        recipe="sgd",
        changes={name: getattr(options, name) for name in changes} | {"bfloat16": True},
        seed=options.seed,
        store=options.dtype,
        device=options.device,
        checkpoint=weights.with_suffix(".checkpoint"),
        log_file=weights.with_suffix(".jsonl"),
        budget=left,
        command=options.command_line,
    )
    return 0 if trained.complete else TIMES_UP


def _seconds_left(options: argparse.Namespace) -> int:
    return int(options.budget - (time.monotonic() - options.began))


def _name(options: argparse.Namespace) -> str:
    return f"{options.data}-{options.model}" + ("-consistency" if options.consistency else "")


def _weights(options: argparse.Namespace) -> Path:
    return options.out / "models" / _name(options) / f"sigma_{options.sigma}.safetensors"


def _certificates(options: argparse.Namespace) -> Path:
    return options.out / "certify" / _name(options) / f"sigma_{options.sigma}.tsv"


def _images_sha256(options: argparse.Namespace) -> str:
    """Of the test pixels as decoded here: another JPEG decoder may give others."""
    dataset = datasets.load(options.data, "test", options.root)
    return training._fingerprint(dataset.images, dataset.labels)


def _manifest(options: argparse.Namespace) -> dict:
    asked = {"capture_output": True, "text": True, "check": False, "cwd": ROOT}
    commit = options.commit
    if commit is None and shutil.which("git"):
        commit = subprocess.run(["git", "rev-parse", "HEAD"], **asked).stdout.strip() or None
        if subprocess.run(["git", "status", "--porcelain", "-uno"], **asked).stdout:
            commit = f"{commit} with changes"
    made = _files.provenance(options.command_line, options.device, backends.PACKAGES)
    made["versions"]["cuda"] = torch.version.cuda if options.device.startswith("cuda") else None
    return {
        "format": "rslib-gpu-run/1",
        "stage": options.stage,
        "commit": commit,
        **made,
        "seed": options.seed,
        "wall_time_s": round(time.monotonic() - options.began, 1),
    }


def _make_tiny(options: argparse.Namespace, folder: Path) -> None:
    """Made JPEG images in the form of the real ones, a small network, one epoch."""
    import io

    from PIL import Image

    rng, arrays = np.random.default_rng(0), {}
    for split, count in (("train", 32), ("test", 10)):
        files = []
        for _ in range(count):
            file = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(file, "JPEG")
            files.append(file.getvalue())
        arrays[f"{split}_jpeg"] = np.frombuffer(b"".join(files), np.uint8)
        arrays[f"{split}_offset"] = np.cumsum([0, *map(len, files)])
        arrays[f"{split}_label"] = np.arange(count, dtype=np.uint8) % 10
    np.savez(folder / "cifar10_jpeg.npz", **arrays)
    options.data, options.root, options.device, options.model = "cifar10-jpeg", folder, "cpu", "cnn"
    options.epochs, options.batch_size, options.compiled = 2, 8, "no"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--out", type=Path, required=True, help="where the results go")
    parser.add_argument("--resume", type=Path, help="results of an earlier run, copied first")
    parser.add_argument("--budget", type=float, default=560, help="seconds (default %(default)s)")
    parser.add_argument("--sigma", default="0.5")
    parser.add_argument("--data", default="cifar10-jpeg", choices=("cifar10", "cifar10-jpeg"))
    parser.add_argument("--root", type=Path, default=".gpu", help="of the data (default .gpu)")
    parser.add_argument("--model", default="resnet110")
    parser.add_argument("--epochs", type=int, default=90)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--learning-rate", type=float, default=0.2)
    parser.add_argument("--weight-decay", type=float, default=5e-4)
    parser.add_argument("--compiled", default="blocks", choices=("no", "blocks", "whole"))
    parser.add_argument("--consistency", type=float, default=0.0)
    parser.add_argument("--dtype", default="bfloat16", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--train-only", action="store_true", help="certify nothing")
    parser.add_argument("--weights", type=Path, help="attack these and train none")
    parser.add_argument("--steps", type=int, default=50, help="of the attack")
    parser.add_argument("--restarts", type=int, default=5, help="of the attack")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commit", help="where there is no git to ask")
    parser.add_argument("--tiny", action="store_true", help="made data, on the CPU, in seconds")
    return parser


if __name__ == "__main__":
    sys.exit(main())
