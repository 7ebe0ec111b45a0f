"""The scripts for clusters, as far as they can be tried without one."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from processes import finish, line_of, run, wait_until

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SEARCH = """#!/bin/bash
trap 'echo stopped; exit 1' TERM
echo "$@"
mkdir -p hearts-3 && touch hearts-3/run.yaml
while :; do sleep 0.1; done
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A search that goes on until it is stopped, and a Slurm that writes down what it is asked."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name, text in {"netwright": SEARCH, "scontrol": '#!/bin/bash\necho "$@" > asked\n'}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def test_a_task_of_an_array_searches_stops_is_queued_again_and_resumes(
    programs: Path, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "NETWRIGHT_STORAGE": "postgresql+psycopg://me@server/lab",
        "SLURM_ARRAY_JOB_ID": "17",
        "SLURM_ARRAY_TASK_ID": "3",
    }
    words = ["bash", str(EXAMPLES / "slurm" / "array.sbatch"), "/data/hearts", "hearts", "--trials", "300"]
    for told in (
        "search /data/hearts --storage postgresql+psycopg://me@server/lab --study hearts -o hearts-3 --trials 300",
        "resume hearts-3",
    ):
        task = subprocess.Popen(
            words, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert line_of(task) == f"{told}\n"
        wait_until((tmp_path / "hearts-3" / "run.yaml").exists, seconds=30)
        task.send_signal(signal.SIGTERM)
        output, errors = finish(task, 60)
        assert (task.returncode, errors) == (0, "")
        assert "stopped\n" in output
        assert (tmp_path / "asked").read_text() == "requeue 17_3\n"
        (tmp_path / "asked").unlink()


def test_a_task_without_a_database_says_what_is_missing(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "NETWRIGHT_STORAGE"}
    done = run(
        ["bash", EXAMPLES / "slurm" / "array.sbatch", "/data", "hearts"], env=environment, cwd=tmp_path
    )
    assert done.returncode != 0
    assert "the URL of the database" in done.stderr


def test_the_manifest_is_a_job_of_searches_on_one_study() -> None:
    (job,) = yaml.safe_load_all((EXAMPLES / "kubernetes" / "drivers.yaml").read_text())
    assert (job["kind"], job["spec"]["completionMode"]) == ("Job", "Indexed")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (words,) = container["args"]
    assert run(["sh", "-n"], input=words).returncode == 0
    mounted = {one["name"] for one in container["volumeMounts"]}
    assert mounted == {one["name"] for one in job["spec"]["template"]["spec"]["volumes"]}
