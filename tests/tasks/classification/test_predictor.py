"""A trained network on pictures, against a linear model in plain numpy."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from netwright.data.images.prepared import PreparedImages
from netwright.data.open import open_any, split_any
from netwright.data.splits import Splits
from netwright.errors import DatasetError, DatasetWarning, StorageError
from netwright.means import mean_scores
from netwright.planning.user_settings import UserSettings
from netwright.report.metrics import metric_named
from netwright.report.results import Contestant
from netwright.report.run import ReportedRun
from netwright.report.summaries import Comparison
from netwright.runs.data import open_own, open_run_data, prepare_own, unseen_cases
from netwright.runs.folder import create_run_folder
from netwright.settings import RunSettings
from netwright.tasks import TASKS
from netwright.tasks.classification.predictor import Classifier, LabelledPicture, read_table
from netwright.tasks.classification.report import on_test_images
from netwright.tasks.classification.task import ClassificationTask
from netwright.user_cache import cache_root
from planning.steps import resolve

SIZE = 16


def settings_of(shapes: Path) -> RunSettings:
    return resolve(shapes, "marl-vgg16", UserSettings())


@pytest.fixture(scope="module")
def prepared(shapes: Path) -> PreparedImages:
    settings = settings_of(shapes)
    found = prepare_own(open_own(settings), settings)
    assert isinstance(found, PreparedImages)
    return found


@pytest.fixture(scope="module")
def splits(shapes: Path, prepared: PreparedImages) -> Splits:
    return split_any(prepared, 0)


@pytest.fixture(scope="module")
def linear() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(SIZE * SIZE, 4))


@pytest.fixture(scope="module")
def classifier(prepared: PreparedImages, linear: nn.Sequential) -> Classifier:
    task = ClassificationTask(1, prepared.class_names, (SIZE, SIZE))
    return Classifier(linear.eval(), task, prepared.preparation, torch.device("cpu"))


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path), dtype=np.float64)


def by_hand(shapes: Path, linear: nn.Sequential, files: list[Path]) -> np.ndarray:
    """Class probabilities, from the files and the weights alone."""
    training = np.stack([pixels(path) for path in sorted((shapes / "train").rglob("*.png"))])
    images = (np.stack([pixels(path) for path in files]) - training.mean()) / training.std()
    weights, bias = (p.detach().double().numpy() for p in linear[1].parameters())
    logits = images.reshape(len(files), -1) @ weights.T + bias
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def pictures(prepared: PreparedImages, names: tuple[str, ...]) -> list[LabelledPicture]:
    indices = prepared.indices(names)
    return [LabelledPicture(n, prepared.folder, i) for n, i in zip(names, indices, strict=True)]


def test_scores_and_table_are_those_of_a_linear_model(
    shapes: Path,
    prepared: PreparedImages,
    splits: Splits,
    classifier: Classifier,
    linear: nn.Sequential,
    tmp_path: Path,
) -> None:
    names = splits.training + splits.test
    assert len(names) > 30
    scores = classifier.score(pictures(prepared, names), tmp_path)
    with (tmp_path / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    files = sorted(shapes.rglob("*.png"))
    found = {path.stem: p for path, p in zip(files, by_hand(shapes, linear, files), strict=True)}
    classes = prepared.class_names
    hits = []
    for row, name in zip(rows, names, strict=True):
        stem = Path(name).stem
        truth, best = stem.split("_")[0], classes[int(found[stem].argmax())]
        assert (row["picture"], row["truth"], row["found"]) == (name, truth, best)
        np.testing.assert_allclose([float(row[c]) for c in classes], found[stem], atol=2e-5)
        assert scores[name] == {truth: float(truth == best)}
        hits.append(truth == best)
    assert 0 < np.mean(hits) < 1
    assert mean_scores(scores, "accuracy")["accuracy"] == pytest.approx(np.mean(hits))


def test_a_class_may_be_called_as_a_column_is(
    prepared: PreparedImages, splits: Splits, classifier: Classifier, tmp_path: Path
) -> None:
    names = splits.test
    classifier.score(pictures(prepared, names), tmp_path)
    table = tmp_path / "predictions.csv"
    plain = read_table(table, prepared.class_names)
    renamed = dict(zip(prepared.class_names, ("found", "truth", "picture", "other"), strict=True))
    with table.open() as file:
        rows = list(csv.reader(file))
    for row in rows[1:]:
        row[1:3] = [renamed[row[1]], renamed[row[2]]]
    rows[0][3:] = renamed.values()
    with table.open("w") as file:
        csv.writer(file).writerows(rows)
    for one, other in zip(plain, read_table(table, tuple(renamed.values())), strict=True):
        assert (renamed[one.truth], renamed[one.predicted]) == (other.truth, other.predicted)
        assert (one.picture, one.probability) == (other.picture, other.probability)


def test_predictions_of_a_folder_and_of_one_picture(
    shapes: Path, classifier: Classifier, linear: nn.Sequential, tmp_path: Path
) -> None:
    (written,) = classifier.predict(shapes / "test", tmp_path / "all")
    with written.open() as file:
        rows = list(csv.DictReader(file))
    files = sorted((shapes / "test").rglob("*.png"))
    assert [row["picture"] for row in rows] == [f.relative_to(shapes / "test").as_posix() for f in files]
    assert "truth" not in rows[0]
    expected = by_hand(shapes, linear, files)
    found = np.array([[float(row[name]) for name in classifier.task.class_names] for row in rows])
    np.testing.assert_allclose(found, expected, atol=2e-5)
    (one,) = classifier.predict(files[3], tmp_path / "one")
    with one.open() as file:
        (row,) = csv.DictReader(file)
    assert row == {**rows[3], "picture": files[3].name}
    with pytest.raises(DatasetError, match="contains no images"):
        classifier.predict(tmp_path / "one", tmp_path / "none")


def test_a_table_of_the_user_is_never_replaced(shapes: Path, classifier: Classifier, tmp_path: Path) -> None:
    pictures_of_user = tmp_path / "mine"
    shutil.copytree(shapes / "test", pictures_of_user)
    table = pictures_of_user / "predictions.csv"
    table.write_text("mine\n")
    for overwrite in (False, True):
        with pytest.raises(StorageError, match=r"predictions\.csv is there already, not written by predict"):
            classifier.predict(pictures_of_user, pictures_of_user, overwrite=overwrite)
    assert table.read_text() == "mine\n"
    table.unlink()
    classifier.predict(pictures_of_user, pictures_of_user)
    with pytest.raises(StorageError, match="--overwrite"):
        classifier.predict(pictures_of_user, pictures_of_user)
    first = table.read_bytes()
    classifier.predict(pictures_of_user, pictures_of_user, overwrite=True)
    assert table.read_bytes() == first


def test_pictures_that_cannot_be_used_are_left_out_by_name(
    shapes: Path, classifier: Classifier, tmp_path: Path
) -> None:
    scans = tmp_path / "scans"
    shutil.copytree(shapes / "test" / "ring", scans / "ring")
    whole = len(list((scans / "ring").iterdir()))
    (scans / "broken.png").write_bytes(b"no picture")
    Image.new("RGB", (SIZE, SIZE), (10, 200, 30)).save(scans / "red.png")
    (scans / "ring" / "notes.txt").write_text("notes")
    with pytest.warns(DatasetWarning) as told:
        (written,) = classifier.predict(scans, tmp_path / "out")
    texts = sorted(str(warning.message) for warning in told)
    assert len(texts) == 3
    for name in ("ring/notes.txt", "broken.png", "red.png"):
        assert sum(name in text for text in texts) == 1
    with written.open() as file:
        assert len(list(csv.DictReader(file))) == whole


def test_a_picture_in_colours_is_refused_where_the_training_was_grey(
    classifier: Classifier, tmp_path: Path
) -> None:
    Image.new("RGB", (SIZE, SIZE), (10, 200, 30)).save(tmp_path / "red.png")
    with pytest.raises(DatasetError, match="colours"):
        classifier.predict(tmp_path / "red.png", tmp_path / "out")


def cases_of(classifier: Classifier, dataset: Any, names: Sequence[str]) -> tuple[Any, ...]:
    """Named pictures of another dataset, ready for testing."""
    return TASKS["classification"].test_cases(dataset, classifier.prepare(dataset, cache_root(), 1), names)


def test_pictures_are_known_by_their_content(
    shapes: Path, splits: Splits, prepared: PreparedImages, classifier: Classifier, tmp_path: Path
) -> None:
    settings = settings_of(shapes)
    for number, path in enumerate(sorted(shapes.rglob("*.png"))):
        copy = tmp_path / "Other" / path.parent.name / f"{number}.png"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    rng = np.random.default_rng(0)
    new = Image.fromarray(rng.integers(0, 256, (SIZE, SIZE), dtype=np.uint8))
    new.save(tmp_path / "Other" / "disc" / "new.png")
    other = open_any(tmp_path / "Other")
    unseen = unseen_cases(other, settings, splits)
    cases = cases_of(classifier, other, unseen.names)
    assert unseen.of_patients == 0
    assert unseen.seen == len(splits.training) + len(splits.validation)
    assert unseen.tested == len(splits.test)
    assert len(cases) == len(splits.test) + 1
    scores = classifier.score(cases)
    own = classifier.score(pictures(prepared, splits.test))
    assert len(scores) == len(own) + 1
    new_name = next(name for name in scores if Path(name).stem == "new")
    assert sum(next(iter(s.values())) for n, s in scores.items() if n != new_name) == sum(
        next(iter(s.values())) for s in own.values()
    ), "prepared as for the training, whatever else lies there"


def test_a_picture_that_was_trained_on_is_seen_under_any_name(
    shapes: Path, splits: Splits, classifier: Classifier, tmp_path: Path
) -> None:
    """The same picture under two names, one in training and one in the test part."""
    copy = shutil.copytree(shapes, tmp_path / "Twice")
    first = sorted((copy / "train" / "disc").iterdir())[0]
    twin = copy / "test" / "disc" / "zz_twin.png"
    shutil.copy(first, twin)
    settings = settings_of(copy)
    own = open_own(settings)
    prepared = prepare_own(own, settings)
    parts = split_any(prepared, 0)
    named = {Path(name).stem: name for name in prepared.names}
    everything = Splits(
        tuple(sorted({*parts.training, named[first.stem]})),
        tuple(n for n in parts.validation if n != named[first.stem]),
        parts.test,
    )
    kept = {Path(name).stem for name in unseen_cases(own, settings, everything).names}
    assert not kept & {first.stem, twin.stem}


def test_a_class_that_the_network_does_not_know_is_told(
    shapes: Path, splits: Splits, classifier: Classifier, tmp_path: Path
) -> None:
    copy = shutil.copytree(shapes / "test", tmp_path / "Named")
    (copy / "ring").rename(copy / "torus")
    named = open_any(copy)
    cases = cases_of(classifier, named, named.names)
    with pytest.raises(DatasetError, match=r"'torus'.*disc, ring, square, triangle"):
        classifier.score(cases)


def test_a_dataset_in_colours_is_refused_where_the_training_was_grey(
    shapes: Path, classifier: Classifier, tmp_path: Path
) -> None:
    for path in (shapes / "test").rglob("*.png"):
        copy = tmp_path / "Coloured" / path.parent.name / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        grey = np.asarray(Image.open(path))
        Image.fromarray(np.stack([grey, grey // 2, grey], -1)).save(copy)
    with pytest.raises(DatasetError, match="colours"):
        classifier.prepare(open_any(tmp_path / "Coloured"), cache_root(), 1)


def test_confusions_and_mistakes_are_those_of_the_table(
    shapes: Path, splits: Splits, classifier: Classifier, linear: nn.Sequential, tmp_path: Path
) -> None:
    folder = create_run_folder(tmp_path / "run", settings_of(shapes), splits)
    run_data = open_run_data(folder, settings_of(shapes))
    nothing = Comparison((), classifier.task.class_names, metric_named("accuracy"))
    run = ReportedRun(
        settings_of(shapes), nothing, folder.winner / "predictions", run_data.prepared, run_data.test
    )
    assert on_test_images(run) == (None, ())
    scores = classifier.score(run_data.test, folder.winner / "predictions")
    assert on_test_images(run) == (None, ()), "the table is of a network before the space was changed"
    searched = Contestant("searched", "it", "", "complete", "", 10, 1.0, 1, None, scores)
    run = replace(run, comparison=replace(nothing, contestants=(searched,)))
    files = sorted((shapes / "test").rglob("*.png"))
    found = by_hand(shapes, linear, files)
    classes = classifier.task.class_names
    counts = np.zeros((4, 4), int)
    wrong = []
    for path, p in zip(files, found, strict=True):
        truth, best = classes.index(path.parent.name), int(p.argmax())
        counts[truth, best] += 1
        if truth != best:
            wrong.append((-p[best], path))
    shown, examples = on_test_images(run)
    assert shown is not None
    assert shown.classes == classes
    np.testing.assert_array_equal(shown.counts, counts)
    wrong.sort()
    for example, (sureness, path) in zip(examples, wrong, strict=True):
        assert example.truth == path.parent.name
        assert example.probability == pytest.approx(-sureness, abs=2e-5)
        np.testing.assert_allclose(np.squeeze(example.image), pixels(path) / 255, atol=1e-6)


def test_means_are_over_cases_and_over_the_cases_of_each_label() -> None:
    nan = float("nan")
    scores = {"a": {"core": 0.5, "rim": nan}, "b": {"core": 0.9, "rim": 0.3}, "c": {"core": nan, "rim": 0.1}}
    means = mean_scores(scores, "dice")
    assert means == pytest.approx(
        {"dice": (0.5 + 0.6 + 0.1) / 3, "dice.core": (0.5 + 0.9) / 2, "dice.rim": (0.3 + 0.1) / 2}
    )
    assert mean_scores({}, "dice") == {}
