"""The options of `recsys evaluate`; nothing heavy is imported here, so that `--help` is quick."""

import argparse
from pathlib import Path

EXAMPLES = """\
examples:
  recsys evaluate --train train.tsv --test test.tsv --models popularity,als,ease --set als.reg=0.01 --k 10,20
  recsys evaluate --train ml-1m.train.rating --test ml-1m.test.rating --negatives ml-1m.test.negative --models ease
  recsys evaluate --data ratings.csv --protocol strong_generalisation --test-share 0.2 --models ease --json out.json
  recsys evaluate --data ratings.csv --protocol day_by_day --days 14 --ages 0,7 --models popularity,als

Files may be csv, tsv, `::`-separated, Parquet, adjacency lists (user item item ...), or pairs in order of time (user
item), also .gz; the layout is told from the content and printed. Every item of the files that a user has not seen
competes, unless --negatives are given: such figures compare only with others on the same negatives.
"""


def add_evaluate(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "evaluate",
        help="evaluate registered models on your own split files, without Dagster",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    given = parser.add_argument_group("a split that is given")
    given.add_argument("--train", type=Path, action="append", metavar="FILE",
                       help="what models learn from, and users have seen; may be repeated, and adds up")  # fmt: skip
    given.add_argument("--test", type=Path, metavar="FILE", help="what is to be found")
    given.add_argument("--negatives", type=Path, metavar="FILE", help="rank the test items among these only (sampled)")
    one = parser.add_argument_group("or one file, and how it is cut")
    one.add_argument("--data", type=Path, metavar="FILE", help="interactions; of repeated pairs the latest counts")
    one.add_argument("--protocol", help="leave_last_out, prequential, strong_generalisation or day_by_day")
    one.add_argument("--test-share", type=float, metavar="SHARE", help="of the rows, or of the users that are held out")
    one.add_argument("--days", type=int, metavar="N", help="day_by_day: how many last days are predicted (default: 7)")
    one.add_argument("--ages", metavar="DAYS", help="day_by_day: ages of the models, such as 0,1,7,14 (default: 0)")
    files = parser.add_argument_group("what the files' content does not tell")
    files.add_argument(
        "--format", help="table, adjacency, or in order of time sequences (user item) or sessions (item item …)"
    )
    files.add_argument("--columns", metavar="NAMES",
                       help="the columns in order, such as user,item,value,-,timestamp, or by name or place, such as "
                            "user=reviewerID,item=asin; items is a column that holds a list of items")  # fmt: skip
    files.add_argument(
        "--separator", metavar="TEXT", help="between fields: tab, comma, semicolon, bar, space, or itself"
    )
    files.add_argument(
        "--encoding", default="utf-8", metavar="NAME", help="such as latin-1, cp1252 or utf-16 (default: utf-8)"
    )
    files.add_argument("--quote", action=argparse.BooleanOptionalAction, help='whether fields may stand in "quotes"')
    files.add_argument("--header", action=argparse.BooleanOptionalAction, help="whether the first line names columns")
    files.add_argument("--time-format", default="", metavar="FORMAT", help="of times such as 31.12.2020: %%d.%%m.%%Y")
    files.add_argument("--time-zone", default="UTC", metavar="NAME",
                       help="of times without one, such as Europe/Berlin (default: UTC)")  # fmt: skip
    files.add_argument("--tie-order", choices=("hash", "lines"), default="hash",
                       help="rows of one user and instant: in a drawn order, or as lines of --data stand")  # fmt: skip
    parser.add_argument("--models", required=True, help="registered names, such as popularity,cooccurrence,als,ease")
    parser.add_argument("--set", action="append", default=[], metavar="MODEL.FIELD=VALUE", dest="overrides",
                        help="a setting of a model, such as als.reg=0.01; may be repeated")  # fmt: skip
    parser.add_argument("--k", default="10,20", help="list lengths (default: 10,20)")
    parser.add_argument("--metrics", default="ndcg,recall,hit_rate", metavar="NAMES",
                        help="what tables show: ndcg, recall, precision, map, mrr, hit_rate, coverage "
                             "(default: %(default)s)")  # fmt: skip
    parser.add_argument("--relevant-min-value", type=float, metavar="VALUE",
                        help="a test row counts from this value on (default: every row)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of cuts, fits and resampling (default: 0)")
    parser.add_argument("--tie-seeds", type=int, default=1, metavar="N",
                        help="cut --data in N orders of rows that tie in time, and show how figures move")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write settings, digests, versions and all figures")
    return parser
