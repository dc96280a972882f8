"""Image files are read exactly, or refused by file and mode; folders are what they seem."""

import dataclasses
import hashlib
import io
import itertools
import struct
import zlib
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from rslib import datasets
from rslib.datasets import Dataset, Reading, read_image
from rslib.datasets import named as named_module

RNG = np.random.default_rng(5)
COLOUR = RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (6, 5), dtype=np.uint8)


def opaque_palette():
    image = Image.fromarray(GREY % 4, "P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 255, 0, 128])
    return image


def png16(colour_type, channels):
    """A PNG of 16 bits a channel, which Pillow does not write in colour."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = RNG.integers(0, 65536, (6, 5 * channels)).astype(">u2")
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", 5, 6, 16, colour_type, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(raw)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# ------------------------------------------------------------------------ what is read exactly


@pytest.mark.parametrize(
    ("image", "name"),
    [
        (Image.fromarray(COLOUR), "a.png"),
        (Image.fromarray(COLOUR), "a.bmp"),
        (Image.fromarray(COLOUR), "a.ppm"),
        (Image.fromarray(COLOUR), "a.tiff"),
        (Image.fromarray(GREY), "a.png"),
        (Image.fromarray(GREY), "a.pgm"),
        (Image.fromarray(GREY), "a.tiff"),
        (Image.fromarray(GREY > 99), "a.png"),
        (opaque_palette(), "a.png"),
        (opaque_palette(), "a.bmp"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.mode,
)
def test_eight_bits_are_read_exactly(tmp_path, image, name):
    image.save(tmp_path / name)
    expected = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    found = read_image(tmp_path / name)
    assert found.dtype == np.float32 and found.shape == (3, 6, 5)
    assert (found == expected.astype(np.float32) / np.float32(255)).all()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_fewer_bits_of_grey_go_into_eight(tmp_path, bits):
    values = np.arange(2**bits, dtype=np.uint8)[None]
    file = io.BytesIO()
    # Grey of few bits, by hand: a PNG with one row.
    packed = np.packbits(np.unpackbits(values.T, axis=1)[:, 8 - bits :].ravel()).tobytes()
    head = struct.pack(">IIBBBBB", 2**bits, 1, bits, 0, 0, 0, 0)
    file.write(b"\x89PNG\r\n\x1a\n")
    for kind, data in ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0" + packed)), (b"IEND", b"")):
        file.write(struct.pack(">I", len(data)) + kind + data)
        file.write(struct.pack(">I", zlib.crc32(kind + data)))
    (tmp_path / "a.png").write_bytes(file.getvalue())
    found = read_image(tmp_path / "a.png", channels=1)
    assert np.allclose(found.ravel() * (2**bits - 1), values.ravel(), atol=1e-6)


def test_grey_stays_grey(tmp_path):
    for name, image in {
        "grey.png": Image.fromarray(GREY),
        "as_colour.png": Image.fromarray(GREY).convert("RGB"),
    }.items():
        image.save(tmp_path / name)
        found = read_image(tmp_path / name, channels=1)
        assert found.shape == (1, 6, 5) and (np.round(found[0] * 255) == GREY).all()
    Image.fromarray(COLOUR).save(tmp_path / "colour.png")
    with pytest.raises(ValueError, match=r"colour\.png: it has colours, where channels=1"):
        read_image(tmp_path / "colour.png", channels=1)


# ---------------------------------------------------------------------------- what is refused


def refused():
    """Name -> (bytes, what the error says)."""
    ramp = (np.arange(30).reshape(6, 5) * 1000).astype(np.uint16)
    alpha = np.dstack([COLOUR, GREY])
    colour = Image.fromarray(COLOUR)
    clear = opaque_palette()
    cases = {
        "grey16.png": (Image.fromarray(ramp), {}, "PNG of mode I;16: only 8 bits"),
        "grey16.tiff": (Image.fromarray(ramp), {}, "TIFF of mode I;16: only 8 bits"),
        "grey32.tiff": (Image.fromarray(ramp.astype(np.int32)), {}, "TIFF of mode I: only"),
        "float.tiff": (Image.fromarray(ramp.astype(np.float32)), {}, "TIFF of mode F: only"),
        "alpha.png": (Image.fromarray(alpha), {}, "PNG of mode RGBA with transparency"),
        "alpha.webp": (
            Image.fromarray(alpha), {"lossless": True}, "WEBP of mode RGBA with transparency",
        ),
        "grey_alpha.png": (
            Image.fromarray(alpha[:, :, 2:], "LA"), {}, "PNG of mode LA with transparency",
        ),
        "one_clear.png": (colour, {"transparency": (1, 2, 3)}, "PNG of mode RGB with transparency"),
        "grey_clear.png": (
            Image.fromarray(GREY), {"transparency": 3}, "PNG of mode L with transparency",
        ),
        "palette.png": (clear, {"transparency": 2}, "PNG of mode P with transparency"),
        "cmyk.jpg": (colour.convert("CMYK"), {}, "JPEG of mode CMYK: only 8 bits"),
        "cmyk.tiff": (colour.convert("CMYK"), {}, "TIFF of mode CMYK: only 8 bits"),
        "lab.tiff": (Image.fromarray(COLOUR, "LAB"), {}, "TIFF of mode LAB: only 8 bits"),
        "ycc.tiff": (colour.convert("YCbCr"), {}, "TIFF of mode YCbCr: only 8 bits"),
        "two.png": (
            colour, {"save_all": True, "append_images": [colour.rotate(90)]}, "holds 2 pictures",
        ),
        "two.tiff": (
            colour, {"save_all": True, "append_images": [colour.rotate(90)]}, "holds 2 pictures",
        ),
        "gif.png": (Image.fromarray(GREY), {"format": "GIF"}, "GIF of mode P: the format is not"),
    }  # fmt: skip
    found = {}
    for name, (image, options, message) in cases.items():
        file = io.BytesIO()
        kinds = {"png": "PNG", "tiff": "TIFF", "webp": "WEBP", "jpg": "JPEG"}
        image.save(file, **{"format": kinds[name.split(".")[1]], **options})
        found[name] = file.getvalue(), message
    found["rgb16.png"] = png16(2, 3), "PNG of mode RGB, stored as RGB;16B: only 8 bits"
    found["rgba16.png"] = png16(6, 4), "PNG of mode RGBA with transparency"
    found["grey_alpha16.png"] = png16(4, 2), "with transparency"
    wide = RNG.integers(0, 65536, 90).astype(">u2").tobytes()
    found["rgb16.ppm"] = b"P6 5 6 65535\n" + wide, "PPM of mode RGB with values up to 65535"
    found["few.ppm"] = b"P6 5 6 100\n" + bytes(90), "PPM of mode RGB with values up to 100"
    found["plain.ppm"] = b"P3 1 1 1023\n 1 500 1023", "PPM of mode RGB with values up to 1023"
    bits16 = b"BM" + (54 + 8).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
    bits16 += b"".join(n.to_bytes(4, "little") for n in (40, 2, 2)) + b"\1\0\x10\0" + bytes(24)
    signed = io.BytesIO()
    Image.fromarray(GREY).save(signed, "TIFF", tiffinfo={339: 2})
    found["signed.tiff"] = signed.getvalue(), "TIFF of mode L with signed samples (SampleFormat 2)"
    found["rgb5.bmp"] = bits16 + bytes(8), "BMP of mode RGB, stored as BGR;15: only 8 bits"
    return found


REFUSED = refused()


@pytest.mark.parametrize("name", REFUSED)
def test_what_eight_bits_do_not_hold_is_refused_by_file_and_mode(tmp_path, name):
    data, message = REFUSED[name]
    path = tmp_path / "test" / "cat" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    with pytest.raises(ValueError) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: ") and message in str(caught.value)
    with pytest.raises(ValueError) as again:
        datasets.load("folder", "test", tmp_path)
    assert str(again.value) == str(caught.value)


def test_every_loader_that_opens_images_refuses_alike(tmp_path):
    transparent = REFUSED["alpha.png"][0]
    path = tmp_path / "val" / "n01440764" / "0.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(transparent)
    with pytest.raises(ValueError, match=r"0\.png: PNG of mode RGBA with transparency"):
        datasets.load("imagenet", "test", tmp_path).images[0]
    arrays = {
        "test_jpeg": np.frombuffer(transparent, np.uint8),
        "test_offset": np.array([0, len(transparent)]),
        "test_label": np.array([3]),
    }
    np.savez(tmp_path / "cifar10_jpeg.npz", **arrays)
    with pytest.raises(ValueError, match=r"test image 0: PNG of mode RGBA with transparency"):
        datasets.load("cifar10-jpeg", "test", tmp_path)
    file = io.BytesIO()
    Image.fromarray(COLOUR[:1, :1]).save(file, "PNG")  # would fill 32 x 32 with its only pixel
    arrays["test_jpeg"] = np.frombuffer(file.getvalue(), np.uint8)
    arrays["test_offset"][1] = len(arrays["test_jpeg"])
    np.savez(tmp_path / "cifar10_jpeg.npz", **arrays)
    with pytest.raises(ValueError, match="test image 0: 1 x 1 pixels, must be 32 x 32"):
        datasets.load("cifar10-jpeg", "test", tmp_path)


# --------------------------------------------------------------------------- resize and crop


@pytest.mark.parametrize("size", [(31, 47), (47, 31), (33, 33), (64, 200), (20, 21)])
@pytest.mark.parametrize(("resize", "crop"), [(32, 32), (32, 24), (33, 20), (19, None), (None, 20)])
def test_resize_and_crop_are_torchvisions(tmp_path, size, resize, crop):
    from torchvision import transforms

    image = Image.fromarray(RNG.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    image.save(tmp_path / "a.png")
    steps = [transforms.Resize(resize)] if resize else []
    steps += [transforms.CenterCrop(crop)] if crop else []
    expected = np.asarray(transforms.Compose(steps)(image)).transpose(2, 0, 1)
    found = read_image(tmp_path / "a.png", resize=resize, crop=crop)
    assert (np.round(found * 255) == expected).all()
    assert Reading(3, resize, crop).size(*size) == (found.shape[2], found.shape[1])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"channels": 4}, ValueError, "channels must be 1 or 3, got 4"),
        ({"resize": 0}, ValueError, "resize must be at least 1, got 0"),
        ({"crop": 2.5}, TypeError, "crop must be a whole number, got 2.5"),
        ({"resize": 20, "crop": 21}, ValueError, "crop must be at most resize, .* 20, got 21"),
    ],
)
def test_a_reading_that_is_none(arguments, error, message):
    with pytest.raises(error, match=message):
        Reading(**arguments)


def test_an_image_smaller_than_the_crop(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png: 5 x 6 pixels, smaller than the crop of 6"):
        read_image(tmp_path / "a.png", crop=6)


# ------------------------------------------------------------------------------------ folders


@pytest.fixture
def root(tmp_path):
    """Two classes of pictures of several sizes under train/ and val/."""
    for split, count in (("train", 1), ("val", 3)):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = RNG.integers(0, 256, (9 + i, 12, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / split / name / f"{i}.png")
    return tmp_path


def test_a_folder_with_names_sizes_and_reading(root):
    data = Dataset.from_folder(root, "val", resize=8, crop=6)
    assert data.shape == (3, 6, 6) and data.split == "val" and data.name == "folder"
    assert data.class_names == ("cat", "dog") and data.num_classes == 2
    assert data.files == tuple(f"{c}/{i}.png" for c in ("cat", "dog") for i in range(3))
    assert data.reading == Reading(3, 8, 6)
    one = read_image(root / "val" / "dog" / "1.png", resize=8, crop=6)
    assert (data.images[4] == one).all()
    again = datasets.load("folder", "val", root, **dataclasses.asdict(data.reading))
    assert again.digest() == data.digest()
    with pytest.raises(ValueError, match=r"resize and crop make them so"):
        Dataset.from_folder(root, "val")


def test_large_folders_stay_in_their_files(root, monkeypatch):
    eager = Dataset.from_folder(root, "val", crop=6)
    monkeypatch.setattr(named_module, "_IN_MEMORY", 1000)
    lazy = Dataset.from_folder(root, "val", crop=6)
    assert isinstance(eager.images, np.ndarray) and not isinstance(lazy.images, np.ndarray)
    assert lazy.shape == eager.shape and lazy.digest() == eager.digest()
    assert all((a == b).all() for a, b in zip(lazy.images, eager.images))
    (root / "val" / "dog" / "2.png").write_bytes(REFUSED["grey16.png"][0])
    with pytest.raises(ValueError, match=r"2\.png: PNG of mode I;16"):
        Dataset.from_folder(root, "val", crop=5)  # before any pixel is read
    Image.fromarray(COLOUR).save(root / "val" / "dog" / "2.png")
    with pytest.raises(ValueError, match=r"1\.png: 12 x 10 pixels, where the first image has"):
        Dataset.from_folder(root, "val")


def test_splits_are_not_classes(root):
    """A root with train/ and val/ was read as two classes of these names where test/ was asked."""
    with pytest.raises(ValueError, match=r"holds no split 'test', but train, val: name one"):
        Dataset.from_folder(root)
    assert Dataset.from_folder(root / "val", resize=8, crop=8).class_names == ("cat", "dog")
    assert Dataset.from_folder(root / "val", "val", resize=8, crop=8).split == "val"
    with pytest.raises(ValueError, match=r"split must be one of train, test, .*got 'vall'"):
        Dataset.from_folder(root, "vall")
    (root / "val").rename(root / "Validation")
    with pytest.raises(ValueError, match=r"holds no split 'val', but Validation, train"):
        Dataset.from_folder(root, "val")
    (root / "notes").mkdir()
    with pytest.raises(ValueError, match=r"holds no split 'test'"):
        Dataset.from_folder(root)
    (root / "Validation").rename(root / "train" / "deeper")
    (root / "notes").rmdir()
    with pytest.raises(ValueError, match=r"holds no split 'val', but train"):
        datasets.load("imagenet", "test", root)


def test_a_class_may_be_named_like_a_split(tmp_path):
    for name in ("train", "car"):
        (tmp_path / name).mkdir()
        Image.fromarray(COLOUR).save(tmp_path / name / "0.png")
    assert Dataset.from_folder(tmp_path).class_names == ("car", "train")
    assert Dataset.from_folder(tmp_path, "train").class_names == ("car", "train")


def test_reading_is_for_folders_only():
    with pytest.raises(ValueError, match="resize is for folder, got 8 with digits"):
        datasets.load("digits", resize=8)


# ------------------------------------------------------------------------------------- arrays


def test_arrays_of_pixels_and_of_values():
    pixels = np.arange(2 * 3 * 256, dtype=np.uint16).reshape(2, 3, 16, 16) % 256
    labels = [1, 4]
    from_pixels = Dataset.from_arrays(pixels.astype(np.uint8), labels, "1/255")
    assert from_pixels.images.dtype == np.float32 and from_pixels.num_classes == 5
    assert (from_pixels.images == pixels.astype(np.float32) / np.float32(255)).all()
    assert from_pixels.labels.dtype == np.int64 and from_pixels.step == Fraction(1, 255)
    for values in (pixels / 255, (pixels / 255).astype(np.float32), pixels * (1 / 255)):
        assert Dataset.from_arrays(values, labels, "1/255").digest() == from_pixels.digest()
    vectors = Dataset.from_arrays(np.array([[0.5, -1.25]]), [0], 0.25, class_names=["a", "b"])
    assert vectors.shape == (2,) and vectors.class_names == ("a", "b") and vectors.num_classes == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.full((2, 3), 0.3)}, r"grid of step 1/4, got images\[0\] .* 0.2 steps off"),
        ({"images": [[0, 0.25], [np.nan, 1]]}, r"got images\[1\] with a value nan steps off"),
        ({"images": [[0, 0.25], [0, np.inf]]}, r"images must lie on the grid"),
        ({"images": np.zeros(3)}, r"images must be numbers of shape \(N, ...\)"),
        ({"images": np.array([["a"]])}, r"images must be numbers of shape"),
        ({"labels": [0]}, r"labels must be whole numbers, one for each of 2 images"),
        ({"labels": [0.0, 1.0]}, r"labels must be whole numbers"),
        ({"labels": [0, -1]}, r"labels must lie from 0 to 1, got -1"),
        ({"num_classes": 2, "labels": [0, 2]}, r"labels must lie from 0 to 1, got 2"),
        ({"class_names": "abc", "num_classes": 2}, r"name each of 2 classes, got 3 names"),
        ({"files": ["a.png"]}, r"files must name each of 2 images, got 1"),
        ({"step": "a"}, r"step must be a number or a fraction like '1/255', got 'a'"),
        ({"step": -1}, r"step must be positive, got -1"),
    ],
)
def test_arrays_that_are_refused(change, message):
    arguments = {"images": np.zeros((2, 3)), "labels": [0, 1], "step": "1/4", **change}
    with pytest.raises(ValueError, match=message):
        Dataset.from_arrays(**arguments)


@pytest.mark.parametrize("kind", [np.int32, np.uint32, np.int64, np.uint64])
def test_whole_numbers_that_single_precision_does_not_hold(kind):
    """2**24 + 1 became 2**24: another image than the one that was given."""
    for good in (0, 2**24, 2**24 + 2, 2**30):
        held = Dataset.from_arrays(np.array([[good]], kind), [0], 1)
        assert int(held.images[0, 0]) == good
    for step, wrong in ((1, 2**24 + 1), ("1/255", 2**25 + 1), ("0.5", 2**31 - 1)):
        images = np.array([[1, 2], [3, wrong]], kind)
        with pytest.raises(ValueError, match=rf"held by float32, got images\[1\] with {wrong} st"):
            Dataset.from_arrays(images, [0, 1], step)
    if np.iinfo(kind).bits == 64:
        with pytest.raises(ValueError, match="with 9007199254740993 steps of 1, which becomes"):
            Dataset.from_arrays(np.array([[2**53 + 1]], kind), [0], 1)
    if kind in (np.int32, np.int64):
        with pytest.raises(
            ValueError, match="-16777217 steps of 1, which becomes -16777216: count"
        ):
            Dataset.from_arrays(np.array([[-(2**24) - 1]], kind), [0], 1)


# -------------------------------------------------------------------------- samples and hashes


def test_a_sample_is_balanced_seeded_and_part_of_a_larger_one():
    labels = np.array([0] * 50 + [1] * 7 + [2] * 30)
    data = Dataset.from_arrays(np.arange(87)[:, None], labels, 1)
    for count in (1, 2, 3, 10, 21, 40, 87):
        chosen = data.sample(count, seed=3)
        assert chosen == sorted(set(chosen)) and len(chosen) == count
        taken, all_of = np.bincount(labels[chosen], minlength=3), np.bincount(labels)
        for a, b in itertools.permutations(range(3), 2):
            assert taken[a] - taken[b] <= 1 or taken[b] == all_of[b]
        assert set(chosen) <= set(data.sample(min(87, count + 5), seed=3))
        assert chosen == data.sample(count, seed=3)
    assert data.sample(10, seed=3) != data.sample(10, seed=4)
    # Frozen: a manifest may say which sample was certified.
    assert data.sample(6, seed=0) == FROZEN_SAMPLE
    # Each example of a class is as likely as another: the mean of a uniform draw, 6 deviations.
    drawn = [i for seed in range(400) for i in data.sample(3, seed) if labels[i] == 0]
    assert abs(np.mean(drawn) - 24.5) < 6 * (50**2 / 12 / 400) ** 0.5
    for count, seed in ((0, 0), (88, 0), (3, -1), (3, 2**32)):
        with pytest.raises(ValueError, match="must be at"):
            data.sample(count, seed)


FROZEN_SAMPLE = [2, 13, 53, 56, 66, 76]


def test_a_digest_is_of_what_the_network_gets():
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (6, 1, 4, 4), dtype=np.uint8), np.arange(6) % 3
    data = Dataset.from_arrays(pixels, labels, "1/255")
    whole = data.digest()
    assert whole == data.digest(range(6)) == Dataset.from_arrays(pixels, labels, "1/255").digest()
    assert data.digest([1, 2]) != data.digest([2, 1]) != data.digest([2]) != whole
    for i in (0, 5):  # any pixel or label
        other = pixels.copy()
        other[i, 0, 3, 3] ^= 1
        assert Dataset.from_arrays(other, labels, "1/255").digest() != whole
        relabelled = labels.copy()
        relabelled[i] = 2 - relabelled[i]
        assert Dataset.from_arrays(pixels, relabelled, "1/255").digest() != whole
    rest = Dataset.from_arrays(other, labels, "1/255")
    assert rest.digest([0, 1]) == data.digest([0, 1]), "only those asked for count"
    plain = data.images[2].tobytes() + int(labels[2]).to_bytes(8, "little")
    assert data.digest([2]) == hashlib.sha256(plain).hexdigest()
    with pytest.raises(ValueError, match="index must be at most 5, got 6"):
        data.digest([6])
