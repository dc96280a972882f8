"""The benchmarks run: `make bench` is not part of any other test."""

import json

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import certify


@pytest.mark.slow
def test_every_program_is_timed_beside_the_others(tmp_path, capsys, monkeypatch):
    """OpenVINO once refused the network that was timed, and nobody saw it before the next bench."""
    pytest.importorskip("openvino")
    monkeypatch.setattr(certify, "find_spec", lambda name: None)  # ART warns of much
    out = tmp_path / "cpu.json"
    assert benchmarks.main(["--quick", "--out", str(out)]) == 0
    result = json.loads(out.read_text())
    assert [row["model"] for row in result["int8"]] == ["wide", "resnet20", "cnn"]
    for row in result["int8"]:
        for program in ("float32", "int8", "openvino"):
            assert row[f"{program} rows"] >= 1 and row[f"{program}, s"] > 0
        assert row["float32 / int8"] == row["float32, s"] / row["int8, s"]
        assert 0 < row["rounding, s"] < row["forward, s"]
    assert len(result["certify"]) > 1 and result["manifest"]["format"] == "rslib-bench/1"
    assert "openvino forward, s" in capsys.readouterr().out
