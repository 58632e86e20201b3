"""A command in the report makes the run that it stands beside."""

from __future__ import annotations

import shlex
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from run_records import a_spec, halves, squares, varied, write_run

from baselines import ARMS
from benchmark.cli.options import request
from benchmark.cli.parser import parser
from benchmark.planning.request import prepare
from benchmark.protocol import load_recipe
from benchmark.report.provenance import (
    DATA,
    OWN_GRID,
    choices_table,
    command,
    commands_table,
    machines_table,
)
from benchmark.runs.collect import collect
from benchmark.runs.spec import RunSpec


def written(spec: RunSpec, *, phantom: bool) -> dict[str, object]:
    """As spec.json holds it."""
    own = {"split_id": spec.split_id, "protocol": spec.recipe.name}
    return {**own, "phantom": phantom, "spec": spec.canonical()}


SETTINGS = "training.precision=bf16 loss.pool_batch=true training.batch_size=8"
VARIANTS = (
    "--only arm=unet kernel_size=5 alpha=0.1,0.9 --seeds 5 --image-size 64",
    "--only arm=otsu,threshold,click-region-growing",
    f"--only arm=attention-unet --splits 3 --set {SETTINGS}",
    "--grid thesis --only kernel_size=7 alpha=0.2 --seeds 2 --protocol patient --splits 2",
    "--grid thesis --only kernel_size=5 alpha=0.5 --set network.channels=8,16,32",
    "--grid thesis --only kernel_size=3 alpha=0.5 --set preprocess.nyul_fit=train",
)


@pytest.mark.usefixtures("few_phantoms")
@pytest.mark.parametrize("words", VARIANTS)
def test_the_command_of_a_run_makes_that_run(words: str, tmp_path: Path) -> None:
    """For every spec of a request: its command, parsed and expanded, gives that run_id alone."""

    def specs(text: list[str]) -> list[RunSpec]:
        asked = request(parser().parse_args(["reproduce", *text, "--out", str(tmp_path)]))
        return prepare(asked, ARMS, keep_splits=False).specs

    wanted = specs(["--data", "phantoms", *words.split()])
    assert wanted
    for spec in wanted:
        text = command(written(spec, phantom=True), ARMS)
        assert text is not None
        assert text.startswith("python -m benchmark reproduce --data phantoms")
        assert [made.run_id for made in specs(shlex.split(text)[4:])] == [spec.run_id]


def test_the_best_cell_of_the_thesis_is_a_short_command() -> None:
    slices = squares()
    spec = a_spec(slices, halves(slices))
    assert command(written(spec, phantom=False), ARMS) == (
        f"python -m benchmark reproduce --data {DATA} --only arm=unet kernel_size=5 alpha=0.5 "
        "--seeds 1 --image-size 512"
    )


def test_a_run_of_no_shipped_grid_has_no_command() -> None:
    """An arm of another package, or a kernel that no grid has."""
    slices = squares()
    for changes in (
        {"arm": "my-arm", "params": {"width": 32}},
        {"params": {"alpha": 0.5, "kernel_size": 11}},
    ):
        spec = a_spec(slices, halves(slices), **changes)
        assert command(written(spec, phantom=False), ARMS) is None


def test_commands_and_machines_of_a_folder(tmp_path: Path) -> None:
    slices = squares()
    for seed in (1, 2):
        write_run(tmp_path, slices, halves(slices), seed=seed)
    write_run(tmp_path, slices, halves(slices), seed=1, recipe=varied(training__precision="bf16"))
    runs = collect(tmp_path).runs
    table = commands_table(tmp_path, runs, ARMS)
    assert table.numbers["run_id"].tolist() == sorted(runs["run_id"])
    assert sum("--set training.precision=bf16" in text for text in table.numbers["command"]) == 1
    machines = machines_table(tmp_path, runs)
    assert machines.numbers["runs"].tolist() == [3]
    assert "3" in machines.render()


def test_no_run_no_command(tmp_path: Path) -> None:
    nothing = collect(tmp_path).runs
    assert commands_table(tmp_path, nothing, ARMS).numbers.empty
    assert machines_table(tmp_path, nothing).numbers.empty


class TestChoices:
    def test_every_default_is_the_protocols_value(self) -> None:
        """The values shown are those that runs get."""
        recipe = load_recipe("thesis").identity()
        rows = choices_table().numbers
        for row in rows.itertuples():
            (value,) = tomllib.loads(f"x = {row.default}").values()
            own = recipe[row.section][row.setting]
            own = list(own) if isinstance(own, tuple) else own
            assert own == value, (row.section, row.setting)

    def test_every_setting_said_to_be_open_is_there_with_its_reason(self) -> None:
        text = (files("benchmark") / "protocols" / "thesis.toml").read_text(encoding="utf-8")
        said = tomllib.loads(text)["open"]
        rows = choices_table().numbers
        assert len(rows) == sum(map(len, said.values())) > 20
        assert all(said[row.section][row.setting] == row.why for row in rows.itertuples())

    @pytest.mark.parametrize(
        "setting", ["optimiser", "learning_rate", "batch_size", "max_epochs", "norm", "activation"]
    )
    def test_what_the_thesis_is_silent_about_is_there(self, setting: str) -> None:
        assert setting in set(choices_table().numbers["setting"])


def test_tables_are_text_throughout(tmp_path: Path) -> None:
    """Of runs of a shipped grid and of none."""
    slices = squares()
    write_run(tmp_path, slices, halves(slices))
    write_run(tmp_path, slices, halves(slices), params={"alpha": 0.55, "kernel_size": 5})
    runs = collect(tmp_path).runs
    assert OWN_GRID in commands_table(tmp_path, runs, ARMS).texts["command"]
    commands, machines = commands_table(tmp_path, runs, ARMS), machines_table(tmp_path, runs)
    for table in (commands, machines, choices_table()):
        assert all(isinstance(text, str) for texts in table.texts.values() for text in texts)
