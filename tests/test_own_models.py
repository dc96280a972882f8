"""Anybody's model: what is certified is that model, so its counts are a plain loop's.

Each network is built as its author would, and answers each noisy copy in one plain call; the
smoothed classifier must count the same answers over the same noise.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from rslib import models
from rslib.noise import Purpose
from rslib.smoothing import SmoothedClassifier

SEED, CLASSES, N = 11, 3, 200
COLOUR, VECTOR = (3, 32, 32), (4,)


def answers(output):
    """Classes out of whatever a classifier returns, by the plainest means."""
    if hasattr(output, "logits"):
        output = output.logits
    if isinstance(output, (tuple, list)):
        output = output[0]
    output = np.asarray(output.detach() if isinstance(output, torch.Tensor) else output)
    return output if output.ndim == 1 else output.argmax(1)


def check(base, x, n=N, plain=None):
    """Counts equal a loop over the same noise, and are no walkover."""
    smoothed = SmoothedClassifier(base, CLASSES, 0.25, "1/255", seed=SEED)
    found = smoothed.counts(x, n, Purpose.ESTIMATION, 7)
    noisy = torch.empty(n, *x.shape)
    prepared = smoothed.noise.prepare(x)
    smoothed.noise.stream(prepared, SEED, Purpose.ESTIMATION, 7).fill(noisy)
    expected = np.bincount(answers((plain or base)(noisy)), minlength=CLASSES)
    assert found.tolist() == expected.tolist()
    assert (expected > 0).sum() >= 2, "a one-sided vote would not show another function"


def picture(seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, COLOUR).astype(np.float32) / np.float32(255))


def balanced(network, shape=COLOUR):
    """Its last layer moved so that the classes win about equally often near the picture."""
    network.eval()
    last = [part for part in network.modules() if isinstance(part, nn.Linear)][-1]
    torch.manual_seed(1)
    x = picture() if shape == COLOUR else torch.zeros(shape)
    with torch.no_grad():
        last.weight *= 50
        scores = network(x + 0.25 * torch.randn(64, *shape))
        last.bias -= scores.mean(0)
    return network


# ---------------------------------------------------------------- architectures of torchvision


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_torchvision(name):
    torch.manual_seed(0)
    network = balanced(models.open(f"torchvision.models:{name}", COLOUR, CLASSES).base)
    base = models.wrap(network, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    check(balanced(base), picture(), 96)


VIT = """
from torchvision.models import VisionTransformer, vit_b_16

def small(shape, num_classes):
    sizes = {"patch_size": 8, "num_layers": 2, "num_heads": 4, "hidden_dim": 32, "mlp_dim": 64}
    return VisionTransformer(image_size=shape[1], num_classes=num_classes, **sizes)

def whole(shape, num_classes):
    return vit_b_16(image_size=shape[1], num_classes=num_classes)
"""


@pytest.mark.parametrize("name", ["small", pytest.param("whole", marks=pytest.mark.slow)])
def test_a_vision_transformer(tmp_path, name):
    (tmp_path / "vit.py").write_text(VIT)
    torch.manual_seed(0)
    network = models.open(f"{tmp_path / 'vit.py'}:{name}", COLOUR, CLASSES).base
    nn.init.normal_(network.heads.head.weight)  # zeros until it is trained
    check(balanced(network), picture(), 96)


# ------------------------------------------------------- what preparing a network must not change


class View(nn.Module):
    """Flattens as many do: not possible where channels lie last in memory."""

    def forward(self, x):
        return x.view(len(x), -1)


class Keeps(nn.Linear):
    """Keeps its last activations, a computed tensor that cannot be copied."""

    def forward(self, x):
        self.features = super().forward(x)
        return self.features


class Double(nn.Module):
    """One layer in double precision among single ones, as for a delicate sum."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, CLASSES).double()

    def forward(self, x):
        return self.second(torch.relu(self.first(x)).double())


class Uphill(nn.Module):
    """Looks a step in the direction in which it gets surer, which takes a gradient."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, CLASSES)

    def forward(self, x):
        with torch.enable_grad():
            z = x.detach().clone().requires_grad_()
            (slope,) = torch.autograd.grad(self.layer(z).logsumexp(1).sum(), z)
        return self.layer(x + 0.1 * slope)


class Turns(nn.Module):
    """Complex weights: a turn by a right angle, twice, changes the sign of the margin."""

    def __init__(self):
        super().__init__()
        self.turn = nn.Parameter(torch.tensor(1j))

    def forward(self, x):
        y = (self.turn * self.turn * (x - 0.1)).real
        return torch.stack([y[:, 0], -y[:, 0], y[:, 1] - 1], 1)


def after_training(network, inputs):
    """As a training loop leaves it: gradients, and what the forward pass kept."""
    network(inputs).sum().backward()
    network.eval()


def spectral(layer):
    return nn.utils.parametrizations.spectral_norm(layer)


PREPARED = {
    "weight norm": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, CLASSES)),
    "weight norm, old": lambda: nn.utils.weight_norm(nn.Linear(4, CLASSES)),
    "spectral norm": lambda: spectral(nn.Linear(4, CLASSES)),
    "computed tensors": lambda: Keeps(4, CLASSES),
    "double among single": Double,
    "double": lambda: nn.Linear(4, CLASSES).double(),
    "differentiates": Uphill,
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("name", PREPARED)
def test_a_network_that_is_hard_to_prepare(name):
    torch.manual_seed(4)
    network = PREPARED[name]()
    wide = name == "double"
    last = [part for part in network.modules() if isinstance(part, nn.Linear)][-1]
    noise = 0.25 * torch.randn(64, *VECTOR, dtype=torch.float64 if wide else torch.float32)
    with torch.no_grad():
        last.bias -= network(noise).mean(0)
    after_training(network, noise)
    check(network, torch.zeros(VECTOR), plain=(lambda x: network(x.double())) if wide else None)
    # It is the user's: still there to be trained.
    assert all(one.requires_grad for one in network.parameters() if one.is_floating_point())
    network(noise).sum().backward()


def test_complex_weights():
    check(Turns(), torch.zeros(VECTOR))


def test_a_network_that_views_its_memory():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), View(), nn.Linear(900, CLASSES))
    check(balanced(network), picture())


def test_a_function_that_differentiates():
    torch.manual_seed(4)
    uphill = Uphill()
    nn.init.zeros_(uphill.layer.bias)
    check(lambda x: uphill(x), torch.zeros(VECTOR))
    uphill(torch.ones(2, 4)).sum().backward()


# -------------------------------------------------------------------------- models in a file


def vector_network():
    torch.manual_seed(2)
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, CLASSES))
    return balanced(network, VECTOR)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("how", ["scripted", "traced"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_torchscript_file(tmp_path, how, wrapped):
    network = vector_network()
    script = torch.jit.script(network) if how == "scripted" else torch.jit.trace(
        network, torch.zeros(2, 4)
    )  # fmt: skip
    torch.jit.save(script, tmp_path / "model.pt")
    base = models.open(str(tmp_path / "model.pt"), VECTOR, CLASSES).base
    if wrapped:
        check(models.wrap(base, 0.1, 0.5), torch.zeros(VECTOR),
              plain=lambda x: network((x - 0.1) / 0.5))  # fmt: skip
    else:
        check(base, torch.zeros(VECTOR), plain=network)


EXPORT = """
import sys, warnings
warnings.simplefilter("ignore")
import torch
network = torch.load(sys.argv[1], weights_only=False)
free = ({0: torch.export.Dim("rows")},)
x = torch.zeros(8, 4)
torch.export.save(torch.export.export(network, (x,), dynamic_shapes=free), sys.argv[2])
torch.export.save(torch.export.export(network, (x,)), sys.argv[3])
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    import subprocess
    import sys

    folder = tmp_path_factory.mktemp("exported")
    torch.save(vector_network(), folder / "network")
    names = [str(folder / name) for name in ("network", "free.pt2", "eight.pt2")]
    subprocess.run([sys.executable, "-c", EXPORT, *names], check=True)
    return folder


@pytest.mark.parametrize("name", ["free.pt2", "eight.pt2"])
def test_an_exported_program(exported, name):
    base = models.open(str(exported / name), VECTOR, CLASSES).base
    check(base, torch.zeros(VECTOR), plain=vector_network())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("rows", [None, 8])
def test_an_onnx_file(tmp_path, rows):
    path, free = tmp_path / "model.onnx", {"input_names": ["x"], "dynamic_axes": {"x": {0: "n"}}}
    torch.onnx.export(vector_network(), (torch.zeros(rows or 2, 4),), path, dynamo=False,
                      **({} if rows else free))  # fmt: skip
    base = models.open(str(path), VECTOR, CLASSES).base
    check(base, torch.zeros(VECTOR), plain=vector_network())


# ------------------------------------------------------------- outputs that are no plain scores

FOREST = """
import numpy as np
from sklearn.ensemble import RandomForestClassifier

rng = np.random.default_rng(0)
X = rng.normal(size=(300, 4))
forest = RandomForestClassifier(10, random_state=0).fit(X, np.digitize(X[:, 0], [-0.1, 0.1]))

def shares():
    return lambda x: forest.predict_proba(x.numpy())

def labels():
    return lambda x: forest.predict(x.numpy())
"""


@pytest.mark.parametrize("name", ["shares", "labels"])
def test_a_forest_of_scikit_learn(tmp_path, name):
    (tmp_path / "forest.py").write_text(FOREST)
    base = models.open(f"{tmp_path / 'forest.py'}:{name}", VECTOR, CLASSES).base
    check(base, torch.zeros(VECTOR))


class Logits(nn.Module):
    """Answers as the models of Hugging Face do."""

    def __init__(self):
        super().__init__()
        self.inner = vector_network()

    def forward(self, x):
        return SimpleNamespace(loss=None, logits=self.inner(x))


class Named(tuple):
    """A tuple with names, whose first entry is not the scores."""

    @property
    def logits(self):
        return self[1]


class Both(Logits):
    def forward(self, x):
        scores = self.inner(x)
        return Named((-scores, scores))


class Several(Logits):
    def forward(self, x):
        scores = self.inner(x)
        return scores, scores.sum(1)


class Labels(Logits):
    def forward(self, x):
        return self.inner(x).argmax(1)


@pytest.mark.parametrize("network", [Logits, Both, Several, Labels])
def test_other_outputs(network):
    check(network(), torch.zeros(VECTOR))


@pytest.mark.parametrize("network", [Logits, Both])
def test_other_outputs_by_name(network):
    """What can be said where the convention does not do."""
    base = models.wrap(network(), output="logits")
    check(base, torch.zeros(VECTOR), plain=vector_network())


def test_arrays():
    network = vector_network()
    check(lambda x: network(x).detach().numpy(), torch.zeros(VECTOR))
