"""The engine counts what the network says, whatever the plan, and never changes the network."""

import math
import shutil
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rslib import backends, models
from rslib.engine import Engine, Plan
from rslib.noise import GridGaussian, Purpose
from rslib.plans import default_plan, fastest_plan

SHAPE = (1, 4, 4)
NOISE = GridGaussian("0.5", "1/16")


def stream(index=0, purpose=Purpose.ESTIMATION):
    return NOISE.stream(NOISE.prepare(torch.full(SHAPE, 0.5)), 0, purpose, index)


def direct_counts(network, n, classes):
    """The counts by the plainest means: all noisy copies at once, one forward pass."""
    noisy = torch.empty(n, *SHAPE)
    stream().fill(noisy)
    with torch.no_grad():
        answers = network(noisy).argmax(1)
    return np.bincount(answers.numpy(), minlength=classes)


@pytest.fixture
def network():
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    )


@pytest.mark.parametrize("backend", ["eager", "frozen", "onnxruntime"])
@pytest.mark.parametrize("rows", [1, 7, 64, 1000])
def test_counts_equal_a_plain_loops(network, backend, rows):
    network.eval()
    engine = Engine(network, 3, SHAPE, Plan(backend, rows=rows))
    assert engine.plan.backend == backend
    counts = engine.count(stream(), 500)
    assert counts.sum() == 500 and counts.dtype == np.int64
    assert np.abs(counts - direct_counts(network, 500, 3)).max() <= 1
    assert (counts > 0).sum() >= 2, "a one-sided vote would not show a wrong order of classes"


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which("g++") or not Path(sysconfig.get_path("include"), "Python.h").is_file(),
    reason="torch.compile needs a compiler and Python's headers",
)
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_compiled_counts_equal_a_plain_loops(network, dtype):
    network.eval()
    engine = Engine(network, 3, SHAPE, Plan("compiled", dtype, rows=64))
    assert engine.plan.backend == "compiled"
    eager = Engine(network, 3, SHAPE, Plan("eager", dtype, rows=64))
    counts = engine.count(stream(), 500)
    assert np.abs(counts - eager.count(stream(), 500)).max() <= (1 if dtype == "float32" else 15)
    assert (counts > 0).sum() >= 2
    with torch.no_grad():
        network[-1].bias += torch.tensor([0.0, 50.0, 0.0])
    assert engine.count(stream(), 500).tolist() == [0, 500, 0]  # noticed, and compiled again


def test_what_does_not_compile_runs_eagerly(network, monkeypatch):
    def refuse(*arguments, **options):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", refuse)
    engine = Engine(network, 3, SHAPE, Plan("compiled", rows=64))
    assert engine.plan.backend == "eager" and engine.count(stream(), 100).sum() == 100


def test_training_mode_and_weights_are_left_alone(network):
    network.train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    Engine(network, 3, SHAPE, default_plan(network, SHAPE)).count(stream(), 300)
    assert network.training
    assert all(p.requires_grad for p in network.parameters())
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())


def test_batch_norm_uses_running_statistics(network):
    """In training mode the answers would depend on the batch."""
    network.train()
    counts = Engine(network, 3, SHAPE, Plan("eager", rows=2)).count(stream(), 200)
    network.eval()
    assert np.abs(counts - direct_counts(network, 200, 3)).max() <= 1


def test_weights_trained_further_are_noticed(network):
    engine = Engine(network, 3, SHAPE, default_plan(network, SHAPE))
    first = engine.count(stream(), 400)
    with torch.no_grad():
        network[-1].bias.data += torch.tensor([0.0, 0.0, 100.0])
    assert first[2] < 400
    assert engine.count(stream(), 400).tolist() == [0, 0, 400]


def test_a_nan_that_stays_is_no_change(network):
    network.register_buffer("unused", torch.tensor([math.nan, 0.0]))
    engine = Engine(network, 3, SHAPE, default_plan(network, SHAPE))
    ready = engine._ready
    engine.count(stream(), 10)
    assert engine._ready is ready
    network.unused[1] = 1.0
    engine.count(stream(), 10)
    assert engine._ready is not ready


recorded = pytest.mark.parametrize("backend", ["frozen", "onnxruntime"])


@recorded
def test_weights_trained_further_are_noticed_by_every_backend(network, backend):
    engine = Engine(network, 3, SHAPE, Plan(backend, rows=1024))
    assert engine.count(stream(), 400)[2] < 400
    with torch.no_grad():
        network[-1].bias.data += torch.tensor([0.0, 0.0, 100.0])
    assert engine.count(stream(), 400).tolist() == [0, 0, 400]


@recorded
def test_data_dependent_branch_is_not_frozen(backend):
    class Branch(nn.Module):
        def forward(self, x):
            y = x.flatten(1)[:, :2]
            return y if y.sum() > 0 else -y

    assert Engine(Branch(), 2, SHAPE, Plan(backend, rows=1)).plan.backend == "eager"


@recorded
def test_hidden_randomness_is_not_frozen(backend):
    generator = np.random.default_rng(0)

    class Random(nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :2] + torch.tensor(generator.normal(size=(len(x), 2))).float()

    assert Engine(Random(), 2, SHAPE, Plan(backend, rows=1024)).plan.backend == "eager"


def test_a_module_that_can_no_longer_be_prepared_stays_stale(network):
    """The answers of the old one must not come back."""
    engine = Engine(network, 3, SHAPE, default_plan(network, SHAPE))
    engine.count(stream(), 100)
    network[1].running_mean = None
    for _ in range(2):
        with pytest.raises(ValueError, match="batch statistics in 1"):
            engine.count(stream(), 100)


@recorded
def test_scores_of_any_size_are_compared(backend):
    class Random(nn.Module):
        def forward(self, x):
            return nn.functional.dropout(x.flatten(1)[:, :2], 0.5, True) * 1e-7

    assert Engine(Random(), 2, SHAPE, Plan(backend, rows=1024)).plan.backend == "eager"


def test_ties_broken_in_another_way_are_seen():
    """Values on a grid tie: the third largest may then be another in ONNX Runtime."""

    class Third(nn.Module):
        def forward(self, x):
            third = x.flatten(1).topk(3, 1).indices[:, 2]
            return nn.functional.one_hot(third, 16).to(x.dtype)

    grid = GridGaussian("0.25", "1/16")
    counts = []
    for backend in ("eager", "onnxruntime"):
        engine = Engine(Third(), 16, SHAPE, Plan(backend, rows=64))
        draws = grid.stream(grid.prepare(torch.full(SHAPE, 0.5)), 0, Purpose.ESTIMATION, 0)
        counts.append(engine.count(draws, 2000).tolist())
    assert counts[0] == counts[1]


def test_modules_are_recorded_one_at_a_time():
    """A tracer's warning is heard by the whole process: it must not go to another's recording."""

    class Branch(nn.Module):
        def forward(self, x):
            y = x.flatten(1)[:, :2]
            return y if y.sum() > -1e9 else -y

    def backend(number):
        base = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)) if number % 2 else Branch()
        return Engine(base, 2, SHAPE, Plan("frozen", rows=4)).plan.backend

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(backend, range(24)))
    assert found == ["eager", "frozen"] * 12


def test_what_onnx_cannot_express_runs_eagerly():
    """And with the memory format that torch likes."""

    class Bessel(nn.Module):
        def forward(self, x):
            return torch.special.bessel_j0(x).flatten(1)[:, :3]

    shape = (3, 4, 4)
    engine = Engine(Bessel(), 3, shape, Plan("onnxruntime", rows=8))
    assert engine.plan == Plan("eager", rows=8)
    grid = NOISE.stream(NOISE.prepare(torch.full(shape, 0.5)), 0, Purpose.ESTIMATION, 0)
    assert engine.count(grid, 20).sum() == 20


def test_colour_images_give_the_same_counts_with_every_backend():
    """Torch's backends hold them channels last, ONNX Runtime does not."""
    torch.manual_seed(4)
    shape = (3, 8, 8)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)).eval()
    counts = []
    for backend in ("eager", "frozen", "onnxruntime"):
        engine = Engine(network, 5, shape, Plan(backend, rows=50))
        assert engine.plan.backend == backend
        grid = NOISE.stream(NOISE.prepare(torch.full(shape, 0.5)), 0, Purpose.ESTIMATION, 0)
        counts.append(engine.count(grid, 1000))
    assert (counts[0] > 20).sum() >= 2
    assert np.abs(counts[0] - counts[1]).max() <= 1 and np.abs(counts[0] - counts[2]).max() <= 1


def test_onnx_runtime_missing(network, monkeypatch):
    """It is asked for by name in vain, and not tried."""
    monkeypatch.setattr("rslib.backends.find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match="'onnxruntime' is not installed: pip install onnx onnxruntime"
    ):
        Engine(network, 3, SHAPE, Plan("onnxruntime", rows=1024))
    assert fastest_plan(network, 3, SHAPE, repeats=1).backend in ("eager", "frozen")


@pytest.mark.parametrize("field", [{"dtype": "bfloat16"}, {"device": "cuda"}])
def test_onnx_runtime_is_for_float32_on_the_cpu(field):
    with pytest.raises(ValueError, match="backend 'onnxruntime' is for float32 on the cpu, got"):
        Plan("onnxruntime", rows=8, **field)


def test_plain_callable_and_ties():
    """The lowest class wins a tie."""
    engine = Engine(lambda x: torch.zeros(len(x), 4), 4, SHAPE, Plan("callable", rows=64))
    assert engine.plan.backend == "callable"
    assert engine.count(stream(), 33).tolist() == [33, 0, 0, 0]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_one_score_that_is_not_finite_is_refused(bad):
    calls = []

    def base(x):
        scores = torch.rand(len(x), 3)
        if len(calls) == 5:
            scores[5, 1] = bad
        calls.append(1)
        return scores

    engine = Engine(base, 3, SHAPE, Plan("callable", rows=16))
    calls.clear()
    with pytest.raises(ValueError, match="base must return finite scores"):
        engine.count(stream(), 160)


@pytest.mark.parametrize(
    ("base", "found"),
    [
        (
            lambda x: {"out": torch.zeros(8, 4), "aux": 0},
            r"dict of 'out' \(8, 4\), 'aux' int: .*--output",
        ),
        (
            lambda x: (x, torch.zeros(8, 4)),
            r"\(8, .*\), out of a tuple of 0 .*, 1 \(8, 4\): .*--output",
        ),
        (lambda x: [0] * 8, "list of int: return a tensor or an array"),
        (lambda x: ["cat"] * 8, "list of str: return a tensor or an array"),
        (
            lambda x: np.array(["cat"] * 8),
            r"ndarray of <U3 \(8,\): return the numbers of the classes",
        ),
        (lambda x: torch.zeros(8).bool(), r"torch.bool of shape \(8,\): cast it to whole numbers"),
        (lambda x: torch.zeros(8), r"\(8,\) in torch.float32: labels must be of an integer type"),
        (lambda x: None, "NoneType: return a tensor"),
        (lambda x: torch.zeros(len(x), 5), r"\(8, 5\)"),
        (lambda x: torch.zeros(len(x)), r"\(8,\)"),
        (lambda x: torch.zeros(1, 4), r"\(1, 4\)"),
        (lambda x: [0.0], "list"),
        (lambda x: torch.full((len(x),), 4), "4"),
        (lambda x: torch.full((len(x),), -1), "-1"),
        (lambda x: torch.zeros(1).int(), r"\(1,\)"),
        (lambda x: np.array(["cat"] * len(x)), "ndarray"),
        (lambda x: torch.zeros(len(x), 4).bool(), r"torch.bool of shape \(8, 4\)"),
        (lambda x: torch.zeros(len(x), 4) * 1j, r"torch.complex64 of shape \(8, 4\)"),
    ],
)
def test_scores_must_fit_num_classes(base, found):
    with pytest.raises(ValueError, match=f"num_classes is 4: .*got {found}"):
        Engine(base, 4, SHAPE, Plan("callable", rows=8))


def test_scores_of_another_shape_are_noticed_later_too():
    shapes = []
    engine = Engine(
        lambda x: torch.zeros(len(x), 5 if shapes else 4), 4, SHAPE, Plan("callable", rows=8)
    )
    shapes.append(5)
    with pytest.raises(ValueError, match=r"num_classes is 4: .*got \(8, 5\)"):
        engine.count(stream(), 8)


def test_short_passes_are_padded():
    sizes = set()

    def base(x):
        sizes.add(len(x))
        return torch.ones(len(x), 2)

    assert Engine(base, 2, SHAPE, Plan("callable", rows=32)).count(stream(), 45).tolist() == [45, 0]
    assert sizes == {32}


def test_threads_are_restored(network):
    before = torch.get_num_threads()
    Engine(network, 3, SHAPE, Plan("eager", rows=16, threads=before + 1)).count(stream(), 10)
    assert torch.get_num_threads() == before


def test_plan_round_trip_and_default():
    plan = Plan("eager", "bfloat16", rows=12, threads=2)
    assert Plan.from_dict(plan.to_dict()) == plan
    assert default_plan(nn.Identity(), (1, 8, 8)).rows == 1024
    assert default_plan(nn.Identity(), (3, 224, 224)).rows == 16
    assert default_plan(lambda x: x, (1, 8, 8)).backend == "callable"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("backend", "jit"),
        ("dtype", "int4"),
        ("rows", 0),
        ("rows", 1.5),
        ("threads", True),
        ("device", "quantum"),
    ],
)
def test_bad_plan(field, value):
    fields = Plan("eager", rows=8).to_dict() | {field: value}
    with pytest.raises((ValueError, TypeError), match=f"{field} must .*got {value!r}"):
        Plan(**fields)
    with pytest.raises(ValueError, match=f"{field} must .*got {value!r}"):  # a file's is a value
        Plan.from_dict(fields)


def test_plan_with_unknown_field():
    with pytest.raises(ValueError, match="plan must have the fields"):
        Plan.from_dict({"backend": "eager"})


def test_backend_callable_refuses_a_module(network):
    with pytest.raises(ValueError, match="backend 'callable' is for plain functions"):
        Engine(network, 3, SHAPE, Plan("callable", rows=1024))


def test_fastest_plan_is_usable():
    network = models.build("mlp", (1, 8, 8), 10)
    plan = fastest_plan(network, 10, (1, 8, 8), repeats=1)
    assert plan.backend in ("eager", "frozen", "onnxruntime")
    assert plan.rows in (512, 1024, 2048, 4096)


def test_fastest_plan_tries_onnx_runtime(monkeypatch):
    """And takes it where a clock that only the other backends move says so."""
    now = [0.0]
    monkeypatch.setattr("rslib.plans.time.perf_counter", lambda: now[0])

    class Slow(nn.Module):
        def forward(self, x):
            now[0] += 1
            return x.flatten(1)[:, :3] * 2

    assert fastest_plan(Slow(), 3, SHAPE, repeats=1).backend in ("frozen", "onnxruntime")
    fails = replace(backends.BACKENDS["frozen"], prepare=None)  # then nothing is frozen faithfully
    monkeypatch.setitem(backends.BACKENDS, "frozen", fails)
    assert fastest_plan(Slow(), 3, SHAPE, repeats=1).backend == "onnxruntime"
    assert fastest_plan(Slow(), 3, SHAPE, dtype="bfloat16", repeats=1).backend == "eager"


def test_fastest_plan_goes_on_while_larger_is_faster(monkeypatch):
    """A clock that only forward passes move: each by 1 ms, or by 10 above 3,000 rows."""
    now = [0.0]
    monkeypatch.setattr("rslib.plans.time.perf_counter", lambda: now[0])

    def base(batch):
        now[0] += 0.001 if len(batch) <= 3000 else 0.01
        return torch.zeros(len(batch), 3)

    assert default_plan(base, (1, 16, 16)).rows == 256
    assert fastest_plan(base, 3, (1, 16, 16), repeats=1).rows == 2048


def test_fastest_plan_tries_no_pass_of_more_than_a_tenth_of_a_second(monkeypatch):
    """A clock that moves by 1 ms a row and 10 ms a pass: larger would always be faster."""
    now, tried = [0.0], set()
    monkeypatch.setattr("rslib.plans.time.perf_counter", lambda: now[0])

    def base(batch):
        tried.add(len(batch))
        now[0] += 0.01 + 0.001 * len(batch)
        return torch.zeros(len(batch), 3)

    assert default_plan(base, (3, 64, 64)).rows == 16
    assert fastest_plan(base, 3, (3, 64, 64), repeats=1).rows == 64
    assert tried == {8, 16, 32, 64}


@pytest.mark.parametrize("room", [1000, 100, 1])
def test_fastest_plan_keeps_to_the_memory(room):
    """Sizes that do not fit are left out, however small the first that does."""
    tried = []

    def base(batch):
        tried.append(len(batch))
        if len(batch) > room:
            raise torch.OutOfMemoryError("out of memory")
        return torch.zeros(len(batch), 3)

    plan = fastest_plan(base, 3, (1, 8, 8), repeats=1)
    assert room / 2 < plan.rows <= room < max(tried)


def test_fastest_plan_survives_memory_that_runs_out_later():
    """As it does where another program takes it."""
    calls = []

    def base(batch):
        calls.append(len(batch))
        if len(calls) > 6 and len(batch) > 512:
            raise torch.OutOfMemoryError("out of memory")
        return torch.zeros(len(batch), 3)

    assert fastest_plan(base, 3, (1, 8, 8), repeats=1).rows == 512
    assert max(calls) > 512


@pytest.mark.parametrize("largest", [3, 16, 100])
@pytest.mark.parametrize("as_module", [False, True])
def test_fastest_plan_keeps_to_the_batches_that_base_takes(largest, as_module):
    class Few(nn.Module):
        def forward(self, x):
            if len(x) > largest:
                raise AssertionError(f"Guard failed: {len(x)} rows")
            return x.flatten(1)[:, :3]

    base = Few() if as_module else Few().forward
    assert largest / 2 < fastest_plan(base, 3, (1, 8, 9), repeats=1).rows <= largest


def test_fastest_plan_finds_the_only_batch_that_base_takes():
    def base(x):
        return x.reshape(8, 72)[:, :3]

    assert default_plan(base, (1, 8, 9)).rows == 910
    assert fastest_plan(base, 3, (1, 8, 9), repeats=1).rows == 8


@pytest.mark.parametrize("as_module", [False, True])
def test_fastest_plan_says_what_base_raises_in_any_batch(as_module):
    network = nn.Sequential(nn.Flatten(), nn.Linear(5, 3)).eval()
    base = network if as_module else network.forward
    with pytest.raises(ValueError, match=r"^base must take examples of shape \(1, 8, 9\); in") as e:
        fastest_plan(base, 3, (1, 8, 9), repeats=1)
    assert "RuntimeError: mat1 and mat2" in str(e.value) and ", 2, 1 it raised" in str(e.value)
    assert isinstance(e.value.__cause__, RuntimeError)


def test_fastest_plan_shrinks_no_batch_until_rows_have_no_neighbours():
    """What is refused, for its rows share statistics, is not looked for among smaller batches."""

    def base(x):
        scores = x.flatten(1)[:, :3]
        return scores - scores.mean(0)

    with pytest.raises(ValueError, match=r"^base must answer each row by itself"):
        fastest_plan(base, 3, SHAPE, repeats=1)
    with pytest.raises(ValueError, match=r"^num_classes is 4"):
        fastest_plan(lambda x: x.flatten(1)[:, :3], 4, SHAPE, repeats=1)


def test_bfloat16_is_another_classifier(network):
    network.eval()
    half = Engine(network, 3, SHAPE, Plan("eager", dtype="bfloat16", rows=1024)).count(
        stream(), 2000
    )
    full = Engine(network, 3, SHAPE, Plan("eager", rows=1024)).count(stream(), 2000)
    assert half.sum() == full.sum() == 2000
    assert 0 < np.abs(half - full).max() < 200


def test_batch_statistics_are_refused():
    """Each row must be answered by itself."""
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16, track_running_stats=False))
    with pytest.raises(
        ValueError, match=r"base must answer each row by itself, got batch stat.* 1"
    ):
        Engine(network, 16, SHAPE, default_plan(network, SHAPE))


def test_a_branch_that_only_negative_inputs_take_is_not_frozen():
    """torch.equal gives the tracer no warning: the comparison on random inputs sees it."""

    class Branch(nn.Module):
        def forward(self, x):
            rows = [r.flatten()[:2] * (1 if torch.equal(r, r.clamp(min=-0.5)) else -1) for r in x]
            return torch.stack(rows)

    assert Engine(Branch(), 2, SHAPE, Plan("frozen", rows=4)).plan.backend == "eager"


def test_buffers_that_are_not_saved_are_watched_too():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("sign", torch.ones(1), persistent=False)

        def forward(self, x):
            return torch.stack([self.sign * x.flatten(1)[:, 0], x.new_zeros(len(x))], dim=1)

    network = Scaled()
    engine = Engine(network, 2, SHAPE, default_plan(network, SHAPE))
    first = engine.count(stream(), 500)
    network.sign.mul_(-1)
    assert engine.count(stream(), 500).tolist() != first.tolist()


def test_two_threads_do_not_share_a_buffer():
    """They take turns: every count is what it is alone."""

    def slow(x):
        answer = (x.flatten(1)[:, 0] > 0.6).float()
        time.sleep(0.001)
        return torch.stack([answer, 1 - answer], dim=1)

    engine = Engine(slow, 2, SHAPE, Plan("callable", rows=16))
    alone = [engine.count(stream(index), 320).tolist() for index in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda index: engine.count(stream(index), 320).tolist(), range(4)))
    assert together == alone
    assert len({tuple(counts) for counts in alone}) > 1


def test_a_base_that_certifies_with_itself_is_refused():
    engines = []

    def base(x):
        if engines:
            engines[0].count(stream(), 1)
        return torch.zeros(len(x), 2)

    engines.append(Engine(base, 2, SHAPE, Plan("callable", rows=4)))
    with pytest.raises(RuntimeError, match="base must not certify with the classifier"):
        engines[0].count(stream(), 4)


def test_a_base_that_certifies_with_itself_from_the_first_is_refused():
    def base(x):
        Engine(base, 2, SHAPE, Plan("callable", rows=4))
        return torch.zeros(len(x), 2)

    with pytest.raises(RuntimeError, match="base must not certify with the classifier"):
        Engine(base, 2, SHAPE, Plan("callable", rows=4))


@pytest.mark.parametrize("sizes", [(3, 40), (16, 16), (1, 1, 1), (100,), (7, 0, 30)])
def test_packed_jobs_are_counted_as_if_each_ran_alone(sizes):
    torch.manual_seed(1)
    network = models.build("cnn", (1, 8, 8), 10)
    noise = GridGaussian("0.5", "1/16")
    example = noise.prepare(torch.full((1, 8, 8), 0.5))
    engine = Engine(network, 10, (1, 8, 8), Plan("frozen", rows=16))

    def job(index, n):
        return noise.stream(example, 0, Purpose.ESTIMATION, index), n

    packed = engine.count_each([job(i, n) for i, n in enumerate(sizes)])
    alone = [engine.count(*job(i, n)) for i, n in enumerate(sizes)]
    assert packed.tolist() == [counts.tolist() for counts in alone]
    assert packed.sum(1).tolist() == list(sizes)
    assert sizes != (16, 16) or packed[0].tolist() != packed[1].tolist()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_one_bad_score_among_many_is_seen(bad):
    def base(batch):
        scores = torch.zeros(len(batch), 3)
        scores[5, 2] = bad
        return scores

    noise = GridGaussian("0.5", "1/16")
    example = noise.prepare(torch.full((1, 2, 2), 0.5))
    engine = Engine(base, 3, (1, 2, 2), Plan(backend="callable", rows=16))
    with pytest.raises(ValueError, match="finite scores"):
        engine.count(noise.stream(example, 0, Purpose.ESTIMATION, 0), 32)
    # A row that is only padding does not count.
    assert engine.count(noise.stream(example, 0, Purpose.ESTIMATION, 0), 5).sum() == 5


@pytest.mark.parametrize("rows", [7, 64])
def test_answers_are_those_that_count_counts(network, rows):
    """Whatever the calls they are taken in, as long as the passes are whole."""
    network.eval()
    engine = Engine(network, 3, SHAPE, Plan("eager", rows=rows))
    whole = engine.answers_each([(stream(), 200)])[0]
    assert whole.shape == (200,) and whole.dtype == np.int64
    one = stream()
    pieces = [engine.answers_each([(one, n)])[0] for n in (2 * rows, rows, 200 - 3 * rows)]
    assert np.array_equal(np.concatenate(pieces), whole)
    assert np.array_equal(np.bincount(whole, minlength=3), engine.count(stream(), 200))
    noisy = torch.empty(200, *SHAPE)
    stream().fill(noisy)
    with torch.no_grad():
        one_by_one = network(noisy).argmax(1).numpy()
    assert (whole != one_by_one).sum() <= 1 and (np.diff(whole) != 0).sum() > 20


def test_answers_refuse_what_count_refuses(network):
    base = lambda x: torch.full((len(x), 3), float("nan"))  # noqa: E731
    engine = Engine(base, 3, SHAPE, Plan("callable", rows=64))
    with pytest.raises(ValueError, match="finite scores"):
        engine.answers_each([(stream(), 10)])
