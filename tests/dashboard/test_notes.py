"""Notes of trials in words: what they tell, and that no text in them becomes more than text."""

from __future__ import annotations

import html
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from netwright.dashboard.notes import ENDINGS, markdown_text, trial_note
from netwright.runs.left_out import LEFT_OUT
from netwright.runs.trials import RUNNING, STOPPED, TrialRecord
from netwright.settings import RunSettings
from netwright.training.outcome import Cost, Outcome, Status

SETTINGS = RunSettings.model_validate(
    {
        "recipe": "segnas4",
        "dataset": {"path": "/nowhere"},
        "space": {"name": "segnas"},
        "strategy": {"name": "random"},
        "objective": {"metric": "dice"},
    }
)


def record(status: str, outcome: Outcome | None = None, **changes: Any) -> TrialRecord:
    """A trial with a choice."""
    trial = TrialRecord(7, {"n": 2}, status, "", None, outcome, None, 0.0, 1.0, words="two blocks")
    return replace(trial, **changes)


def note(trial: TrialRecord) -> str:
    """Its note as a page shows it, in paragraphs."""
    shown = MarkdownIt().render(trial_note(trial, SETTINGS, lambda asked: asked.words))
    return html.unescape(shown)


def test_every_status_is_told() -> None:
    assert set(ENDINGS) == {*Status, STOPPED, RUNNING, LEFT_OUT}


def test_a_complete_trial_tells_what_it_is_how_it_ended_and_what_it_costs() -> None:
    outcome = Outcome(
        Status.COMPLETE,
        metrics={"dice": 0.8841},
        cost=Cost(parameters=411_000, flops=2.5e9),
        epochs=9,
        planned_epochs=12,
        seconds=192.0,
    )
    assert note(record("complete", outcome, reward=0.8841)) == (
        "<p><strong>What it is.</strong> two blocks</p>\n"
        "<p><strong>How it ended.</strong> It was trained to the end of its budget. Validation Dice 0.884. "
        "9 epochs of 12 in 3 m 12 s.</p>\n"
        "<p><strong>What it costs.</strong> 0.41 M parameters (1.6 MB), 2.5 GFLOPs for an image</p>\n"
    )


def test_a_failure_has_its_reason_and_a_reused_result_its_trial() -> None:
    outcome = Outcome(Status.DIVERGED, "the loss was nan in epoch 3", epochs=2, planned_epochs=8, seconds=4.0)
    shown = note(record("diverged", outcome, reason=outcome.reason, cached_from=3))
    assert "<p><strong>Why.</strong> the loss was nan in epoch 3</p>" in shown
    assert "The same network as trial 3" in shown
    assert "epochs of" not in shown, "trial 3 was trained, and not this one"


@pytest.mark.parametrize("status", [RUNNING, "a status of a later version"])
def test_a_trial_without_outcome_has_a_note(status: str) -> None:
    assert "two blocks" in note(record(status))
    assert "Not proposed yet" in note(record(status, choice={}))


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"])))
def test_text_stays_text(text: str) -> None:
    """As CommonMark and GitHub's Markdown read it: no formatting, no link, no HTML."""
    words = " ".join(text.split())
    for reader in (MarkdownIt("commonmark"), MarkdownIt("gfm-like", {"linkify": False})):
        shown = reader.render(f"**x** {markdown_text(text)}")
        assert html.unescape(shown) == f"<p><strong>x</strong>{f' {words}' if words else ''}</p>\n"
        assert shown.count("<") == 4
