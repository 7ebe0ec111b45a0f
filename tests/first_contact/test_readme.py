"""The README's way from a clone to predictions on one's own scans, as it is printed there."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from conftest import Command
from netwright_tests import ONE_TRIAL

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
USE_IT = README[README.index("## Use it") : README.index("More searches:")]
BLOCKS = re.findall(r"^```\n(.*?)^```", USE_IT, flags=re.MULTILINE | re.DOTALL)

FEW_SECONDS = "--hours 0.01 --set race.first_seconds=0.3 --set space.fixed.width=8 --set space.fixed.levels=2"


def block(start: str) -> list[str]:
    """The lines of the code block that starts so, without what they say behind #."""
    (found,) = (text for text in BLOCKS if text.startswith(start))
    return [line.partition("#")[0].strip() for line in found.splitlines()]


def commands() -> dict[str, list[str]]:
    """The words behind each ``netwright`` command."""
    lines = [shlex.split(line) for line in block("netwright ")]
    assert all(words[0] == "netwright" for words in lines)
    return {words[1]: words[2:] for words in lines}


@pytest.fixture
def newcomer(dataset: Path, tmp_path: Path) -> Path:
    """A folder with one's own scans where the README has them, six of them, and with two new ones."""
    names = [path.name for path in sorted((dataset / "imagesTr").iterdir())]
    arranged = [shlex.split(line) for line in block("mydata/")]
    places = [[path.removesuffix(".nii.gz").rpartition("/")[::2] for path in line] for line in arranged]
    assert all(image[1] == label[1] for image, label in places), "the same names"
    for number, source in enumerate(names[:6]):
        for (folder, name), part in zip(places[number % 2], ("imagesTr", "labelsTr"), strict=True):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(dataset / part / source, tmp_path / folder / f"{name}{number // 2 or ''}.nii.gz")
    (tmp_path / "scans").mkdir()
    for source in names[6:]:
        shutil.copy(dataset / "imagesTr" / source, tmp_path / "scans")
    return tmp_path


def test_the_environment_is_that_of_the_makefile() -> None:
    (made,) = re.findall(r"^VENV \?= (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert block("python3 -m venv") == [f"python3 -m venv {made}", f". {made}/bin/activate", "pip install ."]


@pytest.mark.parametrize(
    "budget",
    [
        pytest.param(ONE_TRIAL, id="one trial"),
        pytest.param(FEW_SECONDS, id="auto", marks=pytest.mark.slow),  # half a minute, however little it does
    ],
)
def test_from_a_folder_of_scans_to_label_maps(budget: str, newcomer: Path, netwright: Command) -> None:
    """The commands as printed, but for the hours."""
    given = commands()
    assert list(given) == ["inspect", "plan", "search", "status", "predict", "export"]
    assert given["plan"] == given["inspect"] == given["search"][:1]
    assert given["export"][0] == given["status"][0]
    done = netwright("inspect", *given["inspect"], cwd=newcomer)
    assert done.returncode == 0, done.stderr
    assert "6 cases   format volume-pairs" in done.stdout
    assert "next       netwright plan mydata" in done.stdout

    words = " ".join(given["search"]).replace("--hours 2", budget).split()
    done = netwright("search", *words, "--workers", 1, cwd=newcomer)
    assert done.returncode == 0, done.stderr
    assert f"netwright predict {given['predict'][0]}" in done.stdout
    assert "finished" in netwright("status", *given["status"], cwd=newcomer).stdout

    done = netwright("predict", *given["predict"], cwd=newcomer)
    assert done.returncode == 0, done.stderr
    scans = sorted((newcomer / "scans").iterdir())
    labels = newcomer / given["predict"][given["predict"].index("-o") + 1]
    assert [path.name for path in sorted(labels.glob("*.nii.gz"))] == [scan.name for scan in scans]
    for scan in scans:
        image, label = nibabel.load(scan), nibabel.load(labels / scan.name)
        assert label.shape == image.shape
        assert np.allclose(label.affine, image.affine)
        assert set(np.unique(np.asarray(label.dataobj))) <= {0, 1, 2, 3}
