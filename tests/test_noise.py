"""The samplers: exact law, bound on the total variation, reproducibility, what is refused."""

import bisect
import itertools
import math
import re
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, chi2, kstest, norm

from rslib.noise import FloatGaussian, GridGaussian, Purpose, name_grid_points, streams
from rslib.noise.streams import DeviceFloatStream, DeviceGridStream, GridValues, seed_sequence
from rslib.noise.thresholds import thresholds_of

# sigma / step for sigma 0.25 on the digits, and for sigma 0.12, 0.25 and 1 on 8-bit images.
RATIOS = [Fraction(r) for r in ("1/2", "1", "4", "153/5", "255/4", "255")]
LARGEST = Fraction(100_000)
ratios = pytest.mark.parametrize("ratio", RATIOS, ids=str)


def unit_grid(ratio):
    """Grid noise of step 1, so that a noisy copy of 0 is K itself."""
    return GridGaussian(sigma=ratio, step=1)


def draw(noise, rows, shape=(3, 5), x=None, seed=0, purpose=Purpose.ESTIMATION, index=0):
    prepared = noise.prepare(np.zeros(shape) if x is None else x)
    out = torch.empty(rows, *prepared.shape)
    return noise.stream(prepared, seed, purpose, index).fill(out)


# --- the law -------------------------------------------------------------------------------------


def test_smallest_ratio_is_where_the_noise_vanishes():
    assert len(thresholds_of(Fraction(1, 20))) == 0
    assert not draw(unit_grid(Fraction(1, 20)), 1000).any()
    assert len(thresholds_of(Fraction(1, 18))) == 2


@pytest.mark.parametrize("ratio", [*RATIOS, LARGEST], ids=str)
def test_lazy_bits_equal_the_direct_inverse(ratio):
    """Each draw is the smallest k with U < T_k, U put together from the generators' own words."""
    rows, shape = 2000, (3, 5)
    n = rows * 15
    thresholds = thresholds_of(ratio).tolist()
    reach = len(thresholds) // 2
    top, low = (np.random.SFC64(seed_sequence(7, Purpose.TRAINING, 9, 0, part)) for part in (0, 1))
    words = [int(w) for w in top.random_raw(-(-n // 4))]
    tops = [(w >> shift) & 0xFFFF for w in words for shift in (0, 16, 32, 48)][:n]
    lows = (int(w) >> 17 for w in low.random_raw(n))
    expected = []
    for g in tops:
        open_ = bisect.bisect_right(thresholds, g << 47) != bisect.bisect_right(
            thresholds, (g << 47) | (2**47 - 1)
        )
        u = (g << 47) | (next(lows) if open_ else 0)
        expected.append(bisect.bisect_right(thresholds, u) - reach)
    drawn = draw(unit_grid(ratio), rows, shape, seed=7, purpose=Purpose.TRAINING, index=9)
    assert drawn.flatten().tolist() == expected


def test_a_uniform_equal_to_a_threshold_goes_up():
    """K is the smallest k with U < T_k, strictly: thresholds are put on the very values of U."""
    n = 1000
    stream = unit_grid(LARGEST).stream(torch.zeros(n, dtype=torch.int32), 0, 0, 0)
    top, low = (np.random.SFC64(seed_sequence(0, 0, 0, 0, part)) for part in (0, 1))
    u = top.random_raw(n // 4).view(np.uint16).astype(np.int64) << 47
    u += (low.random_raw(n) >> np.uint64(17)).astype(np.int64)
    stream._thresholds, stream._reach = np.sort(u), 0
    ranks = stream.fill(torch.empty(1, n))[0]
    assert ranks.tolist() == (np.argsort(np.argsort(u)) + 1).tolist()

    other = open_stream("device grid", (n,))
    other.fill(torch.empty(1, n))
    u = other._u[:n].clone()
    other._thresholds, other._reach, other._row = u.sort().values, 0, 0
    ranks = other.fill(torch.empty(1, n))[0] - 1  # the example is 1
    assert ranks.tolist() == (u.argsort().argsort() + 1).tolist()


# --- what the network sees -----------------------------------------------------------------------


def test_canonical_floats_of_pixels():
    k = np.arange(-3000, 3001)
    expected = np.array([np.float32(int(i) / 255) for i in k])
    noise = GridGaussian(0.25, "1/255")
    np.testing.assert_array_equal(noise.from_grid(k).numpy(), expected)
    assert (k.astype(np.float32) * np.float32(1 / 255) != expected).any()


def test_canonical_floats_of_other_steps():
    k = np.arange(-3000, 3001)
    for step in ("2/255", "3", "1/33554433"):
        expected = (k * float(Fraction(step))).astype(np.float32)
        noise = GridGaussian(Fraction(step), step)
        np.testing.assert_array_equal(noise.from_grid(k).numpy(), expected)


@pytest.mark.parametrize("step", ["1/255", "1/16", "2/255"])
def test_network_sees_a_function_of_the_sum_alone(step):
    """Two inputs, the same K: wherever m + K agree, so do the bits (not so for x + step K)."""
    noise = GridGaussian(sigma=8 * Fraction(step), step=step)
    origin = torch.zeros(50, dtype=torch.int32)
    k = noise.stream(origin, 0, Purpose.ESTIMATION, 0).fill(torch.empty(4000, 50))
    k = torch.round(k.double() / float(noise.step)).int()
    assert k.unique().numel() > 50
    m = torch.arange(-20, 30, dtype=torch.int32) * 5
    out = noise.stream(m, 0, Purpose.ESTIMATION, 0).fill(torch.empty(4000, 50))
    assert torch.equal(out, noise.from_grid(m + k))
    values = {}
    for total, value in zip((m + k).flatten().tolist(), out.flatten().tolist(), strict=True):
        assert values.setdefault(total, value) == value


@pytest.mark.parametrize("sign", [1, -1])
def test_sums_neither_wrap_nor_clip(sign):
    """sigma/step = 10^5, and the input at the edge of what float32 holds exactly."""
    noise = unit_grid(LARGEST)
    edge = sign * (2**24 - noise.reach)
    k = draw(noise, 400, (64,))
    out = draw(noise, 400, (64,), x=np.full(64, float(edge)))
    assert torch.equal(out.double() - edge, k.double())
    assert k.abs().max() > 3 * 2**15
    assert torch.equal(k, k.round())
    assert 0.97e5 < k.double().std() < 1.03e5


# --- reproducibility -----------------------------------------------------------------------------

KINDS = {
    "grid": GridGaussian(2, 1),
    "coarse table": GridGaussian(3000, 1),
    "float": FloatGaussian(2),
}


def open_stream(kind, shape, index=0):
    """A stream of each kind; those for other devices, run on the CPU."""
    if kind == "device grid":
        m = KINDS["grid"].prepare(np.ones(shape))
        return DeviceGridStream(
            Fraction(2), GridValues(Fraction(1)), m, (0, 1, index), torch.device("cpu")
        )
    if kind == "device float":
        x = KINDS["float"].prepare(np.ones(shape))
        return DeviceFloatStream(2.0, x, (0, 1, index), torch.device("cpu"))
    noise = KINDS[kind]
    return noise.stream(noise.prepare(np.ones(shape)), 0, Purpose.ESTIMATION, index)


kinds = pytest.mark.parametrize("kind", [*KINDS, "device grid", "device float"])


@kinds
@pytest.mark.parametrize(
    ("shape", "rows", "block"),
    [((3, 5), 300, 1000), ((7,), 300, 256), ((1,), 300, 64), ((2**18 + 3,), 7, 2**20)],
)
def test_draws_do_not_depend_on_the_cuts(kind, shape, rows, block, monkeypatch):
    """One at a time, at random, across blocks: the same sequence. The sizes are odd, so that cuts
    fall inside the 64-bit words."""
    monkeypatch.setattr(streams, "BLOCK_VALUES", block)
    whole = open_stream(kind, shape).fill(torch.empty(rows, *shape))
    rng = np.random.default_rng(1)
    for chunk, cut in ((2**16, 1), (64, 40), (100, rows)):
        monkeypatch.setattr(streams, "CHUNK_VALUES", chunk)
        stream, parts, left = open_stream(kind, shape), [], rows
        while left:
            size = min(left, int(rng.integers(1, cut + 1)))
            parts.append(stream.fill(torch.empty(size, *shape)))
            left -= size
        assert torch.equal(torch.cat(parts), whole)
    short = open_stream(kind, shape).fill(torch.empty(3, *shape))
    assert torch.equal(short, whole[:3])
    period = streams.BLOCK_VALUES // math.prod(shape)
    assert not torch.equal(whole[:period], whole[period : 2 * period])  # nor do blocks repeat


@kinds
def test_memory_format_does_not_matter(kind):
    plain = open_stream(kind, (3, 8, 8)).fill(torch.empty(20, 3, 8, 8))
    last = torch.empty(20, 3, 8, 8).to(memory_format=torch.channels_last)
    assert open_stream(kind, (3, 8, 8)).fill(last) is last
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(last, plain)
    wide = torch.full((20, 3, 8, 16), -1.0)
    open_stream(kind, (3, 8, 8)).fill(wide[..., ::2])
    assert torch.equal(wide[..., ::2], plain)
    assert (wide[..., 1::2] == -1).all()


@kinds
def test_draws_do_not_depend_on_other_examples(kind):
    alone = open_stream(kind, (3, 5), index=4).fill(torch.empty(300, 3, 5))
    one, other = (open_stream(kind, (3, 5), index=i) for i in (4, 5))
    mixed = []
    for _ in range(3):
        other.fill(torch.empty(17, 3, 5))
        mixed.append(one.fill(torch.empty(100, 3, 5)))
    assert torch.equal(torch.cat(mixed), alone)


@pytest.mark.parametrize("noise", [GridGaussian(4, 1), FloatGaussian(4)], ids=["grid", "float"])
def test_every_part_of_the_key_counts(noise):
    """Also those that torch's CPU generator confuses (5 and 5 + 2^32) and that a careless spelling
    of the key in 32-bit words would."""
    keys = [
        (seed, purpose, index)
        for seed in (0, 1, 5, 5 + 2**32, 5 + 2**33, 2**62)
        for purpose in Purpose
        for index in (0, 1, 2, 3, 2**32, 5 * 2**32 + 1)
    ]
    draws = {
        tuple(draw(noise, 2, (8,), seed=s, purpose=p, index=i).flatten().tolist())
        for s, p, i in keys
    }
    assert len(draws) == len(keys)


def test_keys_of_blocks_and_parts_differ():
    spelt = [
        seed_sequence(*parts) for parts in itertools.product((0, 1, 2**32, 2**32 + 1), repeat=5)
    ]
    assert len({tuple(k.generate_state(3, np.uint64).tolist()) for k in spelt}) == 4**5


def test_noise_is_the_same_in_every_version():
    """Certificates are replayed: the draws, and the length of a block, are fixed for good."""
    noise = GridGaussian("0.25", "1/16")
    m = noise.prepare(np.zeros(2**18))
    out = noise.stream(m, 11, Purpose.SELECTION, 3).fill(torch.empty(5, 2**18)) * 16
    assert out[0, :12].tolist() == FIRST_BLOCK
    assert out[4, :12].tolist() == SECOND_BLOCK
    assert int(out.double().sum()) == SUM_OF_ALL


FIRST_BLOCK = [0, 10, -1, -5, -5, 1, -8, -2, 5, -1, -10, 4]
SECOND_BLOCK = [5, -3, -2, 5, -7, -2, -1, 3, 1, 1, 2, 2]
SUM_OF_ALL = -8399


def test_purposes_are_fixed():
    assert [(p.name, p.value) for p in Purpose] == [
        ("SELECTION", 0),
        ("ESTIMATION", 1),
        ("PREDICTION", 2),
        ("TRAINING", 3),
    ]


def test_only_the_rows_asked_for_are_worked_on():
    """A hundred noisy copies of a digit must not cost a block of a million values."""
    stream = open_stream("grid", (64,))
    stream.fill(torch.empty(100, 64))
    used = np.random.SFC64(seed_sequence(0, 1, 0, 0, 0))
    used.random_raw(1600)
    assert stream._top_bits.random_raw() == used.random_raw()
    assert stream._k.size == 6400


# --- the path for other devices, on the CPU ------------------------------------------------------


@pytest.mark.parametrize("ratio", ["1/2", "4", "255/4"])
def test_device_path_has_the_same_law(ratio):
    """Chi-square over 2 million draws in two blocks; false-alarm probability 1e-6 each."""
    noise = unit_grid(Fraction(ratio))
    m = torch.full((64,), 3, dtype=torch.int32)
    values, cpu = GridValues(noise.step), torch.device("cpu")
    stream = DeviceGridStream(noise.ratio, values, m, (0, 1, 2), cpu)
    k = stream.fill(torch.empty(2**15, 64)).int().numpy().ravel() - 3
    thresholds = [0, *thresholds_of(noise.ratio).tolist(), 2**63]
    expected = np.array([float(b - a) for a, b in itertools.pairwise(thresholds)]) * k.size / 2**63
    observed = np.bincount(k + noise.reach, minlength=len(expected))
    often = expected >= 20
    statistic = ((observed - expected)[often] ** 2 / expected[often]).sum()
    rare = expected[~often].sum()
    statistic += (observed[~often].sum() - rare) ** 2 / rare
    assert chi2.sf(statistic, often.sum()) > 1e-6


@pytest.mark.parametrize("step", ["1/255", "2/255"])
def test_device_path_gives_the_same_floats(step):
    noise = GridGaussian(30 * Fraction(step), step)
    m = torch.arange(-100, 100, dtype=torch.int32)
    values, cpu = GridValues(noise.step), torch.device("cpu")
    stream = DeviceGridStream(noise.ratio, values, m, (0, 1, 2), cpu)
    out = stream.fill(torch.empty(500, 200))
    total = torch.round(out.double() / float(noise.step)).int()
    assert torch.equal(out, noise.from_grid(total))
    assert (total - m).unique().numel() > 100


# --- float noise ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["float", "device float"])
def test_float_noise_is_x_plus_sigma_z(kind):
    """Moments of 10^6 draws of sigma = 2 about x = 1; false-alarm probability 1e-6 each."""
    out = open_stream(kind, (100,)).fill(torch.empty(10_000, 100)).double()
    z = (out - 1) / 2
    limit = norm.isf(0.5e-6)
    assert abs(z.mean()) * 1e3 < limit
    assert abs((z**2).mean() - 1) * 1e3 / math.sqrt(2) < limit
    assert abs((z[:, :-1] * z[:, 1:]).mean()) * math.sqrt(99e4) < limit


def test_float_noise_has_the_normal_law():
    """10^6 values: Kolmogorov and Smirnov's test, both tails, and the two values made from one
    radius, which share nothing. False-alarm probability 1e-6 each."""
    out = open_stream("float", (64,)).fill(torch.empty(16_384, 64)).double()
    z = ((out - 1) / 2).numpy()
    assert kstest(z.ravel(), "norm").pvalue > 1e-6
    for tail in (z < -3, z > 3):
        assert 1e-6 < binomtest(int(tail.sum()), z.size, norm.sf(3)).pvalue
    pieces = z.reshape(-1, 2, streams.PIECE_VALUES // 2)
    of_squares = ((pieces[:, 0] ** 2 - 1) * (pieces[:, 1] ** 2 - 1)).mean() / 2
    assert abs(of_squares) * math.sqrt(z.size / 2) < norm.isf(0.5e-6)


def test_float_noise_of_the_smallest_and_largest_words(monkeypatch):
    """u is never 0, and 1 at most: z is finite."""

    class Words:
        def random_raw(self, size):
            return np.resize(np.array([0, 2**64 - 1, 2**32 - 1], np.uint64), size)

    stream = open_stream("float", (64,))
    monkeypatch.setattr(stream, "_open", lambda block: None)
    stream._bits, stream._last = Words(), 0
    z = (stream.fill(torch.empty(512, 64)) - 1) / 2
    assert z.isfinite().all()
    assert z.max().item() == pytest.approx(math.sqrt(66 * math.log(2)), rel=1e-6)


def test_float_noise_is_the_same_in_every_version():
    """Up to the last bits of NumPy's logarithm and cosine."""
    noise = FloatGaussian("0.25")
    x = noise.prepare(np.zeros(2**18))
    out = noise.stream(x, 11, Purpose.SELECTION, 3).fill(torch.empty(5, 2**18)).double()
    np.testing.assert_allclose(out[0, :4], FLOAT_FIRST, rtol=1e-5)
    np.testing.assert_allclose(out[4, -4:], FLOAT_LAST, rtol=1e-5)


FLOAT_FIRST = [-0.0310407, -0.3721311, -0.2689294, 0.373681]
FLOAT_LAST = [-0.5938858, 0.1589172, 0.2342401, -0.0900725]


def test_float_noise_in_float32():
    unit, wide = FloatGaussian(1), FloatGaussian("0.3")
    x = np.random.default_rng(0).random(50)
    z = draw(unit, 100, (50,)).numpy()
    out = draw(wide, 100, (50,), x=x).numpy()
    np.testing.assert_array_equal(out, x.astype(np.float32) + np.float32(0.3) * z)
    assert wide.total_variation(100) == 0.0
    assert (wide.name, wide.sigma, wide.step, wide.ratio) == ("float", Fraction(3, 10), None, None)


# --- arguments -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sigma", "step", "ratio"),
    [
        (0.12, 1 / 255, "153/5"),
        (np.float64(0.12), np.float64(1) / 255, "153/5"),
        (np.float32(0.12), "1/255", "153/5"),
        ("0.25", 0.0625, "4"),
        (Fraction(1, 3), 1, "1/3"),
        (1, 1 / 3, "3"),
        ("1/2", "2/255", "255/4"),
        (1, 1 / 65535, "65535"),
    ],
)
def test_sigma_and_step_are_exact(sigma, step, ratio):
    noise = GridGaussian(sigma, step)
    assert noise.ratio == Fraction(ratio)
    assert noise.ratio == noise.sigma / noise.step
    assert noise.name == "grid"
    assert eval(repr(noise)).ratio == noise.ratio


@pytest.mark.parametrize("x", [-1.0, 0, "0", float("nan"), float("inf"), "-1/2", "x", "1/0"])
def test_sigma_and_step_must_be_positive(x):
    message = f"must be positive and finite, got {x}"
    with pytest.raises(ValueError, match=f"^sigma {re.escape(message)}$"):
        GridGaussian(x, 1)
    with pytest.raises(ValueError, match=f"^sigma {re.escape(message)}$"):
        FloatGaussian(x)
    with pytest.raises(ValueError, match=f"^step {re.escape(message)}$"):
        GridGaussian(1, x)


@pytest.mark.parametrize(
    ("sigma", "step", "got"),
    [
        ("0.0499", 1, "0.0499 (sigma 499/10000, step 1)"),
        (100_001, 1, "1e+05 (sigma 100001, step 1)"),
    ],
)
def test_ratio_out_of_range(sigma, step, got):
    message = f"sigma / step must be in [0.05, 100000], got {got}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        GridGaussian(sigma, step)


def test_both_spellings_of_pixels_are_on_the_grid():
    k = np.arange(256)
    noise = GridGaussian(0.25, 1 / 255)
    divided = k.astype(np.float32) / np.float32(255)
    multiplied = k.astype(np.float32) * np.float32(1 / 255)
    assert (divided != multiplied).sum() == 126
    for x in (divided, multiplied, k / 255, torch.from_numpy(divided)):
        m = noise.prepare(x)
        assert m.dtype == torch.int32
        assert m.tolist() == k.tolist()
    frozen = np.broadcast_to(divided, (2, 256))[:, ::-1]
    assert noise.prepare(frozen)[1].tolist() == k[::-1].tolist()
    assert noise.prepare(torch.tensor(1.0, requires_grad=True)).item() == 255


@pytest.mark.parametrize(
    ("dtype", "levels", "taken"),
    [
        (np.float64, 255, True),
        (np.float64, 65535, True),
        (np.float32, 255, True),
        (np.float32, 65535, False),  # would be up to 0.004 steps off
        (np.float32, 65536, True),  # exact
        (np.float16, 255, False),
        (np.float16, 16, True),  # exact
    ],
)
def test_what_a_number_type_makes_of_a_grid_point_names_it(dtype, levels, taken):
    noise, k = GridGaussian("0.5", Fraction(1, levels)), np.arange(levels + 1)
    for x in (
        (k / levels).astype(dtype),
        k.astype(dtype) / dtype(levels),
        k.astype(dtype) * dtype(1 / levels),
    ):
        if taken:
            assert noise.prepare(x).tolist() == k.tolist()
        else:
            with pytest.raises(ValueError, match="must lie on the grid"):
                noise.prepare(x)


def test_a_few_roundings_more_are_not_forgiven():
    """At d = 150,528 an offset of 1e-3 steps everywhere is a distance of 0.39 steps."""
    noise, pixels = GridGaussian("0.5", "1/255"), np.arange(1, 256) / 255
    for off in (1e-3, 1e-4, 3.1e-5):
        with pytest.raises(ValueError, match="must lie on the grid"):
            noise.prepare((pixels + off / 255).astype(np.float32)[:250])
        with pytest.raises(ValueError, match="must lie on the grid"):
            noise.prepare(pixels + off / 255)
    assert not name_grid_points(np.array([1e-12, 100 * (1 + 2.0**-46)]), np.float64).any()
    assert name_grid_points(np.array([1e5 + 0.9e-4]), np.float32)
    assert not name_grid_points(np.array([1e5 + 1.1e-4]), np.float32)


def test_nearest_tells_the_distance():
    m, distance = GridGaussian(1, "1/4").nearest(np.array([0.25, 0.3, -0.51]))
    assert m.tolist() == [1, 1, -2]
    assert distance == pytest.approx(0.2)


OFF = (
    "x must lie on the grid of step 1/4: the largest |x/step - m| is {}, more than {} rounds by{}; "
    "give the step that the data lie on (16 bits need float64), or off_grid='round', which costs "
    "radius: half the step times the root of the dimension, {} with step 1/65536"
)
NORMALISED = "; normalisation belongs into the network (models.Normalise)"
REFUSED = [
    (np.array([0.25, 0.3, 0.5]), ValueError, OFF.format("0.2", "float64", "", "1.3e-05")),
    (np.array([0.25, -0.1]), ValueError, OFF.format("0.4", "float64", NORMALISED, "1.1e-05")),
    (np.array([0.0, 1e-9]), ValueError, OFF.format("4e-09", "float64", "", "1.1e-05")),
    (
        np.array([0.25, 0.25 + 1e-7], np.float32),
        ValueError,
        OFF.format("3.58e-07", "float32", "", "1.1e-05"),
    ),
    (
        np.array([[0.0, 0.5], [math.nan, 1.0]]),
        ValueError,
        "x must be finite, got nan at position (1, 0)",
    ),
    (torch.tensor([0.0, -math.inf]), ValueError, "x must be finite, got -inf at position (1,)"),
    (np.zeros((0, 3)), ValueError, "x must not be empty, got shape (0, 3)"),
    (
        np.array([3, 200], dtype=np.uint8),
        TypeError,
        "x must be of a floating dtype, got uint8; divide by 255 and use step=1/255 for 8-bit "
        "images",
    ),
    (
        np.array([4.0e6, -4.2e6]),
        ValueError,
        "x is too large for its step: |x / step| must be at most 16777180, got 16800000",
    ),
]


@pytest.mark.parametrize(("x", "error", "message"), REFUSED)
def test_examples_refused(x, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        GridGaussian(1, "1/4").prepare(x)


def test_float_noise_refuses_what_is_not_finite():
    noise = FloatGaussian(1)
    with pytest.raises(ValueError, match=r"^x must be finite, got nan at position \(1,\)$"):
        noise.prepare(np.array([0.0, math.nan]))
    with pytest.raises(TypeError, match=r"^x must be of a floating dtype, got int64; "):
        noise.prepare(np.array([1, 2]))
    assert noise.prepare(np.array([0.1])).dtype == torch.float32


def test_coordinates_are_checked_again_when_drawn():
    noise = GridGaussian(1, "1/4")
    with pytest.raises(ValueError, match=r"^x is too large for its step: "):
        noise.stream(torch.tensor([2**24], dtype=torch.int32), 0, Purpose.ESTIMATION, 0)
    with pytest.raises(ValueError, match=r"^x is too large for its step: "):
        noise.stream(torch.tensor([-(2**31)], dtype=torch.int32), 0, Purpose.ESTIMATION, 0)
    with pytest.raises(TypeError, match=r"^prepared must be an int32 tensor made by prepare$"):
        noise.stream(torch.zeros(3), 0, Purpose.ESTIMATION, 0)
    with pytest.raises(TypeError, match=r"^prepared must be a float32 tensor made by prepare$"):
        FloatGaussian(1).stream(torch.zeros(3).double(), 0, Purpose.ESTIMATION, 0)


@pytest.mark.parametrize("noise", [GridGaussian(1, 1), FloatGaussian(1)], ids=["grid", "float"])
def test_keys_refused(noise):
    prepared = noise.prepare(np.zeros(3))
    for key, error, message in (
        ((-1, 0, 0), ValueError, "seed must be at least 0, got -1"),
        ((0, 0, -1), ValueError, "index must be at least 0, got -1"),
        ((2**63, 0, 0), ValueError, f"seed must be at most {2**63 - 1}, got {2**63}"),
        ((1.5, 0, 0), TypeError, "seed must be a whole number, got 1.5"),
        ((0, 0, True), TypeError, "index must be a whole number, got True"),
    ):
        with pytest.raises(error, match=f"^{re.escape(message)}$"):
            noise.stream(prepared, *key)
    with pytest.raises(ValueError, match=r"^4 is not a valid Purpose$"):
        noise.stream(prepared, 0, 4, 0)


@kinds
def test_buffers_refused(kind):
    stream = open_stream(kind, (3, 5))
    for shape in ((4, 5, 3), (3, 5), (4, 3, 5, 1), (4, 1, 5)):
        message = f"out must have shape (rows, 3, 5), got {shape}"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            stream.fill(torch.empty(shape))
    message = "out must be float32 on cpu, got torch.float64 on cpu"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        stream.fill(torch.empty(4, 3, 5, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"on meta$"):
        stream.fill(torch.empty(4, 3, 5, device="meta"))
    untouched = stream.fill(torch.empty(4, 3, 5))
    assert torch.equal(untouched, open_stream(kind, (3, 5)).fill(torch.empty(4, 3, 5)))
