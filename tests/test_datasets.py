"""Data sets: on their grid, split once for all, and files that cannot be read are named."""

import io
import os
import pickle
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rslib import datasets

#: Where a developer has the arrays of real CIFAR-10 images, if at all.
SHARED = Path(os.environ.get("RSLIB_CIFAR10", Path(__file__).parents[2] / "shared" / "data"))


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


def make_jpeg(root, sizes):
    """The JPEG archive with noise for images, and what the decoder makes of them."""
    rng, arrays, decoded = np.random.default_rng(2), {}, {}
    for split, count in sizes.items():
        files, decoded[split] = [], []
        for _ in range(count):
            file = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(file, "JPEG")
            files.append(file.getvalue())
            decoded[split].append(np.asarray(Image.open(file)).transpose(2, 0, 1))
        arrays[f"{split}_jpeg"] = np.frombuffer(b"".join(files), np.uint8)
        arrays[f"{split}_offset"] = np.cumsum([0, *map(len, files)])
        arrays[f"{split}_label"] = np.arange(count, dtype=np.uint8) % 10
    np.savez(root / "cifar10_jpeg.npz", **arrays)
    return decoded


def test_cifar10_jpeg(tmp_path):
    decoded = make_jpeg(tmp_path, {"train": 12, "test": 5})
    for split, count in (("train", 12), ("test", 5)):
        data = datasets.load("cifar10-jpeg", split, tmp_path)
        assert data.name == "cifar10-jpeg" and data.step == Fraction(1, 255)
        assert data.labels.tolist() == [i % 10 for i in range(count)]
        assert data.labels.dtype == np.int64 and data.num_classes == 10
        assert (np.round(data.images * 255) == np.stack(decoded[split])).all()


def test_cifar10_head(tmp_path):
    pixels = np.random.default_rng(3).integers(0, 256, (7, 3, 32, 32), dtype=np.uint8)
    np.savez(tmp_path / "cifar10_test_head.npz", x=pixels, y=np.arange(7, dtype=np.uint8))
    data = datasets.load("cifar10-head", "test", tmp_path)
    assert (np.round(data.images * 255) == pixels).all() and data.labels.tolist() == list(range(7))


@pytest.mark.parametrize(
    ("name", "file"),
    [("cifar10-jpeg", "cifar10_jpeg.npz"), ("cifar10-head", "cifar10_test_head.npz")],
)
def test_damaged_arrays_are_named(tmp_path, name, file):
    with pytest.raises(ValueError, match=f"{tmp_path / file}: cannot be read"):
        datasets.load(name, "test", tmp_path)
    make_jpeg(tmp_path, {"train": 1, "test": 3})
    np.savez(tmp_path / "cifar10_test_head.npz", x=np.zeros((2, 3, 32, 32), np.uint8), y=[0])
    whole = (tmp_path / file).read_bytes()
    evil = io.BytesIO()
    np.save(evil, np.array([print], dtype=object), allow_pickle=True)
    for damaged in (b"", b"no archive", whole[: len(whole) // 2], evil.getvalue()):
        (tmp_path / file).write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{tmp_path / file}: cannot be read"):
            datasets.load(name, "test", tmp_path)
    (tmp_path / file).write_bytes(whole)
    if name == "cifar10-head":
        with pytest.raises(ValueError, match="x and y do not belong together"):
            datasets.load(name, "test", tmp_path)


def test_a_damaged_jpeg_is_named(tmp_path):
    make_jpeg(tmp_path, {"train": 1, "test": 3})
    arrays = dict(np.load(tmp_path / "cifar10_jpeg.npz"))
    arrays["test_jpeg"] = arrays["test_jpeg"].copy()
    arrays["test_jpeg"][arrays["test_offset"][1] :][:20] = 0
    np.savez(tmp_path / "cifar10_jpeg.npz", **arrays)
    with pytest.raises(ValueError, match=r"cifar10_jpeg.npz: test image 1: "):
        datasets.load("cifar10-jpeg", "test", tmp_path)
    np.savez(tmp_path / "cifar10_jpeg.npz", **{**arrays, "test_label": [1]})
    with pytest.raises(ValueError, match="do not belong together"):
        datasets.load("cifar10-jpeg", "test", tmp_path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="real CIFAR-10 images are not at hand")
def test_the_real_images_are_those_that_the_jpeg_set_shows():
    head = datasets.load("cifar10-head", "test", SHARED)
    jpeg = datasets.load("cifar10-jpeg", "test", SHARED)
    assert len(head) == 932 and len(jpeg) == 10_000
    assert (head.labels == jpeg.labels[:932]).all()
    distance = np.sqrt(((head.images - jpeg.images[:932]) ** 2).sum((1, 2, 3)))
    assert 1.4 < distance.mean() < 1.8
    assert len(range(len(jpeg))[::20]) == 500 and len(range(932)[::20]) == 47


@pytest.fixture
def imagenet(tmp_path):
    """Two classes of validation images of unequal size, as torchvision lays them out."""
    rng = np.random.default_rng(4)
    for name in ("n01440764", "n01443537"):
        (tmp_path / "val" / name).mkdir(parents=True)
        for i, size in enumerate([(300, 500), (260, 256)]):
            pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "val" / name / f"{i}.png")
    return tmp_path


@pytest.mark.parametrize("meta", [False, True])
def test_imagenet_resizes_crops_and_reads_when_asked(imagenet, meta):
    if meta:
        names = {name: (name,) for name in ("n01440764", "n01443537")}
        torch.save((names, []), imagenet / "meta.bin")
    data = datasets.load("imagenet", "test", imagenet)
    assert data.shape == (3, 224, 224) and len(data) == 4 and data.num_classes == 2
    assert data.labels.tolist() == [0, 0, 1, 1] and data.step == Fraction(1, 255)
    raw = Image.open(imagenet / "val" / "n01443537" / "0.png").resize((426, 256), Image.BILINEAR)
    expected = np.asarray(raw.crop((101, 16, 325, 240))).transpose(2, 0, 1)
    assert (np.round(data.images[2] * 255) == expected).all()
    assert data.images[2].dtype == np.float32
    (imagenet / "val" / "n01443537" / "1.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"1.png: not a readable image"):
        data.images[3]


def test_imagenet_that_is_none(tmp_path):
    with pytest.raises(ValueError, match=r"holds no usable ImageNet"):
        datasets.load("imagenet", "test", tmp_path / "absent")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mnist",), "name must be one of cifar10, .*digits, folder, imagenet, got 'mnist'"),
        (("cifar10-jpeg",), "root must name the folder that holds cifar10_jpeg.npz, got None"),
        (("cifar10-head", "train"), "split must be 'test' for cifar10-head, got 'train'"),
        (("imagenet",), "root must name the folder that holds ImageNet, got None"),
        (("digits", "valid"), "split must be 'train' or 'test' for digits, got 'valid'"),
        (("cifar10",), "root must name the folder that holds cifar-10-batches-py, got None"),
        (("folder",), "root must name a folder with one sub-folder a class, got None"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        datasets.load(*arguments)


def test_what_classes_are_called_says_any_split_unless_they_disagree(tmp_path):
    for folder in ("train/bee", "train/ant", "val/ant", "val/bee"):
        (tmp_path / folder).mkdir(parents=True)
    assert datasets.class_names(tmp_path) == ("ant", "bee")
    assert datasets.class_names(tmp_path / "val") == ("ant", "bee")  # a folder of classes
    (tmp_path / "val/cow").mkdir()
    with pytest.raises(ValueError, match="other classes in some of train, val than in others"):
        datasets.class_names(tmp_path)
    assert datasets.class_names(tmp_path, "val") == ("ant", "bee", "cow")
    with pytest.raises(ValueError, match="holds no split 'test', but train, val"):
        datasets.class_names(tmp_path, "test")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no sub-folders, one a class"):
        datasets.class_names(tmp_path / "empty")


def fill(root, *files):
    """Small pictures, or a few bytes where the name is not that of a PNG."""
    for place, name in enumerate(files):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            Image.new("RGB", (3, 2), (place, 0, 0)).save(path)
        else:
            path.write_bytes(b"x")


@pytest.mark.parametrize(
    ("files", "split", "found"),
    [
        (("Train/a/1.png", "Val/b/1.png", "Val/c/1.png"), "val", ("b", "c")),
        (("Training/a/1.png", "Testing/b/1.png"), "test", ("b",)),
        (("Training/a/1.png", "Testing/b/1.png"), "train", ("a",)),
        (("training/a/1.png", "train/b/1.png"), "train", ("b",)),  # the name itself goes first
        (("TEST/b/1.png", "notes/n.txt"), "test", ("b",)),
        (("train/a/1.png", "train/b/1.png", "extra/a/1.png"), "train", ("a", "b")),
        # One sub-folder a class, as in Tiny-ImageNet, and images beside sub-folders.
        (("val/n1/images/1.png", "val/n2/images/2.png"), "val", ("n1", "n2")),
        (("n1/images/1.png", "n2/images/2.png"), "val", ("n1", "n2")),
        (("a/1.png", "a/x/1.png", "a/y/1.png", "b/x/1.png", "b/y/2.png"), "val", ("a", "b")),
        (("a/x/1.png", "a/y/1.png", "b/1.png"), "val", ("a", "b")),
    ],
)
def test_a_split_is_found_whatever_its_capitals(tmp_path, files, split, found):
    fill(tmp_path, *files)
    assert datasets.Dataset.from_folder(tmp_path, split).class_names == found
    assert datasets.class_names(tmp_path, split) == found


@pytest.mark.parametrize(
    ("files", "split", "words"),
    [
        (("training/a/1.png", "validation/a/1.png"), "test", "no split 'test', but training, val"),
        (("Train/a/1.png", "Val/a/1.png"), "valid", "no split 'valid', but Train, Val"),
        (("train/a/1.png", "train/b/1.png", "extra/a/1.png"), "val", "no split 'val', but train:"),
        (("Train/a/1.png", "TRAIN/a/1.png"), "train", "holds TRAIN, Train, each of which may be"),
        (("Set1/a/1.png", "Set1/b/1.png", "Set2/a/1.png", "Set2/b/1.png"), "test",
         "no images in Set1, Set2, but several sub-folders in each: root .or split. must name"),
        (("val/x/a/1.png", "val/x/b/1.png", "val/x/notes.txt", "val/x/.DS_Store"), "val",
         r"root '.*val' holds no images in x, .* as '.*val.x' may be; where x is a class, put its"),
        ([f"{i}/{c}/1.png" for i in range(7) for c in "ab"], "val", "images in 0, 1, 2, 4 more,"),
    ],
)  # fmt: skip
def test_splits_and_folders_of_folders_are_no_classes(tmp_path, files, split, words):
    """Capitals, other names and one more level made splits the classes."""
    fill(tmp_path, *files)
    for read in (datasets.Dataset.from_folder, datasets.class_names):
        with pytest.raises(ValueError, match=words):
            read(tmp_path, split)


def test_imagenet_follows_the_same_rules(tmp_path):
    fill(tmp_path, "Val/n1/1.png", "Val/n2/1.png")
    assert datasets.load("imagenet", "test", tmp_path).class_names == ("n1", "n2")
    fill(tmp_path / "deep", "val/x/n1/1.png", "val/x/n2/1.png")
    with pytest.raises(
        ValueError, match=r"no usable ImageNet: .*no images in x, but several sub-f"
    ):
        datasets.load("imagenet", "test", tmp_path / "deep")


def test_classes_of_all_splits_follow_the_same_rules(tmp_path):
    fill(tmp_path, "Training/a/1.png", "Training/b/1.png", "other/a/1.png")
    assert datasets.class_names(tmp_path) == ("a", "b")
    fill(tmp_path, "Testing/a/1.png")
    with pytest.raises(ValueError, match="other classes in some of Testing, Training than in"):
        datasets.class_names(tmp_path)
    fill(tmp_path, "deep/x/a/1.png", "deep/x/b/1.png")
    with pytest.raises(ValueError, match="holds no images in x, but several sub-folders in each"):
        datasets.class_names(tmp_path / "deep")


def test_what_is_hidden_is_neither_class_nor_image(tmp_path):
    """A notebook's .ipynb_checkpoints with an image in it was class 0."""
    fill(tmp_path, "val/a/1.png", "val/b/1.png", "val/b/in/2.png", "val/b/B.png", "val/b/in.png")
    from torchvision.datasets import ImageFolder

    theirs = ImageFolder(tmp_path / "val")
    fill(
        tmp_path, "val/.ipynb_checkpoints/1.png", "val/a/.ipynb_checkpoints/1.png", "val/a/._1.png"
    )
    (tmp_path / "val" / "b" / "._1.png").write_bytes(b"no image")
    data = datasets.Dataset.from_folder(tmp_path, "val")
    assert data.class_names == datasets.class_names(tmp_path, "val") == ("a", "b")
    assert data.labels.tolist() == theirs.targets == [0, 1, 1, 1, 1]
    assert data.files == tuple(
        Path(path).relative_to(tmp_path / "val").as_posix() for path, _ in theirs.samples
    )


@pytest.mark.parametrize("name", ["folder", "imagenet"])
def test_what_is_left_out_is_said_once(tmp_path, name):
    fill(tmp_path, "val/a/1.png", "val/b/1.png", "val/b/x.txt", "val/b/x.JSON", "val/b/.x.gif")
    datasets.load(name, "val", tmp_path)  # nothing to be said: a warning would be an error
    fill(tmp_path, "val/a/x/2.gif", "val/b/3.jfif", "val/b/4.GIF")
    with pytest.warns(UserWarning, match="left out") as caught:
        data = datasets.load(name, "val", tmp_path)
    assert len(data) == 2 and len(caught) == 1 and caught[0].filename == __file__
    said = str(caught[0].message)
    assert said.startswith(f"{tmp_path / 'val'}: 3 files are left out, for example ")
    assert f"{tmp_path / 'val' / 'a' / 'x' / '2.gif'}: only what ends in .jpg, " in said
    (tmp_path / "val" / "a" / "1.png").unlink()
    with pytest.raises(ValueError, match=r"a holds no images \(files that end in .*, but .*2.gif"):
        datasets.load(name, "val", tmp_path)
