"""A trained network that restores pictures, against a linear model in plain numpy."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from netwright.data.images.cache import prepare_like
from netwright.data.images.drawn_masks import read_missing
from netwright.data.images.inpainting_masks import fixed_masks
from netwright.data.images.inpainting_settings import MaskSettings
from netwright.data.images.prepared import PreparedImages
from netwright.data.issues import UnusableFile
from netwright.data.open import open_any, split_any
from netwright.data.samples.inpainting import write_inpainting_sample
from netwright.data.splits import Splits
from netwright.errors import DatasetError, DatasetWarning, RunError, StorageError
from netwright.planning.task_settings import choose_task_settings
from netwright.planning.user_settings import UserSettings
from netwright.report.examples import worst_median_best
from netwright.report.metrics import metric_named
from netwright.report.results import Contestant
from netwright.report.run import ReportedRun
from netwright.report.summaries import Comparison
from netwright.runs.data import open_own, open_run_data, prepare_own, unseen_cases
from netwright.runs.folder import create_run_folder
from netwright.settings import RunSettings
from netwright.tasks import TASKS
from netwright.tasks.base import SavedNetwork
from netwright.tasks.images import LabelledPicture
from netwright.tasks.inpainting.metrics import image_quality
from netwright.tasks.inpainting.predictor import Inpainter
from netwright.tasks.inpainting.report import restorations
from netwright.tasks.inpainting.task import InpaintingTask
from netwright.user_cache import cache_root
from netwright_tests import save_picture
from planning.steps import after, resolve

SIZE = 16
MASKS = MaskSettings("pixel", pixel=0.3)


def settings_of(tiles: Path) -> RunSettings:
    user = UserSettings(assignments={"images.size": [SIZE, SIZE], "inpainting": MASKS.to_dict()})
    settings = resolve(tiles, "marl-unet", user)
    return after(settings, choose_task_settings, user_set={"images.size"}, dataset=open_any(tiles))


@pytest.fixture(scope="module")
def prepared(tiles: Path) -> PreparedImages:
    settings = settings_of(tiles)
    found = prepare_own(open_own(settings), settings)
    assert isinstance(found, PreparedImages)
    return found


@pytest.fixture(scope="module")
def splits(prepared: PreparedImages) -> Splits:
    return split_any(prepared, 0)


@pytest.fixture(scope="module")
def mixer() -> nn.Conv2d:
    """Each pixel by itself, its channels mixed; beyond black and white in places."""
    torch.manual_seed(1)
    layer = nn.Conv2d(3, 3, 1)
    with torch.no_grad():
        layer.weight.mul_(0.5).add_(torch.eye(3)[..., None, None])
    return layer.eval()


@pytest.fixture(scope="module")
def inpainter(prepared: PreparedImages, mixer: nn.Conv2d) -> Inpainter:
    task = InpaintingTask(3, (SIZE, SIZE))
    return Inpainter(mixer, task, prepared.preparation, MASKS, torch.device("cpu"))


def pixels(path: Path) -> np.ndarray:
    """(3, H, W), 0 to 1."""
    return np.moveaxis(np.asarray(Image.open(path), dtype=np.float64), -1, 0) / 255


def by_hand(mixer: nn.Conv2d, picture: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """The restored picture, from pixels and weights alone."""
    weight, bias = (p.detach().double().numpy() for p in mixer.parameters())
    given = np.where(missing, 0, picture)
    return np.clip(np.einsum("oi,ihw->ohw", weight[..., 0, 0], given) + bias[:, None, None], 0, 1)


def missing_of(number: int) -> np.ndarray:
    return fixed_masks(MASKS, (SIZE, SIZE), [number])[0].numpy()


def pictures(prepared: PreparedImages, names: tuple[str, ...]) -> list[LabelledPicture]:
    indices = prepared.indices(names)
    return [LabelledPicture(n, prepared.folder, i) for n, i in zip(names, indices, strict=True)]


def test_scores_are_those_of_a_linear_model_and_three_pictures_are_written(
    tiles: Path,
    prepared: PreparedImages,
    splits: Splits,
    inpainter: Inpainter,
    mixer: nn.Conv2d,
    tmp_path: Path,
) -> None:
    scores = inpainter.score(pictures(prepared, splits.test), tmp_path)
    assert list(scores) == list(splits.test)
    restored = {}
    for name in splits.test:
        truth = pixels(tiles / name)
        restored[name] = by_hand(mixer, truth, missing_of(prepared.names.index(name)))
        error = ((restored[name] - truth) ** 2).mean()
        assert scores[name]["psnr"] == pytest.approx(-10 * np.log10(error), abs=1e-3)
        pair = (torch.from_numpy(image[None]) for image in (restored[name], truth))
        assert scores[name]["ssim"] == pytest.approx(image_quality(*pair)[0, 1], abs=1e-4)
    psnr = {name: score["psnr"] for name, score in scores.items()}
    ranked = sorted(psnr, key=psnr.__getitem__)
    shown = {ranked[0], ranked[(len(ranked) - 1) // 2], ranked[-1]}
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.png" for name in shown}
    for name in shown:
        np.testing.assert_allclose(pixels(tmp_path / f"{name}.png"), restored[name], atol=0.51 / 255)
    means = inpainter.means({"scores": scores})
    assert means["psnr"] == pytest.approx(np.mean(list(psnr.values())))
    assert set(means) == {"psnr", "ssim"}
    assert inpainter.means({"scores": {}}) == {}


def test_a_folder_is_restored_under_masks_of_its_own(
    tiles: Path, inpainter: Inpainter, mixer: nn.Conv2d, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    written = inpainter.predict(tiles, tmp_path / "out", lambda *done: told.append(done))
    files = sorted(tiles.glob("*.png"))
    assert [path.name for path in written] == [path.name for path in files]
    assert told[-1] == (20, 20)
    for number, (file, result) in enumerate(zip(files, written, strict=True)):
        expected = by_hand(mixer, pixels(file), missing_of(number))
        np.testing.assert_allclose(pixels(result), expected, atol=0.51 / 255)
    (one,) = inpainter.predict(files[3], tmp_path / "one")
    np.testing.assert_allclose(pixels(one), by_hand(mixer, pixels(files[3]), missing_of(0)), atol=0.51 / 255)


def test_given_masks_are_what_is_white(
    tiles: Path, inpainter: Inpainter, mixer: nn.Conv2d, tmp_path: Path
) -> None:
    first = sorted(tiles.glob("*.png"))[0]
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[3:9, 5:7], mask[0, 0] = 255, 127
    (tmp_path / "masks").mkdir()
    path = tmp_path / "masks" / f"{first.stem}.bmp"
    Image.fromarray(mask).save(path)
    expected = by_hand(mixer, pixels(first), mask > 127)
    for given in (path, path.parent):
        (result,) = inpainter.predict(first, tmp_path / "out", masks=given, overwrite=True)
        np.testing.assert_allclose(pixels(result), expected, atol=0.51 / 255)
    with pytest.raises(DatasetError, match=r"no mask for tile_0001\.png"):
        inpainter.predict(tiles, tmp_path / "out", masks=path.parent)
    Image.fromarray(mask[:-1]).save(path)
    with pytest.raises(DatasetError, match="15 x 16 pixels: expected 16 x 16"):
        inpainter.predict(first, tmp_path / "out", masks=path)


def test_pictures_and_masks_are_brought_to_the_network_s_size_alike(
    inpainter: Inpainter, mixer: nn.Conv2d, tmp_path: Path
) -> None:
    """A picture of blocks, twice as large, in a box: sizes and places are exact."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    large = np.zeros((40, 50, 3), np.uint8)
    large[4:36, 7:39] = small.repeat(2, 0).repeat(2, 1)
    mask = np.zeros((40, 50), np.uint8)
    mask[4 + 2 * 5, 7 + 2 * 6] = (
        255  # a quarter of the pixel (5, 6), with a share in its neighbours above and left
    )
    (tmp_path / "in").mkdir()
    (tmp_path / "masks").mkdir()
    Image.fromarray(large).save(tmp_path / "in" / "a.png")
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    (tmp_path / "in" / "boxes.csv").write_text("file,left,top,right,bottom\na.png,7,4,39,36\n")
    (result,) = inpainter.predict(tmp_path / "in", tmp_path / "out", masks=tmp_path / "masks")
    missing = np.zeros((SIZE, SIZE), bool)
    missing[4:6, 5:7] = True
    box = (7, 4, 39, 36)
    masks = (tmp_path / "masks" / "a.png", tmp_path / "in" / "a.png", inpainter.preparation.settings, box)
    np.testing.assert_array_equal(read_missing(*masks), missing)
    found = pixels(result)
    black = by_hand(mixer, np.zeros((3, SIZE, SIZE)), missing)[:, missing]
    np.testing.assert_allclose(found[:, missing], black, atol=0.51 / 255)
    inner = by_hand(mixer, np.moveaxis(small, -1, 0) / 255, missing)
    assert np.corrcoef(found[:, 8:].ravel(), inner[:, 8:].ravel())[0, 1] > 0.7
    (alone,) = inpainter.predict(tmp_path / "in" / "a.png", tmp_path / "alone", masks=tmp_path / "masks")
    assert alone.read_bytes() == result.read_bytes(), "the table beside a single picture is used"
    (tmp_path / "in" / "boxes.csv").write_text("file,left,top,right,bottom\na.png,7,4,59,36\n")
    with pytest.raises(DatasetError, match="lies not within"):
        inpainter.predict(tmp_path / "in", tmp_path / "out")


def test_boxes_of_other_pictures_are_one_warning(
    inpainter: Inpainter, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        save_picture(tmp_path / f"{name}.png", rng.integers(0, 256, (20, 20, 3), dtype=np.uint8))
    rows = [
        "file,left,top,right,bottom",
        "a.png,0,0,16,16",
        "b.png,1,1,9,9",
        "x.png,0,0,5,5",
        "y.png,0,0,5,5",
    ]
    (tmp_path / "boxes.csv").write_text("\n".join(rows))

    def told(images: Path, what: str) -> list[str]:
        recwarn.clear()
        inpainter.predict(images, tmp_path / what)
        return [str(one.message) for one in recwarn if one.category is DatasetWarning]

    (message,) = told(tmp_path, "of all")
    assert "boxes.csv has boxes of pictures that are not there" in message
    assert "found 2 others, such as 'x.png'" in message
    shutil.rmtree(tmp_path / "of all")
    (tmp_path / "boxes.csv").write_text("\n".join(rows[:3]))
    assert told(tmp_path / "b.png", "of one") == [], "a.png lies beside it"
    shutil.rmtree(tmp_path / "of one")
    (tmp_path / "boxes.csv").write_text("\n".join(rows[:2]))
    (message,) = told(tmp_path, "of some")
    assert "none for b.png" in message


def test_pictures_in_folders_have_the_masks_of_a_test(
    tiles: Path, inpainter: Inpainter, tmp_path: Path
) -> None:
    """Paths and names are in other orders: ``a/0.png`` is behind ``a.png`` by name. Hidden files are none."""
    names = ("a/0.png", "a/b/1.png", "a.png", "a-.png", "B.png", "c/2.png")
    for name, path in zip((*names, ".c.png", ".d/3.png"), sorted(tiles.glob("*.png")), strict=False):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "in" / name)
    prepared = prepare_like(
        open_any(tmp_path / "in", format="images"),  # type: ignore[arg-type]
        inpainter.preparation,
        tmp_path / "cache",
    )
    assert sorted(prepared.names) == sorted(names)
    tested = tmp_path / "tested"
    for name in names:  # each is the worst, the median and the best of itself
        inpainter.score(pictures(prepared, (name,)), tested)
    written = inpainter.predict(tmp_path / "in", tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in written] == list(prepared.names)
    for path, name in zip(written, prepared.names, strict=True):
        np.testing.assert_allclose(pixels(path), pixels(tested / f"{name}.png"), atol=1.01 / 255)


def test_masks_without_white_are_refused_by_name(tiles: Path, inpainter: Inpainter, tmp_path: Path) -> None:
    first = sorted(tiles.glob("*.png"))[0]
    labels = np.zeros((SIZE, SIZE), np.uint8)
    path = save_picture(tmp_path / "mask.png", labels)
    assert not read_missing(path, first, inpainter.preparation.settings).any(), "nothing is missing"
    for values in (labels + 1, np.eye(SIZE, dtype=np.uint8), np.full_like(labels, 127)):
        save_picture(path, values)
        with pytest.raises(UnusableFile, match=r"mask\.png has values [01].*: expected white, 255") as error:
            inpainter.predict(first, tmp_path / "out", masks=path)
        assert error.value.problem.file == str(path)
    save_picture(path, np.eye(SIZE, dtype=np.uint16))
    with pytest.raises(UnusableFile, match="values 0 to 1, none of them white: expected white, 65535"):
        inpainter.predict(first, tmp_path / "out", masks=path)
    save_picture(path, labels + np.uint8(128))
    assert read_missing(path, first, inpainter.preparation.settings).all()


def test_masks_are_looked_at_before_anything_is_written(
    tiles: Path, inpainter: Inpainter, tmp_path: Path
) -> None:
    files = sorted(tiles.glob("*.png"))
    for number, file in enumerate(files):
        size = (SIZE, SIZE + (number == len(files) - 1))
        save_picture(tmp_path / "masks" / file.name, np.full(size, 255, np.uint8))
    with pytest.raises(DatasetError, match=f"{files[-1].name} is 16 x 17 pixels: expected 16 x 16"):
        inpainter.predict(tiles, tmp_path / "out", masks=tmp_path / "masks")
    save_picture(tmp_path / "masks" / f"{files[3].stem}.bmp", np.full((SIZE, SIZE), 255, np.uint8))
    words = rf"{files[3].stem}\.bmp and {files[3].name} for {files[3].name}: expected one mask"
    with pytest.raises(DatasetError, match=words):
        inpainter.predict(tiles, tmp_path / "out", masks=tmp_path / "masks")
    assert not (tmp_path / "out").exists()


def test_what_is_not_finite_is_told_by_its_picture(
    tiles: Path, prepared: PreparedImages, splits: Splits, inpainter: Inpainter, tmp_path: Path
) -> None:
    """A network that divides by zero where a picture's first pixel is white, which its mask must leave."""

    class Dividing(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images / (1 - images[:, :1, :1, :1])

    broken = replace(inpainter, network=Dividing(), masks=MaskSettings("center"))
    white = np.full((SIZE, SIZE, 3), 255, np.uint8)
    save_picture(tmp_path / "in" / "a.png", white // 2)
    save_picture(tmp_path / "in" / "b.png", white)
    with pytest.raises(RunError, match=r"output for b\.png is not finite"):
        broken.predict(tmp_path / "in", tmp_path / "out")
    assert (tmp_path / "out" / "a.png").exists()
    dataset = open_any(tmp_path / "in")
    found = prepare_like(dataset, inpainter.preparation, tmp_path / "cache")  # type: ignore[arg-type]
    with pytest.raises(FloatingPointError, match=r"output for b\.png is not finite"):
        broken.score(pictures(found, ("a.png", "b.png")))


def test_neither_pictures_nor_masks_nor_boxes_are_ever_replaced(
    tiles: Path, inpainter: Inpainter, tmp_path: Path
) -> None:
    scans, masks = tmp_path / "scans", tmp_path / "masks"
    for file in sorted(tiles.glob("*.png"))[:2]:
        save_picture(scans / file.name, np.asarray(Image.open(file)))
        save_picture(masks / file.name, np.full((SIZE, SIZE), 255, np.uint8))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.png")}
    for output, words in (
        (scans, "inputs are never replaced"),
        (masks, "inputs are never replaced"),
        (scans / ".." / "scans", "inputs are never replaced"),
    ):
        for overwrite in (False, True):
            with pytest.raises(StorageError, match=words):
                inpainter.predict(scans, output, masks=masks, overwrite=overwrite)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()} == before
    inpainter.predict(scans, scans / "restored", masks=masks)
    written = inpainter.predict(scans, scans / "restored", masks=masks, overwrite=True)
    assert [path.parent.name for path in written] == ["restored"] * 2, "what was restored is no input"


def test_two_pictures_of_one_name_are_refused(tiles: Path, inpainter: Inpainter, tmp_path: Path) -> None:
    for ending in ("png", "bmp"):
        Image.open(sorted(tiles.glob("*.png"))[0]).save(tmp_path / f"a.{ending}")
    with pytest.raises(DatasetError, match=r"Two pictures would be restored as .*a\.png"):
        inpainter.predict(tmp_path, tmp_path / "out")


def test_pictures_are_known_by_their_content(
    tiles: Path, splits: Splits, prepared: PreparedImages, inpainter: Inpainter, tmp_path: Path
) -> None:
    for number, path in enumerate(sorted(tiles.glob("*.png"))):
        (tmp_path / "Other" / "below").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "Other" / "below" / f"{number}.png")
    other = open_any(tmp_path / "Other", format="images")
    unseen = unseen_cases(other, settings_of(tiles), splits)
    assert (unseen.seen, unseen.tested) == (len(splits.training) + len(splits.validation), len(splits.test))
    cases = TASKS["inpainting"].test_cases(other, inpainter.prepare(other, cache_root(), 1), unseen.names)
    assert len(inpainter.score(cases)) == len(splits.test)


def test_shown_are_the_worst_the_median_and_the_best(
    tiles: Path, splits: Splits, inpainter: Inpainter, mixer: nn.Conv2d, tmp_path: Path
) -> None:
    settings = settings_of(tiles)
    folder = create_run_folder(tmp_path / "run", settings, splits)
    run_data = open_run_data(folder, settings)
    nothing = Comparison((), inpainter.task.metric_names, metric_named("psnr"))
    run = ReportedRun(settings, nothing, folder.winner / "predictions", run_data.prepared, run_data.test)
    assert restorations(run) == ()
    scores = inpainter.score(run_data.test, folder.winner / "predictions")
    searched = Contestant("searched", "it", "", "complete", "", 10, 1.0, 1, None, scores)
    shown = restorations(replace(run, comparison=replace(nothing, contestants=(searched,))))
    psnr = {name: score["psnr"] for name, score in scores.items()}
    assert [one.role for one in shown] == ["worst", "median", "best"]
    assert [one.score for one in shown] == [min(psnr.values()), sorted(psnr.values())[2], max(psnr.values())]
    for one in shown:
        truth = pixels(tiles / one.name)
        missing = missing_of(run_data.prepared.names.index(one.name))
        np.testing.assert_allclose(one.truth, truth, atol=1e-6)
        np.testing.assert_allclose(one.given, np.where(missing, 0, truth), atol=1e-6)
        np.testing.assert_allclose(one.result, by_hand(mixer, truth, missing), atol=0.51 / 255)


def test_a_network_is_loaded_with_its_masks(inpainter: Inpainter) -> None:
    architecture = {"channels": 3, "size": [SIZE, SIZE], "masks": MASKS.to_dict()}
    steps = inpainter.preparation.to_dict()
    carried = (json.loads(json.dumps(values)) for values in (architecture, steps))
    saved = SavedNetwork(Path(), *carried)
    assert Inpainter.load(inpainter.network, saved, inpainter.device) == inpainter


def test_worst_median_and_best() -> None:
    nan = float("nan")
    assert worst_median_best({"a": 3.0, "b": nan, "c": 1.0, "d": 2.0}) == {
        "c": "worst",
        "d": "median",
        "a": "best",
    }
    assert worst_median_best({"a": 3.0}) == {"a": "worst"}
    assert worst_median_best({"a": nan}) == {}


def test_samples_are_the_same_for_the_same_seed_and_go_on_where_they_are_masked(tmp_path: Path) -> None:
    first, second = (write_inpainting_sample(tmp_path / name, pictures=12, seed=3, size=20) for name in "ab")
    names = sorted(path.name for path in first.glob("*.png"))
    assert len(names) == 12
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)
    other = write_inpainting_sample(tmp_path / "c", pictures=12, seed=4, size=20)
    assert all((first / name).read_bytes() != (other / name).read_bytes() for name in names)
    for name in names:
        picture = pixels(first / name)
        beside = ((picture[..., 1:] - picture[..., :-1]) ** 2).mean()
        assert beside < picture.var(axis=(1, 2)).mean(), "neighbours are alike"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x.txt").write_text("x")
    with pytest.raises(DatasetError, match="is not empty"):
        write_inpainting_sample(tmp_path / "mine")
