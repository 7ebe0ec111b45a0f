"""A space of the user's own by its name: what it must have, and whose code is run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netwright.errors import SettingsError, UntrustedCode
from netwright.runs.drawings import space_to_show
from netwright.runs.folder import open_run_folder
from netwright.runs.trials import load_trials, record_of
from netwright.runs.trust import remember_code, require_trusted
from netwright.settings import SpecSettings
from netwright.spaces import code_of, make_space

PAGE = Path(__file__).resolve().parents[2] / "docs" / "own-space.md"
SIZE = {"channels": 1, "classes": 2, "size": [16, 16], "dense": True}
BASE = Path(__file__).resolve().parents[1] / "tiny_spaces.py"


def spec(code: str, folder: Path | None = None, **options: Any) -> SpecSettings:
    where = {} if folder is None else {"folder": str(folder)}
    return SpecSettings(name="own", code=code, **SIZE, **where, **options)


def test_a_space_is_made_by_its_name() -> None:
    space = make_space(spec("tiny_spaces:Stack"))
    assert space.name == "stack"
    assert set(space.starting_choice()) == {"depth", "width"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def Mine():\n    return 3\n", "makes a int without name, distributions"),
        (
            "class Mine:\n    name = 'mine'\n",
            "makes a Mine without distributions, starting_choice, canonical",
        ),
        (
            "class Mine:\n    def __init__(self, depth): pass\n",
            "cannot be made.*'depth'.*give its other parameters defaults",
        ),
        (
            "from tiny_spaces import Stack\nclass Mine(Stack):\n    def starting_choice(self): return {'depth': 1}\n",
            r"starting_choice\(\) of .* has depth; expected a value for each of depth, width",
        ),
        (
            "from tiny_spaces import Stack\nclass Mine(Stack):\n    def distributions(self): return {'depth': 4}\n",
            r"distributions\(\) of .* has 'depth' without one",
        ),
        ("Other = 1\n", "has no 'Mine'"),
        (
            "class Mine:\n    def __init__(self): raise KeyError('depth')\n",
            r"Mine cannot be made: KeyError: 'depth' \(.*space_6.py, line 2\)",
        ),
        (
            "from tiny_spaces import Stack\nclass Mine(Stack):\n    def distributions(self): return 1 / 0\n",
            r"distributions\(\) or starting_choice\(\) of .* failed: ZeroDivisionError: .*, line 3\)",
        ),
    ],
)
def test_what_is_no_space_is_refused(
    tmp_path: Path, request: pytest.FixtureRequest, body: str, words: str
) -> None:
    name = f"space_{request.node.callspec.indices['body']}"
    (tmp_path / f"{name}.py").write_text(body)
    (tmp_path / "tiny_spaces.py").write_text(BASE.read_text())
    with pytest.raises(SettingsError, match=f"^space: .*{words}"):
        make_space(spec(f"{name}:Mine", tmp_path))


def test_a_folder_that_is_not_whole_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"got 'here', .* in the folder that holds the space\.$"):
        make_space(spec("tiny_spaces:Stack", Path("here")))


def test_a_module_without_its_class_is_answered_with_the_form_of_the_name() -> None:
    with pytest.raises(SettingsError, match=r"^There is no space 'tiny_spaces'\. .*package\.module:Class"):
        make_space(SpecSettings(name="tiny_spaces"))


def test_the_path_of_a_file_is_answered_with_the_name_to_give() -> None:
    with pytest.raises(SettingsError, match=r"got the path of a file, my/space\.py\. Write my\.space:Stack"):
        make_space(spec("my/space.py:Stack"))


def test_code_that_no_search_of_the_user_ran_is_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "stranger.py").write_text(f"open({str(mark)!r}, 'w')\n" + BASE.read_text())
    named = spec("stranger:Stack", tmp_path)
    with pytest.raises(UntrustedCode, match="no search of yours has run here"):
        require_trusted(code_of(named))
    assert not mark.exists()
    told = require_trusted(code_of(named), trust_code=True)
    assert told is not None
    assert "as you trust it" in told
    remember_code(code_of(named))
    assert "as by your own search" in str(require_trusted(code_of(named)))


def test_the_space_of_the_page_is_searched_by_its_name(
    cells: Path,
    netwright: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its file is imported by the search alone: status and report show it without running it."""
    program = (
        PAGE.read_text()
        .split("```python\n")[1]
        .split("```")[0]
        .partition("@dataclass(frozen=True)\nclass Pict")[0]
    )
    mark = tmp_path / "mark"
    here = tmp_path / "here"
    here.mkdir()
    (here / "page_space.py").write_text(f"open({str(mark)!r}, 'w')\n{program}")
    words = ("--trials", 1, "--epochs", 1, "--workers", 1, "--verdict-hours", 0)
    done = netwright("search", cells, "--space", "page_space:Stack", "-o", "run", *words, cwd=here)
    assert done.returncode == 0, done.stderr
    assert mark.exists()
    folder = open_run_folder(here / "run")
    assert folder.settings().space.options["folder"] == str(here)
    shown = space_to_show(folder, folder.settings(), map(record_of, load_trials(folder)))
    (trial,) = map(record_of, load_trials(folder))
    assert shown.describe(trial.choice) == trial.words != ""
    assert shown.starting_choice() == {"depth": 2, "width": 8}
    mark.unlink()
    monkeypatch.setenv("NETWRIGHT_CACHE", str(tmp_path / "another user"))
    for verb in ("status", "report"):
        assert netwright(verb, here / "run").returncode == 0
    refused = netwright("train", here / "run")
    assert refused.returncode == 2
    assert "--trust-code" in refused.stderr
    assert not mark.exists()


def test_a_class_with_other_dimensions_is_refused_until_it_is_taken_up(
    shapes: Path, netwright: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """From the command line: the search, the changed class, the refusals, the change, and what reads the run then."""
    code, run = tmp_path / "mine.py", tmp_path / "run"
    code.write_text(BASE.read_text())
    words = ("--trials", 3, "--epochs", 1, "--workers", 1, "--verdict-hours", 0)
    done = netwright(
        "search", shapes, "--space", "mine:Stack", "--strategy", "random", "-o", run, *words, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    before = [record_of(trial) for trial in load_trials(open_run_folder(run))]
    assert len({record.choice["depth"] for record in before}) > 1
    least = max(record.choice["depth"] for record in before)
    wider = BASE.read_text().replace("IntDistribution(1, 4)", f"IntDistribution({least}, 6)")
    code.write_text(wider.replace('{"depth": 1, "width": 4}', f'{{"depth": {least}, "width": 4}}'))
    (run / "finished.json").unlink()
    refused = netwright("resume", run, cwd=tmp_path)
    assert refused.returncode == 2
    assert "netwright resume RUN --set space.code=mine:Stack" in refused.stderr
    refused = netwright("resume", run, "--trust-code", cwd=tmp_path)
    assert refused.returncode == 2
    assert f"mine:Stack has other dimensions than the trials of {run} (depth)" in refused.stderr
    assert f"netwright resume {run} --set space.code=mine:Stack" in refused.stderr
    done = netwright("resume", run, "--set", "space.code=mine:Stack", "--trials", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"space      depth: 1 to 4, now {least} to 6" in done.stdout
    assert "strategy   random learns from the trials that fit" in done.stdout
    after = [record_of(trial) for trial in load_trials(open_run_folder(run))]
    for was, now in zip(before, after, strict=False):
        assert now == was if was.choice["depth"] == least else now.status == "left_out"
    assert all(record.choice["depth"] >= least for record in after[3:])
    status = netwright("status", run)
    assert f"{sum(r.choice['depth'] < least for r in before)} of another space" in status.stdout
    page = (run / "report.html").read_text()
    assert "The space was changed after 3 trials" in page
    assert f"depth: 1 to 4, now {least} to 6" in page
    out = next(record.number for record in after if record.status == "left_out")
    refused = netwright("train", run, "--trial", out, cwd=tmp_path)
    assert refused.returncode == 1
    assert f"Trial {out} of {run} is not of its space any more" in refused.stderr
