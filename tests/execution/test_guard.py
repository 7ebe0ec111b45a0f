"""Scripts with and without the guard, run as a user runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import processes

SEARCH = "netwright.search('sample', output='run', trials=1)"
IMPORT = "from netwright.execution.guard import require_guard\n"
CALL = "require_guard()"
"""What every call that needs workers does first."""
UNGUARDED = {
    "a search": f"import netwright\n{SEARCH}\n",
    "plain": f"{IMPORT}{CALL}\n",
    "in a function": f"{IMPORT}def main():\n    {CALL}\nmain()\n",
    "behind a guarded part": f"{IMPORT}if __name__ == '__main__':\n    print()\n{CALL}\n",
    "in a try": f"{IMPORT}try:\n    {CALL}\nfinally:\n    print()\n",
}
GUARDED = {
    "below it": f"{IMPORT}if __name__ == '__main__':\n    {CALL}\n",
    "a function below it": f"{IMPORT}def main():\n    {CALL}\nif __name__ == '__main__':\n    main()\n",
    "behind one that leaves": f"import sys\n{IMPORT}if __name__ != '__main__':\n    sys.exit()\n{CALL}\n",
}
EXECUTOR = (
    "import os, threading\n"
    "from netwright.execution.local import LocalExecutor\n"
    "def work():\n"
    "    try:\n"
    "        print('done', LocalExecutor(1, 1).submit(os.getpid).result(60))\n"
    "    except BaseException as error:\n"
    "        print(type(error).__name__, error)\n"
    "thread = threading.Thread(target=work)\n"
    "thread.start()\n"
    "thread.join()\n"
)
"""Called in a thread, where the script's own line cannot be seen: the worker finds out."""


def run(tmp_path: Path, script: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "script.py"
    path.write_text(script)
    return processes.run([sys.executable, path], seconds=120, cwd=tmp_path)


@pytest.mark.parametrize("script", UNGUARDED.values(), ids=UNGUARDED)
def test_a_script_without_the_guard_is_told_so_in_one_line(tmp_path: Path, script: str) -> None:
    found = run(tmp_path, script)
    assert found.returncode == 1
    assert found.stderr.count("\n") == 1
    assert 'if __name__ == "__main__":' in found.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["script.py"]


@pytest.mark.parametrize("script", GUARDED.values(), ids=GUARDED)
def test_a_guarded_script_is_not(tmp_path: Path, script: str) -> None:
    found = run(tmp_path, script)
    assert (found.returncode, found.stderr) == (0, "")


def test_a_worker_that_is_asked_for_workers_tells_the_script(tmp_path: Path) -> None:
    found = run(tmp_path, EXECUTOR)
    assert "UnguardedScript" in found.stdout
    assert "__main__" in found.stdout
    assert "Traceback" not in found.stderr
