"""Networks, and weights that load whole or not at all, without executing anything."""

import pickle

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
    assert (
        models.file_sha256(path) == models.file_sha256(path) and len(models.file_sha256(path)) == 64
    )


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
