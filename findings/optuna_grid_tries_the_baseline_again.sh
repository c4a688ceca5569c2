#!/usr/bin/env bash
# Guess: a point that is queued first (the settings in use, as a baseline) and lies on the grid is not tried once more.
# Instead: GridSampler goes by numbers that it gave out itself: the queued point is tried again, and a grid of four takes
#   five trials. BruteForceSampler, which looks at what was tried, takes four.
# Why it matters: every sweep that begins with its baseline trains it twice, which for one model in four is a quarter
#   more; and two equal trials look like a tie of two settings.
# Seen with: optuna 5.0.0; 2026-12-01.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile optuna==5.0.0
venv/bin/python - <<'PY'
import warnings, optuna
warnings.simplefilter("ignore")
optuna.logging.set_verbosity(optuna.logging.ERROR)
def tried(sampler):
    study = optuna.create_study(sampler=sampler)
    study.enqueue_trial({"factors": 2})
    study.optimize(lambda trial: trial.suggest_int("factors", 1, 4), n_trials=20)
    return [trial.params["factors"] for trial in study.trials]
grid = tried(optuna.samplers.GridSampler({"factors": [1, 2, 3, 4]}, seed=0))
brute = tried(optuna.samplers.BruteForceSampler(seed=0))
print(f"optuna {optuna.__version__}, four points, the second queued first: GridSampler tried {grid}, BruteForceSampler {brute}")
assert sorted(grid) == [1, 2, 2, 3, 4] and sorted(brute) == [1, 2, 3, 4]
PY
