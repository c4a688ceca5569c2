#!/usr/bin/env bash
# Guess: a study kept in a storage and taken up again with the same seeded sampler goes on with new points.
# Instead: the sampler begins its random numbers anew: three visits of five trials with RandomSampler(seed=1) try
#   five points three times each; TPE repeats its ten startup points. QMCSampler, which counts in the storage, goes
#   on.
# Why it matters: a sweep that is resumed after a crash, or run by several workers with the one seed of the config,
#   spends its budget on points it knows, and says "15 trials". Derive the seed from the number of trials that are
#   there.
# Seen with: optuna 5.0.0; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile optuna==5.0.0 scipy==1.17.1
venv/bin/python - <<'PY'
import warnings, optuna
warnings.simplefilter("ignore")
optuna.logging.set_verbosity(optuna.logging.ERROR)
def different(sampler):
    for _ in range(3):
        study = optuna.create_study(storage=f"sqlite:///{sampler}.db", study_name="sweep", load_if_exists=True,
                                    sampler=getattr(optuna.samplers, sampler)(seed=1))
        study.optimize(lambda trial: trial.suggest_float("reg", 0, 1), n_trials=5)
    return len(study.trials), len({trial.params["reg"] for trial in study.trials})
found = {sampler: different(sampler) for sampler in ("RandomSampler", "TPESampler", "QMCSampler")}
for sampler, (trials, points) in found.items():
    print(f"optuna {optuna.__version__}, {sampler}(seed=1), three visits of five trials: {trials} trials, {points} different points")
assert found == {"RandomSampler": (15, 5), "TPESampler": (15, 10), "QMCSampler": (15, 15)}
PY
