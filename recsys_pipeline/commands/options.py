"""Every verb with its arguments; nothing heavy is imported here, so that `--help` is quick."""

import argparse
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from recsys_pipeline.evaluate.arguments import add_evaluate


def parser() -> argparse.ArgumentParser:
    """The command line; `verb` of what it parses names the module in `commands` that runs it."""
    found = argparse.ArgumentParser(prog="recsys", description="A recommender pipeline on Dagster and JAX.")
    found.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    verbs = found.add_subparsers(dest="verb", required=True)
    _add_jobs(verbs)
    _add_served(verbs)
    _add_service(verbs)
    _add_looks(verbs)
    _add_lineage(verbs)
    _add_wandb(verbs)
    verbs.add_parser("status", help="what is served, how fresh it is, what ran and what failed")
    _add_ui(verbs)
    _add_reingest(verbs)
    verbs.add_parser("doctor", help="check settings, places, disk, versions, source and daemon")
    _add_init_source(verbs)
    add_evaluate(verbs)
    _add_sweep(verbs)
    _add_release(verbs)
    _add_compare(verbs)
    _add_gc(verbs)
    verbs.add_parser("models", help="registered models: what each is, and which are daily, swept and continued")
    fields = verbs.add_parser("fields", help="fields of an asset's form: type, default, range and meaning")
    fields.add_argument("asset", nargs="?", help="such as models/als; default: list the assets that have fields")
    for name, verb in verbs.choices.items():
        _describe(verb, next(one.help or "" for one in verbs._choices_actions if one.dest == name))
    return found


def _describe(verb: argparse.ArgumentParser, text: str) -> None:
    """`recsys VERB --help` begins with what the list of verbs says; so do the forms of a verb."""
    verb.description = f"{text[:1].upper()}{text[1:]}."
    for action in verb._actions:
        if isinstance(action, argparse._SubParsersAction):
            for form in action._choices_actions:
                _describe(action.choices[form.dest], form.help or "")


class _Version(argparse.Action):
    """Looked up only where it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"recsys {version('recsys_pipeline')}, Python {platform.python_version()}")
        parser.exit()


def _add_jobs(verbs: Any) -> None:
    verbs.add_parser("demo", help="run batch_daily for the last complete day and print what came out")
    run = verbs.add_parser("run", help="run a job for one day, or for each day of a range")
    run.add_argument("job", choices=["batch_daily", "sweep_weekly", "speed_hourly"], help="which job")
    run.add_argument(
        "day",
        nargs="?",
        help="YYYY-MM-DD (speed_hourly: YYYY-MM-DD-HH:00), or first..last; default: the "
        "last complete day, or hour, of the source",
    )
    run.add_argument("--set", action="append", default=[], metavar="STAGE/SUBJECT.FIELD=VALUE", dest="overrides",
                     help="a Launchpad field, e.g. models/als.embedding_size=32")  # fmt: skip
    run.add_argument("--recompute", action="store_true", help="make again what is up to date; digests must not change")


def _add_served(verbs: Any) -> None:
    recommend = verbs.add_parser("recommend", help="the lists of users, of what is served now")
    recommend.add_argument("users", nargs="+", metavar="USER", help="users' ids; strangers get what is popular")
    related = verbs.add_parser("related", help="what goes with an item, of what is served now")
    related.add_argument("items", nargs="+", metavar="ITEM", help="items' ids")
    search = verbs.add_parser("search", help="items that words describe, of what is served now")
    search.add_argument("words", nargs="+", metavar="WORD", help="of titles and categories; the last may be begun")
    for verb, name in ((recommend, "default"), (related, "related"), (search, "search")):
        verb.add_argument("--policy", default=name, metavar="NAME", help=f"how lists are made (default: {name})")
    for verb in (related, search):
        verb.add_argument("--user", default="", metavar="USER", help="for whom: what they avoid is left out")
    export = verbs.add_parser("export", help="write what is served to a file")
    kinds = export.add_subparsers(dest="what", required=True)
    lists = kinds.add_parser("lists", help="every known user's list: user_id, position (from 0), item_id, score, why")
    lists.add_argument("--to", type=Path, required=True, metavar="FILE.parquet", help="replaced, whole")
    for verb in (recommend, related, search, lists):
        verb.add_argument("-k", "--k", type=int, metavar="N", help="places of a list (default: the release's)")


def _add_service(verbs: Any) -> None:
    serve = verbs.add_parser("serve", help="answer requests for lists over HTTP, following the champion")
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)")
    serve.add_argument("--port", type=int, default=8000, help="the port (default: 8000)")
    serve.add_argument("--deadline-ms", type=float, default=100.0, metavar="MS",
                       help="after so long the list is of what is popular (default: 100)")  # fmt: skip
    replay = verbs.add_parser("replay", help="make a list that was served again, and say what made it")
    replay.add_argument("request", help="its request_id")


def _add_looks(verbs: Any) -> None:
    fetch = verbs.add_parser("fetch-looks", help="bring the images of a source's looks from their addresses; resumable")
    fetch.add_argument("--limit", type=int, metavar="N", help="ask for no more than N images in this call")
    look = verbs.add_parser("look", help="recommend a look for a scene: one product of each category that it lacks")
    look.add_argument("scene", help="a scene's id")
    look.add_argument("--budget", type=float, metavar="AMOUNT", help="what the look may cost, in the unit of prices")
    look.add_argument("--products", type=int, default=5, metavar="N", help="at most so many (default: 5)")
    similar = verbs.add_parser("similar", help="products on sale whose pictures look most like a product's")
    similar.add_argument("product", help="a product's id")
    similar.add_argument("--k", type=int, default=10, metavar="N", help="how many (default: 10)")
    similar.add_argument("--same-category", action="store_true", help="only products of its category")
    look.add_argument("--day", help="YYYY-MM-DD; default: the newest day that has a model of looks")
    similar.add_argument("--day", help="YYYY-MM-DD; default: the newest day whose pictures were embedded")


def _add_lineage(verbs: Any) -> None:
    lineage = verbs.add_parser("lineage", help="what an artifact was made from, and what was made from it")
    lineage.add_argument("--up", action="store_true", help="only what it was made from")
    lineage.add_argument("--down", action="store_true", help="only what was made from it")
    lineage.add_argument("--history", action="store_true", help="follow artifacts of other days too")
    lineage.add_argument("--html", type=Path, metavar="FILE", help="write a page with the graph and every manifest")
    lineage.add_argument("--json", action="store_true", help="print JSON instead of the tree")
    again = verbs.add_parser("reproduce", help="make an artifact again from its manifest and compare the digests")
    again.add_argument("--keep", action="store_true", help="keep what was made, below <RECSYS_HOME>/reproduced")
    for verb in (lineage, again):
        verb.add_argument("artifact", help="models/als, models/als@2026-01-05, a digest or the start of one")


def _add_wandb(verbs: Any) -> None:
    wandb = verbs.add_parser("wandb", help="send what W&B has not acknowledged, or show what waits")
    wandb.add_argument("what", choices=["push", "status"], help="send it, or show it")


def _add_init_source(verbs: Any) -> None:
    init = verbs.add_parser("init-source", help="write the TOML of a source from its files, with what was seen in them")
    init.add_argument("files", nargs="+", type=Path, metavar="FILE", help="interactions with times; maybe items too")
    init.add_argument("--name", help="of the source: lower case letters, digits, dashes (default: from the folder)")
    init.add_argument("--to", type=Path, metavar="FILE.toml", help="a new file (default: print it)")


def _add_ui(verbs: Any) -> None:
    ui = verbs.add_parser("ui", help="start the Dagster UI over this source's own history, and serve its reports")
    ui.add_argument("--host", default="127.0.0.1", help="where it listens (default: this machine alone)")
    ui.add_argument("--port", type=int, default=3000, help="of the UI (default: 3000)")
    ui.add_argument("--end-runs", action="store_true", help="end what an earlier UI that was killed still runs")


def _add_reingest(verbs: Any) -> None:
    again = verbs.add_parser(
        "reingest", help="read days from the source again, closed ones too: what they mean changed"
    )
    again.add_argument("days", nargs="?", metavar="FIRST..LAST", help="YYYY-MM-DD..YYYY-MM-DD; default: all days")


def _add_sweep(verbs: Any) -> None:
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


def _add_release(verbs: Any) -> None:
    """`what` says which of the five forms."""
    release = verbs.add_parser("release", help="which release is served: list, show, compare, promote, go back")
    forms = release.add_subparsers(dest="what", required=True)
    forms.add_parser("list", help="every day's release with the gate's decision; the one that is served is marked")
    show = forms.add_parser("show", help="one release: the gate's checks, its figures and its files")
    show.add_argument("day", help="YYYY-MM-DD")
    diff = forms.add_parser("diff", help="two releases: settings, figures, sizes, and how many lists changed")
    diff.add_argument("days", nargs=2, metavar="DAY", help="YYYY-MM-DD")
    promote = forms.add_parser("promote", help="serve the release of a day, newer or older than what is served")
    promote.add_argument("day", help="YYYY-MM-DD")
    promote.add_argument("--force", action="store_true", help="serve what the gate rejected; takes --why")
    rollback = forms.add_parser("rollback", help="serve what was served before; nothing is trained")
    rollback.add_argument("--to", metavar="DAY", help="a promoted day; default: the newest before the one served")
    for form in (promote, rollback):
        form.add_argument("--why", default="", metavar="TEXT", help="a reason, which is kept in the history")


def _add_compare(verbs: Any) -> None:
    compare = verbs.add_parser("compare", help="an experiment beside the day's own release: settings, accuracy, lists")
    compare.add_argument("day", nargs="?", help="YYYY-MM-DD; default: the newest day with an experiment")
    compare.add_argument(
        "--digest", default="", metavar="PREFIX", help="which of the day's experiments; default: the newest"
    )


def _add_gc(verbs: Any) -> None:
    gc = verbs.add_parser("gc", help="delete stored artifacts that nothing needs any more")
    gc.add_argument("--dry-run", action="store_true", help="print what would go, and delete nothing")
    gc.add_argument("--keep-days", type=int, metavar="N", help="days whose artifacts stay (default: 28)")
    gc.add_argument("--even-unsent", action="store_true",
                    help="also what waits to be sent to W&B, which is then told that it is gone")  # fmt: skip
