"""The tables of where numbers come from: commands, machines, choices."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from run_records import halves, squares, varied, write_run

from baselines import ARMS
from benchmark.protocol import load_recipe
from benchmark.report.provenance import (
    OWN_GRID,
    choices_table,
    commands_table,
    machines_table,
)
from benchmark.runs.collect import collect


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
