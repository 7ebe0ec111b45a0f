"""Runs that version 0.1 made before the new layout open, report, predict and go on as they did then.

What is expected was said by the code that made them; see tests/fixtures/old_runs/README.md.
"""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import yaml
from PIL import Image

import archives
import netwright as package
from netwright.spaces import make_space
from netwright.supernet.snapshots import read_snapshots

pytestmark = pytest.mark.usefixtures("shared_workers")
OLD_RUNS = next(p for p in Path(__file__).resolve().parents if p.name == "tests") / "fixtures" / "old_runs"
MADE_IN = "/tmp/old-runs/data"
KILLED = ("segnas4-killed", "pdas-cells-killed")
NAMES = sorted(path.stem for path in OLD_RUNS.glob("*.json") if path.stem not in KILLED)
OWN_NETWORK = "marl"
"""A user's own network: its code was run for status and report then, and is not any more (docs/run-folder.md)."""
SLOW = ("marl-googlenet",)
"""Its report draws a hundred layers; that of marl-vgg16 is made by the same code."""
IMAGES = {"volumes": "imagesTr", "masked": "images", "pictures": "test/disc", "restored": "."}
"""Of each dataset, the folder whose images were predicted."""

REWARD_ELSEWHERE = 0.02
"""By so much rewards of another processor may differ, which rounds otherwise from the first step of a training on."""

Unpacked = Callable[[str], Path]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The datasets, and the module of a user's own network, in another place than where the runs were made."""
    folder = tmp_path_factory.mktemp("data")
    unpack("datasets", folder)
    return folder


@pytest.fixture(scope="module")
def old_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    """Gives a run's folder, unpacked once; its ``run.yaml`` names the new place of the data, as a user who moved the
    data would write it. What it predicted lies beside it.
    """
    runs = tmp_path_factory.mktemp("runs")

    def opened(name: str) -> Path:
        folder = runs / name
        if not folder.exists():
            unpack(name, folder)
            file = folder / "run.yaml"
            assert MADE_IN in file.read_text()
            file.write_text(file.read_text().replace(MADE_IN, str(data)))
            if (folder / "predicted").exists():
                (folder / "predicted").rename(runs / f"{name}-predicted")
        return folder

    return opened


def unpack(name: str, folder: Path) -> None:
    archives.unpack(OLD_RUNS / f"{name}.tar.xz", folder)


def expected(name: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((OLD_RUNS / f"{name}.json").read_text())
    return values


def opened(folder: Path) -> package.Run:
    return package.open_run(folder, trust_code=True)


def trials_of(run: package.Run) -> list[dict[str, Any]]:
    return [
        {"number": t.number, "status": t.status, "choice": t.choice, "reward": t.reward} for t in run.trials
    ]


def plain(value: Any) -> Any:
    """As JSON has it, for a comparison."""
    return json.loads(json.dumps(value))


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_recipe_of_then_has_an_old_run() -> None:
    recipes = "segnas11 segnas4 segnas7 marl-vgg16 marl-googlenet marl-unet marl policy-gradient"
    assert sorted(f"{recipes} pdas-cells pdas-inpainting pdas-segnas7".split()) == NAMES
    assert set(NAMES) <= set(package.recipes.RECIPES)


def test_the_old_runs_are_small() -> None:
    assert sum(path.stat().st_size for path in OLD_RUNS.iterdir() if path.is_file()) < 2e6


@pytest.mark.parametrize("name", [*NAMES, *KILLED])
def test_settings_read(old_run: Unpacked, name: str) -> None:
    folder = old_run(name)
    written = yaml.safe_load((folder / "run.yaml").read_text())
    settings = opened(folder).settings
    assert (settings.recipe, settings.seed) == (written["recipe"], 1)
    assert str(settings.dataset.path) == written["dataset"]["path"]
    for part in ("space", "strategy"):
        read = plain(getattr(settings, part).model_dump(mode="json"))
        assert {key: read[key] for key in written[part]} == written[part]
    training = written["training"]
    assert settings.training.learning_rate == training["learning_rate"]
    assert settings.training.batch_size == training["batch_size"]
    assert settings.budget.trials == written["budget"]["trials"]


@pytest.mark.parametrize("name", NAMES)
def test_status_and_trials(old_run: Unpacked, name: str) -> None:
    run, then = opened(old_run(name)), expected(name)
    assert plain(trials_of(run)) == then["trials"]
    status = plain(run.status().to_dict())
    before = {**then["status"], "run": str(old_run(name))}
    if name == OWN_NETWORK:
        assert status["best"].pop("choice").startswith("not described")
        del before["best"]["choice"]
    status["trials"].pop("left_out")  # that version could not leave any out
    assert {key: status[key] for key in before} == before
    best = max((t for t in then["trials"] if t["reward"] is not None), key=lambda t: t["reward"])
    assert run.best is not None
    assert (run.best.number, run.best.reward) == (best["number"], best["reward"])


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in NAMES])
def test_report(old_run: Unpacked, name: str, tmp_path: Path) -> None:
    page = opened(old_run(name)).report(tmp_path / "report.html").read_text(encoding="utf-8")
    headings = expected(name)["headings"]
    if name == OWN_NETWORK:
        headings.remove("Layers and agents")
        assert "This run was made before searches stored" in page
    assert re.findall(r"<h[12][^>]*>(.*?)</h[12]>", page, re.DOTALL) == headings


@pytest.mark.parametrize("name", NAMES)
def test_predict(old_run: Unpacked, data: Path, name: str, tmp_path: Path) -> None:
    run = opened(old_run(name))
    images = data / run.settings.dataset.path.name
    written = run.predict(images / IMAGES[images.name], tmp_path / "predicted")
    then = old_run(name).with_name(f"{name}-predicted")
    assert sorted(path.name for path in written) == sorted(path.name for path in then.iterdir())
    for path in written:
        require_same(path, then / path.name)


def require_same(path: Path, before: Path) -> None:
    """Predictions are the same, but for what other processors round otherwise."""
    if path.suffix == ".csv":
        rows, old_rows = ([line.split(",") for line in p.read_text().splitlines()] for p in (path, before))
        assert [row[:2] for row in rows] == [row[:2] for row in old_rows]
        numbers, old_numbers = (np.array([row[2:] for row in r[1:]], float) for r in (rows, old_rows))
        np.testing.assert_allclose(numbers, old_numbers, atol=1e-3)
        return
    if path.suffix == ".gz":
        image, old_image = nibabel.load(path), nibabel.load(before)
        np.testing.assert_array_equal(image.affine, old_image.affine)
        voxels, old_voxels = np.asarray(image.dataobj), np.asarray(old_image.dataobj)
    else:
        voxels, old_voxels = np.asarray(Image.open(path)), np.asarray(Image.open(before))
    assert (voxels.shape, voxels.dtype) == (old_voxels.shape, old_voxels.dtype)
    differ = np.abs(voxels.astype(int) - old_voxels)
    restored = voxels.ndim == 3 and path.suffix == ".png"
    assert (differ > (1 if restored else 0)).mean() < 0.002


@pytest.mark.parametrize("name", NAMES)
def test_evaluate(old_run: Unpacked, data: Path, name: str) -> None:
    run = opened(old_run(name))
    now = run.evaluate(data / run.settings.dataset.path.name).to_dict()
    then = expected(name)["evaluation"]
    assert now["metrics"].keys() >= then["metrics"].keys()
    for metric, value in then["metrics"].items():
        assert now["metrics"][metric] == pytest.approx(value, abs=5e-3, nan_ok=True), metric
    assert now["cases"].keys() == then["cases"].keys()
    for case, scores in then["cases"].items():
        assert now["cases"][case] == pytest.approx(scores, abs=1e-2)
    assert (now["note"], now["crf"]) == (then["note"], then["crf"])


def likeliest(folder: Path) -> dict[str, Any]:
    """The likeliest value of each variable in a one-shot search's last snapshot, and the values of the others.

    Another processor rounds otherwise, and then the search samples other networks: which one it ends in differs, but
    not how it follows from the probabilities.
    """
    settings = opened(folder).settings
    distributions = make_space(settings.space).distributions()
    variables = [name for name, distribution in distributions.items() if not distribution.single()]
    last = read_snapshots(folder / "supernet")[-1].probabilities
    chosen = {
        name: distributions[name].choices[int(np.argmax(row))]
        for name, row in zip(variables, last, strict=True)
    }
    return {name: chosen.get(name, getattr(d, "choices", (None,))[0]) for name, d in distributions.items()}


@pytest.mark.parametrize("name", NAMES)
def test_a_finished_run_is_left_as_it_is(old_run: Unpacked, name: str) -> None:
    folder = old_run(name)
    assert (folder / "finished.json").exists()
    before = digests(folder)
    opened(folder).resume()
    assert digests(folder) == before


@pytest.mark.parametrize("name", KILLED)
def test_a_killed_run_goes_on(old_run: Unpacked, name: str, tmp_path: Path) -> None:
    folder, then = shutil.copytree(old_run(name), tmp_path / name), expected(name)
    run = opened(folder)
    assert run.status().phase == "stopped"
    assert plain(trials_of(run)) == then["killed"]["trials"]
    assert (
        plain(run.status().shared and run.status().to_dict()["shared"]) == then["killed"]["status"]["shared"]
    )
    finished = {t["number"]: t for t in then["killed"]["trials"] if t["status"] == "complete"}

    run.resume()
    status, after = run.status(), then["resumed"]
    assert status.phase == "finished"
    assert status.trials == {**after["status"]["trials"], "left_out": 0}
    assert plain(status.to_dict()["comparison"]) == after["status"]["comparison"]
    trials = plain(trials_of(run))
    assert [t for t in trials if t["number"] in finished] == list(finished.values())
    shared = after["status"]["shared"]
    rounds_alike = status.shared is None or status.shared.loss == shared["loss"]
    for now, before in zip(trials, after["trials"], strict=True):
        assert now["status"] == before["status"]
        if rounds_alike:
            assert now["choice"] == before["choice"]
            assert now["reward"] == pytest.approx(before["reward"], abs=REWARD_ELSEWHERE)
    if status.shared is not None:
        assert status.shared.step == shared["step"]
        assert status.shared.loss < math.log(3), "a guess among its three classes has that"
        assert status.shared.certainty == pytest.approx(shared["certainty"], abs=0.05)
        assert trials[0]["choice"] == likeliest(folder)
    assert (folder / "report.html").exists()
