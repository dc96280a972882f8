"""The command line end to end on real digits, and every bad argument answered in one line."""

import csv
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import types
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

import rslib
from rslib import _files, backends, cli, records, runs, training, verifier

ROOT = Path(__file__).parents[1]
UNSEEDED = "without --seed"


@pytest.fixture(autouse=True)
def nobody_looks_on(monkeypatch):
    """Some package may have loaded a part of IPython: then progress would be shown."""
    monkeypatch.setenv("CI", "1")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "mlp" / "sigma_0.25.safetensors"
    arguments = ["train", "digits", "--sigma", "0.25", "--model", "mlp", "--epochs", "3"]
    assert cli.main([*arguments, "--out", str(path)]) == 0
    return path


def certify(weights, out, *more):
    return cli.main(
        [
            *("certify", "digits", "--weights", str(weights), "--sigma", "0.25"),
            *("--n", "500", "--indices", "0:40:10", "--out", str(out), "--quiet"),
            *([] if "--seed" in more or UNSEEDED in more else ["--seed", "0"]),
            *(word for word in more if word != UNSEEDED),
        ]
    )


@pytest.fixture
def certified(weights, tmp_path):
    out = tmp_path / "run" / "sigma_0.25.tsv"
    assert certify(weights, out) == 0
    return out


def test_train_writes_weights_with_a_manifest(weights):
    manifest = records.read_manifest(weights.with_suffix(".json"))
    assert manifest["format"] == "rslib-model/1" and manifest["sigma"] == "0.25"
    assert manifest["training"]["epochs"] == 3 and manifest["command"].startswith("rslib train")
    assert manifest["training"]["final"]["noisy_accuracy"] > 0.3


def test_train_begins_with_given_weights_and_says_which(weights, tmp_path, capsys):
    out = tmp_path / "next" / "sigma_0.5.safetensors"
    more = ["train", "digits", "--sigma", "0.5", "--epochs", "1", "--out", str(out)]
    more += ["--learning-rate", "1e-12", "--model"]
    assert cli.main([*more, "mlp", "--start", str(weights)]) == 0
    training_of = records.read_manifest(out.with_suffix(".json"))["training"]
    assert training_of["start"]["sha256"] == _files.sha256(weights)
    assert (out.parent / training_of["start"]["file"]).resolve() == weights.resolve()
    one, two = (safetensors.torch.load_file(path) for path in (weights, out))
    assert all(torch.allclose(one[name], two[name], atol=1e-9) for name in one)
    assert cli.main([*more, "cnn", "--overwrite", "--start", str(weights)]) == 2
    assert f"start must be weights of cnn, got {weights}, of mlp" in capsys.readouterr().err
    assert cli.main([*more, "mlp", "--overwrite", "--start", "no.safetensors"]) == 2
    assert "no.safetensors: no such file" in capsys.readouterr().err


def test_a_network_that_goes_on_does_not_see_the_same_noise_again(weights, tmp_path, monkeypatch):
    real, seeds = training.train, []

    def train(*arguments, **named):
        seeds.append(named["seed"])
        return real(*arguments, **named)

    monkeypatch.setattr(training, "train", train)

    def seed_with(start, seed):
        out = tmp_path / f"{len(seeds)}.safetensors"
        words = ["train", "digits", "--sigma", "0.5", "--epochs", "1", "--model", "mlp"]
        words += [*(["--start", str(start)] if start else []), "--seed", str(seed)]
        assert cli.main([*words, "--out", str(out)]) == 0
        assert records.read_manifest(out.with_suffix(".json"))["training"]["seed"] == seed
        return out

    seed_with(None, 0)
    second = seed_with(weights, 0)
    for start, seed in ((second, 0), (weights, 0), (weights, 1)):
        seed_with(start, seed)
    alone, on, on_again, same_start, other_seed = seeds
    assert alone == 0 and on == same_start and len({alone, on, on_again, other_seed}) == 4
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_train_does_not_overwrite(weights, capsys):
    before = weights.read_bytes()
    arguments = ["train", "digits", "--sigma", "0.5", "--model", "mlp", "--epochs", "1"]
    assert cli.main([*arguments, "--out", str(weights)]) == 2
    assert "--overwrite) to replace it" in capsys.readouterr().err
    assert weights.read_bytes() == before


def test_certified_file_verifies_and_is_complete(certified, capsys):
    file = records.read_certificates(certified)
    assert [row.idx for row in file.rows] == [0, 10, 20, 30] and file.complete
    assert all(sum(row.estimation.values()) == 500 for row in file.rows)
    assert cli.main(["verify", str(certified.parent)]) == 0
    assert "4 certificates, all hold" in capsys.readouterr().out


def test_same_rows_whatever_the_selection_of_examples(weights, certified, tmp_path):
    out = tmp_path / "other.tsv"
    assert certify(weights, out, "--indices", "30:19:-10") == 0
    rows = {row.idx: row for row in records.read_certificates(certified).rows}
    again = records.read_certificates(out).rows
    assert [row.idx for row in again] == [30, 20]
    assert all(row.estimation == rows[row.idx].estimation for row in again)


def test_resume_goes_on_and_leaves_rows_alone(weights, certified, capsys):
    whole = certified.read_text()
    certified.write_text("".join(whole.splitlines(keepends=True)[:3]))
    assert certify(weights, certified) == 0
    assert "2 rows are there, 2 to do" in capsys.readouterr().err
    strip = [line.split("\t")[:5] + line.split("\t")[6:] for line in whole.splitlines()]
    now = certified.read_text().splitlines()
    assert [line.split("\t")[:5] + line.split("\t")[6:] for line in now] == strip
    assert now[:3] == whole.splitlines()[:3]


@pytest.mark.parametrize(
    ("option", "value", "field"),
    [("--n", "600", "n"), ("--alpha", "0.01", "alpha"), ("--seed", "1", "seed"),
     ("--sigma", "0.5", "sigma"), ("--n0", "50", "n0"), ("--indices", "0:30:10", "indices")],
)  # fmt: skip
def test_another_run_does_not_touch_the_file(weights, certified, capsys, option, value, field):
    before = certified.read_bytes()
    assert certify(weights, certified, option, value) == 2
    assert f"{field}: the file has" in capsys.readouterr().err
    assert certified.read_bytes() == before


def a_second_each_look():
    """A clock that goes on by a second whenever it is read."""
    ticks = itertools.count()
    return types.SimpleNamespace(monotonic=lambda: next(ticks), perf_counter=time.perf_counter)


def test_certify_stops_in_time_and_goes_on(weights, certified, tmp_path, monkeypatch, capsys):
    out = tmp_path / "budget.tsv"
    with monkeypatch.context() as patch:
        patch.setattr(runs, "time", a_second_each_look())
        assert certify(weights, out, "--budget", "1") == 3
    assert "3 rows to do; the same command goes on" in capsys.readouterr().out
    assert [row.idx for row in records.read_certificates(out).rows] == [0]
    assert certify(weights, out, "--budget", "1000") == 0
    counts = [[row.estimation for row in records.read_certificates(p).rows]
              for p in (out, certified)]  # fmt: skip
    assert counts[0] == counts[1]


def test_train_stops_in_time_and_goes_on(tmp_path, monkeypatch, capsys):
    from rslib import training

    def run(name, *more):
        return cli.main(["train", "digits", "--sigma", "0.25", "--model", "mlp", "--recipe", "sgd",
                         "--epochs", "2", "--out", str(tmp_path / name), *more])  # fmt: skip

    out, log = tmp_path / "a.safetensors", tmp_path / "log.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr(training, "time", a_second_each_look())
        assert run(out.name, "--budget", "1", "--log", str(log)) == 3
    assert "1 of 2 epochs; the same command goes on" in capsys.readouterr().out
    assert not out.exists() and len(log.read_text().splitlines()) == 1
    assert run(out.name, "--budget", "1000", "--log", str(log)) == 0
    assert run("b.safetensors", "--store", "bfloat16") == 0
    assert run("c.safetensors") == 0
    assert _files.sha256(out) == _files.sha256(tmp_path / "c.safetensors")
    assert not out.with_suffix(".checkpoint").exists() and len(log.read_text().splitlines()) == 2
    training_of = records.read_manifest(out.with_suffix(".json"))["training"]
    assert training_of["recipe"] == "sgd" and training_of["batch_size"] == 512
    assert records.read_manifest(tmp_path / "b.json")["model"]["dtype"] == "bfloat16"


def test_two_sided(weights, tmp_path):
    out = tmp_path / "two.tsv"
    assert certify(weights, out, "--two-sided") == 0
    assert records.read_certificates(out).manifest["two_sided"] is True
    assert all(report.ok for report in verifier.verify_paths([out]))


def test_float_noise_is_recorded_and_verify_says_what_it_rests_on(weights, tmp_path, capsys):
    out = tmp_path / "float.tsv"
    assert certify(weights, out, "--noise", "float") == 0
    assert records.read_certificates(out).manifest["noise"]["kind"] == "float"
    assert cli.main(["verify", str(out)]) == 0
    assert "exact" in capsys.readouterr().out.lower()


def test_verify_fails_on_one_changed_count(certified, capsys):
    lines = certified.read_text().splitlines()
    fields = lines[2].split("\t")
    name, count = fields[7].split(" ")[0].split(":")
    fields[7] = fields[7].replace(f"{name}:{count}", f"{name}:{int(count) + 1}", 1)
    lines[2] = "\t".join(fields)
    certified.write_text("\n".join(lines) + "\n")
    assert cli.main(["verify", str(certified)]) == 1
    assert f"{certified}:3: " in capsys.readouterr().out


def test_verify_fails_on_one_changed_radius(certified):
    lines = certified.read_text().splitlines()
    fields = lines[1].split("\t")
    fields[3] = f"{float(fields[3]) + 1e-5:.6f}"
    lines[1] = "\t".join(fields)
    certified.write_text("\n".join(lines) + "\n")
    assert cli.main(["verify", str(certified)]) == 1


def test_replay_draws_the_same_counts(certified, capsys):
    assert cli.main(["verify", str(certified), "--replay", "3"]) == 0
    assert "identical counts when drawn again" in capsys.readouterr().out


def test_replay_names_the_file_whose_backend_is_missing(certified, capsys, monkeypatch):
    name = records.Manifest.read(certified.with_suffix(".json")).plan["backend"]
    lacking = replace(backends.BACKENDS[name], packages=("not_installed",))
    monkeypatch.setitem(backends.BACKENDS, name, lacking)
    assert cli.main(["verify", str(certified), "--replay", "1"]) == 2
    said = capsys.readouterr().err
    assert f"{certified}: its counts are those of a program that is missing here" in said
    assert "pip install not_installed" in said


def test_replay_notices_a_row_that_was_not_drawn(certified, capsys):
    """Counts and radius that agree with each other, of another example: only a replay sees it."""
    lines = certified.read_text().splitlines()
    first, second = lines[1].split("\t"), lines[2].split("\t")
    first[2:5], first[6:] = second[2:5], second[6:]
    first[4] = str(int(first[1] == first[2]))
    certified.write_text("\n".join(["\t".join(first) if i == 1 else line
                                    for i, line in enumerate(lines)]) + "\n")  # fmt: skip
    assert cli.main(["verify", str(certified)]) == 0
    assert cli.main(["verify", str(certified), "--replay", "4"]) == 1
    assert "NOT identical" in capsys.readouterr().out


def test_replay_notices_a_changed_label(certified, capsys):
    """The counts know nothing of labels: certified accuracy could be forged by changing them."""
    lines = certified.read_text().splitlines()
    fields = lines[1].split("\t")
    fields[1] = str((int(fields[1]) + 1) % 10)
    fields[4] = str(int(fields[1] == fields[2]))
    lines[1] = "\t".join(fields)
    certified.write_text("\n".join(lines) + "\n")
    assert cli.main(["verify", str(certified)]) == 0
    assert cli.main(["verify", str(certified), "--replay", "1"]) == 1
    assert "idx 0: label" in capsys.readouterr().out


def test_a_resumed_run_keeps_its_plan(weights, certified, capsys):
    plan = records.read_certificates(certified).manifest["plan"]
    other = "eager" if plan["backend"] == "frozen" else "frozen"
    before = certified.read_bytes()
    assert certify(weights, certified, "--backend", other) == 2
    said = capsys.readouterr().err
    assert f"backend {other}: the file was begun with {plan['backend']}" in said
    assert "leave it out, or name another file (--out)" in said
    assert certified.read_bytes() == before
    assert certify(weights, certified, "--rows", str(plan["rows"])) == 0


def test_backend_is_used_without_rows(weights, tmp_path):
    out = tmp_path / "eager.tsv"
    assert certify(weights, out, "--backend", "eager") == 0
    assert records.read_certificates(out).manifest["plan"]["backend"] == "eager"


def test_predict(weights, capsys):
    arguments = ["predict", "digits", "--weights", str(weights), "--sigma", "0.25"]
    assert cli.main([*arguments, "--indices", "0:3", "--n", "200"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "idx\tlabel\tpredict" and [line.split("\t")[0] for line in lines[1:]] == [
        "0", "1", "2"]  # fmt: skip


def test_analyze_formats_agree(certified, capsys):
    shares = {}
    for name in ("table", "markdown", "csv", "json"):
        radii = ["--radii", "0", "0.25"]
        assert cli.main(["analyze", str(certified), *radii, "--format", name]) == 0
        shares[name] = capsys.readouterr().out
    record = json.loads(shares["json"])[0]
    row = next(csv.DictReader(io.StringIO(shares["csv"])))
    correct = [r for r in records.read_certificates(certified).rows if r.correct]
    for radius in ("0", "0.25"):
        exact = sum(float(r.radius) >= float(radius) for r in correct) / 4
        assert record["certified_accuracy"][radius] == exact == float(row[f"r={radius}"])
        assert f"{exact:.3f}" in shares["table"] and f"{exact:.3f}" in shares["markdown"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["certify", "digits", "--weights", "none.safetensors", "--sigma", "0.25"], "no such file"),
        (["certify", "mnist", "--weights", "W", "--sigma", "0.25"], "name must be one of"),
        (["certify", "digits", "--weights", "W", "--sigma", "0"], "--sigma must be positive"),
        (
            ["certify", "digits", "--weights", "W", "--sigma", "x"],
            "--sigma must be a decimal number",
        ),
        (["certify", "digits", "--weights", "W", "--sigma=-1"], "--sigma must be positive"),
        (
            ["certify", "digits", "--weights", "W", "--sigma", "1e-30000000"],
            "--sigma must be a dec",
        ),
        (["certify", "digits", "--weights", "W", "--sigma", "1/4"], "--sigma must be a decimal"),
        (["certify", "digits", "--weights", "W", "--sigma", "1", "--device", "foo"], "foo"),
        (["certify", "digits", "--weights", "W", "--sigma", "1", "--indices", "a"], "--indices"),
        (["certify", "digits", "--weights", "W", "--sigma", "1", "--indices", "9:5"], "picks none"),
        (["certify", "cifar10", "--weights", "W", "--sigma", "1"], "root must name"),
        (["certify", "digits", "--weights", "W", "--sigma", "1", "--out", "a.txt"], "*.tsv"),
        (["train", "digits", "--sigma=-0.5"], "--sigma must be >= 0"),
        (["train", "digits", "--sigma", "1", "--model", "vgg", "--out", "v.safetensors"], "vgg"),
        (["train", "digits", "--sigma", "1", "--out", "weights.pt"], ".safetensors"),
        (["analyze", "none.tsv"], "none.tsv"),
        (["analyze", "W"], ":1: holds bytes that are not text"),
    ],
)
def test_bad_arguments(weights, capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert cli.main([str(weights) if a == "W" else a for a in arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith(f"rslib {arguments[0]}: ")
    assert error.count("\n") == 1 and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "value"),
    [("--n", "0"), ("--n", "1e5"), ("--n", "2000000000"),
     ("--alpha", "1e-31"), ("--seed", "9223372036854775808"), ("--n0", "-3"),
     ("--alpha", "0"), ("--alpha", "1"),
     ("--alpha", "nan"), ("--seed", "-1"), ("--rows", "0"), ("--threads", "0"),
     ("--noise", "none"), ("--split", "exam")],
)  # fmt: skip
def test_options_out_of_range(capsys, option, value):
    with pytest.raises(SystemExit) as stop:
        cli.main(["certify", "digits", "--weights", "w", "--sigma", "1", option, value])
    assert stop.value.code == 2
    assert option in capsys.readouterr().err


def test_weights_changed_after_training_are_refused(weights, tmp_path, capsys):
    copy = tmp_path / "mlp" / weights.name
    copy.parent.mkdir()
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(data)
    copy.with_suffix(".json").write_bytes(weights.with_suffix(".json").read_bytes())
    assert certify(copy, tmp_path / "out.tsv") == 2
    assert "SHA-256 is not the one in its manifest" in capsys.readouterr().err


def test_without_its_weights_a_file_verifies_with_a_note(weights, tmp_path, capsys):
    """The radii rest on the counts alone; a replay needs the network, and says so."""
    copy = tmp_path / "model" / "mlp.safetensors"
    copy.parent.mkdir()
    for suffix in (".safetensors", ".json"):
        copy.with_suffix(suffix).write_bytes(weights.with_suffix(suffix).read_bytes())
    out = tmp_path / "mine" / "a.tsv"
    assert certify(copy, out) == 0
    data = bytearray(copy.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(data)
    assert cli.main(["verify", str(out)]) == 1
    assert "model.sha256: the model file has" in capsys.readouterr().out
    copy.unlink()
    assert cli.main(["verify", str(out.parent)]) == 0
    printed = capsys.readouterr().out
    assert "4 certificates, all hold" in printed and "so its hash is not checked" in printed
    assert cli.main(["verify", str(out), "--replay", "1"]) == 2
    assert "mlp.safetensors: no such file" in capsys.readouterr().err


def test_a_seed_is_drawn_fresh_and_kept(weights, tmp_path, capsys):
    """Two runs have two seeds (equal ones come once in 2^63); a run that goes on keeps its own."""
    first, second = tmp_path / "a.tsv", tmp_path / "b.tsv"
    assert certify(weights, first, UNSEEDED) == certify(weights, second, UNSEEDED) == 0
    seeds = [records.read_certificates(path).manifest["seed"] for path in (first, second)]
    assert seeds[0] != seeds[1] and min(seeds) > 0
    whole = records.read_certificates(first).rows
    kept = first.read_text().splitlines(keepends=True)
    first.write_text("".join(kept[:2]))
    assert certify(weights, first, "--seed", str(seeds[1])) == 2
    assert f"seed: the file has {seeds[0]}, this run {seeds[1]}" in capsys.readouterr().err
    assert certify(weights, first, UNSEEDED) == 0
    again = records.read_certificates(first)
    assert again.manifest["seed"] == seeds[0]
    assert [row.estimation for row in again.rows] == [row.estimation for row in whole]
    replay = ["verify", str(first), "--replay", "4"]
    assert cli.main(replay) == cli.main([*replay, "--seed", str(seeds[0])]) == 0
    assert cli.main([*replay, "--seed", "0"]) == 2
    assert f"seed must be the file's, {seeds[0]}, got 0" in capsys.readouterr().err


def test_predict_draws_a_seed_and_says_it(weights, capsys):
    arguments = ["predict", "digits", "--weights", str(weights), "--sigma", "0.25", "--rows", "64"]
    arguments += ["--indices", "0:2", "--n", "64"]
    assert cli.main(arguments) == 0
    said = capsys.readouterr().err
    seed = said[said.index("Seed ") + 5 :].split(",")[0]
    assert int(seed) > 0
    assert cli.main([*arguments, "--seed", seed]) == 0
    assert "Seed" not in capsys.readouterr().err


def test_choosing_a_plan_is_said_before_it_begins(weights, tmp_path, capsys, monkeypatch):
    def choose(*arguments, **named):
        assert "Choosing the fastest way" in capsys.readouterr().err
        raise RuntimeError("far enough")

    monkeypatch.setattr("rslib.plans.fastest_plan", choose)
    assert certify(weights, tmp_path / "a.tsv") == 2
    assert "far enough" in capsys.readouterr().err


def test_negative_radius(certified, capsys):
    assert cli.main(["analyze", str(certified), "--radii=-1"]) == 2
    assert "radii must be finite and not negative, got -1" in capsys.readouterr().err


def test_verifying_and_tables_load_no_torch(certified):
    """Whoever checks a file needs no network; loading torch takes seconds."""
    code = "import sys; from rslib import cli; assert not cli.main(sys.argv[1:]); " \
        "sys.exit('torch' in sys.modules)"  # fmt: skip
    for command in ("verify", "analyze"):
        done = subprocess.run([sys.executable, "-c", code, command, str(certified.parent)])
        assert done.returncode == 0


def test_help_and_module_entry():
    done = subprocess.run(
        [sys.executable, "-m", "rslib.cli", "--help"], capture_output=True, text=True, check=True
    )
    for name in ("train", "predict", "certify", "analyze", "verify"):
        assert name in done.stdout


def test_interrupt_leaves_a_valid_file_and_says_how_to_go_on(
    weights, tmp_path, capsys, monkeypatch
):
    out = tmp_path / "sigma_0.25.tsv"
    row, done = runs._row, []

    def interrupted(*arguments):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        return row(*arguments)

    monkeypatch.setattr(runs, "_row", interrupted)
    assert certify(weights, out) == 130
    assert "the same command goes on where it stopped" in capsys.readouterr().err
    assert len(records.read_certificates(out).rows) == 2
    monkeypatch.setattr(runs, "_row", row)
    assert certify(weights, out) == 0
    assert records.read_certificates(out).complete


def test_sigterm_ends_as_an_interrupt_does(weights, tmp_path, capsys, monkeypatch):
    """What a scheduler sends: the file is whole, and how to go on is said."""
    out = tmp_path / "sigma_0.25.tsv"
    row = runs._row

    def terminated(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)  # the signal ends this
        return row(*arguments)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(runs, "_row", terminated)
    assert certify(weights, out) == 130
    assert "the same command goes on where it stopped" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before
    monkeypatch.setattr(runs, "_row", row)
    assert certify(weights, out) == 0
    assert records.read_certificates(out).complete


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0 and capsys.readouterr().out == f"rslib {rslib.__version__}\n"


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("sklearn.datasets", "the package scikit-learn is not installed: pip install "
         "'randomized-smoothing-course[torch]'"),
        ("rslib.runs", "the package rslib is not installed"),
    ],
)  # fmt: skip
def test_a_package_that_is_not_installed(weights, tmp_path, capsys, monkeypatch, module, words):
    monkeypatch.setitem(sys.modules, module, None)
    if module == "rslib.runs":
        monkeypatch.delattr(rslib, "runs", raising=False)
    assert certify(weights, tmp_path / "a.tsv") == 2
    error = capsys.readouterr().err
    assert error.startswith("rslib certify: ") and words in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "method"),
    [
        (["--early-abstain"], {"name": "early-abstain"}),
        (["--radius-loss", "0.05"], {"name": "radius-loss", "loss": "0.05"}),
        (
            ["--at", "0", "--give-up", "0.02"],
            {"name": "at", "radii": ["0"], "give_up": "0.02"},
        ),
        (["--at", "0.25", "0", "0.1"], {"name": "at", "radii": ["0", "0.1", "0.25"]}),
    ],
)
def test_runs_that_may_stop_early(weights, tmp_path, capsys, arguments, method):
    """Recorded, verified, drawn again, and resumed."""
    out = tmp_path / "stops.tsv"
    assert certify(weights, out, *arguments, "--n", "3000") == 0
    file = records.read_certificates(out)
    assert file.manifest["method"] == method and file.manifest["n"] == 3000
    samples = [sum(row.estimation.values()) for row in file.rows]
    assert min(samples) < 3000 or method["name"] == "early-abstain"
    if method["name"] == "at":
        assert {str(row.radius) for row in file.rows} <= {"0.000000", "0.100000", "0.250000"}
    assert cli.main(["verify", str(out), "--replay", "4"]) == 0
    assert "4 certificates, all hold" in capsys.readouterr().out
    kept = out.read_text().splitlines(keepends=True)
    out.write_text("".join(kept[:3]))
    assert certify(weights, out, *arguments, "--n", "3000") == 0
    again = records.read_certificates(out).rows
    assert [(r.idx, r.radius, r.estimation) for r in again] == [
        (r.idx, r.radius, r.estimation) for r in file.rows
    ]
    before = out.read_bytes()
    assert certify(weights, out, "--n", "3000") == 2
    assert "method: the file has" in capsys.readouterr().err
    assert out.read_bytes() == before


@pytest.mark.parametrize("stop", [["--early-abstain"], ["--radius-loss", "0"], ["--at", "0"]])
def test_two_sided_goes_with_no_option_that_stops(weights, tmp_path, capsys, stop):
    out = tmp_path / "never.tsv"
    assert certify(weights, out, "--two-sided", *stop) == 2
    assert "--two-sided takes all --n copies" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--early-abstain", "--at", "0.5"], "not allowed with argument --early-abstain"),
        (["--radius-loss", "0.1", "--at", "0.5"], "not allowed with argument --radius-loss"),
        (["--at", "-1"], "must be a decimal with at most 6 places, got -1"),
        (["--at", "0.1234567"], "must be a decimal with at most 6 places, got 0.1234567"),
        (["--radius-loss", "nan"], "must be a decimal with at most 6 places, got nan"),
    ],
)
def test_stops_that_argparse_refuses(weights, tmp_path, capsys, arguments, words):
    with pytest.raises(SystemExit) as caught:
        certify(weights, tmp_path / "never.tsv", *arguments)
    assert caught.value.code == 2 and words in capsys.readouterr().err


def test_the_same_radius_twice(weights, tmp_path, capsys):
    assert certify(weights, tmp_path / "never.tsv", "--at", "0.5", "0.50") == 2
    assert "--at must name each radius once, got 0.5 0.50" in capsys.readouterr().err


def test_analyze_takes_folders_and_labels(certified, capsys):
    assert cli.main(["analyze", str(certified.parent), "--radii", "0", "--format", "latex"]) == 0
    assert r"sigma\_0.25.tsv & 0.25 & 4 &" in capsys.readouterr().out
    two = [str(certified), str(certified.parent), "--labels", "mine", "again"]
    assert cli.main(["analyze", *two, "--radii", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["label", "mine", "again"]
    assert cli.main(["analyze", *two[:1], *two[2:]]) == 2
    assert "labels must name each of 1 files, got 2" in capsys.readouterr().err
    empty = certified.parent / "empty"
    empty.mkdir()
    assert cli.main(["analyze", str(empty)]) == 2
    assert f"{empty}: holds no certificate file (*.tsv)" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_plot_draws_certificates_and_logs(certified, tmp_path, capsys, kind):
    log, out = tmp_path / "cohen.log", tmp_path / "out" / f"curve.{kind}"
    log.write_text(LOG + "0\t1\t1\t0.25\t1\t0:00:01\n")
    command = ["plot", str(certified.parent), str(log), "--labels", "mine", "Cohen"]
    assert cli.main([*command, "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: 2 curves\n" and out.stat().st_size > 1000
    shaded = out.stat().st_size
    assert cli.main([*command, "--out", str(out), "--band", "0"]) == 0
    assert out.stat().st_size < shaded
    assert cli.main([*command, "--out", str(out), "--band", "95"]) == 2
    assert "confidence must be between 0 and 1, got 95" in capsys.readouterr().err
    assert cli.main([*command, "--out", str(out.with_suffix(".gif"))]) == 2
    assert "out must end in .png, .svg or .pdf" in capsys.readouterr().err
    assert cli.main([*command, "only two files", "--out", str(out)]) == 2


def test_plot_says_which_extra_draws(certified, capsys, monkeypatch):
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    listed = [f'{one}; extra == "{name}"' for name, group in extras.items() for one in group]
    monkeypatch.setattr(cli, "requires", lambda name: listed)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "rslib.plotting", raising=False)
    monkeypatch.delattr(rslib, "plotting", raising=False)
    assert cli.main(["plot", str(certified), "--out", "a.png"]) == 2
    assert "pip install 'randomized-smoothing-course[plot]'" in capsys.readouterr().err


LOG = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n"


def test_compare_prints_the_paired_table(tmp_path, capsys):
    for name, right in (("a.log", 12), ("b.log", 4)):
        rows = [f"{i}\t1\t{int(i < right)}\t0.5\t{int(i < right)}\t0:00:01\n" for i in range(20)]
        (tmp_path / name).write_text(LOG + "".join(rows))
    command = ["compare", str(tmp_path / "a.log"), str(tmp_path / "b.log"), "--radii", "0.25"]
    assert cli.main([*command, "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["accuracies"]
    assert (found["only_a"], found["only_b"]) == (8, 0)
    assert found["p_value"] == pytest.approx(2 * 0.5**8)
    assert cli.main([*command[:2], str(tmp_path / "none.log")]) == 2
    assert "none.log" in capsys.readouterr().err


def test_audit_says_what_contradicts_and_ends_with_1(tmp_path, capsys):
    (tmp_path / "good.log").write_text(LOG + "0\t1\t1\t0.25\t1\t0:00:01\n")
    (tmp_path / "bad.log").write_text(LOG + "0\t1\t1\t0.25\t0\t0:00:01\n")
    good, bad = str(tmp_path / "good.log"), str(tmp_path / "bad.log")
    assert cli.main(["audit", good, "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["rows"] == 1 and found["problems"] == [] and found["refused"] is None
    assert cli.main(["audit", good, bad]) == 1
    assert "correct" in capsys.readouterr().out
    assert cli.main(["audit", str(tmp_path / "none")]) == 2
