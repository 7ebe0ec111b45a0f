"""Workers on the nodes of a Ray cluster.

Each worker is a Ray actor with the resources of one candidate. On its node it has a worker process as on one machine
(`netwright.execution.local`), so that hanging, memory limits, notes and what a candidate leaves behind are dealt with
there. If the node or the actor is lost, so is the task (`WorkerLost`), and the next one gets another actor, on any
node.

Tasks and results are small and go through Ray. Curves and checkpoints are files in folders that all nodes share. So is
data, or else it is sent to each node once (`netwright.execution.ray_data`).
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from importlib.metadata import version
from pathlib import Path
from typing import Any

from netwright.errors import ExecutionError
from netwright.execution.base import Cluster, WorkerLost
from netwright.execution.guard import require_guard
from netwright.execution.local import LocalExecutor
from netwright.execution.memory import kills_for_memory
from netwright.execution.notes import say_once, send_notes
from netwright.execution.process import POLL_SECONDS, START_SECONDS, UNKNOWN
from netwright.execution.ray_cluster import connect, fits, require_ray, too_small
from netwright.execution.ray_data import Parcel, Pieces, unpack
from netwright.execution.ray_head import RayHead
from netwright.execution.slots import NoRoom, Slots
from netwright.execution.worker import BEAT, NOTE, RAISED, RETURNED, TAKEN
from netwright.user_cache import cache_root, prepared_here

LOST = "lost"
"""In place of a result: the worker process was lost."""
LACKS_DATA = "lacks data"
"""In place of a refusal: the node can be used once it has the data."""
LOOK_SECONDS = 2.0
"""A worker that waits asks this often what nodes there are: all of them ask one process, the head's."""
QUEUED_SECONDS = 30.0
"""After this time a worker that waits for resources is mentioned, and leaves its task to one that has nothing to do."""
ENDING_SECONDS = 10.0
"""A node has this long to end a worker process with all that it started."""
SIGKILL = 9
_KILLED_FOR_MEMORY = ("outofmemory", "out of memory", "low on memory")


class RayExecutor:
    """Workers on a Ray cluster, each with its own resources and memory limit. They are started when needed.

    Args:
        workers: the most at the same time.
        threads: per worker.
        memory_limit_mb: per worker, for a training step; None for no limit.
        cluster: where they run, and what each of them asks for.

    Raises:
        SettingsError: ray is not installed, or there is no such cluster.
        UnguardedScript: the script that starts them is not guarded, as for `LocalExecutor`.
    """

    def __init__(self, workers: int, threads: int, memory_limit_mb: float | None, cluster: Cluster) -> None:
        require_guard()
        ray = connect(cluster.address)
        self._head = RayHead(ray.get_runtime_context().gcs_address)
        self._parcel = None if cluster.data is None else Parcel(ray, cluster.data)

        def start() -> _RayWorker:
            return _RayWorker(
                ray, self._head, threads, memory_limit_mb, cluster, self._parcel, lambda: self._slots.idle
            )

        self._slots = Slots(workers, start)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run ``function(*arguments)`` in a worker. Cancelling the future ends its worker process.

        The future's exception is what the function raised, or `WorkerLost`, or `ExecutionError` if no worker can be
        started in the cluster, or the cluster has lost its head node.
        """
        return self._slots.submit(function, *arguments)

    def shutdown(self) -> None:
        """End all workers at once; unfinished tasks are cancelled. The connection stays."""
        self._slots.shutdown()
        self._head.close()


class _RayWorker:
    """A worker on a node, as its slot sees it: a `netwright.execution.slots.SlotWorker`.

    ``parcel`` is the data for nodes that lack it; None: there is none. ``another_idle`` says whether another worker of
    the search has nothing to do. It keeps what it has of the cluster.
    """

    def __init__(
        self,
        ray: Any,
        head: RayHead,
        threads: int,
        memory_limit_mb: float | None,
        cluster: Cluster,
        parcel: Parcel | None,
        another_idle: Callable[[], bool],
    ) -> None:
        head.await_answer()
        self._ray, self._head, self._cluster = ray, head, cluster
        self._parcel, self._another_idle = parcel, another_idle
        remote = ray.remote(
            num_cpus=cluster.cpus,
            num_gpus=cluster.gpus,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=2,
        )
        folders = [str(folder.resolve()) for folder in cluster.folders]
        data = None if cluster.data is None else str(cluster.data.absolute())
        self._host = remote(_Host).remote(
            threads, memory_limit_mb, os.getcwd(), folders, data, version("netwright")
        )
        self._ready: Any = self._host.refusal.remote()
        self._messages: Any = None
        self._lost: str | None = None

    @property
    def code(self) -> int | None:
        """`UNKNOWN` once the actor is lost."""
        return None if self._lost is None else UNKNOWN

    @property
    def ending(self) -> str:
        """How it was lost, in words."""
        return f"was lost by Ray ({self._lost})"

    def accepts(self, payload: bytes, needed: Callable[[], bool]) -> bool:
        """Whether the worker takes a task. It is waited for as long as the cluster has room for it in principle.

        Raises:
            ExecutionError: no node is large enough any more, or the node that it is on cannot be used, or the head node
                is lost.
            NoRoom: the cluster has no room for it now, and another worker has nothing to do.
        """
        if self._ready is not None and not self._comes_up(needed):
            return False
        self._messages = self._host.run.options(num_returns="streaming").remote(payload)
        while needed() and self._lost is None:
            message = self.message(POLL_SECONDS)
            if message is not None:
                return message[0] == TAKEN
        return False

    def message(self, seconds: float) -> tuple[str, Any] | None:
        """The next message; None if none comes in time, or the actor was lost.

        Raises:
            ExecutionError: the head node is lost.
        """
        self._head.require()
        with self._losses():
            ready, _ = self._ray.wait([self._messages], timeout=seconds)
            if not ready:
                return None
            word, value = self._ray.get(next(self._messages))
            if word != LOST:
                return word, value
            number, text, hanging, for_memory = value
            error = (
                MemoryError(f"{text}: the system had no memory left (machine.memory_limit_mb)")
                if for_memory
                else WorkerLost(number, text, hanging=hanging)
            )
            return RAISED, (error, "")
        if self._lost is not None and any(sign in self._lost.lower() for sign in _KILLED_FOR_MEMORY):
            return RAISED, (MemoryError(self._lost), "")
        return None

    def kill(self) -> None:
        """End the worker process and what it started. Any thread may call it."""
        with self._losses():
            self._host.end.remote()

    def end(self) -> None:
        """End the worker process, what it started, and the actor."""
        with self._losses():
            there = self._ready is None and self._lost is None and not self._head.lost
            self._ray.wait([self._host.end.remote()], timeout=ENDING_SECONDS if there else 0)
        if not self._head.lost:
            with contextlib.suppress(Exception):  # the actor, or all of Ray, is gone already
                self._ray.kill(self._host)

    def _comes_up(self, needed: Callable[[], bool]) -> bool:
        """Wait until the actor is on a node that can be used. False if it was lost, or is no longer needed.

        Raises:
            ExecutionError: as `accepts`.
            NoRoom: as `accepts`.
        """
        begun = time.monotonic()
        since, possible, next_look = begun, True, begun
        while needed():
            self._head.require()
            with self._losses():
                ready, _ = self._ray.wait([self._ready], timeout=POLL_SECONDS)
                if ready:
                    refusal = self._ray.get(self._ready)
                    if refusal == LACKS_DATA and self._parcel is not None:
                        self._ready = self._host.receive.remote(self._parcel.pieces())
                        begun = math.inf  # it waits for no room any more
                        continue
                    if refusal is not None:
                        raise ExecutionError(refusal)
                    self._ready = None
                    return True
                now = time.monotonic()
                if now >= next_look:
                    next_look = now + LOOK_SECONDS
                    self._head.await_answer()
                    if possible != (possible := fits(self._cluster)):
                        since = now
            if self._lost is not None:
                return False
            if not possible and now - since > START_SECONDS:
                raise ExecutionError(too_small(self._cluster))
            if now - begun > QUEUED_SECONDS:
                if self._another_idle():
                    raise NoRoom
                say_once("Candidates wait until the Ray cluster has room for them: others are using it.")
        return False

    @contextlib.contextmanager
    def _losses(self) -> Iterator[None]:
        """Within it, an error of Ray means that the actor is lost.

        Raises:
            ExecutionError: the node cannot make the actor, as netwright is not installed there.
        """
        try:
            yield
        except ExecutionError:
            raise
        except StopIteration:
            self._lost = "it said nothing more"
        except Exception as error:
            text = " ".join(str(error).split())
            if "No module named" in text:
                raise ExecutionError(
                    f"A node of the Ray cluster cannot import netwright or what it needs: {text[-300:]} Install the "
                    "same environment on every node."
                ) from None
            self._lost = f"{type(error).__name__}: {text[:300]}"


class _Host:
    """The actor on a node. It has one worker process, and passes tasks and messages on.

    Args:
        threads: of the worker process.
        memory_limit_mb: of the worker process; None for no limit.
        place: the working folder of the search. It is this one's, too, where it exists.
        folders: those that all nodes share.
        data: the folder of the data; None: there is none.
        release: the version of netwright of the search.
    """

    def __init__(
        self,
        threads: int,
        memory_limit_mb: float | None,
        place: str,
        folders: list[str],
        data: str | None,
        release: str,
    ) -> None:
        # A worker process imports the main module of its parent. Ray's has nothing for it, and takes seconds.
        vars(sys.modules["__main__"]).pop("__file__", None)
        if Path(place).is_dir():
            os.chdir(place)
        self._folders, self._release = folders, release
        self._data = None if data is None else Path(data)
        self._notes: list[str] = []
        send_notes(self._notes.append)
        self._executor = LocalExecutor(1, threads, memory_limit_mb)
        self._head = RayHead(require_ray().get_runtime_context().gcs_address)

    def refusal(self) -> str | None:
        """Why this node cannot be used, or `LACKS_DATA`; None: it can."""
        node = socket.gethostname()
        if self._release != (here := version("netwright")):
            return (
                f"The Ray node {node} has netwright {here}, the search is one of {self._release}. Install the "
                "same version on every node."
            )
        for folder in self._folders:
            if not Path(folder).is_dir():
                return (
                    f"The Ray node {node} has no folder {folder}. Run folders are shared by all nodes: put them on a "
                    "shared disk, the same path everywhere (-o)."
                )
        if self._data is not None and not prepared_here(self._data).is_dir():
            return LACKS_DATA
        return None

    def receive(self, pieces: Pieces) -> str | None:
        """Unpack the data into this node's own cache. Returns why it cannot; None: it is there."""
        assert self._data is not None
        folder = cache_root() / self._data.name
        try:
            unpack(pieces, folder, require_ray().get)
        except OSError as error:
            return (
                f"The Ray node {socket.gethostname()} has no folder {self._data}, and cannot write its own copy "
                f"{folder} ({error.strerror or error}). Make room there, or name a folder for it in NETWRIGHT_CACHE on "
                "the node, or put prepared data on a shared disk, the same path everywhere (NETWRIGHT_CACHE)."
            )
        return None

    def run(self, payload: bytes) -> Iterator[tuple[str, Any]]:
        """Run a task, and pass on what the slot must know: messages as those of a worker process, or `LOST`.

        Without a head node nobody hears of the task, or could end it. It then ends here.
        """
        yield TAKEN, None
        kills = kills_for_memory()
        future = self._executor.submit_pickled(payload)
        yield BEAT, None  # whether it hangs is judged here
        while not future.done() or self._notes:
            while self._notes:
                yield NOTE, self._notes.pop(0)
            wait([future], POLL_SECONDS)
            if self._head.lost:
                self.end()
        if future.cancelled():
            return
        error = future.exception()
        if isinstance(error, WorkerLost):
            now = kills_for_memory()
            for_memory = error.signal_number == SIGKILL and None not in (kills, now) and now != kills
            yield LOST, (error.signal_number, str(error), error.hanging, for_memory)
        elif error is not None:
            yield RAISED, (error, str(error.__cause__ or ""))
        else:
            yield RETURNED, future.result()

    def end(self) -> None:
        """End the worker process at once, with what it started."""
        self._executor.shutdown()
