"""A real Slurm on loopback: a controller and two nodes, both on this machine, with all their files in one folder."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from processes import run, wait_until

NODES = ("n1", "n2")
_SYSTEM = "/usr/sbin"
"""Here are programs of Slurm that are not always in the path."""
_CREDENTIAL_SECONDS = 5
"""A job that is queued again waits for longer than this: two minutes, if nothing is said."""
_CONFIGURATION = """
ClusterName=netwright
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={controller}
FirstJobId={first}
AuthInfo=socket={folder}/munge.socket,cred_expire={credential}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
ReturnToService=2
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={n1} CPUs=2 RealMemory=8000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={n2} CPUs=2 RealMemory=8000
PartitionName=all Nodes=n1,n2 Default=YES State=UP
"""


class Slurm:
    """Slurm with two nodes of two cores. ``folder``: of its files; a short path, since it has sockets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "munge.key").write_bytes(os.urandom(1024))
        (folder / "munge.key").chmod(0o400)
        for name in ("state", *NODES):
            (folder / name).mkdir()
        ports = dict(zip(("controller", *NODES), _free_ports(3), strict=True))
        host = socket.gethostname().partition(".")[0]
        configuration = _CONFIGURATION.format(
            folder=folder,
            host=host,
            credential=_CREDENTIAL_SECONDS,
            first=random.randrange(1, 30_000),
            **ports,
        )
        self._configuration = folder / "slurm.conf"
        self._configuration.write_text(configuration)
        files = [
            f"--{name}={folder}/munge.{name.partition('-')[0]}" for name in ("key-file", "socket", "log-file")
        ]
        files += [f"--{name}-file={folder}/munge.{name}" for name in ("pid", "seed")]
        self._processes = [self._start("munged", "--foreground", "--force", *files)]
        wait_until((folder / "munge.socket").exists, self._processes[0], seconds=30)
        self._processes.append(self._start("slurmctld", "-D", "-f", self._configuration))
        self._processes += [
            self._start("slurmd", "-D", "-f", self._configuration, "-N", node) for node in NODES
        ]
        wait_until(lambda: self.ask("sinfo", "-h", "-o", "%T %D") == "idle 2", seconds=60)

    @property
    def environment(self) -> Mapping[str, str]:
        """What its commands need."""
        return {**os.environ, "SLURM_CONF": str(self._configuration)}

    def _start(self, program: str, *words: object) -> subprocess.Popen[bytes]:
        with (self._folder / f"{program}.log").open("ab") as log:
            return subprocess.Popen(
                [found(program), *map(str, words)], stdout=log, stderr=log, env=self.environment
            )

    def ask(self, *words: object, cwd: Path | None = None, **variables: str) -> str:
        """What a command of Slurm prints, without the end of its line. ``variables``: more of its environment."""
        done = run(words, cwd=cwd, env={**self.environment, **variables})
        return done.stdout.strip() if done.returncode == 0 else done.stderr.strip()

    def state(self, job: str) -> str:
        """The state of a job, or of a task of an array, as PENDING or COMPLETED."""
        told = self.ask("scontrol", "show", "job", job, "--oneliner")
        return next((word[9:] for word in told.split() if word.startswith("JobState=")), told)

    def close(self) -> None:
        """End all jobs, and Slurm."""
        self.ask("scancel", "--user=root")
        with contextlib.suppress(pytest.fail.Exception):
            wait_until(lambda: not self.ask("squeue", "-h"), seconds=60)
        for process in reversed(self._processes):
            process.terminate()
        for process in reversed(self._processes):
            process.wait(60)


def found(program: str) -> str | None:
    """The path of a program of Slurm; None: it is not there."""
    return shutil.which(program, path=f"{os.environ['PATH']}:{_SYSTEM}")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        free = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in free]


@contextlib.contextmanager
def slurm_server() -> Iterator[Slurm]:
    """Slurm for as long as the block; skips where it is not installed, or may not be started."""
    missing = [name for name in ("munged", "slurmctld", "slurmd", "sbatch", "srun") if found(name) is None]
    if missing:
        pytest.skip(f"Slurm is not installed here ({missing[0]} is missing): apt-get install slurm-wlm munge")
    if os.getuid() != 0:
        pytest.skip("slurmd starts jobs as their users, for which it has to be run by root")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    slurm = Slurm(folder)
    try:
        yield slurm
    finally:
        slurm.close()
        shutil.rmtree(folder, ignore_errors=True)
