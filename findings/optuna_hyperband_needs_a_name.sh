#!/usr/bin/env bash
# Guess: a study with a seeded sampler and a deterministic objective repeats to the last trial, in one process, with
#   any pruner.
# Instead: with HyperbandPruner it does not: a trial falls into a bracket by a hash of the name of the study, and an
#   unnamed study gets a random name. Two unnamed studies of one seed part after the startup trials; two of one name
#   are equal, other names differ.
# Why it matters: "seed = 1" in the sweep file does not reproduce a sweep with early stopping, and renaming a study
#   changes its trials. Name the study after its config.
# Seen with: optuna 5.0.0; 2026-11-30.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile optuna==5.0.0
venv/bin/python - <<'PY'
import optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
def loss(trial):
    reg, rate = trial.suggest_float("reg", -10, 10), trial.suggest_float("rate", -10, 10)
    for epoch in range(27):
        value = (reg - 2) ** 2 + (rate + 1) ** 2 + (27 - epoch) * 0.1 * abs(reg)
        trial.report(value, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned()
    return value
def points(name, pruner):
    study = optuna.create_study(study_name=name, sampler=optuna.samplers.TPESampler(seed=1, n_startup_trials=5), pruner=pruner)
    study.optimize(loss, n_trials=60)
    return [trial.params["reg"] for trial in study.trials]
hyperband = lambda: optuna.pruners.HyperbandPruner(min_resource=1, max_resource=27)
equal = {
    "MedianPruner, no names": points(None, optuna.pruners.MedianPruner()) == points(None, optuna.pruners.MedianPruner()),
    "HyperbandPruner, no names": points(None, hyperband()) == points(None, hyperband()),
    "HyperbandPruner, one name": points("sweep", hyperband()) == points("sweep", hyperband()),
    "HyperbandPruner, two names": points("sweep", hyperband()) == points("other", hyperband()),
}
for case, same in equal.items():
    print(f"optuna {optuna.__version__}, TPE with one seed, {case}: the trials are {'the same' if same else 'not the same'}")
assert list(equal.values()) == [True, False, True, False]
PY
