#!/usr/bin/env bash
# optuna 5.0.0, Linux.
#
# NSGA-II takes no parents from trials that a study was given: neither those of study.add_trial (results of an earlier
# study), nor those of study.enqueue_trial (choices that are tried first). They are on the Pareto front and in best_trials,
# but have no number of a generation, by which the sampler finds parents. The first population is drawn at random beside
# them, and the later ones descend from that alone.
#
# One would guess that known good trials are parents at once, as TPE learns from each trial of the study, so that a
# search with NSGA-II can begin from the front of an earlier one.
#
# Seen: 20 trials are known whose eight numbers are 0 in a range up to 1,000. Of 100 trials after them NSGA-II gives none a
# number below 1, from neither kind; TPE gives 25 of 100 trials one.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
"${PYTHON:-python3}" -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet optuna==5.0.0 numpy==2.4.6
cd "$home"
"$home/venv/bin/python" - <<'PYTHON'
import optuna
from optuna.distributions import FloatDistribution
from optuna.samplers import NSGAIISampler, TPESampler
from optuna.trial import create_trial

optuna.logging.set_verbosity(optuna.logging.ERROR)
NAMES = [f"x{i}" for i in range(8)]
KNOWN, AFTER = 20, 100


def near_the_known(sampler: optuna.samplers.BaseSampler, way: str) -> int:
    """How many trials have a number that is nearly that of the known ones."""
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    for number in range(KNOWN):
        params = dict.fromkeys(NAMES, 0.0)
        if way == "add_trial":
            distributions = dict.fromkeys(NAMES, FloatDistribution(0, 1000))
            study.add_trial(create_trial(params=params, distributions=distributions, values=[0.0, 0.0]))
        else:
            study.enqueue_trial(params)

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        numbers = [trial.suggest_float(name, 0, 1000) for name in NAMES]
        return sum(numbers), max(numbers)

    study.optimize(objective, n_trials=AFTER + (KNOWN if way == "enqueue_trial" else 0))
    assert len(study.best_trials) == KNOWN
    return sum(min(trial.params.values()) < 1 for trial in study.trials[KNOWN:])


for way in ("add_trial", "enqueue_trial"):
    nsga, tpe = (near_the_known(kind, way) for kind in (NSGAIISampler(population_size=10, seed=0), TPESampler(seed=0)))
    print(f"{way}: of {AFTER} trials after {KNOWN} known ones, near a known number: NSGA-II {nsga}, TPE {tpe}")
    assert nsga <= 3, nsga
    assert tpe > 10, tpe
PYTHON
