"""What is certified is the user's own function: prepared where that changes nothing, and refused
where it does not answer each row by itself."""

import functools
import io
import threading

import numpy as np
import pytest
import torch
from torch import nn

from rslib import _modules, _probes, backends
from rslib.engine import Engine, Plan, read_scores
from rslib.noise import GridGaussian, Purpose
from rslib.plans import default_plan
from rslib.smoothing import SmoothedClassifier

SHAPE = (3, 8, 8)
NOISE = GridGaussian("0.5", "1/16")
BACKENDS = [name for name in backends.NAMES if not backends.BACKENDS[name].is_slow_to_make]


def noisy_copies(n, shape=SHAPE):
    batch = torch.empty(n, *shape)
    example = NOISE.prepare(torch.full(shape, 0.5))
    NOISE.stream(example, 0, Purpose.ESTIMATION, 0).fill(batch)
    return batch


def counts(base, classes, backend="frozen", shape=SHAPE, n=400, rows=50):
    plan = Plan(backend if isinstance(base, nn.Module) else "callable", rows=rows)
    engine = Engine(base, classes, shape, plan)
    example = NOISE.prepare(torch.full(shape, 0.5))
    return engine.count(NOISE.stream(example, 0, Purpose.ESTIMATION, 0), n)


def plain_counts(base, classes, shape=SHAPE, n=400):
    """The counts by the plainest means: called in one go."""
    return np.bincount(base(noisy_copies(n, shape)).detach().argmax(1).numpy(), minlength=classes)


def state(network):
    """Everything that a module holds; TorchScript makes its attributes anew when asked."""
    return {
        name: (
            {} if isinstance(part, torch.jit.ScriptModule) else dict(vars(part)),
            {k: t.clone() for k, t in _modules.tensors(part).items()},
        )
        for name, part in network.named_modules()
    }


def unchanged(network, before):
    now = state(network)
    return now.keys() == before.keys() and all(
        now[name][0].keys() == before[name][0].keys()
        and all(now[name][0][key] is value for key, value in before[name][0].items())
        and all(torch.equal(now[name][1][key], value) for key, value in before[name][1].items())
        for name in before
    )


# ------------------------------------------------------------------- networks of every kind


class View(nn.Module):
    def forward(self, x):
        return x.view(len(x), -1)


def view_flatten():
    return nn.Sequential(nn.Conv2d(3, 4, 3), View(), nn.Linear(144, 3))


class WeightView(nn.Module):
    """Views its weight: a change of the memory format breaks it."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 3, 8, 8))

    def forward(self, x):
        return x.reshape(len(x), -1) @ self.weight.view(3, -1).T


def trained(network):
    """As after training: what hooks and forward passes keep was computed with gradients."""
    network.train()
    network(torch.rand(4, *SHAPE)).sum().backward()
    return network


def weight_norm():
    with pytest.warns(FutureWarning):
        layer = nn.utils.weight_norm(nn.Linear(192, 3))
    return trained(nn.Sequential(nn.Flatten(), layer))


def spectral_norm():
    return trained(nn.Sequential(nn.Flatten(), nn.utils.spectral_norm(nn.Linear(192, 3))))


def parametrised():
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(192, 3))
    return trained(nn.Sequential(nn.Flatten(), layer))


class Keeps(nn.Linear):
    def forward(self, x):
        self.features = super().forward(x.flatten(1))
        self.all = {"features": [self.features]}
        return self.features


class Locked(nn.Module):
    def __init__(self):
        super().__init__()
        self.lock, self.layer = threading.Lock(), nn.Linear(192, 3)
        self.layer.register_forward_pre_hook(lambda module, inputs: (inputs[0] * 2,))

    def forward(self, x):
        with self.lock:
            return self.layer(x.flatten(1))


class OneDouble(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(192, 8), nn.Linear(8, 3).double()

    def forward(self, x):
        return self.last(self.first(x.flatten(1)).double())


class DoubleFirst(OneDouble):
    """Wants its inputs in float64."""

    def __init__(self):
        super().__init__()
        self.first, self.last = self.first.double(), self.last.float()

    def forward(self, x):
        return self.last(self.first(x.flatten(1)).float())


class Complex(nn.Module):
    """Multiplies by i twice: cast to real numbers it would answer the other way round."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1j))

    def forward(self, x):
        y = (self.weight * self.weight * (x.flatten(1)[:, :2] - 0.5)).real
        return torch.cat([y, torch.zeros(len(x), 1)], 1)


class Uphill(nn.Module):
    """Differentiates inside."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(192, 3)

    def forward(self, x):
        with torch.enable_grad():
            z = x.detach().flatten(1).clone().requires_grad_()
            (slope,) = torch.autograd.grad(self.layer(z).logsumexp(1).sum(), z)
        return self.layer(x.flatten(1) + 0.1 * slope)


class UphillUnsaid(Uphill):
    """Takes for granted that gradients are on."""

    def forward(self, x):
        z = x.detach().flatten(1).clone().requires_grad_()
        (slope,) = torch.autograd.grad(self.layer(z).logsumexp(1).sum(), z)
        return self.layer(x.flatten(1) + 0.1 * slope)


def torchscript():
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(192, 3))), file)
    file.seek(0)
    return torch.jit.load(file)


def frozen_torchscript():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 3)).eval()
    file = io.BytesIO()
    torch.jit.save(torch.jit.freeze(torch.jit.script(network)), file)
    file.seek(0)
    return torch.jit.load(file)


def exported():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 3)).eval()
    rows = torch.export.Dim("rows", min=2, max=4096)
    return torch.export.export(
        network, (torch.rand(8, *SHAPE),), dynamic_shapes=({0: rows},)
    ).module()


class Logits(tuple):
    """As torchvision's Inception and Hugging Face answer."""

    __slots__ = ()
    logits = property(lambda self: self[1])


class WithLogits(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(192, 3)

    def forward(self, x):
        return Logits((x, self.layer(x.flatten(1))))


KINDS = {
    "view after a convolution": view_flatten,
    "view of a weight": WeightView,
    "weight norm, trained": weight_norm,
    "spectral norm, trained": spectral_norm,
    "parametrised weight norm, trained": parametrised,
    "keeps its features": lambda: trained(Keeps(192, 3)),
    "a lock and a hook": Locked,
    "one float64 layer": OneDouble,
    "float64 first": DoubleFirst,
    "all float64": lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).double(),
    "complex weights": Complex,
    "differentiates inside": Uphill,
    "differentiates, and does not say so": UphillUnsaid,
    "TorchScript": torchscript,
    "TorchScript, frozen": frozen_torchscript,
    "torch.export": exported,
    "logits": WithLogits,
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_networks_of_every_kind_are_counted_as_by_a_plain_loop(kind, backend):
    torch.manual_seed(3)
    network = KINDS[kind]()
    before = state(network)
    found = counts(network, 3, backend)
    assert unchanged(network, before)
    if kind != "torch.export":  # which has no other mode
        network.eval()
    batch = noisy_copies(400)
    answers = network(batch.double() if kind in ("all float64", "float64 first") else batch)
    answers = answers.logits if kind == "logits" else answers
    expected = np.bincount(answers.detach().argmax(1).numpy(), minlength=3)
    assert np.abs(found - expected).max() <= 1
    assert (expected > 20).sum() >= 2, "a one-sided vote would show nothing"


def test_a_cast_that_changes_the_function_is_not_made():
    """A false certificate otherwise: class 0 of radius 0.8 where the network says 1."""

    class Rotate(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.tensor(1j))

        def forward(self, x):
            y = (self.w * self.w * x).real
            return torch.stack([y[:, 0], -y[:, 0]], 1)

    network, x = Rotate(), torch.ones(4)
    certificate = SmoothedClassifier(network, 2, 0.25, "1/255", seed=0).certify(x, n=2000)
    assert certificate.label == network(x[None]).argmax().item() == 1


def test_float64_that_float32_does_not_hold_is_not_cast():
    class Fine(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("one", torch.tensor([1.0], dtype=torch.float64))

        def forward(self, x):
            y = ((self.one * 2**30 + x.flatten(1)) - 2**30) * (self.one - 1 + 1)
            return torch.stack([y[:, 0] - 0.5, 0.5 - y[:, 0]], 1)

    found = counts(Fine(), 2)
    batch = noisy_copies(400)[:, 0, 0, 0]
    assert found.tolist() == [int((batch >= 0.5).sum()), int((batch < 0.5).sum())]
    assert found.min() > 100


def test_what_goes_together_in_no_number_type_is_refused_by_name():
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 3), nn.Linear(3, 3).double())
    with pytest.raises(ValueError, match=r"float32 in 1.weight, 1.bias, float64 in 2.weight"):
        counts(network, 3)
    with pytest.raises(ValueError, match="'bfloat16' is for a base of one real number type, got"):
        Engine(network, 3, SHAPE, Plan("eager", "bfloat16", rows=8))


def test_a_masked_class_hides_nothing():
    """Scores of -10^9 must not set the scale on which the others are compared."""
    expected = [torch.tensor([[0.1, 0.2, -1e9]] * 20 + [[0.4, 0.1, -1e9]] * 20)]
    wrong = [expected[0] + torch.tensor([0.2, 0.0, 0.0])]
    close = [expected[0] * (1 + 1e-7)]
    assert not _probes.agree(expected, wrong, torch.float32)
    assert _probes.agree(expected, close, torch.float32)


def test_a_bfloat16_network_keeps_its_number_type():
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).bfloat16()
    engine = Engine(network, 3, SHAPE, default_plan(network, SHAPE))
    assert engine.plan.dtype == "bfloat16"


@pytest.mark.parametrize("function", [False, True])
def test_the_users_network_can_still_be_trained(function):
    torch.manual_seed(0)

    class Cached(nn.Module):
        table = None

        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(192, 3)

        def forward(self, x):
            if Cached.table is None:
                Cached.table = torch.linspace(0, 1, 192)
            return self.layer(x.flatten(1) * Cached.table)

    network = Cached()
    base = (lambda x: network(x)) if function else network
    if function:
        network.eval()
    counts(base, 3, "eager")
    network.train()
    network(torch.rand(4, *SHAPE)).sum().backward()
    assert network.layer.weight.grad.abs().sum() > 0


class Uncopyable(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(192, 3)

    def forward(self, x):
        return self.layer(x.flatten(1))

    def __deepcopy__(self, memo):
        raise RuntimeError("there can only be one")

    def __getstate__(self):
        raise RuntimeError("there can only be one")


def test_what_cannot_be_copied_runs_itself_or_says_what_to_do():
    network = Uncopyable()
    with pytest.raises(TypeError, match=r"cannot be copied \(there can only be one\).* \.eval\(\)"):
        counts(network, 3)
    assert network.training
    network.eval()
    before = state(network)
    assert np.array_equal(counts(network, 3), plain_counts(network, 3))
    assert unchanged(network, before)


def test_a_copy_that_is_another_function_is_not_used():
    """A hook that holds on to a part of the module it hangs on, for one."""

    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.sign = 1.0

        def __deepcopy__(self, memo):
            other = Odd()
            other.sign = -1.0
            return other

        def forward(self, x):
            y = self.sign * (x.flatten(1)[:, 0] - 0.4)
            return torch.stack([y, -y], 1)

    network = Odd().eval()
    assert np.array_equal(counts(network, 2), plain_counts(network, 2))


@pytest.mark.parametrize("seed", range(3))
def test_copies_share_what_the_module_shares(seed):
    torch.manual_seed(seed)
    network = Locked()
    network.again = network.layer
    other = _modules.copied(network)
    assert other.again is other.layer and other.layer is not network.layer
    assert other.layer.weight is not network.layer.weight
    assert isinstance(other.layer.weight, nn.Parameter)
    assert torch.equal(other.layer.weight, network.layer.weight)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_export_that_fails_prints_nothing(capfd):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(4, 2, 4, batch_first=True)

        def forward(self, x):
            return self.layer(x).mean(1)[:, :2]

    assert Engine(Net(), 2, (3, 4), Plan("onnxruntime", rows=2)).plan.backend == "eager"
    assert capfd.readouterr().out == ""


def test_what_others_print_meanwhile_is_not_lost(capfd):
    with backends._nothing_printed_on_failure():
        print("here", flush=True)
    assert capfd.readouterr().out == "here\n"


# ------------------------------------------------------------------------- batch neighbours


def training_network():
    torch.manual_seed(0)
    return nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(192, 3))


def global_function(x):
    return GLOBAL(x)


GLOBAL = training_network()


class Holder:
    def __init__(self, network):
        self.parts = {"all": [network]}

    def answer(self, x):
        return sum(part(x) for part in self.parts["all"])


@pytest.mark.parametrize("rows", [1, 2, 50])
@pytest.mark.parametrize("way", ["lambda", "method", "bound", "global", "dropout"])
def test_a_network_in_training_mode_behind_a_function_is_refused(way, rows):
    """And left as it was, its batch statistics included."""
    network = GLOBAL if way == "global" else training_network()
    if way == "dropout":
        network.insert(1, nn.Dropout(0.5))
    base = {
        "lambda": lambda x: network(x),
        "method": network.forward if rows > 1 else network.__call__,
        "bound": Holder(network).answer,
        "global": global_function,
        "dropout": lambda x: network(x),
    }[way]
    before = state(network)
    with pytest.raises(ValueError, match=r"by itself.* training mode.*\.eval\(\)"):
        counts(base, 3, rows=rows)
    assert unchanged(network, before) and network.training


def test_the_process_keeps_its_generators():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    counts(lambda x: nn.functional.dropout(x.flatten(1)[:, :3], 0.5, True), 3, n=1, rows=50)
    engine = Engine(lambda x: torch.rand(len(x), 2), 2, SHAPE, Plan("callable", rows=50))
    torch.set_rng_state(before[0])
    engine._prepare()
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def minus_mean(x):
    y = x.flatten(1)[:, :3]
    return y - y.mean(0)


def softmax_over_rows(x):
    return x.flatten(1)[:, :3].softmax(0)


def slight(x):
    y = x.flatten(1)[:, :3]
    return y + 1e-3 * y.mean()


def ranked(x):
    """Labels by rank within the batch."""
    return (x.flatten(1)[:, 0].argsort().argsort() * 3) // len(x)


def noisy_mean(x):
    y = x.flatten(1)[:, :3]
    return y - y.mean(0) + 0.1 * torch.randn(len(x), 3)


def module_of(function):
    class Module(nn.Module):
        def forward(self, x):
            return function(x)

    return Module()


@pytest.mark.parametrize("rows", [2, 7, 64])
@pytest.mark.parametrize("as_module", [False, True])
@pytest.mark.parametrize("base", [minus_mean, softmax_over_rows, slight, ranked, noisy_mean])
def test_answers_that_depend_on_other_rows_are_refused(base, rows, as_module):
    with pytest.raises(ValueError, match=r"base must answer each row by itself.* other rows"):
        counts(module_of(base) if as_module else base, 3, rows=rows)


def test_no_permutation_shows_that_the_mean_is_subtracted():
    """A false certificate on the old engine: the vote at x is about the batch, not about x.

    Alone, every copy would get label 0; half of them get 1 if their mean is subtracted.
    """

    def base(x):
        y = x.flatten(1).mean(1)
        y = y - y.mean()
        return torch.stack([-y, y], 1)

    with pytest.raises(ValueError, match="base must answer each row by itself"):
        SmoothedClassifier(base, 2, 0.25, "1/255", seed=0).certify(torch.zeros(3, 4, 4), n=100)


def test_answers_that_depend_on_the_place_are_refused():
    def base(x):
        return x.flatten(1)[:, :3] + torch.arange(len(x))[:, None] * torch.tensor([0.0, 0.1, 0.2])

    with pytest.raises(ValueError, match=r"base must answer each row by itself.* another place"):
        counts(base, 3)


def by_place(x):
    """The row plays no part, and all classes vary far more than the place changes any of them."""
    common = 20 * x.flatten(1)[:, :1]
    often = torch.where(torch.arange(len(x)) % 16 < 14, 0.3, -0.3)[:, None]
    return torch.cat([common + often, common], 1)


def test_what_all_classes_have_in_common_hides_no_dependence_on_the_place():
    with pytest.raises(ValueError, match=r"base must answer each row by itself.* another place"):
        counts(by_place, 2, rows=64)


class WideClass(nn.Module):
    """Batch statistics, beside a class that never wins and varies by more than the others."""

    def forward(self, x):
        z = nn.functional.batch_norm(x, None, None, training=True).flatten(1)[:, :1] + 0.5
        return torch.cat([z, -z, -1e7 * x.flatten(1).norm(dim=1, keepdim=True)], 1)


def test_a_class_that_varies_widely_hides_no_dependence_on_other_rows():
    with pytest.raises(ValueError, match="base must answer each row by itself"):
        counts(WideClass().eval(), 3)


# --------------------------------------------------------------- memory between forward passes


def halves(x):
    z = x.flatten(1) @ torch.linspace(-1, 1, 192)[:, None]
    return torch.cat([z, -z], 1)


class CachedMethod(nn.Module):
    @functools.cache  # noqa: B019
    def scores(self, x):
        return halves(x)

    def forward(self, x):
        return self.scores(x)


class CachedByAddress(nn.Module):
    def __init__(self):
        super().__init__()
        self.kept = []

    def forward(self, x):
        for one, scores in self.kept:
            if one is x:
                return scores
        self.kept.append((x, halves(x)))
        return self.kept[-1][1]


@pytest.mark.parametrize(
    "base",
    [functools.lru_cache(halves), CachedMethod().eval(), CachedByAddress().eval()],
    ids=["function", "method", "by address"],
)
def test_a_cache_by_the_tensor_repeats_no_votes(base):
    """A false certificate on the old engine: each pass got the answers of the first."""
    expected = plain_counts(halves, 2)
    for backend in ("eager", "frozen"):
        assert np.array_equal(counts(base, 2, backend), expected)


class Latch(nn.Module):
    """Keeps something of the first batch that it sees, and answers by it ever after."""

    def __init__(self, keep, answer):
        super().__init__()
        self.first, self.keep, self.answer = None, keep, answer

    def forward(self, x):
        z = x.flatten(1)[:, :3]
        if self.first is None:
            self.first = self.keep(z)
        return self.answer(z, self.first)


MEAN = (lambda z: z.mean(0), lambda z, mean: z - mean)
FIRST_ROW = (lambda z: z[:1].clone(), lambda z, row: row.expand(len(z), 3) + 0 * z)


@pytest.mark.parametrize("backend", ["eager", "frozen"])
@pytest.mark.parametrize("what", [MEAN, FIRST_ROW], ids=["mean", "first row"])
def test_what_is_kept_of_the_first_batch_is_refused(what, backend):
    """Votes would be about the noise that happened to be drawn first."""
    with pytest.raises(ValueError, match="the same scores whatever it was asked before"):
        counts(Latch(*what).eval(), 3, backend)


@pytest.mark.parametrize(
    "answer",
    [lambda z, _: z, lambda z, _: nn.functional.dropout(z, 0.5, True)],
    ids=["keeps without use", "random"],
)
def test_what_keeps_something_and_does_not_use_it_is_allowed(answer):
    assert counts(Latch(lambda z: z, answer).eval(), 3).sum() == 400


RANDOM = np.random.default_rng(5)


def fresh_torch(x):
    return x.flatten(1)[:, :3] + 0.3 * torch.randn(len(x), 3)


def fresh_numpy(x):
    return x.flatten(1)[:, :3].numpy() + 0.3 * RANDOM.normal(size=(len(x), 3))


def dropped(x):
    return nn.functional.dropout(x.flatten(1)[:, :3], 0.5, True)


def rare(x):
    """One row in a hundred is answered otherwise: most batches show nothing."""
    label = (x.flatten(1)[:, 0] > 0.5).long()
    return torch.where(torch.rand(len(x)) < 0.01, 2, label)


def counted(x, seen=[0]):  # noqa: B006
    """Has a state, and uses it for each row anew."""
    numbers = range(seen[0], seen[0] + len(x))
    seen[0] += len(x)
    wave = torch.tensor([np.random.default_rng(number).random() for number in numbers]).float()
    return x.flatten(1)[:, :3] + wave[:, None] * torch.tensor([0.0, 0.3, -0.3])


@pytest.mark.parametrize("rows", [1, 2, 7, 64])
@pytest.mark.parametrize("as_module", [False, True])
@pytest.mark.parametrize("base", [fresh_torch, fresh_numpy, dropped, rare])
def test_randomness_of_each_row_is_allowed(base, rows, as_module):
    """Refused by mistake with probability 10^-6 at most, in each of 32 cases."""
    torch.manual_seed(0)
    found = counts(module_of(base) if as_module else base, 3, rows=rows)
    assert found.sum() == 400 and (found > 0).sum() >= 2


@pytest.mark.parametrize("rows", [2, 64])
def test_a_state_that_each_row_uses_anew_is_allowed(rows):
    assert counts(counted, 3, rows=rows).sum() == 400


def test_generators_that_a_module_holds_are_allowed_and_left_as_they_were():
    class Draws(nn.Module):
        def __init__(self):
            super().__init__()
            self.numpy, self.torch = np.random.default_rng(1), torch.Generator().manual_seed(1)

        def forward(self, x):
            noise = self.numpy.normal(size=(len(x), 3)).astype(np.float32)
            other = torch.randn(len(x), 3, generator=self.torch)
            return x.flatten(1)[:, :3] + 0.1 * torch.from_numpy(noise) + 0.1 * other

    network = Draws().eval()
    before = network.numpy.bit_generator.state, network.torch.get_state()
    assert counts(network, 3).sum() == 400
    assert network.numpy.bit_generator.state == before[0]
    assert torch.equal(network.torch.get_state(), before[1])


@pytest.mark.parametrize("rows", [2, 7, 64])
@pytest.mark.parametrize("source", ["torch", "numpy", "turns"])
def test_randomness_that_rows_share_is_refused(source, rows):
    """Their answers are not independent, and no binomial bound holds."""
    generator, calls = np.random.default_rng(0), [0]

    def base(x):
        calls[0] += 1
        shift = {
            "torch": torch.randn(3),
            "numpy": torch.from_numpy(generator.normal(size=3)).float(),
            "turns": torch.tensor([0.0, 1.0, 2.0]).roll(calls[0] * calls[0] // 3),
        }[source]
        return x.flatten(1)[:, :3] + shift

    with pytest.raises(ValueError, match="base must draw its randomness anew for each row"):
        counts(base, 3, rows=rows)


def test_the_false_alarm_is_what_is_said():
    """Fair coins: a run of 23 equal ones is refused, one of 22 is not."""
    assert _probes._tail(23, 23) < _probes._FALSE_ALARM < _probes._tail(22, 22)
    assert _probes._tail(0, 0) == 1
    turns = _probes._ROWS_TESTED * 0.25**_probes._TURNS
    assert 4 * _probes._FALSE_ALARM + turns <= 1e-6
    refused = 0
    generator = torch.Generator().manual_seed(1)
    for _ in range(200):
        throws = torch.rand(48, generator=generator) < 0.5
        refused += _probes._tail(int(throws.sum()), 48) <= 0.05
    # At level 0.05: 5 standard deviations above 10 of 200.
    assert refused <= 10 + 5 * 3.1


# --------------------------------------------------------------------------- what base returns


@pytest.mark.parametrize(
    "wrap",
    [
        lambda scores: scores,
        lambda scores: scores.numpy(),
        lambda scores: scores.double().numpy().astype(">f8"),
        lambda scores: scores.numpy()[:, ::-1][:, ::-1],
        lambda scores: np.broadcast_to(scores.numpy(), scores.shape),
        lambda scores: (scores, "hidden states"),
        lambda scores: ["label", scores.numpy()],
        lambda scores: Logits((torch.zeros(len(scores), 3), scores)),
        lambda scores: {"loss": None, "logits": scores},
        lambda scores: scores.argmax(1),
        lambda scores: scores.argmax(1).numpy().astype(np.uint8),
        lambda scores: (scores * 1000).int(),
        lambda scores: scores.bfloat16(),
    ],
)
def test_whatever_a_base_returns_is_counted(wrap):
    def base(x):
        return wrap(torch.stack([x[:, 0, 0, 0], x[:, 0, 0, 1], x[:, 0, 0, 2]], 1))

    expected = noisy_copies(400)[:, 0, 0, :3].argmax(1)
    found = counts(base, 3)
    # On a grid scores tie; in bfloat16 and in thousandths no grid point falls on another.
    assert np.array_equal(found, np.bincount(expected.numpy(), minlength=3))


def test_read_scores_takes_logits_first():
    scores = torch.rand(2, 3)
    assert read_scores(Logits((torch.zeros(2, 3), scores)), 3) is scores
    with pytest.raises(ValueError, match=r"num_classes is 3: .*got \(2, 2\)"):
        read_scores(torch.rand(2, 2), 3)
