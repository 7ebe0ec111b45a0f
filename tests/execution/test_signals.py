"""Signals to a process that works as a search does: it waits for a worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

from answering import trained
from netwright import sampler
from netwright.execution import signals
from netwright.execution.interrupts import Stopped, held_back, raise_if_stopped
from netwright.execution.signals import ended_by_signals
from netwright.runs.trials import store_outcome
from netwright.strategies.sampler import COMPLETION
from netwright.training.outcome import Outcome
from processes import finish, has_ended, line_of, wait_until

SCRIPT = """
import sys, time
sys.path.insert(0, {here!r})
import jobs_for_workers as jobs
from netwright.execution.local import LocalExecutor
from netwright.execution.signals import ended_by_signals
if __name__ == "__main__":
    pool = LocalExecutor(1, 1)
    try:
        with ended_by_signals():
            pool.submit(jobs.announce_and_sleep, {pid!r}, 600).result()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        with ended_by_signals():
            time.sleep({ending})
        pool.shutdown()
        print("stored", flush=True)
"""


def started(tmp_path: Path, ending: float) -> tuple[subprocess.Popen[str], int]:
    """The process, and that of its worker, which has begun."""
    pid = tmp_path / "pid"
    script = tmp_path / "search.py"
    script.write_text(SCRIPT.format(here=str(Path(__file__).parent), pid=str(pid), ending=ending))
    search = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: pid.exists() and bool(pid.read_text()), search, 60)
    return search, int(pid.read_text())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_ends_it_as_ctrl_c_does(tmp_path: Path, number: signal.Signals) -> None:
    search, worker = started(tmp_path, 0.0)
    search.send_signal(number)
    out, err = finish(search, 60)
    assert search.returncode == 0
    assert out == "interrupted\nstored\n"
    assert err == "", "nor a word of leaked semaphores"
    assert has_ended(worker)


def test_a_second_one_ends_it_at_once(tmp_path: Path) -> None:
    search, worker = started(tmp_path, 600.0)
    search.send_signal(signal.SIGTERM)
    assert line_of(search) == "interrupted\n"
    time.sleep(0.5)
    search.send_signal(signal.SIGINT)
    out, err = finish(search, 60)
    assert (search.returncode, out, err) == (130, "", "")
    wait_until(lambda: has_ended(worker), seconds=10)


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next signal is the first one for a long time."""
    monkeypatch.setattr(signals, "_LAST", -signals.AT_ONCE_SECONDS)


def stop_while_storing(stored: list[str]) -> None:
    with ended_by_signals():
        with held_back():
            with held_back():
                os.kill(os.getpid(), signal.SIGTERM)
            stored.append("all of it")
            with pytest.raises(Stopped):
                raise_if_stopped()
        stored.append("more")


@pytest.mark.usefixtures("first")
def test_a_signal_waits_for_what_is_being_stored() -> None:
    stored: list[str] = []
    with pytest.raises(Stopped):
        stop_while_storing(stored)
    assert stored == ["all of it"]
    with held_back():
        raise_if_stopped()


@pytest.mark.usefixtures("first")
def test_a_result_whose_storing_is_interrupted_has_its_place_in_the_order() -> None:
    study = optuna.create_study(sampler=sampler("random", seed=0), direction="maximize")
    trial = study.ask()
    trial.suggest_float("x", 0.0, 1.0)
    write = study._storage.set_trial_user_attr

    def interrupted(number: int, name: str, value: object) -> None:
        if name == COMPLETION:
            os.kill(os.getpid(), signal.SIGINT)
        write(number, name, value)

    study._storage.set_trial_user_attr = interrupted
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        store_outcome(study, trial, Outcome.from_dict(trained(0.5)), 0.5)
    (stored,) = study.trials
    assert (stored.value, stored.user_attrs[COMPLETION]) == (0.5, 1)
