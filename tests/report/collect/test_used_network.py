"""Which network of a race a report draws: the one that is used, and not always the one that scored best."""

from __future__ import annotations

from pathlib import Path

from answering import Answering, trained
from netwright.api import create_run
from netwright.comparison.finish import ENSEMBLE
from netwright.files import write_json
from netwright.planning.user_settings import UserSettings
from netwright.report.collect.run import write_report
from netwright.runs.data import open_run_data
from netwright.runs.storage import driving
from netwright.runs.trials import best_of, load_trials, record_of
from netwright.searches.components import open_study
from netwright.searches.loop import Search
from netwright.spaces import make_space
from tabulated import reward_of


def test_it_is_the_first_member_of_what_is_used_else_the_best(dataset: Path, tmp_path: Path) -> None:
    ranges = {"space.n": [2, 6], "space.p": [1, 3]}
    user = UserSettings(4, epochs=1, workers=1, verdict_hours=0, seed=3, assignments=ranges)
    folder = create_run(dataset, "segnas4", user, tmp_path / "run").folder
    settings, executor = folder.settings(), Answering(lambda job: trained(reward_of(job.choice)))
    run_data = open_run_data(folder, settings)
    with driving(folder) as driver:
        study = open_study(folder, settings, driver.storage)
        space = make_space(settings.space)
        Search(folder, settings, run_data.data, study, space, executor, driver).run()
    records = [record_of(one) for one in load_trials(folder)]
    best = best_of(records)
    assert best is not None
    first, *_ = (record.number for record in records if record.number != best.number)
    told = "The network of trial {}, the first of the 2 that are used together."
    assert "that are used together" not in write_report(folder, settings, run_data).read_text()
    members = [
        {"name": str(number), "weight": 1.0, "alone": 0.5, "without": None} for number in (first, best.number)
    ]
    choice = {"members": members, "mirror_axes": [], "selection": {"reason": "better"}, "reward": 0.5}
    write_json(folder.root / ENSEMBLE, choice)
    page = write_report(folder, settings, run_data).read_text()
    assert told.format(first) in page
    assert told.format(best.number) not in page
