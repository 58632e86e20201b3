"""The whole judgement of a folder of runs: three answers in words, then the tables behind them, by
section. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

import pandas as pd

from benchmark.judge import comparable
from benchmark.judge.cells import Panel, panels
from benchmark.judge.claims.evidence import ClaimVerdict, side
from benchmark.judge.claims.table import JudgedClaim, claims_table, judge_claims, on_its_terms
from benchmark.judge.comparisons.arms import arms_table, is_reference, pairwise_comparisons
from benchmark.judge.comparisons.headline import headline
from benchmark.judge.comparisons.measures import agreement_table, boundaries_table, measured
from benchmark.judge.comparisons.precisions import precisions, precisions_table
from benchmark.judge.comparisons.runs import runs_tables
from benchmark.judge.comparisons.split_effect import SplitEffect, split_effect_table, split_effects
from benchmark.judge.reference import Reference, Tolerances
from benchmark.judge.statistics.prediction_interval import power_table
from benchmark.judge.tables import Column, Table, wrapped
from benchmark.judge.verdicts import VerdictRow, compare, verdict_table
from benchmark.runs.collect import Collected

MORE_DRAWS, MORE_SEEDS = (1, 2, 5), (3, 5, 10)  # of the table of what more runs would bring


LEFT = {
    1: "lower by patient",
    -1: "higher by patient",
    0: "undecided",
}  # by the side of 0 that the interval is on
NEAREST = "at the image size and precision nearest the thesis's at which it can be tested."


@dataclass(frozen=True)
class Answer:
    """verdict: a word or two; lines: sentences."""

    question: str
    verdict: str
    lines: tuple[str, ...]

    def text(self, number: int) -> list[str]:
        """The answer in lines of a terminal's width: the question with its verdict, then the
        sentences below it.
        """
        sentences = (part for line in self.lines for part in wrapped(line, "   "))
        return [f"{number}. {self.question} {self.verdict}.", *sentences]


def _claim(panel: Panel, one: JudgedClaim) -> str:
    """One claim's verdict in a sentence; the other reading of alpha where it makes another
    verdict.
    """
    first = panel.runs.iloc[0]
    terms = f"{one.claim.id}; at {first['height']}x{first['width']}, {first['precision']}"
    swapped = (
        ""
        if one.swapped.standing is one.text.standing
        else f"; {one.swapped.standing} if alpha was swapped"
    )
    return f'{one.text.standing}: "{one.claim.statement}" ({terms}{swapped}).'


@dataclass(frozen=True, eq=False)
class Judgement:
    """What finished runs come to against the thesis; each part is worked out when it is asked
    for.
    """

    collected: Collected
    reference: Reference
    tolerances: Tolerances

    @cached_property
    def rows(self) -> list[VerdictRow]:
        """The verdicts on the printed numbers; the exit code reads them."""
        return compare(self.collected, self.reference, self.tolerances)

    @cached_property
    def panels(self) -> list[Panel]:
        return panels(self.collected)

    @cached_property
    def claims(self) -> list[tuple[Panel, list[JudgedClaim]]]:
        """Every claim on every panel of the thesis's protocol; the terms nearest the thesis's
        first.

        Nearest by image size, then a precision that the thesis may have had before others.
        """
        own = [
            panel for panel in self.panels if on_its_terms(panel, self.reference, self.tolerances)
        ]
        own.sort(key=lambda panel: self._distance(panel.runs))
        return [(panel, judge_claims(panel, self.reference, self.tolerances)) for panel in own]

    def _distance(self, runs: pd.DataFrame) -> tuple[int, bool]:
        """How far the terms of runs that share them are from the thesis's."""
        rule, first = self.tolerances.dice, runs.iloc[0]
        return abs(int(first["height"]) - rule.image_size), first[
            "precision"
        ] not in rule.precisions

    @cached_property
    def claims_once(self) -> list[tuple[Panel, JudgedClaim]]:
        """Each claim once: on the terms nearest the thesis's on which it can be tested, else on the
        nearest of all.
        """
        by_claim = zip(
            *([(panel, one) for one in judged] for panel, judged in self.claims), strict=True
        )
        return [
            next(
                (on for on in found if on[1].text.standing is not ClaimVerdict.NOT_TESTABLE),
                found[0],
            )
            for found in by_claim
        ]

    @cached_property
    def leaks(self) -> list[SplitEffect]:
        return split_effects(self.collected)

    def questions(self) -> list[Answer]:
        """The three questions, each answered by a word or two and the sentences behind them."""
        return [self._does_it_hold(), self._do_claims_hold(), self._without_a_shared_patient()]

    def answers(self) -> list[str]:
        """The three questions as lines of text."""
        return [line for number, one in enumerate(self.questions(), 1) for line in one.text(number)]

    def _does_it_hold(self) -> Answer:
        row = self.rows[-1]
        lines = [f"{row.why}."]
        if row.spread and row.spread.seeds:
            margin = row.spread.smallest_margin(row.reference, self.tolerances.dice.level)
            lines += [
                f"Equality is shown only to within {margin:.3f} (two one-sided tests; secondary, decides nothing)."
            ]
        return Answer(f"Does {row.reference:g} hold?", row.verdict.value, tuple(lines))

    def _do_claims_hold(self) -> Answer:
        question, by_verdict = (
            "Do its claims hold?",
            {what: list[tuple[Panel, JudgedClaim]]() for what in ClaimVerdict},
        )
        for panel, one in self.claims_once:
            by_verdict[one.text.standing].append((panel, one))
        waiting = [one.claim.id for _, one in by_verdict[ClaimVerdict.NOT_TESTABLE]]
        verdict = ", ".join(f"{len(ones)} {what}" for what, ones in by_verdict.items() if ones)
        if not verdict:
            return Answer(
                question,
                str(ClaimVerdict.NOT_TESTABLE),
                ("Nothing has been run with the thesis's settings.",),
            )
        del by_verdict[ClaimVerdict.NOT_TESTABLE]
        lines = [_claim(panel, one) for ones in by_verdict.values() for panel, one in ones]
        if waiting:
            lines.append(
                f"{ClaimVerdict.NOT_TESTABLE}: {', '.join(waiting)} (compare --section claims says why)."
            )
        return Answer(question, verdict, (*lines, "Each claim is judged once, " + NEAREST))

    def _without_a_shared_patient(self) -> Answer:
        """Of every arm that was run both ways; the verdict is the first's: the thesis's cell, on
        the nearest terms.
        """
        lines, verdicts, own = [], [], self.tolerances.contrasts.reference
        for one in sorted(
            self.leaks,
            key=lambda leak: (not is_reference(leak.image, own), *self._distance(leak.image.runs)),
        ):
            if one.image.runs.iloc[0]["phantom"]:
                continue
            row = split_effect_table([one], self.tolerances.leak).numbers.iloc[0]
            verdicts.append(LEFT[side(one.difference, self.tolerances.leak.level)])
            lines.append(
                f"{row['arm']} on {row['data']} at {row['size']}, {row['precision']}: {row['dice_patient']:.3f} split "
                f"by patient, {row['dice_image']:.3f} split by image, on the same {row['slices']} slices; "
                + (
                    f"by image minus by patient {row['difference']:+.3f}, {self.tolerances.leak.level:.0%} interval "
                    f"{row['low']:+.3f} to {row['high']:+.3f}."
                    if one.difference
                    else "an interval needs two known patients and, for an arm that trains, two seeds on one split."
                )
            )
        nothing = [
            "No arm has been run in splits by image and by patient from the same seed on a slice in common."
        ]
        question = "How high is the score when no patient is in both train and test?"
        return Answer(
            question, verdicts[0] if verdicts else "not known yet", tuple(lines or nothing)
        )

    def verdicts(self) -> list[Table]:
        """The printed numbers, and what more runs would bring."""
        table = verdict_table(self.rows)
        done = comparable.progress(self.collected, self.reference, self.tolerances)
        tables = [replace(table, notes=(*table.notes, done))]
        spread, rule, other = (
            self.rows[-1].spread,
            self.tolerances.dice,
            self.reference.best_cell.seeds,
        )
        if spread and spread.seeds:
            power = power_table(spread, other, rule.level, rule.power, MORE_DRAWS, MORE_SEEDS)
            columns = (
                Column("draws", "draws"),
                Column("seeds", "seeds"),
                Column("trainings", "trainings"),
                Column("expected +-", "half_width", "{:.3f}"),
                Column(f"difference found with power {rule.power:g}", "difference", "{:.3f}"),
            )
            note = (
                f"A verdict of reproduced needs +- {rule.max_half_width:g} or less, and {rule.min_seeds} seeds on each "
                "draw."
            )
            title = f"What more trainings would bring, if they vary as these {spread.n} do."
            tables.append(Table(title, power.to_dict("records"), columns, (note,)))
        return tables

    def patients(self) -> list[Table]:
        """The three numbers that stand first, and the leak of every arm that was run both ways."""
        first = headline(self.collected, self.reference, self.tolerances)
        return [
            first,
            *([split_effect_table(self.leaks, self.tolerances.leak)] if self.leaks else []),
        ]

    def claims_tables(self) -> list[Table]:
        return [
            claims_table(panel, rows, self.reference, self.tolerances)
            for panel, rows in self.claims
        ]

    def arms(self) -> list[Table]:
        """Arms against arms, wherever the reference cell met another."""
        rule = self.tolerances.contrasts
        found = [(panel, pairwise_comparisons(panel, rule)) for panel in self.panels]
        return [arms_table(panel, rows, rule) for panel, rows in found if len(rows) > 1]

    def measures(self) -> list[Table]:
        """Boundaries, misses and sizes of every panel whose runs have them."""
        sizes = self.tolerances.sizes
        own = [panel for panel in self.panels if any(map(measured, panel.cells))]
        return [
            table(panel, sizes) for panel in own for table in (boundaries_table, agreement_table)
        ]

    def runs(self) -> list[Table]:
        """Every finished run, by conditions; lower precisions against the plain one."""
        pairs = precisions(self.collected.runs, self.tolerances.precision)
        own = runs_tables(self.collected)
        return [*own, *([precisions_table(pairs, self.tolerances.precision)] if pairs else [])]


SECTIONS: Mapping[str, Callable[[Judgement], Sequence[Table]]] = MappingProxyType(
    {
        "verdicts": Judgement.verdicts,
        "patients": Judgement.patients,
        "claims": Judgement.claims_tables,
        "arms": Judgement.arms,
        "measures": Judgement.measures,
        "runs": Judgement.runs,
    }
)
WHY_EMPTY = MappingProxyType(  # of the sections that may be
    {
        "claims": "nothing has been run on the thesis's slices with its protocol",
        "arms": "no other arm has been run under the same terms as unet 5x5, alpha 0.5",
        "measures": "no runs have them all yet; `python -m benchmark rescore` adds them to older runs",
        "runs": "no run is finished",
    }
)
USUAL = ("verdicts", "patients", "claims", "arms", "runs")  # the others when asked for
