r"""Gaussian noise for smoothing: exact on a grid (the default), or in floating point by name.

The theorem that a certificate rests on speaks of real Gaussian noise. In float32 the rounding of
``x + noise`` depends on ``x``, and a classifier that looks at the low bits can read the input off
it: its certificates are then false. :class:`GridGaussian` closes this. Let the input lie on a grid,
:math:`x = \Delta m` with integers :math:`m`. The sampler draws the integers

.. math:: K = \lfloor \sigma z / \Delta + \tfrac12 \rfloor, \qquad z \sim N(0, 1),

and the network sees one fixed float32 value for each integer :math:`m + K`. Since rounding to the
grid commutes with adding :math:`m`, this samples the smoothed version of the classifier "round to
the grid, then f", and the theorem applies to it as it stands. :class:`FloatGaussian` is the usual
noise, with the same interface and without that guarantee.

In the order of dependence: ``rslib.noise.thresholds`` holds the law of K, how it is made of uniform
bits, and the bound on the total variation; ``rslib.noise.streams`` draws noise in blocks that can
be drawn again; ``rslib.noise.laws`` holds the two kinds of noise.

Derived in chapter 12, "Sound certificates".

References
----------
cohen2019, Theorem 1; jin2022 (float noise leaks the input); voracek2023 (smoothing on a grid).
"""

from rslib.noise.laws import FloatGaussian, GridGaussian, name_grid_points
from rslib.noise.streams import NoiseStream, Purpose

__all__ = ["FloatGaussian", "GridGaussian", "NoiseStream", "Purpose", "name_grid_points"]
