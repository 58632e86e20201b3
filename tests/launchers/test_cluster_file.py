"""cluster.toml: what tasks ask for, what is refused and how."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bench_forms import small_recipe

from benchmark.errors import SpecError
from benchmark.launchers.cluster_file import Cluster, Needs, load_cluster, time_limit
from benchmark.runs.spec import RunSpec

AXES = ("arm", "kernel_size", "alpha")
WHOLE = """
partition = "gpu"
account = "abc"
gpus = 1
cpus = 8
memory = "16G"
time = "4:00:00"
at_once = 20
minutes_per_task = 45
notice_seconds = 120
setup = ["module load cuda", "export A=1"]

[sbatch]
constraint = "icelake"

[[cells]]
only = { kernel_size = [7, 9] }
time = "1-00:00:00"
memory = "32G"

[[cells]]
only = { kernel_size = 9, alpha = [0.1] }
partition = "long"
sbatch = { qos = "long" }
"""


def spec(**params: Any) -> RunSpec:
    data: Any = {"dataset_id": "d", "content_fingerprint": "c", "split_fingerprint": "s"}
    own = {"arm": "unet", "params": params, "recipe": small_recipe(), "seed": 1, **data}
    return RunSpec(split_id="by-image-1", shape=(64, 64), **own)


def load(folder: Path, text: str, *words: str) -> Cluster:
    (folder / "mine.toml").write_text(text, encoding="utf-8")
    return load_cluster([f"{folder / 'mine.toml'}", *words], AXES)


def test_every_key_reaches_the_needs_of_a_cell(tmp_path: Path) -> None:
    setup = ("module load cuda", "export A=1")
    expected = Needs("gpu", "abc", 1, 8, "16G", 240, setup, (("constraint", "icelake"),), 20, 0,
                     45.0, 120)  # fmt: skip
    assert load(tmp_path, WHOLE).needs(spec(kernel_size=3, alpha=0.1)) == expected


def test_a_rule_changes_the_needs_of_its_cells_alone_and_the_last_one_wins(tmp_path: Path) -> None:
    cluster = load(tmp_path, WHOLE)
    most = cluster.needs(spec(kernel_size=5, alpha=0.1))
    large = replace(most, minutes=1440, memory="32G")
    assert cluster.needs(spec(kernel_size=7, alpha=0.1)) == large
    assert cluster.needs(spec(kernel_size=9, alpha=0.5)) == large
    both = (("constraint", "icelake"), ("qos", "long"))
    assert cluster.needs(spec(kernel_size=9, alpha=0.1)) == replace(
        large, partition="long", sbatch=both
    )
    assert cluster.needs(spec(level=9)) == most  # an arm without kernels


def test_words_overrule_the_file_and_do_without_it(tmp_path: Path) -> None:
    words = ["partition=short", "time=30", "cells_per_task=3", "sbatch.constraint=rome", "cpus=2"]
    most = load(tmp_path, WHOLE.replace("minutes_per_task = 45", ""), *words).most
    assert (most.partition, most.minutes, most.cells_per_task, most.cpus) == ("short", 30, 3, 2)
    assert (most.account, most.sbatch) == ("abc", (("constraint", "rome"),))
    assert load_cluster(words, AXES).most == replace(
        Needs(), partition="short", minutes=30, cells_per_task=3, cpus=2, sbatch=most.sbatch
    )
    assert load_cluster([], AXES) == Cluster()


def test_a_word_for_the_minutes_of_a_task_overrules_a_number_of_cells(tmp_path: Path) -> None:
    most = load(tmp_path, "cells_per_task = 4", "minutes_per_task=10").most
    assert (most.cells_per_task, most.minutes_per_task) == (0, 10.0)
    assert load(tmp_path, "minutes_per_task = 9", "cells_per_task=4").most.cells_per_task == 4


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("partitoin = 'a'", r"unknown key 'partitoin'; the nearest is 'partition' \(known: acc"),
        ("gpus = -1", "gpus = -1 must be a whole number from 0 up"),
        ("gpus = true", "gpus = True must be a whole number"),
        ("cpus = 0", "cpus = 0 must be a whole number from 1 up"),
        ("cpus = 1.5", "cpus = 1.5 must be a whole number"),
        ("memory = 1", "memory = 1 must be"),
        ("memory = false", "memory = False must be"),
        (
            "memory = 16",
            "memory = 16 must be a whole number and K, M, G or T, such as '16G', or 0 for all",
        ),
        ("time = '4h'", "time = '4h' must be minutes, or a time such as '4:00:00'"),
        ("time = 0", "time = 0 must be above 0"),
        ("time = -5", "time = -5 must be minutes"),
        ("time = true", "time = True must be minutes"),
        ("partition = ''", "partition = '' must be a word"),
        ("setup = [1]", r"setup = \[1\] must be a list of lines of a shell"),
        ("minutes_per_task = inf", "minutes_per_task = inf must be a number of minutes above 0"),
        (f"minutes_per_task = {'9' * 401}", "9 must be a number of minutes above 0"),
        (f"cpus = {'9' * 5000}", "is not valid TOML: Exceeds the limit"),
        ("minutes_per_task = 1\ncells_per_task = 1", "one of them says how long a task is"),
        ("sbatch = 'x'", "must be a table of sbatch's options"),
        ("sbatch = {mem = '1G'}", "has 'mem': the key memory says it"),
        ("sbatch = {array = '1-9'}", "has 'array': the key at_once says it"),
        ("sbatch = {cpus_per_task = 9}", "has 'cpus_per_task': the key cpus says it"),
        ("sbatch = {output = 'x'}", "has 'output': it is said by this program"),
        ("sbatch = {x = [1]}", "has 'x', whose value must be a word"),
        ("cells = 3", r"cells must be written as \[\[cells\]\]"),
        ("[[cells]]\ntime = 3", r"\[\[cells\]\] 1: needs only = "),
        ("[[cells]]\nonly = {kernel = 3}", "only: unknown key 'kernel'; the nearest is 'kernel_s"),
        ("[[cells]]\nonly = {alpha = 0.5}\ngpu = 1", r"\[\[cells\]\] 1: unknown key 'gpu'; the ne"),
        ("partition = ", "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_named_with_what_would_be_right(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(SpecError, match=told) as error:
        load(tmp_path, text)
    assert str(error.value).startswith(f"--cluster {tmp_path / 'mine.toml'}: ")
    assert "\n" not in str(error.value)


def test_no_memory_is_all_of_a_node(tmp_path: Path) -> None:
    """As sbatch(1) has it."""
    assert load(tmp_path, "memory = 0").most.memory == "0"
    assert load_cluster(["memory=0"], AXES).most.memory == "0"


def test_options_of_sbatch_are_switched_on_and_off_by_words_too(tmp_path: Path) -> None:
    text, words = "sbatch = {exclusive = true, x = 1}", ["sbatch.exclusive=false", "sbatch.y=true"]
    options = load(tmp_path, text, *words).most.sbatch
    assert options == (("exclusive", False), ("x", 1), ("y", True))


def test_the_last_rule_that_says_how_long_a_task_is_is_known(tmp_path: Path) -> None:
    only = "\n[[cells]]\nonly = {kernel_size = 9}\n"
    cluster = load(tmp_path, f"{only}cells_per_task = 1{only}minutes_per_task = 9{only}cpus = 2")
    assert cluster.sizing_rule(spec(kernel_size=9)) == 2
    assert cluster.sizing_rule(spec(kernel_size=3)) == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere.toml"], "--cluster nowhere.toml: there is no such file"),
        (["a.toml", "b.toml"], "a.toml and b.toml: one file"),
        (["gpu=1"], "--cluster gpu=1: unknown key 'gpu'; the nearest is 'gpus'"),
        (["cpus=many"], "cpus = 'many' must be a whole number from 1 up"),
        (["minutes_per_task=soon"], "minutes_per_task = 'soon'"),
    ],
)
def test_wrong_words_are_told(words: list[str], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        load_cluster(words, AXES)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("0:30", 1), ("90:00", 90), ("01:30:00", 90), ("1-0", 1440), ("1-0:1", 1441),
     ("1-02:03:01", 1564)],
)  # fmt: skip
def test_times_are_read_as_slurm_reads_them(text: str, minutes: int) -> None:
    """sbatch(1): minutes, minutes:seconds, hours:minutes:seconds, days-hours and so on."""
    assert time_limit(text) == minutes
