"""The live cell of the chapter at full size: it certifies an image of the reader's own CIFAR-10."""

import io
import os
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from PIL import Image

import rslib

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
IMAGES = Path(os.environ.get("CIFAR10_ROOT", ROOT / ".gpu"))


def live(images, monkeypatch):
    """Run the chapter up to its live cell, with images in a folder; returns what runs that."""
    monkeypatch.setenv("CIFAR10_ROOT", str(images))
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    monkeypatch.chdir(ROOT / "book")
    monkeypatch.setattr("matplotlib.pyplot.show", lambda: plt.close("all"))
    cells = nbformat.read(ROOT / "book/15_full_size.ipynb", as_version=4).cells
    code = [c.source for c in cells if c.cell_type == "code" and "google.colab" not in c.source]
    (place,) = (i for i, source in enumerate(code) if "at_hand = images_at_hand()" in source)
    names: dict = {"rslib": rslib}
    for source in code[:place]:
        exec(source, names)
    return lambda: exec(code[place], names)


def test_the_live_cell_gives_the_committed_share_again(monkeypatch, capsys):
    """An error of five standard errors: a false alarm once in a million runs."""
    if not any((IMAGES / name).exists() for name in ("cifar10_jpeg.npz", "cifar-10-batches-py")):
        pytest.skip(f"no CIFAR-10 under {IMAGES}; CIFAR10_ROOT names another folder")
    live(IMAGES, monkeypatch)()
    assert "  live: share 0." in capsys.readouterr().out


def test_the_live_cell_notices_that_the_images_are_others(tmp_path, monkeypatch):
    rng, files = np.random.default_rng(0), []
    for _ in range(50):
        file = io.BytesIO()
        pixels = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(pixels).save(file, "JPEG")
        files.append(file.getvalue())
    np.savez(
        tmp_path / "cifar10_jpeg.npz",
        test_jpeg=np.frombuffer(b"".join(files), np.uint8),
        test_offset=np.cumsum([0, *map(len, files)]),
        test_label=np.zeros(50, np.uint8),
    )
    run = live(tmp_path, monkeypatch)
    with pytest.raises(AssertionError):
        run()


def test_without_images_it_says_so(tmp_path, monkeypatch, capsys):
    live(tmp_path, monkeypatch)()
    assert f"no CIFAR-10 under {tmp_path}, so nothing is certified anew" in capsys.readouterr().out
