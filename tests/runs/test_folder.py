"""The run folder: made once, held by one, and clear about what is wrong with it."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from netwright.data.splits import Splits
from netwright.errors import RunError, SettingsError, StorageError
from netwright.files import ABANDONED_SECONDS, write_json
from netwright.runs.folder import RunFolder, create_run_folder, open_run_folder
from netwright.runs.results import read_results
from netwright.settings import RunSettings, override, parse_settings, read_assignments, read_settings
from processes import finish, line_of, run

SPLITS = Splits(("a", "b"), ("c",), ("d",))


def some_settings() -> RunSettings:
    return parse_settings(
        {
            "recipe": "segnas4",
            "dataset": {"path": "/data", "map_label": {255: 1}},
            "space": {"name": "segnas4", "n": [8, 12]},
            "strategy": {"name": "controlled-random-search"},
            "preprocessing": {"size": [16, 24, 16]},
            "budget": {"trials": 3, "hours": 0.5},
        }
    )


def test_settings_and_splits_survive_the_disk(tmp_path: Path) -> None:
    folder = create_run_folder(tmp_path / "run", some_settings(), SPLITS)
    assert open_run_folder(tmp_path / "run").settings() == some_settings()
    assert folder.splits() == SPLITS


def test_a_folder_with_a_run_or_other_files_is_refused(tmp_path: Path) -> None:
    create_run_folder(tmp_path / "run", some_settings(), SPLITS)
    with pytest.raises(RunError, match=r"already holds a run.*netwright resume"):
        create_run_folder(tmp_path / "run", some_settings(), SPLITS)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"already holds other files.*-o"):
        create_run_folder(tmp_path / "other", some_settings(), SPLITS)


def test_what_a_kill_left_of_a_folder_in_the_making_is_no_hindrance(tmp_path: Path) -> None:
    for name in ("splits.json", ".run.yaml.123"):
        (tmp_path / name).write_text("{")
    assert create_run_folder(tmp_path, some_settings(), SPLITS).settings() == some_settings()


def test_a_search_without_an_end_is_refused() -> None:
    values = some_settings().model_dump(mode="json")
    with pytest.raises(SettingsError, match="number of trials or of hours"):
        parse_settings(override(values, {"budget.trials": None, "budget.hours": None}))


def test_a_new_strategy_does_not_inherit_the_options_of_the_old() -> None:
    values = some_settings().model_dump(mode="json")
    values["strategy"]["first"] = "start"
    changed = parse_settings(override(values, {"strategy.seed": 3, "strategy.name": "random"}))
    assert (changed.strategy.name, changed.strategy.options) == ("random", {"seed": 3})


def test_what_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="There is no run folder"):
        open_run_folder(tmp_path / "none")
    with pytest.raises(RunError, match=r"run.yaml is missing"):
        open_run_folder(tmp_path)


@pytest.mark.parametrize("text", ["", "[1, 2]", "a: [", "\x00\x01"])
def test_a_damaged_run_yaml_is_a_run_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(RunError, match=r"run.yaml is damaged"):
        read_settings(tmp_path / "run.yaml")


def test_a_wrong_value_in_run_yaml_is_named(tmp_path: Path) -> None:
    text = some_settings().to_yaml().replace("trials: 3", "trials: many")
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(RunError, match=r"budget.trials = 'many'"):
        read_settings(tmp_path / "run.yaml")


def test_damaged_splits_are_named(tmp_path: Path) -> None:
    folder = create_run_folder(tmp_path / "run", some_settings(), SPLITS)
    folder.splits_file.write_text("{")
    with pytest.raises(RunError, match=r"splits.json is damaged"):
        folder.splits()


def test_one_process_holds_a_run_and_a_dead_one_does_not(tmp_path: Path) -> None:
    folder = create_run_folder(tmp_path / "run", some_settings(), SPLITS)
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom netwright.runs.folder import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).locked():\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, folder.root], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert line_of(holder) == "held\n"
        assert folder.in_use()
        with (
            pytest.raises(RunError, match=f"in use by another netwright process .number {holder.pid}"),
            folder.locked(),
        ):
            pass
        holder.kill()
    assert not folder.in_use()
    with folder.locked():
        assert folder.lock_file.read_text() == str(os.getpid())


def killed_in_writing(path: Path, host: str = socket.gethostname()) -> None:
    """A process of a machine with this name is killed while it writes a text."""
    code = (
        "import os, signal, socket, sys\nfrom pathlib import Path\nfrom netwright import files\n"
        "os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)\n"
        "socket.gethostname = lambda: sys.argv[2]\n"
        "files.write_text(Path(sys.argv[1]), 'half')\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    assert run([sys.executable, "-c", code, path, host]).returncode == -signal.SIGKILL


def test_what_a_killed_process_was_writing_is_removed_by_the_next_that_holds_the_run(tmp_path: Path) -> None:
    folder = create_run_folder(tmp_path / "run", some_settings(), SPLITS)
    others = [folder.trained(3) / "architecture.json", folder.root / "fold-1" / "cost.json"]
    texts = [folder.root / "cost.json", folder.contestant("random") / "architecture.json", *others]
    for path in texts:
        killed_in_writing(path)
    (folder.root / "fold-1" / "run.lock").touch()
    weights = folder.trial(0) / "weights.safetensors.partial"
    weights.mkdir(parents=True)
    (weights / "half").touch()
    written = folder.root / f".report.html.{os.getpid()}@{socket.gethostname()}.partial"
    written.touch()
    mine = folder.root / "film.mkv.partial"
    mine.touch()

    def left() -> set[Path]:
        return {path for path in folder.root.rglob("*") if path.name.endswith(".partial")}

    assert len(left()) == 7
    with folder.locked():
        assert {path.parent for path in left()} == {path.parent for path in others} | {written.parent}
    assert mine.exists(), "a user's"
    assert written.exists(), "its process runs"


def test_what_a_process_of_another_machine_is_writing_stays_until_it_is_old(tmp_path: Path) -> None:
    folder = create_run_folder(tmp_path / "run", some_settings(), SPLITS)
    killed_in_writing(folder.root / "cost.json", "elsewhere")
    (written,) = folder.root.glob(".cost.json.*.partial")
    assert "elsewhere" in written.name
    (folder.root / f".cost.json.{os.getpid()}@elsewhere.partial").touch()
    with folder.locked():
        assert len(list(folder.root.rglob(".*.partial"))) == 2, "its process may run there"
    for path in folder.root.glob(".cost.json.*.partial"):
        os.utime(path, (0, path.stat().st_mtime - ABANDONED_SECONDS))
    with folder.locked():
        assert not list(folder.root.rglob(".*.partial"))


@pytest.mark.parametrize("name", ["run.lock", "trials", "trials/0000/log.txt"])
def test_a_link_out_of_a_run_is_not_written_through(tmp_path: Path, name: str) -> None:
    folder = create_run_folder(tmp_path / "run", some_settings(), SPLITS)
    mine = tmp_path / "mine"
    mine.write_text("precious")
    (folder.root / name).parent.mkdir(parents=True, exist_ok=True)
    (folder.root / name).symlink_to(mine)
    with (
        pytest.raises(StorageError, match=f"run/{name} is a link out of the run folder, to {mine}"),
        folder.locked(),
    ):
        pass
    assert mine.read_text() == "precious"
    (folder.root / name).unlink()
    (folder.root / "latest").symlink_to(folder.root)
    (tmp_path / "way").symlink_to(folder.root)
    with RunFolder(tmp_path / "way").locked():
        pass


CREATING = """
import sys, time
from pathlib import Path
from netwright.errors import RunError
from netwright.data.splits import Splits
from netwright.settings import parse_settings
from netwright.runs.folder import create_run_folder
root, first, processes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
values = {"recipe": "r", "dataset": {"path": "/data"}, "space": {"name": "segnas4"}, "strategy": {"name": "random"}}
print("ready", flush=True)
sys.stdin.readline()
made = []
for place in range(25):
    number = first + place * processes
    settings = parse_settings({**values, "seed": number})
    try:
        create_run_folder(root / str(place), settings, Splits((f"case {number}",), (), ()))
        made.append(number)
    except RunError:
        pass
print(*made)
"""


def test_of_many_that_make_one_folder_at_once_one_makes_it_whole(tmp_path: Path) -> None:
    """Four processes race for 25 folders, each second one there and empty; every run is of one of them alone."""
    there = range(0, 25, 2)
    for place in there:
        (tmp_path / str(place)).mkdir(mode=0o750)
    count = 4
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", CREATING, tmp_path, str(i), str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for i in range(count)
    ]
    for racer in racers:
        assert line_of(racer) == "ready\n"
    told = [finish(racer, input="go\n")[0] for racer in racers]
    made = sorted(int(number) for text in told for number in text.split())
    assert sorted(number // count for number in made) == list(range(25)), "each folder was made once"
    for number in made:
        folder = open_run_folder(tmp_path / str(number // count))
        assert (folder.settings().seed, folder.splits().training) == (number, (f"case {number}",))
        assert {p.name for p in folder.root.iterdir()} <= {"run.yaml", "splits.json", "run.lock"}
        assert number // count not in there or folder.root.stat().st_mode & 0o777 == 0o750
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(map(str, range(25))), "nothing is left beside"


def test_a_name_that_netwright_chose_itself_gets_a_number_where_another_took_it(tmp_path: Path) -> None:
    made = [create_run_folder(tmp_path / "run", some_settings(), SPLITS, numbered=True) for _ in range(3)]
    assert [folder.root.name for folder in made] == ["run", "run-2", "run-3"]


def test_a_new_folder_has_the_rights_of_any_new_folder(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    made = create_run_folder(tmp_path / "deep" / "run", some_settings(), SPLITS)
    assert made.root.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_files_are_written_whole(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": 1})
    write_json(tmp_path / "a.json", {"x": 2})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json"]
    assert '"x": 2' in (tmp_path / "a.json").read_text()


def test_results_are_json_that_any_reader_takes_and_come_back(tmp_path: Path) -> None:
    folder = create_run_folder(tmp_path / "run", some_settings(), SPLITS)
    folder.winner.mkdir()
    scores = {"a": {"core": 0.5, "rim": math.nan}}
    distances = {"a": {"core": math.inf, "rim": math.nan}}
    path = folder.winner / "result.json"
    write_json(path, {"outcome": {"curves": {"validation_score": [math.nan, 0.5]}}, "scores": scores,
                      "hausdorff_95_mm": distances})  # fmt: skip
    strict = json.loads(
        path.read_text(), parse_constant=pytest.fail
    )  # called at NaN and Infinity, which are no JSON
    assert strict["scores"] == {"a": {"core": 0.5, "rim": None}}
    assert strict["outcome"]["curves"] == {"validation_score": [None, 0.5]}
    (read,) = read_results(folder)
    assert str([read["scores"], read["hausdorff_95_mm"]]) == str([scores, distances])
    path.write_text(
        json.dumps({"outcome": {}, "scores": scores, "hausdorff_95_mm": distances})
    )  # of a run of before
    (read,) = read_results(folder)
    assert str([read["scores"], read["hausdorff_95_mm"]]) == str([scores, distances])


def test_dotted_names_override_and_unknown_ones_are_met_with_the_nearest() -> None:
    values = some_settings().model_dump(mode="json")
    changed = parse_settings(
        override(values, {"training.epochs": 7, "space.p": [2, 4], "strategy.population": 9})
    )
    assert changed.training.epochs == 7
    assert changed.space.options == {"n": [8, 12], "p": [2, 4]}
    assert changed.strategy.options == {"population": 9}
    assert some_settings().training.epochs == 100, "the source is left alone"
    with pytest.raises(SettingsError, match=r"no setting 'epochs'.*training.epochs"):
        override(values, {"epochs": 3})
    with pytest.raises(SettingsError, match=r"no setting 'training.epoch'.*Did you mean training.epochs"):
        override(values, {"training.epoch": 3})


def test_assignments_are_read_as_values() -> None:
    read = read_assignments(["a=1", "b=1e-3", "c=[8,17]", "d=true", "e=cosine", "f=null"])
    assert read == {"a": 1, "b": 0.001, "c": [8, 17], "d": True, "e": "cosine", "f": None}
    with pytest.raises(SettingsError, match="expects key=value"):
        read_assignments(["training.epochs"])


def test_run_folder_paths_stay_inside(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    paths = [folder.trial(17), folder.contestant("vnet"), folder.contestant("searched"), folder.report]
    assert [str(p.relative_to(tmp_path)) for p in paths] == [
        "trials/0017",
        "verdict/vnet",
        "winner",
        "report.html",
    ]


@pytest.mark.parametrize("name", ["zzz", "training.zzz", "lerning_rate", "x.y.z", "é"])
def test_a_name_like_no_other_gets_a_few_names_not_all(name: str) -> None:
    with pytest.raises(SettingsError) as refused:
        override(some_settings().model_dump(mode="json"), {name: 1})
    told = str(refused.value)
    assert f"There is no setting {name!r}. Did you mean " in told
    names, _, description = told.partition("? ")
    assert names.count(" or ") == 2
    nearest = names.partition("Did you mean ")[2].partition(" or ")[0]
    assert description.startswith(f"{nearest}: ")
    assert ("training.learning_rate" in told) == (name == "lerning_rate")
