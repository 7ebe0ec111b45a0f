"""A run's settings while they are made."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ConfigDict, PrivateAttr, ValidationError

from netwright.settings import RunSettings, override, parse_settings, unusable


class Draft(RunSettings):
    """Settings that can still be changed. It knows which of them the user set.

    Every section is read as in `RunSettings`. A change checks the section that it concerns, and no other.

    Example:
        >>> values = {"recipe": "segnas4", "dataset": {"path": "."}, "space": {"name": "segnas4"}}
        >>> values["strategy"] = {"name": "random"}
        >>> draft = Draft.begin(values, user_set={"training.epochs"})
        >>> draft.choose({"training.epochs": 5, "training.batch_size": 2})
        >>> draft.training.epochs, draft.training.batch_size
        (100, 2)
    """

    model_config = ConfigDict(frozen=False, validate_assignment=True)
    _user_set: frozenset[str] = PrivateAttr(default=frozenset())

    @classmethod
    def begin(cls, values: Mapping[str, Any], user_set: Collection[str] = ()) -> Draft:
        """A draft of plain values.

        Args:
            values: all settings without a default, as nested tables.
            user_set: dotted names of the settings that the user set, with the names in a table that was set whole.

        Raises:
            SettingsError: a name or a value is wrong.
        """
        try:
            draft = cls.model_validate(values)
        except ValidationError as error:
            raise unusable(error.errors()) from None
        draft._user_set = frozenset(user_set)
        return draft

    @property
    def user_set(self) -> frozenset[str]:
        """Dotted names of the settings that the user set."""
        return self._user_set

    def change(self, changes: Mapping[str, Any]) -> None:
        """Set settings by their dotted names.

        Raises:
            SettingsError: a name or a value is wrong.
        """
        values = override(self.model_dump(mode="json"), changes)
        changed, errors = {name.partition(".")[0] for name in changes}, []
        for section in RunSettings.model_fields:  # this is the order of the errors in the message
            if section not in changed:
                continue
            try:
                setattr(self, section, values[section])
            except ValidationError as error:
                errors += error.errors()
            else:
                # A tuple is a list after run.yaml is read, so it becomes a list here, too.
                setattr(self, section, self.model_dump(mode="json", include={section})[section])
        if errors:
            raise unusable(errors)

    def choose(self, changes: Mapping[str, Any]) -> None:
        """Set settings by their dotted names, without those that the user set.

        Raises:
            SettingsError: as `change`.
        """
        self.change({name: value for name, value in changes.items() if name not in self.user_set})

    def finished(self) -> RunSettings:
        """The settings of the run, checked as a whole."""
        return parse_settings(self.model_dump(mode="json"))
