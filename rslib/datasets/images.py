"""Image files: read exactly from 8 bits a channel, or refused by file and mode.

Pillow turns every file into some image. A 16-bit grey PNG becomes black and white, the lower half
of 16-bit colours is dropped, and what lies under a transparent pixel comes to light: a certificate
would be about an image that nobody has seen. What the step of 1/255 does not hold is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from rslib import _checks

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

__all__ = ["BYTE_STEP", "ImageFiles", "Reading", "read_image"]

#: Distance of neighbouring values of an 8-bit image in [0, 1].
BYTE_STEP = Fraction(1, 255)

_FORMATS = {"PNG", "JPEG", "MPO", "BMP", "PPM", "TIFF", "WEBP"}
_MODES = {"1", "L", "P", "RGB"}
# How the pixels lie in the file, in Pillow's words. 1, 2 and 4 bits of grey go into 8 without
# rest (255 is a multiple of 1, 3 and 15); a 16-bit colour has mode RGB too, and another raw mode.
_RAW = {"1", "L", "L;2", "L;4", "P", "P;1", "P;2", "P;4", "RGB", "BGR", "BGRX", "R", "G", "B"}
# The field in which a TIFF says what its numbers are; 1 is unsigned (TIFF 6.0, section 19). Pillow
# reads the -1 of a signed one as 255.
_SAMPLE_FORMAT, _UNSIGNED = 339, 1
_REMEDY = (
    "only 8 bits a channel are read, grey, coloured or by an opaque palette: "
    "convert the file as you see fit, to an 8-bit RGB or grey PNG"
)


@dataclass(frozen=True)
class Reading:
    """How a file becomes the image that is classified.

    Attributes
    ----------
    channels : {3, 1}
        3: grey images get three equal channels. 1: grey images stay grey, others are refused.
    resize : int, optional
        Pixels that the shorter side is brought to, by Pillow's bilinear filter on 8-bit values.
    crop : int, optional
        Side of the square that is cut out of the middle, after resizing.

    Raises
    ------
    ValueError, TypeError
        Names the argument and its value.
    """

    channels: int = 3
    resize: int | None = None
    crop: int | None = None

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, got {self.channels!r}")
        for name in ("resize", "crop"):
            if getattr(self, name) is not None:
                _checks.whole(name, getattr(self, name))
        if self.resize and self.crop and self.crop > self.resize:
            raise ValueError(
                f"crop must be at most resize, which is {self.resize}, got {self.crop}"
            )

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of what an image of this size becomes.

        Raises
        ------
        ValueError
            If the image is smaller than the crop.
        """
        width, height = self._resized(width, height)
        if self.crop is None:
            return width, height
        if self.crop > min(width, height):
            raise ValueError(
                f"{width} x {height} pixels, smaller than the crop of {self.crop}: "
                "resize makes it larger"
            )
        return self.crop, self.crop

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        if self.resize is None:
            return width, height
        longer = int(self.resize * max(width, height) / min(width, height))
        return (self.resize, longer) if width <= height else (longer, self.resize)

    def arrange(self, image: Image) -> Image:
        """The image resized and cropped, as torchvision's Resize and CenterCrop do it."""
        from PIL import Image

        size = self._resized(*image.size)
        if size != image.size:
            image = image.resize(size, Image.Resampling.BILINEAR)
        if self.crop is None:
            return image
        left, top = (round((side - self.crop) / 2) for side in image.size)
        return image.crop((left, top, left + self.crop, top + self.crop))


def read_image(path, *, channels: int = 3, resize: int | None = None, crop: int | None = None):
    """One image file as a base classifier sees it.

    Parameters
    ----------
    path : str or Path
        PNG, JPEG, BMP, PPM, TIFF or WebP with 8 bits a channel, or fewer.
    channels, resize, crop
        See `Reading`.

    Returns
    -------
    numpy.ndarray
        Float32 (channels, height, width) in [0, 1], on the grid of step 1/255.

    Raises
    ------
    ValueError
        Names the file, and what keeps it from being read exactly: 16 bits a channel,
        transparency, CMYK, floats, several pictures in one file, colours where channels=1.
    """
    return unit(read_pixels(path, str(path), Reading(channels, resize, crop)))


def read_pixels(source: str | BinaryIO, name: str, reading: Reading) -> np.ndarray:
    """Uint8 (channels, height, width); errors name the file."""
    from PIL import Image

    pixels = None
    try:
        with Image.open(source) as image:
            why = _why_not(image) or _misfit(reading, image)
            if why is None:
                exact = _grey(image) if reading.channels == 1 else image.convert("RGB")
                if exact is None:
                    why = "it has colours, where channels=1 takes grey images"
                else:
                    pixels = np.asarray(reading.arrange(exact), dtype=np.uint8)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{name}: not a readable image: {error}") from None
    if why is not None:
        raise ValueError(f"{name}: {why}")
    assert pixels is not None  # or there would be a reason why not
    if pixels.ndim == 2:
        return pixels[None]
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def measure(path: str, reading: Reading) -> tuple[int, int]:
    """Width and height of what a file becomes, from its head; errors name the file."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            why = _why_not(image) or _misfit(reading, image)
            size = image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not a readable image: {error}") from None
    if why is not None:
        raise ValueError(f"{path}: {why}")
    return reading.size(*size)


def _misfit(reading: Reading, image: Image) -> str | None:
    try:
        reading.size(*image.size)
    except ValueError as error:
        return str(error)
    return None


def _why_not(image: ImageFile) -> str | None:
    """Why an image that Pillow has opened, but not yet read, cannot be had exactly."""
    what = f"{image.format} of mode {image.mode}"
    if image.format not in _FORMATS:
        return f"{what}: the format is not among {', '.join(sorted(_FORMATS))}"
    if getattr(image, "is_animated", False) and image.format != "MPO":
        # Only readers of such formats have the number.
        return f"{what}: it holds {getattr(image, 'n_frames', 'several')} pictures: keep one"
    palette = image.mode == "P" and image.palette is not None and image.palette.mode
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        return f"{what} with transparency: {_REMEDY}"
    if palette and palette.endswith("A"):
        return f"{what} with transparency: {_REMEDY}"
    if image.mode not in _MODES:
        return f"{what}: {_REMEDY}"
    kinds = getattr(image, "tag_v2", {}).get(_SAMPLE_FORMAT, ())
    if image.format == "TIFF" and any(kind != _UNSIGNED for kind in kinds):
        return f"{what} with signed samples (SampleFormat {kinds[0]}): {_REMEDY}"
    for decoder, _, _, arguments in image.tile:
        assert arguments is not None  # all readers of _FORMATS say how the pixels lie
        raw = arguments if isinstance(arguments, str) else arguments[0]
        # Letters behind the number of bits say in which order they lie.
        if raw.rstrip("IR").rstrip(";") not in _RAW and raw not in _RAW:
            return f"{what}, stored as {raw}: {_REMEDY}"
        if decoder in ("ppm", "ppm_plain") and arguments[1] != 255:
            return f"{what} with values up to {arguments[1]}: {_REMEDY}"
    return None


def _grey(image: Image) -> Image | None:
    """An exact image in one channel; None where it has colours."""
    if image.mode in ("1", "L"):
        return image.convert("L")
    red, green, blue = image.convert("RGB").split()
    return red if red.tobytes() == green.tobytes() == blue.tobytes() else None


def in_words(path: str) -> str:
    """A path as a text that can be printed and kept: bytes that are no UTF-8 stand as escapes."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class ImageFiles:
    """Images read from their files one at a time: what does not fit into memory as an array.

    Parameters
    ----------
    paths : sequence of str
        The files.
    size : (int, int)
        Width and height that each becomes.
    reading : Reading
        How.

    Attributes
    ----------
    shape : tuple of int
        (N, channels, height, width), as an array's.
    """

    def __init__(self, paths: Sequence[str], size: tuple[int, int], reading: Reading) -> None:
        width, height = size
        self.shape = (len(paths), reading.channels, height, width)
        self._paths, self._reading = tuple(paths), reading

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, i: int) -> np.ndarray:
        path = self._paths[i]
        pixels = read_pixels(path, path, self._reading)
        self.check_size(path, pixels.shape[2], pixels.shape[1])
        return unit(pixels)

    def check_size(self, path: str, width: int, height: int) -> None:
        """A ValueError that names the file unless it has the size of the first."""
        if (height, width) != self.shape[2:]:
            raise ValueError(
                f"{path}: {width} x {height} pixels, where the first image has "
                f"{self.shape[3]} x {self.shape[2]}: images must be of one size "
                "(resize and crop make them so)"
            )

    def in_memory(self) -> np.ndarray:
        """All of them, as one array."""
        images = np.empty(self.shape, np.float32)
        for i in range(len(self)):
            images[i] = self[i]
        return images


def unit(pixels: np.ndarray) -> np.ndarray:
    """8-bit pixels as float32 in [0, 1]; the division is correctly rounded."""
    return pixels.astype(np.float32) / np.float32(255)
