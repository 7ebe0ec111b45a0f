"""The notes and pictures of trials, as a browser gets them from a run's page."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.storages import RDBStorage

from browser import CHROMIUM, browser
from netwright.dashboard.server import Pages, listening
from netwright.runs.folder import open_run_folder

REASON = "no room for <b>it</b>"


@dataclass(frozen=True)
class Shown:
    """A run whose page is answered by a thread of this process."""

    run: Path
    pages: Pages
    port: int

    def get(self, path: str) -> tuple[str, dict[str, str], bytes]:
        """Status, headers and body of an answer."""
        told: list[tuple[str, dict[str, str]]] = []
        asked = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", "HTTP_HOST": "localhost"}
        body = self.pages(asked, lambda status, headers: told.append((status, dict(headers))))
        contents = b"".join(body)
        body.close()  # type: ignore[attr-defined]
        return (*told[0], contents)

    def study(self) -> dict[str, Any]:
        """What the page is made of."""
        found: dict[str, Any] = json.loads(self.get("/api/studies/1")[2])
        return found


@pytest.fixture(scope="module")
def shown(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A run of four trials that were trained, and one that failed. Nobody may write to it."""
    run = shutil.copytree(finished_run, tmp_path_factory.mktemp("runs") / "shown")
    storage = RDBStorage(f"sqlite:///{run / 'study.db'}")
    study = optuna.load_study(study_name="search", storage=storage)
    failed = study.ask(study.trials[0].distributions)
    for name, value in (("status", "infeasible"), ("reason", REASON), ("words", "a large one")):
        failed.set_user_attr(name, value)
    study.tell(failed, state=optuna.trial.TrialState.PRUNED)
    storage.engine.dispose()
    before = contents(run)
    pages = Pages(open_run_folder(run), "dice")
    pages.refresh()
    with listening(pages, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Shown(run, pages, server.server_port)
        server.shutdown()
    pages.close()
    assert contents(run) == before, "a viewer writes nothing into the run"


def contents(run: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def address(trial: dict[str, Any], name: str) -> str:
    """Of the artifact of a trial with a file name."""
    (picture,) = (one["artifact_id"] for one in trial["artifacts"] if one["filename"] == name)
    return f"/artifacts/1/{trial['trial_id']}/{picture}"


def test_each_trial_has_a_note_and_what_pictures_there_are_of_it(shown: Shown) -> None:
    study = shown.study()
    assert [trial["number"] for trial in study["trials"]] == list(range(5))
    for trial in (*study["trials"][:4], *study["best_trials"]):
        assert "**What it is.** " in trial["note"]["body"]
        assert "It was trained to the end of its budget" in trial["note"]["body"]
        assert {"network.svg", "curves.svg"} <= {one["filename"] for one in trial["artifacts"]}
    assert "validation.png" in {one["filename"] for one in study["best_trials"][0]["artifacts"]}
    failed = study["trials"][4]
    assert "**Why.** no room for \\<b\\>it\\<\\/b\\>" in failed["note"]["body"]
    assert [one["filename"] for one in failed["artifacts"]] == ["network.svg"]
    assert json.loads(shown.get("/api/meta")[2])["artifact_is_available"]


def test_pictures_are_those_of_the_trial_and_for_this_page_alone(shown: Shown) -> None:
    study = shown.study()
    best = study["best_trials"][0]
    for name, kind, begin in (
        ("network.svg", "image/svg+xml", b"<svg"),
        ("curves.svg", "image/svg+xml", b"<svg"),
        ("validation.png", "image/png", b"\x89PNG"),
    ):
        status, headers, picture = shown.get(address(best, name))
        assert (status, headers["Content-Type"], picture[: len(begin)]) == ("200 OK", kind, begin)
        assert "Access-Control-Allow-Origin" not in headers, "no other page may read it"
        assert "sandbox" in headers["Content-Security-Policy"]
        assert b"No picture" not in picture
    assert len({one["artifact_id"] for trial in study["trials"] for one in trial["artifacts"]}) == sum(
        len(trial["artifacts"]) for trial in study["trials"]
    )
    for path in ("d-63-0", "c-zz-0", "e-4-0-0", "..%2Frun.yaml"):
        assert not shown.get(f"/artifacts/1/1/{path}")[0].startswith("200")


def test_a_picture_that_cannot_be_made_says_why(
    shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network of a trial on data that is gone."""
    run = shutil.copytree(shown.run, tmp_path / "moved")
    settings = (run / "run.yaml").read_text()
    (run / "run.yaml").write_text(settings.replace("path: ", "path: /gone", 1))
    pages = Pages(open_run_folder(run), "dice")
    pages.refresh()
    moved = Shown(run, pages, 0)
    drawn = moved.get(address(moved.study()["best_trials"][0], "validation.png"))
    assert (drawn[0], drawn[1]["Content-Type"]) == ("200 OK", "image/svg+xml")
    assert b"No picture" in drawn[2]
    assert b"/gone" in drawn[2]
    pages.close()


def test_another_pages_address_runs_no_code_that_a_run_names(shown: Shown, tmp_path: Path) -> None:
    """A browser that somebody else's page makes ask for the picture of a network that the user's own code builds."""
    run = shutil.copytree(shown.run, tmp_path / "own")
    (tmp_path / "theirs.py").write_text(
        "import pathlib\npathlib.Path(__file__).with_suffix('.ran').touch()\n"
    )
    settings = yaml.safe_load((run / "run.yaml").read_text())
    given = {"name": "own", "code": "theirs:Space", "folder": str(tmp_path)}
    settings["space"] |= given
    (run / "run.yaml").write_text(yaml.safe_dump(settings))
    pages = Pages(open_run_folder(run), "dice")
    pages.refresh()
    own = Shown(run, pages, 0)
    best = own.study()["best_trials"][0]
    assert "validation.png" not in {one["filename"] for one in best["artifacts"]}
    assert own.get(f"/artifacts/1/{best['trial_id']}/e-{best['number']:x}-0")[0].startswith("4")
    assert not (tmp_path / "theirs.ran").exists()
    pages.close()


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_browser_shows_the_metric_the_notes_and_the_pictures(shown: Shown, tmp_path: Path) -> None:
    """The page of the study, then of two of its trials: all their pictures have arrived; a reason is text alone."""
    best = shown.study()["best_trials"][0]["number"]
    for trial in shown.study()["best_trials"]:
        shown.get(address(trial, "validation.png"))  # made before it is waited for
    with browser(tmp_path) as tab:
        tab.open(f"http://localhost:{shown.port}/", 1400, 1800)
        tab.wait_for("document.body.innerText.includes('History')")
        tab.wait_for("document.body.innerHTML.includes('>dice<')")
        assert "Objective 0" not in tab.run("document.body.innerText")
        tab.open(f"http://localhost:{shown.port}/dashboard/studies/1/trials?numbers={best},4", 1400, 1800)
        tab.wait_for(loaded(4))
        text = tab.run("document.body.innerText")
        for words in ("What it is.", "It was trained to the end of its budget.", "Validation Dice", REASON):
            assert words in text
        assert not tab.run("[...document.querySelectorAll('b')].some((one) => one.innerText === 'it')")
        sources = tab.run("[...document.images].map((one) => one.src)")
        assert len({source for source in sources if "/artifacts/1/" in source}) == 4
        hidden = "[...document.querySelectorAll('[data-testid=DeleteIcon]')].every((one) => !one.checkVisibility())"
        assert tab.run(hidden), "nothing can be deleted"
        assert not tab.complaints()


def loaded(count: int) -> str:
    """So many pictures of trials have been drawn by the browser."""
    return (
        "[...document.images].filter((one) => one.src.includes('/artifacts/') && one.complete && "
        f"one.naturalWidth > 100).length === {count}"
    )
