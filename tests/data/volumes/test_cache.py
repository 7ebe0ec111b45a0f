"""The cache on disk: what is in it, when it is built again, and what interrupted or cramped builds leave."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from netwright.cli.inspected import inspection_lines
from netwright.data import (
    PreprocessingSettings,
    UnusableFile,
    inspect_any,
    open_any,
    open_prepared,
    prepare,
    prepare_volume,
    read_image,
    read_label,
    split_any,
)
from netwright.data.splits import Part
from netwright.errors import DatasetError, StorageError
from processes import finish, run

Folder = Callable[..., Path]

SETTINGS = PreprocessingSettings()


def preparing(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process that prepares a dataset."""
    program = "from netwright.data import *\nfrom pathlib import Path\nimport sys\n" + textwrap.dedent(code)
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_holds_every_case_as_prediction_will_see_it(sample: Path, tmp_path: Path) -> None:
    dataset = open_any(sample)
    prepared = prepare(dataset, SETTINGS, tmp_path, workers=2)
    assert prepared.names == tuple(case.name for case in dataset.cases)
    assert (prepared.channels, prepared.classes) == (1, 4)
    assert (prepared.label_names, prepared.label_values) == (("Core", "Rind", "Vessel"), (0, 1, 2, 3))
    assert len(set(prepared.spacing)) == 1
    counts = np.zeros(4, np.int64)
    for index, case in enumerate(dataset.cases):
        assert case.label is not None
        image = prepare_volume(read_image(case.images), case.images, prepared.settings)
        np.testing.assert_array_equal(prepared.image(index), image.image)
        assert prepared.geometry(index) == image.geometry
        labels = prepared.label(index)
        assert labels.shape == image.image.shape[1:]
        restored = prepared.geometry(index).grid.to_canonical(prepared.geometry(index).restore(labels))
        truth = read_label(case.label)
        assert np.mean(restored == truth) > 0.98
        counts += np.bincount(labels.ravel(), minlength=4)
        np.testing.assert_array_equal(
            prepared.class_counts_of([index]), np.bincount(labels.ravel(), minlength=4)
        )
    np.testing.assert_array_equal(prepared.class_counts_of(range(6)), counts)
    assert prepared.indices(reversed(prepared.names)) == tuple(reversed(range(6)))
    with pytest.raises(DatasetError, match="has no case z"):
        prepared.indices(["z"])


def test_resizing_gives_every_volume_the_size(sample: Path, tmp_path: Path) -> None:
    settings = PreprocessingSettings(resize=True, size=(16, 20, 24))
    prepared = prepare(open_any(sample), settings, tmp_path)
    assert {prepared.label(index).shape for index in range(len(prepared))} == {(16, 20, 24)}
    assert prepared.size == (16, 20, 24)


def test_label_values_become_class_indices(nnunet_folder: Folder, tmp_path: Path) -> None:
    root = nnunet_folder(labels={"background": 0, "tumour": 4, "cyst": 2})
    dataset = open_any(root, map_label={1: 4})
    prepared = prepare(dataset, PreprocessingSettings(spacing="native", pad=False), tmp_path)
    assert (prepared.label_names, prepared.label_values) == (("cyst", "tumour"), (0, 2, 4))
    label = dataset.cases[0].label
    assert label is not None
    np.testing.assert_array_equal(prepared.label(0), 2 * read_label(label))
    assert (prepared.channels, prepared.image(0).shape) == (2, (2, 5, 6, 7))


def test_built_once_for_the_same_content_and_settings(sample: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []

    def build(root: Path, settings: PreprocessingSettings = SETTINGS) -> Path:
        calls.clear()
        return prepare(
            open_any(root), settings, tmp_path / "cache", on_case=lambda *c: calls.append(c)
        ).folder

    first = build(sample)
    assert calls == [(number + 1, 6) for number in range(6)]
    moved = tmp_path / "moved"
    shutil.copytree(sample, moved)
    assert build(moved) == first
    assert calls == []
    assert build(sample, PreprocessingSettings(normalise="minmax")) != first
    label = moved / "labelsTr" / "phantom_000.nii.gz"
    shutil.copy(moved / "labelsTr" / "phantom_001.nii.gz", label)
    shutil.copy(moved / "imagesTr" / "phantom_001.nii.gz", moved / "imagesTr" / "phantom_000.nii.gz")
    assert build(moved) != first
    assert len(calls) == 6


def test_official_parts_travel_with_the_cache(sample: Path, tmp_path: Path) -> None:
    dataset = open_any(sample)
    without = prepare(dataset, SETTINGS, tmp_path)
    parts: list[Part | None] = ["test", "train", "train", "train", "val", "test"]
    official = replace(
        dataset,
        cases=tuple(replace(case, part=part) for case, part in zip(dataset.cases, parts, strict=True)),
    )
    prepared = prepare(official, SETTINGS, tmp_path)
    assert prepared.folder != without.folder
    assert open_prepared(prepared.folder).parts == prepared.parts == tuple(parts)
    splits = split_any(open_prepared(prepared.folder), seed=3)
    names = dataset.names
    assert (splits.training, splits.validation, splits.test) == (names[1:4], names[4:5], (names[0], names[5]))
    assert split_any(without, seed=3).origin == ""
    lines = list(inspection_lines(sample, inspect_any(official), show_all=False))
    assert "6 cases (test 2, train 3, val 1)" in lines[0]


def test_a_cache_of_before_there_were_parts_opens(sample: Path, tmp_path: Path) -> None:
    prepared = prepare(open_any(sample), SETTINGS, tmp_path)
    index = json.loads((prepared.folder / "index.json").read_text())
    for case in index["cases"]:
        del case["part"]
    (prepared.folder / "index.json").write_text(json.dumps(index))
    before = open_prepared(prepared.folder)
    assert before.parts == (None,) * 6
    assert split_any(before, seed=3) == split_any(prepared, seed=3)


def test_travels_to_other_processes_as_a_path(sample: Path, tmp_path: Path) -> None:
    prepared = prepare(open_any(sample), SETTINGS, tmp_path)
    prepared.image(0)
    content = pickle.dumps(prepared)
    assert len(content) < 1000
    np.testing.assert_array_equal(pickle.loads(content).image(3), prepared.image(3))
    assert not prepared.image(0).flags.writeable


def test_damaged_caches_are_found_out_and_built_again(sample: Path, tmp_path: Path) -> None:
    dataset = open_any(sample)
    folder = prepare(dataset, SETTINGS, tmp_path).folder
    images = (folder / "images.npy").read_bytes()
    (folder / "images.npy").write_bytes(images[:-10])
    with pytest.raises(DatasetError, match=r"not a complete preprocessed dataset.*Delete the folder"):
        open_prepared(folder)
    prepare(dataset, SETTINGS, tmp_path)
    assert (folder / "images.npy").read_bytes() == images
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps({**index, "version": 0}))
    with pytest.raises(DatasetError, match="version 0: expected version 3"):
        open_prepared(folder)
    index["cases"].pop()
    (folder / "index.json").write_text(json.dumps(index))
    with pytest.raises(DatasetError, match=r"images\.npy holds \d+ values"):
        open_prepared(folder)
    with pytest.raises(DatasetError, match="not a complete preprocessed dataset"):
        open_prepared(tmp_path / "nowhere")


def test_a_build_that_is_killed_is_begun_again(sample: Path, tmp_path: Path) -> None:
    code = """
        import os, signal
        kill = lambda done, total: os.kill(os.getpid(), signal.SIGKILL) if done == 3 else None
        prepare(open_any(Path(sys.argv[1])), PreprocessingSettings(), Path(sys.argv[2]), on_case=kill)
    """
    process = preparing(code, sample, tmp_path)
    finish(process, 60)
    assert process.returncode == -9
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".partial")]
    prepared = prepare(open_any(sample), SETTINGS, tmp_path)
    assert len(prepared) == 6
    assert not [path.name for path in tmp_path.iterdir() if path.name.endswith(".partial")]


def test_processes_that_start_together_build_it_once(sample: Path, tmp_path: Path) -> None:
    code = """
        import time
        built = []
        slow = lambda done, total: (built.append(done), time.sleep(0.1))
        p = prepare(open_any(Path(sys.argv[1])), PreprocessingSettings(), Path(sys.argv[2]), on_case=slow)
        print(len(built), p.folder.name, p.image(5).sum())
    """
    processes = [preparing(code, sample, tmp_path) for _ in range(3)]
    lines = [finish(process, 90)[0].split() for process in processes]
    assert sorted(line[0] for line in lines) == ["0", "0", "6"]
    assert len({tuple(line[1:]) for line in lines}) == 1


def test_no_room_is_said_before_anything_is_written(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = prepare(open_any(sample), SETTINGS, tmp_path / "roomy").folder
    arrays = sum((folder / name).stat().st_size for name in ("images.npy", "labels.npy"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=9e9, used=9e9, free=1e6))
    needed = f"{(arrays + 16e6) / 1e6:.0f} MB"
    with pytest.raises(
        StorageError,
        match=rf"does not have enough space .*: expected {needed}, found 1 MB free\. Free some space",
    ):
        prepare(open_any(sample), SETTINGS, tmp_path / "full")
    assert not [path for path in (tmp_path / "full").iterdir() if path.is_dir()]


def test_a_disk_that_fills_up_while_writing(sample: Path, tmp_path: Path) -> None:
    """A limit on the size of files fails a write as a full disk does."""
    code = """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        prepare(open_any(Path(sys.argv[1])), PreprocessingSettings(), Path(sys.argv[2]))
    """
    errors = finish(preparing(code, sample, tmp_path), 60)[1]
    assert "netwright.errors.StorageError: " in errors
    assert "does not have enough space for the preprocessed dataset" in errors
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_cache_that_cannot_be_written(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        prepare(open_any(sample), SETTINGS, tmp_path / "file")


@pytest.mark.parametrize("what", ["imagesTr", "labelsTr"])
def test_files_broken_since_the_inspection_are_refused(what: str, msd_folder: Folder, tmp_path: Path) -> None:
    root = msd_folder(4)
    path = root / what / "case_02.nii.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UnusableFile, match=rf"{what}/case_02\.nii\.gz cannot be read"):
        prepare(open_any(root), SETTINGS, tmp_path / "cache")
    path.unlink()
    with pytest.raises(UnusableFile, match=r"case_02\.nii\.gz is missing"):
        prepare(open_any(root), SETTINGS, tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").glob("*") if path.is_dir()]


def test_an_empty_dataset_is_refused(msd_folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no labelled cases"):
        prepare(open_any(msd_folder(0)), SETTINGS, tmp_path)


def test_data_modules_do_not_wait_for_torch() -> None:
    code = "import netwright.data.samples.phantoms, netwright.data.volumes.cache, sys; sys.exit('torch' in sys.modules)"
    assert run([sys.executable, "-c", code]).returncode == 0
