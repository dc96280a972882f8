"""The two kinds of noise: exact on a grid, or in floating point and without a guarantee."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import torch

from rslib.noise.streams import (
    EXACT,
    DeviceFloatStream,
    DeviceGridStream,
    GridValues,
    HostFloatStream,
    HostGridStream,
    NoiseStream,
    Purpose,
    checked_key,
)
from rslib.noise.thresholds import MAX_RATIO, MIN_RATIO, thresholds_of

LARGEST_EXPONENT = 30  # of sigma and step: their products with integers stay within float32
LARGEST_ROUNDING = 1e-4  # in steps; k * (1/255) in float32 is within 2e-5 for pixels


def _positive_fraction(name: str, value: float | str | Fraction) -> Fraction:
    number, text = Fraction(0), str(value)
    try:
        # An exponent of millions would fill the memory as a fraction.
        if "/" in text or abs(Decimal(text).adjusted()) <= LARGEST_EXPONENT:
            number = Fraction(text)
    except (ArithmeticError, ValueError):
        pass  # no number, which is refused with the rest
    if not 0 < number < 10**LARGEST_EXPONENT:
        raise ValueError(f"{name} must be positive and finite, got {value}")
    return number


def _as_step(value: float | str | Fraction) -> Fraction:
    step = _positive_fraction("step", value)
    levels = round(1 / step)
    if levels >= 1 and abs(1 / step - levels) <= Fraction(1, 10**9):
        return Fraction(1, levels)
    return step


def name_grid_points(in_steps: np.ndarray, dtype: np.dtype | type) -> np.ndarray:
    """Whether numbers, in steps, are grid points up to the rounding of their number type.

    A grid point k * step that is computed in floats is rounded twice at most: the step, and the
    product or quotient. That makes k machine epsilons of its type, in steps, and no more is
    forgiven: such a number *names* the grid point, which is what is certified. More than 1e-4 steps
    are never taken for rounding, whatever the type.

    Parameters
    ----------
    in_steps : float64 array
    dtype : the floating NumPy dtype that the numbers had, or has its machine epsilon

    Returns
    -------
    bool array

    Examples
    --------
    >>> pixel = np.float32(200) * np.float32(1 / 255)
    >>> bool(name_grid_points(np.float64(pixel) * 255, np.float32))
    True
    >>> bool(name_grid_points(np.float64(200.0001), np.float32))
    False
    """
    nearest = np.rint(in_steps)
    forgiven = np.abs(nearest) * (np.finfo(dtype).eps + 2.0**-50)
    return np.abs(in_steps - nearest) <= np.minimum(forgiven, LARGEST_ROUNDING)


def _as_finite_example(x: np.ndarray | torch.Tensor, remedy: str) -> torch.Tensor:
    """Return one example as a CPU tensor of its own floating dtype, all values finite."""
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu()
    else:
        x = torch.from_numpy(np.array(x, order="C"))
    if not x.is_floating_point():
        dtype = str(x.dtype).removeprefix("torch.")
        raise TypeError(f"x must be of a floating dtype, got {dtype}; {remedy}")
    if x.numel() == 0:
        raise ValueError(f"x must not be empty, got shape {tuple(x.shape)}")
    finite = torch.isfinite(x)
    if not finite.all():
        where = tuple((~finite).nonzero()[0].tolist())
        raise ValueError(f"x must be finite, got {x[where].item()} at position {where}")
    return x


def _twin(dtype: torch.dtype) -> type:
    """NumPy's type with the same machine epsilon; bfloat16's is above all that is forgiven."""
    return {torch.float64: np.float64, torch.float32: np.float32}.get(dtype, np.float16)


class GridGaussian:
    r"""Gaussian noise of standard deviation sigma, exact on the grid of a given step.

    An example is :math:`x = \Delta m` with integers m. Its noisy copies are the float32 values of
    :math:`\Delta (m + K)`, with :math:`K = \lfloor \sigma z/\Delta + 1/2 \rfloor` drawn by inverse
    distribution function on 63-bit integers. The law, its proof and the bound on the total
    variation stand in ``rslib.noise.thresholds``.

    Parameters
    ----------
    sigma : float, str or Fraction
        Standard deviation, in input units. A float stands for its shortest decimal: 0.12 is 12/100.
    step : float, str or Fraction
        Step of the grid, in input units: "1/255" for 8-bit images, "1/16" for the digits. A step
        whose inverse is within 1e-9 of an integer is the inverse of that integer.

    Attributes
    ----------
    name : str
        "grid".
    sigma, step, ratio : Fraction
        ratio is sigma/step, exactly.

    Raises
    ------
    ValueError
        If sigma or step is not positive and finite, or sigma/step is outside [0.05, 100000]. Below
        0.05 every draw would be 0: :math:`\Phi(-10) < 2^{-64}`.

    Examples
    --------
    >>> noise = GridGaussian(sigma=0.25, step="1/16")
    >>> noise.ratio
    Fraction(4, 1)
    >>> noise.total_variation(64) < 1e-15
    True
    >>> m = noise.prepare(torch.full((1, 8, 8), 0.5))
    >>> out = noise.stream(m, seed=0, purpose=Purpose.PREDICTION, index=7).fill(
    ...     torch.empty(3, 1, 8, 8)
    ... )
    >>> bool((out * 16 == (out * 16).round()).all())
    True
    """

    name = "grid"

    def __init__(self, sigma: float | str | Fraction, step: float | str | Fraction) -> None:
        self.sigma = _positive_fraction("sigma", sigma)
        self.step = _as_step(step)
        self.ratio = self.sigma / self.step
        if not MIN_RATIO <= self.ratio <= MAX_RATIO:
            raise ValueError(
                f"sigma / step must be in [{float(MIN_RATIO)}, {MAX_RATIO}], "
                f"got {float(self.ratio):.4g} (sigma {self.sigma}, step {self.step})"
            )
        self._values = GridValues(self.step)

    def __repr__(self) -> str:
        return f"GridGaussian(sigma='{self.sigma}', step='{self.step}')"

    @property
    def reach(self) -> int:
        """Return the largest absolute value of K that the sampler can draw, near 9.1 sigma/step."""
        return len(thresholds_of(self.ratio)) // 2

    def total_variation(self, d: int) -> float:
        r"""Return a bound on the total variation from ideal grid noise in ``d`` coordinates.

        It is :math:`d (N + 1) 2^{-64} (1 + 2^{-29})`, rounded up, with N the number of values that
        K can take. The probability of any event under the sampler differs from the ideal one by at
        most this.
        """
        if d < 1:
            raise ValueError(f"d must be at least 1, got {d}")
        bound = d * (2 * self.reach + 2) * (1 + Fraction(1, 2**29)) / 2**64
        return math.nextafter(float(bound), math.inf)

    @property
    def thresholds(self) -> np.ndarray:
        """The integers T_k, k from -reach to reach - 1; K is the smallest k with U < T_k.

        Int64, shape (2 reach,), read-only. U is uniform on the integers from 0 to 2^63 - 1.
        """
        return thresholds_of(self.ratio)

    def nearest(self, x: np.ndarray | torch.Tensor) -> tuple[torch.Tensor, float]:
        """Return the nearest grid point of one example, and how far away it is.

        Returns
        -------
        m : int32 tensor, shape of x
        distance : float
            The largest ``|x/step - m|``, in steps.

        Raises
        ------
        TypeError
            If x is not of a floating dtype.
        ValueError
            If x is empty, not finite, or too large for m + K to be exact in float32.
        """
        in_steps, _ = self._in_steps(x)
        m = in_steps.round()
        return m.to(torch.int32), (in_steps - m).abs().max().item()

    def _in_steps(self, x: np.ndarray | torch.Tensor) -> tuple[torch.Tensor, torch.dtype]:
        """One example in float64, divided by the step, and the number type that it had."""
        x = _as_finite_example(x, "divide by 255 and use step=1/255 for 8-bit images")
        in_steps = x.double() / float(self.step)
        self._check_range(in_steps.round())
        return in_steps, x.dtype

    def _check_range(self, m: torch.Tensor) -> None:
        largest, limit = float(m.double().abs().max()), EXACT - self.reach
        if largest > limit:
            raise ValueError(
                f"x is too large for its step: |x / step| must be at most {limit}, "
                f"got {largest:.0f}"
            )

    def prepare(self, x: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Check one example and return the coordinates of the grid point that it names.

        Parameters
        ----------
        x : array or tensor of a floating dtype, any shape, no batch axis

        Returns
        -------
        int32 tensor, shape of x
            The integers m with x = step * m.

        Raises
        ------
        TypeError, ValueError
            As :meth:`nearest`, and if x differs from the grid by more than the rounding of its own
            number type, see `name_grid_points`.
        """
        in_steps, dtype = self._in_steps(x)
        m = in_steps.round()
        if not name_grid_points(in_steps.numpy(), _twin(dtype)).all():
            normalised = "; normalisation belongs into the network (models.Normalise)"
            raise ValueError(
                f"x must lie on the grid of step {self.step}: the largest |x/step - m| is "
                f"{(in_steps - m).abs().max():.3g}, more than {str(dtype).removeprefix('torch.')} "
                f"rounds by{normalised if in_steps.min() < 0 else ''}; give the step that the data "
                "lie on (16 bits need float64), or off_grid='round', which costs radius: half the "
                f"step times the root of the dimension, {math.sqrt(m.numel()) / 2**17:.2g} with "
                "step 1/65536"
            )
        return m.to(torch.int32)

    def from_grid(self, m: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Return the float32 values that a network sees for grid coordinates ``m``.

        For step 1/L it is m/L correctly rounded, as ``numpy.float32(m / L)``; for other steps the
        float32 nearest to the float64 product of m and step.
        """
        k = torch.as_tensor(m).cpu().numpy().astype(np.float32)
        out = np.empty_like(k)
        self._values.write(k, out)
        return torch.from_numpy(out)

    def stream(
        self,
        prepared: torch.Tensor,
        seed: int,
        purpose: Purpose,
        index: int,
        device: str | torch.device = "cpu",
    ) -> NoiseStream:
        """Return the noisy copies of an example prepared by :meth:`prepare`.

        Parameters
        ----------
        prepared : int32 tensor
        seed : int in [0, 2**63)
        purpose : Purpose
        index : int in [0, 2**63)
            Number of the example in its data set.
        device : str or torch.device
        """
        key = checked_key(seed, purpose, index)
        if not isinstance(prepared, torch.Tensor) or prepared.dtype != torch.int32:
            raise TypeError("prepared must be an int32 tensor made by prepare")
        device = torch.device(device)
        self._check_range(prepared)
        if device.type == "cpu":
            return HostGridStream(self.ratio, self._values, prepared, key)
        return DeviceGridStream(self.ratio, self._values, prepared, key, device)


class FloatGaussian:
    r"""Gaussian noise in float32: :math:`x + \sigma z`, as most implementations draw it.

    **It does not make a certificate valid.** The sum is rounded to float32, the rounding depends on
    x, and a classifier can be made to see it: it is then certified with radii that are false. The
    sampler of z is not exact either (Box and Muller's transform in float32, no value beyond 6.8).
    Nothing is claimed about the distance to the ideal law, and :meth:`total_variation` returns 0.0
    only for the sake of the common interface. The last bits are those of NumPy's logarithm and
    cosine, and may differ between types of processors.

    Parameters
    ----------
    sigma : float, str or Fraction
        Standard deviation, in input units.

    Attributes
    ----------
    name : str
        "float".
    sigma : Fraction
    step, ratio : None
    """

    name = "float"
    step = None
    ratio = None

    def __init__(self, sigma: float | str | Fraction) -> None:
        self.sigma = _positive_fraction("sigma", sigma)

    def __repr__(self) -> str:
        return f"FloatGaussian(sigma='{self.sigma}')"

    def total_variation(self, d: int) -> float:
        """Return 0.0. It is not a bound: none is known for float noise."""
        return 0.0

    def prepare(self, x: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Check one example and return it as a float32 tensor.

        Raises
        ------
        TypeError
            If x is not of a floating dtype.
        ValueError
            If x is empty or not finite.
        """
        x = _as_finite_example(x, "convert it and scale it as in training")
        return x.to(torch.float32).contiguous()

    def stream(
        self,
        prepared: torch.Tensor,
        seed: int,
        purpose: Purpose,
        index: int,
        device: str | torch.device = "cpu",
    ) -> NoiseStream:
        """Return the noisy copies of an example, as :meth:`GridGaussian.stream` does."""
        key = checked_key(seed, purpose, index)
        if not isinstance(prepared, torch.Tensor) or prepared.dtype != torch.float32:
            raise TypeError("prepared must be a float32 tensor made by prepare")
        device = torch.device(device)
        if device.type == "cpu":
            return HostFloatStream(float(self.sigma), prepared, key)
        return DeviceFloatStream(float(self.sigma), prepared, key, device)
