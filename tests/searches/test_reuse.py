"""Which results stand for a training that is wanted, and which do not."""

from netwright.searches.reuse import KnownResults
from netwright.training.fidelity import Fidelity
from netwright.training.outcome import Outcome, Status

THREE, NINE = Fidelity(3, "epochs"), Fidelity(9, "epochs")


def of(status: Status, fidelity: Fidelity | None, epochs: int = 3) -> Outcome:
    return Outcome(status, epochs=epochs, fidelity=fidelity)


def known(*outcomes: Outcome) -> KnownResults:
    results = KnownResults()
    for number, outcome in enumerate(outcomes):
        results.add("network", number, outcome)
    return results


def number_of(results: KnownResults, fidelity: Fidelity) -> int | None:
    result = results.get("network", fidelity)
    return None if result is None else result[0]


def test_a_longer_training_stands_for_a_shorter_one_and_not_the_other_way_round() -> None:
    results = known(of(Status.COMPLETE, THREE), of(Status.COMPLETE, NINE))
    assert number_of(results, THREE) == 0, "the earliest"
    assert number_of(results, NINE) == 1
    assert number_of(results, Fidelity(10, "epochs")) is None
    assert number_of(results, Fidelity(3, "seconds")) is None
    assert results.get("another network", THREE) is None


def test_results_of_before_there_were_fidelities_stand_for_all_of_their_search() -> None:
    assert number_of(known(of(Status.COMPLETE, None)), NINE) == 0


def test_what_was_told_without_training_holds_for_any_budget() -> None:
    for outcome in (
        of(Status.INFEASIBLE, THREE, epochs=0),
        of(Status.OUT_OF_MEMORY, THREE, epochs=0),
        of(Status.OUT_OF_MEMORY, THREE, epochs=2),
    ):
        assert number_of(known(outcome), NINE) == 0
    for outcome in (
        of(Status.INFEASIBLE, THREE),  # its Dice breaks a limit of the objective
        of(Status.TOO_SLOW, Fidelity(3, "seconds"), epochs=0),
        of(Status.DIVERGED, THREE),
        of(Status.LOSS_STALLED, THREE),
    ):
        assert number_of(known(outcome), NINE) is None


def test_a_crash_says_nothing_of_a_network() -> None:
    assert number_of(known(of(Status.CRASHED, NINE)), THREE) is None
