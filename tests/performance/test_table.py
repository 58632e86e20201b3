"""The speed comparison: what each contestant measures, the arithmetic of the tables, failures, the
command.
"""

from __future__ import annotations

import doctest
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bench_forms import ROOT, small_recipe
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from baselines.unet import UNetArm
from benchmark.arm import Cases
from benchmark.errors import SpecError
from benchmark.training import layers, loop, step
from benchmark.training.seeding import torch_seed
from performance import __main__ as command
from performance import bare, child, growth, loading, memory, peak, report, table
from performance.clock import Clock
from performance.contestants import CHANGES, CONTESTANTS, MAIN, Entry, entrants
from performance.job import SEED, Job, Measurement, Memory
from performance.prepare import Workload, prepare
from performance.rounds import Scores, run_rounds

pytestmark = pytest.mark.slow

ALONE = [
    name for name, one in CONTESTANTS.items() if not one.loads and one.change != "compile"
]  # needs a compiler
PEERS = [name for name, one in CONTESTANTS.items() if one.loads]


@pytest.fixture(scope="module")
def course() -> Workload:
    return prepare("phantoms", 64, 8, small_recipe())


@pytest.fixture
def job(course: Workload) -> Job:
    return Job("", course.train, course.val, small_recipe(), kernel_size=3, split=True)


def taken(train_seconds: float = 5.0, **more: Any) -> Measurement:
    """10 training images in 5 s, 4 validation images in 1 s."""
    return Measurement(10, train_seconds, 4, 1.0, **more)


@pytest.mark.parametrize("name", ["__main__", "clock", "contestants", "table"])
def test_the_examples_in_docstrings_hold(name: str) -> None:
    failed, tried = doctest.testmod(import_module(f"performance.{name}"))
    assert tried > 0
    assert failed == 0


# what a contestant measures


@pytest.mark.parametrize("name", ALONE)
def test_a_contestant_measures_every_image_once(name: str, job: Job, course: Workload) -> None:
    heard = step.record_function, loop.record_function
    found = import_module(CONTESTANTS[name].target).measure(
        replace(job, change=CONTESTANTS[name].change)
    )
    assert (found.train_images, found.val_images) == (len(course.train), len(course.val))
    assert found.train_seconds > 0
    assert found.val_seconds > 0
    assert found.memory.process
    assert {"forward", "backward", "step", "other", "validation"} <= set(found.split)
    assert ("augmentation" in found.split) == (name == "ours")
    assert all(milliseconds >= 0 for milliseconds in found.split.values())
    assert (step.record_function, loop.record_function) == heard  # nothing goes on listening


@pytest.mark.parametrize("name", ALONE)
def test_the_split_is_left_out_unless_asked_for(name: str, job: Job) -> None:
    assert import_module(CONTESTANTS[name].target).measure(replace(job, split=False)).split == {}


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_measures_every_image_once(name: str, job: Job) -> None:
    pytest.importorskip("lightning", reason="the peers need the speed extra")
    pytest.importorskip("torchio", reason="the peers need the speed extra")
    found = child.measurement(child.run(replace(job, target=CONTESTANTS[name].target, workers=1)))
    assert (found.train_images, found.val_images) == (len(job.train), len(job.val))
    assert set(found.split) == {
        "data",
        "forward",
        "backward",
        "step",
        "other",
        "validation",
        table.ASIDE,
    }
    assert found.memory.worker or sys.platform != "linux"


@pytest.mark.parametrize("module", ["torchio_peer", "monai_peer"])
def test_a_peer_moves_image_and_mask_together(module: str, job: Job) -> None:
    """Where the tumour is all that is bright, it is bright where the mask is, after any
    transform.
    """
    pytest.importorskip("torchio", reason="the peers need the speed extra")
    pytest.importorskip("lightning", reason="the peers need the speed extra")
    peer = import_module(f"performance.peers.{module}")
    still = replace(job.recipe.augmentation, motion_p=0.0, bias_p=0.0, intensity_p=0.0, noise_p=0.0)
    sizes = (
        (job.train.shape[0], job.train.spacing_mm[0])
        if module == "monai_peer"
        else (job.train.spacing_mm,)
    )
    mask = torch.zeros(1, 64, 64, dtype=torch.uint8)
    mask[:, 20:44, 16:40] = 1
    image, moved = peer.Transform(still, *sizes)(mask * 2.0 - 1, mask)
    assert image.shape == moved.shape == mask.shape
    assert image.dtype == torch.float32
    assert set(moved.unique().tolist()) == {0, 1}
    assert not torch.equal(moved, mask)
    assert ((image > 0) != (moved > 0)).sum() < 0.1 * moved.sum()


@dataclass(frozen=True, eq=False)
class Watched(Job):
    """A job that keeps what the weights of each network are when its first image comes."""

    begun: list[dict[str, torch.Tensor]] = field(default_factory=list)

    def network(self) -> nn.Module:
        model, seen = super().network(), list[bool]()

        def keep(module: nn.Module, images: tuple[torch.Tensor]) -> None:
            if not seen and not images[0].is_meta:  # counting the work of an image needs none
                seen.append(True)
                self.begun.append(
                    {name: weight.clone() for name, weight in module.state_dict().items()}
                )

        model.register_forward_pre_hook(keep)
        return model


@pytest.mark.parametrize("name", [name for name in CONTESTANTS if name in MAIN])
def test_the_networks_of_all_contestants_begin_alike(name: str, job: Job) -> None:
    """Each is asked to train, and begins with the weights that the arm draws from the job's
    seed.
    """
    if CONTESTANTS[name].loads:
        pytest.importorskip("lightning", reason="the peers need the speed extra")
        pytest.importorskip("torchio", reason="the peers need the speed extra")
    watched = Watched("", job.train, job.val, job.recipe, kernel_size=3)
    import_module(CONTESTANTS[name].target).measure(watched)
    torch.manual_seed(torch_seed(SEED, "weights"))
    expected = UNetArm(kernel_size=3).build(job.recipe.network).state_dict()
    (first,) = watched.begun
    assert first.keys() == expected.keys()
    assert all(torch.equal(first[weight], expected[weight]) for weight in expected)


def test_the_work_of_each_shape_is_what_torch_counts() -> None:
    names = []
    for name, gflop, work in peak.works("cpu", torch.float32, (16, 24), ((2, 4, 8, 3),)):
        with FlopCounterMode(display=False) as counter:
            work()
        assert gflop == pytest.approx(counter.get_total_flops() / 1e9)
        names.append(name)
    assert len(set(names)) == 4


def test_the_peak_is_the_fastest_repetition_of_the_best_shape() -> None:
    """3 GFLOP in 4 s, then in 1 s; 4 GFLOP in 2 s, which is more work and slower; what begins too
    late is not made.
    """
    made: list[str] = []
    shapes = [
        (name, gflop, lambda name=name: made.append(name))
        for name, gflop in (("small", 3.0), ("large", 4.0))
    ]
    looks = iter([0.0, 1.0, 5.0, 6.0, 7.0, 10.0, 20.0, 21.0, 23.0, 31.0])
    assert peak.best(shapes, lambda: next(looks), seconds=10.0) == peak.Peak(3.0, "small")
    assert made == ["small"] * 3 + ["large"] * 2  # the first of each warms up


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_private_memory_is_less_than_all() -> None:
    whole, own = memory._kib("self", "status", "VmHWM"), memory._private_peak_mib(os.getpid())
    assert whole is not None
    assert own is not None
    assert 0 < own < whole
    assert memory._private_peak_mib(None) is None  # no such process


# the slices


def test_a_round_has_whole_batches_and_validation_to_match(course: Workload) -> None:
    """192 phantoms: 29 to test, 33 of 163 to validate; 8 of 130 images match 8 x 33 / 130 = 2.03,
    rounded to 2.
    """
    assert (course.epoch_train, course.epoch_val, course.slices) == (130, 33, 192)
    assert (len(course.train), len(course.val)) == (8, 2)
    assert len(prepare("phantoms", 64, 11, small_recipe()).train) == 8
    assert len(prepare("phantoms", 64, None, small_recipe()).train) == 128
    assert course.phantom


def test_the_same_slices_every_time(course: Workload) -> None:
    again = prepare("phantoms", 64, 8, small_recipe())
    assert np.array_equal(again.train.slice_id, course.train.slice_id)


# tables


WORK = table.Work(epoch_train=100, epoch_val=20, gflop_per_image=20.0, peak_gflop_per_second=80.0)


def test_the_numbers_of_a_row() -> None:
    """2 images/s; 100 / 2 + 20 / 4 = 55 s; 2 x 20 = 40 GFLOP/s, half of 80; ours at 4 and 6
    images/s, so 2.5.
    """
    rounds = {"peer": [taken(), taken()], "ours": [taken(2.5), taken(5 / 3)]}
    rows = table.main_table(rounds, "ours", WORK)
    assert rows[0] == ["peer", "2.00", "55.0", "2.50 (2.00 - 3.00)", "-", "40", "50%"]
    assert rows[1][3] == "1.00 (1.00 - 1.00)"
    assert all(len(row) == len(table.HEADS) for row in rows)


def test_what_is_not_known_is_a_dash() -> None:
    assert table.main_table({"peer": [None]}, "ours", WORK) == [["peer", *"------"]]
    unknown = replace(WORK, peak_gflop_per_second=None)
    assert table.main_table({"peer": [taken()]}, "ours", unknown) == [
        ["peer", "2.00", "55.0", "-", "-", "40", "-"]
    ]


def test_a_ratio_pairs_rounds() -> None:
    """A round in which one failed counts for neither."""
    assert table.ratio([taken(1), None, taken(1)], [taken(2), taken(9), taken(4)]) == table.Ratio(
        3, 2, 4
    )
    assert table.ratio([None, taken()], [taken(), None]) is None


def test_memory_names_its_parts() -> None:
    memories = [Memory(100.4, 20.0, 7.0), Memory(90.0, 30.0, 5.0)]
    row = table.main_table({"peer": [taken(memory=one) for one in memories]}, "ours", WORK)[0]
    assert row[4] == "100 + 30 a worker; card 7"


def test_the_split_comes_from_the_round_that_has_one() -> None:
    split = {"forward": 1.25, "other": 2.0, "validation": 3.0}
    rows = table.split_table({"one": [None, taken(split=split)], "none": [taken()]})
    assert rows == [["one", "-", "-", "1.2", "-", "-", "2.0", "3.0", "-"]]


class Preset(Clock):
    """A clock that shows preset times."""

    def __init__(self, *readings: float) -> None:
        super().__init__("cpu")
        self.readings = iter(readings)

    def now(self) -> float:
        return next(self.readings)


def test_clocks_add_up_what_they_hear() -> None:
    clock = Preset(1.0, 3.0, 10.0, 10.5)
    for _ in range(2):
        with clock("forward"):
            pass
    assert clock.seconds == {"forward": 2.5}


# rounds


def answering(log: list[Job], *, failing: str = "") -> Callable[[Job], dict[str, Any]]:
    def run(job: Job) -> dict[str, Any]:
        log.append(job)
        if job.target == "performance.peak":
            return {"gflop_per_second": 50.0 + len(log), "shape": "square"}
        if failing and job.target == CONTESTANTS[failing].target:
            raise child.ImplementationError("out of luck")
        return {
            "train_images": 8,
            "train_seconds": 2.0,
            "val_images": 2,
            "val_seconds": 1.0,
            "memory": {},
            "split": {},
        }

    return run


def test_entrants_take_turns_and_the_first_round_splits(job: Job) -> None:
    log: list[Job] = []
    rows = entrants(["torchio", "ours"], (1, 2))
    assert rows == [Entry("torchio", 1), Entry("torchio", 2), Entry("ours")]
    scores = run_rounds(job, rows, 2, lambda text: None, answering(log))
    turns = [
        (one.target.rpartition(".")[2], one.workers, one.split)
        for one in log
        if one.target != "performance.peak"
    ]
    first = [("torchio_peer", 1, True), ("torchio_peer", 2, True), ("ours", 0, True)]
    assert turns == first + [(name, workers, False) for name, workers, _ in first]
    assert {label: len(rounds) for label, rounds in scores.by_label.items()} == {
        "torchio, 1 worker": 2,
        "torchio, 2 workers": 2,
        "ours": 2,
    }
    assert [gflop for gflop, _ in scores.peaks] == [51.0, 55.0]


def test_one_that_fails_is_asked_once_and_the_rest_go_on(job: Job) -> None:
    log: list[Job] = []
    said: list[str] = []
    scores = run_rounds(
        job, entrants(["bare", "ours"], ()), 3, said.append, answering(log, failing="bare")
    )
    assert scores.by_label["bare"] == [None, None, None]
    assert all(scores.by_label["ours"])
    assert scores.reasons == {"bare": "out of luck"}
    assert sum(one.target == CONTESTANTS["bare"].target for one in log) == 1
    assert "round 1 of 3: bare: failed" in said


def test_tried_is_the_bare_network_and_every_change_of_it() -> None:
    assert [one.label for one in entrants(["tried"], [0])] == [
        "bare",
        *(f"bare:{change}" for change in CHANGES),
    ]


@pytest.mark.parametrize(
    "change", sorted(CHANGES.keys() - {"compile"})
)  # of the machine, not the step
def test_a_change_changes_what_it_says(change: str, job: Job) -> None:
    """Exactly one of what a step is made of differs from the bare network's; at 512 x 512, where a
    pass has two.
    """
    large = Cases(
        np.zeros((4, 512, 512), np.float32), np.zeros((4, 512, 512), bool), np.arange(4), (1.0, 1.0)
    )

    def traits(change: str) -> dict[str, object]:
        step = bare.step_for(replace(job, train=large, change=change))
        weights = [
            weight for weight in step.model.parameters() if weight.ndim == 4 and weight.shape[1] > 1
        ]
        return {
            "passes": step.execution.images_per_pass,
            "looks": step.execution.images_per_look,
            "dropout": {type(layer) for layer in step.model.modules()}
            & {layers.KeyedDropout, nn.Dropout},
            "prelu": {type(layer) for layer in step.model.modules()}
            & {layers.LightPReLU, nn.PReLU},
            "fused": step.optimiser.defaults["fused"],
            "last": any(
                weight.is_contiguous(memory_format=torch.channels_last) for weight in weights
            ),
        }

    plain, changed = traits(""), traits(change)
    about = {"batch-at-once": ("passes", 4), "pass-1": ("passes", 1), "pass-4": ("passes", 4), "look-16": ("looks", 16),
             "torch-dropout": ("dropout", {nn.Dropout}), "torch-prelu": ("prelu", {nn.PReLU}),
             "plain-adam": ("fused", False), "channels-last": ("last", True)}[change]  # fmt: skip
    assert {key for key in plain if plain[key] != changed[key]} == {about[0]}
    assert changed[about[0]] == about[1]


def test_an_unknown_contestant_is_told_the_known_ones() -> None:
    with pytest.raises(
        SpecError, match=r"unknown contestant 'ourz'; known: bare, bare:batch-at-once, .*, torchio"
    ):
        entrants(["ourz"], (1,))


# a contestant's own process


def test_a_process_of_its_own_gives_back_a_measurement(job: Job) -> None:
    found = child.measurement(child.run(replace(job, target=CONTESTANTS["bare"].target)))
    assert found.train_images == len(job.train)
    assert isinstance(found.memory, Memory)


@pytest.fixture
def contestant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Writes a contestant and returns the name of its module, which this process and its children
    find.
    """

    def write(source: str) -> str:
        name = f"contestant_{abs(hash(source))}"  # a module is imported once
        (tmp_path / f"{name}.py").write_text(source)
        return name

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return write


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (
            "import a_package_nobody_has",
            "a_package_nobody_has is not installed; `nox -s speed` installs it",
        ),
        ("def measure(job):\n raise ValueError('17 is odd\\nindeed')", "ValueError: 17 is odd"),
    ],
)
def test_a_contestant_tells_why_it_failed(
    source: str, says: str, job: Job, contestant: Callable[[str], str]
) -> None:
    assert child.answer(replace(job, target=contestant(source))) == {"error": says}


@pytest.mark.parametrize(
    ("code", "out", "err", "says"),
    [
        (0, b'chatter\n{"error": "17 is odd"}\n', b"", "17 is odd"),
        (-9, b'{"train_images": 8}', b"", "ended by signal SIGKILL; was there memory enough?"),
        (3, b"chatter", b"first\nsorry\n", "sorry"),
        (3, b"", b"", "ended with 3 and said nothing"),
    ],
)
def test_the_reason_of_a_failure_is_passed_on(code: int, out: bytes, err: bytes, says: str) -> None:
    with pytest.raises(child.ImplementationError) as caught:
        child.understood(code, out, err)
    assert str(caught.value) == says
    assert child.understood(0, b'chatter\n{"train_images": 8}\n', err) == {"train_images": 8}


def test_an_interrupted_contestant_says_nothing(job: Job, contestant: Callable[[str], str]) -> None:
    """In a process of its own, as ever: no traceback stands in for a reason."""
    target = contestant("def measure(job):\n raise KeyboardInterrupt")
    with pytest.raises(child.ImplementationError, match="ended with 130 and said nothing"):
        child.run(replace(job, target=target))


# the command


SMALL = ["--data", "phantoms", "--image-size", "64", "--kernel", "3", "--batch-size", "4", "--images", "4", "--threads",
         "1", "--rounds", "1"]  # fmt: skip


def test_the_command_prints_and_adds_a_section(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The contestant in a process of its own, as ever; the machine's peak here, of one small
    product.
    """

    def run(job: Job) -> dict[str, Any]:
        if job.target == "performance.peak":
            return vars(peak.measure(job, sides={"cpu": (16,)}, convolutions=(), seconds=1e-3))
        return child.run(job)

    out = tmp_path / "RESULTS.md"
    words = [*SMALL, "--device", "cpu", "--contestants", "ours", "--out", str(out)]
    assert command.main(words, run) == 0
    printed, progress = capsys.readouterr()
    assert "failed" not in progress
    text = out.read_text(encoding="utf-8")
    assert text.startswith("# Speed")
    assert "64x64, kernel 3, batch 4, fp32, cpu" in text
    assert "192 phantoms; of 130 and 33 an epoch, 4 training and 1 validation images timed" in text
    assert f"`python -m performance {' '.join(words[:-1])} path/to/results`" in text
    assert re.search(r"\| ours +\| \d+\.\d\d +\| .* 1\.00 \(1\.00 - 1\.00\)", text)
    assert "ours: this repository's training" in printed


def test_sections_follow_each_other(tmp_path: Path) -> None:
    out = tmp_path / "RESULTS.md"
    report.append(out, "## first\n")
    report.append(out, "## second\n")
    assert out.read_text(encoding="utf-8") == f"{report.TITLE}\n## first\n\n## second\n"
    assert list(tmp_path.iterdir()) == [out]


def test_a_section_names_what_failed(job: Job, course: Workload) -> None:
    scores = Scores({"bare": [None]}, {"bare": "out of luck", "peak": "no luck either"})
    text = report.section(job, course, scores, 1.0, "python")
    assert "- bare failed: out of luck" in text
    assert "- peak: not measured: no luck either" in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--contestants", "ourz"], "unknown contestant 'ourz'"),
        (["--rounds", "0"], "--rounds 0 must be a whole number above 0"),
        (["--batch-size", "4000"], "give a smaller --batch-size"),
        (["--image-size", "100"], "multiples of 32"),
        (["--image-size", "99968"], "above 4096"),
        (["--kernel", "4"], "must be an odd whole number"),
        (["--device", "abacus"], "unknown device 'abacus'; known: auto, cpu"),
        (["--data", "nowhere/at/all"], "not there"),
        (["--device", "cpu", "--precision", "tf32"], "tf32 needs an NVIDIA card"),
    ],
)
def test_bad_input_is_told_in_a_line(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([*SMALL, "--device", "cpu", *words]) == 2
    error = capsys.readouterr().err.strip()
    assert says in error
    assert "\n" not in error


def test_interrupted_is_130_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(job: Job) -> dict[str, Any]:
        raise KeyboardInterrupt

    assert (
        command.main(
            [*SMALL, "--device", "cpu", "--out", str(tmp_path / "RESULTS.md")], interrupted
        )
        == 130
    )
    assert "stopped; nothing was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_only_printed_where_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*SMALL, "--device", "cpu", "--no-write", "--out", str(tmp_path / "RESULTS.md")]
    assert command.main(words, answering([])) == 0
    assert "| torchio, " in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_words_that_cannot_be_read_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--workers", "two"])
    assert "'two' must be whole numbers separated by commas" in capsys.readouterr().err


def test_the_job_installs_what_the_peers_need() -> None:
    """Each package of the speed extra is pinned, and the extra's session is there."""
    extra = re.search(
        r"^speed = (\[.*\])$", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert extra
    names = {re.split(r"\W", need)[0] for need in json.loads(extra[1])}
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert names == {"lightning", "torchio"}
    assert names <= {line.partition("==")[0] for line in pinned}
    assert 'environment(session, "speed", "speed")' in (ROOT / "noxfile.py").read_text(
        encoding="utf-8"
    )


def test_loading_tells_seconds_and_memory_step_by_step(capsys: pytest.CaptureFixture[str]) -> None:
    rows = loading.steps("phantoms", 64)
    assert [row[0] for row in rows] == ["importing", "loading", "preprocessing all 192 slices"]
    assert all(seconds >= 0 for _, seconds, _, _ in rows)
    peaks = [most for _, _, now, most in rows if now is not None and most is not None]
    assert peaks == sorted(peaks)
    assert loading.main(["--data", "nowhere"]) == 2
    assert "nowhere: not there" in capsys.readouterr().err


def test_growth_times_every_verb_cold_and_warm(capsys: pytest.CaptureFixture[str]) -> None:
    growth.main(["--runs", "2"])
    rows = capsys.readouterr().out.splitlines()[-3:]
    assert [row.split()[0] for row in rows] == ["plan", "collect", "compare"]
    assert all(float(seconds) > 0 for row in rows for seconds in row.split()[1:])


@pytest.mark.parametrize("verb", ["plan", "collect", "compare"])
def test_the_runs_that_growth_makes_up_are_read_as_finished(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    growth.make(tmp_path, 37)
    with pytest.raises(SystemExit) as ended:
        growth.main(["--verb", verb, "--folder", str(tmp_path)])
    assert ended.value.code in (0, 1)
    assert {"plan": "72 cells, 37 done", "collect": "", "compare": "37 finished runs"}[
        verb
    ] in capsys.readouterr().out
