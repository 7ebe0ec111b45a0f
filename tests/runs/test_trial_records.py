"""Records of trials while a search goes on."""

import optuna
from optuna.distributions import IntDistribution

from netwright.runs.trials import RUNNING, Records, record_of, store_outcome
from netwright.training.outcome import Outcome, Status


def test_records_are_those_of_the_trials_whatever_was_read_before() -> None:
    study = optuna.create_study(direction="maximize")
    records = Records(study)
    assert records.read() == []
    trials = [study.ask({"n": IntDistribution(1, 4)}) for _ in range(3)]
    assert [record.status for record in records.read()] == [RUNNING] * 3
    for trial, status in zip(trials, (Status.COMPLETE, Status.CRASHED), strict=False):
        store_outcome(study, trial, Outcome(status, metrics={"dice": 0.5}), 0.5)
        assert records.read() == [record_of(one) for one in study.get_trials()]
    before = records.read()
    assert [record.status for record in before] == ["complete", "crashed", RUNNING]
    assert all(one is other for one, other in zip(before[:2], records.read()[:2], strict=True))
