"""Checks for chapter 9, training the base classifier."""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax
from scipy.stats import norm

from rslib.exercises import WrongType, close, exercise, function, number

A_NUMBER = "a number, such as 0.25"


@exercise("09.1", kind="by hand", expects=A_NUMBER)
def share_for_a_radius(answer: object) -> str | None:
    """sigma = 0.25, r = 0.5."""
    value = number(answer)
    if close(value, norm.cdf(2), 1e-3):
        return None
    if close(value, 100 * norm.cdf(2), 1e-3):
        return "a share lies between 0 and 1."
    if close(value, norm.cdf(0.5), 1e-3):
        return "the radius counts in units of the noise level."
    if close(value, norm.cdf(1), 1e-3):
        return "this is the share for a radius of one sigma; how many sigmas is 0.5 here?"
    if close(value, norm.cdf(0.125), 1e-3):
        return "divide the radius by the noise level, do not multiply them."
    if close(value, norm.sf(2), 1e-2):
        return "this is the share on which it may be wrong."
    return "solve the one-sided form of Theorem 1 for the share."


@exercise("09.2", kind="by hand", expects=A_NUMBER)
def limit_of_certified_accuracy(answer: object) -> str | None:
    """Accuracy under noise 0.6, sigma = r = 0.5."""
    value = number(answer)
    q = norm.cdf(1)
    if close(value, 0.6 / q):
        return None
    if close(value, 100 * 0.6 / q):
        return "a share lies between 0 and 1."
    if close(value, 0.6):
        return "more is possible: a certified image may be wrong under some of the noise."
    if close(value, 0.6 * q):
        return "more is possible: each certified image uses up only a share q of right answers."
    if close(value, 0.6 / norm.cdf(0.5)):
        return "which share does this radius need at this noise level? Divide the one by the other."
    if close(value, (0.6 - q) / (1 - q)) or value == 0:
        return "this is the least certified accuracy; the question is about the largest."
    return "each certified image uses up right answers. How many at least, and how many are there?"


@exercise("09.3", kind="by hand", expects=A_NUMBER)
def radius_from_a_loss(answer: object) -> str | None:
    """Loss 0.1 under noise at sigma = 0.5, hard vote."""
    value = number(answer)
    share, soft = 1 - 0.1 / np.log(2), np.exp(-0.1)
    if close(value, 0.5 * norm.ppf(share)):
        return None
    if close(value, norm.ppf(share)):
        return "this is in units of the noise level; the radius is in input units."
    if close(value, 0.5 * norm.ppf(soft)):
        return "this is the promise for the soft vote."
    if close(value, 0.5 * norm.ppf(0.9)):
        return "a wrong answer costs less than 1 in the loss: how much at least?"
    if close(value, share):
        return "this is the share; now turn it into a radius."
    return "first bound the share of wrong answers: what does each of them add to the loss?"


@exercise("09.4", kind="by code", expects="a function of (scores, x, y, sigma, rng)")
def augmented_loss(answer: object) -> str | None:
    """The cross-entropy of one fresh noisy copy of each image."""
    loss = function(answer)
    images, sigma = 2000, 0.3
    maker = np.random.default_rng(94)
    x = maker.uniform(0, 1, (images, 6))
    y = maker.integers(0, 4, images)
    weights = maker.standard_normal((6, 4)) * 2
    seen: list[np.ndarray] = []

    def linear(batch: np.ndarray) -> np.ndarray:
        batch = np.atleast_2d(np.asarray(batch, dtype=float))
        seen.append(batch)
        return batch @ weights

    def call(level: float, rng: np.random.Generator) -> tuple[float, np.ndarray]:
        seen.clear()
        value = _one_number(loss(linear, x.copy(), y.copy(), level, rng))
        fed = np.concatenate(seen) if seen else np.empty((0, 6))
        first = np.unique(fed, axis=0, return_index=True)[1]  # one copy may be asked about twice
        return value, fed[np.sort(first)]

    rng = np.random.default_rng(940)
    value, fed = call(sigma, rng)
    if len(fed) != images:
        return f"ask for the scores of one noisy copy of each image: {images} in, {len(fed)} asked."
    hint = _fault_of_the_noise(fed - x, sigma)
    if hint:
        return hint
    if np.allclose(call(sigma, rng)[1], fed):
        return "a second call drew the same noise: take it from rng, so that every step is fresh."
    if not np.array_equal(call(sigma, np.random.default_rng(940))[1], fed):
        return (
            "the same generator, started anew, gave other noise: where does the function draw from?"
        )
    hint = _fault_of_the_noise(call(2 * sigma, rng)[1] - x, 2 * sigma)
    if hint:
        return hint

    outputs = fed @ weights
    log_f = log_softmax(outputs, axis=1)[np.arange(images), y]
    hint = _fault_of_the_loss(value, log_f, outputs[np.arange(images), y])
    if hint:
        return hint

    with np.errstate(all="ignore"):
        large = loss(
            lambda batch: 1000 * np.eye(4)[np.zeros(len(np.atleast_2d(batch)), dtype=int)],
            x[:4].copy(),
            np.array([0, 0, 1, 1]),
            sigma,
            rng,
        )
    if not np.isclose(float(large), 500.0):
        return "right for small scores; with scores of 1,000 an exponential overflows."
    return None


def _one_number(returned: object) -> float:
    """The loss that the reader's function returned; it may be infinite or NaN here."""
    try:
        return float(returned)
    except (TypeError, ValueError) as error:
        raise WrongType(
            f"your function should return one number (got {type(returned).__name__})."
        ) from error


def _fault_of_the_noise(noise: np.ndarray, sigma: float) -> str | None:
    """What is wrong with the noise that was added, if anything."""
    level = noise.std()
    if level < 1e-12:
        return "the scores were asked for the images as they are: add noise."
    if np.allclose(noise, noise[:1]):
        return "all images got the same noise vector; each needs one of its own."
    if np.allclose(noise, noise[:, :1]):
        return "all pixels of an image got the same number; each needs one of its own."
    if len(np.unique(noise.round(12), axis=0)) < len(noise):
        return "several images got the same noise vector; each needs one of its own."
    # The correlation of two pixels over 2,000 images has a standard error of 0.022.
    if np.abs(np.corrcoef(noise.T) - np.eye(noise.shape[1])).max() > 0.12:
        return "the noise of different pixels is not independent."
    if abs(noise.mean()) > 0.05 * level:
        return "the noise must have mean 0: it should be normal, not uniform on [0, 1]."
    if abs(level - sigma**2) < 0.02 * sigma**2:
        return "sigma is the standard deviation of the noise; this noise has the deviation sigma^2."
    if abs(level - np.sqrt(sigma)) < 0.02 * np.sqrt(sigma):
        return "sigma is the standard deviation of the noise, not its variance."
    if abs(level - sigma) > 0.03 * sigma:
        return f"at sigma = {sigma} the noise has the standard deviation {level:.3f}."
    # A normal variable stays within one deviation 68% of the time, a uniform one 58%.
    if abs(np.mean(np.abs(noise) < level) - 0.6827) > 0.02:
        return "the noise has the right deviation, but it is not normal."
    return None


def _fault_of_the_loss(value: float, log_f: np.ndarray, scores: np.ndarray) -> str | None:
    """What is wrong with the value, given the noisy copies, if anything."""
    if np.isclose(value, -log_f.mean(), rtol=1e-6):
        return None
    if np.isclose(value, log_f.mean(), rtol=1e-6):
        return "a loss is small when the network is right: look at the sign."
    if np.isclose(value, -log_f.sum(), rtol=1e-6):
        return "the mean over the batch, not the sum."
    if np.isclose(value, -np.log(np.exp(log_f).mean()), rtol=1e-6):
        return "this is the log of the mean; the loss is the mean of the logs."
    if np.isclose(value, 1 - np.exp(log_f).mean(), rtol=1e-6):
        return "this is the mean probability of an error; where is the logarithm?"
    if np.isclose(value, -scores.mean(), rtol=1e-6):
        return "scores are not log-probabilities yet: normalise with the softmax."
    return "the noise is right; for the loss take the log of the softmax score of the right class."


def _scores_in_unit_interval(answer: object, *, least: int = 2) -> np.ndarray:
    if isinstance(answer, str | bytes | dict) or callable(answer):
        raise WrongType
    values = np.asarray(answer, dtype=float)
    if values.ndim != 1 or len(values) < least:
        raise WrongType(f"the answer should be a list of at least {least} numbers.")
    if not (np.all(values > 0) and np.all(values <= 1)):
        raise WrongType("a softmax score is positive and at most 1.")
    return values


@exercise("09.5", kind="break it", expects="a list of numbers in (0, 1]")
def large_loss_good_vote(answer: object) -> str | None:
    """Mean loss of at least 2, and at least 95% of the copies right."""
    values = _scores_in_unit_interval(answer)
    share, loss = np.mean(values > 0.5), -np.log(values).mean()
    if share < 0.95 - 1e-12:
        return f"the vote must be at least 95% right; here {100 * share:.3g}% are above one half."
    if loss < 2 - 1e-9:
        return f"the mean loss is {loss:.3g}. How large can the loss of one copy be?"
    return None


@exercise("09.6", kind="break it", expects="a probability, such as 0.25")
def one_noise_vector(answer: object) -> str | None:
    """All copies share their noise, f is deterministic."""
    value = number(answer)
    if abs(value - 1) < 1e-9:
        return None
    if 0.9 < value < 1:
        return "nearly. Is there any noise with which the colleague does not certify some class?"
    if close(value, 0.6):
        return "this is how often it happens for the top class; the question says: for some class."
    if close(value, 0.001):
        return "that is what independent votes would promise. Are these votes independent?"
    if 0 <= value < 1e-50:
        return "this multiplies probabilities as if the copies were independent."
    return "how do the votes of 1,000 equal images differ?"
