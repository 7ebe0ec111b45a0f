"""Options of spaces and strategies are described where they are declared, and told as they are."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from netwright.errors import SettingsError
from netwright.settings.options import option_fields
from netwright.spaces import SPACES
from netwright.strategies.makers import PROPOSERS
from netwright.strategies.policy_gradient import PolicyGradient, PooledPolicyGradient
from netwright.strategies.q_learning.coordinated import CoordinatedAgents
from netwright.strategies.q_learning.published import PublishedQLearning

PAGE = next(p for p in Path(__file__).resolve().parents if p.name == "tests").parent / "docs" / "settings.md"
VARIANTS: dict[str, Callable[..., Any]] = {
    "q-learning/coordinated": CoordinatedAgents,
    "q-learning/published": PublishedQLearning,
    "policy-gradient/published": PolicyGradient,
    "policy-gradient/pooled": PooledPolicyGradient,
}
DECLARED: dict[tuple[str, str], dict[str, Any]] = {
    (component, name): {
        option: parameter.default
        for option, parameter in inspect.signature(maker).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    }
    for component, makers in (("space", SPACES), ("strategy", {**PROPOSERS, **VARIANTS}))
    for name, maker in makers.items()
}
"""(component, name or name/variant) -> the options in the signature of its maker, with their defaults."""
for name in VARIANTS:
    strategy = DECLARED["strategy", name.partition("/")[0]]
    DECLARED["strategy", name] = {"variant": strategy["variant"], **DECLARED["strategy", name]}


def fields_of(component: str, name: str) -> dict[str, Any]:
    name, _, variant = name.partition("/")
    return option_fields(component, name, variant or None)


@pytest.mark.parametrize("owner", DECLARED, ids="-".join)
def test_every_option_has_a_description_that_stands_alone(owner: tuple[str, str]) -> None:
    component, name = owner
    fields = fields_of(component, name)
    variants = [variant for variant in VARIANTS if variant.startswith(f"{name}/")]
    for variant in variants:
        fields |= fields_of(component, variant)
    assert set(fields) == {f"{component}.{option}" for option in DECLARED[owner]}
    for field in fields.values():
        assert len(field.description) > 8, field.name
        assert not field.description.startswith(("of ", "that ")), field.name
        assert "|" not in field.description, field.name  # it would end the cell of a table
        assert not re.search(r"\b(None|True|False)\b|``", field.description), (
            field.name
        )  # not as settings have it


def tables() -> dict[tuple[str, str], dict[str, str]]:
    """(component, name) -> the options in the page's table and the default in the column of that name."""
    written: dict[tuple[str, str], dict[str, str]] = {}
    pattern = r"^<!-- options: (\w+) (.+?) -->\n\n\| setting \| (.*?) \| values .*\n\|[-|]+\n((?:\|.*\n)+)"
    for component, names, columns, rows in re.findall(
        pattern, PAGE.read_text(encoding="utf-8"), re.MULTILINE
    ):
        owners = names.split(", ")
        heads = [head.strip("`") for head in columns.split(" | ")]
        assert heads == (["default"] if len(owners) == 1 else [owner.rpartition("/")[2] for owner in owners])
        cells = [line.strip("| \n").split(" | ") for line in rows.splitlines()]
        for number, owner in enumerate(owners, start=1):
            written[component, owner] = {
                row[0].strip("`"): row[number] for row in cells if row[number] != "–"
            }
    return written


def test_the_page_has_every_option_of_all_spaces_and_strategies_with_its_default() -> None:
    written = tables()
    with_variants = {name.partition("/")[0] for name in VARIANTS}
    expected = {
        owner: options for owner, options in DECLARED.items() if options and owner[1] not in with_variants
    }
    assert set(written) == set(expected)
    for (component, name), options in expected.items():
        assert set(written[component, name]) == {f"{component}.{option}" for option in options}, name
        for option, default in options.items():
            cell = written[component, name][f"{component}.{option}"]
            if cell == "filled in":
                assert default in (inspect.Parameter.empty, None), (name, option)
            elif cell == "required":
                assert default is inspect.Parameter.empty, (name, option)
            else:
                plain = list(default) if isinstance(default, tuple) else default
                plain = pytest.approx(plain, rel=1e-3) if isinstance(plain, float) else plain
                assert yaml.safe_load(cell.strip("`")) == plain, (name, option)


def test_what_a_run_fills_in_is_told_apart() -> None:
    filled_in = {name for name, field in option_fields("space", "layerwise").items() if field.filled_in}
    assert filled_in == {
        f"space.{name}" for name in ("channels", "classes", "size", "dense", "folder", "fingerprint")
    }
    assert not any(
        field.filled_in for name in ("cells", "autoencoder") for field in fields_of("space", name).values()
    )


@pytest.mark.parametrize(
    ("component", "name", "option", "values"),
    [
        ("space", "segnas4", "space.p", "whole number or 2 numbers"),
        ("space", "unet", "space.frozen", "list"),
        ("space", "autoencoder", "space.share", "`exact` or `slices`"),
        ("strategy", "cma-es", "strategy.population", "whole number or `null`"),
        ("strategy", "q-learning", "strategy.variant", "`coordinated` or `published`"),
        ("strategy", "natural-gradient", "strategy.adaptive", "`true` or `false`"),
    ],
)
def test_values_in_words(component: str, name: str, option: str, values: str) -> None:
    assert option_fields(component, name)[option].values == values


def test_listed_values_are_those_that_are_taken() -> None:
    for (component, name), options in DECLARED.items():
        if "/" in name:
            continue
        maker = (SPACES if component == "space" else PROPOSERS)[name]
        for option in options:
            field = fields_of(component, name).get(f"{component}.{option}")
            if field is None or field.filled_in or not set(field.choices) - {"true", "false", "null"}:
                continue
            for choice in field.choices:
                assert maker(**{option: choice}) is not None
            with pytest.raises(SettingsError, match=f"{field.choices[0]}"):
                maker(**{option: "no such value"})


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"no strategy 'tpa'. Did you mean tpe"):
        option_fields("strategy", "tpa")
    with pytest.raises(SettingsError, match="no variant 'pool': choose one of published, pooled"):
        option_fields("strategy", "policy-gradient", "pool")
