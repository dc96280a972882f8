"""A reader's own model on the command line: what is certified is that model on those images.

The counts of each kind are compared with a plain loop over the same noise, and whatever shapes the
image or the function stands in the manifest: a run is not gone on with, nor drawn again, on others.
"""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import own_kinds
import pytest
import torch
from PIL import Image
from test_own_models import VIT, answers, balanced
from torch import nn

from rslib import _files, cli, datasets, models, progress, records, runs
from rslib.noise import Purpose
from rslib.smoothing import SmoothedClassifier

CLASSES = 3


@pytest.fixture(autouse=True)
def nobody_looks_on(monkeypatch):
    """Some package may have loaded a part of IPython: then progress would be shown."""
    monkeypatch.setenv("CI", "1")


def draw(path, size, channels, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels if channels == 3 else pixels[..., 0]).save(path)


def folder(root, size=(32, 32), channels=3, each=1, split="val"):
    """A folder of PNGs made on the spot: three classes."""
    for label, name in enumerate(("ant", "bee", "cow")):
        for i in range(each):
            draw(root / split / name / f"{i}.png", size, channels, 10 * label + i)
    return root


def run(command, *words):
    return cli.main([command, *map(str, words)])


def certify(root, out, *more, n=96, n0=16):
    return run("certify", "folder", "--root", root, "--split", "val", "--sigma", "0.25",
               "--n", n, "--n0", n0, "--rows", "48", "--seed", "3", "--quiet", "--out", out,
               *more)  # fmt: skip


def noisy(manifest, x, n, purpose, idx):
    """The copies that a run must have asked its model about."""
    law = SmoothedClassifier(len, CLASSES, manifest.sigma, manifest.noise.step, seed=manifest.seed)
    copies = torch.empty(n, *x.shape)
    law.noise.stream(law.noise.prepare(x), law.seed, purpose, idx).fill(copies)
    return copies


def check(out, images, plain):
    """Each row's counts are those of a plain loop over the same noise, and are no walkover."""
    file, seen = records.read_certificates(out), set()
    assert len(file.rows) == len(images)
    for row in file.rows:
        for name, purpose in (("selection", Purpose.SELECTION), ("estimation", Purpose.ESTIMATION)):
            counts = getattr(row, name)
            copies = noisy(file.manifest, images[row.idx], sum(counts.values()), purpose, row.idx)
            expected = np.bincount(answers(plain(copies)), minlength=CLASSES)
            assert counts == {c: k for c, k in enumerate(expected.tolist()) if k}
            seen |= set(counts)
    assert len(seen) >= 2, "a one-sided vote would not show another function"


# ------------------------------------------------------------------------- each kind of model


@pytest.fixture(scope="module")
def grey(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("grey"), (2, 2), 1)


def greys(root):
    return datasets.load("folder", "val", root, channels=1).images


KINDS = ("weight_norm", "spectral_norm", "keeps", "mixed", "uphill", "logits", "both", "several",
         "labels", "forest", "forest_labels")  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_counts_are_those_of_a_plain_loop(grey, tmp_path, name):
    out = tmp_path / "a.tsv"
    spec = f"own_kinds:{name}"
    assert certify(grey, out, "--channels", 1, "--model", spec) == 0
    check(out, greys(grey), getattr(own_kinds, name)())
    assert run("verify", out, "--replay", 2, "--root", grey, "--model", spec) == 0


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_a_torchscript_file(grey, tmp_path):
    torch.jit.save(torch.jit.script(own_kinds.plain()), tmp_path / "m.pt")
    assert certify(grey, tmp_path / "a.tsv", "--channels", 1, "--model", tmp_path / "m.pt") == 0
    check(tmp_path / "a.tsv", greys(grey), own_kinds.plain())


EXPORT = """
import sys, warnings
warnings.simplefilter("ignore")
import torch
network = torch.load(sys.argv[1], weights_only=False)
free = ({0: torch.export.Dim("rows")},)
program = torch.export.export(network, (torch.zeros(8, 1, 2, 2),), dynamic_shapes=free)
torch.export.save(program, sys.argv[2])
"""


@pytest.mark.slow
def test_an_exported_program(grey, tmp_path):
    torch.save(own_kinds.plain(), tmp_path / "network")
    names = [str(tmp_path / name) for name in ("network", "m.pt2")]
    paths = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    subprocess.run([sys.executable, "-c", EXPORT, *names], check=True, env=os.environ | paths)
    assert certify(grey, tmp_path / "a.tsv", "--channels", 1, "--model", tmp_path / "m.pt2") == 0
    check(tmp_path / "a.tsv", greys(grey), own_kinds.plain())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_onnx_file(grey, tmp_path):
    path, free = tmp_path / "m.onnx", {"input_names": ["x"], "dynamic_axes": {"x": {0: "n"}}}
    torch.onnx.export(own_kinds.plain(), (torch.zeros(2, 1, 2, 2),), path, dynamo=False, **free)
    out = tmp_path / "mine" / "a.tsv"
    assert certify(grey, out, "--channels", 1, "--model", path) == 0
    check(out, greys(grey), own_kinds.plain())
    manifest = records.read_certificates(out).manifest
    assert manifest.model.file == "../m.onnx" and manifest.model.sha256 == _files.sha256(path)
    assert manifest.model.files == {"m.onnx": _files.sha256(path)}
    replay = ("verify", out, "--replay", 3, "--root", grey)
    assert run(*replay, "--model", path) == 0
    assert run(*replay) == 2  # a graph is read where it is named, and nowhere else


def vision(name, tmp_path):
    """A network of torchvision's with its classes balanced, its checkpoint, what it is named."""
    torch.manual_seed(0)
    (tmp_path / "vit.py").write_text(VIT)
    in_a_file = name in ("small", "whole")
    spec = f"{tmp_path / 'vit.py'}:{name}" if in_a_file else f"torchvision.models:{name}"
    network = models.open(spec, (3, 32, 32), CLASSES).base
    if hasattr(network, "heads"):
        nn.init.normal_(network.heads.head.weight)  # zeros until it is trained
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    base = balanced(models.wrap(balanced(network), mean, std))
    # As many training scripts leave it.
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "ckpt.pt")
    options = ["--model", spec, "--weights", tmp_path / "ckpt.pt", "--mean", *mean, "--std", *std]
    return base, options


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("resnet18", marks=pytest.mark.slow),
        pytest.param("mobilenet_v3_small", marks=pytest.mark.slow),
        "small",
        pytest.param("whole", marks=pytest.mark.slow),
    ],
)
def test_networks_of_torchvision(tmp_path, capsys, name):
    base, options = vision(name, tmp_path)
    root, out = folder(tmp_path / "images", (48, 40)), tmp_path / "mine" / "a.tsv"
    cut = ["--resize", 36, "--crop", 32]
    assert certify(root, out, *cut, *options, n=32 if name == "whole" else 96) == 0
    assert "prefix 'module.' taken off" in capsys.readouterr().err
    check(out, datasets.load("folder", "val", root, resize=36, crop=32).images, base)
    assert run("verify", out, "--replay", 3, "--root", root, *options[:4]) == 0


# --------------------------------------------------------------------------- what is recorded

MINE = """
from torch import nn
import parts

def build(shape, num_classes):
    return parts.flat(shape[0] * shape[1] * shape[2], num_classes)
"""
PARTS = """
from torch import nn

class Named(nn.Sequential):
    def forward(self, x):
        return {"logits": super().forward(x)}

def flat(pixels, num_classes):
    return Named(nn.Flatten(), nn.Linear(pixels, num_classes))
"""


class Case:
    """Somebody's folder: code, a checkpoint, images; and the command that certifies them."""

    def __init__(self, path):
        self.path, self.out = path, path / "mine" / "sigma_0.25.tsv"
        (path / "my_model.py").write_text(MINE)
        (path / "parts.py").write_text(PARTS)
        self.root = folder(path / "images", (10, 12), each=2)
        torch.manual_seed(1)
        self.network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, CLASSES))
        torch.save(self.network.state_dict(), path / "ckpt.pt")
        self.named = {
            "--model": [path / "my_model.py:build"],
            "--weights": [path / "ckpt.pt"],
            "--resize": [9],
            "--crop": [8],
            "--mean": [0.4, 0.5, 0.6],
            "--std": [0.25],
            "--input-range": [-1, 1],
        }

    def words(self, **changes):
        """The options, with some changed or, by None, left out."""
        changed = {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
        given = {k: v for k, v in (self.named | changed).items() if v is not None}
        return [word for name, values in given.items() for word in (name, *values)]

    def certify(self, **changes):
        return certify(self.root, self.out, *self.words(**changes))

    def plain(self, x):
        mean = torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)
        return self.network((x * 2 - 1 - mean) / 0.25)

    def cut(self, rows=2):
        """As if the run had been killed after so many rows."""
        kept = self.out.read_text().splitlines(keepends=True)
        self.out.write_text("".join(kept[: 1 + rows]))

    def replay(self, *more):
        return run("verify", self.out.parent, "--replay", 3, "--root", self.root, *more)


@pytest.fixture
def files(tmp_path):
    yield Case(tmp_path)
    sys.modules.pop("parts", None)


@pytest.fixture
def case(files):
    assert files.certify() == 0
    return files


def test_the_manifest_holds_all_that_shapes_image_and_function(case):
    manifest = records.read_certificates(case.out).manifest
    images = datasets.load("folder", "val", case.root, resize=9, crop=8).images
    check(case.out, images, case.plain)
    dataset, model = manifest.dataset, manifest.model
    assert (dataset.name, dataset.split, dataset.shape) == ("folder", "val", (3, 8, 8))
    assert (dataset.channels, dataset.resize, dataset.crop) == (3, 9, 8)
    assert dataset.class_names == ("ant", "bee", "cow")
    assert manifest.files == ("ant/0.png", "ant/1.png", "bee/0.png", "bee/1.png", "cow/0.png",
                              "cow/1.png")  # fmt: skip
    assert model.name == "my_model.py:build" and model.file == "../ckpt.pt"
    assert model.sha256 == _files.sha256(case.path / "ckpt.pt")
    assert model.files == {
        name: _files.sha256(case.path / name) for name in ("my_model.py", "parts.py")
    }
    assert model.state_sha256 == models.state_sha256(case.network)
    assert (model.mean, model.std, model.input_range) == ((0.4, 0.5, 0.6), (0.25,), (-1.0, 1.0))
    assert model.output is None and "output" not in model.to_dict()


def test_it_goes_on_where_it_stopped(case):
    whole = case.out.read_text()
    case.cut()
    assert case.certify() == 0

    def without_time(text):
        return [line.split("\t")[:5] + line.split("\t")[6:] for line in text.splitlines()]

    assert without_time(case.out.read_text()) == without_time(whole)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mean": [0.4, 0.5, 0.5]}, "model.mean: the file has [0.4, 0.5, 0.6], this run [0.4"),
        ({"mean": None}, "model.mean: the file has [0.4, 0.5, 0.6], this run null"),
        ({"std": [0.5]}, "model.std: the file has [0.25], this run [0.5]"),
        ({"input_range": None}, "model.input_range: the file has [-1.0, 1.0], this run null"),
        ({"output": ["logits"]}, 'model.output: the file has null, this run "logits"'),
        ({"resize": [10]}, "dataset.resize: the file has 9, this run 10"),
        ({"split": ["train"]}, 'dataset.split: the file has "val", this run "train"'),
        ({"sample": [3]}, "indices: the file has [0, 1, 2, 3, 4, 5], this run"),
    ],
)
def test_another_option_is_another_run(case, capsys, changes, words):
    shutil.copytree(case.root / "val", case.root / "train")
    case.cut()
    before = case.out.read_bytes()
    assert case.certify(**changes) == 2
    error = capsys.readouterr().err
    assert words in error and "the file is of another run" in error
    assert case.out.read_bytes() == before


@pytest.mark.parametrize("name", ["my_model.py", "parts.py"])
def test_a_changed_source_is_refused(case, capsys, name):
    """On going on and on drawing again, be it that the change were harmless."""
    with open(case.path / name, "a") as file:
        file.write("\n# nothing\n")
    case.cut()
    assert case.certify() == 2
    assert f"model.files.{name}: the file has" in capsys.readouterr().err
    assert case.replay(*case.words()[:4]) == 1  # rows are missing, which is said first
    case.cut(0)
    shutil.rmtree(case.out.parent)
    assert case.certify() == 0
    with open(case.path / name, "a") as file:
        file.write("\n# nothing\n")
    capsys.readouterr()
    assert case.replay(*case.words()[:4]) == 2
    error = capsys.readouterr().err
    assert f"is not the one that was certified: its files.{name} was" in error


def test_changed_weights_are_refused(case, capsys):
    with torch.no_grad():
        case.network[1].bias += 1
    torch.save(case.network.state_dict(), case.path / "ckpt.pt")
    assert case.replay(*case.words()[:4]) == 1  # the hash of the file beside, before any network
    assert "model.sha256: the model file has" in capsys.readouterr().out
    case.cut()
    assert case.certify() == 2
    assert "model.sha256: the file has" in capsys.readouterr().err
    elsewhere = case.path / "moved.pt"
    shutil.move(case.path / "ckpt.pt", elsewhere)
    assert case.certify(weights=[elsewhere]) == 2


def test_verify_never_runs_what_a_manifest_names(case, capsys):
    """Not even to find out whether it is the same."""
    trap = case.path / "sprung"
    (case.path / "my_model.py").write_text(f"open({str(trap)!r}, 'w')\n" + MINE)
    assert run("verify", case.out) == 0
    assert run("verify", case.out, "--replay", 2, "--root", case.root) == 2
    error = capsys.readouterr().err
    assert "model must name my_model.py:build (--model)" in error and not trap.exists()
    with pytest.raises(ValueError, match="model must name"):
        runs.replay(case.out, 1, case.root)
    assert not trap.exists()


def test_drawing_again_takes_the_rest_from_the_manifest(case, capsys):
    named = case.words()[:2]
    assert case.replay(*named, *case.words()[2:4]) == 0
    assert "identical counts when drawn again" in capsys.readouterr().out
    assert case.replay(*named) == 0  # the weights lie where the manifest says
    away = case.path / "away"
    away.mkdir()
    for name in ("my_model.py", "parts.py", "ckpt.pt"):
        shutil.move(case.path / name, away / name)
    sys.modules.pop("parts")
    moved = ["--model", away / "my_model.py:build", "--weights", away / "ckpt.pt"]
    assert case.replay(*moved) == 0
    assert case.replay("--model", away / "my_model.py:other", *moved[2:]) == 2
    assert "model must be my_model.py:build, as in the manifest" in capsys.readouterr().err
    assert run("verify", case.out, *moved) == 2
    assert "--model is for --replay" in capsys.readouterr().err


def test_drawing_again_notices_other_counts(case, capsys):
    lines = case.out.read_text().splitlines()
    first, second = (line.split("\t") for line in lines[1:3])
    first[2:5], first[6:] = second[2:5], second[6:]
    first[4] = str(int(first[1] == first[2]))
    case.out.write_text("\n".join([lines[0], "\t".join(first), *lines[2:]]) + "\n")
    assert case.replay(*case.words()[:4], "--replay", 6) == 1
    assert "NOT identical" in capsys.readouterr().out


def test_what_holds_its_own_weights_takes_none(grey, tmp_path, capsys):
    out = tmp_path / "a.tsv"
    assert certify(grey, out, "--channels", 1, "--model", "own_kinds:plain") == 0
    manifest = records.read_certificates(out).manifest
    assert manifest.model.name == "own_kinds:plain"
    assert manifest.model.sha256 == _files.sha256(own_kinds.__file__)
    assert set(manifest.model.files) == {"own_kinds.py", "test_own_models.py"}
    replay = ("verify", out, "--replay", 1, "--root", grey, "--model", "own_kinds:plain")
    assert run(*replay, "--weights", own_kinds.__file__) == 2
    assert "weights must be left out" in capsys.readouterr().err


def test_an_architecture_of_the_course_with_any_checkpoint(grey, tmp_path):
    """Nothing is executed, so that no model has to be named again."""
    torch.manual_seed(3)
    network = models.build("mlp", (1, 2, 2), CLASSES)
    torch.save({"model": network.state_dict()}, tmp_path / "ckpt.pth")
    out, more = tmp_path / "a.tsv", ["--channels", 1, "--weights", tmp_path / "ckpt.pth"]
    assert certify(grey, out, *more, "--model", "mlp", "--mean", 0.25) == 0
    check(out, greys(grey), lambda x: network(x - 0.25))
    assert run("verify", out, "--replay", 3, "--root", grey) == 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "mlp.safetensors"
    assert run("train", "digits", "--sigma", 0.25, "--model", "mlp", "--epochs", 1,
               "--out", path) == 0  # fmt: skip
    return path


def test_files_of_before_are_read_drawn_again_and_gone_on_with(trained, tmp_path):
    out = tmp_path / "a.tsv"
    command = ["certify", "digits", "--weights", trained, "--sigma", 0.25, "--n", 100, "--seed", 1,
               "--rows", 64, "--indices", "0:4", "--quiet", "--out", out]  # fmt: skip
    assert run(*command) == 0
    beside = out.with_suffix(".json")
    manifest = json.loads(beside.read_text())
    assert manifest["dataset"].pop("class_names") == list("0123456789")
    assert set(manifest["model"]) == {"name", "file", "sha256"} and "files" not in manifest
    beside.write_text(json.dumps(manifest))
    assert run("verify", out, "--replay", 4) == 0
    out.write_text("".join(out.read_text().splitlines(keepends=True)[:2]))
    assert run(*command) == 0
    assert len(records.read_certificates(out).rows) == 4
    assert "class_names" not in json.loads(beside.read_text())["dataset"]


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are texts elsewhere")
def test_names_that_are_no_text(grey, tmp_path):
    """They are kept as escapes: a manifest with half a surrogate pair could not be read again."""
    root = tmp_path / "images"
    shutil.copytree(grey, root)
    os.rename(os.fsencode(root / "val" / "ant"), os.fsencode(root / "val") + b"/a\xff")
    out = tmp_path / "a.tsv"
    for _ in range(2):
        assert certify(root, out, "--channels", 1, "--model", "own_kinds:plain") == 0
    manifest = records.read_certificates(out).manifest
    assert manifest.dataset.class_names[0] == r"a\xff" and manifest.files[0] == r"a\xff/0.png"


# ------------------------------------------------------------------------------- which images


def test_a_balanced_sample(grey, tmp_path, capsys):
    root = folder(tmp_path / "many", (2, 2), 1, each=4)
    options = ["--channels", 1, "--model", "own_kinds:plain"]
    chosen = []
    for seed in (0, 0, 1):
        out = tmp_path / f"{len(chosen)}.tsv"
        assert certify(root, out, *options, "--sample", 6, "--sample-seed", seed) == 0
        file = records.read_certificates(out)
        assert sorted(row.label for row in file.rows) == [0, 0, 1, 1, 2, 2]
        chosen.append(file.manifest.indices)
    assert chosen[0] == chosen[1] != chosen[2]
    assert certify(root, tmp_path / "b.tsv", *options, "--sample", 13) == 2
    assert "--sample must be at most all 12 examples, got 13" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        certify(root, tmp_path / "b.tsv", *options, "--sample", 3, "--indices", "0:3")


@pytest.mark.parametrize("split", datasets.SPLITS)
def test_every_name_of_a_split(tmp_path, split):
    root = folder(tmp_path / "images", (2, 2), 1, split=split)
    out = tmp_path / "a.tsv"
    options = ["--channels", 1, "--model", "own_kinds:plain", "--indices", ":1"]
    assert certify(root, out, *options, "--split", split, n=16, n0=4) == 0
    assert records.read_certificates(out).manifest.dataset.split == split


# --------------------------------------------------------------------------------- prediction


@pytest.fixture
def asked(case):
    """Image files to be predicted, of another size than what the model takes."""
    paths = [case.path / name for name in ("a.png", "b.png")]
    for seed, path in enumerate(paths):
        draw(path, (12, 10), 3, 100 + seed)
    return paths


def predict(capsys, *words, n=64):
    code = run("predict", *words, "--sigma", 0.25, "--n", n, "--rows", 32, "--seed", 5)
    printed = capsys.readouterr()
    return code, [line.split("\t") for line in printed.out.splitlines()], printed.err


def votes(case, path, idx, n=64):
    x = datasets.read_image(path, resize=9, crop=8)
    law = SmoothedClassifier(len, CLASSES, "0.25", "1/255", seed=5)
    copies = torch.empty(n, *x.shape)
    law.noise.stream(law.noise.prepare(x), 5, Purpose.PREDICTION, idx).fill(copies)
    return np.bincount(answers(case.plain(copies)), minlength=CLASSES)


@pytest.mark.parametrize("by", ["root", "split", "like", "number", "output"])
def test_predict_image_files(case, asked, capsys, by):
    """File, class by name or number, share of the votes, whatever says how many classes."""
    options = case.words()
    if by == "root":
        options += ["--root", case.root]
    if by == "split":
        options += ["--root", case.root, "--split", "val"]
    if by == "like":  # takes over the rest, too
        options = [*case.words()[:4], "--like", case.out]
    if by == "number":
        options += ["--num-classes", 3]
    if by == "output":  # nothing says it but the model, which is made for as many as are asked for
        options[1] = case.path / "three.py:build"
        (case.path / "three.py").write_text(
            "import parts\n\ndef build():\n    return parts.flat(192, 3)\n"
        )
    code, lines, _ = predict(capsys, *asked, *options)
    assert code == 0 and lines[0] == ["file", "predict", "share"]
    names = ["ant", "bee", "cow"] if by in ("root", "split", "like") else ["0", "1", "2"]
    for idx, (line, path) in enumerate(zip(lines[1:], asked, strict=True)):
        counts = votes(case, path, idx)
        lead = int(counts.argmax())
        assert line[0] == str(path) and line[1] in (names[lead], "ABSTAIN")
        assert line[2] == f"{counts[lead] / 64:.3f}"


@pytest.fixture
def printed(monkeypatch):
    """What commands print where the output has an encoding, as bytes."""

    def printed(encoding, errors, *words):
        into = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors)
        monkeypatch.setattr(sys, "stdout", into)
        code = run("predict", *words, "--sigma", 0.25, "--n", 32, "--rows", 32, "--seed", 5)
        into.flush()
        return code, into.buffer.getvalue()

    return printed


@pytest.fixture
def odd_names(case, tmp_path):
    """Options for a folder of classes, and a file, whose names are no ASCII."""
    for name in ("été", "hiver\t", "日本"):
        (tmp_path / "root" / name).mkdir(parents=True)
    file = tmp_path / "é\té\n\u2028\x9b\\ \xa0.png"
    draw(file, (12, 10), 3, 100)
    return file, [*case.words(), "--root", tmp_path / "root", "--alpha", 0.999]


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_names_that_the_output_cannot_encode_are_escaped(odd_names, printed, errors):
    """The predictions were lost to a codec error after the header."""
    file, options = odd_names
    code, text = printed("ascii", errors, file, *options)
    lines = text.decode("ascii").splitlines()
    assert code == 0 and len(lines) == 2
    shown = lines[1].split("\t")
    assert shown[0].endswith(r"/\xe9\t\xe9\n\u2028\x9b\ \xa0.png")
    assert shown[1] in (r"\xe9t\xe9", r"hiver\t", r"\u65e5\u672c")


def test_what_can_be_encoded_is_printed_as_it_is(odd_names, printed):
    """All but what would end a cell or a line: tabs and newlines broke the table."""
    file, options = odd_names
    for errors in ("strict", "surrogateescape"):
        code, text = printed("utf-8", errors, file, *options)
        lines = text.decode().split("\n")
        assert code == 0 and len(lines) == 3 and lines[2] == ""
        shown = lines[1].split("\t")
        assert len(shown) == 3 and shown[0].endswith("/é\\té\\n\\u2028\\x9b\\ \xa0.png")
        assert shown[1] in ("été", r"hiver\t", "日本")
    assert sys.stdout.errors == "surrogateescape"  # bytes of a name that are no text pass through


def test_an_output_that_is_no_file_is_left_alone(odd_names, monkeypatch):
    file, options = odd_names
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert run("predict", file, *options, "--sigma", 0.25, "--n", 32, "--rows", 32) == 0
    assert "/é\\té" in sys.stdout.getvalue()


def test_files_that_are_left_out_are_said(case, tmp_path, capsys, monkeypatch):
    root = shutil.copytree(case.root, tmp_path / "root")
    for name in ("x.gif", "y.gif", "notes.txt"):
        (root / "val" / "bee" / name).write_bytes(b"x")
    options = [*case.words(), "--root", root, "--split", "val", "--indices", ":1"]
    code, lines, said = predict(capsys, "folder", *options)
    assert code == 0 and len(lines) == 2
    about = f"{root / 'val'}: 2 files are left out, for example {root / 'val' / 'bee' / 'x.gif'}: "
    assert [line for line in said.splitlines() if "left out" in line] == [
        f"{about}only what ends in .jpg, .jpeg, .png, .ppm, .bmp, .pgm, .tif, .tiff, .webp is "
        "read (convert other images, to PNG for example)."
    ]
    monkeypatch.setenv("RANK", "1")  # another process of the same command
    assert "left out" not in predict(capsys, "folder", *options)[2]


def test_predict_abstains_and_answers(case, asked, capsys):
    """One of each, by how far the last layer leans."""
    with torch.no_grad():
        case.network[1].weight *= 1e-3
        case.network[1].bias[:] = torch.tensor([0.0, 0.0, -9.0])
    torch.save(case.network.state_dict(), case.path / "ckpt.pt")
    _, lines, _ = predict(capsys, asked[0], *case.words(), "--root", case.root, "--split", "val",
                          "--alpha", 1e-9, n=32)  # fmt: skip
    found = {lines[1][1]}
    with torch.no_grad():
        case.network[1].bias[1] = 9
    torch.save(case.network.state_dict(), case.path / "ckpt.pt")
    _, lines, _ = predict(capsys, asked[0], *case.words(), "--root", case.root, "--split", "val")
    assert lines[1][1:] == ["bee", "1.000"] and "bee" not in found


def test_predict_with_trained_weights(trained, tmp_path, capsys):
    """How many classes there are stands in the manifest beside them."""
    draw(tmp_path / "a.png", (8, 8), 1, 0)
    code, lines, _ = predict(capsys, tmp_path / "a.png", "--weights", trained, "--channels", 1)
    assert code == 0 and lines[1][1] in (*"0123456789", "ABSTAIN")


def test_predict_a_data_set_as_before(case, capsys):
    options = [*case.words(), "--root", case.root, "--split", "val", "--indices", "0:3"]
    code, lines, _ = predict(capsys, "folder", *options)
    assert code == 0 and lines[0] == ["idx", "label", "predict"]
    assert [line[:2] for line in lines[1:]] == [["0", "0"], ["1", "0"], ["2", "1"]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.png"], "none.png: no such image file, and not one of cifar10, "),
        (["A", "digits"], "digits: no such image file, and not one of"),
        (["A", "--indices", "0:1"], "--indices and --sample are for data sets"),
        (["A", "--sample", "1"], "--indices and --sample are for data sets"),
        (["A", "--root", "R", "--split", "val", "--like", "O"], "--root and --like both say"),
        (["A", "--root", "R", "--split", "train"], "holds no split 'train', but val"),
        (["A", "--root", "A"], "holds no sub-folders, one a class"),
        (["A", "--root", "R", "--split", "val", "--num-classes", "4"],
         "--num-classes must be 3, the folders in"),
        (["A", "--like", "L"], "L.json: cannot read"),
        (["A", "S"], "small.png: 5 x 4 pixels, smaller than the crop of 8"),
        (["folder", "--num-classes", "3"], "--num-classes is for image files, got folder"),
        (["folder", "--like", "O"], "--like is for image files, got folder"),
    ],
)  # fmt: skip
def test_predict_refuses(case, asked, capsys, words, message):
    draw(case.path / "small.png", (5, 4), 3, 0)
    (case.path / "L.tsv").write_text("")
    named = {"A": asked[0], "R": case.root, "O": case.out, "L": case.path / "L.tsv",
             "S": case.path / "small.png"}  # fmt: skip
    options = case.words(resize=None) if "S" in words else case.words()
    code, lines, error = predict(capsys, *(named.get(word, word) for word in words), *options)
    assert code == 2 and message in error and not lines and error.count("\n") == 1


def test_predict_needs_the_number_of_classes(grey, capsys):
    image = grey / "val" / "ant" / "0.png"
    options = ["--channels", 1, "--model", "own_kinds:labels"]
    code, _, error = predict(capsys, image, *options)
    assert code == 2 and "num_classes must be given (--num-classes)" in error
    assert predict(capsys, image, *options, "--num-classes", 3)[0] == 0
    code, _, error = predict(capsys, image, "--channels", 1, "--model", "torchvision.models:vgg11")
    assert code == 2 and "the model fails on images of shape (1, 2, 2)" in error


# ------------------------------------------------------------------------- what is said, and when


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": None, "weights": None}, "weights must be given, or a model that holds its own"),
        ({"model": None}, "for weights that `rslib train` did not write, name the model"),
        ({"model": ["mlp"], "weights": None}, "weights must be given for model mlp"),
        ({"model": ["none.py:build"]}, "model none.py:build: No such file"),
        ({"weights": ["none.pt"]}, "weights none.pt: no such file"),
        ({"weights_entry": ["ema"]}, "entry must be one of '', '1', got 'ema'"),
        ({"std": [0]}, "std must be positive, got [0.0]"),
        ({"mean": [0.5, 0.5]}, "2 values, one a channel"),
        ({"mean": [0.1, 0.2], "std": [1, 1, 1]}, "std must have one number a channel of mean"),
        ({"input_range": [1, 1]}, "input_range must be two different finite numbers"),
        ({"output": ["scores"]}, "output 'scores' is no part of what the base classifier returns"),
        ({"resize": [4]}, "crop must be at most resize, which is 4, got 8"),
        ({"resize": None, "crop": [64]}, "10 x 12 pixels, smaller than the crop of 64"),
        ({"channels": [1]}, "it has colours, where channels=1 takes grey images"),
    ],
)
def test_bad_options(files, capsys, options, message):
    assert files.certify(**options) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("rslib certify: ") and not files.out.exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [("--mean", "x"), ("--std", "inf"), ("--input-range", "nan"), ("--channels", "2"),
     ("--resize", "0"), ("--crop", "-1"), ("--sample", "0"), ("--split", "exam")],
)  # fmt: skip
def test_options_that_argparse_refuses(capsys, option, value):
    with pytest.raises(SystemExit) as stop:
        run("certify", "folder", "--model", "m.py:build", "--sigma", 1, option, value, value)
    assert stop.value.code == 2 and option in capsys.readouterr().err


def test_more_classes_than_folders(case, capsys):
    shutil.rmtree(case.root / "val" / "cow")
    torch.manual_seed(0)
    (case.path / "wide.py").write_text(
        "import parts\n\ndef make():\n    return parts.flat(192, 9)\n"
    )
    shutil.rmtree(case.out.parent)
    assert case.certify(model=[case.path / "wide.py:make"], weights=None) == 2
    error = capsys.readouterr().err
    assert "num_classes is 2" in error and "(rows, 2)" in error
    assert "model wide.py:make: " in error
    assert "(the classes are the folders of split 'val': ant, bee)" in error


def test_one_folder(files, capsys):
    for name in ("bee", "cow"):
        shutil.rmtree(files.root / "val" / name)
    assert files.certify() == 2
    error = capsys.readouterr().err
    assert "num_classes must be at least 2, got 1" in error and "class folders" in error


ODD = """
import torch
import parts

class Flat(parts.Named):
    def forward(self, x):
        return super().forward(x)["logits"]

def flat(pixels=300):
    torch.manual_seed(0)
    return Flat(torch.nn.Flatten(), torch.nn.Linear(pixels, 3))

class Changed(torch.nn.Module):
    def __init__(self, change):
        super().__init__()
        self.inner, self.change = flat(), change

    def forward(self, x):
        return self.change(x, self.inner(x[:, :, :10, :10]))

def larger():
    return flat(432)

def misspelt():
    return Changed(lambda x, y: torch.argmaximum(y))

def numpy():
    return lambda x: x.numpy().reshape(len(x), 11)

def few():
    def change(x, y):
        assert len(x) <= 16, "Guard failed: x.size()[0] <= 16"
        return y
    return Changed(change)

def dictionary():
    return Changed(lambda x, y: {"out": y, "aux": 0})

def tensor():
    return Changed(lambda x, y: y)

def pair():
    return Changed(lambda x, y: (x, y))
"""


@pytest.mark.parametrize("rows", [[], ["--rows", 48]])
@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("larger", [], ["images of shape (3, 12, 10): RuntimeError: mat1", "--resize, --crop)"]),
        ("misspelt", [], ["images of shape (3, 12, 10): AttributeError", "does its code run?"]),
        ("numpy", [], ["images of shape (3, 12, 10): ValueError: cannot reshape"]),
        ("dictionary", [], ["dict of 'out' (", "'aux' int", "--output"]),
        ("dictionary", ["--output", "foo"], ["output 'foo' is no part", "'out' (", "'aux' int"]),
        ("pair", [], ["out of a tuple of 0 (", "--output"]),
        ("flat", ["--mean", 1, 2], ["mean and std have 2 values, one a channel"]),
        ("tensor", ["--output", "logits"], ["a Tensor: leave output out (--output)"]),
    ],
)
def test_a_model_that_fails_is_named_with_the_images_and_a_remedy(
    files, capsys, name, options, words, rows
):
    (files.path / "odd.py").write_text(ODD)
    spec = f"{files.path / 'odd.py'}:{name}"
    if name not in ("larger", "misspelt", "numpy"):
        options = ["--crop", 10, *options]
    code = run("certify", "folder", "--root", files.root, "--split", "val", "--sigma", 1, "--n", 48,
               "--n0", 16, "--out", files.out, "--model", spec, *options, *rows)  # fmt: skip
    error = capsys.readouterr().err.splitlines()[-1]
    assert code == 2 and error.startswith(f"rslib certify: model odd.py:{name}"), error
    for word in words:
        assert word in error
    assert "x must be" not in error and not files.out.exists()


def test_a_model_of_few_rows_is_run_on_them(files, capsys):
    (files.path / "odd.py").write_text(ODD)
    words = ["certify", "folder", "--root", files.root, "--split", "val", "--sigma", 1, "--n", 48,
             "--n0", 16, "--quiet", "--model", f"{files.path / 'odd.py'}:few",
             "--out", files.out]  # fmt: skip
    assert run(*words, "--rows", 48) == 2
    error = capsys.readouterr().err
    assert "model odd.py:few fails on 48 images of shape (3, 12, 10): AssertionError" in error
    assert "it takes 16 at a time (--rows 16)" in error and not files.out.exists()
    assert run(*words) == 0
    assert records.read_certificates(files.out).manifest.plan["rows"] == 16


def test_weights_that_were_moved_are_the_same_and_others_are_named_by_their_hash(case, capsys):
    case.cut()
    before = records.manifest_path(case.out).read_bytes()
    moved = case.path / "moved.pt"
    shutil.copy(case.path / "ckpt.pt", moved)
    assert case.certify(weights=[moved]) == 0
    assert records.manifest_path(case.out).read_bytes() == before
    assert len(records.read_certificates(case.out).rows) == 6
    torch.save({k: 2 * v for k, v in case.network.state_dict().items()}, moved)
    case.cut()
    assert case.certify(weights=[moved]) == 2
    assert "model.sha256: the file has" in capsys.readouterr().err


def test_the_first_seconds_say_what_goes_on(case, capsys, monkeypatch):
    """In a terminal; neither in CI nor in a log, as with progress bars."""
    assert capsys.readouterr().err.count("Reading") == 0
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(progress, "_DELAY", 1e9)
    assert case.certify() == 0
    said = capsys.readouterr().err
    assert said.index("Reading folder, val.") < said.index(f"Opening {case.path}/my_model.py:build")
    monkeypatch.setenv("RANK", "1")  # of several processes one says it
    assert case.certify() == 0
    assert "Reading" not in capsys.readouterr().err
    monkeypatch.delenv("RANK")
    monkeypatch.setenv("CI", "1")
    assert case.certify() == 0
    assert "Reading" not in capsys.readouterr().err


# ------------------------------------------------------------------------------------ from Python


def test_open_model_and_replay_from_python(case):
    dataset = datasets.Dataset.from_folder(case.root, "val", resize=9, crop=8)
    spec = str(case.path / "my_model.py:build")
    wrapping = {"mean": (0.4, 0.5, 0.6), "std": 0.25, "input_range": (-1, 1)}
    model = runs.open_model(case.path / "ckpt.pt", dataset.shape, 3, model=spec, **wrapping)
    found = runs.replay(case.out, 2, model=model, dataset=dataset)
    assert found.ok and len(found.indices) == 2
    other = runs.open_model(case.path / "ckpt.pt", dataset.shape, 3, model=spec)
    with pytest.raises(ValueError, match=r"not the one that was certified: its mean was \[0.4"):
        runs.replay(case.out, 2, model=other, dataset=dataset)
    with pytest.raises(TypeError, match="output must be a name or a place"):
        runs.open_model(case.path / "ckpt.pt", dataset.shape, 3, model=spec, output=len)


def test_predict_from_python(case, asked):
    dataset = datasets.Dataset.from_files(asked, 3, resize=9, crop=8)
    assert dataset.labels.tolist() == [-1, -1] and dataset.shape == (3, 8, 8)
    g = SmoothedClassifier(case.plain, 3, 0.25, dataset.step, seed=5)
    found = list(runs.predict(g, dataset, 64, indices=[1, 0]))
    assert [one.index for one in found] == [1, 0]
    for one in found:
        counts = votes(case, asked[one.index], one.index)
        assert one.share == counts.max() / 64 and one.label in (counts.argmax(), -1)
        assert one.label == g.predict(dataset.images[one.index], 64, index=one.index)
    with pytest.raises(ValueError, match="paths must name at least one image file"):
        datasets.Dataset.from_files([], 3)
    with pytest.raises(ValueError, match="class_names must name each of 3 classes, got 1"):
        datasets.Dataset.from_files(asked, 3, class_names=["a"], resize=9, crop=8)
