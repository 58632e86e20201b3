"""The whole judgement of a folder of runs: three answers in words, then the tables behind them, by section. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from benchmark.collect import Collected
from benchmark.judge import comparable
from benchmark.judge.cells import Panel, panels
from benchmark.judge.claims_table import Judged, claims_table, judge_claims, on_its_terms
from benchmark.judge.compare import Row, compare, verdict_table
from benchmark.judge.ground import Standing, side
from benchmark.judge.headline import headline
from benchmark.judge.interval import power_table
from benchmark.judge.leak import Leak, leak_table, leaks
from benchmark.judge.measures import agreement_table, boundaries_table, measured
from benchmark.judge.precisions import precisions, precisions_table
from benchmark.judge.reference import Reference, Tolerances
from benchmark.judge.results import results_tables
from benchmark.judge.tables import Table, digits
from benchmark.judge.versus import duels, versus_table

MORE_DRAWS, MORE_SEEDS = (1, 2, 5), (3, 5, 10)  # of the table of what more runs would bring


LEFT = {1: "lower by patient", -1: "higher by patient", 0: "undecided"}  # by the side of 0 that the interval is on


@dataclass(frozen=True)
class Answer:
    """verdict: a word or two; lines: sentences; beside: in text, verdict and first sentence follow the question."""

    question: str
    verdict: str
    lines: tuple[str, ...]
    beside: bool = False

    def text(self, number: int) -> list[str]:
        """The answer in lines, the question first."""
        first = f"{number}. {self.question}"
        if not self.beside:
            return [first, *(f"   {line}" for line in self.lines)]
        return [f"{first} {self.verdict}: {self.lines[0]}", *(f"   {line}" for line in self.lines[1:])]


@dataclass(frozen=True, eq=False)
class Judgement:
    """What finished runs come to against the thesis; each part is worked out when it is asked for."""

    collected: Collected
    reference: Reference
    tolerances: Tolerances

    @cached_property
    def rows(self) -> list[Row]:
        """The verdicts on the printed numbers; the exit code reads them."""
        return compare(self.collected, self.reference, self.tolerances)

    @cached_property
    def panels(self) -> list[Panel]:
        return panels(self.collected)

    @cached_property
    def claims(self) -> list[tuple[Panel, list[Judged]]]:
        """Every claim on every panel of the thesis's terms, its own image size first."""
        own = [panel for panel in self.panels if on_its_terms(panel, self.reference, self.tolerances)]
        own.sort(key=lambda panel: panel.runs.iloc[0]["height"] != self.tolerances.dice.image_size)
        return [(panel, judge_claims(panel, self.reference, self.tolerances)) for panel in own]

    @cached_property
    def leaks(self) -> list[Leak]:
        return leaks(self.collected)

    def questions(self) -> list[Answer]:
        """The three questions, each answered by a word or two and the sentences behind them."""
        return [self._does_it_hold(), self._do_claims_hold(), self._what_is_left()]

    def answers(self) -> list[str]:
        """The three questions as lines of text."""
        return [line for number, one in enumerate(self.questions(), 1) for line in one.text(number)]

    def _does_it_hold(self) -> Answer:
        row = self.rows[-1]
        lines = [f"{row.why}."]
        if row.spread and row.spread.seeds:
            margin = row.spread.smallest_margin(row.reference, self.tolerances.dice.level)
            lines += [f"Equivalence: two one-sided tests pass at a margin of {margin:.3f} or more (secondary)."]
        return Answer(f"Does {row.reference:g} hold?", row.verdict.value, tuple(lines), beside=True)

    def _do_claims_hold(self) -> Answer:
        lines, counts = [], []
        for panel, judged in self.claims:
            named = {what: [one.claim.id for one in judged if one.text.standing is what] for what in Standing}
            open_ones = len(named.pop(Standing.NOT_TESTABLE))
            told = [f"{what}: {', '.join(ids)}" for what, ids in named.items() if ids]
            lines.append(f"{panel.title}: {'; '.join([*told, f'{Standing.NOT_TESTABLE}: {open_ones}'])}.")
            counts.append([f"{len(ids)} {what}" for what, ids in named.items() if ids])
            counts[-1] += [f"{open_ones} {Standing.NOT_TESTABLE}"] if open_ones else []
        verdict = ", ".join(counts[0]) if counts else str(Standing.NOT_TESTABLE)
        return Answer("Do its claims hold?", verdict, tuple(lines or ["No run on its terms."]))

    def _what_is_left(self) -> Answer:
        lines, verdicts = [], []
        for one in self.leaks:
            if one.image.runs.iloc[0]["phantom"]:
                continue
            row = leak_table([one], self.tolerances.leak).numbers.iloc[0]
            verdicts.append(LEFT[side(one.difference, self.tolerances.leak.level)])
            lines.append(
                f"{row['arm']}, {row['data']}, {row['size']}, {row['precision']}: {row['dice_image']:.3f} by image, "
                f"{row['dice_patient']:.3f} by patient on the same {row['slices']} slices; "
                + (
                    f"difference {row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]."
                    if one.difference
                    else "no interval without two known patients and, for an arm that trains, two seeds on one split."
                )
            )
        nothing = ["Not known yet: no arm was run by image and by patient from the same seed on a slice in common."]
        question = "What is left when no patient is in both train and test?"
        return Answer(question, verdicts[0] if verdicts else "not known yet", tuple(lines or nothing))

    def verdicts(self) -> list[Table]:
        """The printed numbers, and what more runs would bring."""
        table = verdict_table(self.rows)
        done = comparable.progress(self.collected, self.reference, self.tolerances)
        tables = [Table(table.title, table.numbers, table.shown, (*table.notes, done))]
        spread, rule, other = self.rows[-1].spread, self.tolerances.dice, self.reference.best_cell.seeds
        if spread and spread.seeds:
            numbers = power_table(spread, other, rule.level, rule.power, MORE_DRAWS, MORE_SEEDS)
            shown = numbers.astype({"draws": str, "seeds": str, "trainings": str}).assign(
                half_width=digits(numbers["half_width"], 3), difference=digits(numbers["difference"], 3)
            )
            names = {"half_width": "expected +-", "difference": f"difference found with power {rule.power:g}"}
            note = (
                f"A verdict of reproduced needs +- {rule.max_half_width:g} or less, and {rule.min_seeds} seeds a draw."
            )
            title = f"What more trainings would bring, at the spread of these {spread.n}."
            tables.append(Table(title, numbers, shown.rename(columns=names), (note,)))
        return tables

    def patients(self) -> list[Table]:
        """The three numbers that stand first, and the leak of every arm that was run both ways."""
        first = headline(self.collected, self.reference, self.tolerances)
        return [first, *([leak_table(self.leaks, self.tolerances.leak)] if self.leaks else [])]

    def claims_tables(self) -> list[Table]:
        return [claims_table(panel, rows, self.reference, self.tolerances) for panel, rows in self.claims]

    def arms(self) -> list[Table]:
        """Arms against arms, wherever the reference cell met another."""
        rule = self.tolerances.contrasts
        found = [(panel, duels(panel, rule)) for panel in self.panels]
        return [versus_table(panel, rows, rule) for panel, rows in found if len(rows) > 1]

    def measures(self) -> list[Table]:
        """Boundaries, misses and sizes of every panel whose runs have them."""
        sizes = self.tolerances.sizes
        own = [panel for panel in self.panels if any(map(measured, panel.cells))]
        return [table(panel, sizes) for panel in own for table in (boundaries_table, agreement_table)]

    def runs(self) -> list[Table]:
        """Every finished run, by conditions; lower precisions against the plain one."""
        pairs = precisions(self.collected.runs, self.tolerances.precision)
        own = results_tables(self.collected)
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
        "claims": "no run on the thesis's slices and protocol",
        "arms": "nothing was run under the same terms as the reference cell",
        "measures": "no runs have them all yet; `python -m benchmark rescore` adds them to older ones",
        "runs": "none is finished",
    }
)
USUAL = ("verdicts", "patients", "claims", "arms", "runs")  # the others when asked for
