"""Workers on a real Ray cluster of this machine; nodes are really taken down."""

from __future__ import annotations

import functools
import importlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.numpy import load_file

from answering import settings_of
from candidate_jobs import candidate_job, prepared_phantoms
from conftest import Command
from netwright.api.joining import begin_study, join_study
from netwright.data.splits import Splits
from netwright.errors import ExecutionError, SettingsError
from netwright.execution import ray
from netwright.execution.base import Cluster, WorkerLost
from netwright.execution.executors import make_executor, room_of
from netwright.execution.notes import LOGGER
from netwright.execution.ray import RayExecutor
from netwright.execution.run_jobs import Job, fixed, run_jobs
from netwright.runs.own_databases import remember_database
from netwright.runs.place import Place
from netwright.searches.jobs import CandidateJob, run_candidate
from netwright.training.config import TrainingProtocol
from netwright.training.files import CHECKPOINT, WEIGHTS
from netwright_tests import EXECUTABLE
from processes import finish, has_ended, searching, wait_until
from ray_cluster import RayCluster, ray_cluster
from whole_runs import require_whole

pytestmark = pytest.mark.cluster

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
jobs = importlib.import_module("jobs_for_workers")


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster(nodes=2) as started:
        yield started


@pytest.fixture(scope="module")
def executor(cluster: RayCluster) -> Iterator[RayExecutor]:
    pool = RayExecutor(2, 1, None, Cluster(cluster.address))
    yield pool
    pool.shutdown()


def process_in(path: Path) -> int:
    """The process that announces itself in a file."""
    wait_until(lambda: path.exists() and bool(path.read_text()))
    return int(path.read_text())


def test_worker_processes_outlive_their_tasks(executor: RayExecutor) -> None:
    found = [executor.submit(jobs.identify, i).result(120) for i in range(6)]
    assert len({pid for pid, _ in found}) <= 2
    assert {threads for _, threads in found} == {"1"}
    assert os.getpid() not in {pid for pid, _ in found}


def test_what_a_task_raises_comes_with_its_trace(executor: RayExecutor) -> None:
    error = executor.submit(jobs.raise_own).exception(120)
    assert "OwnError: 7, own words" in str(error), "this process need not know the user's classes"
    assert "raise_own" in str(error.__cause__)


def test_a_killed_worker_process_fails_its_own_task_only(executor: RayExecutor, tmp_path: Path) -> None:
    doomed = executor.submit(jobs.announce_and_sleep, str(tmp_path / "doomed"), 600)
    other = executor.submit(jobs.announce_and_sleep, str(tmp_path / "other"), 1)
    os.kill(process_in(tmp_path / "doomed"), signal.SIGKILL)
    error = doomed.exception(120)
    assert isinstance(error, WorkerLost)
    assert error.signal_number == signal.SIGKILL
    assert other.result(120) == "slept"
    assert executor.submit(jobs.identify).result(120)


def test_a_task_that_finishes_no_batch_any_more_is_ended_as_hanging(executor: RayExecutor) -> None:
    error = executor.submit(jobs.batches, [0.0, 600.0], 0.5).exception(120)
    assert isinstance(error, WorkerLost)
    assert error.hanging
    assert "no batch" in str(error)


def test_cancelling_ends_the_worker_process_and_what_it_started(
    executor: RayExecutor, tmp_path: Path
) -> None:
    future = executor.submit(functools.partial(jobs.fork, leave_group=True), str(tmp_path / "pid"), 600.0)
    forked = process_in(tmp_path / "pid")
    future.cancel()
    wait_until(lambda: has_ended(forked))
    assert executor.submit(jobs.identify).result(120)


def test_a_note_is_said_once(executor: RayExecutor, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING", logger=LOGGER):
        for future in [executor.submit(jobs.say, "unheard of on Ray") for _ in range(4)]:
            future.result(120)
    assert caplog.messages.count("unheard of on Ray") == 1


def test_an_allocation_past_the_limit_fails_in_the_worker_process(cluster: RayCluster) -> None:
    node = Cluster(cluster.address, cpus=0.01)
    with make_executor(1, 1, 500, name="ray", cluster=node) as limited:
        assert limited.submit(jobs.allocate, 100).result(120) == 12_500_000
        assert isinstance(limited.submit(jobs.allocate, 4000).exception(120), MemoryError)


def test_a_job_whose_node_is_lost_runs_again_on_another(cluster: RayCluster, tmp_path: Path) -> None:
    cluster.add_node()
    log = tmp_path / "lives"
    with make_executor(1, 1, name="ray", cluster=Cluster(cluster.address)) as pool:
        first = pool.submit(jobs.identify).result(120)[0]
        lost = [cluster.node_of(first)]

        def kill_once() -> None:
            if lost and log.exists():
                cluster.kill(lost.pop())

        job = Job(jobs.outlive_first_life, fixed((str(log), 600.0)))
        (done,) = run_jobs(pool, [job], retries=1, on_tick=kill_once)
    assert done.failure is None
    assert done.result != first
    wait_until(lambda: has_ended(first))


def test_a_folder_that_a_node_lacks_is_named(cluster: RayCluster, tmp_path: Path) -> None:
    missing = tmp_path / "not shared"
    there = Cluster(cluster.address, cpus=0.01, folders=(tmp_path, missing))
    with make_executor(1, 1, name="ray", cluster=there) as pool:
        error = pool.submit(jobs.identify).exception(120)
    assert isinstance(error, ExecutionError)
    assert str(missing) in str(error)
    assert "shared" in str(error)


def test_what_no_node_has_is_refused_at_once(cluster: RayCluster) -> None:
    with pytest.raises(SettingsError, match="asks for 1 core and 2 GPUs on one node"):
        room_of("ray", Cluster(cluster.address, gpus=2))
    with pytest.raises(SettingsError, match="asks for 7 cores on one node"):
        room_of("ray", Cluster(cluster.address, cpus=7))
    room = room_of("ray", Cluster(cluster.address, cpus=1))
    assert room is not None
    assert room.workers >= 2


@pytest.fixture
def gpus(cluster: RayCluster) -> Iterator[None]:
    """A node with two GPUs, which are numbers of Ray's alone: whoever has them finds no device."""
    node = cluster.add_node(num_gpus=2, num_cpus=8)
    yield
    cluster.kill(node)
    cluster.notice()  # else whoever comes next is told of its GPUs


@pytest.mark.usefixtures("gpus")
def test_shares_of_gpus_are_of_one_gpu_each(cluster: RayCluster) -> None:
    shares = {share: room_of("ray", Cluster(cluster.address, gpus=share)) for share in (0.5, 0.4, 0.6, 1, 2)}
    assert {share: room.workers for share, room in shares.items() if room} == {
        0.5: 4,
        0.4: 4,
        0.6: 2,
        1: 2,
        2: 1,
    }


@pytest.mark.usefixtures("gpus")
def test_two_candidates_share_each_gpu_never_three_and_those_that_find_no_room_are_not_left(
    cluster: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "QUEUED_SECONDS", 1.0)
    with make_executor(6, 1, name="ray", cluster=Cluster(cluster.address, gpus=0.5)) as pool:
        futures = [pool.submit(jobs.share_gpu, str(tmp_path), 4) for _ in range(8)]
        found = [future.result(120) for future in futures]
    assert {gpu for gpu, _, _ in found} == {"0", "1"}
    for gpu in ("0", "1"):
        times = [(begun, ended) for one, begun, ended in found if one == gpu]
        at_once = [sum(begun <= moment < ended for begun, ended in times) for moment, _ in times]
        assert max(at_once) == 2


@pytest.mark.usefixtures("gpus")
def test_a_candidate_has_its_two_devices_together_and_gives_them_back(
    cluster: RayCluster, tmp_path: Path
) -> None:
    """Its two processes compute on the CPU, with the result of two on this machine."""
    prepared = prepared_phantoms(tmp_path)
    here, there, long = (
        on_two_devices(candidate_job(prepared, tmp_path / name, filters=4, epochs=epochs))
        for name, epochs in (("here", 2), ("there", 2), ("long", 10**6))
    )
    whole = run_candidate(here)
    before = set(cluster.workers())

    def processes() -> set[int]:
        return set(cluster.workers()) - before

    asked = Cluster(cluster.address, cpus=2, gpus=2, folders=(tmp_path,))
    with make_executor(1, 1, name="ray", cluster=asked) as pool:
        wait_until(lambda: cluster.free("GPU") == 2)
        trained = pool.submit(run_candidate, there).result(120)
        assert trained["status"] == "complete", trained["reason"]
        assert trained["metrics"] == whole["metrics"]
        assert _curve(there.folder) == _curve(here.folder)
        doomed = pool.submit(run_candidate, long)
        wait_until(lambda: (long.folder / CHECKPOINT).exists())
        wait_until(lambda: cluster.free("GPU") == 0)
        two = processes()
        assert len(two) == 2
        worker = next(one for one in two if psutil.Process(one).ppid() not in two)
        os.kill(worker, signal.SIGKILL)
        error = doomed.exception(120)
        assert isinstance(error, WorkerLost)
        assert error.signal_number == signal.SIGKILL
        assert pool.submit(jobs.identify).result(120)[0] not in two
        wait_until(lambda: all(has_ended(one) for one in two))
    wait_until(lambda: not processes() and cluster.free("GPU") == 2)


def test_data_goes_once_to_each_node_that_does_not_see_its_folder(
    cluster: RayCluster, tmp_path: Path
) -> None:
    prepared, meeting = prepared_phantoms(tmp_path), tmp_path / "meeting"
    meeting.mkdir()
    caches = {tmp_path / "of one node", tmp_path / "of another"}
    nodes = [cluster.add_node(cache, num_gpus=2) for cache in caches]
    there = Cluster(cluster.address, gpus=1, data=prepared)
    try:
        with make_executor(4, 1, name="ray", cluster=there) as pool:
            pool._parcel.pieces()
            away = prepared.rename(tmp_path / "away")  # the disk of the search is that of its nodes
            futures = [pool.submit(jobs.open_data, prepared, str(meeting), 4) for _ in range(6)]
            found = {future.result(120) for future in futures}
        assert {(folder.parent, folder.name, cases) for folder, _, cases in found} == {
            (cache, prepared.name, 6) for cache in caches
        }
        assert len(found) == 2, "the two workers of a node have the same folder"
        for folder, _, _ in found:
            assert [(p.name, p.read_bytes()) for p in sorted(folder.iterdir())] == [
                (p.name, p.read_bytes()) for p in sorted(away.iterdir())
            ]
        with make_executor(1, 1, name="ray", cluster=there) as pool:
            assert pool.submit(jobs.open_data, prepared, str(meeting), 1).result(120) in found
            assert pool._parcel._pieces is None, "it was not sent again"
    finally:
        for node in nodes:
            cluster.kill(node)
        cluster.notice()


def on_two_devices(job: CandidateJob) -> CandidateJob:
    return replace(job, protocol=replace(job.protocol, devices=2))


def test_the_same_seed_gives_the_same_rewards_as_on_this_machine(
    cluster: RayCluster, netwright: Command, dataset: Path, tmp_path: Path
) -> None:
    options = ["--recipe", "segnas4", "--trials", 2, "--epochs", 2, "--workers", 1, "--verdict-hours", 0]
    for setting in ("seed=3", "space.n=[2,5]", "space.p=[1,2]", "training.batch_size=2"):
        options += ["--set", setting]
    where = {"local": [], "ray": ["--executor", "ray", "--ray-address", cluster.address]}
    found = {}
    for name, given in where.items():
        done = netwright("search", dataset, *options, *given, "-o", tmp_path / name)
        assert done.returncode == 0, done.stderr
        trials = netwright("status", tmp_path / name, "--json")
        assert trials.returncode == 0
        found[name] = [_curve(folder) for folder in sorted((tmp_path / name / "trials").iterdir())]
        found[name].append(json.loads(trials.stdout)["best"])
    assert len(found["local"]) == 3
    assert found["ray"] == found["local"]


def _curve(folder: Path) -> list[tuple[float, float]]:
    rows = [json.loads(line) for line in (folder / "curves.jsonl").read_text().splitlines()]
    return [(row["train_loss"], row["validation_score"]) for row in rows if "epoch" in row]


def test_a_training_whose_node_is_lost_goes_on_from_its_checkpoint_with_the_same_result(
    cluster: RayCluster, tmp_path: Path
) -> None:
    prepared = prepared_phantoms(tmp_path)
    one, other = (
        candidate_job(prepared, tmp_path / name, filters=4, epochs=30) for name in ("whole", "lost")
    )
    whole = run_candidate(one)
    cluster.add_node()
    with make_executor(1, 1, name="ray", cluster=Cluster(cluster.address, folders=(tmp_path,))) as pool:
        lost = [cluster.node_of(pool.submit(jobs.identify).result(120)[0])]

        def kill_once() -> None:
            if lost and (other.folder / CHECKPOINT).exists():
                assert not (other.folder / WEIGHTS).exists(), "it ended before its node was taken down"
                cluster.kill(lost.pop())

        (done,) = run_jobs(pool, [Job(run_candidate, fixed(other))], retries=1, on_tick=kill_once)
    assert not lost
    assert done.result["metrics"] == whole["metrics"]
    assert _curve(other.folder) == _curve(one.folder)
    for name, weight in load_file(one.folder / WEIGHTS).items():
        assert (load_file(other.folder / WEIGHTS)[name] == weight).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--gpus-per-trial", 1], "no node of the Ray cluster has that"),
        (["--cpus-per-trial", 99], "99 cores"),
        (["--gpus-per-trial", 1, "--set", "training.device=cpu"], "Leave one of them out"),
    ],
)
def test_a_search_that_the_cluster_cannot_run_is_refused_before_anything_is_written(
    cluster: RayCluster, netwright: Command, dataset: Path, tmp_path: Path, options: list[object], words: str
) -> None:
    there = ["--executor", "ray", "--ray-address", cluster.address]
    done = netwright("search", dataset, "--trials", 1, *there, *options, "-o", tmp_path / "run")
    assert done.returncode == 2
    assert words in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("gpus")
def test_a_search_without_a_gpu_on_a_cluster_with_gpus_is_told_what_to_do(
    cluster: RayCluster, netwright: Command, dataset: Path, tmp_path: Path
) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    there = ["--executor", "ray", "--ray-address", cluster.address]
    done = netwright("search", dataset, "--trials", 1, *there, "-o", tmp_path / "run")
    assert done.returncode == 2
    assert "none that PyTorch can use" in done.stderr
    assert "--gpus-per-trial 0" in done.stderr
    assert "training.device" not in done.stderr, "the user did not give it"
    assert not (tmp_path / "run").exists()


def test_a_study_that_was_begun_on_one_machine_is_joined_with_ray(
    cluster: RayCluster, database: str, tmp_path: Path
) -> None:
    """What each candidate asks for, its device and the workers are the joining process's own."""
    remember_database(database)
    there = {"machine.executor": "ray", "machine.ray_address": cluster.address}
    for device, given in (("auto", {}), ("cuda:1", {"training.device": "auto"})):
        study = f"begun on {device}"
        root = tmp_path / study
        protocol = TrainingProtocol(device=device, epochs=1)
        settings = settings_of(root, training=protocol, storage={"url": database, "study": study})
        begun = begin_study(settings, Splits(("a", "b"), ("c",), ("d",)), root)
        assert begun is not None
        joined = join_study(Place(database, study), tmp_path / f"{study}, joined", there | given).settings
        machine = joined.machine
        assert (machine.executor, machine.gpus_per_trial, machine.cpus_per_trial) == ("ray", 0, 1)
        assert joined.training.device == "cpu", "no node has a GPU"
        assert machine.workers >= 2
    with pytest.raises(SettingsError, match="Leave one of them out"):
        join_study(Place(database, "begun on cuda:1"), tmp_path / "c", there)


@pytest.mark.slow
def test_without_an_address_ray_is_started_on_this_machine_and_ends_with_the_command(
    dataset: Path, tmp_path: Path
) -> None:
    """In a process of its own, as Ray is started once a process."""
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    options = ["--recipe", "segnas4", "--trials", 1, "--epochs", 1, "--verdict-hours", 0, "--workers", 1]
    for setting in ("space.n=[2,3]", "space.p=[1,2]"):
        options += ["--set", setting]
    words = [EXECUTABLE, "search", dataset, *options, "--executor", "ray", "-o", tmp_path / "run"]
    before = ray_processes()
    with searching(words, env=environment) as search:
        said, _ = finish(search)
    assert search.returncode == 0, said
    require_whole(tmp_path / "run", 1)
    wait_until(lambda: ray_processes() <= before)


def ray_processes() -> set[int]:
    """What belongs to Ray on this machine, by number."""
    names = {"gcs_server", "raylet"}
    return {one.pid for one in psutil.process_iter(["name"]) if one.info["name"] in names}
