"""Who takes part in the final comparison."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from netwright.api import create_run
from netwright.comparison.contestants import entries, require_rival
from netwright.data.splits import Splits
from netwright.errors import RunError
from netwright.files import write_json
from netwright.planning.user_settings import UserSettings
from netwright.runs.data import SearchData, open_run_data
from netwright.runs.folder import create_run_folder
from netwright.runs.results import read_results
from netwright.searches.components import open_study
from netwright.settings import RunSettings, parse_settings
from netwright.spaces import make_space

SPLITS = Splits(("a",), ("b",), ("c",))
SHAPE = {"channels": 1, "classes": 3, "size": [24, 24], "dense": True}


def settings_of(**changes: Any) -> RunSettings:
    space = {"name": "layerwise", "network": "tiny_networks:segmenter", **SHAPE}
    values = {
        "recipe": "marl",
        "dataset": {"path": "."},
        "space": {**space, "values": {"kernels": [2, 4]}},
        "strategy": {"name": "q-learning"},
        "verdict": {"random_choices": 0},
        "objective": "dice",
    }
    return parse_settings(values | changes)


def data(prepared: Path = Path()) -> SearchData:
    return SearchData(prepared, (0,), (1,))


def run_with_rewards(folder: Path, settings: RunSettings, rewards: list[float]) -> None:
    study = open_study(create_run_folder(folder, settings, SPLITS), settings)
    space = make_space(settings.space)
    for number, reward in enumerate(rewards):
        choice = {name: d.choices[number % 2] for name, d in space.distributions().items()}
        study.add_trial(
            optuna.trial.create_trial(params=choice, distributions=space.distributions(), value=reward)
        )


def test_the_network_whose_layers_were_tuned_takes_part() -> None:
    settings = settings_of()
    best = {"0.kernels": 2, "2.kernels": 4}
    who = entries(settings, make_space(settings.space), data(), best)
    assert [(entry.name, entry.choice) for entry in who] == [
        ("searched", best),
        ("original", {"0.kernels": 8, "2.kernels": 8}),
    ]
    assert all(entry.reference is None for entry in who), "no other reference without a wish"


def test_the_starting_policy_takes_part_where_it_is_another_network() -> None:
    settings = settings_of()
    best, start = {"0.kernels": 2, "2.kernels": 4}, {"0.kernels": 4, "2.kernels": 2}
    space = make_space(settings.space)
    who = entries(settings, space, data(), best, ("where it began", start))
    assert [(e.name, e.title, e.choice) for e in who][2:] == [("start", "where it began", start)]
    assert [e.name for e in entries(settings, space, data(), best, ("begun", best))] == [
        "searched",
        "original",
    ]


def test_the_best_network_of_a_rival_takes_part(tmp_path: Path) -> None:
    other = settings_of(strategy={"name": "random"})
    run_with_rewards(tmp_path / "rival", other, [0.2, 0.9, 0.4])
    settings = settings_of(verdict={"random_choices": 0, "rival": str(tmp_path / "rival")})
    require_rival(settings)
    who = entries(settings, make_space(settings.space), data(), {"0.kernels": 2, "2.kernels": 2})
    assert [entry.name for entry in who] == ["searched", "original", "rival"]
    assert who[2].choice == {"0.kernels": 4, "2.kernels": 4}
    assert "random" in who[2].title


def test_a_rival_has_the_same_cases_in_each_part_whatever_files_gave_them(tmp_path: Path) -> None:
    path = str(tmp_path / "rival")
    dataset = settings_of().dataset.model_dump(mode="json")
    run_with_rewards(Path(path), settings_of(dataset={**dataset, "split_file": "/one.csv"}), [0.2, 0.9])
    settings = settings_of(
        dataset={**dataset, "split_file": "/folds.json", "fold": 2},
        verdict={"random_choices": 0, "rival": path},
    )
    require_rival(settings, SPLITS)
    with pytest.raises(RunError, match="other training, validation and test cases"):
        require_rival(settings, replace(SPLITS, training=SPLITS.test, test=SPLITS.training))


def test_a_rival_may_have_its_copy_of_the_network_elsewhere_but_no_other_network(tmp_path: Path) -> None:
    space, folder = settings_of().space.model_dump(), str(tmp_path)
    mark = make_space(settings_of().space).fingerprint  # type: ignore[attr-defined]
    run_with_rewards(tmp_path / "rival", settings_of(space={**space, "fingerprint": mark}), [0.2, 0.9])
    verdict = {"random_choices": 0, "rival": str(tmp_path / "rival")}
    require_rival(settings_of(space={**space, "fingerprint": mark, "folder": folder}, verdict=verdict))
    require_rival(settings_of(space={**space, "folder": folder}, verdict=verdict))
    with pytest.raises(RunError, match="another space"):
        require_rival(settings_of(space={**space, "fingerprint": "0", "folder": folder}, verdict=verdict))


def test_a_rival_of_another_space_or_without_a_network_is_refused(tmp_path: Path) -> None:
    space = {**settings_of().space.model_dump(), "values": {"kernels": [2, 8]}}
    run_with_rewards(tmp_path / "other", settings_of(space=space), [0.5])
    run_with_rewards(tmp_path / "empty", settings_of(), [])
    for folder, words in (("other", "another space"), ("empty", "no trained candidate"), ("none", "no run")):
        rival = {"random_choices": 0, "rival": str(tmp_path / folder)}
        with pytest.raises(RunError, match=words):
            require_rival(settings_of(verdict=rival))


def test_a_rival_that_cannot_be_is_refused_before_anything_is_searched(cells: Path, tmp_path: Path) -> None:
    said = {"space.network": "tiny_networks:segmenter", "verdict.rival": str(tmp_path / "nowhere")}
    with pytest.raises(RunError, match="nowhere"):
        create_run(cells, None, UserSettings(assignments=said, trials=1), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_results_of_version_0_1_are_read_as_scores(tmp_path: Path) -> None:
    folder = create_run_folder(tmp_path / "run", settings_of(), SPLITS)
    old = {"name": "searched", "outcome": {"status": "complete"}, "dice": {"a": {"core": 0.5}}}
    new = {"name": "random", "outcome": {"status": "crashed"}, "scores": {}}
    for name, result in (("searched", old), ("random", new)):
        folder.contestant(name).mkdir(parents=True)
        write_json(folder.contestant(name) / "result.json", result)
    assert [result["scores"] for result in read_results(folder)] == [{"a": {"core": 0.5}}, {}]


def test_random_networks_are_drawn_from_the_run_s_seed(shapes: Path, tmp_path: Path) -> None:
    said = {
        "space.network": "tiny_networks:classifier",
        "space.values.kernels": [2, 4],
        "space.values.kernel_size": [1, 3, 5],
        "termination.slower_than_start": None,
        "verdict.random_choices": 6,
    }
    run = create_run(shapes, None, UserSettings(assignments=said, trials=1), tmp_path / "run")
    settings = run.settings
    space, run_data = make_space(settings.space), open_run_data(run.folder, settings)

    def drawn(settings: RunSettings) -> list[dict[str, Any]]:
        who = entries(settings, space, run_data.data, space.starting_choice())
        return [entry.choice for entry in who if entry.title == "a random network of the same space"]

    choices = drawn(settings)
    assert len(choices) == 6
    assert len({tuple(choice.values()) for choice in choices}) > 1
    for choice in choices:
        assert all(choice[name] in d.choices for name, d in space.distributions().items())
    assert drawn(settings) == choices
    assert drawn(settings.model_copy(update={"seed": 1})) != choices


def test_the_base_of_the_winners_depth_takes_part_where_it_is_another_network() -> None:
    space = {"name": "autoencoder", "layers": 3, "channels": [2, 4], "levels_back": 1}
    settings = settings_of(space=space)
    autoencoder = make_space(settings.space)
    best = {**autoencoder.starting_choice(), "layer2.channels": 4}
    who = entries(settings, autoencoder, data(), best)
    assert [entry.name for entry in who] == ["searched", "base"], "no other reference without a wish"
    assert "same depth" in who[1].title
    assert autoencoder.canonical(who[1].choice) == autoencoder.canonical(autoencoder.starting_choice())
    again = entries(settings, autoencoder, data(), who[1].choice)
    assert [entry.name for entry in again] == ["searched"]
