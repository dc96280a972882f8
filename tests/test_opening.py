"""Models are opened by what they are called; nothing runs that the caller did not name."""

import hashlib
import pickle
import subprocess
import sys
import textwrap
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from rslib import models

SHAPE, CLASSES = (1, 4, 4), 3


def small(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)).eval()


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def written(tmp_path):
    """Write a Python file and give its path."""

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    return write


# ------------------------------------------------------------------------------------- names


def test_an_architecture_of_the_course_with_weights(tmp_path):
    network = models.build("cnn", (1, 8, 8), 10)
    models.save_weights(network, tmp_path / "w.safetensors")
    opened = models.open("cnn", (1, 8, 8), 10, tmp_path / "w.safetensors")
    assert not opened.base.training and opened.kind == "architecture" and opened.notes == ()
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(opened.base(x), network.eval()(x))
    assert opened.to_dict() == {
        "spec": "cnn",
        "kind": "architecture",
        "weights_sha256": sha256(tmp_path / "w.safetensors"),
        "state_sha256": models.state_sha256(network),
    }


def test_a_module_of_an_installed_package():
    opened = models.open("torchvision.models:squeezenet1_1", (3, 64, 64), 7)
    assert opened.base(torch.rand(1, 3, 64, 64)).shape == (1, 7)
    assert list(opened.files) == ["__init__.py"] and opened.kind == "python"
    assert opened.notes == ("no weights given: they are those that the code makes",)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("resnet19", r"model must be a name of MODELS \(.*\), FILE.py:NAME, .*got 'resnet19'"),
        ("model.py", r"model must be .*got 'model.py'"),
        ("absent.onnx", r"model absent.onnx: no such file"),
        ("absent.pt2", r"model absent.pt2: no such file"),
        ("absent.pt", r"model absent.pt: no such file"),
        ("absent.py:build", r"model absent.py:build: No such file"),
        ("no.such.package:build", r"no.such.package:build: ModuleNotFoundError: No module named"),
        ("torchvision.models:resnet19", r"has no resnet19; it has .*resnet18"),
        ("torch:float32", r"float32 must be a torch module, or a function that makes one"),
    ],
)
def test_a_model_that_is_none(spec, message):
    with pytest.raises(ValueError, match=message):
        models.open(spec, SHAPE, CLASSES)


def test_bad_arguments():
    with pytest.raises(TypeError, match="model must be a string, got 3"):
        models.open(3, SHAPE, CLASSES)
    with pytest.raises(ValueError, match="num_classes must be at least 2, got 1"):
        models.open("cnn", SHAPE, 1)
    with pytest.raises(ValueError, match="num_classes must be given for model cnn, got None"):
        models.open("cnn", SHAPE)
    with pytest.raises(ValueError, match="shape must be at least 1, got 0"):
        models.open("cnn", (1, 0, 8), 10)
    with pytest.raises(ValueError, match=r"weights absent.pt: no such file"):
        models.open("cnn", (1, 8, 8), 10, "absent.pt")


# ------------------------------------------------------------------------------------- Python

FILE = """
    import torch
    from torch import nn

    def build(shape, num_classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(shape).numel(), num_classes))

    def of_classes(*, num_classes=5, wide=False):
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))

    class Net(nn.Linear):
        def __init__(self, num_classes):
            super().__init__(16, num_classes)

        def forward(self, x):
            return super().forward(x.flatten(1))

        @classmethod
        def small(cls):
            return cls(4)

    made = Net(3).train()

    def plain():
        return lambda x: x.flatten(1)[:, :3]

    def with_options(**options):
        return Net(**options)

    def needs(width, num_classes):
        raise AssertionError("must not be called")

    def nothing(num_classes):
        return None

    def fails():
        raise RuntimeError("no such luck")
"""


@pytest.mark.parametrize(
    ("name", "classes"),
    [("build", 3), ("of_classes", 3), ("Net", 3), ("Net.small", 4), ("made", 3), ("plain", 3),
     ("with_options", 3)],
)  # fmt: skip
def test_a_python_file(written, name, classes):
    path = written("my_model.py", FILE)
    opened = models.open(f"{path}:{name}", SHAPE, CLASSES)
    assert opened.base(torch.rand(2, *SHAPE)).shape == (2, classes)
    assert opened.kind == "python" and opened.files == {"my_model.py": sha256(path)}
    assert (opened.state_sha256 is None) == (name == "plain")
    assert not getattr(opened.base, "training", False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("needs", r"my_model.py:needs: needs needs width, and is given shape and num_classes"),
        ("nothing", r"nothing must return a classifier, it returned None"),
        ("fails", r"my_model.py:fails: RuntimeError: no such luck"),
        ("absent", r"has no absent; it has Net, build, fails"),
        ("torch", r"torch must be a torch module, or a function that makes one"),
    ],
)
def test_a_python_file_that_does_not_do(written, name, message):
    with pytest.raises(ValueError, match=message):
        models.open(f"{written('my_model.py', FILE)}:{name}", SHAPE, CLASSES)


def test_classes_that_are_needed_and_not_known(written):
    path = written("my_model.py", FILE)
    with pytest.raises(ValueError, match="num_classes must be given: build needs it"):
        models.open(f"{path}:build", SHAPE)
    opened = models.open(f"{path}:of_classes", SHAPE)
    assert opened.base[1].weight.shape == (5, 16), "lazy layers are made, once"


@pytest.mark.parametrize("name", ["train", "eval", "to", "requires_grad_"])
def test_what_a_network_returns_of_its_changes_is_not_used(written, name):
    """Who overrides one of these, to keep a part frozen, often returns nothing."""
    path = written(
        "frozen.py",
        f"""
        from torch import nn
        class Net(nn.Linear):
            def __init__(self):
                super().__init__(16, 3)
            def forward(self, x):
                return super().forward(x.flatten(1))
            def {name}(self, *given, **named):
                super().{name}(*given, **named)
        """,
    )
    opened = models.open(f"{path}:Net", SHAPE, CLASSES)
    assert isinstance(opened.base, nn.Linear) and not opened.base.training
    assert opened.state_sha256 == models.state_sha256(opened.base)


def test_a_syntax_error_names_the_file(written):
    path = written("my_model.py", "def build(:\n")
    with pytest.raises(ValueError, match=r"my_model.py:build: SyntaxError"):
        models.open(f"{path}:build", SHAPE, CLASSES)


def test_weights_for_python(written, tmp_path):
    path = written("my_model.py", FILE)
    torch.save({"model": nn.Linear(16, 3).state_dict()}, tmp_path / "c.pt")
    opened = models.open(f"{path}:Net", SHAPE, CLASSES, tmp_path / "c.pt")
    assert opened.notes == ("taken from the entry 'model'",)
    assert opened.weights_sha256 == sha256(tmp_path / "c.pt")
    with pytest.raises(ValueError, match="weights are for torch modules"):
        models.open(f"{path}:plain", SHAPE, CLASSES, tmp_path / "c.pt")


def test_modules_beside_the_file_are_found_and_hashed(written):
    """What is certified depends on them, so a change of them shows."""
    path = written(
        "one/my_model.py",
        """
        import torch
        from layers_of_mine import Half
        from parts_of_mine.head import make as make_head

        def build(num_classes):
            return torch.nn.Sequential(Half(), make_head(num_classes))
        """,
    )
    written("one/layers_of_mine.py", """
        from torch import nn
        class Half(nn.Module):
            def forward(self, x):
                return x.flatten(1) / 2
    """)  # fmt: skip
    written("one/parts_of_mine/__init__.py", "")
    written("one/parts_of_mine/head.py", """
        from .sizes import WIDTH
        from torch import nn
        def make(num_classes):
            return nn.Linear(WIDTH, num_classes)
    """)  # fmt: skip
    sizes = written("one/parts_of_mine/sizes.py", "WIDTH = 16\n")
    written("one/unrelated.py", "raise AssertionError('must not be imported')\n")
    before = list(sys.path)
    opened = models.open(f"{path}:build", SHAPE, CLASSES)
    assert sys.path == before and opened.base(torch.rand(2, *SHAPE)).shape == (2, 3)
    beside = ["layers_of_mine.py", "parts_of_mine/__init__.py", "parts_of_mine/head.py",
              "parts_of_mine/sizes.py"]  # fmt: skip
    assert list(opened.files) == ["my_model.py", *beside]
    assert opened.files["parts_of_mine/sizes.py"] == sha256(sizes)
    # Python keeps loaded modules by name: another folder's would be this one's, without a word.
    again = written("two/my_model.py", path.read_text())
    written("two/layers_of_mine.py", "Half = None\n")
    with pytest.raises(ValueError, match=r"another module of this name is loaded already"):
        models.open(f"{again}:build", SHAPE, CLASSES)


def test_two_files_of_one_name_are_two_models(written):
    texts = ["def build():\n    return lambda x: 1\n", "def build():\n    return lambda x: 2\n"]
    paths = [written(f"{i}/my_model.py", text) for i, text in enumerate(texts)]
    opened = [models.open(f"{path}:build", SHAPE) for path in paths]
    assert [one.base(None) for one in opened] == [1, 2]
    paths[0].write_text(texts[1])  # no cache of compiled code stands between
    assert models.open(f"{paths[0]}:build", SHAPE).base(None) == 2
    assert opened[0].files != opened[1].files


def test_a_package_that_is_not_installed_is_hashed_whole(written, monkeypatch):
    written("a_package_of_mine/__init__.py", "")
    written("a_package_of_mine/nets.py", """
        from a_package_of_mine.parts import make
        def build(num_classes):
            return make(num_classes)
    """)  # fmt: skip
    path = written("a_package_of_mine/parts.py", """
        from torch import nn
        def make(k):
            return nn.Sequential(nn.Flatten(), nn.Linear(16, k))
    """)  # fmt: skip
    monkeypatch.syspath_prepend(path.parents[1])
    opened = models.open("a_package_of_mine.nets:build", SHAPE, CLASSES)
    assert opened.files["a_package_of_mine/parts.py"] == sha256(path)
    assert set(opened.files) == {
        "nets.py", "a_package_of_mine/__init__.py", "a_package_of_mine/parts.py"
    }  # fmt: skip


# --------------------------------------------------------------------------- TorchScript, .pt2


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_torchscript(tmp_path):
    network, path, x = small(), tmp_path / "scripted.pt", torch.rand(5, *SHAPE)
    torch.jit.save(torch.jit.script(network), path)
    opened = models.open(str(path), SHAPE)
    assert opened.kind == "torchscript" and opened.files == {"scripted.pt": sha256(path)}
    assert torch.equal(opened.base(x), network(x)) and not opened.base.training
    assert opened.state_sha256 == models.state_sha256(network)
    with pytest.raises(ValueError, match=r"weights must not be given with model .*its own"):
        models.open(str(path), SHAPE, CLASSES, path)
    torch.save(network.state_dict(), tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match=r"checkpoint.pt: not a TorchScript file: .*as weights"):
        models.open(str(tmp_path / "checkpoint.pt"), SHAPE)


EXPORT = """
import sys, warnings
warnings.simplefilter("ignore")
import torch
from torch import nn
torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)).eval()
free = ({0: torch.export.Dim("rows")},)
x = torch.rand(4, 1, 4, 4)
torch.export.save(torch.export.export(net, (x,), dynamic_shapes=free), sys.argv[1] + "/free.pt2")
torch.export.save(torch.export.export(net, (x,)), sys.argv[1] + "/four.pt2")
"""


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """Exported in a process of its own: what torch leaves behind there is not the test's."""
    folder = tmp_path_factory.mktemp("exported")
    subprocess.run([sys.executable, "-c", EXPORT, str(folder)], check=True)
    return folder


@pytest.mark.parametrize("name", ["free.pt2", "four.pt2"])
def test_an_exported_program(exported, name):
    network, path = small(), exported / name
    opened = models.open(str(path), SHAPE, CLASSES)
    assert opened.kind == "exported" and opened.files == {name: sha256(path)}
    opened.base.train().eval()  # torch's own raises
    for count in (4, 1, 7):
        x = torch.rand(count, *SHAPE)
        assert torch.allclose(opened.base(x), network(x), atol=1e-6)
    with pytest.raises(ValueError, match=rf"{name}: takes \(1, 4, 4\), the examples are \(1, 8"):
        models.open(str(path), (1, 8, 8))


def rewritten(source, target, change):
    """A copy of an archive; change gets each name and its bytes, and returns the bytes."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
        for name, data in change(None, None):
            new.writestr(name, data)


def test_an_exported_program_is_not_executed(exported, tmp_path):
    """torch reads its own pickles again without protection where they are refused."""
    witness = tmp_path / "witness"

    class Bomb:
        def __reduce__(self):
            return (open, (str(witness), "w"))

    bomb = pickle.dumps(Bomb(), protocol=2)
    evil = tmp_path / "evil.pt2"

    def in_sample_inputs(name, data):
        return [] if name is None else bomb if "sample_inputs" in name else data

    def in_a_weight(name, data):
        if name is None:
            return []
        if name.endswith("weights_config.json"):
            return data.replace(b'"use_pickle": false', b'"use_pickle": true', 1)
        return bomb if name.endswith("weight_0") else data

    for change in (in_sample_inputs, in_a_weight):
        rewritten(exported / "free.pt2", evil, change)
        with pytest.raises(ValueError, match=r"evil.pt2: cannot be read without executing it"):
            models.open(str(evil), SHAPE)
        assert not witness.exists()

    def compiled(name, data):
        return [("free/data/aotinductor/model/a.so", b"")] if name is None else data

    rewritten(exported / "free.pt2", evil, compiled)
    with pytest.raises(ValueError, match=r"evil.pt2: holds compiled code"):
        models.open(str(evil), SHAPE)
    for data in (b"", b"no archive", (exported / "free.pt2").read_bytes()[:5000]):
        evil.write_bytes(data)
        with pytest.raises(ValueError, match=r"evil.pt2: not an exported program"):
            models.open(str(evil), SHAPE)


# --------------------------------------------------------------------------------------- ONNX


#: torch's exporter to ONNX warns of its own end.
EXPORTS = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def onnx_file(tmp_path):
    path = tmp_path / "small.onnx"
    free = {"input_names": ["x"], "dynamic_axes": {"x": {0: "rows"}}}
    torch.onnx.export(small(), (torch.rand(2, *SHAPE),), path, dynamo=False, **free)
    return path


@EXPORTS
def test_onnx(onnx_file):
    network, x = small(), torch.rand(5, *SHAPE)
    opened = models.open(str(onnx_file), SHAPE, CLASSES)
    assert opened.kind == "onnx" and opened.files == {"small.onnx": sha256(onnx_file)}
    assert opened.state_sha256 is None
    assert torch.allclose(opened.base(x), network(x), atol=1e-6)
    assert torch.equal(pickle.loads(pickle.dumps(opened.base))(x), opened.base(x))
    with pytest.raises(ValueError, match=r"small.onnx: takes \(1, 4, 4\), the examples are \(1, 8"):
        models.open(str(onnx_file), (1, 8, 8))
    onnx_file.write_bytes(b"garbage")
    with pytest.raises(ValueError, match=r"small.onnx: not a usable ONNX file"):
        models.open(str(onnx_file), SHAPE)


@EXPORTS
def test_onnx_of_one_batch_size(tmp_path):
    network, path = small(), tmp_path / "three.onnx"
    torch.onnx.export(network, (torch.rand(3, *SHAPE),), path, dynamo=False)
    base = models.open(str(path), SHAPE).base
    for count in (3, 1, 8):
        x = torch.rand(count, *SHAPE)
        assert torch.allclose(base(x), network(x), atol=1e-6)


@EXPORTS
def test_onnx_weights_in_a_file_of_their_own_are_hashed(onnx_file, tmp_path):
    import onnx

    path = tmp_path / "apart.onnx"
    onnx.save(onnx.load(onnx_file), path, save_as_external_data=True, location="apart.bin",
              size_threshold=0)  # fmt: skip
    opened = models.open(str(path), SHAPE, CLASSES)
    x = torch.rand(5, *SHAPE)
    assert torch.allclose(opened.base(x), small()(x), atol=1e-6)
    assert opened.files == {
        "apart.onnx": sha256(path), "apart.bin": sha256(tmp_path / "apart.bin")
    }  # fmt: skip


def test_onnx_with_several_outputs_and_doubles(tmp_path):
    from onnx import TensorProto, checker, helper, save

    nodes = [
        helper.make_node("ArgMax", ["x"], ["label"], axis=1, keepdims=0),
        helper.make_node("Softmax", ["x"], ["share"], axis=1),
    ]
    double = helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["rows", 3])
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.INT64, ["rows"]),
        helper.make_tensor_value_info("share", TensorProto.DOUBLE, ["rows", 3]),
    ]
    graph = helper.make_graph(nodes, "g", [double], outputs)
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=9)
    checker.check_model(model)
    save(model, tmp_path / "two.onnx")
    label, share = models.open(str(tmp_path / "two.onnx"), (3,)).base(torch.eye(3))
    assert label.tolist() == [0, 1, 2] and np.allclose(share.sum(1), 1)
