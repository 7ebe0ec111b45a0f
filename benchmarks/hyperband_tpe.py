"""Optuna's Hyperband with TPE, driving the same trainings as `auto`, on the same data, to the same end.

    python benchmarks/hyperband_tpe.py DATASET -o RUN --hours 0.33 --seed 0 [--map-label 255=1]

Makes a run as `netwright search DATASET --recipe auto --workers 1` does: the same parts of the data, space, protocol,
checkpoints, choice of networks in the end, and test. Only who is trained, and for how long, is Optuna's. Its
`HyperbandPruner` has a reduction factor of 3 and resources from the first useful part, as the run measures it, to a
third of the race; its `TPESampler` is as Optuna makes it by default. The default is its first trial. A promotion goes
on from the checkpoint, which an ordinary objective function of Optuna would not do. `auto_against_default.py` runs it
beside `auto` with `--rivals hyperband-tpe`.

Each decision replays the whole race in a study in memory, so a run that was broken off goes on with the same command.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from netwright.api import create_run, open_run
from netwright.api.runner import conduct
from netwright.planning.user_settings import UserSettings
from netwright.runs.trials import network_key
from netwright.searches.race import RULES, Begin, Candidate, Decision, GoOn, Race
from netwright.settings import RunSettings
from netwright.spaces import make_space
from netwright.spaces.base import Space
from netwright.strategies.makers import PROPOSERS
from netwright.strategies.optuna_samplers import OPTUNA_SAMPLERS

NAME = "hyperband-tpe"
LONGEST_SHARE = 1 / 3
"""Of the race, for the longest training."""
FACTOR = 3
PARTLY = 0.9
"""A part counts as trained to its end from this share of it on: its last step ends before the time does."""


@dataclass
class HyperbandTPE:
    """A rule of a race, and what its sampler proposes next.

    Args:
        space: that is searched.
        seed: of the run.
    """

    space: Space
    seed: int

    name = NAME
    joins = False

    def __post_init__(self) -> None:
        self.proposal: dict[str, Any] = self.space.starting_choice()

    def dropped(self, race: Race) -> dict[int, str]:
        """Optuna does not say."""
        return {}

    def decide(self, race: Race) -> Decision:
        """What Optuna does next, from the race so far."""
        if race.over():
            return None
        longest = max(int(LONGEST_SHARE * race.total / race.first), 1)
        study = optuna.create_study(
            study_name=str(self.seed),  # by which Hyperband draws brackets
            direction="maximize",
            sampler=TPESampler(seed=self.seed),
            pruner=optuna.pruners.HyperbandPruner(
                min_resource=1, max_resource=longest, reduction_factor=FACTOR
            ),
        )
        study.enqueue_trial(self.space.starting_choice())
        begun, known = iter(race.by_number()), dict[str, Candidate]()
        while True:
            trial = study.ask(self.space.distributions())
            network = network_key(self.space.canonical(trial.params))
            if network in known:
                told(study, trial, known[network].score)
                continue
            candidate = next(begun, None)
            if candidate is None:
                self.proposal = trial.params
                return Begin(race.part(race.first))
            known[network] = candidate
            further = next_part(study, trial, candidate, race.first, longest)
            if further is not None:
                return GoOn(candidate.number, candidate.seconds + race.part(further - candidate.seconds))


def next_part(
    study: Study, trial: optuna.Trial, candidate: Candidate, first: float, longest: int
) -> float | None:
    """Tells Optuna the validations of a candidate. Returns the seconds at which its next part ends; None: it is done.

    Args:
        study: in which it is a trial.
        trial: of it.
        candidate: as it was trained so far.
        first: seconds of a step of Hyperband.
        longest: how many steps the longest training has.
    """
    step = 1
    while True:
        seconds = step * first
        if candidate.ended:
            study.tell(trial, state=TrialState.FAIL)
            return None
        if candidate.seconds < PARTLY * seconds:
            return seconds
        trial.report(candidate.score_after(seconds / PARTLY), step)
        if step == longest:
            told(study, trial, candidate.score)
            return None
        if trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            return None
        step = min(step * FACTOR, longest)


def told(study: Study, trial: optuna.Trial, score: float) -> None:
    """Ends a trial with a score; without a finite one it has failed."""
    if score == -float("inf"):
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, score)


class Proposing(BaseSampler):
    """Gives a new candidate what the rule's own study has proposed for it."""

    def __init__(self, rule: HyperbandTPE) -> None:
        self._rule = rule

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All dimensions."""
        return self._rule.space.distributions()

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The proposal."""
        return self._rule.proposal

    def sample_independent(self, study: Study, trial: FrozenTrial, name: str, one: BaseDistribution) -> Any:
        """The proposal's value of a dimension."""
        return self._rule.proposal[name]


def use(settings: RunSettings) -> None:
    """Makes the rule and the sampler of a run known to netwright, in this process."""
    rule = HyperbandTPE(make_space(settings.space), settings.seed)
    RULES[NAME] = lambda: rule
    OPTUNA_SAMPLERS[NAME] = PROPOSERS[NAME] = lambda: lambda seed: Proposing(rule)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--map-label", action="append", default=[], help="as of netwright search: 255=1")
    parser.add_argument("--hours", type=float, default=0.33)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(words)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # The plan makes both by name before there is a space to search.
    RULES[NAME] = RULES["asha"]
    OPTUNA_SAMPLERS[NAME] = PROPOSERS[NAME] = OPTUNA_SAMPLERS["tpe"]
    if not (arguments.output / "run.yaml").exists():
        pairs = (text.split("=") for text in arguments.map_label)
        user = UserSettings(
            hours=arguments.hours,
            workers=1,
            seed=arguments.seed,
            map_label={int(value): int(label) for value, label in pairs} or None,
            assignments={"strategy": {"name": NAME}, "race.rule": NAME},
        )
        create_run(arguments.dataset, "auto", user, arguments.output)
    folder = open_run(arguments.output).folder
    use(folder.settings())
    conduct(folder)


if __name__ == "__main__":
    main()
