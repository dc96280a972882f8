"""Data sets: on their grid, split once for all, and files that cannot be read are named."""

import pickle
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from rslib import datasets


def test_digits_split():
    train, test = datasets.load("digits", "train"), datasets.load("digits", "test")
    assert (len(train), len(test)) == (1297, 500)
    assert train.shape == test.shape == (1, 8, 8) and test.num_classes == 10
    assert train.images.dtype == np.float32 and train.labels.dtype == np.int64
    assert set(np.unique(test.labels)) == set(range(10))
    # Frozen for ever: certificate files name examples by their place in this order.
    assert test.labels[:8].tolist() == [7, 1, 1, 9, 5, 6, 6, 0]
    together = np.concatenate([train.images, test.images]).reshape(1797, -1)
    assert len(np.unique(together, axis=0)) == 1797, "an image in both parts, or twice"


@pytest.mark.parametrize("split", ["train", "test"])
def test_digits_lie_on_their_grid(split):
    digits = datasets.load("digits", split)
    assert digits.step == Fraction(1, 16)
    scaled = digits.images * 16
    assert (scaled == np.round(scaled)).all() and scaled.min() == 0 and scaled.max() == 16


@pytest.fixture
def folder(tmp_path):
    """Two classes of three 5 x 4 pictures with known pixels."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "test" / name).mkdir(parents=True)
        for i in range(3):
            pixels = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "test" / name / f"{i}.png")
    return tmp_path


def test_folder(folder):
    data = datasets.load("folder", "test", folder)
    assert data.shape == (3, 4, 5) and data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.num_classes == 2 and data.step == Fraction(1, 255)
    pixels = np.asarray(Image.open(folder / "test" / "dog" / "1.png"))
    assert (data.images[4] == pixels.transpose(2, 0, 1).astype(np.float32) / 255).all()
    assert (datasets.load("folder", "test", folder / "test").images == data.images).all()


def test_folder_names_the_unreadable_image(folder):
    bad = folder / "test" / "dog" / "0.png"
    whole = bad.read_bytes()
    for damaged in (b"", b"not a picture", whole[: len(whole) // 2]):
        bad.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{bad}: not a readable image"):
            datasets.load("folder", "test", folder)


def test_folder_with_two_sizes(folder):
    odd = folder / "test" / "cat" / "2.png"
    Image.new("RGB", (7, 4)).save(odd)
    with pytest.raises(ValueError, match=f"{odd}: 7 x 4 pixels, where the first image has 5 x 4"):
        datasets.load("folder", "test", folder)


def test_folder_that_is_none(tmp_path):
    with pytest.raises(ValueError, match=r"root .* is not a folder of images"):
        datasets.load("folder", "test", tmp_path / "absent")
    with pytest.raises(ValueError, match=r"root .* is not a folder of images"):
        datasets.load("folder", "test", tmp_path)


def make_cifar10(root):
    """A tiny copy of torchvision's folder layout, checksums aside."""
    base = root / "cifar-10-batches-py"
    base.mkdir()
    rng = np.random.default_rng(1)
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        batch = {"data": rng.integers(0, 256, (4, 3072), dtype=np.uint8), "labels": [0, 3, 9, 1]}
        (base / name).write_bytes(pickle.dumps(batch))
    (base / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))


def test_cifar10_from_torchvisions_folder(tmp_path, monkeypatch):
    from torchvision.datasets import CIFAR10

    make_cifar10(tmp_path)
    with pytest.raises(ValueError, match="holds no usable CIFAR-10"):
        datasets.load("cifar10", "test", tmp_path)  # the files are not the official ones
    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *a, **k: True)
    test = datasets.load("cifar10", "test", tmp_path)
    assert test.shape == (3, 32, 32) and test.labels.tolist() == [0, 3, 9, 1]
    assert len(datasets.load("cifar10", "train", tmp_path)) == 20
    scaled = test.images.astype(np.float64) * 255
    assert np.abs(scaled - np.round(scaled)).max() < 1e-4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mnist",), "name must be one of cifar10, digits, folder, got 'mnist'"),
        (("digits", "valid"), "split must be 'train' or 'test', got 'valid'"),
        (("cifar10",), "root must name the folder that holds cifar-10-batches-py, got None"),
        (("folder",), "root must name a folder with one sub-folder a class, got None"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        datasets.load(*arguments)
