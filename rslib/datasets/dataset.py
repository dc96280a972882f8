"""What a data set is: images on a grid, their labels, and what they are called."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from rslib import _checks
from rslib.datasets.images import BYTE_STEP, ImageFiles, Reading, in_words, measure

__all__ = ["Dataset"]

_CHECKED_AT_ONCE = 2**20


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with labels.

    Attributes
    ----------
    name, split : str
        What `load` was asked for.
    images : numpy.ndarray
        Float32 (N, channels, height, width) in [0, 1], on the grid of ``step``. For ``imagenet``
        and large folders an object with the same ``shape`` whose ``images[i]`` reads image i from
        its file. From `from_arrays` any shape (N, ...) and range.
    labels : numpy.ndarray
        Int64 (N,), classes 0 to ``num_classes`` - 1; from `from_files` -1, for not known.
    step : fractions.Fraction
        Distance of neighbouring grid values, in input units.
    num_classes : int
        Number of classes K.
    class_names : tuple of str or None
        Name of each class, where they have names.
    files : tuple of str or None
        For each image its file, as a path with / from the folder that was read.
    reading : Reading or None
        How a file became an image, where `load` was told so.
    """

    name: str
    split: str
    images: np.ndarray | ImageFiles
    labels: np.ndarray
    step: Fraction
    num_classes: int
    class_names: tuple[str, ...] | None = None
    files: tuple[str, ...] | None = None
    reading: Reading | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return tuple(self.images.shape[1:])

    @classmethod
    def from_folder(
        cls,
        root: str | Path,
        split: str = "test",
        *,
        channels: int = 3,
        resize: int | None = None,
        crop: int | None = None,
    ) -> Dataset:
        """A folder with one sub-folder of images a class: `load` with the name ``folder``.

        Parameters
        ----------
        root, split, channels, resize, crop
            See `load` and `Reading`.

        Returns
        -------
        Dataset

        Raises
        ------
        ValueError
            Names the argument, or the file that cannot be read exactly.
        """
        from rslib.datasets.named import load

        return load("folder", split, root, channels=channels, resize=resize, crop=crop)

    @classmethod
    def from_arrays(
        cls,
        images,
        labels,
        step: float | str | Fraction,
        *,
        num_classes: int | None = None,
        class_names: Sequence[str] | None = None,
        files: Sequence[str] | None = None,
        name: str = "arrays",
        split: str = "test",
    ) -> Dataset:
        """Images and labels that are in memory.

        Parameters
        ----------
        images : array_like
            (N, ...). Floats are values on the grid of ``step``, before any normalisation (which
            belongs into the network: `rslib.models.wrap`). Whole numbers count steps: 8-bit
            pixels with a step of 1/255 become values in [0, 1].
        labels : array_like
            Whole (N,), from 0.
        step : float, str or Fraction
            Distance of neighbouring grid values; a float stands for its shortest decimal.
        num_classes : int, optional
            Default: as many as there are names, or the largest label and one.
        class_names, files : sequence of str, optional
            What classes, and images, are called.
        name, split : str
            What the data set is called.

        Returns
        -------
        Dataset
            Images as float32.

        Raises
        ------
        ValueError, TypeError
            Names the argument and its value: images off the grid, not finite, more steps than
            float32 can count, or not as many as labels; labels that are no classes.

        Examples
        --------
        >>> pixels = np.array([[[[0, 255], [51, 102]]]], np.uint8)
        >>> data = Dataset.from_arrays(pixels, [1], "1/255")
        >>> data.images.ravel().round(2).tolist(), data.shape, data.num_classes
        ([0.0, 1.0, 0.20000000298023224, 0.4000000059604645], (1, 2, 2), 2)
        """
        step = _step(step)
        images = _on_grid(np.asarray(images), step)
        labels = np.asarray(labels)
        if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
            raise ValueError(
                f"labels must be whole numbers, one for each of {len(images)} images, got "
                f"{labels.dtype} of shape {labels.shape}"
            )
        labels = labels.astype(np.int64)
        names = None if class_names is None else tuple(map(str, class_names))
        if num_classes is None:
            num_classes = len(names) if names else max(2, int(labels.max()) + 1)
        num_classes = _checks.whole("num_classes", num_classes, 2)
        if labels.min() < 0 or labels.max() >= num_classes:
            wrong = labels[(labels < 0) | (labels >= num_classes)][0]
            raise ValueError(f"labels must lie from 0 to {num_classes - 1}, got {wrong}")
        if names is not None and len(names) != num_classes:
            raise ValueError(
                f"class_names must name each of {num_classes} classes, got {len(names)} names"
            )
        files = None if files is None else tuple(map(str, files))
        if files is not None and len(files) != len(labels):
            raise ValueError(f"files must name each of {len(labels)} images, got {len(files)}")
        return cls(name, split, images, labels, step, num_classes, names, files)

    @classmethod
    def from_files(
        cls,
        paths: Sequence[str | Path],
        num_classes: int,
        *,
        class_names: Sequence[str] | None = None,
        channels: int = 3,
        resize: int | None = None,
        crop: int | None = None,
    ) -> Dataset:
        """Image files whose classes are not known: what a classifier is asked about.

        Parameters
        ----------
        paths : sequence of str or Path
            The files, of one size or made so. Each is read when its turn comes.
        num_classes : int
            Number of classes K.
        class_names : sequence of str, optional
            What classes are called.
        channels, resize, crop
            See `Reading`.

        Returns
        -------
        Dataset

        Raises
        ------
        ValueError
            Names the argument, or the file that cannot be read exactly or is of another size.
        """
        named, reading = list(map(str, paths)), Reading(channels, resize, crop)
        if not named:
            raise ValueError("paths must name at least one image file, got none")
        names = None if class_names is None else tuple(map(str, class_names))
        if names is not None and len(names) != num_classes:
            raise ValueError(
                f"class_names must name each of {num_classes} classes, got {len(names)} names"
            )
        sizes = [measure(path, reading) for path in named]
        images = ImageFiles(named, sizes[0], reading)
        for path, size in zip(named, sizes):
            images.check_size(path, *size)
        unknown = np.full(len(named), -1, np.int64)
        files = tuple(map(in_words, named))
        return cls("files", "test", images, unknown, BYTE_STEP, num_classes, names, files, reading)

    def sample(self, count: int, seed: int = 0) -> list[int]:
        """Examples drawn at random, as many of each class as can be.

        Parameters
        ----------
        count : int
            How many, at most all.
        seed : int
            Fixes the draw, from 0 to 2³² - 1. A smaller sample with the same seed is part of a
            larger one.

        Returns
        -------
        list of int
            Their indices, ascending. Two classes differ by one example at most, unless a class
            has no more.
        """
        _checks.whole("count", count, 1, len(self))
        _checks.whole("seed", seed, 0, 2**32 - 1)
        # RandomState's stream is frozen by NumPy's compatibility policy; Generator's is not.
        order = np.random.RandomState(seed).permutation(len(self))
        turn = np.empty(len(self), np.int64)  # the how manieth of its class each is
        for label in range(self.num_classes):
            members = order[self.labels[order] == label]
            turn[members] = np.arange(len(members))
        chosen = order[np.argsort(turn[order], kind="stable")][:count]
        return sorted(chosen.tolist())

    def digest(self, indices: Iterable[int] | None = None) -> str:
        """SHA-256 of examples as the network gets them, pixels and then the label of each in turn.

        Parameters
        ----------
        indices : iterable of int, optional
            Which examples; default all. Each is read once, one at a time.

        Returns
        -------
        str
            In hexadecimal. Equally many others of this shape differ in it; neither names nor
            places of files are in it.

        Raises
        ------
        ValueError, TypeError
            For an index that names no example, and an image that cannot be read.
        """
        found = hashlib.sha256()
        for index in range(len(self)) if indices is None else indices:
            i = _checks.whole("index", index, 0, len(self) - 1)
            found.update(np.ascontiguousarray(self.images[i], dtype="<f4").tobytes())
            found.update(np.int64(self.labels[i]).astype("<i8").tobytes())
        return found.hexdigest()


def _step(step: float | str | Fraction) -> Fraction:
    try:
        found = Fraction(repr(step) if isinstance(step, float) else step)
    except (ValueError, TypeError, ZeroDivisionError):
        raise ValueError(
            f"step must be a number or a fraction like '1/255', got {step!r}"
        ) from None
    if found <= 0:
        raise ValueError(f"step must be positive, got {step!r}")
    return found


def _on_grid(images: np.ndarray, step: Fraction) -> np.ndarray:
    """Images as float32, or an error that names the first that is not on the grid."""
    from rslib.noise import name_grid_points  # loads torch, which reading files does not need

    if images.dtype.kind not in "fiu" or images.ndim < 2 or images.size == 0:
        raise ValueError(
            f"images must be numbers of shape (N, ...), got {images.dtype} of shape {images.shape}"
        )
    counts_steps = images.dtype.kind in "iu"
    found = np.empty(images.shape, np.float32)
    several = max(1, _CHECKED_AT_ONCE // images[0].size)
    for start in range(0, len(images), several):
        part = images[start : start + several].astype(np.float64)
        if counts_steps:
            # Divided last: k/255 rounded once, as k * (1/255) is not.
            found[start : start + several] = part * step.numerator / step.denominator
            counts = images[start : start + several]
            _counts_survive(counts, found[start : start + several], step, start)
            continue
        steps = part * step.denominator / step.numerator
        with np.errstate(invalid="ignore"):
            wrong = np.argwhere(~name_grid_points(steps, images.dtype))
            away = np.abs(steps - np.rint(steps))
        if wrong.size:
            raise ValueError(
                f"images must lie on the grid of step {step}, got images[{start + wrong[0][0]}] "
                f"with a value {away[tuple(wrong[0])]:.3g} steps off; whole numbers count "
                "steps, normalisation belongs into the network (models.wrap), and what lies on no "
                "grid can be rounded to a fine one (1/65536)"
            )
        # The grid point that is named, in the type in which the network is given it.
        found[start : start + several] = np.rint(steps) * step.numerator / step.denominator
    return found


def _counts_survive(counts: np.ndarray, values: np.ndarray, step: Fraction, start: int) -> None:
    """An error that names the first whole number of steps that float32 takes for another one."""
    named = np.rint(values.astype(np.float64) * step.denominator / step.numerator)
    # From 2**53 on the numbers compared here are rounded themselves.
    wrong = (named != counts) | (np.abs(named) >= 2.0**53)
    if wrong.any():
        where = tuple(np.argwhere(wrong)[0])
        raise ValueError(
            f"images must be held by float32, got images[{start + where[0]}] with "
            f"{counts[where]} steps of {step}, which becomes {named[where]:.0f}: count coarser "
            "steps, or from a number that lies nearer (the network can add it again)"
        )
