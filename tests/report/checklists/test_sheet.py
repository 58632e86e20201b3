"""Checklists: every item once, answered in one way, never empty, and from the runs at hand."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from run_records import BY_PATIENT, halves, join, squares, table, terms, write_run
from second_readings import reading

from benchmark.judge.judgement import Judgement
from benchmark.judge.shipped import shipped
from benchmark.report.checklists.known import Known, listed
from benchmark.report.checklists.sheet import (
    ANSWERS,
    CHECKLISTS,
    NO_RUN,
    PHANTOMS,
    RECORDS,
    UNKNOWN,
    Answered,
    load,
    markdown,
    sheet,
    written,
)
from benchmark.report.run_files import RunFiles, read
from benchmark.runs.collect import Collected, collect, reproduction_folder

ITEMS = [(slug, item) for slug in CHECKLISTS for item in load(slug).items]
VERSIONS = {"meningioma-bench": "0.1.0", "torch": "2.13.0", "processor": "a", "git_dirty": False}
PATIENTS = list("ppqq")
DICE = {1: [0.9, 0.8, 0.7, 0.0], 2: [0.8, 0.8, 0.7, 0.0]}
AREAS = {"truth_mm2": [100.0, 200.0, 300.0, 400.0]}


def known(
    collected: Collected | None = None, *, slices: int = 8, second: bool = False, **environment: Any
) -> Known:
    """Two trainings of the thesis's cell on four slices of Cheng's, unless changed."""
    if collected is None:
        collected = table(DICE, PATIENTS, measures=AREAS)
    told = {"dataset": {"slices": slices, "patients": 2}}
    files = [
        RunFiles(run_id, Path(), {}, VERSIONS | environment, told)
        for run_id in collected.runs["run_id"]
    ]
    own = reading([0.9, 0.8, 0.9, 0.7], PATIENTS, within=[0.9]) if second else None
    return Known(Judgement(collected, *terms(), second=own), files)


def of(dice: dict[int, list[float]] | None = None, **changes: Any) -> Known:
    return known(table(dice or DICE, PATIENTS, **{"measures": AREAS, **changes}))


def changed(setting: str) -> Known:
    return of(changed_settings=f"{{{setting}}}")


CHANGES: dict[str, Callable[[], Known]] = {
    "aims": lambda: known(second=True),
    "availability": lambda: of(dataset_id="another"),
    "baselines": lambda: of(seed=pd.NA, arm="otsu", parameters=0),
    "by_pixel": lambda: of(measures={**AREAS, "sensitivity": [0.5] * 4}),
    "category": lambda: of(arm="attention-unet"),
    "characteristics": lambda: of(measures={"truth_mm2": [1.0] * 4}),
    "code": lambda: known(git_dirty=True),
    "data_sources": lambda: known(slices=9),
    "disjoint": lambda: of(**BY_PATIENT),
    "failures": lambda: of({1: [0.9] * 4}),
    "fitted_on": lambda: changed('"preprocess.nyul_fit":"train"'),
    "goal": lambda: of(dataset_id="another"),
    "hardware": lambda: of(device="a card"),
    "hyperparameters": lambda: of(params='{"alpha":0.5,"kernel_size":7}'),
    "initialisation": lambda: of({3: [0.9] * 4}),
    "inputs": lambda: of(needs_click=True),
    "internal": lambda: known(table({1: [0.9] * 5}, list("ppqqr"))),
    "models": lambda: of(parameters=7),
    "numbers": lambda: known(slices=9),
    "outcome": lambda: of(measures={"truth_mm2": [1.0] * 4}),
    "partitions": lambda: of(split_id="by-image-2"),
    "performance": lambda: of({1: [0.9] * 4}),
    "preprocessing": lambda: of(height=256, width=256),
    "raters": lambda: known(second=True),
    "robustness": lambda: known(
        join(table(DICE, PATIENTS), table(DICE, PATIENTS, precision="bf16"))
    ),
    "selection": lambda: changed('"training.monitor":"val_loss"'),
    "software": lambda: known(torch="2.14.0"),
    "summary": lambda: of({1: [0.9] * 4}),
    "training": lambda: changed('"training.learning_rate":0.01'),
    "transformations": lambda: changed('"augmentation.noise_p":0.5'),
}


class TestItems:
    def test_claim_has_44_numbers_in_the_order_of_its_sections(self) -> None:
        """Tejani et al. 2024: items 1 to 44."""
        items = load("claim-2024").items
        assert [item.number for item in items] == [str(n) for n in range(1, 45)]
        sections = list(dict.fromkeys(item.section for item in items))
        firsts = [section.split(":")[0] for section in sections]
        order = ["Title and abstract", "Introduction", "Methods", "Results", "Discussion", "Other"]
        assert list(dict.fromkeys(firsts)) == order
        assert len(sections) == len({item.section for item in items})

    def test_reforms_has_32_items_in_eight_modules(self) -> None:
        """Kapoor et al. 2024, table 1: so many in each module."""
        items = load("reforms").items
        letters = dict(
            enumerate(("abc", "abcde", "abcdefg", "abc", "abcdef", "abc", "abc", "ab"), 1)
        )
        numbers = [f"{module}{letter}" for module, own in letters.items() for letter in own]
        assert [item.number for item in items] == numbers
        assert len(numbers) == 32
        assert all(item.section[0] == item.number[0] for item in items)

    @pytest.mark.parametrize(("slug", "item"), ITEMS, ids=lambda x: getattr(x, "number", x))
    def test_each_is_answered_in_one_way(self, slug: str, item: Any) -> None:
        """From records, by a page, or by a person, who is told what is left to him."""
        assert not (item.records and item.says)
        assert bool(item.see) == bool(item.says)
        assert item.records or item.says or item.yours
        assert not item.of_cheng or item.says
        assert not item.records or item.records in ANSWERS
        for text in (item.asks, item.says, item.yours):
            assert "|" not in text
            assert text == text.strip()
        assert item.asks[-1] not in ".?"
        assert not item.says or item.says[-1] == "."
        assert not item.yours.endswith(".")

    def test_every_answer_is_asked_for(self) -> None:
        assert {item.records for _, item in ITEMS if item.records} == set(ANSWERS)

    def test_the_sources_are_named(self) -> None:
        assert "10.1148/ryai.240300" in load("claim-2024").source
        assert "10.1126/sciadv.adk3452" in load("reforms").source


class TestAnswers:
    @pytest.mark.parametrize("name", sorted(ANSWERS))
    def test_an_answer_follows_the_records(self, name: str) -> None:
        before, after = ANSWERS[name](known()), ANSWERS[name](CHANGES[name]())
        assert before != after
        for said in (before, after):
            assert said.strip()
            assert re.search(r"[.?]$", said)
            assert not re.search(r"\bnan\b|None|<NA>|\|", said)

    def test_numbers_are_those_of_the_runs(self) -> None:
        """Four slices of two patients; the last tumour is missed in both trainings."""
        assert "Tested at least once: 4 slices of 2 patients. 2 runs" in ANSWERS["numbers"](known())
        assert "2 of 8" in ANSWERS["failures"](known())
        assert "512x512, fp32, by image: 0.588" in ANSWERS["performance"](known())  # 2.35 / 4
        assert "median 250 mm2, quartiles 175 and 325" in ANSWERS["outcome"](known())
        assert "482 training, 120 validation, 106 test" in ANSWERS["partitions"](known())
        assert "Seeds: 1 and 2." in ANSWERS["initialisation"](known())

    def test_the_order_of_runs_changes_nothing(self) -> None:
        collected = table(DICE, PATIENTS, measures=AREAS)
        turned = replace(
            collected,
            runs=collected.runs[::-1].reset_index(drop=True),
            scores=collected.scores[::-1].reset_index(drop=True),
        )
        for slug in CHECKLISTS:
            one, other = (sheet(load(slug), known(each)) for each in (collected, turned))
            assert one.records == other.records

    def test_arms_from_outside_are_said_to_train_as_they_please(self) -> None:
        own = of(source="feed", arm="mine")
        assert "Not known of arms from outside: mine." in ANSWERS["initialisation"](own)
        assert "Arms from outside may train otherwise: mine." in ANSWERS["training"](own)

    def test_of_runs_without_a_network_none_is_said_to_train(self) -> None:
        """By patient alone, of a user's own slices: no loss, no epoch, and no cell of the thesis's;
        one protocol was run, which is not the thesis's.
        """
        plain = of(
            {1: DICE[1]},
            seed=pd.NA,
            arm="otsu",
            params='{"rim":0.2}',
            kernel_size=pd.NA,
            alpha=float("nan"),
            dataset_id="another",
            **BY_PATIENT,
        )
        said = {name: answer(plain) for name, answer in ANSWERS.items()}
        assert said["training"].startswith("No network was trained; what arms of this repository")
        trained = ("Tversky", "optimiser", "epoch", "unet", "augment", "drawn anew", "fixed before")
        for name, text in said.items():
            assert not any(word in text for word in trained), name
        assert said["selection"] == (
            "The benchmark chooses no model on test slices: every finished run is in the tables."
        )
        assert said["hyperparameters"].endswith(
            "no record tells. otsu: rim 0.2. Protocols other than the thesis's: 1."
        )
        assert said["baselines"].startswith("otsu, which have no network, with no network beside")
        assert said["goal"] == (
            "Ways to outline tumours are scored on held-out slices and set beside each other."
        )

    def test_how_far_baselines_and_networks_share_their_splits_is_counted(self) -> None:
        """Otsu on one of the two splits that the network was on."""
        otsu = {"seed": pd.NA, "arm": "otsu"}
        both = join(
            table(DICE, PATIENTS, split_fingerprint="a"),
            table(DICE, PATIENTS, split_fingerprint="b"),
            table({1: DICE[1]}, PATIENTS, split_fingerprint="b", **otsu),
        )
        assert "on 1 of 2 splits that networks were on" in ANSWERS["baselines"](known(both))

    def test_runs_that_were_replaced_are_said_to_be_in_no_table(self) -> None:
        own = known(replace(table(DICE, PATIENTS), superseded=("old_1",)))
        assert "tables, but for 1 run that a later record" in ANSWERS["selection"](own)

    def test_of_many_things_the_first_are_named(self) -> None:
        assert listed("abc") == "a, b and c"
        assert listed("abcd", 2) == "a, b and 2 more"
        assert listed("") == "none"


def whole(own: Known) -> dict[str, tuple[str, str]]:
    """Whether each item is answered, and in which words, by number."""
    tables = [sheet(load(slug), own) for slug in CHECKLISTS]
    return {str(r["item"]): (r["answered"], r["answer"]) for t in tables for r in t.records}


class TestSheets:
    @pytest.mark.parametrize("kind", ["cheng's", "others'", "phantoms", "none"])
    def test_no_answer_is_empty_and_what_is_not_answered_says_so(
        self, kind: str, tmp_path: Path
    ) -> None:
        """Of slices that nobody knows no word of Cheng's is said; of none, none at all."""
        own = known()
        if kind in ("others'", "phantoms"):
            slices = squares(phantom=kind == "phantoms")
            write_run(tmp_path, slices, halves(slices))
        if kind != "cheng's":
            collected = collect(tmp_path)
            files = read(tmp_path, collected.runs["run_id"])
            own = Known(Judgement(collected, *terms()), files)
        rows = whole(own)
        assert len(rows) == 76
        for answered, words in rows.values():
            assert words.strip()
            assert (answered == Answered.NO) == words.startswith("Not answered: ")
            assert (answered == Answered.PART) == (" Not answered: " in words)
        cheng = {item.number for _, item in ITEMS if item.of_cheng}
        said = {"others'": f"Not answered: {UNKNOWN}.", "phantoms": PHANTOMS, "none": NO_RUN}
        for number in cheng & {"14", "5"}:
            assert (rows[number][1] == said.get(kind)) == (kind != "cheng's")
        for slug in CHECKLISTS:
            for row in sheet(load(slug), own).records:
                from_nowhere = row["answered"] == Answered.NO or row["answer"] == PHANTOMS
                assert (row["from"] == "") == from_nowhere
        assert any("figshare" in words for _, words in rows.values()) == (kind == "cheng's")

    def test_of_chengs_slices_all_is_answered_but_what_a_person_must(self) -> None:
        states = {number: answered for number, (answered, _) in whole(known()).items()}
        none = {number for number, answered in states.items() if answered == Answered.NO}
        assert none == {"34", "41", "44", "3b", "3g"}
        made = sheet(load("reforms"), known())
        assert made.title == "REFORMS: 26 answered, 4 in part, 2 not answered."

    def test_numbers_of_the_shipped_records_are_those_of_their_tables(self) -> None:
        judgement = shipped()
        own = Known(judgement, read(reproduction_folder(), judgement.collected.runs["run_id"]))
        assert "708 slices of 82 patients" in ANSWERS["numbers"](own)
        assert "2 records of a training gave way to a later one" in ANSWERS["selection"](own)
        assert ANSWERS["hyperparameters"](own).startswith("No search: values are those of a grid")
        for row in judgement.patients()[0].records[1:]:
            said = f"{row['dice']:.3f} (95% {row['low']:.3f} to {row['high']:.3f})"
            assert said in ANSWERS["performance"](own)

    def test_what_was_not_done_is_said(self) -> None:
        rows = whole(known())
        assert rows["33"][1].startswith("Not done: ")
        assert rows["31"][1].startswith("Not done: ")
        assert rows["8a"][1].startswith("None: ")

    def test_files_hold_every_item_in_its_order(self) -> None:
        for slug in CHECKLISTS:
            made = sheet(load(slug), known())
            data = written(slug, made)
            assert list(data) == [f"{slug}.md", f"{slug}.csv"]
            rows = list(csv.DictReader(io.StringIO(data[f"{slug}.csv"].decode())))
            assert [dict(row) for row in rows] == [dict(row) for row in made.records]
            text = markdown(made)
            places = [
                text.index(f"**{row['item']}. {row['asks']}.** {row['answer']}") for row in rows
            ]
            assert places == sorted(places)
            assert f"({RECORDS})" in text
