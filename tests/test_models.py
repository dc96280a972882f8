"""Networks, and weights that load whole or not at all, without executing anything."""

import pickle
from pathlib import PurePosixPath

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rslib import models


@pytest.mark.parametrize(
    ("name", "shape", "parameters"),
    [
        ("mlp", (1, 8, 8), 2410),
        ("cnn", (1, 8, 8), 21546),
        # He et al. (2016), table 6: 0.27 and 1.7 million.
        ("wide", (3, 32, 32), 1972802),
        ("resnet20", (3, 32, 32), 269722),
        ("resnet110", (3, 32, 32), 1727962),
        ("resnet50", (3, 32, 32), 23528522),
    ],
)
def test_shapes_and_sizes(name, shape, parameters):
    network = models.build(name, shape, 10).eval()
    assert sum(p.numel() for p in network.parameters()) == parameters
    with torch.inference_mode():
        assert network(torch.rand(2, *shape)).shape == (2, 10)


def test_normalisation_comes_first():
    """Noise is added in pixel space: the network, not the data, normalises."""
    first = models.build("resnet20", (3, 32, 32), 10)[0]
    assert isinstance(first, models.Normalise)
    x = torch.rand(1, 3, 4, 4)
    assert torch.allclose(first(x)[:, 1], (x[:, 1] - 0.4822) / 0.1994)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("vgg", (1, 8, 8), 10), "name must be one of cnn, mlp, .*got 'vgg'"),
        (("cnn", (8, 8), 10), r"shape must be \(channels, height, width\), got \(8, 8\)"),
        (("cnn", (1, 8, 0), 10), r"shape must be .*got \(1, 8, 0\)"),
        (("cnn", (1, 8, 8), 1), "num_classes must be at least 2, got 1"),
    ],
)
def test_bad_build(arguments, message):
    with pytest.raises(ValueError, match=message):
        models.build(*arguments)


def test_normalise_refuses_zero_deviation():
    with pytest.raises(ValueError, match="std must be positive"):
        models.Normalise([0.5], [0.0])


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    network = models.build("mlp", (1, 8, 8), 10)
    path = tmp_path / "new" / "weights.safetensors"
    models.save_weights(network, path)
    return network, path


def test_round_trip(saved):
    network, path = saved
    other = models.load_weights(models.build("mlp", (1, 8, 8), 10), path)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters()))
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_weights_that_do_not_fit(saved):
    network, path = saved
    with pytest.raises(ValueError, match=f"{path}: tensor '0.mean' is missing"):
        models.save_weights(torch.nn.Linear(2, 2), path)
        models.load_weights(network, path)
    cnn = models.build("cnn", (1, 8, 8), 10)
    models.save_weights(cnn, path)
    with pytest.raises(ValueError, match=f"{path}: tensor '1.bias' is not one"):
        models.load_weights(network, path)
    models.save_weights(models.build("mlp", (1, 8, 8), 7), path)
    with pytest.raises(
        ValueError, match=r"tensor '4.bias' is .*\(7,\), the network needs .*\(10,\)"
    ):
        models.load_weights(network, path)


def test_weights_that_are_not_finite(saved):
    network, path = saved
    bad = models.build("mlp", (1, 8, 8), 10)
    with torch.no_grad():
        bad[2].weight[3, 4] = float("nan")
    models.save_weights(bad, path)
    with pytest.raises(ValueError, match=r"tensor '2\.weight' holds a value that is not finite"):
        models.load_weights(network, path)


def test_a_pickle_is_not_executed(saved, tmp_path):
    network, path = saved
    witness = tmp_path / "witness"

    class Bomb:
        def __reduce__(self):
            return (open, (str(witness), "w"))

    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match=f"{path}: not a readable safetensors file"):
        models.load_weights(network, path)
    torch.save({"weight": Bomb()}, path)
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        models.load_weights(network, path)
    assert not witness.exists()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_weights_never_load_wrongly(saved, data):
    """Any damage is an error that names the file, or leaves numbers that are the file's own."""
    network, path = saved
    models.save_weights(network, path)
    whole = bytearray(path.read_bytes())
    where = data.draw(st.integers(0, len(whole) - 1))
    kind = data.draw(st.sampled_from(["cut", "flip", "insert"]))
    if kind == "cut":
        del whole[where:]
    elif kind == "flip":
        whole[where] ^= data.draw(st.integers(1, 255))
    else:
        whole[where:where] = data.draw(st.binary(min_size=1, max_size=9))
    path.write_bytes(whole)
    victim = models.build("mlp", (1, 8, 8), 10)
    before = {k: v.clone() for k, v in victim.state_dict().items()}
    try:
        models.load_weights(victim, path)
    except ValueError as error:
        assert str(error).startswith(f"{path}: ")
        assert all(torch.equal(before[k], v) for k, v in victim.state_dict().items())
    else:
        assert kind == "flip" and all(torch.isfinite(v).all() for v in victim.state_dict().values())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_file_is_what_the_engine_runs(tmp_path, dtype):
    """Certificates made in half precision hold for exactly the stored numbers."""
    network = models.build("cnn", (1, 8, 8), 10)
    models.save_weights(network, tmp_path / "w.safetensors", dtype)
    loaded = models.load_weights(models.build("cnn", (1, 8, 8), 10), tmp_path / "w.safetensors")
    for mine, stored in zip(network.parameters(), loaded.parameters()):
        assert torch.equal(mine.to(getattr(torch, dtype)).float(), stored)
        assert torch.equal(stored.to(getattr(torch, dtype)).float(), stored)
    with pytest.raises(ValueError, match="dtype must be float32, bfloat16 or float16, got 'int8'"):
        models.save_weights(network, tmp_path / "other", "int8")


def test_weights_beyond_half_precision_are_refused(tmp_path):
    network = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(network.weight, 1e6)
    with pytest.raises(ValueError, match="'weight' holds a value that is not finite in float16"):
        models.save_weights(network, tmp_path / "w.safetensors", "float16")
    assert not (tmp_path / "w.safetensors").exists()


# ------------------------------------------------------------------ tied weights, extra state


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(x))


def test_tied_weights_are_written_and_read(tmp_path):
    torch.manual_seed(0)
    tied, other, x = Tied(), Tied(), torch.rand(3, 4)
    models.save_weights(tied, tmp_path / "w.safetensors")
    models.load_weights(other, tmp_path / "w.safetensors")
    assert torch.equal(tied(x), other(x)) and other.second.weight is other.first.weight
    untied = torch.nn.Module()
    untied.first, untied.second = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
    models.load_weights(untied, tmp_path / "w.safetensors")
    assert torch.equal(untied.second.weight, tied.first.weight)


def test_a_file_that_does_not_tie_what_the_network_ties(tmp_path):
    """Loading both values under one tensor kept the second, and another network, silently."""
    untied = torch.nn.Module()
    untied.first, untied.second = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
    models.save_weights(untied, tmp_path / "w.safetensors")
    tied = Tied()
    before = {k: v.clone() for k, v in tied.state_dict().items()}
    for load in (models.load_weights, models.fit_weights):
        with pytest.raises(ValueError, match=r"'first\.weight' is tied to another in the network"):
            load(tied, tmp_path / "w.safetensors")
        assert all(torch.equal(before[k], v) for k, v in tied.state_dict().items())


def test_views_of_one_buffer_and_conjugates(tmp_path):
    class Views(torch.nn.Module):
        def __init__(self):
            super().__init__()
            whole = torch.arange(6.0)
            self.register_buffer("whole", whole)
            self.register_buffer("part", whole[2:4])
            self.register_buffer("turned", whole.view(2, 3).T)
            self.register_buffer("conjugate", torch.tensor([1 + 2j]).conj())

    models.save_weights(Views(), tmp_path / "w.safetensors")
    empty = Views()
    empty.whole.zero_(), empty.conjugate.zero_()
    models.load_weights(empty, tmp_path / "w.safetensors")
    assert empty.part.tolist() == [2, 3] and empty.turned.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert empty.conjugate.tolist() == [1 - 2j]


class Extra(torch.nn.Linear):
    def __init__(self, state):
        super().__init__(2, 2)
        self.extra = state

    def get_extra_state(self):
        return self.extra

    def set_extra_state(self, state):
        self.extra = state


def unsupported():
    lazy = torch.nn.LazyLinear(2)
    sparse = torch.nn.Module()
    sparse.register_buffer("table", torch.eye(3).to_sparse())
    wide = torch.nn.Module()
    wide.register_buffer("phase", torch.zeros(2, dtype=torch.complex128))
    quantised = torch.nn.Module()
    tensor = torch.quantize_per_tensor(torch.rand(3), 0.1, 0, torch.qint8)
    quantised.register_buffer("codes", tensor)
    return [
        (Extra({"a": 1}), r"'_extra_state' is a dict, and safetensors holds tensors alone"),
        (lazy, r"tensor 'weight' has no values yet"),
        (torch.nn.Linear(2, 2, device="meta"), r"tensor 'weight' has no values yet"),
        (sparse, r"tensor 'table' is stored as torch.sparse_coo"),
        (wide, r"tensor 'phase' is torch.complex128, which safetensors cannot hold"),
        (quantised, r"tensor 'codes' is quantised"),
    ]


@pytest.mark.parametrize("which", range(6))
@pytest.mark.filterwarnings("ignore:.*quantiz.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*quantiz.*:UserWarning")
def test_what_cannot_be_saved_is_refused_by_name(tmp_path, which):
    network, message = unsupported()[which]
    with pytest.raises(ValueError, match=message):
        models.save_weights(network, tmp_path / "w.safetensors")
    assert not list(tmp_path.iterdir())


def test_extra_state_that_is_a_tensor_is_saved(tmp_path):
    models.save_weights(Extra(torch.tensor([3.0])), tmp_path / "w.safetensors")
    other = models.load_weights(Extra(torch.tensor([0.0])), tmp_path / "w.safetensors")
    assert other.extra.tolist() == [3.0]


def test_a_state_has_a_name():
    network = models.build("mlp", (1, 8, 8), 10)
    first = models.state_sha256(network)
    assert first == models.state_sha256(network) and len(first) == 64
    with torch.no_grad():
        network[4].bias[3] += 1
    assert models.state_sha256(network) != first
    assert models.state_sha256(torch.nn.Linear(2, 2).half()) != models.state_sha256(
        torch.nn.Linear(2, 2)
    )
    assert models.state_sha256(Tied()) != models.state_sha256(Tied()), "drawn at random"


# ------------------------------------------------------------------ anybody's checkpoints


def small(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Flatten(), torch.nn.Linear(8, 3)
    )


def prefixed(state, prefix):
    return {prefix + name: tensor for name, tensor in state.items()}


FORMS = {
    "plain": (lambda s: s, []),
    "state_dict": (lambda s: {"state_dict": s, "epoch": 3}, ["from the entry 'state_dict'"]),
    "model": (lambda s: {"model": s, "optimizer": {"state": {0: {"step": torch.ones(())}}}},
              ["from the entry 'model'"]),
    "deep": (lambda s: {"out": {"net": s, "best": torch.tensor(0.9)}},
             ["from the entry 'out.net'"]),
    "parallel": (lambda s: {"net": prefixed(s, "module.")},
                 ["from the entry 'net'", "prefix 'module.' taken off"]),
    "compiled": (lambda s: prefixed(s, "_orig_mod."), ["prefix '_orig_mod.' taken off"]),
    "both": (lambda s: prefixed(s, "module._orig_mod."),
             ["prefix 'module._orig_mod.' taken off"]),
    "any": (lambda s: prefixed(s, "backbone."), ["prefix 'backbone.' taken off"]),
    "in part": (lambda s: {k.replace("3.", "3._orig_mod."): v for k, v in s.items()},
                ["'_orig_mod.' taken out of names"]),
    "lightning": (
        lambda s: {"state_dict": {**prefixed(s, "model."), "criterion.weight": torch.ones(3)},
                   "hyper_parameters": {"lr": 0.1}},
        ["from the entry 'state_dict'", "prefix 'model.' taken off", "criterion.weight"]),
    "old": (lambda s: {k: v for k, v in s.items() if "num_batches" not in k},
            ["num_batches_tracked is missing"]),
    "double": (lambda s: {k: v.double() if v.is_floating_point() else v for k, v in s.items()},
               ["torch.float64 in the file becomes torch.float32"]),
    "same twice": (lambda s: {"a": s, "b": dict(s)}, ["from the entry 'a'"]),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_checkpoint_is_made_to_fit_and_it_is_said(tmp_path, form):
    make, said = FORMS[form]
    torch.save(make(small(1).state_dict()), tmp_path / "c.pt")
    network = small(2)
    notes = models.fit_weights(network, tmp_path / "c.pt")
    expected = small(1).state_dict()
    assert all(torch.equal(expected[k], v) for k, v in network.state_dict().items())
    assert len(notes) == len(said)
    assert all(any(words in note for note in notes) for words in said)


def test_safetensors_are_made_to_fit(tmp_path):
    from safetensors.torch import save_file

    save_file(prefixed(small(1).state_dict(), "module."), tmp_path / "c.safetensors")
    network = small(2)
    assert models.fit_weights(network, tmp_path / "c.safetensors") == (
        "prefix 'module.' taken off",
    )
    assert torch.equal(network[3].weight, small(1)[3].weight)


def test_two_that_differ_are_not_chosen_between(tmp_path):
    """A file with the trained network and its running average: each is another classifier."""
    torch.save({"model": small(1).state_dict(), "ema": small(2).state_dict()}, tmp_path / "c.pt")
    network = small(3)
    with pytest.raises(ValueError, match=r"several that differ fit .*'model', 'ema'; name one"):
        models.fit_weights(network, tmp_path / "c.pt")
    models.fit_weights(network, tmp_path / "c.pt", entry="ema")
    assert torch.equal(network[3].weight, small(2)[3].weight)
    with pytest.raises(ValueError, match=r"entry must be one of 'model', 'ema', got 'mean'"):
        models.fit_weights(network, tmp_path / "c.pt", entry="mean")
    both = {**prefixed(small(1).state_dict(), "student."),
            **prefixed(small(2).state_dict(), "teacher.")}  # fmt: skip
    torch.save({"state_dict": both}, tmp_path / "c.pt")
    with pytest.raises(ValueError, match=r"'state_dict\.student', 'state_dict\.teacher'"):
        models.fit_weights(network, tmp_path / "c.pt")
    models.fit_weights(network, tmp_path / "c.pt", entry="state_dict.student")
    assert torch.equal(network[3].weight, small(1)[3].weight)


def test_what_does_not_fit_is_listed(tmp_path):
    state = small(1).state_dict()
    state["3.weight"] = torch.ones(5, 8)
    state["head.bias"] = state.pop("3.bias")
    torch.save({"state_dict": state}, tmp_path / "c.pt")
    network = small(2)
    with pytest.raises(ValueError) as caught:
        models.fit_weights(network, tmp_path / "c.pt")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'c.pt'}, entry 'state_dict', does not fit the network")
    assert "missing: 3.bias; unexpected: head.bias; misshapen: '3.weight'" in message
    assert "(5, 8), the network needs torch.float32 (3, 8)" in message
    assert torch.equal(network[3].weight, small(2)[3].weight)
    state = small(1).state_dict()
    state["1.running_var"][1] = float("nan")
    torch.save(state, tmp_path / "c.pt")
    with pytest.raises(ValueError, match=r"'1\.running_var' holds a value that is not finite"):
        models.fit_weights(network, tmp_path / "c.pt")


def test_one_layer_of_a_larger_network_is_not_taken_for_it(tmp_path):
    torch.save({"body.fc.weight": torch.ones(3, 8), "body.fc.bias": torch.ones(3),
                "body.first.weight": torch.ones(2)}, tmp_path / "c.pt")  # fmt: skip
    with pytest.raises(ValueError, match="does not fit the network"):
        models.fit_weights(torch.nn.Linear(8, 3), tmp_path / "c.pt")


def test_a_checkpoint_is_not_executed(tmp_path):
    witness = tmp_path / "witness"

    class Bomb:
        def __reduce__(self):
            return (open, (str(witness), "w"))

    network = small()
    for bad in ({**network.state_dict(), "bomb": Bomb()}, network, [1, 2], {"a": {"b": 3}}):
        torch.save(bad, tmp_path / "c.pt")
        with pytest.raises(ValueError, match=r"c\.pt: (cannot be read without executing|holds)"):
            models.fit_weights(network, tmp_path / "c.pt")
    for name in ("c.pt", "c.safetensors"):
        (tmp_path / name).write_bytes(b"garbage")
        with pytest.raises(ValueError, match=f"{name}: (cannot be read|not a readable)"):
            models.fit_weights(network, tmp_path / name)
    assert not witness.exists()


# ------------------------------------------------------------------------------------- wrap


def test_wrap_normalises_inside():
    torch.manual_seed(0)
    network, x = small().eval(), torch.rand(4, 1, 4, 4)
    wrapped = models.wrap(network, mean=0.3, std=0.5)
    assert isinstance(wrapped, torch.nn.Module) and not wrapped.training
    assert torch.allclose(wrapped(x), network((x - 0.3) / 0.5))
    pixels = models.wrap(network, mean=[100.0], std=[50.0], input_range=(0, 255))
    assert torch.allclose(pixels(x), network((255 * x - 100) / 50), atol=1e-5)
    assert torch.allclose(models.wrap(network, input_range=(-1, 1))(x), network(2 * x - 1))
    colour = models.wrap(lambda y: y.mean((2, 3)), [0.1, 0.2, 0.3], 0.5)
    assert not isinstance(colour, torch.nn.Module)
    x = torch.rand(2, 3, 5, 5)
    expected = (x.mean((2, 3)) - torch.tensor([0.1, 0.2, 0.3])) / 0.5
    assert torch.allclose(colour(x), expected, atol=1e-6)
    assert models.wrap(network) is network
    vectors = models.wrap(torch.nn.Linear(4, 2).double(), mean=0.5, std=0.5)
    assert vectors(torch.rand(3, 4)).shape == (3, 2), "and in the network's number type"
    assert pickle.loads(pickle.dumps(wrapped))(x[:, :1, :4, :4]).shape == (2, 3)


def test_wrap_leaves_the_network_as_it_is():
    network = small().train()
    network[1].eval()  # frozen statistics in a network that is trained
    wrapped = models.wrap(network, mean=0.5)
    assert wrapped.training and network.training and not network[1].training
    assert "base.3.weight" in dict(wrapped.named_parameters())


@pytest.mark.parametrize("normalise", ["wrap", "Normalise"])
def test_grey_images_do_not_become_coloured(normalise):
    mean, std = [0.5] * 3, [0.2] * 3
    first = models.Normalise(mean, std)
    if normalise == "wrap":
        first = models.wrap(torch.nn.Flatten(), mean, std)
    with pytest.raises(ValueError, match=r"3 values, one a channel"):
        first(torch.rand(2, 1, 4, 4))


def test_wrap_takes_a_part_of_the_output():
    class Answer:
        scores = torch.ones(2, 3)

    for output, returned in (
        ("scores", Answer()),
        ("scores", {"scores": Answer.scores}),
        (1, (None, Answer.scores)),
        (lambda found: found * 1.0, Answer.scores),
    ):
        base = models.wrap(lambda x, returned=returned: returned, output=output)
        assert torch.equal(base(torch.rand(2, 4)), Answer.scores)
    with pytest.raises(ValueError, match=r"output 'logits' is no part of .* a dict"):
        models.wrap(lambda x: {"scores": 1}, output="logits")(torch.rand(2, 4))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"base": 3}, TypeError, "base must be callable, got 3"),
        ({"std": 0}, ValueError, r"std must be positive, got \[0.0\]"),
        ({"mean": [1, 2], "std": [1, 2, 3]}, ValueError, "std must have one number a channel"),
        ({"mean": "grey"}, ValueError, "mean must be a finite number, .* got 'grey'"),
        ({"mean": float("nan")}, ValueError, "mean must be a finite number"),
        ({"input_range": (1, 1)}, ValueError, r"input_range must be two different .*\(1, 1\)"),
        ({"input_range": 255}, ValueError, "input_range must be two numbers, got 255"),
        ({"output": 1.5}, TypeError, "output must be a name, a place or a function, got 1.5"),
    ],
)
def test_bad_wrap(arguments, error, message):
    with pytest.raises(error, match=message):
        models.wrap(**{"base": torch.nn.Flatten(), **arguments})


@pytest.mark.parametrize("kind", ["junk", "whole", "sparse", "sparse_twice", "path"])
def test_a_checkpoint_that_does_not_do_says_so_in_one_line(tmp_path, kind):
    path, network = tmp_path / "c.pt", small(0)
    state = network.state_dict()
    if kind == "junk":
        path.write_bytes(b"junk")
    else:
        name = next(name for name, value in state.items() if value.dim() == 2)
        sparse = {**state, name: state[name].to_sparse()}
        torch.save(
            {
                "whole": network,
                "sparse": sparse,
                "sparse_twice": {"model": sparse, "ema": sparse},
                "path": {"model": state, "where": PurePosixPath("x")},
            }[kind],
            path,
        )
    with pytest.raises(ValueError) as error:
        models.fit_weights(small(1), path)
    said = str(error.value)
    words = {
        "junk": "state_dict()",
        "whole": "holds a torch.nn",
        "sparse": "stored as torch.sparse_coo (save it dense",
        "sparse_twice": "stored as torch.sparse_coo (save it dense",
        "path": "holds a pathlib.PurePosixPath beside tensors",
    }
    assert said.startswith(f"{path}") and words[kind] in said
    assert said.isprintable() and len(said) < 600 and "weights_only" not in said
