"""Networks of the course: from images in [0, 1] to scores, normalised by their first layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["MODELS", "Normalise", "build"]


class Normalise(nn.Module):
    """Subtract a mean and divide by a deviation, channel by channel.

    Parameters
    ----------
    mean, std : sequence of float
        One value a channel, in input units; every ``std`` is positive.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or not all(s > 0 for s in std):
            raise ValueError(f"std must be positive, one a channel of mean, got {std!r}")
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        # A grey image would become a colour image here without a word. A trace sees one shape.
        if not torch.jit.is_tracing() and x.shape[-3] != len(self.mean):
            raise ValueError(
                f"mean has {len(self.mean)} values, one a channel; the images have {x.shape[-3]}"
            )
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
