"""The whole judgement of a folder of runs: answers, and the tables behind them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from types import MappingProxyType

import pandas as pd

from benchmark.judge import comparable, does_it_hold
from benchmark.judge.cells import Panel, data_of, panels, size_of
from benchmark.judge.claims.evidence import ClaimVerdict, Reading, grid_evidence, side
from benchmark.judge.claims.may_be_best import best_table
from benchmark.judge.claims.predicates import CHECKS
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
from benchmark.judge.comparisons.leak import (
    anatomy_table,
    has_anatomy,
    median_difference,
    what_differs_table,
)
from benchmark.judge.comparisons.measures import agreement_table, boundaries_table, measured
from benchmark.judge.comparisons.own_arms import own_arms
from benchmark.judge.comparisons.patients import averages_table, distribution_table, worst_table
from benchmark.judge.comparisons.precisions import PrecisionRow, precisions, precisions_table
from benchmark.judge.comparisons.reference_cell import has_other_arms
from benchmark.judge.comparisons.reference_trainings import ReferenceTrainings, reference_trainings
from benchmark.judge.comparisons.runs import runs_tables
from benchmark.judge.comparisons.split_effect import SplitEffect, split_effect_table, split_effects
from benchmark.judge.comparisons.stopping import best_epochs, stopping_table
from benchmark.judge.comparisons.superseded import (
    IN_PLACE,
    Alternative,
    Superseded,
    hanging_table,
    in_question,
    replaced_table,
    told,
    why,
    with_superseded,
)
from benchmark.judge.comparisons.variance_components import between_splits_table, components_table
from benchmark.judge.does_it_hold import Selection, listed
from benchmark.judge.looks import CHANGED, Look, counted, looked_at, times_before
from benchmark.judge.reference import Reference, SplitEffectRule, Tolerances
from benchmark.judge.statistics.contrast import DICE, mean
from benchmark.judge.statistics.more_runs import power_table
from benchmark.judge.statistics.prediction_interval import Question
from benchmark.judge.statistics.selection import optimism
from benchmark.judge.tables import Column, Table, wrapped
from benchmark.judge.verdicts import (
    PrintedNumbers,
    Verdict,
    VerdictRow,
    judge_dice,
    judge_printed_numbers,
    verdict_table,
)
from benchmark.runs.collect import Collected

MORE_DRAWS, MORE_SEEDS = (1, 2, 5), (3, 5, 10)  # of the table of what more runs would bring


EFFECT = {1: "lower by patient", -1: "higher by patient", 0: "undecided"}
"""By the side of 0 that the interval of by image minus by patient is on."""
ONCE = (
    "Each claim is judged once, at the image size and precision nearest the thesis's at which it "
    "can be tested; no verdict rests on single trainings."
)
CHECK = "Not counted, a check that follows from the loss whatever the data"
LAW = "an added run takes no verdict away (tests/judge/claims/test_more_runs.py)"
NO_EFFECT = (
    "No arm has been run in splits by image and by patient from the same seed on a slice in common."
)
NO_INTERVAL = (
    "an interval needs two known patients and, for an arm that trains, two seeds on one split."
)


@dataclass(frozen=True)
class Answer:
    """verdict: a word or two; lines: sentences."""

    question: str
    verdict: str
    lines: tuple[str, ...]

    def text(self, number: int) -> list[str]:
        """Lines of a terminal's width: the question with its verdict, then the sentences."""
        first = f"{self.question} {self.verdict}."
        lines = [part for line in (first, *self.lines) for part in wrapped(line, "   ")]
        return [f"{number}. {lines[0].lstrip()}", *lines[1:]]


@dataclass(frozen=True, eq=False)
class Judgement:
    """What finished runs come to; each part is worked out when asked for.

    ours: the records shipped here, where the runs are a user's and not those records. They lend his
    arms their reference where he did not run it, and enter nothing else. superseded: trainings that
    later ones replaced, where the runs are the records shipped here; told of, and counted nowhere.
    looks: at the records shipped here, where the runs are those; a user's folder has no log.
    """

    collected: Collected
    reference: Reference
    tolerances: Tolerances
    ours: Collected | None = None
    superseded: Superseded | None = None
    looks: tuple[Look, ...] = ()

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

    def questions(self) -> list[Answer]:
        """The questions, each answered by a word or two and the sentences behind them.

        The three on the thesis, and one on a user's arms that are not its own; without the thesis's
        where nothing was run for it.
        """
        if self.own_arms_alone:
            patients = [self._without_a_shared_patient()] if self._real_split_effects else []
            return [self._how_do_arms_do(), *patients]
        own = [self._how_do_arms_do()] if self.own_arms else []
        thesis = [self._does_it_hold(), self._do_claims_hold(), self._without_a_shared_patient()]
        return [*thesis, *own]

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
        for effect in self._split_effects_nearest_first[:1]:
            if effect.difference:
                low, high = effect.difference.interval(level)
                measured = f"{effect.difference.value:+.3f} [{low:+.3f}, {high:+.3f}]"
        short["split-effect"] = (self._split_verdict, measured)
        return {name: ": ".join(filter(None, pair)) for name, pair in short.items()}

    def _looked_at(self, answer: str) -> int:
        """How often the interval of an answer was looked at before."""
        return times_before(self.looks, answer, self.in_short.get(answer, ""))

    def answers(self) -> list[str]:
        """The questions as lines of text."""
        answers = enumerate(self.questions(), 1)
        return [line for number, answer in answers for line in answer.text(number)]

    def _how_do_arms_do(self) -> Answer:
        compared = [(panel, rows) for panel, rows in self.comparisons if rows]
        rule = self.tolerances.contrasts
        return Answer("How do your arms do?", *own_arms(compared, self.without_reference, rule))

    def _does_it_hold(self) -> Answer:
        row, terms = self.printed.dice, (self.reference, self.tolerances.dice)
        lines = does_it_hold.answer(row, self.selection, *terms)
        if self.replaced and self.alternatives:
            day, limit = str(self._changed_on("dice")), self.tolerances.dice.max_half_width
            lines.insert(1, told(self.alternatives, self.collected, self.replaced, day, limit))
        lines += looked_at(self._looked_at("dice"), self.tolerances.dice.level)
        return Answer(f"Does {row.reference:g} hold?", row.verdict.value, tuple(lines))

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

    def _changed_on(self, rule: str) -> date:
        """The day of the last change of a rule."""
        return max(change.date for change in self.tolerances.changes if change.rule == rule)

    def _do_claims_hold(self) -> Answer:
        question, not_testable = "Do its claims hold?", ClaimVerdict.NOT_TESTABLE
        if not self.claims_once:
            nothing = ("Nothing has been run with the thesis's settings.",)
            return Answer(question, str(not_testable), nothing)
        by_verdict = {verdict: list[tuple[Panel, JudgedClaim]]() for verdict in ClaimVerdict}
        for panel, claim in self.claims_once:
            if claim.claim.id not in CHECKS:
                by_verdict[claim.text.standing].append((panel, claim))
        verdict = ", ".join(f"{len(own)} {what}" for what, own in by_verdict.items() if own)
        waiting = ", ".join(claim.claim.id for _, claim in by_verdict.pop(not_testable))
        lines = [_claim(*judged) for claims in by_verdict.values() for judged in claims]
        if waiting:
            lines.append(f"{not_testable}: {waiting} (compare --section claims says why).")
        checks = [judged for judged in self.claims_once if judged[1].claim.id in CHECKS]
        lines += [f"{CHECK}: {_claim(*judged)}" for judged in checks]
        lines += [ONCE, *self._claims_looked_at()]
        return Answer(question, verdict, tuple(lines))

    def _claims_looked_at(self) -> list[str]:
        """The sentence on the claims whose intervals were looked at before, if there are any."""
        times = {claim.claim.id: self._looked_at(claim.claim.id) for _, claim in self.claims_once}
        told = ", ".join(f"{name} {counted(n)}" for name, n in times.items() if n)
        covers = f"their intervals cover somewhat less than {self.tolerances.claims.level:.0%}"
        return [f"Looked at before, {CHANGED}: {told}; {covers}."] if told else []

    def _without_a_shared_patient(self) -> Answer:
        """Of every arm that was run both ways; the verdict is the first's: the thesis's cell, on
        the nearest terms.
        """
        rule, effects = self.tolerances.split_effect, self._split_effects_nearest_first
        lines = [_split_effect(effect, rule) for effect in effects]
        if effects and self._taken_apart(effects[0]):
            lines[0] += (
                " Beside the leak four things differ, and the median slice differs by "
                f"{median_difference(effects[0]):+.3f} (compare --section variance)."
            )
        lines += looked_at(self._looked_at("split-effect"), rule.level)
        question = "How high is the score when no patient is in both train and test?"
        return Answer(question, self._split_verdict, tuple(lines or [NO_EFFECT]))

    @cached_property
    def _split_effects_nearest_first(self) -> list[SplitEffect]:
        own = self.tolerances.contrasts.reference
        return sorted(
            self._real_split_effects,
            key=lambda effect: (
                not is_reference(effect.image, own),
                *self._distance(effect.image.runs),
            ),
        )

    @property
    def _split_verdict(self) -> str:
        rule, effects = self.tolerances.split_effect, self._split_effects_nearest_first
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

    def _taken_apart(self, effect: SplitEffect) -> bool:
        """True for what `anatomy` has two tables of."""
        own = is_reference(effect.image, self.tolerances.contrasts.reference)
        return own and has_anatomy(effect)

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


def _claim(panel: Panel, judged: JudgedClaim) -> str:
    """One claim in a sentence; the other reading of alpha where its verdict is another."""
    run, claim, standing = panel.runs.iloc[0], judged.claim, judged.text.standing
    terms = f"{claim.id}; at {size_of(run)}, {run['precision']}"
    if judged.swapped.standing is not standing:
        terms += f"; {judged.swapped.standing} if alpha was swapped"
    return f'{standing}: "{claim.statement}" ({terms}).'


def _split_effect(effect: SplitEffect, rule: SplitEffectRule) -> str:
    """One arm by image and by patient in a sentence."""
    run, difference = effect.image.runs.iloc[0], NO_INTERVAL
    if effect.difference:
        low, high = effect.difference.interval(rule.level)
        difference = (
            f"by image minus by patient {effect.difference.value:+.3f}, {rule.level:.0%} interval "
            f"{low:+.3f} to {high:+.3f}."
        )
    image, patient = mean(effect.image, DICE), mean(effect.patient, DICE)
    return (
        f"{effect.image.name} on {data_of(run)} at {size_of(run)}, {run['precision']}: "
        f"{patient:.3f} split by patient, {image:.3f} split by image, on the same {effect.slices} "
        f"slices; {difference}"
    )


SECTIONS: Mapping[str, Callable[[Judgement], Sequence[Table]]] = MappingProxyType(
    {
        "verdicts": Judgement.verdicts,
        "patients": Judgement.patients,
        "claims": Judgement.claims_tables,
        "arms": Judgement.arms,
        "measures": Judgement.measures,
        "variance": Judgement.variance,
        "runs": Judgement.runs,
        "rules": Judgement.rules,
    }
)
WHY_EMPTY = MappingProxyType(  # of the sections that may be
    {
        "claims": "nothing has been run on the thesis's slices with its protocol",
        "arms": "no other arm has been run under the same terms as unet 5x5, alpha 0.5",
        "measures": "no runs have them all yet; `python -m benchmark rescore` adds them to older "
        "runs",
        "variance": "the reference cell has not been run on the thesis's slices",
        "runs": "no run is finished",
    }
)
USUAL = ("verdicts", "patients", "claims", "arms", "runs")  # the others when asked for
