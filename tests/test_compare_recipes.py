"""Ways to train, compared on training images held out: on digits, at tiny size."""

import json
from dataclasses import replace

import compare_recipes
import numpy as np
import pytest
import torch

from rslib import _files, datasets, runs
from rslib.noise import GridGaussian, Purpose

WAYS = {
    "short": compare_recipes.Way(1),
    "again": compare_recipes.Way(1),
    "longer": compare_recipes.Way(4),
    "mean": compare_recipes._goes_on("short", 2, average=True),
}
HELD_OUT, N = 60, 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("recipes")


@pytest.fixture(scope="module")
def run(folder):
    """Run the tool; returns its exit status."""
    given = ["--data", "digits", "--model", "cnn", "--recipe", "digits", "--sigma", "0.25"]
    given += ["--held-out", str(HELD_OUT), "--n", str(N), "--work", str(folder / "work")]
    given += ["--backend", "quantized", "--out", str(folder / "out.json")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare_recipes, "WAYS", WAYS)
        yield lambda *more: compare_recipes.main([*given, *more])


@pytest.fixture(scope="module")
def result(run, folder):
    assert run("--only", "mean") == 0
    made = {path.name for path in (folder / "work").glob("*.safetensors")}
    assert made == {"short.safetensors", "mean.safetensors"} and not (folder / "out.json").exists()
    before = (folder / "work/mean.safetensors").stat().st_mtime_ns
    assert run() == 0
    assert (folder / "work/mean.safetensors").stat().st_mtime_ns == before  # not done again
    return json.loads((folder / "out.json").read_text())


def split():
    options = compare_recipes._parser().parse_args(
        ["--data", "digits", "--held-out", str(HELD_OUT), "--out", "x"]
    )
    return compare_recipes.split(options)


def test_what_is_held_out_is_not_trained_on_and_has_as_many_of_each_class():
    training, held_out, chosen = split()
    whole = datasets.load("digits", "train")
    assert len(training) + len(held_out) == len(whole) and len(held_out) == HELD_OUT
    assert np.array_equal(whole.images[chosen], held_out.images)
    assert set(np.bincount(held_out.labels)) == {HELD_OUT // 10}
    # Every image is in one part: their multiset is that of the whole.
    parts = np.concatenate([training.images, held_out.images]).reshape(len(whole), -1)
    assert np.array_equal(
        np.sort(parts @ np.arange(1, 65)), np.sort(whole.images.reshape(-1, 64) @ np.arange(1, 65))
    )


def test_a_run_says_what_was_held_out_and_how_each_way_was_trained(result):
    assert result["format"] == compare_recipes.FORMAT
    assert (result["held_out"], result["n"], result["sigma"]) == (HELD_OUT, N, "0.25")
    assert result["examples_sha256"] == split()[1].digest()
    assert list(result["ways"]) == list(WAYS)
    for name, way in result["ways"].items():
        assert way["start"] == WAYS[name].start and way["training"]["epochs"] == WAYS[name].epochs
        assert len(way["noisy_accuracy"]) == len(way["seconds"]) == WAYS[name].epochs
        assert len(way["right"]) == HELD_OUT and all(0 <= k <= N for k in way["right"])
    assert result["ways"]["mean"]["training"]["average"] is True


def test_equal_networks_get_equal_votes_and_better_ones_more(result):
    ways = result["ways"]
    assert ways["short"]["right"] == ways["again"]["right"]  # the same noise
    assert ways["short"]["sha256"] == ways["again"]["sha256"]
    assert sum(ways["longer"]["right"]) > sum(ways["short"]["right"])


def test_the_votes_are_those_of_a_plain_loop(result, folder):
    _, held_out, chosen = split()
    path = folder / "work/longer.int8.onnx"
    assert result["ways"]["longer"]["sha256"] == _files.sha256(path)
    base = runs.open_model(path, held_out.shape, 10).network
    noise = GridGaussian("0.25", held_out.step)
    for row in range(5):
        at = noise.prepare(torch.from_numpy(held_out.images[row]))
        noisy = torch.empty((N, *held_out.shape))
        noise.stream(at, compare_recipes.VOTE, Purpose.PREDICTION, chosen[row]).fill(noisy)
        right = int((base(noisy).argmax(1) == held_out.labels[row]).sum())
        assert right == result["ways"]["longer"]["right"][row]


def test_networks_of_another_split_or_way_are_refused(result, run, folder, monkeypatch):
    """They may have been trained on what is held out now."""
    before = (folder / "out.json").read_bytes()
    with pytest.raises(SystemExit, match=r"short.safetensors: without_sha256 is .*name another"):
        run("--held-out", "70")
    with pytest.raises(SystemExit, match=r"sigma is '0\.25' there, '0\.5' now"):
        run("--sigma", "0.5")
    for way, text in (
        (replace(WAYS["longer"], epochs=5), "epochs is 4 there, 5 now; delete longer"),
        (replace(WAYS["longer"], model="mlp"), "model is 'cnn' there, 'mlp' now"),
        (replace(WAYS["longer"], changes={"average": True}), "average is None there, True now"),
        (replace(WAYS["longer"], start="short"), "start is None there, 'short' now"),
    ):
        with monkeypatch.context() as patch, pytest.raises(SystemExit, match=text):
            patch.setitem(WAYS, "longer", way)
            run()
    kept = folder / "work/longer.way.json"
    content = kept.read_bytes()
    kept.unlink()  # nobody knows what it was trained on
    with pytest.raises(SystemExit, match=r"longer\.safetensors: data is None there"):
        run()
    kept.write_bytes(content)
    assert (folder / "out.json").read_bytes() == before


def test_a_network_that_was_deleted_is_trained_rounded_and_asked_anew(result, run, folder):
    work, changed = folder / "work", {**WAYS, "longer": replace(WAYS["longer"], epochs=1)}
    before = {p.name: p.read_bytes() for p in work.iterdir()}
    for path in work.glob("longer.s*"):
        path.unlink()  # the eight-bit file and the votes stay
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare_recipes, "WAYS", changed)
        assert run("--only", "longer") == 0
    votes = json.loads((work / "longer.votes.json").read_text())
    assert votes["right"] == result["ways"]["short"]["right"]
    for name, content in before.items():
        (work / name).write_bytes(content)


def test_another_program_is_asked_anew(result, run, folder):
    pytest.importorskip("openvino")
    assert run("--only", "short", "--backend", "openvino") == 0
    votes = json.loads((folder / "work/short.votes.json").read_text())
    assert votes["plan"]["backend"] == "openvino"
    assert result["ways"]["short"]["plan"]["backend"] == "quantized"


@pytest.mark.parametrize(
    ("more", "text"), [(["--n", "0"], "at least 1, got 0"), (["--backend", "x"], "invalid choice")]
)
def test_bad_arguments_are_named_before_anything_is_trained(more, text, run, capsys):
    with pytest.raises(SystemExit):
        run(*more)
    assert text in capsys.readouterr().err


def test_a_way_that_there_is_not_is_named(run):
    with pytest.raises(SystemExit, match=r"--only must name some of short, .*, got 'other'"):
        run("--only", "other")
