"""What the report says of a policy is what the strategy did: one study on a made-up objective, no training."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import optuna
import pytest

from made_up_report import MadeUpReport, make_content, render_report
from netwright.comparison.start import starting_point
from netwright.report.collect.strategy import strategy_history, strategy_report
from netwright.report.draw.network import NetworkTable
from netwright.spaces.dense import DenseSpace
from netwright.strategies.pictures import StepMeans, ValuesOverTime
from netwright.strategies.policy_gradient import PolicyGradient, PooledPolicyGradient
from netwright.strategies.sampler import StrategySampler
from report_pages import array, plot

SPACE = DenseSpace()
ROUNDS, RESULTS = 4, 5


@pytest.fixture(scope="module")
def study() -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    strategy = PolicyGradient(perturbations=RESULTS)
    sampler = StrategySampler(strategy, 1, distributions=SPACE.distributions())
    found = optuna.create_study(sampler=sampler, direction="maximize")
    for _ in range(ROUNDS * RESULTS + 2):
        trial = found.ask(SPACE.distributions())
        filters = [value for name, value in trial.params.items() if name.endswith("filters")]
        found.tell(trial, -float(np.mean(filters)) / 208)
    return found


@pytest.fixture(scope="module")
def page(study: optuna.Study) -> MadeUpReport:
    table = NetworkTable(SPACE.table_columns, SPACE.table(study.best_params, 4))
    return replace(
        make_content(), strategy=strategy_report(study, None, "validation Dice"), network_table=table
    )


def pictures_of(study: optuna.Study) -> tuple[ValuesOverTime, StepMeans]:
    (section,) = strategy_report(study, None, "validation Dice")
    path, means = section.pictures
    assert isinstance(path, ValuesOverTime)
    assert isinstance(means, StepMeans)
    return path, means


def sentence_of(study: optuna.Study) -> str:
    ((told,),) = (section.sentences for section in strategy_report(study, None, "validation Dice"))
    return told


def test_the_path_is_that_of_the_strategy(study: optuna.Study) -> None:
    path, means = pictures_of(study)
    assert len(path.rows) == 76
    assert path.positions.shape == (ROUNDS + 1, 76)
    sorts = [name.rpartition(".")[2].rstrip("0123456789") for name in path.rows]
    assert list(dict.fromkeys(sorts)) == [s for s, t in zip(sorts, [None, *sorts], strict=False) if s != t], (
        "together"
    )
    found = starting_point(study, SPACE)
    assert found is not None
    title, start = found
    assert title == "the starting policy"
    assert [str(start[name]) for name in path.rows] == list(path.values[0])
    # Everything proposed in the first round lies within a step of where it started.
    steps = {"filters": 16, "height": 2, "width": 2}
    for trial in study.get_trials(deepcopy=False)[:RESULTS]:
        for name, sort in zip(path.rows, sorts, strict=True):
            if sort in steps:
                assert abs(trial.params[name] - int(str(start[name]))) <= steps[sort]
    rewards = [
        np.mean([t.value for t in study.trials[i : i + RESULTS]]) for i in range(0, ROUNDS * RESULTS, RESULTS)
    ]
    best = max(range(ROUNDS), key=lambda number: rewards[number])
    assert sentence_of(study) == (
        f"{ROUNDS} rounds, the last of {RESULTS} results: mean validation Dice {rewards[0]:.3f} in round 1, "
        f"{rewards[best]:.3f} in the best (round {best + 1}), {rewards[-1]:.3f} in round {ROUNDS}."
    )
    moved = np.rint((path.positions[-1] - path.positions[-2]) * 11).astype(int)[:24]
    at_edge = np.isin(path.positions[-2][:24], (0.0, 1.0))
    np.testing.assert_array_equal(moved[~at_edge], means.moves[:24][~at_edge])


def test_every_round_is_on_record(study: optuna.Study) -> None:
    rounds = json.loads(json.dumps(strategy_history(study)))
    assert len(rounds) == ROUNDS
    trials = study.get_trials(deepcopy=False)
    for number, found in enumerate(rounds):
        of_round = trials[number * RESULTS : (number + 1) * RESULTS]
        assert found["rewards"] == [trial.value for trial in of_round]
        for name, policy in found["policy"].items():
            if not name.endswith("filters"):
                continue
            for place, step in enumerate((-16, 0, 16)):
                group = [t.value for t in of_round if t.params[name] == policy + step]
                mean = found["means"][name][place]
                assert mean == (pytest.approx(np.mean(group)) if group else None)
    assert strategy_history(optuna.create_study()) == []


@pytest.mark.parametrize("strategy", [PolicyGradient(), PooledPolicyGradient()])
def test_the_starting_policy_has_a_value_for_dimensions_of_one_value(strategy: PolicyGradient) -> None:
    space = DenseSpace(poolings=("average",), kernels=(3, 3, 2), layers=1)
    sampler = StrategySampler(strategy, 1, distributions=space.distributions())
    study = optuna.create_study(sampler=sampler, direction="maximize")
    for number in range(7):
        study.tell(study.ask(space.distributions()), float(number))
    found = starting_point(study, space)
    assert found is not None
    title, start = found
    assert (title == "the best of the first round") == isinstance(strategy, PooledPolicyGradient)
    assert space.canonical(start) == start
    assert (start["pool1"], start["layer1.width"]) == ("average", 3)


def test_other_strategies_have_no_policy() -> None:
    study = optuna.create_study(
        sampler=StrategySampler(PolicyGradient(), 0, distributions=SPACE.distributions())
    )
    assert strategy_report(study, None, "reward") == (), "nothing was asked yet"
    assert strategy_report(optuna.create_study(), None, "reward") == ()
    assert starting_point(optuna.create_study(), SPACE) is None


def test_the_page_shows_path_means_and_table(study: optuna.Study, page: MadeUpReport) -> None:
    text = render_report(page)
    values, steps = pictures_of(study)
    path = plot(text, "path")
    np.testing.assert_allclose(array(path["data"][0]["z"]), values.positions.T, atol=1e-6)
    assert [a["text"] for a in path["layout"]["annotations"]] == list(values.values[-1])
    means = plot(text, "means")
    for group, trace in enumerate(means["data"]):
        np.testing.assert_allclose(array(trace["x"]), steps.means[:, group])
        filled = [not symbol.endswith("open") for symbol in trace["marker"]["symbol"]]
        np.testing.assert_array_equal(filled, steps.moves == group - 1)
    assert sentence_of(study) in text
    rows = re.findall(r"<tr><td>(layer \d+|pooling \d)</td><td class=\"number\">(\w+)</td>", text)
    assert rows == [(row[0], row[1]) for row in page.network_table.rows] if page.network_table else False
    assert len(rows) == 27
    assert 'id="policy"' not in render_report(make_content())
