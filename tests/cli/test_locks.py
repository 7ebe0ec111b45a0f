"""Processes that train one trial of one run at the same time."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file

import netwright as package
from netwright.runs.folder import held
from processes import finish, line_of

TRAINING = """
import sys
import netwright
from netwright.errors import RunError

if __name__ == "__main__":
    run = netwright.open_run(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        run.train(0, epochs=int(sys.argv[2]))
    except RunError as error:
        print(error)
    else:
        print("trained")
"""


@pytest.mark.slow
def test_of_two_that_train_one_trial_at_once_one_does_and_the_other_is_told(
    finished_run: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(finished_run, tmp_path / "run")
    script = tmp_path / "training.py"
    script.write_text(TRAINING)
    racers = [
        subprocess.Popen(
            [sys.executable, script, folder, str(epochs)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for epochs in (2, 3)
    ]
    for racer in racers:
        assert line_of(racer) == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    told = [finish(racer)[0].strip() for racer in racers]
    trained, refused = sorted(told, key=lambda text: text != "trained")
    assert trained == "trained"
    assert f"{folder / 'trained' / '0000'} is in use by another netwright process (number " in refused
    epochs = (2, 3)[told.index("trained")]
    curves = (folder / "trained" / "0000" / "curves.jsonl").read_text().splitlines()
    assert len(curves) == 1 + epochs, "those of the one training alone"
    assert load_file(folder / "trained" / "0000" / "weights.safetensors")


@pytest.mark.usefixtures("shared_workers")
def test_a_trial_is_trained_while_another_is_and_while_the_search_holds_the_run(
    finished_run: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(finished_run, tmp_path / "run")
    run = package.open_run(folder)
    with run.folder.locked(), held(run.folder.trained(1).with_suffix(".lock"), run.folder.trained(1)):
        assert run.train(0, epochs=1)[0] == 0
