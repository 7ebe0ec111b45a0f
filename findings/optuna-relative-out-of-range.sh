#!/usr/bin/env bash
# optuna 5.0.0, Linux.
#
# A value that a sampler's sample_relative proposes outside its distribution is dropped without a word: the trial gets
# another one, which sample_independent draws. So a sampler with a mistake in one value is random search in that dimension,
# and nothing tells. A value outside that was given by enqueue_trial is kept, with a warning.
#
# One would guess an error, or the same warning, as a sampler's own proposal is never meant to be another value.
#
# Seen: of 200 trials whose sampler proposes 4 for a whole number from 0 to 3, none has 4, each of the four values is there,
# and there is no warning, also with warnings as errors. With enqueue_trial: 4, and a warning.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
"${PYTHON:-python3}" -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet optuna==5.0.0 numpy==2.4.6
cd "$home"
"$home/venv/bin/python" - <<'PYTHON'
import collections
import warnings

import optuna
from optuna.distributions import IntDistribution
from optuna.samplers import RandomSampler

optuna.logging.set_verbosity(optuna.logging.ERROR)
RANGE = IntDistribution(0, 3)


class Four(RandomSampler):
    """Proposes 4."""

    def infer_relative_search_space(self, study, trial):
        return {"x": RANGE}

    def sample_relative(self, study, trial, search_space):
        return {"x": 4}


warnings.simplefilter("error")
study = optuna.create_study(sampler=Four(seed=0))
counts = collections.Counter(study.ask({"x": RANGE}).params["x"] for _ in range(200))
print(f"proposed by sample_relative: 4 each time; in the trials: {dict(sorted(counts.items()))}, no warning")
assert set(counts) == {0, 1, 2, 3}

study = optuna.create_study(sampler=RandomSampler(seed=0))
study.enqueue_trial({"x": 4})
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    value = study.ask({"x": RANGE}).params["x"]
print(f"given by enqueue_trial: 4; in the trial: {value}; {[str(one.message) for one in told]}")
assert value == 4 and told
PYTHON
