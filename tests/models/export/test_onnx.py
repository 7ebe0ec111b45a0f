"""ONNX exports: `infer.py` predicts what netwright predicts, in a process without netwright and torch."""

from __future__ import annotations

import ast
import csv
import shutil
import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from imagecodecs import png_encode
from PIL import Image
from torch import Tensor, nn

import netwright as package
from commands import in_this_process
from netwright.data.images.inpainting_settings import MaskSettings
from netwright.data.io.images import read_head, read_picture
from netwright.data.io.stored import turned as upright_in_numpy
from netwright.data.io.volumes import read_image
from netwright.data.volumes.geometry import _resampled
from netwright.data.volumes.preprocessing import PreprocessingSettings
from netwright.errors import DatasetWarning, ExportError, SettingsError, StorageError
from netwright.files import read_json, write_json
from netwright.models.export import EXPORTERS, exporter_of
from netwright.models.export.base import Exportable, require_same_outputs
from netwright.models.export.description import describe_use
from netwright.models.export.differences import first_different_layer
from netwright.models.export.graphs import write_graphs
from netwright.models.export.onnx import (
    converted,
    converted_otherwise,
    opened,
    require_same_graph,
    runner,
)
from netwright.models.export.script import _templates, write_use
from netwright.models.export.tracing import traces
from netwright.models.export.trained import export_path, export_trained
from netwright.nn.ensemble import Ensemble, Output
from netwright.tasks import TASKS
from netwright.tasks.base import Graph, SavedNetwork
from netwright.tasks.predictor import Predictor
from netwright.tasks.segmentation import inference_graphs
from netwright.tasks.segmentation.crf_fitting import FittedCRF
from netwright.tasks.shown_pictures import as_stored, shown, stored_inputs, upright
from running_exports import alone

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
onnx_ir = pytest.importorskip("onnx_ir")

MARGIN = 1e-3
"""Voxels whose two best probabilities differ by less may have another label."""

RANDOM = np.random.default_rng(5)
TURNED = np.array([[0, 0, 1.1, 3], [-0.9, 0, 0, 40], [0, -1.6, 0, 20], [0, 0, 0, 1]])
"""An affine whose axes run to other sides than those of RAS, in another order, with voxels of other sizes."""


def volume(path: Path, shape: Sequence[int], affine: Any = TURNED) -> Path:
    """Two balls in noise, and a background of zeros at one side."""
    places = np.indices(shape[:3])
    values = RANDOM.normal(100, 20, shape)
    for centre, radius in ((np.array(shape[:3]) / 2.2, 5), (np.array(shape[:3]) / 1.5, 3)):
        inside = ((places - centre.reshape(3, 1, 1, 1)) ** 2).sum(0) < radius**2
        values[inside] += 150
    values[:2] = 0
    nib.save(nib.Nifti1Image(np.rint(values).astype(np.int16), affine), path)
    return path


def exported(network: nn.Module, saved: SavedNetwork, target: Path, like: Path | None = None) -> Path:
    """The export of a network that is of no run. ``like``: an export of the same network, prepared for otherwise."""
    task = TASKS[saved.architecture["task"]]
    shape = task.network_task(saved.architecture)
    target.mkdir(parents=True)
    use = describe_use(task, saved)
    if like is not None:
        shutil.copy(like / "network.onnx", target)
        write_use(saved, {**read_json(like / "inference.json"), **use}, target)
        return target
    images = torch.randn(2, shape.channels, *shape.size)
    EXPORTERS["onnx"].write(Exportable(network, images, use, saved), target)
    return target


def segmenter(
    folder: Path, preprocessing: Mapping[str, Any], architecture: Mapping[str, Any]
) -> tuple[Predictor, SavedNetwork]:
    """A tiny network of two layers, prepared for as ``preprocessing`` says; its outputs are far from even."""
    torch.manual_seed(0)
    described = {
        "task": "segmentation",
        "channels": 1,
        "size": [16, 16, 8],
        "label_names": ["ball", "core"],
        "label_values": [0, 3, 7],
        **architecture,
    }
    steps = PreprocessingSettings(**{"spacing": (1, 1, 1), "size": (16, 16, 8), **preprocessing}).to_dict()
    saved = SavedNetwork(folder, described, steps)
    layer = nn.Conv3d if len(described["size"]) == 3 else nn.Conv2d
    outputs = len(described.get("regions", ())) or 3
    network = nn.Sequential(
        layer(described["channels"], 4, 3, padding=1), nn.ReLU(), layer(4, outputs, 5, padding=2)
    )
    for parameter in network.parameters():
        parameter.data *= 4
    return TASKS["segmentation"].predictor(network.eval(), saved, "cpu"), saved


def require_same_labels(predictor: Any, image: Path, ours: Path, theirs: Path) -> None:
    """Label maps agree but where two probabilities, interpolated on the image's grid, are nearly the same."""
    expected, found = nib.load(ours), nib.load(theirs)
    np.testing.assert_array_equal(expected.affine, found.affine)
    wanted, given = np.asarray(expected.dataobj), np.asarray(found.dataobj)
    assert wanted.shape == given.shape
    assert wanted.ndim > 3 or len(np.unique(wanted)) > 1
    if (wanted != given).any():
        assert (wanted != given).mean() < 1e-3
        close = margins(predictor, image) < MARGIN
        assert close[wanted != given].all()


def margins(predictor: Any, image: Path) -> Any:
    """By how much the two best probabilities of each voxel of a file differ, for regions from a half."""
    read = read_image([image])
    prepared = predictor.prepared(read, [image])
    geometry = prepared.geometry
    steps = [1 / scale for scale in geometry.scale]
    targets = geometry._placement.targets(read.grid.canonical_shape)
    scores = np.stack(list(_resampled(predictor.probabilities(prepared.image, prepared.air), targets, steps)))
    if predictor.task.regions:
        return read.grid.from_canonical(abs(scores - 0.5).min(0))
    best = np.sort(scores, axis=0)
    return read.grid.from_canonical(best[-1] - best[-2])


REGIONS = [
    {"name": "all", "labels": [1, 2], "written": 1},
    {"name": "core", "labels": [2], "written": 2},
]
STAGES = {"channels": 2}
"""An image and what lies around it."""
VOLUMES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as they are": ({}, {}),
    "coarser": ({"spacing": (1.5, 1.5, 1.5), "pad_value": "air"}, {}),
    "finer": ({"spacing": (0.8, 0.8, 1.9), "normalise": "minmax"}, {}),
    "resized": ({"resize": True, "pad_value": "air"}, {}),
    "stretched": ({"resize": True, "pad": False, "normalise": "none"}, {}),
    "native, nonzero": ({"spacing": "native", "foreground": "nonzero", "pad_value": "air"}, {}),
    "CT": ({"normalise": "modality", "ct_intensities": ((40, 220, 110, 35),)}, {}),
    "regions": ({}, {"regions": REGIONS}),
    "slices": ({"spacing": (1.2, 2.5, 1.2)}, {"size": [16, 8], "slice_axis": 1}),
    "two channels": ({}, {"channels": 2}),
    "stages": ({"low_resolution": (2, 3, 1), "pad_value": "air"}, STAGES),
    "stages, not padded": ({"low_resolution": (2, 2, 2), "pad": False}, STAGES),
}


OTHER = ("regions", "slices", "two channels", "stages", "stages, not padded")
"""Those whose networks are others, too, so that each has an export of its own."""


@pytest.fixture(scope="module")
def segmented(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, list[tuple[Path, ...]]]]:
    """By variant: the predictor; images with the label maps of netwright and of the script."""
    return segmented_by(tmp_path_factory.mktemp("segmented"), [name for name in VOLUMES if name not in OTHER])


def segmented_by(folder: Path, names: Sequence[str]) -> dict[str, tuple[Any, list[tuple[Path, ...]]]]:
    """See `segmented`."""
    small, large = (
        volume(folder / "small.nii.gz", (13, 15, 11)),
        volume(folder / "large.nii.gz", (30, 22, 19)),
    )
    several = volume(folder / "several.nii.gz", (14, 14, 12, 2), np.diag([1.0, 1, 1, 1]))
    results: dict[str, tuple[Any, list[tuple[Path, ...]]]] = {}
    jobs: list[tuple[Path, Sequence[object]]] = []
    for name in names:
        preprocessing, architecture = VOLUMES[name]
        predictor, saved = segmenter(folder, preprocessing, architecture)
        like = None if architecture or not results else folder / "as they are" / "export"
        export, pairs = exported(predictor.network, saved, folder / name / "export", like), []
        images = {"as they are": [small, large, several], "two channels": [several]}.get(name, [small, large])
        for image in images:
            (ours,) = predictor.predict(image, folder / name / f"ours-{image.name}")
            theirs = folder / name / f"theirs-{image.name}"
            jobs.append((export / "infer.py", [image, theirs]))
            pairs.append((image, ours, theirs))
        results[name] = predictor, pairs
    image, before = jobs[0][1][0], small.read_bytes()
    assert f"{image}: expected the name of a new file" in alone(folder, [*jobs, (jobs[0][0], [image, image])])
    assert small.read_bytes() == before
    return results


@pytest.mark.parametrize("name", [name for name in VOLUMES if name not in OTHER])
def test_label_maps_are_those_of_predict(segmented: dict[str, Any], name: str) -> None:
    predictor, pairs = segmented[name]
    for image, ours, theirs in pairs:
        require_same_labels(predictor, image, ours, theirs)


def test_files_are_channels_of_one_image_or_none_is_written(
    segmented: dict[str, Any], tmp_path: Path
) -> None:
    """A network of one channel takes one file; one of two takes files in other axes, but not of another place."""
    predictor, saved = segmenter(tmp_path, *VOLUMES["two channels"])
    script = exported(predictor.network, saved, tmp_path / "export") / "infer.py"
    first = volume(tmp_path / "scan_0000.nii.gz", (13, 15, 11))
    second = nib.load(volume(tmp_path / "other.nii.gz", (13, 15, 11)))
    nib.save(nib.as_closest_canonical(second), tmp_path / "scan_0001.nii.gz")
    moved = TURNED.copy()
    moved[0, 3] += 1.3
    elsewhere = volume(tmp_path / "elsewhere.nii.gz", (13, 15, 11), moved)
    shorter = volume(tmp_path / "shorter.nii.gz", (13, 15, 10))
    torn = tmp_path / "torn.nii.gz"
    torn.write_bytes(first.read_bytes()[:200])
    (_, _, like), *_ = segmented["as they are"][1]
    alone_script, theirs, none = (
        like.parent / "export" / "infer.py",
        tmp_path / "theirs.nii.gz",
        tmp_path / "none.nii",
    )
    said = alone(
        tmp_path,
        [
            (script, [first, tmp_path / "scan_0001.nii.gz", theirs]),
            (script, [first, elsewhere, none]),
            (script, [first, shorter, none]),
            (script, [first, none]),
            (script, [first, torn, none]),
            (alone_script, [first, first, none]),
            (alone_script, [tmp_path / "gone.nii.gz", none]),
            (alone_script, [first, tmp_path / "gone" / "none.nii"]),
        ],
    )
    assert not none.exists()
    assert f"{elsewhere} does not lie on the grid of {first}: expected all channels on one" in said
    assert f"{shorter} does not lie on the grid of {first}: expected" in said
    assert "1 volumes: expected 2, one for each channel" in said
    assert "2 images: expected one, as the network has one channel" in said
    assert f"{first} or {torn} cannot be read: " in said
    assert f"{tmp_path / 'gone.nii.gz'} cannot be read: " in said
    assert f"{tmp_path / 'gone' / 'none.nii'}: expected the name of a new file" in said
    for file in (tmp_path / "other.nii.gz", elsewhere, shorter, torn):
        file.unlink()
    (tmp_path / "pair").mkdir()
    for file in (first, tmp_path / "scan_0001.nii.gz"):
        file.rename(tmp_path / "pair" / file.name)
    (ours,) = predictor.predict(tmp_path / "pair", tmp_path / "ours")
    wanted, given = (nib.load(file) for file in (ours, theirs))
    np.testing.assert_array_equal(wanted.affine, given.affine)
    assert len(np.unique(wanted.dataobj)) > 1
    assert (np.asarray(wanted.dataobj) != np.asarray(given.dataobj)).mean() < 1e-3


@pytest.mark.slow
def test_label_maps_of_other_networks_are_those_of_predict(tmp_path: Path) -> None:
    """Of regions, of slices, of two channels, and of two stages."""
    for predictor, pairs in segmented_by(tmp_path, OTHER).values():
        for image, ours, theirs in pairs:
            require_same_labels(predictor, image, ours, theirs)


@pytest.mark.slow
def test_label_maps_of_pictures_are_those_of_predict(tmp_path: Path) -> None:
    """In colours, in grey with opacity and larger than a window, of 8 and of 16 bits."""
    steps = {"size": (16, 16, 1), "spacing": (1, 1, 1)}
    shape = {"size": [16, 16], "slice_axis": 2}
    jobs, pairs = [], []
    for channels, kinds in (
        (1, ("L", "LA", "I;16", "1", "turned", "deep grey")),
        (3, ("RGB", "RGBA", "P", "deep colours")),
    ):
        names = ["grey"] if channels == 1 else ["red", "green", "blue"]
        architecture = {**shape, "channels": channels, "channel_names": names}
        predictor, saved = segmenter(tmp_path, steps, architecture)
        export = exported(predictor.network, saved, tmp_path / str(channels))
        for kind in kinds:
            image = picture(tmp_path / f"{channels}-{kind.replace(';', '').replace(' ', '-')}.png", kind)
            (ours,) = predictor.predict(image, tmp_path / "ours")
            theirs = tmp_path / f"theirs-{image.name}"
            jobs.append((export / "infer.py", [image, theirs]))
            pairs.append((ours, theirs))
        if channels == 1:
            jobs.append((export / "infer.py", [picture(tmp_path / "colours.png"), tmp_path / "none.png"]))
            jobs.append((export / "infer.py", [tmp_path / "gone.png", tmp_path / "none.png"]))
    said = alone(tmp_path, jobs)
    assert "colours.png is in colours: expected a grey picture" in said
    assert f"{tmp_path / 'gone.png'} cannot be used: " in said
    assert not (tmp_path / "none.png").exists()
    for ours, theirs in pairs:
        with Image.open(ours) as one, Image.open(theirs) as other:
            assert dict(one.getexif()) == dict(other.getexif())
            wanted, given = np.asarray(one), np.asarray(other)
        assert len(np.unique(wanted)) > 1
        assert (wanted != given).mean() < 1e-3, ours.name


def picture(path: Path, kind: str = "RGB", size: tuple[int, int] = (21, 27)) -> Path:
    """Noise in one of Pillow's modes, or of 16 bits with opacity, with a bright field."""
    pixels = RANDOM.integers(0, 160, (*size, 4), dtype=np.uint8)
    pixels[4:12, 5:20] += 90
    if kind == "turned":
        tags = Image.Exif()
        tags[0x0112] = 6
        Image.fromarray(pixels[..., 0]).save(path, exif=tags)
    elif kind.startswith("deep"):
        whole = pixels.astype(np.uint16) * 257 + RANDOM.integers(0, 256, pixels.shape, dtype=np.uint16)
        path.write_bytes(png_encode(whole[..., 2:].copy() if kind == "deep grey" else whole))
    elif kind == "I;16":
        Image.fromarray(pixels[..., 0].astype(np.uint16) * 250).save(path)
    else:
        Image.fromarray(pixels).convert("RGBA" if kind == "RGBA" else kind).save(path)
    return path


@pytest.mark.parametrize("kind", ["RGB", "LA", "I;16", "deep grey", "deep colours"])
def test_pictures_are_read_as_in_training(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With each orientation tag; grey ones of 16 bits without imagecodecs."""
    channels = 3 if kind in ("RGB", "deep colours") else 1
    read: dict[str, Any] = {"np": np, "Path": Path, "Image": Image}
    exec(_templates().get_template("read_picture.py.j2").render(), read)
    laid = Graph(stored_inputs(), ("picture", "coloured"), lambda op, *stored: shown(op, *stored, channels))
    write_graphs({"shown": laid}, tmp_path)
    session = opened(tmp_path / "shown.onnx")
    content = picture(tmp_path / "picture.png", kind).read_bytes()
    if kind == "I;16":
        monkeypatch.setitem(sys.modules, "imagecodecs", None)
    for orientation in range(1, 9):
        tags = Image.Exif()
        tags[0x0112] = orientation
        chunk = b"eXIf" + tags.tobytes().removeprefix(b"Exif\0\0")
        framed = (len(chunk) - 4).to_bytes(4) + chunk + zlib.crc32(chunk).to_bytes(4)
        turned = tmp_path / f"{orientation}.png"
        turned.write_bytes(content[:33] + framed + content[33:])  # after the header
        expected = read_picture(turned).pixels.reshape(*read_head(turned).size, channels)
        found, coloured = session.run(None, read["read_picture"](turned))
        assert coloured == (channels == 3)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("turned", range(10))
def test_what_is_laid_upright_is_laid_back(tmp_path: Path, turned: int) -> None:
    """Also with tags that no file should have."""

    def there_and_back(op: Any, picture: Any, tag: Any) -> tuple[Any, Any]:
        laid = upright(op, picture, tag, 2)
        return laid, as_stored(op, laid, tag, 2)

    inputs = {"picture": (onnx_ir.DataType.FLOAT, ("r", "c", 2)), "tag": (onnx_ir.DataType.INT64, ())}
    write_graphs({"both": Graph(inputs, ("laid", "back"), there_and_back)}, tmp_path)
    picture = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
    laid, back = opened(tmp_path / "both.onnx").run(None, {"picture": picture, "tag": np.array(turned)})
    np.testing.assert_array_equal(laid, upright_in_numpy(picture, turned))
    np.testing.assert_array_equal(back, picture)


PREPARATION = {
    "settings": {"size": [12, 16], "normalise": "zscore", "fit": "pad"},
    "channels": ["red", "green", "blue"],
    "depth": "uint8",
    "means": [90.0, 100.0, 110.0],
    "stds": [50.0, 55.0, 60.0],
}


DEEP = {
    **PREPARATION,
    "depth": "uint16",
    "means": [2e4, 2.5e4, 3e4],
    "stds": [1.2e4, 1.3e4, 1.4e4],
    "settings": {"size": [12, 16], "fit": "stretch"},
}


REAL = {
    **DEEP,
    "depth": "float32",
    "means": [0.3, 0.4, 0.5],
    "stds": [0.2, 0.25, 0.3],
}


def pictured(
    folder: Path,
    task: str,
    architecture: Mapping[str, Any],
    network: nn.Module,
    like: Path | None = None,
    preparation: Mapping[str, Any] = PREPARATION,
) -> Any:
    """A predictor of a task for pictures, and the script of its export.

    ``like``: an export of the same network, prepared for otherwise.
    """
    described = {"task": task, "channels": 3, "size": [12, 16], **architecture}
    saved = SavedNetwork(folder, described, dict(preparation))
    predictor = TASKS[task].predictor(network.eval(), saved, "cpu")
    target = folder / f"{task}-{preparation['depth']}"
    return predictor, exported(network, saved, target, like) / "infer.py"


def sorter(outputs: int) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, outputs)
    )


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_tables_and_restored_pictures_are_those_of_predict(tmp_path: Path) -> None:
    pictures, drawn = tmp_path / "pictures", tmp_path / "masks"
    for at, kind in enumerate(("RGB", "RGBA", "L", "P")):
        (pictures / "more").mkdir(parents=True, exist_ok=True)
        picture(pictures / ("more" if at % 2 else ".") / f"{at}.png", kind, (9 + 8 * at, 20))
    (pictures / "torn.png").write_bytes((pictures / "0.png").read_bytes()[:90])
    drawn.mkdir()
    one = picture(tmp_path / "one.png")
    mask = np.zeros((21, 27), np.uint8)
    mask[6:12, 4:11] = 255
    Image.fromarray(mask).save(drawn / "one.png")
    labels = ["bars", "disc", "noise"]
    classes, class_script = pictured(tmp_path, "classification", {"class_names": labels}, sorter(3))
    deeper, deep_script = pictured(
        tmp_path, "classification", {"class_names": labels}, sorter(3), class_script.parent, DEEP
    )
    of_reals, real_script = pictured(
        tmp_path, "classification", {"class_names": labels}, sorter(3), class_script.parent, REAL
    )
    write_json(tmp_path / "thresholds.json", {"values": [0.4, 0.5, 0.6], "chosen": True})
    several, several_script = pictured(tmp_path, "multilabel", {"label_names": labels}, sorter(3))
    restored, restored_script = pictured(
        tmp_path, "inpainting", {"masks": MaskSettings().to_dict()}, nn.Conv2d(3, 3, 5, padding=2)
    )
    with pytest.warns(DatasetWarning, match="torn"):
        (class_table,) = classes.predict(pictures, tmp_path / "classes")
    with pytest.warns(DatasetWarning, match="torn"):
        (label_table,) = several.predict(pictures, tmp_path / "labels")
    for kind in ("RGB", "deep colours", "deep grey", "I;16"):
        (tmp_path / "of 16 bits").mkdir(exist_ok=True)
        picture(tmp_path / "of 16 bits" / f"{kind.replace(';', ' ')}.png", kind)
    (deep_table,) = deeper.predict(tmp_path / "of 16 bits", tmp_path / "deeper")
    (restored_picture,) = restored.predict(one, tmp_path / "restored", masks=drawn)
    before = one.read_bytes()
    deep = Image.fromarray(np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000)
    deep.save(tmp_path / "deep.png")
    (tmp_path / "reals").mkdir()
    for at, kind in enumerate((np.float32, np.float32, np.float32, np.int32)):
        real = np.arange(12 * (at + 1)).reshape(3, -1) % (7 + at)
        Image.fromarray((real / 7).astype(kind)).save(tmp_path / "reals" / f"{at}.tif")
    deep.save(tmp_path / "reals" / "deep.png")
    with pytest.warns(DatasetWarning, match="deep"):
        (real_table,) = of_reals.predict(tmp_path / "reals", tmp_path / "of reals")
    said = alone(
        tmp_path,
        [
            (class_script, [pictures, one]),  # without a table
            (class_script, [one]),
            (class_script, [one, tmp_path / "gone.png", tmp_path / "gone.csv"]),
            (restored_script, [one, drawn / "one.png", one]),
            (restored_script, [one, pictures / "torn.png", tmp_path / "gone.png"]),
            (restored_script, [one, one, drawn / "one.png", tmp_path / "many.png"]),
            (class_script, [tmp_path / "deep.png", tmp_path / "deep.csv"]),
            (class_script, [pictures, tmp_path / "classes.csv"]),
            (deep_script, [tmp_path / "of 16 bits", tmp_path / "deeper.csv"]),
            (real_script, [tmp_path / "reals", tmp_path / "reals.csv"]),
            (several_script, [pictures, tmp_path / "labels.csv"]),
            (restored_script, [one, drawn / "one.png", tmp_path / "restored.png"]),
        ],
    )
    assert one.read_bytes() == before
    assert said.count(f"{one}: expected the name of a new file") == 2
    assert "python infer.py PICTURE MASK OUTPUT.png" in said
    assert "python infer.py PICTURE ... TABLE.csv" in said
    assert f"{tmp_path / 'gone.png'} cannot be read: expected a picture or a folder that exists" in said
    assert f"{one} or {pictures / 'torn.png'} cannot be read: " in said
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("gone")]
    assert "deep.png has 65535 for white: expected 255, as in training" in said
    assert "deep.png has 65535 for white: expected 1, as in training" in said
    assert said.count("torn.png is left out: ") == 2
    assert "deep.csv was not written: no picture could be used" in said
    assert not (tmp_path / "deep.csv").exists()
    tables = (
        (class_table, "classes.csv", 2),
        (label_table, "labels.csv", 1),
        (deep_table, "deeper.csv", 2),
        (real_table, "reals.csv", 2),
    )
    for ours, theirs, first in tables:
        wanted, given = rows(ours), rows(tmp_path / theirs)
        assert len(wanted) == 5
        assert [row[:first] for row in wanted] == [row[:first] for row in given]
        numbers = [np.array([row[first:] for row in table[1:]], float) for table in (wanted, given)]
        np.testing.assert_allclose(*numbers, atol=2e-6)
    wanted, given = (np.asarray(Image.open(at), int) for at in (restored_picture, tmp_path / "restored.png"))
    assert abs(wanted - given).max() <= 1
    assert (wanted != given).mean() < 0.01


PICTURES = {"size": (16, 12, 1), "spacing": (1, 1, 1)}
FITTED = FittedCRF(True, "it helps", None, 4, 4, 0.80, 0.82, 0.02, 0.001, 5, 1.0, False).to_dict()
FLAT: dict[str, Any] = {"size": [16, 12], "slice_axis": 2}
COLOURS = {**FLAT, "channels": 3, "channel_names": ["red", "green", "blue"]}
SEGMENTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    **VOLUMES,
    "stages of two channels": ({"low_resolution": (2, 2, 2)}, {"channels": 4}),
    "grey pictures": (PICTURES, {**FLAT, "channel_names": ["grey"]}),
    "coloured pictures": ({**PICTURES, "spacing": (1.5, 1.5, 1)}, COLOURS),
    "regions of pictures": (PICTURES, {**COLOURS, "regions": REGIONS}),
    "stages of pictures": ({**PICTURES, "low_resolution": (2, 2, 1)}, {**COLOURS, "channels": 6}),
}


@pytest.mark.parametrize("name", SEGMENTED)
def test_the_script_for_label_maps_is_a_page_and_its_graphs_are_checked(tmp_path: Path, name: str) -> None:
    """Also where it has to say that it lacks the CRF."""
    _, saved = segmenter(tmp_path, *SEGMENTED[name])
    write_json(tmp_path / "postprocessing.json", FITTED)
    require_page_of_checked_graphs(saved, "segmentation", tmp_path)


@pytest.mark.parametrize("depth", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("task", "architecture"),
    [
        ("classification", {"class_names": ["bars", "disc"]}),
        ("multilabel", {"label_names": ["bars", "disc"]}),
        ("inpainting", {"masks": MaskSettings().to_dict()}),
    ],
)
def test_the_script_for_pictures_is_a_page_and_its_graphs_are_checked(
    tmp_path: Path, task: str, architecture: dict[str, Any], channels: int, depth: str
) -> None:
    described = {"task": task, "channels": channels, "size": [12, 16], **architecture}
    preparation = {
        **PREPARATION,
        "channels": PREPARATION["channels"][:channels],
        "depth": depth,
        "means": PREPARATION["means"][:channels],
        "stds": PREPARATION["stds"][:channels],
    }
    require_page_of_checked_graphs(SavedNetwork(tmp_path, described, preparation), task, tmp_path)


def require_page_of_checked_graphs(saved: SavedNetwork, task: str, folder: Path) -> None:
    """The script has at most sixty lines that can be read, one statement each, and what is beside it is right."""
    script = write_use(saved, describe_use(TASKS[task], saved), folder)
    lines = (folder / "infer.py").read_text().splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 110
    statements = [node for node in ast.walk(ast.parse("\n".join(lines))) if isinstance(node, ast.stmt)]
    assert len({node.lineno for node in statements}) == len(statements)
    samples = list(script.samples())
    assert {sample.graph for sample in samples} == set(script.graphs)
    for sample in samples:
        require_same_graph(sample, folder)


def test_an_export_with_a_graph_that_differs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Air that is a little too bright, and an image that is cut too short."""
    predictor, saved = segmenter(tmp_path, *VOLUMES["coarser"])
    normalised, air = inference_graphs.normalised, inference_graphs._air_of
    monkeypatch.setattr(inference_graphs, "_air_of", lambda *given: air(*given) + 0.01)
    with pytest.raises(
        ExportError,
        match=r"prepare\.onnx gives other prepared .*: 0\.\d+ of the numbers .*Nothing was written",
    ):
        exported(predictor.network, saved, tmp_path / "bright")
    monkeypatch.setattr(inference_graphs, "_air_of", air)
    monkeypatch.setattr(
        inference_graphs,
        "normalised",
        lambda op, values, *others: op.Slice(normalised(op, values, *others), [0], [9], [1]),
    )
    with pytest.raises(ExportError, match=r"prepare\.onnx gives other prepared .*expected \(1, "):
        exported(predictor.network, saved, tmp_path / "short")


class Branching(nn.Module):
    """Its computation depends on the values of its images."""

    def forward(self, images: Tensor) -> Tensor:
        return images if images.mean() > 0 else -images


def test_a_network_that_cannot_be_traced_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"cannot trace the network: .*Nothing was written"):
        EXPORTERS["onnx"].write(Exportable(Branching(), torch.ones(2, 1, 4, 4), {}), tmp_path)


def test_the_first_layer_of_a_trace_that_differs_is_named() -> None:
    """A network one of whose layers was replaced after it was traced."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 3, 3), nn.Conv2d(3, 1, 1)).eval()
    images = torch.randn(2, 1, 16, 16)
    program = next(traces(network, images)).program
    assert first_different_layer(network, program, images) is None
    network[2] = nn.Conv2d(2, 3, 3)
    assert first_different_layer(network, program, images) == "2"


@pytest.mark.slow
def test_the_layer_that_differs_is_named(tmp_path: Path) -> None:
    """An export whose second convolution has other weights."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 3, 3), nn.Conv2d(3, 1, 1)).eval()
    images = torch.randn(2, 1, 16, 16)
    traced = next(traces(network, images))
    changed = converted(traced, {})
    name = next(name for name in changed.model.graph.initializers if name.endswith("2.weight"))
    weight = changed.model.graph.initializers[name]
    weight.const_value = onnx_ir.tensor(weight.const_value.numpy() * 1.01, name=name)
    changed.save(tmp_path / "changed.onnx")
    with pytest.raises(
        ExportError, match=r"differs .* The first layer that differs is 2\. Nothing was written"
    ):
        require_same_outputs(
            network,
            runner(tmp_path / "changed.onnx"),
            images,
            lambda batch: converted_otherwise(changed, batch),
        )


def test_a_run_is_exported_and_checked_on_its_cases(old_runs: Path) -> None:
    """The user's network for pictures, by the command."""
    done = in_this_process("export", "marl", "--format", "onnx", "--trust-code", "--quantise", cwd=old_runs)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "exported   marl-onnx" in lines
    assert any(line.startswith("checked    on 6 real images; outputs differ by at most ") for line in lines)
    folder = old_runs / "marl-onnx"
    files = ["finish.onnx", "infer.py", "inference.json", "network-int8.onnx", "network.onnx", "prepare.onnx"]
    assert sorted(file.name for file in folder.iterdir()) == files
    described = read_json(folder / "inference.json")
    assert described["sides"] == {"multiples_of": [16, 16]}
    use = described["quantised"]
    assert (use["network"], use["validation_cases"]) == ("network-int8.onnx", 2)
    full, whole = (use["metrics"][kind]["dice"] for kind in ("float32", "int8"))
    said = f"8 bits     dice {whole:.3f} on 2 validation cases, {whole - full:+.3f}; "
    assert any(line.startswith(said) for line in lines)
    assert abs(whole - full) < 0.1
    nodes = onnx.load(folder / "network-int8.onnx").graph.node
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in nodes}
    for place in (Path(package.__file__).parents[1], Path(torch.__file__).parents[1], old_runs):
        for file in folder.iterdir():
            assert str(place).encode() not in file.read_bytes()
    again = ("export", "marl", "--format", "onnx", "--trust-code", "-o", "marl-onnx")
    assert "marl-onnx already exists, and is kept" in in_this_process(*again, cwd=old_runs).stderr
    run = package.open_run(old_runs / "marl", trust_code=True)
    trained = run.network()
    images = torch.randn(3, trained.task.channels, 32, 48)
    with torch.no_grad():
        torch.testing.assert_close(
            runner(folder / "network.onnx")(images), trained.network.cpu()(images), rtol=1e-4, atol=1e-4
        )


def test_what_cannot_be_is_refused(old_runs: Path, tmp_path: Path) -> None:
    run = package.open_run(old_runs / "marl", trust_code=True)
    with pytest.raises(SettingsError, match=r"marl\.onnx is not a name for onnx: expected a folder"):
        run.export(tmp_path / "marl.onnx", format="onnx")
    with pytest.raises(SettingsError, match="torch-export has no quantised networks"):
        exporter_of("torch-export", quantise=True)
    (tmp_path / "marl-onnx").mkdir()
    (tmp_path / "marl-onnx" / "mine").touch()
    with pytest.raises(StorageError, match="marl-onnx is a folder: expected a new one"):
        run.export(tmp_path, format="onnx", overwrite=True)
    assert (tmp_path / "marl-onnx" / "mine").exists()


class Described:
    """A format of one file beside the description."""

    name, suffix, marker = "described", "", "inference.json"

    def write(self, exportable: Exportable, path: Path) -> None:
        write_json(path / self.marker, exportable.description)
        (path / "network").touch()


def test_only_an_export_is_replaced_and_only_if_nothing_else_is_in_it(old_runs: Path, tmp_path: Path) -> None:
    run = package.open_run(old_runs / "policy-gradient")
    folder, mine = old_runs / "policy-gradient" / "winner", tmp_path / "mine"
    mine.mkdir()
    (mine / "network.py").touch()
    assert export_path(mine, "new", EXPORTERS["source"], overwrite=True) == mine / "new-source"
    write_json(mine / "inference.json", {"threads": 4})
    assert export_path(mine, "new", EXPORTERS["onnx"], overwrite=True) == mine / "new-onnx"
    target = tmp_path / "export"
    export_trained(folder, run.settings, target, Described())
    assert export_path(target, "new", Described(), overwrite=True) == target
    (target / "labels").mkdir()
    (target / "labels" / "scan.nii.gz").touch()
    with pytest.raises(StorageError, match=r"export also has labels/scan\.nii\.gz, .*Nothing was replaced"):
        export_trained(folder, run.settings, target, Described())
    assert (target / "labels" / "scan.nii.gz").exists()
    (target / "labels" / "scan.nii.gz").unlink()
    (target / "network").write_text("old")
    export_trained(folder, run.settings, target, Described())
    assert sorted(file.name for file in target.iterdir()) == ["inference.json", "network"]
    assert (target / "network").read_text() == ""
    assert sorted(tmp_path.iterdir()) == [target, mine]


def test_a_folder_without_a_name_is_one_to_write_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json(tmp_path / "inference.json", {"made_by": "netwright"})
    monkeypatch.chdir(tmp_path)
    assert export_path(Path(), "new", EXPORTERS["onnx"], overwrite=True) == Path("new-onnx")


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_an_ensemble_that_is_certain_has_finite_outputs(tmp_path: Path, output: Output) -> None:
    """Logits so large that the smallest probabilities are zero in single precision."""
    members = [nn.Conv2d(1, 3, 1), nn.Conv2d(1, 3, 1)]
    for at, member in enumerate(members):
        member.weight.data = torch.tensor([300.0, -300.0, 200.0 + at]).reshape(3, 1, 1, 1)
    network, images = Ensemble(members, (0.7, 0.3), (0,), output), torch.randn(2, 1, 4, 4)
    use = {"task": "segmentation"}
    EXPORTERS["onnx"].write(Exportable(network, images, use, output=output), tmp_path)
    given = runner(tmp_path / "network.onnx")(images)
    with torch.no_grad():
        logits = torch.stack([view for one in members for view in (one(images), one(images.flip(2)).flip(2))])
    shares = torch.tensor([0.35, 0.35, 0.15, 0.15]).reshape(4, 1, 1, 1, 1)
    if output == "softmax":
        expected = (logits.double().log_softmax(2) + shares.log()).logsumexp(0)
    else:
        sides = [
            (nn.functional.logsigmoid(sign * logits.double()) + shares.log()).logsumexp(0) for sign in (1, -1)
        ]
        expected = sides[0] - sides[1]
    assert expected.min() < -104, "the logarithm of no number in single precision"
    torch.testing.assert_close(given.double(), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.slow
def test_an_ensemble_is_exported_whole(tmp_path: Path) -> None:
    members = [nn.Conv3d(1, 2, 3, padding=1), nn.Conv3d(1, 2, 1)]
    network, images = Ensemble(members, (0.7, 0.3), (0,)), torch.randn(2, 1, 8, 8, 8)
    EXPORTERS["onnx"].write(Exportable(network, images, {"task": "segmentation"}), tmp_path)
    other = torch.randn(1, 1, 16, 8, 24)
    with torch.no_grad():
        torch.testing.assert_close(
            runner(tmp_path / "network.onnx")(other), network(other), rtol=1e-4, atol=1e-5
        )
