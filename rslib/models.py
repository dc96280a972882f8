"""Base classifiers: networks from images in [0, 1] to scores, and their weights on disk.

Normalisation is the first layer of every network here, so that noise is added to pixels and a
radius is in input units. Weights are read and written as safetensors, which holds numbers alone:
loading a file executes nothing.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as _load_tensors
from safetensors.torch import save as _save_tensors
from torch import Tensor, nn

__all__ = ["MODELS", "Normalise", "build", "file_sha256", "load_weights", "save_weights"]


class Normalise(nn.Module):
    """Subtract a mean and divide by a deviation, channel by channel.

    Parameters
    ----------
    mean, std : sequence of float
        One value a channel, in input units; every ``std`` is positive.
    """

    def __init__(self, mean: list[float], std: list[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or not all(s > 0 for s in std):
            raise ValueError(f"std must be positive, one a channel of mean, got {std!r}")
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


def _digits_mlp(shape: tuple[int, ...], num_classes: int) -> nn.Module:
    channels, height, width = shape
    return nn.Sequential(
        Normalise([0.5] * channels, [0.5] * channels),
        nn.Flatten(),
        nn.Linear(channels * height * width, 32),
        nn.ReLU(),
        nn.Linear(32, num_classes),
    )


def _digits_cnn(shape: tuple[int, ...], num_classes: int) -> nn.Module:
    channels, height, width = shape
    return nn.Sequential(
        Normalise([0.5] * channels, [0.5] * channels),
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * ((height + 1) // 2) * ((width + 1) // 2), 32),
        nn.ReLU(),
        nn.Linear(32, num_classes),
    )


class _Block(nn.Module):
    """Two 3 x 3 convolutions and a shortcut that pads channels with zeros (He et al. 2016)."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outer)
        self.conv2 = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outer)
        self.stride, self.extra = stride, outer - inner

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.stride != 1 or self.extra:
            x = x[:, :, :: self.stride, :: self.stride]
            x = nn.functional.pad(x, (0, 0, 0, 0, 0, self.extra))
        return torch.relu(x + y)


def _cifar_resnet(depth: int):
    """The 6n + 2 layer residual network for 32 x 32 images of He et al. (2016), section 4.2."""
    per_stage = (depth - 2) // 6

    def make(shape: tuple[int, ...], num_classes: int) -> nn.Module:
        layers: list[nn.Module] = [
            _normalise(shape),
            nn.Conv2d(shape[0], 16, 3, 1, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
        ]
        inner = 16
        for stage, outer in enumerate((16, 32, 64)):
            for position in range(per_stage):
                layers.append(_Block(inner, outer, 2 if stage and position == 0 else 1))
                inner = outer
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, num_classes)]
        network = nn.Sequential(*layers)
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        return network

    return make


def _wide(shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Seven convolutions, few and wide: what a processor without a GPU computes well.

    A residual network for images of this size spends most of its time in layers of 16 channels,
    which leave a vector unit half idle; here all but 0.3 of 118 million multiply-adds lie in 3 x 3
    convolutions from at least 24 channels to at least 64. It pools before it normalises, so that
    what is not a convolution works on small maps.
    """
    if shape != (3, 32, 32):
        raise ValueError(f"shape must be (3, 32, 32) for 'wide', got {shape!r}")
    layers: list[nn.Module] = [_normalise(shape), nn.Conv2d(3, 24, 2), nn.ReLU()]
    inner = 24
    for outer in (64, 256, 256):
        layers += [
            nn.Conv2d(inner, outer, 3, padding=1, bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(outer),
            nn.ReLU(),
            nn.Conv2d(outer, outer, 3, padding=1, bias=False),
            nn.BatchNorm2d(outer),
            nn.ReLU(),
        ]
        inner = outer
    layers += [nn.MaxPool2d(3), nn.Flatten(), nn.Linear(inner, num_classes)]
    return nn.Sequential(*layers)


def _normalise(shape: tuple[int, ...]) -> Normalise:
    if shape[0] == 3:
        return Normalise([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010])
    return Normalise([0.5] * shape[0], [0.25] * shape[0])


def _resnet50(shape: tuple[int, ...], num_classes: int) -> nn.Module:
    from torchvision.models import resnet50

    return nn.Sequential(
        Normalise([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        resnet50(weights=None, num_classes=num_classes),
    )


#: Name of an architecture -> function of (shape of one example, number of classes).
MODELS = {
    "mlp": _digits_mlp,
    "cnn": _digits_cnn,
    "wide": _wide,
    "resnet20": _cifar_resnet(20),
    "resnet110": _cifar_resnet(110),
    "resnet50": _resnet50,
}


def build(name: str, shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """A freshly initialised network from float images to scores.

    Parameters
    ----------
    name : str
        A key of `MODELS`: ``mlp`` and ``cnn`` (small, for digits), ``wide``, ``resnet20`` and
        ``resnet110`` (for 32 x 32 images), ``resnet50`` (for 224 x 224 images).
    shape : tuple of int
        Shape of one example, (channels, height, width).
    num_classes : int
        Width K of the scores.

    Returns
    -------
    torch.nn.Module
        Maps float (B, channels, height, width) in input units to float scores (B, K).

    Raises
    ------
    ValueError
        For an unknown name, a shape that is not three positive numbers, or ``num_classes`` < 2.

    Notes
    -----
    The residual networks follow He et al. (2016), with shortcuts that pad with zeros.

    Examples
    --------
    >>> network = build("cnn", (1, 8, 8), 10)
    >>> sum(p.numel() for p in network.parameters())
    21546
    """
    if name not in MODELS:
        raise ValueError(f"name must be one of {', '.join(sorted(MODELS))}, got {name!r}")
    if len(shape) != 3 or not all(isinstance(s, int) and s > 0 for s in shape):
        raise ValueError(f"shape must be (channels, height, width), got {shape!r}")
    if num_classes < 2:
        raise ValueError(f"num_classes must be at least 2, got {num_classes!r}")
    return MODELS[name](tuple(shape), num_classes)


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal: what a manifest names a model by."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_weights(network: nn.Module, path: str | Path, dtype: str | None = None) -> None:
    """Write a network's parameters and buffers as safetensors, whole or not at all.

    Parameters
    ----------
    network : torch.nn.Module
        Any network.
    path : str or Path
        The file; folders are created.
    dtype : {"float32", "bfloat16", "float16"}, optional
        Number type of the floats in the file; default: as they are. A network that is certified
        in half precision is stored in it: the certificates then hold for exactly the numbers in
        the file.

    Raises
    ------
    ValueError
        For another ``dtype``, or a tensor with a value that is not finite in it.
    """
    if dtype not in (None, "float32", "bfloat16", "float16"):
        raise ValueError(f"dtype must be float32, bfloat16 or float16, got {dtype!r}")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    for name, tensor in state.items():
        if dtype is not None and tensor.is_floating_point():
            state[name] = tensor.to(getattr(torch, dtype))
            if not torch.isfinite(state[name]).all():
                raise ValueError(f"tensor {name!r} holds a value that is not finite in {dtype}")
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(_save_tensors(state))
    temporary.replace(path)


def load_weights(network: nn.Module, path: str | Path) -> nn.Module:
    """Load safetensors into a network, in place; nothing in the file is executed.

    Parameters
    ----------
    network : torch.nn.Module
        Must have exactly the tensors of the file, by name, shape and kind of number.
    path : str or Path
        A file that `save_weights` wrote.

    Returns
    -------
    torch.nn.Module
        The same network. It is unchanged if the file does not fit.

    Raises
    ------
    ValueError
        Names the file, and the tensor that is missing, unknown, misshapen or not finite.
    """
    try:
        state = _load_tensors(Path(path).read_bytes())
    except (OSError, SafetensorError, KeyError, ValueError, MemoryError) as error:
        raise ValueError(f"{path}: not a readable safetensors file: {error}") from None
    expected = network.state_dict()
    for name in sorted(expected.keys() | state.keys()):
        if name not in state:
            raise ValueError(f"{path}: tensor {name!r} is missing")
        if name not in expected:
            raise ValueError(f"{path}: tensor {name!r} is not one of this network's")
        found, wanted = state[name], expected[name]
        if found.shape != wanted.shape or found.is_floating_point() != wanted.is_floating_point():
            raise ValueError(
                f"{path}: tensor {name!r} is {found.dtype} {tuple(found.shape)}, "
                f"the network needs {wanted.dtype} {tuple(wanted.shape)}"
            )
        if found.is_floating_point() and not torch.isfinite(found).all():
            raise ValueError(f"{path}: tensor {name!r} holds a value that is not finite")
    network.load_state_dict(state)
    return network
