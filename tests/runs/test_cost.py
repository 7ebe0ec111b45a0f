"""The cost of a run: over resumptions and kills, with the energy that the machine tells."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from netwright.errors import RunError
from netwright.files import write_json
from netwright.report.collect.facts import cost_facts
from netwright.runs import cost
from netwright.runs.cost import COST, RunCost, Session, metered, read_cost, used_devices
from netwright.runs.folder import RunFolder


@pytest.fixture
def folder(finished_run: Path, tmp_path: Path) -> RunFolder:
    (tmp_path / "run").mkdir()
    shutil.copy(finished_run / "run.yaml", tmp_path / "run")
    return RunFolder(tmp_path / "run")


def test_a_search_tells_what_it_cost(finished_run: Path) -> None:
    folder = RunFolder(finished_run)
    found = read_cost(folder)
    (session,) = found.sessions
    trained = sum(1 for _ in (finished_run / "trials").iterdir())
    assert trained
    assert session.begun < time.time()
    assert 0 < session.seconds < 3600
    assert (session.device, session.devices) == used_devices(folder.settings())
    names = [name for name, _ in cost_facts(found)]
    assert names == ["cost", "energy"]
    assert "core hours" in (finished_run / "report.html").read_text()


def test_sessions_add_up_and_a_kill_loses_little(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    powercap = tmp_path / "powercap"
    package = powercap / "intel-rapl:0"
    package.mkdir(parents=True)
    for file, value in (("name", "package-0"), ("max_energy_range_uj", 10_000_000), ("energy_uj", 9_000_000)):
        (package / file).write_text(f"{value}\n")
    monkeypatch.setattr(cost, "SAVE_EVERY_SECONDS", 0.02)
    settings = folder.settings()
    with metered(folder, settings, powercap):
        (package / "energy_uj").write_text("2000000\n")  # it began again
        limit = time.monotonic() + 20
        while not read_cost(folder).energy.get("processors") and time.monotonic() < limit:
            time.sleep(0.01)
        assert read_cost(folder).energy == {"processors": 3.0}, "stored before the end"
        (package / "energy_uj").write_text("4000000\n")

    def stopped() -> None:
        with metered(folder, settings, powercap):
            (package / "energy_uj").write_text("4500000\n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    found = read_cost(folder)
    assert [one.energy["processors"] for one in found.sessions] == [5.0, 0.5]
    assert found.energy == {"processors": 5.5}
    assert found.seconds == pytest.approx(sum(one.seconds for one in found.sessions))


def test_the_report_says_what_is_known() -> None:
    sessions = (
        Session(0, 7200, "GPU", 3, {"GPUs": 3.6e6, "processors": 1.8e6}),
        Session(9e3, 3600, "GPU", 1),
    )
    told = dict(cost_facts(RunCost(sessions)))
    assert told["cost"] == "3 h 00 m, in 2 sessions; 7.0 GPU hours, 0.29 GPU days"
    assert told["energy"].startswith("1.5 kWh: GPUs 1.0 kWh, processors 500 Wh; all that these used")
    assert told["energy"].endswith("not told for 1 h 00 m of the time")
    silent = dict(cost_facts(RunCost((Session(0, 90, "core", 2),))))
    assert silent["cost"] == "1 m 30 s; 0.05 core hours"
    assert "does not tell" in silent["energy"]
    assert cost_facts(RunCost(())) == ()


def test_a_damaged_file_is_told(folder: RunFolder) -> None:
    assert read_cost(folder).sessions == ()
    write_json(folder.root / COST, {"sessions": [{"begun": 0}]})
    with pytest.raises(RunError, match=r"cost\.json is damaged"):
        read_cost(folder)
