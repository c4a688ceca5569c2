"""`recsys sweep run` and `recsys sweep agent`: arguments here, work in `defs/sweeping.py`."""

import argparse
from typing import Any


def add_sweep(verbs: Any) -> argparse.ArgumentParser:
    """Add the verb to the command line; `kind` says which of the two."""
    sweep = verbs.add_parser("sweep", help="tune a model over a sweep YAML, or help to tune it")
    kinds = sweep.add_subparsers(dest="kind", required=True)
    run = kinds.add_parser("run", help="tune a model on one day's fold; the daily models take the best")
    run.add_argument("file", help="a sweep YAML in W&B's format, e.g. conf/sweeps/als_ndcg.yaml")
    run.add_argument("--model", help="default: the one that has all the parameters, or after which the file is named")
    run.add_argument("--day", help="YYYY-MM-DD; default: the last complete day of the source")
    run.add_argument("--method", choices=["grid", "random", "bayes"], help="in place of the file's")
    run.add_argument("--engine", choices=["auto", "offline", "wandb"], help="who proposes trials (default: auto)")
    run.add_argument("--join", metavar="SWEEP", help="a W&B sweep of this file that is there already")
    agent = kinds.add_parser("agent", help="train trials of a W&B sweep that another process or machine made")
    agent.add_argument("sweep", help="its id, project/id or entity/project/id")
    for one in (run, agent):
        one.add_argument("--count", type=int, metavar="N", help="trials at most")
        one.add_argument("--parallel", type=int, metavar="N", help="trials that are trained together")
        one.add_argument("--max-minutes", type=float, metavar="N", help="no trial starts that is expected to end later")
        one.add_argument("--budget", type=int, metavar="EPOCHS", help="no trial starts after so many epochs of all")
    return sweep
