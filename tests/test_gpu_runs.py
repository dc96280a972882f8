"""Every stage of the GPU runs at tiny size on the CPU: what is left to try is the GPU alone."""

import json
import types

import gpu_runs
import pytest
import torch

from rslib import _files, models, records, verifier


def run(out, *arguments):
    return gpu_runs.main([*arguments, "--out", str(out), "--tiny", "--commit", "abc"])


def session(out, name):
    (last,) = json.loads((out / "runs" / f"{name}.json").read_text())["sessions"][-1:]
    assert last["commit"] == "abc" and last["exit_code"] == 0 and last["wall_time_s"] > 0
    assert {"command", "device", "versions", "seed", "date"} <= set(last)
    assert last["versions"]["torch"] and f"gpu_runs.py {last['stage']}" in last["command"]
    return last


@pytest.mark.parametrize("consistency", ["0", "10"])
def test_train_certify(tmp_path, consistency):
    arguments = ("train-certify", "--sigma", "0.5", "--consistency", consistency)
    assert run(tmp_path, *arguments) == 0
    name = "cifar10-jpeg-cnn" + ("-consistency" if consistency != "0" else "")
    session(tmp_path, f"{name}-sigma_0.5")
    path = tmp_path / "certify" / name / "sigma_0.5.tsv"
    file = records.read_certificates(path)
    assert file.complete and file.manifest["dataset"]["name"] == "cifar10-jpeg"
    assert file.manifest["noise"]["kind"] == "grid" and file.manifest["n0"] == 100
    assert file.manifest["plan"]["dtype"] == "bfloat16" and file.manifest["alpha"] == "0.001"
    weights = path.parent / file.manifest["model"]["file"]
    assert _files.sha256(weights) == file.manifest["model"]["sha256"]
    assert all(report.ok for report in verifier.verify_paths([tmp_path / "certify"]))
    # What the device machine can give back: 8 files, two folders down.
    files = [p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file()]
    assert len(files) <= 7 and all(len(p.parts) <= 3 for p in files)


def test_resumed_from_a_read_only_copy(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(first, "train-certify", "--train-only") == 0
    for path in first.rglob("*"):
        if path.is_file():
            path.chmod(0o444)
    assert run(second, "train-certify", "--resume", str(first)) == 0
    sessions = json.loads(next(second.glob("runs/*.json")).read_text())["sessions"]
    assert len(sessions) == 2 and next(second.glob("certify/*/*.tsv")).stat().st_size > 100


def test_no_time_left_is_said(tmp_path):
    assert run(tmp_path, "train-certify", "--budget", "0.5") == gpu_runs.TIMES_UP


def test_attack(tmp_path):
    assert run(tmp_path, "attack") == 0
    rows = session(tmp_path, "cifar10-jpeg-cnn-attack")["rows"]
    shares = [row["robust_accuracy_at_most"] for row in rows]
    assert shares == sorted(shares, reverse=True) and rows[0]["radius"] == 0
    assert set(rows[1]["standing"]) <= set(rows[0]["standing"])


class Known(torch.nn.Module):
    """The label of every image of the set that was loaded last, class 0 for any other."""

    def __init__(self, loaded):
        super().__init__()
        self.loaded = loaded

    def forward(self, x):
        images, labels = self.loaded[-1].images, self.loaded[-1].labels
        known = {image.tobytes(): int(y) for image, y in zip(images, labels, strict=True)}
        found = [known.get(image.numpy().tobytes(), 0) for image in x]
        return torch.nn.functional.one_hot(torch.tensor(found), 10).float()


def test_only_what_still_stands_is_attacked(tmp_path, monkeypatch):
    loaded, asked, real = [], [], gpu_runs.datasets.load

    def load(*arguments):
        loaded.append(real(*arguments))
        return loaded[-1]

    def blacken(network, x, y, radius, **_):
        asked.append((radius, len(x)))
        return torch.zeros_like(x) if radius else x

    monkeypatch.setattr(gpu_runs.datasets, "load", load)
    monkeypatch.setattr(gpu_runs.attacks, "pgd_l2", blacken)
    opened = types.SimpleNamespace(network=Known(loaded), name="cnn", sha256="0", manifest={})
    monkeypatch.setattr(gpu_runs.runs, "open_model", lambda *_: opened)
    assert run(tmp_path, "attack") == 0
    rows = session(tmp_path, "cifar10-jpeg-cnn-attack")["rows"]
    # Ten images, one of each class: all are right, and black ones are right for class 0 alone.
    assert [row["standing"] for row in rows] == [list(range(10)), [0], [0]]
    assert asked == [(0.0, 10), (0.1, 10), (0.25, 1)]


def test_attack_of_given_weights_trains_none(tmp_path):
    missing = tmp_path / "no.safetensors"
    with pytest.raises(ValueError, match=r"no\.safetensors: no such file"):
        run(tmp_path / "a", "attack", "--weights", str(missing))
    assert not missing.exists()
    assert run(tmp_path / "a", "attack") == 0
    (weights,) = (tmp_path / "a").rglob("*.safetensors")
    assert run(tmp_path / "b", "attack", "--weights", str(weights)) == 0
    first, second = (session(tmp_path / x, "cifar10-jpeg-cnn-attack") for x in "ab")
    assert first["model_sha256"] == second["model_sha256"] == _files.sha256(weights)
    assert first["trained_at"] == second["trained_at"] == "0"
    assert first["rows"] == second["rows"] and not list((tmp_path / "b").rglob("*.safetensors"))


def test_weights_of_another_network_are_not_attacked_under_a_wrong_name(tmp_path):
    path = tmp_path / "mlp.safetensors"
    models.save_weights(models.build("mlp", (3, 32, 32), 10), path)
    described = {"name": "mlp", "sha256": _files.sha256(path)}
    manifest = {"format": records.MODEL_FORMAT, "model": described, "sigma": "0"}
    records.write_manifest(path.with_suffix(".json"), manifest)
    with pytest.raises(ValueError, match="weights must be of --model cnn in floats, got mlp"):
        run(tmp_path / "a", "attack", "--weights", str(path))


def test_imagenet_time(tmp_path):
    assert run(tmp_path, "imagenet-time") == 0
    rows = session(tmp_path, "imagenet-time")["rows"]
    assert rows["float32"]["seconds_an_image"] > 0


def test_probe(tmp_path):
    assert run(tmp_path, "probe") == 0
    assert session(tmp_path, "probe")["rows"][0]["epoch_s"] > 0


@pytest.mark.slow
def test_bench(tmp_path):
    assert run(tmp_path, "bench") == 0
    assert "certify" in json.loads((tmp_path / "bench" / "cpu.json").read_text())
