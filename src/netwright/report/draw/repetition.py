"""How to repeat a run: commands, settings, notes."""

from __future__ import annotations

from collections.abc import Sequence

from netwright.report.sections import REPETITION, Block, Code, Heading, Items, Section, Sentences


def repetition_section(
    commands: Sequence[tuple[str, str]], settings: str, notes: Sequence[str] = ()
) -> Section:
    """The last section.

    Args:
        commands: what each command does, and the command.
        settings: the text of run.yaml.
        notes: what else a reader should know about the run.
    """
    blocks: list[Block] = []
    for purpose, command in commands:
        blocks += [Sentences((purpose,)), Code(command)]
    blocks.append(Code(settings, "Every setting of this run (run.yaml)"))
    if notes:
        blocks += [Heading("Notes"), Items(tuple(notes))]
    title = "Settings and repetition"
    return Section("repeat", title, tuple(blocks), REPETITION, link=title)
