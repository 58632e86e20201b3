"""The operations of a step: what is heard, and what a row says of it."""

from __future__ import annotations

import pytest
import torch

from benchmark.training.loop import gflop_per_image
from performance import operations
from performance.job import Job

pytestmark = pytest.mark.slow


def test_operations_are_heard_with_their_calls_bytes_and_seconds() -> None:
    """A sum of two float32 vectors of 1000 reads 8000 bytes and writes 4000, here twice a step."""
    a, b = torch.ones(1000), torch.ones(1000)

    def step() -> None:
        _ = a + b, a + b, a * 2

    parts, whole = operations.heard(step, 3)
    assert parts.calls == {"add": 2, "mul": 1}
    assert parts.bytes == {"add": 24000, "mul": 8000}
    assert all(seconds > 0 for seconds in parts.seconds.values())
    assert whole > 0


def test_rows_by_hand() -> None:
    """Four images in 2 s, half of it in a product of 3 GFLOP, 1/8 in copies of 5 GB; peak 6."""
    parts = operations.Heard()
    parts.calls.update({"mm": 2, "copy_": 7, "neg": 1})
    parts.seconds.update({"mm": 1.0, "copy_": 0.25, "neg": 0.05})
    parts.flop.update({"mm": 3 * 10**9})
    parts.bytes.update({"mm": 10**9, "copy_": 5 * 10**9, "neg": 1})
    assert operations.rows(parts, 2.0, 4, 6.0, 2) == [
        ["mm", "2", "250.00", "50.0%", "3", "50%", "-"],
        ["copy_", "7", "62.50", "12.5%", "-", "-", "20"],
        ["all others", "", "187.50", "37.5%", "-", "-", "-"],
        ["a step", "", "500.00", "100%", "2", "25%"],
    ]


def test_a_step_is_the_training_s_own(job: Job) -> None:
    """Every convolution of the network, forward and backward; FLOP as an arm's cost counts them."""
    parts, _ = operations.heard(operations.step_of(job), 1, layers=True)
    shapes = {"x".join(map(str, w.shape)) for w in job.network().parameters() if w.ndim == 4}
    kinds = ("convolution", "convolution_backward")
    assert {name for name in parts.calls if name[:4] == "conv"} == {
        f"{kind} {shape}" for kind in kinds for shape in shapes
    }
    expected = 1e9 * gflop_per_image(job.network(), job.train.shape) * len(job.train)
    assert sum(parts.flop.values()) == pytest.approx(expected, rel=1e-6)


def test_the_command_prints_a_table_and_names_bad_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations.peak, "CONVOLUTIONS", ())
    monkeypatch.setattr(operations.peak, "MATRICES", (32,))
    monkeypatch.setattr(operations, "COPIED_MIB", 1)
    words = ["--data", "phantoms", "--image-size", "64", "--steps", "1", "--most", "2"]
    threads = torch.get_num_threads()
    try:
        assert operations.main(words) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("peak ")
        assert [line.split()[1] for line in lines[-2:]] == ["all", "a"]
        assert operations.main(["--data", "phantoms", "--image-size", "65"]) == 2
        assert "65" in capsys.readouterr().err
    finally:
        torch.set_num_threads(threads)
