"""The data sets that have a name, and how each is read."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np

from rslib.datasets.dataset import Dataset
from rslib.datasets.folders import SPLITS, folder_of_split, list_images
from rslib.datasets.images import (
    BYTE_STEP,
    ImageFiles,
    Reading,
    in_words,
    measure,
    read_pixels,
    unit,
)

__all__ = ["DATASETS", "load"]

_TEST_DIGITS = 500
_CIFAR10_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship",
                  "truck")  # fmt: skip
# A folder's images are kept in memory where they need no more bytes than this.
_IN_MEMORY = 2**31
# What reading a broken archive may raise beside the obvious.
_DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError)


def _train_or_test(name: str, split: str) -> None:
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test' for {name}, got {split!r}")


def _digits(split: str, root: str | None) -> Dataset:
    from sklearn.datasets import load_digits

    _train_or_test("digits", split)
    raw = load_digits()
    # RandomState's stream is frozen by NumPy's compatibility policy; Generator's is not.
    order = np.random.RandomState(2023).permutation(len(raw.target))
    order = order[:-_TEST_DIGITS] if split == "train" else order[-_TEST_DIGITS:]
    images = (raw.images[order] / 16.0).astype(np.float32)[:, None]
    labels = raw.target[order].astype(np.int64)
    return Dataset("digits", split, images, labels, Fraction(1, 16), 10, tuple("0123456789"))


def _cifar10(split: str, root: str | None) -> Dataset:
    from torchvision.datasets import CIFAR10

    _train_or_test("cifar10", split)
    if root is None:
        raise ValueError("root must name the folder that holds cifar-10-batches-py, got None")
    try:
        raw = CIFAR10(root, train=split == "train", download=False)
    except (RuntimeError, OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"root {str(root)!r} holds no usable CIFAR-10: {error} "
            "(torchvision.datasets.CIFAR10(root, download=True) fetches it)"
        ) from None
    images = np.ascontiguousarray(raw.data.transpose(0, 3, 1, 2))
    return _cifar("cifar10", split, images, np.asarray(raw.targets))


def _cifar(name: str, split: str, pixels: np.ndarray, labels: np.ndarray) -> Dataset:
    labels = labels.astype(np.int64)
    return Dataset(name, split, unit(pixels), labels, BYTE_STEP, 10, _CIFAR10_NAMES)


def _file(root: str | None, name: str) -> Path:
    if root is None:
        raise ValueError(f"root must name the folder that holds {name}, got None")
    return Path(root) / name


def _arrays(path: Path, needed: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Arrays of a .npz file; nothing in the file is executed."""
    try:
        # NumPy leaves a damaged file open if it opened it.
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {key: file[key] for key in needed}
    except (OSError, ValueError, LookupError, EOFError, TypeError, *_DAMAGED) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from None


def _cifar10_jpeg(split: str, root: str | None) -> Dataset:
    _train_or_test("cifar10-jpeg", split)
    path = _file(root, "cifar10_jpeg.npz")
    keys = (f"{split}_jpeg", f"{split}_offset", f"{split}_label")
    data, offset, label = _arrays(path, keys).values()
    if data.dtype != np.uint8 or len(offset) != len(label) + 1 or offset[-1] > len(data):
        raise ValueError(f"{path}: {', '.join(keys)} do not belong together")
    pixels = np.empty((len(label), 3, 32, 32), np.uint8)
    for i, (start, stop) in enumerate(pairwise(offset.tolist())):
        which = f"{path}: {split} image {i}"
        one = read_pixels(io.BytesIO(data[start:stop].tobytes()), which, Reading())
        if one.shape != (3, 32, 32):
            raise ValueError(f"{which}: {one.shape[2]} x {one.shape[1]} pixels, must be 32 x 32")
        pixels[i] = one
    return _cifar("cifar10-jpeg", split, pixels, label)


def _cifar10_head(split: str, root: str | None) -> Dataset:
    if split != "test":
        raise ValueError(f"split must be 'test' for cifar10-head, got {split!r}")
    path = _file(root, "cifar10_test_head.npz")
    x, y = _arrays(path, ("x", "y")).values()
    if x.dtype != np.uint8 or x.shape[1:] != (3, 32, 32) or y.shape != x.shape[:1]:
        raise ValueError(f"{path}: x and y do not belong together")
    return _cifar("cifar10-head", split, x, y)


def _imagenet(split: str, root: str | None) -> Dataset:
    """Shorter side to 256 pixels, the middle 224 x 224, as the original protocol has it."""
    from torchvision.datasets import ImageNet

    if split not in ("train", "test", "val"):
        raise ValueError(f"split must be 'train', 'val' or 'test' for imagenet, got {split!r}")
    if root is None:
        raise ValueError("root must name the folder that holds ImageNet, got None")
    part = "train" if split == "train" else "val"
    official = (Path(root) / "meta.bin").exists() or any(Path(root).glob("ILSVRC2012_devkit_*"))
    where = Path(root) / part if official else folder_of_split(Path(root), part)
    try:
        listing = ImageNet(root, split=part) if official else list_images(where)
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"root {str(root)!r} holds no usable ImageNet: {error}") from None
    names = listing.classes
    if official:  # each has synonyms
        names = [", ".join(synonyms) for synonyms in names]
    reading = Reading(3, 256, 224)
    images = ImageFiles([path for path, _ in listing.samples], (224, 224), reading)
    return _listed("imagenet", split, where, listing, names, images, reading)


def _listed(name, split, where, listing, names, images, reading) -> Dataset:
    """The data set of a listing, torchvision's or ours."""
    paths = (Path(path).relative_to(where).as_posix() for path, _ in listing.samples)
    labels, names = np.asarray(listing.targets, dtype=np.int64), tuple(map(in_words, names))
    files = tuple(map(in_words, paths))
    return Dataset(name, split, images, labels, BYTE_STEP, len(names), names, files, reading)


def _folder(split: str, root: str | None, reading: Reading | None = None) -> Dataset:
    reading = Reading() if reading is None else reading
    if root is None:
        raise ValueError("root must name a folder with one sub-folder a class, got None")
    where = folder_of_split(Path(root), split)
    try:
        listing = list_images(where)
    except OSError as error:
        raise ValueError(f"root {str(root)!r} is not a folder of images: {error}") from None
    paths = [path for path, _ in listing.samples]
    of_files = ImageFiles(paths, measure(paths[0], reading), reading)
    images: np.ndarray | ImageFiles = of_files
    if 4 * np.prod(of_files.shape, dtype=object) <= _IN_MEMORY:
        images = of_files.in_memory()
    else:
        for path in paths:  # what can be known without reading the pixels, before hours of work
            of_files.check_size(path, *measure(path, reading))
    return _listed("folder", split, where, listing, listing.classes, images, reading)


#: Name of a data set -> how it is read.
DATASETS = {
    "digits": _digits,
    "cifar10": _cifar10,
    "cifar10-jpeg": _cifar10_jpeg,
    "cifar10-head": _cifar10_head,
    "imagenet": _imagenet,
    "folder": _folder,
}


def load(
    name: str,
    split: str = "test",
    root: str | os.PathLike | None = None,
    *,
    channels: int | None = None,
    resize: int | None = None,
    crop: int | None = None,
) -> Dataset:
    """Read a data set.

    Parameters
    ----------
    name : {"digits", "cifar10", "cifar10-jpeg", "cifar10-head", "imagenet", "folder"}
        ``digits``: scikit-learn's 1,797 digits of 8 x 8 pixels, split once for all into 1,297 for
        training and 500 for testing. ``cifar10``: from torchvision's folder under ``root``; the
        published subset is every 20th test image. ``cifar10-jpeg``: all of CIFAR-10, re-encoded
        as JPEG, from ``root/cifar10_jpeg.npz``: not the same images, so under its own name.
        ``cifar10-head``: the first 932 test images as they are, from
        ``root/cifar10_test_head.npz``. ``imagenet``: from ``root/val`` (or ``train``), resized and
        cropped to 224 x 224; ``test`` means the validation images, of which every 100th is the
        published subset. With torchvision's ``meta.bin`` or the development kit beside them,
        torchvision's own ImageNet class reads them.
        ``folder``: ``root/split`` (or ``root`` itself, unless it holds other splits) holds one
        sub-folder of images a class, classes in alphabetical order. The folder of a split may
        have capitals, and ``training`` and ``testing`` stand for ``train`` and ``test``. Hidden
        files and folders are left out, and with a warning what does not end as images do. Images
        are of one size, or become so by ``resize`` and ``crop``. More than 2 GiB of them are read
        when asked for.
    split : {"train", "test", "val", "valid", "validation", "dev"}
        Which part; all but ``folder`` have ``train`` and ``test`` only, and ``imagenet`` ``val``.
    root : str or Path, optional
        Where the files are; digits need none.
    channels, resize, crop : int, optional
        How files of a ``folder`` become images, see `Reading`; default three channels, as they
        are.

    Returns
    -------
    Dataset
        Images on the grid, labels, step.

    Raises
    ------
    ValueError
        Names the argument, or the file that cannot be read exactly.

    Examples
    --------
    >>> digits = load("digits", "test")
    >>> digits.images.shape, str(digits.step), int(digits.labels[0])
    ((500, 1, 8, 8), '1/16', 7)
    """
    if name not in DATASETS:
        raise ValueError(f"name must be one of {', '.join(sorted(DATASETS))}, got {name!r}")
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    root = None if root is None else str(root)
    if name == "folder":
        return _folder(split, root, Reading(3 if channels is None else channels, resize, crop))
    for argument, value in (("channels", channels), ("resize", resize), ("crop", crop)):
        if value is not None:
            raise ValueError(f"{argument} is for folder, got {value!r} with {name}")
    return DATASETS[name](split, root)
