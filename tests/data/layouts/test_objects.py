"""Lists of objects are refused, and the script of the documentation makes masks of those of COCO."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from netwright.data.io.images import read_picture
from netwright.data.open import inspect_any, open_any
from netwright.errors import DatasetError
from netwright_tests import save_photograph
from processes import run

DOCS = Path(__file__).resolve().parents[3] / "docs" / "layouts.md"

SQUARE = [2, 3, 9, 3, 9, 12, 2, 12]
RUNS = [24 * 20 + 5, 6, 24 * 12 - 11]
"""Six pixels of the column 20, from row 5, of a picture of 24 x 32."""


def coco(root: Path) -> Path:
    """Two parts of six pictures (24, 32) each: a large cat, a small dog over it, and a crowd."""
    for part in ("train2017", "val2017"):
        images = [{"id": n, "file_name": f"{n:012d}.jpg", "width": 32, "height": 24} for n in range(6)]
        for image in images:
            save_photograph(root / part / str(image["file_name"]))
        objects = [
            {"image_id": n, "category_id": category, "area": area, "segmentation": outline}
            for n in range(6)
            for category, area, outline in (
                (18, 4, [[4, 5, 6, 5, 6, 7, 4, 7]]),
                (17, 80, [SQUARE]),
                (18, 6, {"counts": RUNS, "size": [24, 32]}),
            )
        ]
        table = {
            "info": {},
            "images": images,
            "annotations": objects,
            "categories": [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}],
        }
        path = root / "annotations" / f"instances_{part}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(table))
    return root


def test_coco_is_refused_by_its_name(tmp_path: Path) -> None:
    root = coco(tmp_path / "coco")
    with pytest.raises(
        DatasetError, match=r"as COCO has them: annotations/instances_\w+\.json lists objects"
    ) as error:
        open_any(root)
    assert "docs/layouts.md#objects" in str(error.value)
    assert open_any(root, format="images").task == "inpainting", "what the message offers"


def test_a_list_of_another_name_and_beyond_what_is_read_is_found(tmp_path: Path) -> None:
    root = coco(tmp_path)
    for part in ("train2017", "val2017"):
        table = json.loads((root / "annotations" / f"instances_{part}.json").read_text())
        table["annotations"] *= 500
        (root / part / "objects.json").write_text(json.dumps(table))
        (root / "annotations" / f"instances_{part}.json").unlink()
    assert (root / "val2017" / "objects.json").stat().st_size > 500_000
    (root / "annotations").rmdir()
    with pytest.raises(DatasetError, match=r"as COCO has them: train2017/objects\.json"):
        open_any(root)


def test_the_script_of_the_documentation_makes_masks(tmp_path: Path) -> None:
    coco(tmp_path / "coco")
    _, _, section = DOCS.read_text().partition("### Objects\n")
    code = section.partition("```python\n")[2].partition("```")[0]
    done = run([sys.executable, "-c", code], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    data = open_any(tmp_path / "coco-masks")
    assert (data.format, len(data.names)) == ("image-masks", 12)
    assert data.parts.count("val") == 6
    assert not inspect_any(data).errors
    expected = np.zeros((24, 32), np.uint8)
    expected[3:13, 2:10] = 1
    expected[5:8, 4:7] = 2
    expected[5:11, 20] = 2
    mask = read_picture(tmp_path / "coco-masks" / "val" / "masks" / "000000000003.png").pixels
    np.testing.assert_array_equal(mask, expected)


def test_yolo_and_voc_are_refused(tmp_path: Path) -> None:
    for number in range(4):
        save_photograph(tmp_path / "yolo" / "images" / "train" / f"{number}.jpg")
        save_photograph(tmp_path / "voc" / "JPEGImages" / f"{number}.jpg")
        text = tmp_path / "yolo" / "labels" / "train" / f"{number}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text("0 0.5 0.5 0.25 0.25\n")
        tree = tmp_path / "voc" / "Annotations" / f"{number}.xml"
        tree.parent.mkdir(parents=True, exist_ok=True)
        tree.write_text("<annotation><object><name>cat</name></object></annotation>")
    with pytest.raises(DatasetError, match=r"as YOLO has them: labels/train/\d\.txt"):
        open_any(tmp_path / "yolo")
    with pytest.raises(DatasetError, match=r"as PASCAL VOC has them: Annotations/\d\.xml"):
        open_any(tmp_path / "voc")


def test_other_texts_beside_pictures_and_lists_beside_classes_change_nothing(tmp_path: Path) -> None:
    for number in range(4):
        save_photograph(tmp_path / ("cat", "dog")[number % 2] / f"{number}.jpg")
    (tmp_path / "objects.json").write_text('{"images": [], "annotations": [], "categories": []}')
    assert open_any(tmp_path).format == "image-folder"
    save_photograph(tmp_path / "loose" / "a.jpg")
    (tmp_path / "loose" / "about.json").write_text('{"images": "from a camera"}')
    (tmp_path / "loose" / "about.xml").write_text("<camera/>")
    assert open_any(tmp_path / "loose").format == "images"


def test_a_table_of_boxes_tells_no_classes(tmp_path: Path) -> None:
    for number in range(6):
        save_photograph(tmp_path / f"{number}.jpg")
    rows = [f"{number}.jpg,32,24,{'cat' if number % 2 else 'dog'},1,2,9,9" for number in range(6)]
    head = "filename,width,height,class,xmin,ymin,xmax,ymax"
    (tmp_path / "annotations.csv").write_text("\n".join([head, *rows]))
    with pytest.raises(DatasetError, match=r"as a table of boxes has them: annotations\.csv"):
        open_any(tmp_path)
    said = {"table": "annotations.csv", "file": "filename", "label": "class"}
    (tmp_path / "dataset.json").write_text(json.dumps(said))
    assert open_any(tmp_path).classes == ("cat", "dog"), "where each picture shows one object"
