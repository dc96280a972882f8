"""The comparison of lossless and JPEG images, at tiny size on made images."""

import io
import json

import jpeg_check
import numpy as np
import pytest
import torch
from PIL import Image

from rslib import _files, datasets, models, records
from rslib.decisions import ABSTAIN, predict_from_counts
from rslib.smoothing import SmoothedClassifier


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Seven smooth images, as they are and as JPEG, and a small network that was not trained."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    rough = rng.integers(0, 256, (7, 4, 4, 3)).astype(np.uint8)
    pixels = rough.repeat(8, axis=1).repeat(8, axis=2)
    files = []
    for image in pixels:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=75)
        files.append(file.getvalue())
    labels = np.arange(7, dtype=np.uint8)
    np.savez(folder / "cifar10_test_head.npz", x=pixels.transpose(0, 3, 1, 2), y=labels)
    np.savez(
        folder / "cifar10_jpeg.npz",
        test_jpeg=np.frombuffer(b"".join(files), np.uint8),
        test_offset=np.cumsum([0, *map(len, files)]),
        test_label=labels,
    )
    torch.manual_seed(0)
    weights = folder / "cnn.safetensors"
    models.save_weights(models.build("cnn", (3, 32, 32), 10), weights)
    described = {"name": "cnn", "sha256": _files.sha256(weights)}
    manifest = {"format": records.MODEL_FORMAT, "model": described, "sigma": "0.25"}
    records.write_manifest(weights.with_suffix(".json"), manifest)
    return folder


@pytest.fixture(scope="module")
def result(root):
    out = root / "runs" / "check.json"
    arguments = ["--root", str(root), "--weights", str(root / "cnn.safetensors")]
    assert jpeg_check.main([*arguments, "--out", str(out), "--n", "60", "--images", "5"]) == 0
    return json.loads(out.read_text())


def test_the_file_says_how_it_was_made(result, root):
    assert result["format"] == jpeg_check.FORMAT and result["n"] == 60 and result["sigma"] == "0.25"
    assert result["model_sha256"] == _files.sha256(root / "cnn.safetensors")
    assert {"command", "device", "plan", "versions", "date", "wall_time_s", "seeds"} <= set(result)
    assert [row["idx"] for row in result["rows"]] == list(range(5))


def test_distances_are_those_of_the_images(result, root):
    original = datasets.load("cifar10-head", "test", root).images.astype(float)
    encoded = datasets.load("cifar10-jpeg", "test", root).images.astype(float)
    for row, x, y in zip(result["rows"], original, encoded, strict=False):
        assert row["distance"] == pytest.approx(np.linalg.norm(x - y), abs=1e-4)
        assert row["distance"] > 0
        assert row["psnr"] == pytest.approx(20 * np.log10(1 / np.sqrt(np.mean((x - y) ** 2))), 1e-2)


def test_the_answers_are_those_of_predict(result, root):
    network = models.build("cnn", (3, 32, 32), 10)
    network = models.load_weights(network, root / "cnn.safetensors").eval()
    images = {
        "lossless": datasets.load("cifar10-head", "test", root).images,
        "jpeg": datasets.load("cifar10-jpeg", "test", root).images,
    }
    for place, (name, seed) in enumerate((("lossless", 0), ("jpeg", 0), ("lossless", 1))):
        smoothed = SmoothedClassifier(network, 10, "0.25", "1/255", seed=seed)
        for row in result["rows"]:
            answer = smoothed.predict(images[name][row["idx"]], n=60, index=row["idx"])
            assert predict_from_counts(row["counts"][place], 0.001, 0.0) == answer
            assert sum(row["counts"][place]) == 60


def test_the_summary_counts():
    sure, other, unsure = [50, 0, 0], [0, 50, 0], [26, 24, 0]
    rows = [
        {"label": 0, "distance": 1.0, "psnr": 30.0, "counts": [sure, other, sure]},
        {"label": 0, "distance": 2.0, "psnr": 40.0, "counts": [sure, unsure, sure]},
        {"label": 2, "distance": 3.0, "psnr": None, "counts": [unsure, unsure, other]},
    ]
    found = jpeg_check.summary(rows, 0.001)
    assert found["images"] == 3 and found["mean_distance"] == 2 and found["median_psnr"] == 35
    keys = ("right", "abstained", "same_answer", "other_class")
    votes = [[found["votes"][name][key] for key in keys] for name in jpeg_check.VOTES]
    assert votes == [[2, 1, 3, 0], [0, 2, 1, 1], [2, 0, 2, 0]]
    shares = [found["votes"][name]["mean_share_of_right_class"] for name in jpeg_check.VOTES]
    assert shares == pytest.approx([2 / 3, 0.52 / 3, 2 / 3], abs=1e-6)
    assert predict_from_counts(unsure, 0.001, 0.0) == ABSTAIN


def test_without_a_network_there_are_distances_alone(root):
    out = root / "distances.json"
    assert jpeg_check.main(["--root", str(root), "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert "model" not in found and "votes" not in found["summary"]
    assert found["summary"]["images"] == len(found["rows"]) == 7
