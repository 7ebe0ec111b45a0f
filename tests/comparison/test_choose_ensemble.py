"""The end of a search, with small networks trained on generated data of every task."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from netwright.api import create_run
from netwright.api.run import Run
from netwright.comparison.choose_ensemble import choose_ensemble
from netwright.comparison.ensemble import Counts, Rows, Rule
from netwright.comparison.finalists import (
    EnsembleJob,
    Finalist,
    combined_cost,
    composition_of,
    in_order,
    measured_cost,
    network_of,
)
from netwright.comparison.finish import keep_network
from netwright.comparison.kept_outputs import INDEX, OUTPUTS, find_outputs, keep_outputs, mean_outputs
from netwright.comparison.mirrored_views import Axes
from netwright.comparison.tried_finalists import TriedFinalists
from netwright.data.volumes.slabs import Slabs
from netwright.errors import RunError
from netwright.files import read_json
from netwright.models.store import ARCHITECTURE, ENSEMBLE, describe_trained, load_trained
from netwright.nn.ensemble import Ensemble
from netwright.planning.user_settings import UserSettings
from netwright.runs.data import RunData, open_run_data
from netwright.searches.components import problem_of
from netwright.searches.random_choices import draw_choice
from netwright.settings import RunSettings
from netwright.spaces import make_space
from netwright.tasks import TASKS
from netwright.training.files import WEIGHTS
from netwright.training.loop import train
from netwright.training.problem import Problem
from netwright.training.trial import predicted_cost
from netwright.training.weights import load_weights, save_weights

CPU = torch.device("cpu")
UNMEASURED = {
    "termination.slower_than_start": None,
    "termination.loss_of_guess": None,
    "postprocessing.crf": False,
    "training.mixed_precision": False,
    "training.device": "cpu",
    "budget.trials": 1,
    "objective.weight": 1,
    "objective.percent": False,
    "objective.per_epoch": False,
    "objective.costs": {},
}
LAYERS = {"space.values.kernels": [4, 8], "space.values.units": [16], "training.batch_size": 8}
DATA: dict[str, tuple[str, str, dict[str, Any]]] = {
    "volumes": ("dataset", "segnas4", {"space.n": [1, 4], "space.p": [1, 2]}),
    "pictures": ("cells", "marl-unet", LAYERS),
    "classes": ("shapes", "marl-vgg16", LAYERS),
    "labels": ("several_shapes", "marl-vgg16", LAYERS),
}


@dataclass
class Ended:
    """A run whose search has ended, with three finalists."""

    run: Run
    data: RunData
    settings: RunSettings
    problem: Problem
    finalists: tuple[Finalist, ...]

    def job(self, folder: Path, **changes: Any) -> EnsembleJob:
        base = EnsembleJob(
            settings=self.settings,
            prepared=self.data.data.prepared,
            validation=self.data.data.validation,
            finalists=self.finalists,
            protocol=self.settings.training,
            folder=folder,
            seconds=120.0,
        )
        return replace(base, **changes)

    def network(self, number: int) -> nn.Module:
        finalist = self.finalists[number]
        network: nn.Module = make_space(self.settings.space).build(finalist.choice, self.problem.task)
        load_weights(network, finalist.folder / WEIGHTS)
        return network.eval()

    def score(self, network: nn.Module) -> float:
        scores = self.problem.scores(network, self.data.data.validation, self.settings.training, CPU)
        return float(self.problem.metrics(scores)[self.problem.task.metric])


@pytest.fixture(scope="module", params=list(DATA))
def ended(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    fixture, recipe, changes = DATA[request.param]
    folder = tmp_path_factory.mktemp("ended")
    user = UserSettings(assignments={**UNMEASURED, **changes})
    run = create_run(request.getfixturevalue(fixture), recipe, user, folder / "run")
    data = open_run_data(run.folder, run.settings)
    settings, problem = run.settings, problem_of(run.settings, data.prepared)
    space = make_space(settings.space)
    protocol = replace(settings.training, epochs=2, steps=None, early=None, patience=None)
    finalists = []
    for number in range(3):
        choice = draw_choice(space.distributions(), np.random.default_rng(number))
        torch.manual_seed(number)
        network = space.build(choice, problem.task)
        train(network, problem, data.data.training, data.data.validation, protocol, seed=number)
        own = folder / f"trial-{number}"
        own.mkdir()
        save_weights(network, own / WEIGHTS)
        scores = problem.scores(network, data.data.validation, settings.training, CPU)
        score = float(problem.metrics(scores)[problem.task.metric])
        finalists.append(Finalist(f"trial {number}", own, choice, None, score))
    return Ended(run, data, settings, problem, tuple(finalists))


def test_another_training_is_tried_before_snapshots_and_the_default_is_the_second_at_the_latest() -> None:
    def finalist(name: str, choice: int, score: float, default: bool = False) -> Finalist:
        return Finalist(name, Path(name), {"width": choice}, None, score, default=default)

    ends = [finalist("best", 1, 0.9), finalist("other", 2, 0.86), finalist("third", 3, 0.85)]
    snapshots = [finalist("before", 1, 0.89), finalist("other before", 2, 0.855)]
    default = finalist("default", 0, 0.8, default=True)
    ordered = in_order([*ends, *snapshots, default])
    assert [one.name for one in ordered] == ["best", "default", "other", "before", "other before", "third"]
    assert [one.name for one in in_order([snapshots[0], ends[0]])] == ["best", "before"]
    first = in_order([*ends, *snapshots, default], default_first=True)
    assert [one.name for one in first] == ["default", "best", "other", "before", "other before", "third"]


SURE = Rule(chance=1.0)
"""Takes whatever is better on the cases, so that tests on few cases have an ensemble."""


def forced(ended: Ended, folder: Path) -> dict[str, Any]:
    """An ensemble of all finalists, whatever it is worth, written as `choose_ensemble` writes it."""
    composition = composition_of([(one, 1.0 + number) for number, one in enumerate(ended.finalists)], (0,))
    first = composition.members[0]
    describe_trained(folder, ended.settings, ended.data.prepared, first.choice, None, composition)
    used = [(one, member.weight) for one, member in zip(ended.finalists, composition.members, strict=True)]
    save_weights(network_of(used, (0,), ended.settings, ended.problem.task), folder / WEIGHTS)
    return dict(read_json(folder / ARCHITECTURE))


def test_an_ensemble_is_saved_loaded_tested_and_predicts(ended: Ended, tmp_path: Path) -> None:
    kept = forced(ended, tmp_path / "winner")
    assert [member["weight"] for member in kept[ENSEMBLE]["members"]] == [1.0, 2.0, 3.0]
    predictor = load_trained(tmp_path / "winner", ended.settings, "cpu")
    assert isinstance(predictor.network, Ensemble)
    image = torch.randn(2, ended.problem.task.channels, *ended.problem.task.size)
    with torch.no_grad():
        means: Tensor | float = 0.0
        for number in range(3):
            for mirrored in (False, True):
                logits = ended.network(number)(image.flip(2) if mirrored else image)
                logits = logits.flip(2) if mirrored and logits.ndim == image.ndim else logits
                multilabel = ended.problem.task.output == "sigmoid"
                means = means + (number + 1) / 12 * (logits.sigmoid() if multilabel else logits.softmax(1))
        outputs = predictor.network(image)
    torch.testing.assert_close(outputs.sigmoid() if multilabel else outputs.softmax(1), means)
    task = TASKS[ended.data.prepared.task]
    predictor = task.finish(
        predictor, tmp_path / "winner", ended.settings, ended.data.prepared, ended.data.data.validation
    )
    results = task.final_results(predictor, tmp_path / "winner", ended.data.test, searched=True)
    assert 0 <= predictor.means(results)[task.metric] <= 1


def test_what_is_chosen_is_used_by_the_run(ended: Ended, tmp_path: Path) -> None:
    """Whatever is chosen, the run tests and predicts with it, and its score is the one that is told."""
    decision = choose_ensemble(ended.job(ended.run.folder.winner, rule=SURE, mirror_axes=(0,)))
    assert json.loads(json.dumps(decision)) == decision, "plain values"
    best = max(ended.finalists, key=lambda one: one.score)
    assert decision["single"] == best.name
    assert decision["reward"] >= best.score - 2e-3, "outputs are kept in half precision"
    assert sum(member["weight"] for member in decision["members"]) == pytest.approx(1)
    predictor = load_trained(ended.run.folder.winner, ended.settings, "cpu")
    assert ended.score(predictor.network) == pytest.approx(decision["reward"], abs=2e-3)
    counted = sum(weight.numel() for weight in predictor.network.parameters())
    assert decision["cost"]["parameters"] == counted
    evaluation = ended.run.evaluate(ended.settings.dataset.path)
    assert ended.problem.task.metric in evaluation.metrics
    images = sorted(
        path
        for path in ended.settings.dataset.path.rglob("*")
        if path.suffix in (".png", ".gz") and "label" not in str(path) and "mask" not in str(path)
    )
    assert ended.run.predict(images[0], tmp_path / "out")


@pytest.mark.parametrize("ended", ["classes"], indirect=True)
def test_one_network_is_saved_as_one_network(ended: Ended, tmp_path: Path) -> None:
    best = max(ended.finalists, key=lambda one: one.score)
    decision = choose_ensemble(ended.job(tmp_path / "winner", single=True))
    assert [member["name"] for member in decision["members"]] == [best.name]
    assert ENSEMBLE not in read_json(tmp_path / "winner" / ARCHITECTURE)
    assert (tmp_path / "winner" / WEIGHTS).stat().st_size == (best.folder / WEIGHTS).stat().st_size
    predictor = load_trained(tmp_path / "winner", ended.settings, "cpu")
    assert ended.score(predictor.network) == pytest.approx(best.score)


@pytest.mark.parametrize("ended", ["classes"], indirect=True)
@pytest.mark.parametrize("best_is_default", [False, True])
def test_a_single_network_is_one_and_is_compared_with_the_default(
    ended: Ended, tmp_path: Path, best_is_default: bool
) -> None:
    """Whatever is tried first, such as a snapshot with a higher score than the default's. And all others are tried,
    so that chance is asked what it brings to the best of all, also where one network is wanted.
    """
    ranked = sorted(ended.finalists, key=lambda one: -one.score)
    default = ranked[0] if best_is_default else ranked[-1]
    first = replace(default, default=True, score=0.0)
    others = tuple(one for one in ended.finalists if one is not default)
    for chance in (0.0, 1.0):
        job = ended.job(
            tmp_path / f"{chance}", finalists=(first, *others), single=True, rule=Rule(chance=chance)
        )
        decision = choose_ensemble(job)
        assert len(decision["members"]) == 1
        assert decision["left_out"] == []
        if not chance:  # nothing is better beyond that
            assert decision["members"][0]["name"] == default.name


@pytest.mark.parametrize("ended", ["classes"], indirect=True)
def test_chance_is_not_taken_for_a_gain(ended: Ended, tmp_path: Path) -> None:
    """Of so few cases nothing can be proven with certainty."""
    decision = choose_ensemble(ended.job(tmp_path / "winner", rule=Rule(chance=0.0), mirror_axes=(0, 1)))
    assert len(decision["members"]) == 1
    assert decision["mirror_axes"] == []
    assert [view["taken"] for view in decision["mirroring"]] == [False, False]


@pytest.mark.parametrize("ended", ["classes"], indirect=True)
def test_there_is_always_a_network_whatever_the_time(ended: Ended, tmp_path: Path) -> None:
    finalists = tuple(
        replace(one, folder=_copied(one.folder, tmp_path / one.name)) for one in ended.finalists
    )
    begun = time.perf_counter()
    decision = choose_ensemble(
        ended.job(tmp_path / "winner", finalists=finalists, seconds=0.0, mirror_axes=(0,))
    )
    assert decision["members"][0]["name"] == max(finalists, key=lambda one: one.score).name
    assert {one["reason"] for one in decision["left_out"]} == {"no time"}
    assert decision["mirror_axes"] == []
    assert decision["seconds"] <= time.perf_counter() - begun
    assert load_trained(tmp_path / "winner", ended.settings, "cpu").network is not None


@pytest.mark.parametrize("ended", ["classes"], indirect=True)
@pytest.mark.parametrize("room", [True, False])
def test_where_there_is_time_or_room_for_one_network_it_is_the_default(
    room: bool, ended: Ended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else was shown to be better than it, however high its score was in the race."""
    *others, last = (replace(one, folder=_copied(one.folder, tmp_path / one.name)) for one in ended.finalists)
    finalists = (*others, replace(last, score=-1.0, default=True))
    if not room:
        monkeypatch.setattr("netwright.comparison.kept_outputs.ROOM", 0.0)
    job = ended.job(tmp_path / "winner", finalists=finalists, seconds=120.0 * (not room))
    decision = choose_ensemble(job)
    assert [member["name"] for member in decision["members"]] == [last.name]
    job = replace(job, settings=limited_to(ended.settings, "parameters<=1"))
    costly = tuple(replace(one, cost={"parameters": 2 * one.default}) for one in finalists)
    decision = choose_ensemble(replace(job, finalists=costly))
    assert [member["name"] for member in decision["members"]] != [last.name], "it breaks a limit"


@pytest.mark.parametrize("ended", ["classes", "pictures"], indirect=True)
def test_what_is_used_is_better_than_the_default_with_the_views_of_both(ended: Ended, tmp_path: Path) -> None:
    """A network that gains by mirrored views is not passed over for one that is better only without them."""
    rule, axes = replace(SURE, folds=2), (0, 1)

    def with_views(number: int) -> float:
        """The best of one axis, and of both where the second adds to it."""
        network = ended.network(number)
        output = ended.problem.task.output
        plain, first, second, both = (
            ended.score(Ensemble([network], None, some, output)) for some in ((), (0,), (1,), (0, 1))
        )
        one = max(plain, first, second)
        return max(one, both) if one > plain else plain

    values = {one.name: with_views(number) for number, one in enumerate(ended.finalists)}
    for number in range(3):
        finalists = [replace(one, default=index == number) for index, one in enumerate(ended.finalists)]
        job = ended.job(tmp_path / f"{number}", finalists=tuple(finalists), single=True, rule=rule)
        decision = choose_ensemble(replace(job, mirror_axes=axes))
        (used,), default = decision["members"], finalists[number]
        assert values[used["name"]] >= values[default.name] - 1e-6
        assert (decision["default"] is None) == (used["name"] == default.name)
        if decision["default"] is not None:  # it is tested with its own views, too
            tested = tmp_path / f"{number}" / "default"
            views = tuple(decision["default"]["mirror_axes"])
            keep_network(default.folder, tested, ended.settings, ended.data.prepared, default.choice, views)
            found = ended.score(load_trained(tested, ended.settings, "cpu").network)
            assert found == pytest.approx(values[default.name], abs=1e-6)
            told = decision["default"]["metrics"][ended.problem.task.metric]
            assert found == pytest.approx(told, abs=1e-3), "outputs are kept in half precision"


@pytest.mark.parametrize("ended", ["classes", "pictures"], indirect=True)
def test_no_network_is_judged_mirrored_where_there_was_no_time_for_the_other(
    ended: Ended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the time is short for: the default is alone in having been mirrored, and keeps its views alone."""
    mirrored = TriedFinalists.mirrored_rows

    def only_default(finalists: TriedFinalists, counts: Counts, axes: Axes, **until: float) -> Rows | None:
        return mirrored(finalists, counts, axes, **until) if counts == finalists.default() else None

    monkeypatch.setattr(TriedFinalists, "mirrored_rows", only_default)
    for number in range(3):
        finalists = tuple(replace(one, default=index == number) for index, one in enumerate(ended.finalists))
        job = ended.job(tmp_path / f"{number}", finalists=finalists, single=True, rule=SURE)
        decision = choose_ensemble(replace(job, mirror_axes=(0, 1)))
        if decision["members"][0]["name"] != finalists[number].name:
            assert decision["mirror_axes"] == []
            assert decision["default"]["mirror_axes"] == []
            assert {view["reason"] for view in decision["mirroring"]} == {"no time"}, (
                "its own, not the default's"
            )
        assert "with mirrored views" not in decision["selection"]["reason"]


@pytest.mark.parametrize("ended", ["classes"], indirect=True)
def test_networks_are_compared_with_the_threads_of_the_job_and_measured_with_those_of_a_candidate(
    ended: Ended, tmp_path: Path
) -> None:
    finalists = tuple(
        replace(one, folder=_copied(one.folder, tmp_path / one.name)) for one in ended.finalists
    )
    shape, used = (ended.problem.task.channels, *ended.problem.task.size), set[tuple[str, int]]()

    def note(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not isinstance(inputs[0], Tensor) or inputs[0].is_meta:  # a dry run, for one
            return
        if tuple(inputs[0].shape[1:]) == shape:
            used.add(("pictures" if inputs[0].any() else "zeros to be timed", torch.get_num_threads()))

    before, hook = torch.get_num_threads(), register_module_forward_pre_hook(note)
    try:
        choose_ensemble(ended.job(tmp_path / "winner", finalists=finalists, threads=3, mirror_axes=(0,)))
    finally:
        hook.remove()
    assert {count for what, count in used if what == "pictures"} == {3}
    assert ("zeros to be timed", 1) in used
    assert torch.get_num_threads() == before


def _copied(folder: Path, target: Path) -> Path:
    target.mkdir()
    (target / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes())
    return target


def limited_to(settings: RunSettings, limit: str) -> RunSettings:
    objective = settings.objective.model_copy(update={"limits": (limit,)})
    return settings.model_copy(update={"objective": objective})


@pytest.mark.parametrize("ended", ["classes"], indirect=True)
def test_limits_are_kept(ended: Ended, tmp_path: Path) -> None:
    parameters = [sum(w.numel() for w in ended.network(number).parameters()) for number in range(3)]
    most = max(parameters)
    limited = limited_to(ended.settings, f"parameters <= {most}")
    decision = choose_ensemble(ended.job(tmp_path / "winner", settings=limited, rule=SURE))
    assert decision["cost"]["parameters"] <= most
    # Twice the FLOPs of one network leave no room for a mirrored view.
    flops = max(
        measured_cost(ended.network(n), ended.problem.task, ended.settings.training, CPU)["flops"]
        for n in range(3)
    )
    limited = limited_to(ended.settings, f"flops <= {flops * 1.5}")
    decision = choose_ensemble(
        ended.job(tmp_path / "winner", settings=limited, rule=SURE, single=True, mirror_axes=(0,))
    )
    if decision["cost"]["flops"] > 0.75 * flops:
        assert decision["mirroring"][0]["reason"] == "the limits do not allow it"
    assert decision["cost"]["flops"] <= flops * 1.5


@pytest.mark.parametrize("ended", ["classes"], indirect=True)
def test_without_room_for_outputs_the_best_network_is_used(
    ended: Ended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finalists = tuple(
        replace(one, folder=_copied(one.folder, tmp_path / one.name)) for one in ended.finalists
    )
    monkeypatch.setattr("netwright.comparison.kept_outputs.ROOM", 0.0)
    decision = choose_ensemble(ended.job(tmp_path / "winner", finalists=finalists, rule=SURE))
    best = max(finalists, key=lambda one: one.score)
    assert [member["name"] for member in decision["members"]] == [best.name]
    assert decision["reward"] == pytest.approx(best.score)
    assert not list(tmp_path.rglob(f"*{OUTPUTS}*"))


@pytest.mark.parametrize("ended", ["classes"], indirect=True)
def test_a_finalist_that_cannot_be_used_is_left_out(ended: Ended, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / WEIGHTS).write_bytes(b"no weights")
    lost = Finalist("lost", broken, ended.finalists[0].choice, None, 9.0)
    decision = choose_ensemble(ended.job(tmp_path / "winner", finalists=(lost, *ended.finalists)))
    assert [one["name"] for one in decision["left_out"]] == ["lost"]
    with pytest.raises(RunError, match=r"No finalist of the search can be used \(lost: RunError"):
        choose_ensemble(ended.job(tmp_path / "other", finalists=(lost,)))


@pytest.mark.parametrize("ended", ["volumes", "classes"], indirect=True)
def test_costs_are_sums(ended: Ended) -> None:
    task, protocol = ended.problem.task, ended.settings.training
    networks = [ended.network(number) for number in range(2)]
    costs = [measured_cost(network, task, protocol, CPU) for network in networks]
    expected = combined_cost(costs, 2)
    measured = measured_cost(Ensemble(networks, None, (0,), task.output), task, protocol, CPU)
    for name in ("parameters", "size_mb", "flops"):
        assert measured[name] == pytest.approx(expected[name])
    predicted = predicted_cost(
        lambda given: make_space(ended.settings.space).build(ended.finalists[0].choice, given), task, protocol
    )
    assert costs[0]["parameters"] == predicted.parameters
    assert costs[0]["flops"] == pytest.approx(predicted.flops)
    assert expected["seconds_per_batch"] is None


def _opposite(output: Any) -> Any:
    if isinstance(output, Slabs):
        return replace(output, parts=(1 - part for part in output.parts))
    return 1 - output


def test_kept_outputs_are_used_again_and_only_for_their_weights(ended: Ended, tmp_path: Path) -> None:
    cases, data = ended.data.data.validation, "data"
    folder = _copied(ended.finalists[0].folder, tmp_path / "one")
    protocol, network = ended.settings.training, ended.network(0)
    outputs = [np.asarray(output) for output in ended.problem.outputs(network, cases, protocol, CPU)]
    kept = keep_outputs(folder, ended.problem.outputs(network, cases, protocol, CPU), cases, data)
    found = find_outputs(folder, cases, data)
    assert found == kept
    for one, output in zip(kept.cases(), outputs, strict=True):
        np.testing.assert_allclose(one, output, atol=5e-4)
    size = sum(output.size for output in outputs)
    dense = ended.problem.task.output == "softmax" and outputs[0].ndim > 1
    assert (folder / OUTPUTS).stat().st_size == size * (2 if dense else 8)
    opposite = map(_opposite, ended.problem.outputs(network, cases, protocol, CPU))
    other = keep_outputs(_copied(folder, tmp_path / "two"), opposite, cases, data)
    for mean, output in zip(mean_outputs([kept, other, kept], (1, 3, 0)), outputs, strict=True):
        np.testing.assert_allclose(mean, (output + 3 * (1 - output)) / 4, atol=5e-4)
    assert find_outputs(folder, cases[:-1], data) is None
    assert find_outputs(folder, cases, "other data") is None
    (folder / OUTPUTS).write_bytes(b"too short")
    assert find_outputs(folder, cases, data) is None
    keep_outputs(folder, ended.problem.outputs(network, cases, protocol, CPU), cases, data)
    (folder / INDEX).write_text("no JSON")
    assert find_outputs(folder, cases, data) is None
    keep_outputs(folder, ended.problem.outputs(network, cases, protocol, CPU), cases, data)
    save_weights(ended.network(1), folder / WEIGHTS)
    assert find_outputs(folder, cases, data) is None, "the training went on"
