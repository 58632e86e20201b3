"""The table of changed rules: each names a rule that is there; what it said was printed then."""

from __future__ import annotations

import re
from datetime import date

import pytest
from bench_forms import ROOT
from run_records import terms

from benchmark.judge.judgement import Judgement
from benchmark.judge.shipped import shipped

CHANGES = terms()[1].changes
PRINTED = {  # by docs/findings.md at commit a23cba8, the last before the changes of that day
    "dice": "1. Does 0.898 hold? reproduced. 0.898 lies in the prediction interval 0.889 +- 0.050 "
    "(fp32).",
    "intervals": "extremes-worse | confirmed | confirmed | mean Dice, alphas near 0.5 minus "
    "extreme alphas: +0.072 [+0.053, +0.091]; unet 7x7, alpha 0.9 | 1 x 1 | worse; "
    "unet 3x3, alpha 0.9 | 1 x 1 | worse; tells only two of the twenty-two from the reference; "
    "alpha-direction | confirmed | contradicted | sensitivity +0.172 [+0.112, +0.231]",
    "best-cell": "not testable yet: best-cell, small-kernels-mean, small-kernels-spread, "
    "tversky-no-gain, image-spread, vessels-excluded",
    "extremes-worse": "(extremes-worse; at 256x256, fp32). extremes-worse | confirmed | confirmed "
    "| mean Dice, alphas near 0.5 minus extreme alphas: +0.072 [+0.053, +0.091]",
    "alpha-direction": "confirmed: Alpha above beta pushes towards sensitivity, beta above alpha "
    "towards specificity. (alpha-direction; at 256x256, fp32; contradicted if alpha was swapped)",
    "small-tumours": "confirmed: Small tumours get a low Dice even where the outline looks right. "
    "(small-tumours; at 512x512, fp32).",
    "necrotic-centres": "undecided: The necrotic centre of some large tumours is missed. "
    "(necrotic-centres; at 512x512, fp32).",
    "split_effect": "How high is the score when no patient is in both train and test? lower by "
    "patient. by image minus by patient +0.036, 95% interval +0.015 to +0.057.",
    "precision": "| unet | 256x256 | by-image-1 | bf16 | 3 | 0.8594 | 0.8514 | equivalent |",
}  # fmt: skip
SAME = {"tversky-no-gain": "best-cell", "image-spread": "best-cell"}
VERDICTS = ("not testable yet", "confirmed", "undecided", "contradicted", "reproduced", "worse",
            "lower", "equivalent", "inconclusive")  # fmt: skip
MATCHING = "matching"  # a way to match cells, which an added run would have shown
NO_VERDICT = (MATCHING, "second_reader")  # nothing was asked before there was a second reading


def test_every_change_names_a_rule_or_a_claim_that_is_there() -> None:
    """And the judgement knows what it says now; of another name it would have to ask."""
    reference, rules = terms()
    known = {*vars(rules), *(claim.id for claim in reference.claims), MATCHING}
    assert [change.rule for change in CHANGES if change.rule not in known] == []
    found = Judgement(shipped().collected, *terms())
    assert all(found.says(change.rule) for change in CHANGES)
    with pytest.raises(KeyError, match="no-such-rule"):
        found.says("no-such-rule")


def test_changes_stand_in_the_order_of_their_days() -> None:
    days = [change.date for change in CHANGES]
    assert days == sorted(days)
    assert all(isinstance(day, date) for day in days)


def test_every_change_says_before_now_and_what_was_known() -> None:
    for change in CHANGES:
        assert len({change.was, change.now, change.known, change.said}) == 4
        assert min(len(text) for text in (change.was, change.now, change.known)) > 20


@pytest.mark.parametrize(
    "change", [c for c in CHANGES if c.date == date(2026, 11, 30) and c.rule not in NO_VERDICT],
    ids=lambda change: change.rule,
)  # fmt: skip
def test_what_a_rule_said_is_what_was_printed_then(change: object) -> None:
    """Its verdicts and its figures, none of which is of later."""
    rule, said = change.rule, change.said  # type: ignore[attr-defined]
    printed = PRINTED[SAME.get(rule, rule)]
    verdicts = [verdict for verdict in VERDICTS if verdict in said]
    assert verdicts
    assert [verdict for verdict in verdicts if verdict not in printed] == []
    figures = re.findall(r"\d+\.\d+|\d+x\d+|bf16", said)
    assert [figure for figure in figures if figure not in printed] == []


def test_the_table_has_a_row_for_each_with_both_rules_and_both_verdicts() -> None:
    (made,) = shipped().rules()
    assert made.texts["rule"] == [change.rule for change in CHANGES]
    assert made.texts["before"] == [change.was for change in CHANGES]
    assert made.texts["the rule before said"] == [change.said for change in CHANGES]
    at = dict(zip(made.texts["rule"], made.texts["the rule now says"], strict=True))
    dice = shipped().printed.dice
    assert at["dice"] == f"{dice.verdict}: {dice.why}"
    assert at["precision"] == "bf16 undecided"
    once = {judged.claim.id: judged.text.standing for _, judged in shipped().claims_once}
    for rule in once.keys() & at.keys():
        assert f"{once[rule]} at " in at[rule]
    path, _ = at["matching"].split("(")[1].split(")")
    assert (ROOT / path).is_file()


def test_what_a_rule_says_of_a_claim_is_told_of_every_panel_that_it_was_judged_on() -> None:
    """So a verdict that moved stands beside what the rule before said, on the panel it said it of:
    at 256x256, and not where the terms are nearest the thesis's alone.
    """
    found = shipped()
    places = {"512x512": 0, "256x256 fp32": 1, "256x256 bf16": 2}
    for claim in ("extremes-worse", "best-cell", "small-tumours", "necrotic-centres"):
        said = found.says(claim)
        for place, number in places.items():
            panel, rows = found.claims[number]
            run = panel.runs.iloc[0]
            assert place.startswith(f"{run['height']}x{run['width']}")
            (standing,) = (row.text.standing for row in rows if row.claim.id == claim)
            (part,) = (part for part in said.split("; ") if place in part)
            assert part.startswith(f"{standing} at ")


def test_what_the_split_says_now_is_told_as_what_it_said_before() -> None:
    assert shipped().says("split_effect").startswith("lower by patient: +0.036 [")
