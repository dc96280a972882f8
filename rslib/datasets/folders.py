"""Folders of images: which sub-folder is a split, which a class, and which files are images.

The order of classes and files is that of torchvision's ImageFolder, and so are the endings of image
files. What is hidden (its name begins with a dot: the remains of notebooks and of file managers) is
neither a class nor an image.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import NamedTuple, NoReturn

from rslib.datasets.images import in_words

__all__ = ["SPLITS", "Listing", "class_names", "folder_of_split", "list_images"]

#: What parts of a data set are called.
SPLITS = ("train", "test", "val", "valid", "validation", "dev")

_ALSO = {"training": "train", "testing": "test"}  # name of a folder -> the split that it holds
_IMAGES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
# Notes that people and programs leave beside images.
_NOTES = (".txt", ".json", ".csv", ".xml", ".md", ".yml", ".yaml", ".ini", ".db")


class Listing(NamedTuple):
    """The images of a folder, under the names that torchvision's listings have."""

    classes: list[str]
    samples: list[tuple[str, int]]

    @property
    def targets(self) -> list[int]:
        """The class of each image."""
        return [label for _, label in self.samples]


def list_images(where: Path) -> Listing:
    """All images of a folder with one sub-folder a class, or an OSError or ValueError.

    Files in the class folders that are neither images nor notes are left out with a warning.
    """
    if not where.is_dir():
        raise NotADirectoryError(f"there is no folder {where}")
    classes, samples, others = _classes(where), [], []
    if not classes:
        raise FileNotFoundError(f"{where} has no sub-folders, one a class")
    for label, name in enumerate(classes):
        files = _files_under(where / name)
        images = [file for file in files if file.lower().endswith(_IMAGES)]
        left_out = [file for file in files if not file.lower().endswith(_IMAGES + _NOTES)]
        if not images:
            found = f", but {left_out[0]}" if left_out else ""
            raise FileNotFoundError(
                f"{where / name} holds no images (files that end in {', '.join(_IMAGES)}){found}"
            )
        samples += [(file, label) for file in images]
        others += left_out
    if others:
        many = "1 file is" if len(others) == 1 else f"{len(others)} files are"
        warnings.warn(
            f"{in_words(str(where))}: {many} left out, for example {in_words(others[0])}: only "
            f"what ends in {', '.join(_IMAGES)} is read (convert other images, to PNG for example)",
            stacklevel=4,  # who called load
        )
    return Listing(classes, samples)


def folder_of_split(root: Path, split: str) -> Path:
    """The folder of a split: that of its name, or root itself where root holds classes."""
    splits, named = _splits(root), _named(root, split)
    if named is not None and (splits or _folders(root / named)):
        return root / named
    if splits:
        raise ValueError(
            f"root {str(root)!r} holds no split {split!r}, but {', '.join(splits)}: name one of "
            "them as split, or, where it is a class, rename it"
        )
    return root


def class_names(root: str | os.PathLike, split: str | None = None) -> tuple[str, ...]:
    """What the classes of a ``folder`` are called, without reading its images.

    Parameters
    ----------
    root : path
        As for `load`.
    split : str, optional
        As for `load`; by default any, as long as all that ``root`` holds have the same classes.

    Returns
    -------
    tuple of str
        The names of the sub-folders, in alphabetical order: class 0 first.

    Raises
    ------
    ValueError
        If there are none, or ``root`` holds other splits only, or several that disagree, or the
        classes lie one level deeper.
    """
    root = Path(root)
    if split is None:
        splits = _splits(root)
        found, *others = [_classes(root / one) for one in splits] or [_classes(root)]
        if any(other != found for other in others):
            raise ValueError(
                f"root {str(root)!r} holds other classes in some of {', '.join(splits)} than in "
                "others: name one of them as split"
            )
    else:
        found = _classes(folder_of_split(root, split))
    if not found:
        raise ValueError(f"root {str(root)!r} holds no sub-folders, one a class")
    return tuple(map(in_words, found))


def _splits(root: Path) -> list[str]:
    """The splits that a folder holds; none where it holds classes."""
    found = _folders(root)
    splits = [name for name in found if _ALSO.get(name.lower(), name.lower()) in SPLITS]
    sure = len(splits) > 1 or splits == found or any(_is_parent(root / name) for name in splits)
    return splits if sure else []


def _named(root: Path, split: str) -> str | None:
    """The sub-folder of a split, whatever its capitals; None where there is none."""
    found = _folders(root)
    if split in found:
        return split
    named = [name for name in found if _ALSO.get(name.lower(), name.lower()) == split]
    if len(named) > 1:
        raise ValueError(
            f"root {str(root)!r} holds {', '.join(named)}, each of which may be the split "
            f"{split!r}: rename all but one"
        )
    return named[0] if named else None


def _classes(where: Path) -> list[str]:
    """The sub-folders of a folder of classes; a ValueError where the classes lie deeper."""
    found = _folders(where)
    if found and all(_is_parent(where / name) for name in found):
        shown = found if len(found) < 5 else [*found[:3], f"{len(found) - 3} more"]
        raise ValueError(
            f"root {str(where)!r} holds no images in {', '.join(shown)}, but several sub-folders "
            "in each: root (or split) must name the folder whose sub-folders are the classes, as "
            f"{str(where / found[0])!r} may be; where {found[0]} is a class, put its images right "
            "into it"
        )
    return found


def _is_parent(path: Path) -> bool:
    """Whether a folder looks like one of classes: several sub-folders, no file but notes.

    One sub-folder is no sign: some data sets keep the images of each class in one.
    """
    if len(_folders(path)) < 2:
        return False
    files = (one.name.lower() for one in path.iterdir() if one.is_file())
    return all(name.startswith(".") or name.endswith(_NOTES) for name in files)


def _folders(path: Path) -> list[str]:
    """The names of the sub-folders that are not hidden, in alphabetical order."""
    if not path.is_dir():
        return []
    found = (one.name for one in path.iterdir() if one.is_dir())
    return sorted(name for name in found if not name.startswith("."))


def _files_under(top: Path) -> list[str]:
    """All files of a folder and its sub-folders, hidden ones aside, in ImageFolder's order."""
    found = []
    for folder, inner, names in os.walk(top, onerror=_unreadable, followlinks=True):
        inner[:] = [name for name in inner if not name.startswith(".")]
        found.append((folder, sorted(name for name in names if not name.startswith("."))))
    return [os.path.join(folder, name) for folder, names in sorted(found) for name in names]


def _unreadable(error: OSError) -> NoReturn:
    raise error
