"""Images on a grid: every data set carries the step that the exact noise needs.

An image here is float32 in [0, 1] and every value is a whole multiple of the data set's step:
1/16 for scikit-learn's digits, 1/255 for 8-bit images.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np

__all__ = ["DATASETS", "Dataset", "load"]

_BYTE_STEP = Fraction(1, 255)
_TEST_DIGITS = 500
# What reading a broken archive may raise beside the obvious.
_DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError)


@dataclass(frozen=True)
class Dataset:
    """Images with labels.

    Attributes
    ----------
    name, split : str
        What `load` was asked for.
    images : numpy.ndarray
        Float32 (N, channels, height, width) in [0, 1], on the grid of ``step``. For ``imagenet``
        an object with the same ``shape`` whose ``images[i]`` reads image i from its file.
    labels : numpy.ndarray
        Int64 (N,), classes 0 to ``num_classes`` - 1.
    step : fractions.Fraction
        Distance of neighbouring grid values, in input units.
    num_classes : int
        Number of classes K.
    """

    name: str
    split: str
    images: np.ndarray
    labels: np.ndarray
    step: Fraction
    num_classes: int

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return tuple(self.images.shape[1:])


def _digits(split: str, root: str | None) -> Dataset:
    from sklearn.datasets import load_digits

    raw = load_digits()
    # RandomState's stream is frozen by NumPy's compatibility policy; Generator's is not.
    order = np.random.RandomState(2023).permutation(len(raw.target))
    order = order[:-_TEST_DIGITS] if split == "train" else order[-_TEST_DIGITS:]
    images = (raw.images[order] / 16.0).astype(np.float32)[:, None]
    return Dataset("digits", split, images, raw.target[order].astype(np.int64), Fraction(1, 16), 10)


def _cifar10(split: str, root: str | None) -> Dataset:
    from torchvision.datasets import CIFAR10

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
    return Dataset(
        "cifar10", split, _unit(images), np.asarray(raw.targets, dtype=np.int64), _BYTE_STEP, 10
    )


def _arrays(root: str | None, name: str, needed: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Arrays of a .npz file under root; nothing in the file is executed."""
    if root is None:
        raise ValueError(f"root must name the folder that holds {name}, got None")
    path = Path(root) / name
    try:
        # NumPy leaves a damaged file open if it opened it.
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {key: file[key] for key in needed}
    except (OSError, ValueError, LookupError, EOFError, TypeError, *_DAMAGED) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from None


def _cifar10_jpeg(split: str, root: str | None) -> Dataset:
    from PIL import Image

    name = "cifar10_jpeg.npz"
    keys = (f"{split}_jpeg", f"{split}_offset", f"{split}_label")
    data, offset, label = _arrays(root, name, keys).values()
    if data.dtype != np.uint8 or len(offset) != len(label) + 1 or offset[-1] > len(data):
        raise ValueError(f"{Path(root) / name}: {', '.join(keys)} do not belong together")
    pixels = np.empty((len(label), 3, 32, 32), np.uint8)
    for i, (start, stop) in enumerate(pairwise(offset.tolist())):
        try:
            with Image.open(io.BytesIO(data[start:stop].tobytes())) as image:
                pixels[i] = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
        except (OSError, ValueError, SyntaxError) as error:
            raise ValueError(f"{Path(root) / name}: {split} image {i}: {error}") from None
    return Dataset("cifar10-jpeg", split, _unit(pixels), label.astype(np.int64), _BYTE_STEP, 10)


def _cifar10_head(split: str, root: str | None) -> Dataset:
    if split != "test":
        raise ValueError(f"split must be 'test' for cifar10-head, got {split!r}")
    x, y = _arrays(root, "cifar10_test_head.npz", ("x", "y")).values()
    if x.dtype != np.uint8 or x.shape[1:] != (3, 32, 32) or y.shape != x.shape[:1]:
        raise ValueError(f"{Path(root) / 'cifar10_test_head.npz'}: x and y do not belong together")
    return Dataset("cifar10-head", split, _unit(x), y.astype(np.int64), _BYTE_STEP, 10)


class _Files:
    """Images read from their files one at a time: what does not fit into memory as an array."""

    def __init__(self, paths: list[str], shape: tuple[int, ...], read: Callable) -> None:
        self.shape = (len(paths), *shape)
        self._paths, self._read = paths, read

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, i: int) -> np.ndarray:
        from PIL import Image

        path = self._paths[i]
        try:
            with Image.open(path) as image:
                pixels = np.asarray(self._read(image.convert("RGB")), dtype=np.uint8)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise ValueError(f"{path}: not a readable image: {error}") from None
        return _unit(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def _imagenet(split: str, root: str | None) -> Dataset:
    """Shorter side to 256 pixels, the middle 224 x 224, as the original protocol has it."""
    from torchvision import transforms
    from torchvision.datasets import ImageFolder, ImageNet

    if root is None:
        raise ValueError("root must name the folder that holds ImageNet, got None")
    part = "val" if split == "test" else "train"
    where = Path(root) / part
    try:
        if (Path(root) / "meta.bin").exists() or any(Path(root).glob("ILSVRC2012_devkit_*")):
            listing = ImageNet(root, split=part)
        else:
            listing = ImageFolder(str(where if where.is_dir() else root))
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"root {str(root)!r} holds no usable ImageNet: {error}") from None
    crop = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])
    images = _Files([path for path, _ in listing.samples], (3, 224, 224), crop)
    labels = np.asarray(listing.targets, dtype=np.int64)
    return Dataset("imagenet", split, images, labels, _BYTE_STEP, len(listing.classes))


def _folder(split: str, root: str | None) -> Dataset:
    from PIL import Image
    from torchvision.datasets import ImageFolder

    if root is None:
        raise ValueError("root must name a folder with one sub-folder a class, got None")
    where = Path(root) / split if (Path(root) / split).is_dir() else Path(root)
    try:
        listing = ImageFolder(str(where))
    except OSError as error:
        raise ValueError(f"root {str(root)!r} is not a folder of images: {error}") from None
    images = []
    for path, _ in listing.samples:
        try:
            with Image.open(path) as image:
                images.append(np.asarray(image.convert("RGB"), dtype=np.uint8))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise ValueError(f"{path}: not a readable image: {error}") from None
        if images[-1].shape != images[0].shape:
            raise ValueError(
                f"{path}: {images[-1].shape[1]} x {images[-1].shape[0]} pixels, where the first "
                f"image has {images[0].shape[1]} x {images[0].shape[0]}: images must be of one size"
            )
    stack = np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
    labels = np.asarray(listing.targets, dtype=np.int64)
    return Dataset("folder", split, _unit(stack), labels, _BYTE_STEP, len(listing.classes))


def _unit(pixels: np.ndarray) -> np.ndarray:
    """8-bit pixels as float32 in [0, 1]; the division is correctly rounded."""
    return pixels.astype(np.float32) / np.float32(255)


#: Name of a data set -> how it is read.
DATASETS = {
    "digits": _digits,
    "cifar10": _cifar10,
    "cifar10-jpeg": _cifar10_jpeg,
    "cifar10-head": _cifar10_head,
    "imagenet": _imagenet,
    "folder": _folder,
}


def load(name: str, split: str = "test", root: str | Path | None = None) -> Dataset:
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
        ``folder``: ``root`` (or its sub-folder ``split``) holds one sub-folder of equally large
        images a class, classes in alphabetical order.
    split : {"train", "test"}
        Which part.
    root : str or Path, optional
        Where the files are; digits need none.

    Returns
    -------
    Dataset
        Images on the grid, labels, step.

    Raises
    ------
    ValueError
        Names the argument, or the file that cannot be read.

    Examples
    --------
    >>> digits = load("digits", "test")
    >>> digits.images.shape, str(digits.step), int(digits.labels[0])
    ((500, 1, 8, 8), '1/16', 7)
    """
    if name not in DATASETS:
        raise ValueError(f"name must be one of {', '.join(sorted(DATASETS))}, got {name!r}")
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    return DATASETS[name](split, None if root is None else str(root))
