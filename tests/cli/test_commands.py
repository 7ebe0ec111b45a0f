"""The command line as a user meets it: real files, exit codes and what is printed."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
import yaml

import netwright as package
from dicom_files import affine_of, write_series
from netwright.data.io.volumes import read_grid, read_label
from netwright_tests import SMALL, mean_dice

Command = Callable[..., subprocess.CompletedProcess[str]]
VERBS = (
    *("sample", "inspect", "plan", "search", "resume", "status"),
    *("train", "evaluate", "predict", "report", "dashboard", "recipes"),
)


def test_help_is_everywhere(installed: Command, netwright: Command) -> None:
    overview = installed("--help")
    assert overview.stdout == netwright("--help").stdout
    assert overview.returncode == 0
    for verb in VERBS:
        assert verb in overview.stdout
    for verb in ("search", "predict"):
        assert netwright(verb, "--help").returncode == 0


def test_the_short_help_is_the_long_one_and_the_version_is_told(netwright: Command) -> None:
    for words in ((), ("search",), ("predict",)):
        short, long = netwright(*words, "-h"), netwright(*words, "--help")
        assert (short.returncode, short.stdout) == (0, long.stdout)
    assert netwright("--version").stdout == f"netwright {package.__version__}\n"


def test_wrong_usage_is_exit_code_2_without_a_trace(installed: Command) -> None:
    done = installed("search", "nowhere", "--recipe", "segnas5")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "Did you mean segnas" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("walk",), "No such command"),
        (("search",), "Missing argument"),
        (("search", "nowhere", "--epochs", "none"), "valid integer"),
        (("search", "nowhere", "--set", "training.epoch=3"), "training.epochs"),
        (("search", "nowhere", "--set", "training.epochs=0"), "training.epochs"),
        (("search", "nowhere", "--set", "space.m=[2,3]"), "'m'"),
        (("search", "nowhere", "--set", "machine.threads=abc"), "machine.threads"),
        (("search", "nowhere", "--set", "budget.trials=null"), "budget"),
        (("search", "nowhere", "--map-label", "255:1"), "255=1"),
        (("plan", "nowhere", "--seconds", "inf"), "not a finite number"),
        (("train", "nowhere", "--hours", "nan"), "not a finite number"),
        (("train", "nowhere", "--hours", "inf"), "not a finite number"),
    ],
)
def test_wrong_names_and_values_are_named(netwright: Command, arguments: tuple[str, ...], named: str) -> None:
    done = netwright(*arguments)
    assert done.returncode == 2
    assert named in done.stderr


def test_recipes_name_their_paper(netwright: Command) -> None:
    lines = netwright("recipes").stdout
    assert all(name in lines for name in ("segnas4", "segnas7", "segnas11", "SegNAS3D"))


def test_inspect_tells_the_fingerprint_to_people_and_machines(netwright: Command, dataset: Path) -> None:
    told = netwright("inspect", dataset)
    assert told.returncode == 0
    assert "8 cases" in told.stdout
    assert "prepared   median volume " in told.stdout
    found = json.loads(netwright("inspect", dataset, "--json").stdout)
    assert found["fingerprint"]["cases"] == 8
    assert {p["severity"] for p in found["problems"]} == {"warning"}, "eight cases are few"
    voxels = sum(
        int((np.asanyarray(nibabel.load(f).dataobj) == 1).sum()) for f in (dataset / "labelsTr").iterdir()
    )
    assert found["fingerprint"]["labels"][1]["voxels"] == voxels


def test_inspect_and_search_refuse_the_same_dataset(
    netwright: Command, dataset: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "Broken"
    shutil.copytree(dataset, broken)
    bad = sorted((broken / "labelsTr").iterdir())[2]
    image = nibabel.load(bad)
    labels = np.asanyarray(image.dataobj).copy()
    labels[labels == 1] = 255
    nibabel.save(nibabel.Nifti1Image(labels.astype(np.uint8), image.affine), bad)
    inspected = netwright("inspect", broken)
    assert inspected.returncode == 1
    assert bad.name in inspected.stdout
    assert "--map-label 255=" in inspected.stdout
    searched = netwright("search", broken, "-o", tmp_path / "run", *SMALL)
    assert searched.returncode == 1
    assert bad.name in searched.stderr
    assert "Traceback" not in searched.stderr
    assert not (tmp_path / "run").exists(), "nothing was begun"
    assert netwright("inspect", broken, "--map-label", "255=1").returncode == 0


def measured(netwright: Command, known: str, seconds: int, *words: object) -> dict[str, Any]:
    """A plan that was given time enough to know a value: a busy machine takes longer."""
    for more in (1, 10, 100):
        plan: dict[str, Any] = json.loads(netwright(*words, "--seconds", more * seconds, "--json").stdout)
        if plan[known] is not None:
            break
    return plan


def test_plan_measures(netwright: Command, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwright.planning.cost.LEAST_SECONDS", 2.0)
    words = ("plan", dataset, "--recipe", "segnas4", "--trials", 10, *SMALL)
    plan = measured(netwright, "seconds_a_candidate", 60, *words)
    assert plan["choices"] == 3 * 2 * 2 * 2
    assert plan["trials"] == 10
    start = plan["measurements"][0]
    assert start["status"] == "complete"
    assert 0 < start["seconds_an_epoch"] < 60
    assert start["peak_memory_mb"] > 0
    assert plan["hours"] == pytest.approx(10 * plan["seconds_a_candidate"] / 3600, rel=0.01)
    assert plan["seconds_a_candidate"] > min(m["seconds_beside"] for m in plan["measurements"]) > 0
    timed = measured(netwright, "share_seconds", 1, *words[:2], "--hours", 0.1, *SMALL[2:])
    assert timed["share_seconds"] >= 10
    assert timed["seconds_beside"] > 0
    assert timed["trials"] == pytest.approx(360 / (timed["share_seconds"] + timed["seconds_beside"]), abs=1)


def test_a_finished_run_holds_all_it_should(finished_run: Path) -> None:
    for name in ("run.yaml", "study.db", "splits.json", "report.html"):
        assert (finished_run / name).stat().st_size > 0
    assert (finished_run / "report.html").stat().st_size < 4e6, (
        "offline, with figures and a segmentation in 3D"
    )
    for name in ("weights.safetensors", "architecture.json", "preprocessing.json", "result.json"):
        assert (finished_run / "winner" / name).stat().st_size > 0
    splits = json.loads((finished_run / "splits.json").read_text())
    assert [len(splits[part]) for part in ("training", "validation", "test")] == [4, 2, 2]
    result = json.loads((finished_run / "winner" / "result.json").read_text())
    assert sorted(result["scores"]) == splits["test"]
    report = (finished_run / "report.html").read_text()
    assert "MONAI UNet" in report
    assert "a random network of the same space" in report


def test_status_counts_trials(netwright: Command, finished_run: Path) -> None:
    status = json.loads(netwright("status", finished_run, "--json").stdout)
    assert status["phase"] == "finished"
    assert status["trials"]["total"] == 4
    assert status["trials"]["complete"] + status["trials"]["diverged"] == 4
    run = package.open_run(finished_run)
    assert len(run.trials) == 4
    assert run.best is not None
    assert run.best.reward == max(t.reward for t in run.trials if t.reward is not None)
    assert status["best"]["trial"] == run.best.number


def test_a_second_search_into_a_run_is_refused_and_a_finished_one_left_alone(
    netwright: Command, dataset: Path, finished_run: Path
) -> None:
    done = netwright("search", dataset, "-o", finished_run, *SMALL)
    assert done.returncode == 1
    assert "already holds a run" in done.stderr
    before = (finished_run / "winner" / "weights.safetensors").stat().st_mtime_ns
    assert netwright("resume", finished_run).returncode == 0
    assert (finished_run / "winner" / "weights.safetensors").stat().st_mtime_ns == before


def test_predictions_lie_where_their_images_do(
    netwright: Command, dataset: Path, finished_run: Path, tmp_path: Path
) -> None:
    image = nibabel.load(sorted((dataset / "imagesTr").iterdir())[0])
    images = tmp_path / "images"
    images.mkdir()
    array = np.asanyarray(image.dataobj)
    nibabel.save(nibabel.Nifti1Image(array, image.affine), images / "plain.nii.gz")
    turned = np.ascontiguousarray(array[::-1].transpose(2, 0, 1))
    order = np.array([[0, -1, 0, array.shape[0] - 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=float)
    nibabel.save(nibabel.Nifti1Image(turned, image.affine @ order), images / "turned.nii.gz")
    large = np.tile(array, (3, 2, 1))
    nibabel.save(nibabel.Nifti1Image(large, image.affine), images / "large.nii")
    done = netwright("predict", finished_run, images, "-o", tmp_path / "labels")
    assert done.returncode == 0, done.stderr
    for name in ("plain.nii.gz", "turned.nii.gz", "large.nii"):
        source = nibabel.load(images / name)
        label = nibabel.load(tmp_path / "labels" / (name.split(".")[0] + ".nii.gz"))
        assert label.shape == source.shape
        assert np.allclose(label.affine, source.affine)
        assert set(np.unique(np.asanyarray(label.dataobj))) <= {0, 1, 2, 3}
    plain = np.asanyarray(nibabel.load(tmp_path / "labels" / "plain.nii.gz").dataobj)
    again = np.asanyarray(nibabel.load(tmp_path / "labels" / "turned.nii.gz").dataobj)
    assert np.array_equal(again, plain[::-1].transpose(2, 0, 1))
    done = netwright(
        *("predict", finished_run, images / "turned.nii.gz", "-o", tmp_path / "itk", "--format", "nrrd"),
        *("--probabilities", "--uncertainty", "--volumes"),
    )
    assert done.returncode == 0, done.stderr
    probabilities = nibabel.load(tmp_path / "itk" / "probabilities" / "turned.nii.gz")
    assert np.array_equal(np.asarray(probabilities.dataobj).argmax(-1), again)
    assert (tmp_path / "itk" / "uncertainty" / "turned.nii.gz").exists()
    assert (
        (tmp_path / "itk" / "volumes.csv")
        .read_text()
        .startswith("case,time,label,name,voxels,ml\nturned,,1,")
    )
    written, source = (
        SimpleITK.ReadImage(path) for path in (tmp_path / "itk" / "turned.nrrd", images / "turned.nii.gz")
    )
    assert np.array_equal(SimpleITK.GetArrayFromImage(written).T, again)
    assert np.allclose(written.GetDirection(), source.GetDirection(), atol=1e-5)
    assert np.allclose(written.GetOrigin(), source.GetOrigin(), atol=1e-4)
    done = netwright("predict", finished_run, images, "-o", tmp_path / "itk", "--format", "dicom")
    assert done.returncode != 0
    assert "expected nifti, nrrd, mha, png, tiff or dicom-seg, got 'dicom'" in done.stderr


def test_a_dicom_series_is_predicted_as_the_nifti_file_of_its_numbers(
    netwright: Command, dataset: Path, finished_run: Path, tmp_path: Path
) -> None:
    array = np.asanyarray(nibabel.load(sorted((dataset / "imagesTr").iterdir())[0]).dataobj)
    stored = np.rint(array * 100).astype(np.int16)
    affine = affine_of(spacing=(1, 1, 1))
    scale = {"RescaleSlope": 0.01, "RescaleIntercept": 0}
    write_series(tmp_path / "patients" / "p.1", stored.T, affine, scale)
    write_series(tmp_path / "patients" / "p.2", stored.T + 1, affine, scale, name="IM{}")
    image = nibabel.Nifti1Image((stored * 0.01).astype(np.float32), np.diag([-1, -1, 1, 1]) @ affine)
    nibabel.save(image, tmp_path / "p.nii.gz")
    for source in ("patients", "p.nii.gz"):
        done = netwright("predict", finished_run, tmp_path / source, "-o", tmp_path / "labels")
        assert done.returncode == 0, done.stderr
        assert "left out" not in done.stderr
    made, expected = (nibabel.load(tmp_path / "labels" / f"{name}.nii.gz") for name in ("p.1", "p"))
    np.testing.assert_array_equal(np.asanyarray(made.dataobj), np.asanyarray(expected.dataobj))
    np.testing.assert_allclose(made.affine, expected.affine, atol=1e-5)
    assert (tmp_path / "labels" / "p.2.nii.gz").is_file()
    for among in ("patients", "patients/p.1"):  # label maps there would be cases, or lie among the slices
        done = netwright("predict", finished_run, tmp_path / among, "-o", tmp_path / among)
        assert "lies among what is read" in done.stderr


def test_a_dicom_segmentation_is_predicted_with_the_labels_of_the_nifti_file(
    netwright: Command, dataset: Path, finished_run: Path, tmp_path: Path
) -> None:
    pytest.importorskip("highdicom")
    array = np.asanyarray(nibabel.load(sorted((dataset / "imagesTr").iterdir())[0]).dataobj)
    scan = write_series(
        tmp_path / "scan",
        np.rint(array * 100).astype(np.int16).T,
        affine_of(spacing=(1, 1, 1)),
        {"FrameOfReferenceUID": "1.2.3", "RescaleSlope": 0.01, "RescaleIntercept": 0},
    )
    for format in ("dicom-seg", "nifti"):
        done = netwright("predict", finished_run, scan, "-o", tmp_path / "labels", "--format", format)
        assert done.returncode == 0, done.stderr
    grid = read_grid(scan)
    made, plain = (read_label(tmp_path / "labels" / f"scan{ending}", grid) for ending in (".dcm", ".nii.gz"))
    assert plain.any()
    np.testing.assert_array_equal(made, plain)


def test_predict_replaces_nothing_of_the_user_s_and_names_what_it_leaves_out(
    netwright: Command, dataset: Path, finished_run: Path, tmp_path: Path
) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    source = sorted((dataset / "imagesTr").iterdir())[0]
    (scans / "a.nii.gz").write_bytes(source.read_bytes())
    (scans / "broken.nii.gz").write_bytes(source.read_bytes()[:200])
    (scans / "notes.txt").write_text("notes")
    for extra in ((), ("--overwrite",)):
        done = netwright("predict", finished_run, scans, "-o", ".", *extra, cwd=scans)
        assert done.returncode == 1
        assert "inputs are never replaced" in done.stderr
    assert (scans / "a.nii.gz").read_bytes() == source.read_bytes()
    assert len(list(scans.iterdir())) == 3
    done = netwright("predict", finished_run, scans, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    warned = [line for line in done.stdout.splitlines() if line.startswith("warning")]
    assert [any(name in line for line in warned) for name in ("broken.nii.gz", "notes.txt")] == [True, True]
    assert "1 label map in" in done.stdout
    again = netwright("predict", finished_run, scans, "-o", tmp_path / "out")
    assert again.returncode == 1
    assert "--overwrite" in again.stderr
    assert netwright("predict", finished_run, scans, "-o", tmp_path / "out", "--overwrite").returncode == 0


def test_evaluate_gives_the_dice_that_the_label_maps_have(
    netwright: Command, dataset: Path, finished_run: Path, tmp_path: Path
) -> None:
    own = json.loads(netwright("evaluate", finished_run, dataset, "--json").stdout)
    splits = json.loads((finished_run / "splits.json").read_text())
    assert sorted(own["cases"]) == splits["test"]
    means = []
    for case in splits["test"]:
        found = np.asanyarray(
            nibabel.load(finished_run / "winner" / "predictions" / f"{case}.nii.gz").dataobj
        )
        truth = np.asanyarray(nibabel.load(dataset / "labelsTr" / f"{case}.nii.gz").dataobj)
        means.append(mean_dice(found, truth, 3))
    assert own["metrics"]["dice"] == pytest.approx(np.mean(means), abs=1e-6)
    copy = tmp_path / "Copy"
    shutil.copytree(dataset, copy)
    for number, image in enumerate(sorted((copy / "imagesTr").iterdir())):
        renamed = f"other_{number}.nii.gz"
        (copy / "labelsTr" / image.name).rename(copy / "labelsTr" / renamed)
        image.rename(image.with_name(renamed))
    description = json.loads((copy / "dataset.json").read_text())
    description["training"] = [
        {"image": f"./imagesTr/other_{i}.nii.gz", "label": f"./labelsTr/other_{i}.nii.gz"} for i in range(8)
    ]
    (copy / "dataset.json").write_text(json.dumps(description))
    for label in (copy / "labelsTr").iterdir():
        beside = nibabel.load(label)
        affine = beside.affine.copy()
        affine[:3, 3] += affine[:3, 0] * 0.3
        nibabel.save(nibabel.Nifti1Image(np.asanyarray(beside.dataobj), affine), label)
    evaluated = netwright("evaluate", finished_run, copy, "--json")
    assert evaluated.stderr.count("another position than its image other_") == 2
    assert "up to 0.3 voxels away" in evaluated.stderr
    moved = json.loads(evaluated.stdout)
    assert len(moved["cases"]) == 2, "the cases that it was trained on are known by their content"
    assert "6 cases" in moved["note"]
    assert moved["metrics"] == own["metrics"]


def test_train_keeps_a_network_of_any_trial(
    netwright: Command, dataset: Path, finished_run: Path, tmp_path: Path
) -> None:
    done = netwright("train", finished_run, "--trial", 0, "--epochs", 2)
    assert done.returncode == 0, done.stderr
    assert "2 epochs" in done.stdout
    image = sorted((dataset / "imagesTr").iterdir())[0]
    used = netwright("predict", finished_run, image, "--trial", 0, "-o", tmp_path / "labels")
    assert used.returncode == 0, used.stderr
    missing = netwright("predict", finished_run, image, "--trial", 1, "-o", tmp_path / "labels")
    assert missing.returncode == 1
    assert "netwright train" in missing.stderr
    none = netwright("train", finished_run, "--trial", 99)
    assert none.returncode == 1
    assert "trials 0 to 3" in none.stderr


def test_a_run_is_repeated_from_its_run_yaml(
    netwright: Command, dataset: Path, finished_run: Path, tmp_path: Path
) -> None:
    done = netwright(
        *(
            "search",
            dataset,
            "--settings",
            finished_run / "run.yaml",
            "--verdict-hours",
            0,
            "-o",
            tmp_path / "again",
        )
    )
    assert done.returncode == 0, done.stderr
    first, second = (package.open_run(folder).trials for folder in (finished_run, tmp_path / "again"))
    assert [(t.choice, t.reward) for t in first] == [(t.choice, t.reward) for t in second]
    best = package.open_run(finished_run).best
    assert best is not None
    weights = [
        folder / "trials" / f"{best.number:04d}" / "weights.safetensors"
        for folder in (finished_run, tmp_path / "again")
    ]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    settings = yaml.safe_load((tmp_path / "again" / "run.yaml").read_text())
    assert settings["verdict"]["hours"] == 0


def test_what_cannot_be_is_refused_before_anything_is_searched(
    netwright: Command, dataset: Path, tmp_path: Path
) -> None:
    for setting, name in (("verdict.references=[resnet]", "monai-unet"), ("objective=accuracy", "dice.Core")):
        done = netwright("search", dataset, "-o", tmp_path / "run", *SMALL, "--set", setting)
        assert done.returncode == 2
        assert name in done.stderr
        assert not (tmp_path / "run").exists()


@pytest.mark.slow  # searches/test_loop.py ends searches by a clock of its own
def test_hours_end_a_search_in_time_with_equal_shares(
    netwright: Command, dataset: Path, tmp_path: Path
) -> None:
    begun = time.monotonic()
    done = netwright(
        *("search", dataset, "-o", tmp_path / "run", "--hours", 0.004, "--verdict-hours", 0, "--workers", 1),
        *("--set", "space.n=[1,9]", "--set", "space.p=[1,3]"),
    )
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - begun < 180
    settings = yaml.safe_load((tmp_path / "run" / "run.yaml").read_text())
    assert settings["training"]["seconds"] >= 10
    assert settings["training"]["schedule"] == "cosine"
    assert settings["strategy"]["population"] == 10
    status = json.loads(netwright("status", tmp_path / "run", "--json").stdout)
    assert status["trials"]["complete"] >= 1
    assert status["seconds"] < 14.4 + 30


def test_networks_that_do_not_fit_are_told_and_end_in_a_clear_error(
    netwright: Command, dataset: Path, tmp_path: Path
) -> None:
    done = netwright(
        *("search", dataset, "-o", tmp_path / "run", "--trials", 3, "--verdict-hours", 0, *SMALL),
        *("--set", "machine.memory_limit_mb=1"),
    )
    assert done.returncode == 1
    assert "3 out_of_memory" in done.stderr
    status = json.loads(netwright("status", tmp_path / "run", "--json").stdout)
    assert status["trials"]["out_of_memory"] == 3


def test_a_damaged_run_is_told(netwright: Command, finished_run: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(finished_run, damaged)
    (damaged / "study.db").write_bytes(b"this is no database" * 100)
    done = netwright("status", damaged)
    assert done.returncode == 1
    assert "study.db" in done.stderr
    assert "Traceback" not in done.stderr
    (damaged / "winner" / "weights.safetensors").write_bytes(b"no weights")
    used = netwright("predict", damaged, finished_run, "-o", tmp_path / "labels")
    assert used.returncode == 1
    assert "Traceback" not in used.stderr
