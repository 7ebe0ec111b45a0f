"""The live page of a run: optuna-dashboard on a copy of its study, with a note and pictures for each trial."""
