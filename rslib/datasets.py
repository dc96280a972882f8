"""Images on a grid: every data set carries the step that the exact noise needs.

An image here is float32 in [0, 1] and every value is a whole multiple of the data set's step:
1/16 for scikit-learn's digits, 1/255 for 8-bit images.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

__all__ = ["DATASETS", "Dataset", "load"]

_BYTE_STEP = Fraction(1, 255)
_TEST_DIGITS = 500


@dataclass(frozen=True)
class Dataset:
    """Images with labels.

    Attributes
    ----------
    name, split : str
        What `load` was asked for.
    images : numpy.ndarray
        Float32 (N, channels, height, width) in [0, 1], on the grid of ``step``.
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
DATASETS = {"digits": _digits, "cifar10": _cifar10, "folder": _folder}


def load(name: str, split: str = "test", root: str | Path | None = None) -> Dataset:
    """Read a data set.

    Parameters
    ----------
    name : {"digits", "cifar10", "folder"}
        ``digits``: scikit-learn's 1,797 digits of 8 x 8 pixels, split once for all into 1,297 for
        training and 500 for testing. ``cifar10``: from torchvision's folder under ``root``.
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
