"""Whose code is run: modules that leave a mark when they are imported, planted where a run would find them."""

from __future__ import annotations

import html
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import netwright as package
from netwright.errors import SettingsError, UntrustedCode
from netwright.own_code.loading import load
from netwright.runs.drawings import NOT_STORED, WITHOUT_DRAWINGS, space_to_show
from netwright.runs.trust import remember_code, require_trusted
from netwright.settings import SpecSettings
from netwright.spaces import code_of, make_space
from netwright.tasks.classification.task import ClassificationTask
from processes import run

Command = Callable[..., subprocess.CompletedProcess[str]]

MARKING = "from pathlib import Path\nPath({mark!r}).touch()\n"
PLACES = ("folder", "current", "run", "same-name", "helper")
"""Where a stranger's module lies: in ``space.folder``, in the current folder, in the run folder, in the current folder
under the name of the user's own, and beside a true copy of the user's own, as something that torch might import.
"""


class Planted:
    """A stranger's copy of a run, the folder to start netwright in, and whether the planted code has been run."""

    def __init__(self, source: Path, tmp_path: Path, networks: Path, place: str) -> None:
        self.mark = tmp_path / "mark"
        self.run = shutil.copytree(source, tmp_path / "stranger")
        self.here = tmp_path / "here"
        self.here.mkdir()
        (self.run / "finished.json").unlink()
        folder = {"folder": tmp_path / "evil", "run": self.run, "helper": tmp_path / "evil"}.get(place)
        name = "own_networks" if place in ("same-name", "helper") else "planted"
        text = networks.read_text()
        self.marking = MARKING.format(mark=str(self.mark)) + text
        target = folder or self.here
        target.mkdir(exist_ok=True)
        if place == "helper":
            (target / "own_networks.py").write_text(text)
            (target / "onnx.py").write_text(self.marking)
        else:
            (target / f"{name}.py").write_text(self.marking)
        values = yaml.safe_load((self.run / "run.yaml").read_text())
        values["space"]["network"] = f"{name}:classifier"
        values["space"]["folder"] = None if folder is None else str(folder)
        (self.run / "run.yaml").write_text(yaml.safe_dump(values))

    def words(self, verb: str, shapes: Path, tmp_path: Path) -> tuple[object, ...]:
        out = tmp_path / "out"
        return {
            "status": ("status", self.run),
            "report": ("report", self.run, "-o", out / "report.html"),
            "predict": ("predict", self.run, shapes / "test", "-o", out),
            "evaluate": ("evaluate", self.run, shapes),
            "export": ("export", self.run, "-o", out),
            "train": ("train", self.run, "--trial", 0),
            "resume": ("resume", self.run),
            "search": ("search", shapes, "--settings", self.run / "run.yaml", "-o", tmp_path / "again"),
        }[verb]


@pytest.mark.parametrize("place", PLACES)
def test_no_verb_runs_what_a_stranger_planted(
    netwright: Command, shapes: Path, shapes_run: Path, tmp_path: Path, workshop: Path, place: str
) -> None:
    planted = Planted(shapes_run, tmp_path, workshop / "own_networks.py", place)
    for verb in ("status", "report", "predict", "evaluate", "export", "train", "resume", "search"):
        done = netwright(*planted.words(verb, shapes, tmp_path), cwd=planted.here)
        assert not planted.mark.exists(), f"{verb} ran it"
        if verb in ("status", "report"):
            assert done.returncode == 0, done.stderr
            continue
        assert done.returncode == 2, done.stderr
        told = " ".join(done.stderr.split())
        assert "--trust-code" in told
        assert str(planted.here) in told or str(tmp_path) in told
    assert not (tmp_path / "again").exists()
    assert "kernels" in (tmp_path / "out" / "report.html").read_text()


def test_trusted_code_is_run_and_said_to_be(
    netwright: Command, shapes: Path, shapes_run: Path, tmp_path: Path, workshop: Path
) -> None:
    planted = Planted(shapes_run, tmp_path, workshop / "own_networks.py", "folder")
    words = planted.words("predict", shapes, tmp_path)
    done = netwright(*words, "--trust-code", cwd=planted.here)
    assert done.returncode == 0, done.stderr
    assert planted.mark.exists()
    assert f"{tmp_path / 'evil' / 'planted.py'} is run, as you trust it" in done.stderr
    with pytest.raises(UntrustedCode):
        package.open_run(planted.run).network()


def test_ones_own_code_is_run_from_any_folder_and_what_lies_there_is_not(
    netwright: Command, shapes: Path, shapes_run: Path, tmp_path: Path, workshop: Path
) -> None:
    mark = tmp_path / "mark"
    for name in ("own_networks.py", "torchvision.py", "yaml.py"):
        (tmp_path / name).write_text(MARKING.format(mark=str(mark)))
    done = netwright("predict", shapes_run, shapes / "test", "-o", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{workshop / 'own_networks.py'} is run, as by your own search" in done.stderr
    assert not mark.exists()


NETWORK = """from torch import nn
from {helper} import width

def make(channels, classes):
    return nn.Conv2d(1, 1, 1)
"""


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In which no search has left anything."""
    monkeypatch.setenv("NETWRIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def own(folder: Path, name: str) -> SpecSettings:
    """A network with a helper beside it, as a search would store it."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(NETWORK.format(helper=f"{name}_parts.widths"))
    (folder / f"{name}_parts").mkdir()
    (folder / f"{name}_parts" / "__init__.py").write_text("")
    (folder / f"{name}_parts" / "widths.py").write_text("width = 8\n")
    return SpecSettings(name="layerwise", network=f"{name}:make", folder=str(folder))


@pytest.mark.parametrize(
    ("file", "text", "trusted"),
    [
        ("{}.py", "# A comment.\n" + NETWORK, True),
        ("{}.py", NETWORK.replace("1, 1, 1", "1, 1, 3"), False),
        ("{}_parts/widths.py", "width = 8  # wide\n", True),
        ("{}_parts/widths.py", "width = 9\n", False),
        ("{}_parts/__init__.py", "print()\n", False),
        ("unrelated.py", "print()\n", True),
        ("torch.py", "print()\n", False),
    ],
)
def test_code_is_ones_own_while_no_file_that_it_imports_changes(
    tmp_path: Path, empty_cache: Path, file: str, text: str, trusted: bool
) -> None:
    spec = own(tmp_path / "mine", "wide")
    with pytest.raises(UntrustedCode, match="no search of yours has run here"):
        require_trusted(code_of(spec))
    remember_code(code_of(spec))
    assert "as by your own search" in str(require_trusted(code_of(spec)))
    (tmp_path / "mine" / file.format("wide")).write_text(text.replace("{helper}", "wide_parts.widths"))
    if trusted:
        require_trusted(code_of(spec))
        return
    with pytest.raises(UntrustedCode, match="has changed since the run began"):
        require_trusted(code_of(spec))


def test_moved_code_is_ones_own_unless_something_lies_beside_it(tmp_path: Path, empty_cache: Path) -> None:
    remember_code(code_of(own(tmp_path / "before", "moved")))
    after = SpecSettings(name="layerwise", network="moved:make", folder=str(tmp_path / "after"))
    shutil.copytree(tmp_path / "before", tmp_path / "after")
    assert "the same code" in str(require_trusted(code_of(after)))
    (tmp_path / "after" / "pytest").mkdir()
    (tmp_path / "after" / "pytest" / "slow.py").write_text("")
    assert require_trusted(code_of(after)), "Python takes the installed pytest, not a folder of that name"
    for name in ("optional.py", "optional/parts.py", "moved_parts/other.py"):
        other = tmp_path / "after" / name
        other.parent.mkdir(exist_ok=True)
        other.write_text("print()\n")
        with pytest.raises(UntrustedCode, match=f"{name} beside it"):
            require_trusted(code_of(after))
        other.unlink()
    assert require_trusted(code_of(after))


@pytest.mark.parametrize("on_path", [True, False])
def test_a_module_in_the_run_folder_itself_is_not_taken_for_an_installed_one(
    tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch, on_path: bool
) -> None:
    """Of `python -m netwright` and a notebook the current folder is on the path, and a folder without ``__init__.py``
    is a package.
    """
    (tmp_path / "received").mkdir()
    (tmp_path / "received" / "planted.py").write_text("def make(): ...\n")
    monkeypatch.chdir(tmp_path)
    if on_path:
        monkeypatch.syspath_prepend(tmp_path)
    for folder in (None, str(tmp_path / "none")):
        spec = SpecSettings(name="layerwise", network="received.planted:make", folder=folder)
        with pytest.raises(UntrustedCode, match=r"would run .*received/planted\.py, which no search"):
            require_trusted(code_of(spec))
    remember_code(code_of(spec))
    assert "as by your own search" in str(require_trusted(code_of(spec)))


@pytest.mark.parametrize(
    "network", ["posix:abort", "sys:exit", "_imp:lock_held", "__main__:main", "antigravity:x"]
)
def test_what_python_has_itself_is_not_run_either(empty_cache: Path, network: str) -> None:
    with pytest.raises(UntrustedCode, match="which no search of yours has run here"):
        require_trusted(code_of(SpecSettings(name="layerwise", network=network)))


def test_what_somebody_else_put_among_the_records_does_not_count(tmp_path: Path, empty_cache: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    spec = own(tmp_path / "mine", "given")
    remember_code(code_of(spec))
    (record,) = (empty_cache / "own-code").rglob("*.json")
    os.chown(record, 12345, -1)
    with pytest.raises(UntrustedCode):
        require_trusted(code_of(spec))
    record.write_text("{")
    os.chown(record, 0, -1)
    with pytest.raises(UntrustedCode):
        require_trusted(code_of(spec))


@pytest.mark.parametrize("file", ["module", "helper"])
def test_a_compiled_file_beside_a_source_is_not_run_in_its_place(
    tmp_path: Path, empty_cache: Path, file: str
) -> None:
    """Python takes a compiled file for a source's if size and time of the source stand in it, whatever it holds."""
    import importlib.util
    import py_compile
    import sys

    spec = own(tmp_path / "mine", f"compiled_{file}")
    remember_code(code_of(spec))
    place = tmp_path / "site-packages"
    shutil.copytree(tmp_path / "mine", place)
    name = f"compiled_{file}{'_parts' if file == 'helper' else ''}"
    source, mark = place / (f"{name}/widths.py" if file == "helper" else f"{name}.py"), tmp_path / "mark"
    true = source.read_text()
    evil = MARKING.format(mark=str(mark))
    length = max(len(evil), len(true))
    source.write_text(evil.ljust(length, "#"))
    py_compile.compile(str(source), cfile=importlib.util.cache_from_source(str(source)))
    stamp = source.stat()
    source.write_text(true.ljust(length, "#"))
    os.utime(source, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    module = f"{name}.widths" if file == "helper" else name
    code = f"import sys; sys.path.insert(0, {str(place)!r}); import {module}"
    assert run([sys.executable, "-c", code]).returncode == 0
    assert mark.exists(), "as Python does by itself"
    mark.unlink()
    moved = SpecSettings(name="layerwise", network=spec.options["network"], folder=str(place))
    assert "the same code" in str(require_trusted(code_of(moved)))
    code = code_of(moved)
    assert code is not None
    assert load(code).__name__ == "make"
    assert not mark.exists()


def test_a_relative_folder_is_refused(
    shapes: Path, shapes_run: Path, netwright: Command, tmp_path: Path
) -> None:
    run = shutil.copytree(shapes_run, tmp_path / "run")
    text = (run / "run.yaml").read_text()
    folder = yaml.safe_load(text)["space"]["folder"]
    (run / "run.yaml").write_text(text.replace(f"folder: {folder}", "folder: ."))
    for options in ((), ("--trust-code",)):
        done = netwright("predict", run, shapes / "test", "-o", tmp_path / "out", *options, cwd=tmp_path)
        assert done.returncode == 2
        assert "space.folder: expected an absolute path, got '.'" in done.stderr
    with pytest.raises(SettingsError, match="expected an absolute path"):
        make_space(
            SpecSettings(name="layerwise", network="a:b", folder="b", channels=1, classes=2, size=[8, 8])
        )


def test_what_is_shown_is_what_the_code_would_have_told(
    shapes_run: Path, workshop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workshop)
    run = package.open_run(shapes_run)
    settings, records, best = run.settings, run.trials, run.best
    assert best is not None
    shown, made = space_to_show(run.folder, settings, records), make_space(settings.space)
    assert type(shown) is not type(made)
    assert shown.distributions() == made.distributions()
    assert list(shown.distributions()) == list(made.distributions())
    assert shown.agent_graph() == made.agent_graph()  # type: ignore[attr-defined]
    assert shown.original_choice() == made.original_choice()  # type: ignore[attr-defined]
    assert shown.starting_choice() == made.starting_choice()
    for record in records:
        assert shown.describe(record.choice) == record.words == made.describe(record.choice)
    options = settings.space.options
    task = ClassificationTask(options["channels"], ("a", "b", "c", "d"), tuple(options["size"]))
    assert shown.diagrams(best.choice, task) == made.diagrams(best.choice, task)


def test_a_run_of_before_lacks_drawings_and_says_so(
    netwright: Command, shapes_run: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(shapes_run, tmp_path / "run")
    (run / "space.json").unlink()
    for drawing in run.rglob("drawing.json"):
        drawing.unlink()
    for file in run.rglob("result.json"):
        values = json.loads(file.read_text())
        del values["words"]
        file.write_text(json.dumps(values))
    with sqlite3.connect(run / "study.db") as database:
        assert database.execute("DELETE FROM trial_user_attributes WHERE key = 'words'").rowcount > 0
    database.close()
    done = netwright("status", run)
    assert done.returncode == 0, done.stderr
    assert NOT_STORED in done.stdout
    done = netwright("report", run)
    assert done.returncode == 0, done.stderr
    assert WITHOUT_DRAWINGS.split(",")[0] in html.unescape((run / "report.html").read_text())


def test_a_damaged_drawing_is_told(netwright: Command, shapes_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(shapes_run, tmp_path / "run")
    (run / "space.json").write_text('{"distributions": 3}')
    done = netwright("report", run)
    assert done.returncode == 1
    assert "space.json is damaged" in done.stderr
