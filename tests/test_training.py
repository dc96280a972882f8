"""Training under noise does what E1 says, repeats itself, and goes on where it was stopped."""

import json
import math
import shutil
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from rslib import datasets, models, training

DIGITS = datasets.load("digits", "train")


def trained(sigma, epochs=4, seed=0, name="mlp", **options):
    torch.manual_seed(0)
    network = models.build(name, DIGITS.shape, DIGITS.num_classes)
    return network, training.train(network, DIGITS, sigma, epochs=epochs, seed=seed, **options)


def noisy_accuracy(network, sigma):
    test = datasets.load("digits", "test")
    generator = torch.Generator().manual_seed(9)
    x = torch.from_numpy(test.images)
    x = x + sigma * torch.randn(x.shape, generator=generator)
    with torch.no_grad():
        return float((network(x).argmax(1).numpy() == test.labels).mean())


def test_noise_in_training_helps_under_noise():
    """Measured at three seeds: 0.74 to 0.76 with noise, 0.64 to 0.68 without."""
    augmented, _ = trained(0.5, epochs=12, name="cnn")
    plain, _ = trained(0.0, epochs=12, name="cnn")
    assert noisy_accuracy(plain, 0.0) > 0.9
    assert noisy_accuracy(augmented, 0.5) > noisy_accuracy(plain, 0.5) + 0.03


def test_log_and_progress():
    seen = []
    network, log = trained(0.25, progress=seen.append)
    assert log == seen and [entry["epoch"] for entry in log] == [1, 2, 3, 4]
    assert log[-1]["loss"] < log[0]["loss"]
    assert 0 <= log[0]["noisy_accuracy"] <= log[-1]["noisy_accuracy"] <= 1
    assert not network.training


def test_same_seed_same_weights_and_fresh_noise():
    a, b, c = trained(0.5)[0], trained(0.5)[0], trained(0.5, seed=1)[0]
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters()))
    assert not all(torch.equal(p, q) for p, q in zip(a.parameters(), c.parameters()))


def test_every_step_sees_fresh_noise():
    seen = []

    class Spy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(64, 10)

        def forward(self, x):
            seen.append(x.detach().clone())
            return self.layer(x.flatten(1))

    one = datasets.Dataset("one", "train", np.zeros((8, 1, 8, 8), np.float32),
                           np.zeros(8, np.int64), DIGITS.step, 10)  # fmt: skip
    training.train(Spy(), one, 0.5, epochs=3, batch_size=4)
    values = torch.stack(seen).flatten()
    assert len(seen) == 6 and len(values.unique()) > 0.99 * len(values)
    # 1536 draws: the standard error of the deviation is 0.009.
    assert abs(float(values.std()) - 0.5) < 5 * 0.009


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma": -0.1}, "sigma must be finite and not negative, got -0.1"),
        ({"sigma": float("nan")}, "sigma must be finite and not negative, got nan"),
        ({"sigma": 0.1, "epochs": 0}, "epochs must be at least 1, got 0"),
        ({"sigma": 0.1, "batch_size": 1.5}, "batch_size must be a whole number, got 1.5"),
        ({"sigma": 0.1, "learning_rate": 0.0}, "learning_rate must be positive, got 0.0"),
        ({"sigma": 0.1, "weight_decay": -1.0}, "weight_decay must be finite and .*got -1.0"),
        ({"sigma": 0.1, "consistency": float("nan")}, "consistency must be finite and .*got nan"),
        ({"sigma": 0.1, "optimiser": "lion"}, "optimiser must be one of adamw, sgd, got 'lion'"),
        ({"sigma": 0.1, "compiled": "yes"}, "compiled must be one of no, blocks, whole, got 'yes'"),
        ({"sigma": 0.1, "compiled": "whole", "batch_size": 9999}, "batch_size .*1297.*got 9999"),
        ({"sigma": 0.1, "budget": 0.0}, "budget must be positive, got 0.0"),
        ({"sigma": 0.1, "budget": 5.0}, "checkpoint must be given with a budget, got None"),
        ({"sigma": 0.1, "learning_rate": 1e30}, r"learning_rate 1e\+30 is too high"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        trained(**options)


def test_the_default_recipe_is_plain_adamw_draw_for_draw():
    """The committed digits weights came from this loop: training must go on giving them."""
    torch.manual_seed(0)
    network = models.build("mlp", DIGITS.shape, DIGITS.num_classes)
    x, y = torch.from_numpy(DIGITS.images), torch.from_numpy(DIGITS.labels)
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, 2 * math.ceil(len(y) / 64))
    for _ in range(2):
        for batch in torch.randperm(len(y), generator=generator).split(64):
            noisy = x[batch]
            noisy = noisy + 0.25 * torch.randn(noisy.shape, generator=generator)
            loss = torch.nn.functional.cross_entropy(network(noisy), y[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    for options in ({}, {k: v for k, v in training.RECIPES["digits"].items() if k != "epochs"}):
        again, _ = trained(0.25, epochs=2, **options)
        assert all(torch.equal(p, q) for p, q in zip(network.parameters(), again.parameters()))


def pictures(count=24):
    """Made images of two classes, dark and bright, on the grid of bytes."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 2
    pixels = rng.integers(0, 120, (count, 3, 32, 32)) + 130 * labels[:, None, None, None]
    return datasets.Dataset("made", "train", pixels.astype(np.float32) / np.float32(255),
                            labels, "1/255", 2)  # fmt: skip


PICTURES = pictures()


class Small(torch.nn.Sequential):
    """A network with batch statistics and blocks that recur, for images of three channels."""

    def __init__(self):
        torch.manual_seed(1)
        block = lambda: torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3, 2, 1), torch.nn.ReLU())  # noqa: E731
        super().__init__(torch.nn.Conv2d(3, 4, 3, 2), torch.nn.BatchNorm2d(4), block(), block(),
                         torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
                         torch.nn.Linear(4, 2))  # fmt: skip


FAST = {"optimiser": "sgd", "augment": True, "batch_size": 8, "learning_rate": 0.1}


def small(**options):
    network = Small()
    return network, training.train(network, PICTURES, 0.25, **(FAST | {"epochs": 3} | options))


def same(a, b):
    one, two = a.state_dict(), b.state_dict()
    return all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("options", [{}, {"bfloat16": True}, {"consistency": 10.0}])
def test_sgd_learns(options):
    _, log = small(epochs=15, **options)
    assert log[-1]["loss"] < log[0]["loss"] and log[-1]["noisy_accuracy"] > 0.9


def test_sgd_is_nesterov_with_one_cycle_and_decay(monkeypatch):
    made = []
    real = torch.optim.SGD

    def record(*arguments, **options):
        made.append(real(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(torch.optim, "SGD", record)
    small(weight_decay=5e-4)
    (group,) = made[0].param_groups
    assert group["nesterov"] and group["momentum"] == 0.9 and group["weight_decay"] == 5e-4
    assert group["max_lr"] == 0.1 and group["initial_lr"] < 0.01


def test_consistency_loss_is_the_published_one():
    scores = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    shares = scores.softmax(-1).double()
    mean = shares.mean(0)
    divergence = sum((mean * (mean / share).log()).sum(-1) for share in shares) / 2
    entropy = -(mean * mean.log()).sum(-1)
    expected = (10 * divergence + 0.5 * entropy).mean()
    assert float(training.consistency_loss(scores, 10.0)) == pytest.approx(float(expected), 1e-5)


def test_consistency_pairs_two_noisy_copies_of_one_image(monkeypatch):
    seen = []
    real = training.consistency_loss
    monkeypatch.setattr(
        training, "consistency_loss", lambda s, w: seen.append((s.detach(), w)) or real(s, w)
    )

    class Mean(torch.nn.Module):
        """Scores that tell which image was shown, whatever the noise."""

        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(2))

        def forward(self, x):
            return x.mean((1, 2, 3))[:, None] * self.scale

    training.train(Mean(), PICTURES, 1e-4, **FAST, epochs=1, consistency=7.0)
    assert [scores.shape for scores, _ in seen] == [(2, 8, 2)] * 3
    assert {weight for _, weight in seen} == {7.0}
    first, second = seen[0][0]
    assert not torch.equal(first, second) and (first - second).abs().max() < 1e-3
    assert first.std() > 0.01


@pytest.mark.parametrize("optimiser", training.OPTIMISERS)
def test_averaging_ends_at_the_mean_of_the_second_half_s_weights(optimiser):
    seen, rates = [], []

    def note(optimise, arguments, options):
        seen.append([p.detach().clone() for p in optimise.param_groups[0]["params"]])
        rates.append(optimise.param_groups[0]["lr"])

    still = {"augment": False, "batch_size": len(PICTURES), "optimiser": optimiser}
    network, hook = Small(), register_optimizer_step_post_hook(note)
    try:
        training.train(network, PICTURES, 1e-7, **(FAST | still), epochs=21, average=True)
    finally:
        hook.remove()
    assert len(seen) == 21 and rates[0] < rates[1] < rates[2]
    assert set(rates[2:]) == {FAST["learning_rate"]}
    mean = [torch.stack(steps).mean(0) for steps in zip(*seen[10:])]
    assert all(torch.allclose(p, q, atol=1e-6) for p, q in zip(network.parameters(), mean))
    assert not torch.allclose(mean[0], seen[-1][0], atol=1e-3)
    # One batch without noise: the statistics are those of all images under the mean weights.
    x, images = None, torch.from_numpy(PICTURES.images)
    for layer in network:
        if isinstance(layer, torch.nn.BatchNorm2d):
            assert torch.allclose(layer.running_mean, x.mean((0, 2, 3)), atol=1e-5)
            assert not network.training and layer.momentum == 0.1
        x = layer(images if x is None else x)


def test_shift_and_flip_shows_every_place_and_nothing_else():
    image = torch.arange(1.0, 1 + 2 * 6 * 5).view(1, 2, 6, 5)
    padded = torch.nn.functional.pad(image, (4, 4, 4, 4))[0]
    allowed = {}
    for down in range(9):
        for right in range(9):
            crop = padded[:, down : down + 6, right : right + 5]
            allowed[tuple(crop.flatten().tolist())] = (down, right, 0)
            allowed[tuple(crop.flip(2).flatten().tolist())] = (down, right, 1)
    shown = training.shift_and_flip(image.expand(3000, -1, -1, -1), torch.Generator())
    assert shown.shape == (3000, 2, 6, 5)
    found = {allowed[tuple(one.flatten().tolist())] for one in shown}
    # 3000 draws of 162 equally likely results: one stays out with probability 162 exp(-18.5).
    assert len(allowed) == len(found) == 162


@pytest.mark.parametrize("options", [{"consistency": 1.0}, {"average": True}])
def test_stopped_and_resumed_is_as_if_never_stopped(tmp_path, options):
    options = {"epochs": 4} | options
    path = tmp_path / "new" / "checkpoint"
    whole, log = small(**options)

    def stop(entry):
        if entry["epoch"] == 3:  # within the half that is averaged, where it is
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small(**options, checkpoint=path, progress=stop)
    seen = []
    again, resumed = small(**options, checkpoint=path, progress=seen.append)
    assert [entry["epoch"] for entry in seen] == [4] and same(whole, again)
    strip = lambda log: [{k: v for k, v in e.items() if k != "seconds"} for e in log]  # noqa: E731
    assert strip(resumed) == strip(log)
    done, _ = small(**options, checkpoint=path)
    assert same(done, whole), "a finished checkpoint gives its weights"
    assert [file.name for file in path.parent.iterdir()] == ["checkpoint"]


def test_budget_stops_after_an_epoch_and_the_next_call_goes_on(tmp_path):
    options = {"epochs": 3, "checkpoint": tmp_path / "c", "log_file": tmp_path / "log.jsonl"}
    _, log = small(**options, budget=1e-9)
    assert len(log) == 1
    network, log = small(**options)
    assert len(log) == 3 and same(network, small()[0])
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == log
    assert all(entry["seconds"] > 0 for entry in log)


@pytest.mark.parametrize(
    ("options", "field"),
    [({"epochs": 4}, "epochs is 3, this run's 4"), ({"seed": 1}, "seed is 0, this run's 1"),
     ({"consistency": 1.0}, "consistency is 0.0"), ({"augment": False}, "augment is True")],
)  # fmt: skip
def test_checkpoint_of_another_run_is_refused(tmp_path, options, field):
    path = tmp_path / "c"
    small(checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"checkpoint {path} is of another run: its {field}"):
        small(checkpoint=path, **options)
    assert path.read_bytes() == before


def test_checkpoint_of_other_data_is_refused(tmp_path):
    small(checkpoint=tmp_path / "c")
    with pytest.raises(ValueError, match="is of another run: its data is"):
        options = FAST | {"epochs": 3, "checkpoint": tmp_path / "c"}
        training.train(Small(), pictures(16), 0.25, **options)


def test_checkpoint_of_a_run_that_began_with_other_weights_is_refused(tmp_path):
    small(checkpoint=tmp_path / "c")
    other = Small()
    with torch.no_grad():
        next(other.parameters()).mul_(2)
    options = FAST | {"epochs": 3, "checkpoint": tmp_path / "c"}
    with pytest.raises(ValueError, match="is of another run: its network is"):
        training.train(other, PICTURES, 0.25, **options)


class _Evil:
    def __reduce__(self):
        return (print, ("executed",))


def test_damaged_checkpoint_is_named_and_nothing_in_it_is_executed(tmp_path, capsys):
    path = tmp_path / "c"
    small(checkpoint=path)
    whole = path.read_bytes()
    torch.save(_Evil(), tmp_path / "evil")
    damaged = [b"", b"not a checkpoint", whole[: len(whole) // 2], (tmp_path / "evil").read_bytes()]
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises(ValueError, match=f"checkpoint {path} cannot be read: "):
            small(checkpoint=path)
    assert "executed" not in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which("g++") or not Path(sysconfig.get_path("include"), "Python.h").is_file(),
    reason="torch.compile needs a compiler and Python's headers",
)
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("compiled", ["blocks", "whole"])
def test_compiled_is_the_same_network(compiled):
    plain, _ = small()
    fast, _ = small(compiled=compiled)
    for p, q in zip(plain.parameters(), fast.parameters()):
        torch.testing.assert_close(p, q, rtol=1e-3, atol=1e-4)
    assert all(module._compiled_call_impl is None for module in fast.modules())
