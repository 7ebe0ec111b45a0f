"""The scripts for clusters, as far as they can be tried without one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from processes import finish, line_of, run, searching, wait_until
from whole_runs import processes_of

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SEARCH = """#!/bin/bash
trap 'echo stopped; exit 1' TERM
echo "$@"
mkdir -p hearts-3 && touch hearts-3/run.yaml
while :; do sleep 0.1; done
"""


RAY = """
import os, socket, sys, time
name = "head" if "--head" in sys.argv else "node"
with open("asked", "a") as asked:
    print(f"{name}: ray", *sys.argv[1:], os.environ["RAY_AUTH_MODE"], len(os.environ["RAY_AUTH_TOKEN"]), file=asked)
if name == "head":
    host, port = (next(w for w in sys.argv if w.startswith(key)).split("=")[1] for key in ("--node-ip", "--port"))
    server = socket.create_server((host, int(port)))
time.sleep(300)
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


@pytest.fixture
def on_ray(programs: Path) -> Path:
    """Programs of Slurm and Ray that write down what they are asked; Ray listens at the port of its head."""
    ray = f"#!{sys.executable}\n{RAY}"
    texts = {
        "ray": ray,
        "srun": '#!/bin/bash\necho "srun: $*" >> asked\nwhile [ "$1" != ray ]; do shift; done; exec "$@"\n',
        "scontrol": '#!/bin/bash\necho "scontrol: $*" >> asked\n',
        "python3": '#!/bin/bash\ncat > nodes.py; echo "waited for $2: $RAY_ADDRESS" >> asked\n',
    }
    for name, text in texts.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    search = (
        (programs / "netwright")
        .read_text()
        .replace("hearts-3", "run")
        .replace("\nmkdir", '\necho "$@" > begun\nmkdir')
    )
    (programs / "netwright").write_text(search)
    return programs


def test_a_job_on_ray_starts_a_head_and_nodes_searches_stops_ends_ray_is_queued_again_and_resumes(
    on_ray: Path, tmp_path: Path
) -> None:
    slurm = {"JOB_ID": "17", "JOB_NUM_NODES": "3", "CPUS_PER_TASK": "8", "MEM_PER_NODE": "32000"}
    environment = {**os.environ, **{f"SLURM_{name}": value for name, value in slurm.items()}}
    environment |= {"PATH": f"{on_ray}:{os.environ['PATH']}", "SLURMD_NODENAME": "first"}
    words = ["bash", str(EXAMPLES / "slurm" / "ray.sbatch"), "/data/hearts", "run", "--trials", "300"]
    asked, begun = tmp_path / "asked", tmp_path / "begun"
    for told in ("search /data/hearts --executor ray -o run --trials 300", "resume run"):
        with searching(words, env=environment, cwd=tmp_path) as job:
            wait_until(lambda: begun.exists() and "node:" in asked.read_text(), job, seconds=30)
            job.send_signal(signal.SIGTERM)
            said, _ = finish(job, 60)
            left = processes_of([job.pid])
        assert job.returncode == 0, said
        assert begun.read_text() == f"{told}\n"
        assert "stopped" in said.splitlines()
        lines = dict(line.split(": ", 1) for line in asked.read_text().splitlines())
        address = lines["waited for 3"]
        assert address.endswith(":20017")
        assert f"--port=20017 --node-ip-address={address[:-6]} " in lines["head"]
        assert f"ray start --address={address} --block" in lines["node"]
        for name in ("head", "node"):
            assert "--block --num-cpus=8 --object-store-memory=100000000" in lines[name]
            assert "--memory=28800000000 token 44" in lines[name]
        assert lines["srun"].startswith("--nodes=2 --ntasks=2 --exclude=first --cpus-per-task=8 ")
        assert lines["scontrol"] == "requeue 17"
        assert len(left) <= 1, "the head has ended; the nodes are ended by Slurm"
        asked.unlink()
        begun.unlink()
    compile((tmp_path / "nodes.py").read_text(), "nodes.py", "exec")


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
    assert {"cpu", "memory"} <= set(container["resources"]["limits"]), "a search takes what its limits allow"
    mounted = {one["name"] for one in container["volumeMounts"]}
    assert mounted == {one["name"] for one in job["spec"]["template"]["spec"]["volumes"]}


def test_the_manifest_for_kuberay_is_a_search_on_a_cluster_whose_pods_are_alike() -> None:
    script, job = yaml.safe_load_all((EXAMPLES / "kubernetes" / "ray.yaml").read_text())
    assert (script["kind"], job["apiVersion"], job["kind"]) == ("ConfigMap", "ray.io/v1", "RayJob")
    words = script["data"]["search.sh"]
    assert run(["sh", "-n"], input=words).returncode == 0
    cluster = job["spec"]["rayClusterSpec"]
    head = cluster["headGroupSpec"]
    (workers,) = cluster["workerGroupSpecs"]
    for group in (head, workers):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values()), (
            "KubeRay wants texts"
        )
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        mounted = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
        assert set(mounted) == {one["name"] for one in pod["volumes"]}
        assert mounted["shared"] == "/shared", "the same path in all of them"
        if group is head:
            scripts = next(one for one in pod["volumes"] if one["name"] == "search")
            assert scripts["configMap"]["name"] == script["metadata"]["name"]
            assert job["spec"]["entrypoint"] == f"sh {mounted['search']}/search.sh"
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]


def test_the_script_of_the_kuberay_manifest_searches_and_resumes(programs: Path, tmp_path: Path) -> None:
    script, _ = yaml.safe_load_all((EXAMPLES / "kubernetes" / "ray.yaml").read_text())
    words = script["data"]["search.sh"].replace("/shared", str(tmp_path))
    (programs / "netwright").write_text('#!/bin/bash\necho "$@"\n')
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    folder = tmp_path / "runs" / "hearts"
    begun = run(["sh", "-c", words], env=environment)
    assert begun.stdout.startswith(f"search {tmp_path}/hearts ")
    assert f"--executor ray -o {folder}" in begun.stdout
    folder.mkdir(parents=True)
    (folder / "run.yaml").touch()
    assert run(["sh", "-c", words], env=environment).stdout == f"resume {folder}\n"
