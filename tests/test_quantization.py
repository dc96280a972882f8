"""Eight-bit networks: the file is the classifier, and a row's scores depend on that row alone."""

import numpy as np
import pytest
import torch
from torch import nn

from rslib import datasets, models, quantization

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

WEIGHTS = "data/models/digits/cnn/sigma_0.25.safetensors"


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits", "train")


@pytest.fixture(scope="module")
def network(digits):
    return models.load_weights(models.build("cnn", digits.shape, digits.num_classes), WEIGHTS)


@pytest.fixture(scope="module")
def noisy(digits):
    noise = np.random.default_rng(0).standard_normal((400, *digits.shape))
    return (digits.images[:400] + 0.25 * noise).astype(np.float32)


@pytest.fixture(scope="module")
def file(network, noisy, tmp_path_factory):
    path = tmp_path_factory.mktemp("int8") / "cnn.int8.onnx"
    quantization.quantize(network, noisy, path)
    return path


@pytest.fixture(scope="module")
def run(file):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(None, {"x": batch})[0]


@pytest.fixture(scope="module")
def test_images():
    dataset = datasets.load("digits", "test")
    noise = np.random.default_rng(1).standard_normal(dataset.images.shape)
    return (dataset.images + 0.25 * noise).astype(np.float32)


def test_the_same_call_writes_the_same_bytes(network, noisy, file, tmp_path):
    quantization.quantize(network, noisy, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == file.read_bytes()


def test_it_answers_nearly_as_the_network_does(network, run, test_images):
    with torch.no_grad():
        exact = network.eval()(torch.from_numpy(test_images)).numpy()
    found = run(test_images)
    assert (found.argmax(1) == exact.argmax(1)).mean() > 0.98
    assert 0 < np.abs(found - exact).max() < 0.1 * np.abs(exact).max()


def test_a_rows_scores_depend_on_that_row_alone(run, test_images):
    together = run(test_images)
    order = np.random.default_rng(2).permutation(len(test_images))
    np.testing.assert_array_equal(run(test_images[order]), together[order])
    alone = np.concatenate([run(image[None]) for image in test_images[:40]])
    np.testing.assert_array_equal(alone, together[:40])
    # Dynamic quantisation would take its scale from the loudest row.
    loud = np.concatenate([test_images[:40], 100 * test_images[40:41]])
    np.testing.assert_array_equal(run(loud)[:40], together[:40])


def test_no_sum_of_two_products_leaves_sixteen_bits(file):
    weights = [
        onnx.numpy_helper.to_array(one)
        for one in onnx.load(file).graph.initializer
        if one.name.endswith("_quantized") and one.data_type == onnx.TensorProto.INT8
    ]
    assert len(weights) == 4  # every convolution and every linear layer
    assert all(2 * 255 * np.abs(one.astype(int)).max() < 2**15 for one in weights)


def test_scores_are_not_rounded_to_a_few_values(run, test_images):
    assert len(np.unique(run(test_images)[:, 0])) > 256


def test_the_network_is_left_as_it_was(network, noisy, tmp_path):
    network.train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    quantization.quantize(network, noisy[:10], tmp_path / "x.onnx")
    assert network.training
    assert all(torch.equal(before[name], now) for name, now in network.state_dict().items())
    network.eval()


def test_dynamic_quantisation_is_refused_by_name(file, tmp_path):
    from onnxruntime.quantization import quantize_dynamic

    quantization.check_static(onnx.load(file))
    with pytest.warns(DeprecationWarning):
        torch.onnx.export(
            nn.Sequential(nn.Flatten(), nn.Linear(4, 2)),
            (torch.zeros(1, 1, 2, 2),),
            tmp_path / "float.onnx",
            dynamo=False,
        )
    quantize_dynamic(tmp_path / "float.onnx", tmp_path / "dynamic.onnx")
    with pytest.raises(ValueError, match=r"my.onnx is quantised dynamically \(DynamicQuantize"):
        quantization.check_static(onnx.load(tmp_path / "dynamic.onnx"), "my.onnx")


@pytest.mark.parametrize(
    "images", [np.zeros((0, 1, 8, 8)), np.zeros((4, 64)), np.full((1, 1, 8, 8), np.nan)]
)
def test_images_that_cannot_calibrate_are_refused(network, images, tmp_path):
    with pytest.raises(ValueError, match="images must be finite"):
        quantization.quantize(network, images, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


def test_a_network_that_branches_on_its_input_is_refused(tmp_path):
    class Branches(nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :2] * (1 if x.sum() > 0 else -1)

    with pytest.raises(ValueError, match="network cannot be exported to ONNX"):
        quantization.quantize(Branches(), np.zeros((2, 1, 2, 2)), tmp_path / "x.onnx")
