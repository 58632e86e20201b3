"""The whole judgement of a folder of runs: what they come to, and the tables of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

import pandas as pd

from benchmark.judge import comparable, does_it_hold
from benchmark.judge.cells import Panel, panels, size_of
from benchmark.judge.claims.evidence import ClaimVerdict, Reading, grid_evidence, side
from benchmark.judge.claims.may_be_best import best_table
from benchmark.judge.claims.table import JudgedClaim, claims_table, judge_claims, on_its_terms
from benchmark.judge.comparisons.arms import (
    PairwiseComparison,
    Ranking,
    arms_table,
    is_reference,
    pairwise_comparisons,
)
from benchmark.judge.comparisons.changed_rules import changed_rules_table
from benchmark.judge.comparisons.headline import headline
from benchmark.judge.comparisons.leak import anatomy_table, what_differs_table
from benchmark.judge.comparisons.measures import agreement_table, boundaries_table, measured
from benchmark.judge.comparisons.open_choices import OpenChoices, choices_table, open_choices
from benchmark.judge.comparisons.patients import averages_table, distribution_table, worst_table
from benchmark.judge.comparisons.precisions import PrecisionRow, precisions, precisions_table
from benchmark.judge.comparisons.reference_cell import has_other_arms
from benchmark.judge.comparisons.reference_trainings import ReferenceTrainings, reference_trainings
from benchmark.judge.comparisons.runs import runs_tables
from benchmark.judge.comparisons.second_reader import (
    AgainstReader,
    SecondReading,
    against_reader,
    against_reader_table,
    by_size_table,
)
from benchmark.judge.comparisons.split_effect import SplitEffect, split_effect_table, split_effects
from benchmark.judge.comparisons.stopping import best_epochs, stopping_table
from benchmark.judge.comparisons.superseded import (
    IN_PLACE,
    Alternative,
    Superseded,
    hanging_table,
    in_question,
    replaced_table,
    why,
    with_superseded,
)
from benchmark.judge.comparisons.two_readers import most_different, readers_table, sizes_table
from benchmark.judge.comparisons.variance_components import between_splits_table, components_table
from benchmark.judge.does_it_hold import Selection, listed
from benchmark.judge.looks import Look
from benchmark.judge.reference import Reference, Tolerances
from benchmark.judge.statistics.more_runs import power_table
from benchmark.judge.statistics.prediction_interval import Question
from benchmark.judge.statistics.selection import optimism
from benchmark.judge.tables import Column, Table
from benchmark.judge.verdicts import (
    PrintedNumbers,
    Verdict,
    VerdictRow,
    judge_dice,
    judge_printed_numbers,
    verdict_table,
)
from benchmark.planning.evidence import load_plan
from benchmark.runs.collect import Collected

MORE_DRAWS, MORE_SEEDS = (1, 2, 5), (3, 5, 10)  # of the table of what more runs would bring


EFFECT = {1: "lower by patient", -1: "higher by patient", 0: "undecided"}
"""By the side of 0 that the interval of by image minus by patient is on."""
LAW = "an added run takes no verdict away (tests/judge/claims/test_more_runs.py)"


@dataclass(frozen=True, eq=False)
class Judgement:
    """What finished runs come to; each part is worked out when asked for.

    ours: the records shipped here, where the runs are a user's and not those records. They lend his
    arms their reference where he did not run it, and enter nothing else. superseded: trainings that
    later ones replaced, where the runs are the records shipped here; told of, and counted nowhere.
    looks: at the records shipped here, where the runs are those; a user's folder has no log.
    second: a second reader's outlines of the thesis's slices; None where no run is of them.
    """

    collected: Collected
    reference: Reference
    tolerances: Tolerances
    ours: Collected | None = None
    superseded: Superseded | None = None
    looks: tuple[Look, ...] = ()
    second: SecondReading | None = None

    @cached_property
    def printed(self) -> PrintedNumbers:
        """The verdicts on the printed numbers."""
        return judge_printed_numbers(self.collected, self.reference, self.tolerances)

    @property
    def rows(self) -> tuple[VerdictRow, ...]:
        """All verdicts on the printed numbers; the exit code reads them."""
        return self.printed.rows

    @cached_property
    def panels(self) -> list[Panel]:
        return panels(self.collected)

    @cached_property
    def claims(self) -> list[tuple[Panel, list[JudgedClaim]]]:
        """Every claim on every panel of the thesis's protocol, terms nearest the thesis's first.

        Nearest by image size, then a precision that the thesis may have had before others.
        """
        terms = self.reference, self.tolerances
        return [(panel, judge_claims(panel, *terms)) for panel in self._own_panels]

    @property
    def _own_panels(self) -> list[Panel]:
        """Those of the thesis's protocol, terms nearest the thesis's first."""
        own = [p for p in self.panels if on_its_terms(p, self.reference, self.tolerances)]
        return sorted(own, key=lambda panel: self._distance(panel.runs))

    @cached_property
    def selection(self) -> Selection | None:
        """What the printed best of the grid owes to its choice, by the noise of these runs: on the
        terms nearest the thesis's that can tell; None where none can.
        """
        reference, rule = self.reference, self.tolerances.claims
        of, seeds = len(reference.kernels) * len(reference.alphas), reference.seeds_per_cell
        slices = sum(reference.split_sizes.values())
        for panel in self._own_panels:
            grid = grid_evidence(panel, Reading.TEXT, reference, self.tolerances)
            cells = list(grid.cells.values())
            if found := optimism(cells, of, seeds, slices, rule.fewest_cells):
                run = panel.runs.iloc[0]
                return Selection(found, of, f"{size_of(run)}, {run['precision']}")
        return None

    def _distance(self, runs: pd.DataFrame) -> tuple[int, bool]:
        """How far the terms of runs that share them are from the thesis's."""
        rule, run = self.tolerances.dice, runs.iloc[0]
        return abs(int(run["height"]) - rule.image_size), run["precision"] not in rule.precisions

    @cached_property
    def claims_once(self) -> list[tuple[Panel, JudgedClaim]]:
        """Each claim once: on the terms nearest the thesis's on which it can be tested, else on the
        nearest of all.
        """
        by_panel = [[(panel, claim) for claim in judged] for panel, judged in self.claims]
        return [
            min(places, key=lambda place: place[1].text.standing is ClaimVerdict.NOT_TESTABLE)
            for places in zip(*by_panel, strict=True)
        ]

    @cached_property
    def split_effects(self) -> list[SplitEffect]:
        return split_effects(self.collected)

    @property
    def _real_split_effects(self) -> list[SplitEffect]:
        """Those that are not of phantoms."""
        return [each for each in self.split_effects if not each.image.runs["phantom"].iloc[0]]

    @cached_property
    def comparisons(self) -> list[tuple[Panel, list[PairwiseComparison]]]:
        """The arms of each panel against the reference, in the panels' order; none without it."""
        rules = (self.tolerances.contrasts, self.tolerances.intervals)
        return [(panel, pairwise_comparisons(panel, *rules, self.ours)) for panel in self.panels]

    @cached_property
    def without_reference(self) -> list[Panel]:
        """A user's panels with an arm that nobody ran the reference for."""
        key = self.tolerances.contrasts.reference
        if self.ours is None:
            return []
        return [
            panel for panel, rows in self.comparisons if not rows and has_other_arms(panel, key)
        ]

    @cached_property
    def own_arms(self) -> bool:
        """True where a user has run arms that are not the thesis's, and so is told of them."""
        key = self.tolerances.contrasts.reference
        return self.ours is not None and any(has_other_arms(panel, key) for panel in self.panels)

    @property
    def own_arms_alone(self) -> bool:
        """True where, beside those arms, nothing was run that its Dice can be judged on."""
        not_judged = (Verdict.MISSING, Verdict.NOT_COMPARABLE)
        return self.own_arms and self.printed.dice.verdict in not_judged

    @property
    def usual(self) -> tuple[str, ...]:
        """The sections that stand behind the answers, in their order."""
        if not self.own_arms:
            return USUAL
        others = tuple(name for name in USUAL if name != "arms")
        if self.own_arms_alone:
            others = ("patients", "runs") if self._real_split_effects else ("runs",)
        return ("arms", *others)

    @cached_property
    def in_short(self) -> dict[str, str]:
        """Each answer's verdict and what was measured, by the id that the log of looks gives it."""
        row = self.printed.dice
        dice = [] if row.ours is None else [f"{row.ours:.4f}"]
        dice += [] if row.half_width is None else [f"+- {row.half_width:.4f}"]
        short = {"dice": (row.verdict.value, " ".join(dice))}
        for _, judged in self.claims_once:
            short[judged.claim.id] = (judged.text.standing.value, judged.text.measured)
        level, measured = self.tolerances.split_effect.level, ""
        for effect in self.split_effects_nearest_first[:1]:
            if effect.difference:
                low, high = effect.difference.interval(level)
                measured = f"{effect.difference.value:+.3f} [{low:+.3f}, {high:+.3f}]"
        short["split-effect"] = (self.split_verdict, measured)
        for _, beside in self.reference_against_reader[:1]:
            short["second-reader"] = (beside.standing.value, self._apart(beside))
        return {name: ": ".join(filter(None, pair)) for name, pair in short.items()}

    @cached_property
    def replaced(self) -> Superseded | None:
        """The replaced trainings that the printed Dice could have been judged on; None of none."""
        if self.superseded is None:
            return None
        return in_question(self.superseded, self.reference, self.tolerances)

    @cached_property
    def alternatives(self) -> list[Alternative]:
        """The verdict on the printed Dice as it stands, and with those; empty without them."""
        return [self._alternative(what, row) for what, row in self._with_replaced.items()]

    @cached_property
    def _with_replaced(self) -> Mapping[str, VerdictRow]:
        """The printed Dice by what was done with the replaced trainings; empty without them."""
        if self.replaced is None:
            return {}
        terms = self.reference, self.tolerances
        each = with_superseded(self.collected, self.replaced)
        return {what: judge_printed_numbers(runs, *terms).dice for what, runs in each.items()}

    def _alternative(self, what: str, row: VerdictRow) -> Alternative:
        """Under the rule before the interval that decided was that for other patients."""
        half, verdict = row.other_patients, row.verdict
        if row.ours is not None and half is not None and row.spread:
            own, rule, m = row.reference, self.tolerances.dice, self.reference.best_cell.seeds
            then = row.spread.by_the_rule_before()
            half = then.half_width(Question.OTHER_PATIENTS, m, rule.level)
            verdict, _ = judge_dice(row.ours, half, row.spread.fewest, own, rule)
        numbers = row.n, row.ours, row.sd, row.half_width, half
        return Alternative(what, *numbers, row.verdict.value, verdict.value)

    @cached_property
    def split_effects_nearest_first(self) -> list[SplitEffect]:
        """Those that are not of phantoms, the thesis's cell on the nearest terms first."""
        own = self.tolerances.contrasts.reference
        return sorted(
            self._real_split_effects,
            key=lambda effect: (
                not is_reference(effect.image, own),
                *self._distance(effect.image.runs),
            ),
        )

    @property
    def split_verdict(self) -> str:
        """In words, on which side of 0 the first of them lies."""
        rule, effects = self.tolerances.split_effect, self.split_effects_nearest_first
        return EFFECT[side(effects[0].difference, rule.level)] if effects else "not known yet"

    def verdicts(self) -> list[Table]:
        """The printed numbers, what the verdict hangs on, its severity, what more runs bring."""
        table = verdict_table(self.rows)
        done = comparable.progress(self.collected, self.reference, self.tolerances)
        tables = [replace(table, notes=(*table.notes, done))]
        if self.replaced and self.alternatives:
            tables.append(hanging_table(self.alternatives, why(self.replaced)))
        spread, rule = self.printed.dice.spread, self.tolerances.dice
        if severity := does_it_hold.severity(spread, self.reference, rule):
            in_place = self._with_replaced.get(IN_PLACE)
            other = does_it_hold.severity(
                in_place.spread if in_place else None, self.reference, rule
            )
            tables.append(does_it_hold.severity_table(severity, other, rule.max_half_width))
        if spread and spread.seeds:
            seeds = self.reference.best_cell.seeds
            power = power_table(spread, seeds, rule.level, rule.power, MORE_DRAWS, MORE_SEEDS,
                                rule.training_set_sd)  # fmt: skip
            columns = (
                Column("draws", "draws"),
                Column("seeds", "seeds"),
                Column("trainings", "trainings"),
                Column("expected +-", "half_width", "{:.3f}"),
                Column(f"difference found with power {rule.power:g}", "difference", "{:.3f}"),
            )
            digits = power[["half_width", "difference"]].round(3).assign(draws=power["draws"])
            power = power[~digits.duplicated()]
            note = (
                f"+-: of the interval for {Question.ANOTHER_SPLIT}. A verdict of reproduced needs "
                f"{rule.max_half_width:g} or less, and {rule.min_seeds} seeds on each draw."
            )
            if digits.duplicated().any():
                seeds_left = " More seeds on a draw, up to {}, change no digit where none are told."
                note += seeds_left.format(max(MORE_SEEDS))
            title = f"What more trainings would bring, if they vary as these {spread.n} do."
            tables.append(Table(title, power.to_dict("records"), columns, (note,)))
        return tables

    def patients(self) -> list[Table]:
        """The three numbers that stand first, and each arm that was run both ways."""
        first = headline(self.collected, self.reference, self.tolerances)
        effects = (
            [split_effect_table(self.split_effects, self.tolerances.split_effect)]
            if self.split_effects
            else []
        )
        return [first, *effects]

    def claims_tables(self) -> list[Table]:
        """Of each set of terms the claims, and which cell may be the best."""
        terms = self.reference, self.tolerances
        tables = [
            (claims_table(panel, claims, *terms), best_table(panel, *terms))
            for panel, claims in self.claims
        ]
        return [table for pair in tables for table in pair if table]

    def arms(self) -> list[Table]:
        """Arms against arms, wherever the reference cell met another."""
        rule = self.tolerances.contrasts
        return [arms_table(panel, rows, rule) for panel, rows in self.comparisons if len(rows) > 1]

    @cached_property
    def open_choices(self) -> list[OpenChoices]:
        """Of each kind of split and size; those that the plan has yet to run for our records."""
        rules = self.reference, self.tolerances
        made = open_choices(self.collected, *rules, load_plan().steps)
        return made if self.looks else [replace(each, waiting=()) for each in made]

    def choices(self) -> list[Table]:
        """What one change of the protocol does to the reference cell."""
        rules = self.reference, self.tolerances.contrasts
        own = [each for each in self.open_choices if each.taken or each.waiting]
        return [choices_table(each, *rules) for each in own]

    @cached_property
    def against_reader(self) -> list[tuple[Panel, list[AgainstReader]]]:
        """The arms of each panel of the thesis's slices against the second reader, terms nearest
        the thesis's first; of those that tested a slice with a second reading.
        """
        if self.second is None:
            return []
        own = [p for p in self.panels if p.runs["dataset_id"].iloc[0] == self.reference.dataset_id]
        own = [panel for panel in own if not panel.runs["phantom"].iloc[0]]
        own.sort(key=lambda p: (*self._distance(p.runs), p.runs["split_unit"].iloc[0]))
        found = ((p, against_reader(p, self.second, self.tolerances)) for p in own)
        return [(panel, rows) for panel, rows in found if rows]

    @property
    def reference_against_reader(self) -> list[tuple[Panel, AgainstReader]]:
        """The thesis's cell, by each kind of split and size, at precisions that it may have had."""
        key, rule = self.tolerances.contrasts.reference, self.tolerances.dice
        return [
            (panel, row)
            for panel, rows in self.against_reader
            for row in rows
            if is_reference(row.cell, key)
            and panel.runs["recipe_hash"].iloc[0] == self.tolerances.recipe_hash
            and panel.runs["precision"].iloc[0] in rule.precisions
            and len(comparable.fitted_as_the_thesis(panel.runs)) == len(panel.runs)
        ]

    def _apart(self, row: AgainstReader) -> str:
        """A difference from the second reader with its interval; "" where there is none."""
        if row.difference is None:
            return ""
        low, high = row.difference.interval(self.tolerances.second_reader.level)
        return f"{row.difference.value:+.3f} [{low:+.3f}, {high:+.3f}]"

    def readers(self) -> list[Table]:
        """Two readers, the arms of each panel against the second, and where readers differ most."""
        if self.second is None or not self.against_reader:
            return []
        rules, level = self.tolerances, self.tolerances.second_reader.level
        tables = [
            table
            for panel, rows in self.against_reader
            for table in (
                against_reader_table(panel, rows, rules.second_reader),
                by_size_table(panel, rows, self.second, rules),
                sizes_table(panel, rows, self.second, level),
            )
        ]
        first = readers_table(self.second, rules.sizes, level)
        return _made([first, *tables, most_different(self.second, self.reference_trainings)])

    def measures(self) -> list[Table]:
        """Boundaries, misses and sizes of every panel whose runs have them."""
        kinds, sizes = (boundaries_table, agreement_table), self.tolerances.sizes
        own = [panel for panel in self.panels if any(map(measured, panel.cells))]
        return [table_of(panel, sizes) for panel in own for table_of in kinds]

    @cached_property
    def reference_trainings(self) -> list[ReferenceTrainings]:
        """The reference cell's, those with most trainings first."""
        return reference_trainings(self.collected, self.reference, self.tolerances)

    def variance(self) -> list[Table]:
        """What the numbers are made of."""
        return [*self.spread(), *self.stopping(), *self.by_patient(), *self.anatomy()]

    def spread(self) -> list[Table]:
        """Components of variance of the terms with most trainings, and draws against folds."""
        level = self.tolerances.split_effect.level
        return _made(
            table
            for own in self.reference_trainings[:1]
            for table in (components_table(own, level), between_splits_table(own))
        )

    def stopping(self) -> list[Table]:
        """The best epoch against test Dice."""
        return _made([stopping_table(best_epochs(self.collected, self.reference))])

    def by_patient(self) -> list[Table]:
        """Dice as a distribution over slices and patients, and three ways to average it."""
        tables_of = (distribution_table, worst_table, averages_table)
        return _made(of(own) for own in self.reference_trainings[:1] for of in tables_of)

    def anatomy(self) -> list[Table]:
        """The reference cell's split effect taken apart, on real slices."""
        own, rule = self.tolerances.contrasts.reference, self.tolerances.split_effect
        effects = [each for each in self._real_split_effects if is_reference(each.image, own)]
        return _made(
            table
            for effect in effects
            for table in (anatomy_table(effect, rule), what_differs_table(effect))
        )

    def runs(self) -> list[Table]:
        """Every finished run, by conditions; lower precisions against the plain one; what was
        replaced.
        """
        tables, rule = runs_tables(self.collected), self.tolerances.precision
        if self.superseded:
            tables.append(replaced_table(self.collected, self.superseded))
        pairs = self._precisions
        return [*tables, *([precisions_table(pairs, rule)] if pairs else [])]

    @cached_property
    def _precisions(self) -> list[PrecisionRow]:
        return precisions(self.collected.runs, self.tolerances.precision)

    def rules(self) -> list[Table]:
        """The rules that were changed after results were known, with what they say now."""
        return [changed_rules_table(self.tolerances.changes, self.says)]

    def says(self, rule: str) -> str:
        """What a rule of `[[changes]]` comes to on these runs, in a few words.

        A claim's id stands for its rule; `KeyError` for a name that is neither.
        """
        said: Mapping[str, Callable[[], str]] = {
            "dice": lambda: f"{self.printed.dice.verdict}: {self.printed.dice.why}",
            "intervals": self._who_differs,
            "matching": lambda: LAW,
            "split_effect": lambda: self.in_short["split-effect"],
            "second_reader": self._reader_says,
            "precision": lambda: (
                ", ".join(f"{r.precision} {r.agreement}" for r in self._precisions)
                or "no lower precision has been run"
            ),
        }
        ids = [claim.id for claim in self.reference.claims]
        return said[rule]() if rule in said or rule not in ids else self._claim_says(rule)

    def _claim_says(self, claim_id: str) -> str:
        """A claim's verdict on every panel; the precision where two share a size."""
        runs = [panel.runs.iloc[0] for panel, _ in self.claims]
        sizes = [size_of(run) for run in runs]
        at: dict[ClaimVerdict, list[str]] = {}
        for run, size, (_, judged) in zip(runs, sizes, self.claims, strict=True):
            (standing,) = (row.text.standing for row in judged if row.claim.id == claim_id)
            own = f" {run['precision']}" if sizes.count(size) > 1 else ""
            at.setdefault(standing, []).append(f"{size}{own}")
        said = (f"{standing} at {listed(places)}" for standing, places in at.items())
        return "; ".join(said) or str(ClaimVerdict.NOT_TESTABLE)

    def _reader_says(self) -> str:
        """The thesis's cell against the second reader on every panel."""
        said = []
        for panel, row in self.reference_against_reader:
            run, why = panel.runs.iloc[0], self._apart(row) or row.why
            said.append(f"{row.standing} at {size_of(run)} by {run['split_unit']}: {why}")
        return "; ".join(said) or "the cell was not run on slices that were read twice"

    def _who_differs(self) -> str:
        """Which arms that train are better or worse than the reference."""
        found = {
            f"{row.cell.name} {row.standing} at {size_of(panel.runs.iloc[0])}": None
            for panel, rows in self.comparisons
            for row in rows
            if row.cell.seeded and row.standing in (Ranking.BETTER, Ranking.WORSE)
        }
        arms = ", ".join(found) or "no arm that trains is better or worse than the reference"
        return f"extremes-worse {self._claim_says('extremes-worse')}; {arms}"


def _made(tables: Iterable[Table | None]) -> list[Table]:
    """Those that there are."""
    return [table for table in tables if table is not None]


SECTIONS: Mapping[str, Callable[[Judgement], Sequence[Table]]] = MappingProxyType(
    {
        "verdicts": Judgement.verdicts,
        "patients": Judgement.patients,
        "claims": Judgement.claims_tables,
        "arms": Judgement.arms,
        "choices": Judgement.choices,
        "measures": Judgement.measures,
        "readers": Judgement.readers,
        "variance": Judgement.variance,
        "runs": Judgement.runs,
        "rules": Judgement.rules,
    }
)
WHY_EMPTY = MappingProxyType(  # of the sections that may be
    {
        "claims": "nothing has been run on the thesis's slices with its protocol",
        "arms": "no other arm has been run under the same terms as unet 5x5, alpha 0.5",
        "choices": "the reference cell has not been run with a setting of its protocol changed",
        "measures": "no runs have them all yet; `python -m benchmark rescore` adds them to older "
        "runs",
        "readers": "no run is of the slices that a second reader has outlined",
        "variance": "the reference cell has not been run on the thesis's slices",
        "runs": "no run is finished",
    }
)
USUAL = ("verdicts", "patients", "claims", "arms", "runs")  # the others when asked for
