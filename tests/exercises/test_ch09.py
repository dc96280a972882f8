"""The checks of chapter 9 accept right answers, however written, and know the common mistakes."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from answers import (
    test_common_mistakes_get_their_hint,  # noqa: F401
    test_every_exercise_has_answers_to_test,  # noqa: F401
    test_no_hint_tells_the_answer,  # noqa: F401
    test_right_answers_are_accepted,  # noqa: F401
)
from scipy.special import log_softmax, logsumexp, softmax
from scipy.stats import norm

from rslib.exercises import EXERCISES, check

check("09.1")
CHAPTER = sorted(name for name in EXERCISES if name.startswith("09."))


def of_right_class(log_f, y):
    return log_f[np.arange(len(y)), y]


def loss_by_hand(scores, x, y, sigma, rng):
    s = scores(x + sigma * rng.standard_normal(x.shape))
    s = s - s.max(axis=1, keepdims=True)
    return -of_right_class(s - np.log(np.exp(s).sum(axis=1, keepdims=True)), y).mean()


def loss_scipy(scores, x, y, sigma, rng):
    return np.mean(-of_right_class(log_softmax(scores(rng.normal(x, sigma)), axis=1), y))


def loss_image_by_image(scores, x, y, sigma, rng):
    total = 0.0
    for image, label in zip(x, y, strict=True):
        s = scores(image[None] + rng.normal(0, sigma, (1, len(image))))[0]
        total += logsumexp(s) - s[label]
    return total / len(y)


def loss_one_hot(scores, x, y, sigma, rng):
    noise = rng.multivariate_normal(np.zeros(x.shape[1]), sigma**2 * np.eye(x.shape[1]), len(x))
    s = scores(x + noise)
    hot = np.eye(s.shape[1])[y]
    return sp.Float(np.mean(logsumexp(s, axis=1) - (hot * s).sum(axis=1)))


def no_noise(scores, x, y, sigma, rng):
    return loss_scipy(scores, x, y, 0.0, rng)


def one_vector(scores, x, y, sigma, rng):
    return loss_scipy(scores, x + sigma * rng.standard_normal(x.shape[1]), y, 0.0, rng)


def one_number_an_image(scores, x, y, sigma, rng):
    return loss_scipy(scores, x + sigma * rng.standard_normal((len(x), 1)), y, 0.0, rng)


def variance(scores, x, y, sigma, rng):
    return loss_scipy(scores, x, y, sigma**2, rng)


def root(scores, x, y, sigma, rng):
    return loss_scipy(scores, x, y, np.sqrt(sigma), rng)


def twice(scores, x, y, sigma, rng):
    return loss_scipy(scores, x, y, 2 * sigma, rng)


def uniform(scores, x, y, sigma, rng):
    return loss_scipy(scores, x + sigma * rng.random(x.shape), y, 0.0, rng)


def centred_uniform(scores, x, y, sigma, rng):
    noise = sigma * np.sqrt(3) * rng.uniform(-1, 1, x.shape)
    return loss_scipy(scores, x + noise, y, 0.0, rng)


def frozen(scores, x, y, sigma, rng):
    return loss_scipy(scores, x, y, sigma, np.random.default_rng(0))


def wrong_sign(scores, x, y, sigma, rng):
    return -loss_scipy(scores, x, y, sigma, rng)


def summed(scores, x, y, sigma, rng):
    return len(y) * loss_scipy(scores, x, y, sigma, rng)


def log_of_mean(scores, x, y, sigma, rng):
    return -np.log(of_right_class(softmax(scores(rng.normal(x, sigma)), axis=1), y).mean())


def no_log(scores, x, y, sigma, rng):
    return 1 - of_right_class(softmax(scores(rng.normal(x, sigma)), axis=1), y).mean()


def no_softmax(scores, x, y, sigma, rng):
    return -of_right_class(scores(rng.normal(x, sigma)), y).mean()


def overflows(scores, x, y, sigma, rng):
    s = np.exp(scores(rng.normal(x, sigma)))
    return -np.log(of_right_class(s / s.sum(axis=1, keepdims=True), y)).mean()


def two_copies(scores, x, y, sigma, rng):
    return (loss_scipy(scores, x, y, sigma, rng) + loss_scipy(scores, x, y, sigma, rng)) / 2


RIGHT = {
    "09.1": [norm.cdf(2), 0.977, Fraction(9772, 10000), Decimal("0.97725"), sp.Float("0.9772")],
    "09.2": [0.6 / norm.cdf(1), 0.7132, Fraction(60, 84), sp.Rational(6, 10) / 0.8413],
    "09.3": [
        0.5 * norm.ppf(1 - 0.1 / np.log(2)),
        0.5307,
        Decimal("0.531"),
        sp.erfinv(1 - sp.Rational(1, 5) / sp.log(2)) / sp.sqrt(2),
    ],
    "09.4": [loss_by_hand, loss_scipy, loss_image_by_image, loss_one_hot],
    "09.5": [
        97 * [0.9] + 3 * [np.exp(-100)],
        np.r_[np.ones(95), np.full(5, 1e-20)],
        (*[Fraction(9, 10)] * 19, Decimal("1e-30")),
        [0.51] * 999 + [1e-300] * 2 + [1e-300],
    ],
    "09.6": [1, 1.0, Fraction(1), sp.Integer(1)],
}
# Each wrong answer with a word of the hint that it must get.
WRONG = {
    "09.1": [
        (97.72, "between 0 and 1"),
        (0.6915, "units"),
        (0.8413, "one sigma"),
        (norm.cdf(0.125), "divide"),
        (0.0228, "may be wrong"),
        (0.5, "solve"),
    ],
    "09.2": [
        (71.32, "between 0 and 1"),
        (0.6, "more is possible"),
        (0.5048, "more is possible"),
        (0.6 / 0.6915, "noise level"),
        (0, "least"),
        (0.9, "uses up"),
    ],
    "09.3": [
        (1.0613, "input units"),
        (0.6548, "soft"),
        (0.6408, "wrong answer"),
        (0.8557, "radius"),
        (0.05, "share of wrong"),
    ],
    "09.4": [
        (no_noise, "add noise"),
        (one_vector, "same noise vector"),
        (one_number_an_image, "all pixels"),
        (variance, "sigma^2"),
        (root, "variance"),
        (twice, "0.6"),
        (uniform, "mean 0"),
        (centred_uniform, "not normal"),
        (frozen, "second call"),
        (wrong_sign, "sign"),
        (summed, "sum"),
        (log_of_mean, "mean of the logs"),
        (no_log, "logarithm"),
        (no_softmax, "normalise"),
        (overflows, "overflows"),
        (two_copies, "one noisy copy"),
        (lambda scores, x, y, sigma, rng: scores(rng.normal(x, sigma)), "one number"),
        (lambda scores, x, y, sigma, rng: scores(rng.normal(x, sigma)).mean(), "right class"),
    ],
    "09.5": [
        (100 * [0.1], "at least 95%"),
        (100 * [0.9], "How large"),
        (97 * [0.9] + 3 * [0.01], "How large"),
        (97 * [0.9] + 3 * [0.0], "positive"),
        (0.9, "list"),
    ],
    "09.6": [
        (0.6, "some class"),
        (0.001, "independent"),
        (0.6**1000, "as if"),
        (0.5, "differ"),
    ],
}

# More answers, drawn from the text of the exercises alone.


def any_hint(*answers):
    """Wrong answers that no hint was written for."""
    return [(answer, "Hint: ") for answer in answers]


def loss_torch(scores, x, y, sigma, rng):
    torch = pytest.importorskip("torch")
    noisy = x + sigma * rng.standard_normal(x.shape)
    s = torch.as_tensor(np.asarray(scores(noisy)))
    return torch.nn.functional.cross_entropy(s, torch.as_tensor(y))


def loss_asks_twice(scores, x, y, sigma, rng):
    noisy = rng.normal(x, sigma)
    shifted = scores(noisy) - scores(noisy).max(axis=1, keepdims=True)
    log_f = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -np.mean([row[label] for row, label in zip(log_f, y, strict=True)])


def loss_pixel_by_pixel(scores, x, y, sigma, rng):
    noisy = np.stack([column + rng.normal(0, sigma, len(x)) for column in x.T], axis=1)
    return -np.take_along_axis(log_softmax(scores(noisy), axis=1), y[:, None], axis=1).mean()


def loss_in_float32(scores, x, y, sigma, rng):
    noise = rng.standard_normal(x.shape, dtype=np.float32)
    return -of_right_class(log_softmax(scores(x + sigma * noise), axis=1), y).mean()


def loss_by_differences(scores, x, y, sigma, rng):
    """-log F_y = log of the sum of exp(s_c - s_y), without overflow."""
    s = scores(x + sigma * rng.standard_normal(x.shape))
    return np.logaddexp.reduce(s - of_right_class(s, y)[:, None], axis=1).mean()


def loss_minus_the_noise(scores, x, y, sigma, rng):
    return loss_scipy(scores, x - sigma * rng.standard_normal(x.shape), y, 0.0, rng)


def global_generator(scores, x, y, sigma, rng):
    return loss_scipy(scores, x + sigma * np.random.randn(*x.shape), y, 0.0, rng)  # noqa: NPY002


def own_generator(scores, x, y, sigma, rng):
    return loss_scipy(scores, x, y, sigma, np.random.default_rng())


def one_level(scores, x, y, sigma, rng):
    return loss_scipy(scores, x, y, 0.3, rng)


def halves_alike(scores, x, y, sigma, rng):
    half = sigma * rng.standard_normal((len(x) // 2, x.shape[1]))
    return loss_scipy(scores, x + np.concatenate([half, half]), y, 0.0, rng)


def pixels_alike_in_pairs(scores, x, y, sigma, rng):
    few = sigma * rng.standard_normal((len(x), x.shape[1] // 2))
    return loss_scipy(scores, x + np.repeat(few, 2, axis=1), y, 0.0, rng)


def clipped(scores, x, y, sigma, rng):
    return loss_scipy(scores, np.clip(rng.normal(x, sigma), 0, 1), y, 0.0, rng)


def one_sided_noise(scores, x, y, sigma, rng):
    return loss_scipy(scores, x + np.abs(rng.normal(0, sigma, x.shape)), y, 0.0, rng)


def laplace(scores, x, y, sigma, rng):
    return loss_scipy(scores, rng.laplace(x, sigma / np.sqrt(2)), y, 0.0, rng)


def labels_of_the_network(scores, x, y, sigma, rng):
    s = scores(rng.normal(x, sigma))
    return -log_softmax(s, axis=1).max(axis=1).mean()


def base_two(scores, x, y, sigma, rng):
    return loss_scipy(scores, x, y, sigma, rng) / np.log(2)


def all_classes(scores, x, y, sigma, rng):
    return -log_softmax(scores(rng.normal(x, sigma)), axis=1).mean()


def noise_on_the_scores(scores, x, y, sigma, rng):
    s = scores(x)
    return -of_right_class(log_softmax(rng.normal(s, sigma), axis=1), y).mean()


def softmax_over_the_batch(scores, x, y, sigma, rng):
    return -of_right_class(log_softmax(scores(rng.normal(x, sigma)), axis=0), y).mean()


DRAWN_RIGHT = {
    "09.1": [
        norm.sf(-2),
        1 - 0.02275,
        np.float32(0.97725),
        (1 + sp.erf(sp.sqrt(2))) / 2,
        Fraction(97725, 100_000),
        np.array(0.9772),
    ],
    "09.2": [
        0.71318,
        0.6 / 0.8413,
        Decimal("0.7132"),
        Fraction(6000, 8413),
        np.float32(0.71317),
        sp.Float("0.7132"),
    ],
    "09.3": [
        1.0613 / 2,
        0.53067,
        Fraction(5307, 10_000),
        np.float32(0.5307),
        norm.ppf(0.8557, scale=0.5),
        sp.Float("0.5306"),
    ],
    "09.4": [
        loss_torch,
        loss_asks_twice,
        loss_pixel_by_pixel,
        loss_in_float32,
        loss_by_differences,
        loss_minus_the_noise,
    ],
    "09.5": [
        19 * [1.0] + [np.exp(-40.0)],
        95 * [1] + 5 * [np.exp(-40)],
        np.concatenate([np.full(1900, 0.99), np.full(100, 1e-20)]),
        [0.999] * 99 + [1e-100],
        tuple([0.6] * 20 + [1e-200]),
        [sp.Rational(9, 10)] * 39 + [sp.exp(-100), sp.exp(-100)],
    ],
    "09.6": [
        0.6 + 0.4,
        np.float32(1),
        np.int64(1),
        Decimal(1),
        sp.Rational(3, 5) + sp.Rational(2, 5),
        np.array(1.0),
    ],
}
DRAWN_WRONG = {
    "09.1": any_hint(
        norm.cdf(0.25),
        2 * norm.cdf(2) - 1,
        norm.cdf(2) ** 2,
        norm.pdf(2),
        norm.cdf(1.5),
        norm.cdf(4),
        1 - norm.sf(2) / 2,
        0.98,
        1.0,
        2,
        0.25,
        -0.9772,
    ),
    "09.2": any_hint(
        0.6 * 0.6915,
        0.8413,
        0.6 / 0.9772,
        1 - 0.6 / 0.8413,
        0.36,
        1.0,
        0.72,
        0.7,
        0.4 / 0.1587,
        0.6 - 0.8413,
        0.4,
        1 / 0.8413,
    ),
    "09.3": any_hint(
        0.1,
        0.5 * 0.8557,
        0.5 * norm.ppf(1 - 0.1 / np.log(10)),
        0.5 * norm.ppf(1 - 0.1 * np.log(2)),
        0.5 * norm.ppf(0.95),
        0.5 * norm.ppf(1 - 0.2 / np.log(2)),
        0.5 / 1.0613,
        0.25 * 1.0613,
        0.52,
        0.54,
        2 * 1.0613,
        -0.5307,
    ),
    "09.4": [
        (global_generator, "draw from"),
        (own_generator, "draw from"),
        (one_level, "standard deviation"),
        (halves_alike, "several images"),
        (pixels_alike_in_pairs, "not independent"),
        (one_sided_noise, "mean 0"),
        (laplace, "not normal"),
        (noise_on_the_scores, "add noise"),
        *any_hint(clipped, labels_of_the_network, base_two, all_classes, softmax_over_the_batch),
    ],
    "09.5": any_hint(
        100 * [1.0],
        100 * [0.5],
        95 * [0.5] + 5 * [1e-60],
        94 * [0.9] + 6 * [1e-60],
        95 * [0.95] + 5 * [0.05],
        97 * [0.9] + 3 * [-1.0],
        97 * [1.9] + 3 * [1e-60],
        [],
        [1e-300],
        97 * ["a"] + 3 * ["b"],
        19 * [0.9] + [float("nan")],
        19 * [0.9] + [0.01],
    ),
    "09.6": any_hint(0.9999, 0.999, 0.993, 0.99, 0.4, 0, 1000, -1, 0.95, 1.0001, 0.6**2),
}
for _name in RIGHT:
    RIGHT[_name] += DRAWN_RIGHT[_name]
    WRONG[_name] += DRAWN_WRONG[_name]

TELLS = {"09.1": "0.97", "09.2": "0.71", "09.3": "0.53", "09.4": "logsumexp", "09.6": " 1."}

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # one of the mistakes overflows


def test_the_loss_that_is_checked_is_the_one_of_the_library():
    """The check's cross-entropy is torch's, so the exercise is the training loss."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(9)
    scores, y = rng.standard_normal((50, 4)) * 5, rng.integers(0, 4, 50)
    theirs = torch.nn.functional.cross_entropy(torch.from_numpy(scores), torch.from_numpy(y))
    ours = -of_right_class(log_softmax(scores, axis=1), y).mean()
    assert np.isclose(theirs.item(), ours)
