"""What a search maximises, against the formula of Iranfar et al. 2022 and hand-made cases."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from netwright.errors import SettingsError
from netwright.objective import Limit, ObjectiveSettings, read_limit

PAPER = ObjectiveSettings(metric="accuracy", weight=0.9, percent=True, per_epoch=True, costs={"size_mb": 0.1})


def test_reward_is_equation_2_with_the_score_of_section_vi_a() -> None:
    # c_A A_val / N_epoch - c_S S_model, by hand: 0.9 * 60 / 6 - 0.1 * 7
    assert PAPER.reward({"accuracy": 0.6}, {"size_mb": 7.0}, epochs=6) == pytest.approx(8.3)


def test_the_score_is_divided_by_the_epoch_at_which_the_loss_met_its_threshold() -> None:
    def reward(objective: ObjectiveSettings, met: int | None) -> float | None:
        return objective.reward({"accuracy": 0.6}, {"size_mb": 7.0}, epochs=6, loss_met_epoch=met)

    assert reward(PAPER, 2) == pytest.approx(0.9 * 60 / 2 - 0.7)
    assert reward(PAPER, 6) == reward(PAPER, None) == pytest.approx(8.3)  # never met: all the epochs given
    assert reward(PAPER.model_copy(update={"per_epoch": "given"}), 2) == pytest.approx(8.3)
    assert reward(PAPER.model_copy(update={"per_epoch": False}), 2) == pytest.approx(0.9 * 60 - 0.7)
    assert ObjectiveSettings.model_validate({"per_epoch": "given"}).per_epoch == "given"
    with pytest.raises(ValidationError, match="per_epoch"):
        ObjectiveSettings.model_validate({"per_epoch": "taken"})


def test_a_metric_alone_is_its_own_reward() -> None:
    objective = ObjectiveSettings.model_validate("dice")
    assert objective.plain
    assert objective.reward({"dice": 0.8125}, {}, epochs=40) == 0.8125
    assert objective.words() == "dice"


@pytest.mark.parametrize(
    "cost", ["inference_ms", "seconds_per_batch", "flops", "parameters", "peak_memory_mb"]
)
def test_any_cost_can_be_weighed(cost: str) -> None:
    objective = ObjectiveSettings(metric="dice", costs={cost: 0.25})
    assert objective.reward({"dice": 1.0}, {cost: 2.0}, epochs=1) == pytest.approx(0.5)


def test_a_reward_without_its_metric_or_a_cost_is_none() -> None:
    assert PAPER.reward({"dice": 0.6}, {"size_mb": 7.0}, epochs=6) is None
    assert PAPER.reward({"accuracy": 0.6}, {"size_mb": None}, epochs=6) is None


def test_limits_are_kept_at_their_bound_and_broken_beyond_it() -> None:
    objective = ObjectiveSettings(metric="dice", limits=("parameters <= 2e6", "dice>0.5"))
    assert objective.violation({"dice": 0.6}, {"parameters": 2_000_000}) is None
    assert objective.violation({}, {"parameters": None}) is None
    broken = objective.violation({"dice": 0.6}, {"parameters": 2_000_001})
    assert broken is not None
    assert broken.startswith("parameters is 2,000,001")
    assert "dice is 0.5" in str(objective.violation({"dice": 0.5}, {"parameters": 1}))


def test_limits_are_read_with_any_spaces() -> None:
    assert read_limit(" size_mb<5 ") == Limit("size_mb", "<", 5.0)
    assert read_limit("dice.Core >= 0.7") == Limit("dice.Core", ">=", 0.7)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_weights_are_numbers(number: float) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        ObjectiveSettings(costs={"size_mb": number})
    with pytest.raises(ValidationError, match="weight"):
        ObjectiveSettings(weight=number)


def test_a_cost_that_was_not_measured_is_refused_by_name() -> None:
    objective = ObjectiveSettings(metric="dice", costs={"size_mb": 1.0, "peak_memory_mb": 0.5})
    objective.require_measured({"size_mb": 0.0, "peak_memory_mb": 0.0})
    with pytest.raises(SettingsError, match="weighs peak_memory_mb"):
        objective.require_measured({"size_mb": 0.0, "peak_memory_mb": None})
    limited = ObjectiveSettings(metric="dice", limits=("dice >= 0.5", "peak_memory_mb <= 100"))
    limited.require_measured({"peak_memory_mb": 200.0})
    with pytest.raises(SettingsError, match="limits bounds peak_memory_mb"):
        limited.require_measured({"peak_memory_mb": None})


@pytest.mark.parametrize(
    "text", ["parameters", "parameters = 3", "<= 4", "size_mb <= many", "size_mb <= 1e999", ""]
)
def test_what_is_no_limit_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SettingsError, match="parameters <= 2e6"):
        read_limit(text)


def test_unknown_costs_and_metrics_are_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="size_mb"):
        ObjectiveSettings(costs={"size": 1.0})
    with pytest.raises(SettingsError, match=r"dice\.Core"):
        ObjectiveSettings(metric="accuracy").require_known(("dice", "dice.Core"))
    with pytest.raises(SettingsError, match="'weight'"):
        ObjectiveSettings(metric="dice", limits=("weight<3",)).require_known(("dice",))


def test_words_name_every_term() -> None:
    assert PAPER.words() == "0.9 x accuracy % / epochs - 0.1 x size_mb"


def test_several_objectives_have_a_value_each() -> None:
    objective = ObjectiveSettings(
        metric="dice", maximize=("dice", "dice.Core"), minimize=("parameters", "inference_ms")
    )
    metrics, cost = {"dice": 0.8, "dice.Core": 0.7}, {"parameters": 1000, "inference_ms": 2.5}
    assert objective.names == ("dice", "dice.Core", "parameters", "inference_ms")
    assert objective.signs == (1, 1, -1, -1)
    assert objective.values(metrics, cost, epochs=3) == (0.8, 0.7, 1000.0, 2.5)
    assert objective.values(metrics, {"parameters": 1000}, epochs=3) is None
    assert objective.values({"dice": 0.8}, cost, epochs=3) is None
    assert PAPER.values({"accuracy": 0.6}, {"size_mb": 7.0}, epochs=6) == pytest.approx((8.3,))
    with pytest.raises(SettingsError, match=r"minimize names inference_ms.*cannot measure"):
        objective.require_measured({"parameters": 1000})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"minimize": ["parameter"]}, "no cost 'parameter'; did you mean parameters"),
        ({"minimize": ["flops", "flops"]}, "'flops' is an objective twice"),
        ({"minimize": ["flops"], "costs": {"size_mb": 0.1}}, "Leave the ones or the others out"),
        ({"maximize": ["dice", "dice.Core"], "per_epoch": True}, "Leave the ones or the others out"),
    ],
)
def test_wrong_objectives_are_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ObjectiveSettings.model_validate({"metric": "dice", **given})


def test_a_cost_is_no_metric() -> None:
    objective = ObjectiveSettings(metric="dice", maximize=("dice", "flops"))
    with pytest.raises(SettingsError, match=r"no metric 'flops'.*which --minimize takes"):
        objective.require_known(("dice",))
