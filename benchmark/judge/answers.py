"""The answers that a judgement comes to, each a question, a verdict and sentences. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from benchmark.judge import does_it_hold
from benchmark.judge.cells import Panel, data_of, size_of
from benchmark.judge.claims.evidence import ClaimVerdict
from benchmark.judge.claims.predicates import CHECKS
from benchmark.judge.claims.table import JudgedClaim
from benchmark.judge.comparisons.arms import is_reference
from benchmark.judge.comparisons.leak import has_anatomy, median_difference
from benchmark.judge.comparisons.own_arms import own_arms
from benchmark.judge.comparisons.second_reader import against_in_words
from benchmark.judge.comparisons.split_effect import SplitEffect
from benchmark.judge.comparisons.superseded import told
from benchmark.judge.comparisons.two_readers import two_readers_in_words
from benchmark.judge.judgement import Judgement
from benchmark.judge.looks import CHANGED, counted, looked_at, times_before
from benchmark.judge.reference import SplitEffectRule
from benchmark.judge.statistics.contrast import DICE, mean
from benchmark.judge.tables import wrapped

ONCE = (
    "Each claim is judged once, at the image size and precision nearest the thesis's at which it "
    "can be tested; no verdict rests on single trainings."
)
CHECK = "Not counted, a check that follows from the loss whatever the data"
MARGIN = (
    "Equivalent is what two one-sided tests put within {:g} of the reader. It is agreement and not "
    "truth, on slices that are no external test set (compare --section readers)."
)
TOO_WIDE = (
    "With intervals as wide as these no difference, not even 0, would be called equivalent yet."
)
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


def questions(judgement: Judgement) -> list[Answer]:
    """The questions, each answered by a word or two and the sentences behind them.

    The three on the thesis, one on its cell beside a second reader where that tested slices which
    were read twice, and one on a user's arms that are not its own; without the thesis's where
    nothing was run for it.
    """
    if judgement.own_arms_alone:
        both_ways = judgement.split_effects_nearest_first
        patients = [_without_a_shared_patient(judgement)] if both_ways else []
        return [_how_do_arms_do(judgement), *patients]
    own = [_how_do_arms_do(judgement)] if judgement.own_arms else []
    thesis = [_does_it_hold(judgement), _do_claims_hold(judgement)]
    return [*thesis, _without_a_shared_patient(judgement), *_beside_a_reader(judgement), *own]


def answers(judgement: Judgement) -> list[str]:
    """The questions as lines of text."""
    numbered = enumerate(questions(judgement), 1)
    return [line for number, answer in numbered for line in answer.text(number)]


def _how_do_arms_do(judgement: Judgement) -> Answer:
    compared = [(panel, rows) for panel, rows in judgement.comparisons if rows]
    rule = judgement.tolerances.contrasts
    return Answer("How do your arms do?", *own_arms(compared, judgement.without_reference, rule))


def _does_it_hold(judgement: Judgement) -> Answer:
    row, rule, replaced = judgement.printed.dice, judgement.tolerances.dice, judgement.replaced
    lines = does_it_hold.answer(row, judgement.selection, judgement.reference, rule)
    if replaced and judgement.alternatives:
        day, runs = str(_changed_on(judgement, "dice")), judgement.collected
        lines.insert(1, told(judgement.alternatives, runs, replaced, day, rule.max_half_width))
    lines += looked_at(_looked_at(judgement, "dice"), rule.level)
    return Answer(f"Does {row.reference:g} hold?", row.verdict.value, tuple(lines))


def _changed_on(judgement: Judgement, rule: str) -> date:
    """The day of the last change of a rule."""
    return max(change.date for change in judgement.tolerances.changes if change.rule == rule)


def _do_claims_hold(judgement: Judgement) -> Answer:
    question, not_testable = "Do its claims hold?", ClaimVerdict.NOT_TESTABLE
    if not judgement.claims_once:
        nothing = ("Nothing has been run with the thesis's settings.",)
        return Answer(question, str(not_testable), nothing)
    by_verdict = {verdict: list[tuple[Panel, JudgedClaim]]() for verdict in ClaimVerdict}
    for panel, claim in judgement.claims_once:
        if claim.claim.id not in CHECKS:
            by_verdict[claim.text.standing].append((panel, claim))
    verdict = ", ".join(f"{len(own)} {what}" for what, own in by_verdict.items() if own)
    waiting = ", ".join(claim.claim.id for _, claim in by_verdict.pop(not_testable))
    lines = [_claim(*judged) for claims in by_verdict.values() for judged in claims]
    if waiting:
        lines.append(f"{not_testable}: {waiting} (compare --section claims says why).")
    checks = [judged for judged in judgement.claims_once if judged[1].claim.id in CHECKS]
    lines += [f"{CHECK}: {_claim(*judged)}" for judged in checks]
    lines += [ONCE, *_claims_looked_at(judgement)]
    return Answer(question, verdict, tuple(lines))


def _claims_looked_at(judgement: Judgement) -> list[str]:
    """The sentence on the claims whose intervals were looked at before, if there are any."""
    ids = (judged.claim.id for _, judged in judgement.claims_once)
    times = {name: _looked_at(judgement, name) for name in ids}
    told = ", ".join(f"{name} {counted(n)}" for name, n in times.items() if n)
    covers = f"their intervals cover somewhat less than {judgement.tolerances.claims.level:.0%}"
    return [f"Looked at before, {CHANGED}: {told}; {covers}."] if told else []


def _without_a_shared_patient(judgement: Judgement) -> Answer:
    """Of the first cell that was run both ways, the thesis's; the verdict is that on the nearest
    terms, and other cells are counted.
    """
    rule, effects = judgement.tolerances.split_effect, judgement.split_effects_nearest_first
    own = [effect for effect in effects if effect.image.name == effects[0].image.name]
    lines = [_split_effect(effect, rule) for effect in own]
    if effects and _taken_apart(judgement, effects[0]):
        lines[0] += (
            " Beside the leak four things differ, and the median slice differs by "
            f"{median_difference(effects[0]):+.3f} (compare --section variance)."
        )
    if others := len(effects) - len(own):
        lines.append(
            f"{others} other{'s were' if others > 1 else ' was'} run both ways "
            "(compare --section patients)."
        )
    lines += looked_at(_looked_at(judgement, "split-effect"), rule.level)
    question = "How high is the score when no patient is in both train and test?"
    return Answer(question, judgement.split_verdict, tuple(lines or [NO_EFFECT]))


def _taken_apart(judgement: Judgement, effect: SplitEffect) -> bool:
    """True for what `Judgement.anatomy` has two tables of."""
    own = is_reference(effect.image, judgement.tolerances.contrasts.reference)
    return own and has_anatomy(effect)


def _beside_a_reader(judgement: Judgement) -> list[Answer]:
    """The thesis's cell against a second reader, on each size and kind of split; none without."""
    second, rule = judgement.second, judgement.tolerances.second_reader
    if second is None or not judgement.reference_against_reader:
        return []
    verdicts, lines = [], [two_readers_in_words(second, rule.level)]
    for panel, row in judgement.reference_against_reader:
        run = panel.runs.iloc[0]
        where = f"{size_of(run)}, {run['precision']}, split by {run['split_unit']}"
        verdicts.append(f"{size_of(run)} by {run['split_unit']}: {row.standing}")
        lines.append(f"{row.cell.name} at {where}: {against_in_words(row, rule.level)}.")
    rows = [row.difference for _, row in judgement.reference_against_reader if row.difference]
    if all(row.half_width(2 * rule.level - 1) > rule.margin for row in rows):
        lines.append(TOO_WIDE)
    lines += [MARGIN.format(rule.margin), *looked_at(_looked_at(judgement, "second-reader"),
                                                     rule.level)]  # fmt: skip
    return [Answer("How near is it to what two readers agree on?", "; ".join(verdicts), (*lines,))]


def _looked_at(judgement: Judgement, answer: str) -> int:
    """How often the interval of an answer was looked at before."""
    return times_before(judgement.looks, answer, judgement.in_short.get(answer, ""))


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
