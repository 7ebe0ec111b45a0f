"""A search that starts from another run: what is taken over, which cases both know, and what is refused."""

import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from safetensors.torch import load_file, save_file

import tiny_networks
from netwright.api import create_run, open_run
from netwright.comparison.default_alone import space_alone
from netwright.data.open import folds_any
from netwright.data.samples.phantoms import write_sample
from netwright.data.splits import FRACTIONS
from netwright.errors import RunError, SettingsError, SettingsWarning
from netwright.planning.context import Context
from netwright.planning.other_run import read_other_run
from netwright.planning.recipe import first_draft
from netwright.planning.resolve import PLAN, take_steps
from netwright.planning.start_from import find_start, fitted_choice, leaks_of_folds
from netwright.planning.user_settings import UserSettings
from netwright.runs.start import start_weights
from netwright.searches.components import open_study
from netwright.settings import first_choices, parse_settings
from netwright.spaces import make_space, network_builder

SMALL = {"space.n": [1, 4], "space.p": [1, 3], "training.epochs": 1, "machine.workers": 1, "budget.trials": 1}
DISTRIBUTIONS = {
    "width": IntDistribution(8, 64, step=8),
    "block": CategoricalDistribution(["plain", "residual"]),
    "rate": FloatDistribution(0.1, 10, log=True),
}
USUAL = {"width": 16, "block": "plain", "rate": 1.0}


@pytest.fixture(scope="module")
def more(tmp_path_factory, dataset):
    """Twelve phantoms: the eight of `dataset` under other names, and four new ones."""
    root = tmp_path_factory.mktemp("data") / "More"
    write_sample(root, cases=12, size=24, seed=5)
    description = json.loads((root / "dataset.json").read_text())
    for new, old in zip(
        description["training"], json.loads((dataset / "dataset.json").read_text())["training"], strict=False
    ):
        for kind in ("image", "label"):
            shutil.copy(dataset / old[kind], root / new[kind])
    return root


def auto_started(own):
    """The settings of a search with `auto` that began with the choice of another run."""
    shape = {"channels": 1, "classes": 3, "size": [16, 16, 16]}
    return {
        "recipe": "auto",
        "dataset": {"path": "."},
        "strategy": {"name": "prior"},
        "space": {"name": "encoder-decoder", **shape, "start": {"width": 48}},
        "start_from": {"path": "other", "choices": [{"width": 48}], "own_start": own},
        "race": {},
        "budget": {"hours": 1},
    }


def started(run, dataset, recipe=None, small=SMALL, **settings):
    """The draft and the context of a plan."""
    user = UserSettings(assignments={**small, "start_from.path": str(run), **settings})
    draft, context = first_draft(dataset, recipe, user), Context(user)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", SettingsWarning)
        take_steps(draft, context, *PLAN)
    return draft, context, [str(one.message) for one in told if "eak:" in str(one.message)]


def test_choices_weights_and_parts_are_taken_over(finished_run, more):
    """Without a recipe it is the other run's. Equal cases keep their parts, though they have other names here."""
    other = open_run(finished_run)
    draft, context, leaks = started(finished_run, more)
    assert draft.recipe == "segnas4"
    best = json.loads((finished_run / "winner" / "architecture.json").read_text())["choice"]
    assert draft.start_from.choices[0] == best
    assert context.start_weights == finished_run / "winner" / "weights.safetensors"
    assert not leaks
    theirs, ours = other.folder.splits(), context.splits
    order = [Path(one["image"]).name for one in json.loads((more / "dataset.json").read_text())["training"]]
    names = [name.removesuffix(".nii.gz") for name in order]
    for part in ("training", "validation", "test"):
        renamed = {names[int(name.rpartition("_")[2])] for name in getattr(theirs, part)}
        assert renamed <= set(getattr(ours, part))
    assert len(ours.training) + len(ours.validation) + len(ours.test) == 12
    assert any("tensors" in text for text in draft.start_from.told)


def test_of_a_run_with_several_trainings_of_its_winner_the_used_one_is_taken(finished_run, more, tmp_path):
    """The second is the best on the validation cases, and the first has failed."""
    source = shutil.copytree(finished_run, tmp_path / "source")
    second = shutil.copytree(source / "winner", tmp_path / "second")
    result = json.loads((second / "result.json").read_text())
    result["outcome"]["status"] = "crashed"
    (source / "winner" / "result.json").write_text(json.dumps(result))
    for name in ("weights.safetensors", "architecture.json"):
        (source / "winner" / name).unlink()
    second.rename(source / "winner" / "seed-2")
    draft, context, _ = started(source, more)
    used = source / "winner" / "seed-2"
    assert context.start_weights == used / "weights.safetensors"
    assert draft.start_from.choices[0] == json.loads((used / "architecture.json").read_text())["choice"]


def test_of_a_run_in_a_space_of_ones_own_the_name_to_give_is_told(finished_run, more, tmp_path):
    source = shutil.copytree(finished_run, tmp_path / "source")
    settings = yaml.safe_load((source / "run.yaml").read_text())
    settings["space"] |= {"name": "own", "code": "mine:Space"}
    (source / "run.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(SettingsError, match=r"searched the space 'own'.* Give --space mine:Space, or name"):
        started(source, more)


def test_the_weights_are_copied_and_the_run_needs_no_other_folder(finished_run, dataset, tmp_path):
    source = shutil.copytree(finished_run, tmp_path / "source")
    user = UserSettings(assignments={**SMALL, "start_from.path": str(source)})
    run = create_run(dataset, None, user, tmp_path / "run")
    again = create_run(dataset, None, UserSettings(repeat=run.settings), tmp_path / "again")
    assert again.settings.start_from == run.settings.start_from
    assert again.folder.start_weights.read_bytes() == run.folder.start_weights.read_bytes()
    stored = load_file(source / "winner" / "weights.safetensors")
    shutil.rmtree(source)
    with pytest.raises(RunError, match="is gone"):
        create_run(dataset, None, UserSettings(repeat=run.settings), tmp_path / "third")
    path = start_weights(run.folder, run.settings)
    assert path is not None
    assert path.is_relative_to(run.folder.root)
    assert {name: value.tolist() for name, value in load_file(path).items()} == {
        name: value.tolist() for name, value in stored.items()
    }
    study = open_study(run.folder, run.settings)
    trial = study.ask()
    proposed = {n: trial._suggest(n, d) for n, d in make_space(run.settings.space).distributions().items()}
    assert proposed == run.settings.start_from.choices[0]
    path.unlink()
    with pytest.raises(RunError, match=r"start/weights\.safetensors is missing"):
        start_weights(run.folder, run.settings)


def test_another_number_of_labels_leaves_the_last_layer_as_it_is(finished_run, dataset):
    draft, _, _ = started(finished_run, dataset)
    (all_fit,) = (text for text in draft.start_from.told if "tensors" in text)
    user = UserSettings(
        regions={"whole": [1, 2, 3]}, assignments={**SMALL, "start_from.path": str(finished_run)}
    )
    fewer, context = first_draft(dataset, None, user), Context(user)
    take_steps(fewer, context, *PLAN)
    (some_fit,) = (text for text in fewer.start_from.told if "tensors" in text)
    builder = network_builder(draft.space, draft.start_from.choices[0])
    tensors = len(builder(context.task).state_dict())
    assert f"{tensors} of {tensors} tensors, 100 %" in all_fit
    assert f"{tensors} of {tensors} tensors" not in some_fit
    assert f" of {tensors} tensors" in some_fit


def test_cases_that_both_know_are_told_where_the_parts_are_given(finished_run, dataset, tmp_path):
    """The user's own parts stay, and both directions of a leak are told."""
    theirs = open_run(finished_run).folder.splits()
    lines = ["case,part", f"{theirs.training[0]},test", f"{theirs.test[0]},train"]
    rest = [*theirs.training[1:], *theirs.validation, *theirs.test[1:]]
    lines += [f"{name},{part}" for name, part in zip(rest, ["val", *["train"] * len(rest)], strict=False)]
    file = tmp_path / "parts.csv"
    file.write_text("\n".join(lines) + "\n")
    draft, _, leaks = started(finished_run, dataset, **{"dataset.split_file": str(file)})
    assert [leak.startswith("Leak: 1 of the 1 test cases are training") for leak in leaks] == [True, False]
    assert f"test cases of {finished_run.name}" in leaks[1]
    assert [text for text in draft.start_from.told if text.startswith("Leak")] == leaks


def test_leaks_of_other_parts_are_told_again(finished_run, dataset, tmp_path):
    """Those of the folds of a cross-validation, which repeat the first one, and of all folds together."""
    theirs = open_run(finished_run).folder.splits()
    seen = [*theirs.training, *theirs.validation]
    files = [tmp_path / "one.json", tmp_path / "other.json"]
    for count, file in zip((1, 3), files, strict=True):
        test = seen[:count]
        val, *train = [*seen[count:], *theirs.test]
        file.write_text(json.dumps({"training": train, "validation": [val], "test": test}))
    first, _, leaks = started(finished_run, dataset, **{"dataset.split_file": str(files[0])})
    user = UserSettings(assignments={"dataset.split_file": str(files[1])}, repeat=first.finished())
    draft, context = first_draft(dataset, None, user), Context(user)
    with pytest.warns(SettingsWarning) as warned:
        take_steps(draft, context, *PLAN)
    assert any("Leak: 3 of the 3 test cases" in str(one.message) for one in warned)
    told = [words for words in draft.start_from.told if words.startswith("Leak")]
    assert told[0].startswith("Leak: 3 of the 3 test cases")
    assert leaks[0].startswith("Leak: 1 of the 1 test cases")
    assert leaks[0] not in told
    other, folds = read_other_run(finished_run), folds_any(context.dataset, 2, 0, FRACTIONS)
    words = f"over all folds, {len(seen)} of the {len(context.dataset.names)} test cases"
    assert words in leaks_of_folds(context.dataset, other, folds)
    assert leaks_of_folds(context.dataset, other, [theirs]) is None


@pytest.mark.parametrize("own", [None, {"width": 24}])
def test_a_repeated_run_that_had_started_elsewhere_leaves_that_behind(own, tmp_path):
    """Its own start is that which it would have had without the other run."""
    save_file({"x": torch.zeros(1)}, tmp_path / "weights.safetensors")
    repeated = parse_settings(auto_started(own))
    user = UserSettings(
        assignments={"start_from.path": str(tmp_path / "weights.safetensors")}, repeat=repeated
    )
    draft = first_draft(tmp_path, None, user)
    find_start(draft, Context(user))
    assert draft.space.options["start"] == own
    assert not first_choices(draft.start_from)


def test_a_run_whose_data_is_gone_is_compared_by_names(finished_run, dataset, tmp_path):
    moved = shutil.copytree(finished_run, tmp_path / "moved")
    settings = yaml.safe_load((moved / "run.yaml").read_text())
    settings["dataset"]["path"] = str(tmp_path / "gone")
    (moved / "run.yaml").write_text(yaml.safe_dump(settings))
    _, context, leaks = started(moved, dataset)
    assert context.known.by_name
    assert not leaks
    assert context.splits.test == open_run(moved).folder.splits().test


def test_what_cannot_be_started_from_is_refused_in_words(finished_run, dataset, cells, tmp_path):
    unfinished = shutil.copytree(finished_run, tmp_path / "unfinished")
    (unfinished / "finished.json").unlink()
    pickled = tmp_path / "weights.pt"
    pickled.write_bytes(b"\x80\x04")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"\x80\x04")
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": load_file(finished_run / "winner" / "weights.safetensors").popitem()[1]}, foreign)
    for path, match in (
        (unfinished, "not finished"),
        (tmp_path / "nowhere", "nothing is there"),
        (pickled, "never read"),
        (foreign, "none of its tensors"),
    ):
        with pytest.raises(SettingsError, match=match):
            started(path, dataset, "segnas4")
    with pytest.raises(RunError, match="damaged"):
        started(damaged, dataset, "segnas4")
    with pytest.raises(RunError, match=r"run\.yaml is missing"):
        started(tmp_path, dataset, "segnas4")
    with pytest.raises(SettingsError, match="searched the space 'segnas4'"):
        started(finished_run, dataset, "segnas4", **{"space.name": "segnas11"})
    with pytest.raises(SettingsError, match="share one training"):
        started(finished_run, dataset, "pdas-segnas7", {"machine.workers": 1})


def test_a_run_of_another_task_is_refused(finished_run, shapes):
    with pytest.raises(SettingsError, match=r"is for segmentation, but .* is for classification"):
        started(finished_run, shapes, "marl-vgg16", {"machine.workers": 1})


def test_weights_alone_tell_that_nothing_is_known_of_their_cases(finished_run, dataset):
    file = finished_run / "winner" / "weights.safetensors"
    architecture = json.loads((finished_run / "winner" / "architecture.json").read_text())
    fixed = {"space.n": architecture["choice"]["n"], "space.p": architecture["choice"]["p"]}
    given_settings = {**SMALL, "start_from.path": str(file), **{k: [v, v + 1] for k, v in fixed.items()}}
    user = UserSettings(assignments=given_settings)
    draft, context = first_draft(dataset, "segnas4", user), Context(user)
    with pytest.warns(SettingsWarning, match="not known which cases"):
        take_steps(draft, context, *PLAN)
    assert context.start_weights == file
    assert draft.start_from.choices == ()


@given(
    st.dictionaries(
        st.sampled_from(["width", "block", "rate", "gone"]),
        st.one_of(
            st.integers(-5, 100),
            st.floats(allow_nan=False),
            st.sampled_from(["plain", "residual", "other"]),
            st.booleans(),
        ),
    )
)
def test_a_choice_of_another_run_becomes_one_of_this_space(choice):
    """Every dimension has a value that is there; values that are there stay; what changed is told."""
    fitted, changed = fitted_choice(choice, DISTRIBUTIONS, USUAL)
    assert fitted.keys() == DISTRIBUTIONS.keys()
    for name, distribution in DISTRIBUTIONS.items():
        assert distribution._contains(distribution.to_internal_repr(fitted[name]))
        assert (name in changed) == (name not in choice or fitted[name] != choice[name])


def test_numbers_beyond_the_bounds_are_moved_to_them():
    fitted, changed = fitted_choice({"width": 80, "block": "plain", "rate": 0.01}, DISTRIBUTIONS, USUAL)
    assert fitted == {"width": 64, "block": "plain", "rate": 0.1}
    assert changed == ("width", "rate")


@pytest.mark.parametrize("own", [None, {"width": 24}])
def test_the_default_alone_is_the_one_without_the_other_run(own):
    """Unless the user says so, it is what one has without the other run: the usual start, or that of the user."""
    values = auto_started(own)
    settings = parse_settings(values)
    space = make_space(settings.space)
    assert space.starting_choice()["width"] == 48
    assert space_alone(settings, space).starting_choice()["width"] == (16 if own is None else 24)
    values["start_from"]["default_alone"] = True
    assert space_alone(parse_settings(values), space) is space


@pytest.mark.slow
def test_a_search_begins_where_the_other_run_ended(finished_run, dataset, netwright, tmp_path):
    """With a rate of almost 0 its first network ends there, too. The report says where the weights come from."""
    folder = tmp_path / "run"
    done = netwright(
        *("search", dataset, "--start-from", finished_run, "-o", folder, "--trials", 1, "--epochs", 1),
        *(
            "--workers",
            1,
            "--verdict-hours",
            0,
            "--set",
            "training.learning_rate=1e-30",
            "--set",
            "space.n=[1,4]",
            "--set",
            "space.p=[1,3]",
        ),
    )
    assert done.returncode == 0, done.stderr
    run, other = open_run(folder), open_run(finished_run)
    assert run.trials[0].choice == other.best.choice
    ended = load_file(other.folder.winner / "weights.safetensors")
    begun = load_file(run.folder.trial(0) / "weights.safetensors")
    assert begun.keys() == ended.keys()
    for name, value in ended.items():
        if "running" not in name and "num_batches" not in name:  # statistics that change without a step, too
            assert (begun[name] - value).abs().max() < 1e-12, name
    report = run.folder.report.read_text()
    assert "started from" in report
    assert "tensors" in report


def test_a_network_of_ones_own_begins_with_its_weights(shapes, tmp_path):
    """Of a network for other classes all but the last layer."""
    size = (16, 16)
    for classes, expected in ((4, "8 of 8 tensors, 100 %"), (7, "6 of 8 tensors, ")):
        file = tmp_path / f"{classes}.safetensors"
        save_file(tiny_networks.classifier(1, classes, size).state_dict(), file)
        own = {"machine.workers": 1, "space.network": "tiny_networks:classifier"}
        draft, context, _ = started(file, shapes, None, own)
        assert draft.recipe == "marl"
        assert context.start_weights == file
        assert any(expected in text for text in draft.start_from.told), draft.start_from.told


def test_another_folder_of_a_study_has_the_same_weights(finished_run, dataset, postgresql, tmp_path):
    """The path may be given again as it was, from the folder in which it is meant."""
    postgresql.execute("CREATE DATABASE started")
    given_settings = {**SMALL, "start_from.path": str(finished_run), "storage.url": postgresql.url("started")}
    user = UserSettings(assignments={**given_settings, "storage.study": "one"})
    first, second = (create_run(dataset, "segnas4", user, tmp_path / name) for name in ("first", "second"))
    weights = start_weights(second.folder, second.settings)
    assert weights is not None
    assert weights.is_relative_to(second.folder.root)
    assert weights.read_bytes() == first.folder.start_weights.read_bytes()
    assert second.settings.start_from == first.settings.start_from
