"""What the shell offers to complete a setting: ``--set <TAB>``, ``--kind <TAB>``."""

from __future__ import annotations

import textwrap

MOST_LETTERS = 75
"""A description is shortened to this length, so that it fits on a line beside the name."""


def complete_sample(incomplete: str) -> list[str]:
    """Kinds of generated data that begin with the given text."""
    from netwright.data.samples import SAMPLES

    return [name for name in SAMPLES if name.startswith(incomplete)]


def complete_setting(incomplete: str) -> list[tuple[str, str]]:
    """Settings that begin with the given text, each with its description; after ``NAME=`` its values, if possible."""
    from netwright.settings.fields import setting_fields

    name, equals, _ = incomplete.partition("=")
    fields = setting_fields()
    if equals and name in fields:
        offered = [(f"{name}={choice}", "") for choice in fields[name].choices]
    else:
        offered = [
            (f"{name}=", _short(field.description))
            for name, field in fields.items()
            if field.table is None or field.optional
        ]
    return [(text, help) for text, help in offered if text.startswith(incomplete)]


def _short(description: str) -> str:
    text = textwrap.shorten(description.replace("`", ""), MOST_LETTERS, placeholder=" ...")
    return text.replace("[", "\\[")  # Typer reads it as Rich's markup
