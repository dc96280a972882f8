"""An evening's runs: the commands are those of rslib, and what is done is not done again."""

import shlex
import sys

import evening
import pytest
from torch.distributed import run

from rslib import certificates, cli


def shown(capsys, *arguments):
    assert evening.main(["--root", "images", *arguments, "--show"]) == 0
    return [shlex.split(line)[1:] for line in capsys.readouterr().out.splitlines()]


def test_each_step_is_a_command_that_rslib_takes(capsys):
    steps = shown(capsys)
    assert [step[0] for step in steps] == ["train", "train", "train", "quantize", "certify"] * 4
    for step in steps:
        assert cli._parser().parse_args(step).run
    options = cli._parser().parse_args(steps[4])
    assert (options.n0, options.n, options.alpha_text) == (100, 100_000, "0.001")
    assert options.indices == "::20" and options.weights == steps[3][-1]
    assert options.at[0] == "0" and options.at[-1] == "1.5" and len(options.at) == 13


def test_the_better_training_has_folders_of_its_own(capsys):
    given = ["--sigma", "0.5", "--consistency", "10", "--epochs", "4"]
    first, second, train, quantize, certify = shown(capsys, *given)
    options = cli._parser().parse_args(train)
    assert (options.consistency, options.epochs) == (10, 4)
    assert not {"--consistency", "4"} & {*first, *second}
    assert first[-1].endswith("/wide/first.safetensors")
    assert all("wide-consistency/sigma_0.5" in step[-1] for step in (train, quantize, certify))
    assert not any("consistency" in word for step in shown(capsys) for word in step)


def test_one_network_begins_at_random_and_those_of_every_sigma_go_on_from_it(capsys):
    steps = [cli._parser().parse_args(step) for step in shown(capsys) if step[0] == "train"]
    more = shown(capsys, "--sigma", "0.5", "--consistency", "9")
    steps += [cli._parser().parse_args(step) for step in more[:3]]
    firsts, seconds, others = steps[::3], steps[1::3], steps[2::3]
    assert [step.sigma for step in others] == ["0.5", "0.25", "1.0", "0.12", "0.5"]
    assert {step.sigma for step in firsts + seconds} == {"0.5"}
    assert {(step.start, step.epochs) for step in firsts} == {(None, None)}
    assert {step.start for step in seconds} == {firsts[0].out} == {step.out for step in firsts}
    assert {step.start for step in others} == {seconds[0].out} == {step.out for step in seconds}
    assert {(s.epochs, s.learning_rate, s.average) for s in seconds} == {(8, 0.05, True)}
    assert {(s.epochs, s.learning_rate, s.average) for s in others} == {(16, 0.05, True)}
    assert len({step.out for step in others}) == 5 and not any(step.average for step in firsts)


def test_bfloat16_is_for_training_and_only_where_asked(capsys):
    for asked in ([], ["--bfloat16"]):
        steps = shown(capsys, *asked)
        kinds = {step[0]: "--bfloat16" in step for step in steps}
        assert kinds == {"train": bool(asked), "quantize": False, "certify": False}
        options = [cli._parser().parse_args(step) for step in steps if step[0] == "train"]
        assert {bool(one.bfloat16) for one in options} == {bool(asked)}


@pytest.mark.parametrize("epochs", [None, "3"])
def test_without_noise_nothing_is_certified_and_nothing_learned_under_noise(epochs, capsys):
    (train,) = shown(capsys, "--sigma", "0", *(["--epochs", epochs] if epochs else []))
    options = cli._parser().parse_args(train)
    assert (train[0], options.sigma, options.start, options.average) == ("train", "0", None, False)
    assert options.epochs == (int(epochs) if epochs else None)


def test_without_noise_there_is_nothing_to_be_consistent_about(capsys):
    with pytest.raises(SystemExit):
        shown(capsys, "--sigma", "0", "--consistency", "10")
    assert "argument --consistency: is for networks that see noise" in capsys.readouterr().err


def test_the_fixed_protocol_is_of_the_same_network_and_beside_its_certificates(capsys):
    (*made, plain), (*same, fixed) = (
        shown(capsys, "--sigma", "0.5", *more) for more in ([], ["--fixed"])
    )
    assert made == same
    options = cli._parser().parse_args(fixed)
    assert options.at is None and options.indices == "::100" and options.n == 100_000
    stopped = cli._parser().parse_args(plain)
    assert options.weights == stopped.weights
    assert (options.give_up, stopped.give_up) == (None, "0.01")
    assert options.out == "data/certify/cifar10/wide-fixed/sigma_0.5.tsv"


@pytest.mark.parametrize("sigma", ["0.12", "0.25", "0.5", "1.0"])
def test_no_radius_is_asked_that_no_vote_could_certify(sigma, capsys):
    asked = cli._parser().parse_args(shown(capsys, "--sigma", sigma)[4]).at
    limit = certificates.max_certified_radius(100_000, 0.001, float(sigma))
    assert [r for r in evening.RADII if float(r) < limit] == list(asked)


def test_certifying_is_shared_by_a_launcher_that_takes_none_of_its_arguments(capsys):
    """Torch's launcher would read `--n` as an abbreviation of its own options."""
    *_, step = shown(capsys, "--sigma", "0.5")
    given = evening.shares(step, 2)
    assert given[:3] == [sys.executable, "-m", "torch.distributed.run"]
    launcher = run.get_args_parser().parse_args(given[3:])
    assert (launcher.module, launcher.training_script) == (True, "rslib")
    assert launcher.nproc_per_node == "2" and launcher.training_script_args == step
    assert evening.shares(step, 1) == [sys.executable, "-m", "rslib", *step]


def test_what_is_done_is_not_done_again_and_a_failure_ends_it(tmp_path, monkeypatch):
    ran = []

    def run(arguments, check):
        ran.append(arguments[arguments.index("rslib") + 1])
        return type("Done", (), {"returncode": 3 if ran[-1] == "certify" else 0})

    monkeypatch.setattr(evening.subprocess, "run", run)
    out = ["--root", "images", "--out", str(tmp_path), "--cores", "2"]
    assert evening.main([*out, "--sigma", "0.5", "0.25"]) == 3
    assert ran == ["train", "train", "train", "quantize", "certify"]
    for name in ("first", "second", "sigma_0.5"):
        weights = tmp_path / f"models/cifar10/wide/{name}.safetensors"
        weights.parent.mkdir(parents=True, exist_ok=True)
        weights.touch()
    assert evening.main([*out, "--sigma", "0.5"]) == 3
    assert ran[5:] == ["quantize", "certify"]
