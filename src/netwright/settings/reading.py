"""Settings from plain values, and from the ``run.yaml`` of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from netwright.errors import RunError, SettingsError
from netwright.setting_fields import quoted
from netwright.settings.fields import setting_fields
from netwright.settings.old_names import rename_settings
from netwright.settings.tables import RunSettings

MADE_WITH = "made_with"
"""The table of ``run.yaml`` that is not a setting: versions and machine, see `netwright.runs.versions`."""


def parse_settings(values: Mapping[str, Any]) -> RunSettings:
    """Checked settings from plain values.

    Raises:
        SettingsError: a name or a value is wrong; the message gives the dotted name and what was expected.
    """
    try:
        return RunSettings.model_validate(rename_settings(values))
    except ValidationError as error:
        raise unusable(error.errors()) from None


def parse_text(text: str) -> RunSettings:
    """The settings in the text of a ``run.yaml``, as a database keeps it.

    Raises:
        SettingsError: a name or a value is wrong.
        yaml.YAMLError: it is no YAML.
    """
    values = yaml.safe_load(text)
    return parse_settings({name: value for name, value in values.items() if name != MADE_WITH})


def unusable(errors: Sequence[ErrorDetails]) -> SettingsError:
    """The error for settings that pydantic refused: names, values, and what was expected.

    What a setting is stands behind it if the description is short.
    """
    lines = [_line(".".join(map(str, error["loc"])), error) for error in errors]
    return SettingsError("These settings cannot be used:\n  " + "\n  ".join(lines))


def _line(name: str, error: ErrorDetails) -> str:
    line = f"{name} = {error['input']!r}: {error['msg']}"
    fields = setting_fields()
    while name and name not in fields:  # behind a setting stands the type of its values that was tried
        name = name.rpartition(".")[0]
    is_setting = name in fields and fields[name].table is None
    return line + quoted(name, fields[name].description) if is_setting else line


def read_settings(path: Path) -> RunSettings:
    """The settings in a ``run.yaml``. The path of a file of parts counts from the folder of that file.

    Raises:
        RunError: the file is missing, unreadable, no YAML, or a setting in it is wrong.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}). Is {path.parent} a run folder?") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise RunError(f"{path} is damaged: {error}. Restore it from a copy, or start a new run.") from None
    if not isinstance(values, dict):
        raise RunError(f"{path} is damaged: expected a table of settings, found {type(values).__name__}.")
    try:
        settings = parse_settings({name: value for name, value in values.items() if name != MADE_WITH})
    except SettingsError as error:
        raise RunError(f"{path} is damaged. {error}") from None
    if settings.dataset.split_file is None:
        return settings
    here = {"split_file": path.parent.resolve() / settings.dataset.split_file}
    return settings.model_copy(update={"dataset": settings.dataset.model_copy(update=here)})
