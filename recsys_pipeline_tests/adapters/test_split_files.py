"""Somebody's own split in one id space, whatever its layout; a bad line is named."""

import gzip
from collections import Counter
from itertools import permutations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.adapters.splits.files import read_interactions, read_split
from recsys_pipeline.adapters.splits.reading import Reading
from recsys_pipeline.adapters.store.manifest import file_digest
from recsys_pipeline.core.errors import DataError, SettingError, SourceError
from recsys_pipeline.core.ratings import Ratings

TRAIN = [("10", "7"), ("10", "9"), ("9", "7"), ("9", "11"), ("9", "100")]
TEST = [("10", "11"), ("9", "9")]
LAYOUTS = {
    "tab": lambda pairs: "".join(f"{u}\t{i}\t5\n" for u, i in pairs),
    "comma with header and quotes": lambda pairs: "item,user\n" + "".join(f'"{i}","{u}"\n' for u, i in pairs),
    "colons": lambda pairs: "".join(f"{u}::{i}::5::978300760\n" for u, i in pairs),
    "sequences": lambda pairs: "".join(f"{u} {i}\n" for u, i in pairs),
    "crlf": lambda pairs: "".join(f"{u},{i},4\r\n" for u, i in pairs),
    "adjacency": lambda pairs: "".join(
        f"{u} {' '.join(i for v, i in pairs if v == u)} \n" for u in dict.fromkeys(u for u, _ in pairs)
    ),
}


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def pairs_of(ratings: Ratings) -> list[tuple[int, int]]:
    return list(zip(ratings.user.tolist(), ratings.item.tolist(), strict=True))


def are_the_same(parts: list[Ratings], expected: list[list[tuple[str, str]]]) -> bool:
    """Whether some naming of the numbers makes the expected pairs of the parts."""
    users, items = (sorted({pair[side] for pairs in expected for pair in pairs}) for side in (0, 1))
    wanted = [sorted(pairs) for pairs in expected]
    return any(
        [sorted((user[u], item[i]) for u, i in pairs_of(part)) for part in parts] == wanted
        for user in permutations(users)
        for item in permutations(items)
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("suffix", [".txt", ".gz"])
def test_every_layout_gives_the_same_pairs_in_one_id_space(tmp_path: Path, layout: str, suffix: str) -> None:
    train = write(tmp_path / f"train{suffix}", LAYOUTS[layout](TRAIN))
    test = write(tmp_path / f"test{suffix}", LAYOUTS[layout](TEST))
    format = "adjacency" if layout == "adjacency" else None  # its test file has one item per user
    found = read_split([train], test, reading=Reading(format=format))
    assert are_the_same([found.train, found.test], [TRAIN, TEST])
    assert (found.train.n_users, found.train.n_items) == (found.test.n_users, found.test.n_items) == (2, 4)
    assert found.files["train"].digest == file_digest(train)
    assert found.negatives is None


def test_values_and_times_are_read(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", "user,item,rating,date\nann,b,2.5,2026-01-02 00:00:01\nann,a,1,1970-01-01\n")
    test = tmp_path / "test.parquet"
    columns = {"user": ["ann"], "item": ["c"], "score": np.array([3], np.int8), "ts": [1_700_000_000_000]}
    pq.write_table(pa.table(columns), test)
    found = read_split([train], test)
    assert found.train.value.tolist() == [1.0, 2.5], "in order of time"
    assert found.train.timestamp_us.tolist() == [0, 1_767_312_001_000_000]
    assert found.test.timestamp_us.tolist() == [1_700_000_000_000_000]
    assert are_the_same([found.train, found.test], [[("ann", "a"), ("ann", "b")], [("ann", "c")]])


def test_given_negatives_in_three_layouts(tmp_path: Path) -> None:
    train, test = (
        write(tmp_path / "train.tsv", LAYOUTS["tab"](TRAIN)),
        write(tmp_path / "test.tsv", LAYOUTS["tab"](TEST)),
    )
    texts = ["(10,11)\t100\t9\n(9,9)\t11\n", "10 100 9\n9 11\n3\n", "user,item\n10,100\n10,9\n9,11\n"]
    for text in (texts[0], texts[2], "10 100 9\n9 11\n9\n"):
        found = read_split([train], test, write(tmp_path / "negatives.txt", text))
        assert found.negatives is not None
        negatives = [("10", "100"), ("10", "9"), ("9", "11")]
        assert are_the_same([found.train, found.test, found.negatives], [TRAIN, TEST, negatives])


BAD = {
    "ragged table": ("1,2,3\n1,3\n4,5,6\n7,8,9\n", r"line 2: expected 3 fields, found 2\. It was read as comma"),
    "text for a number": ("1,2,3\n1,3,good\n4,5,6\n", "line 2: the value 'good' is no finite number"),
    "infinite value": ("1,2,3\n4,5,6\n1,3,inf\n", "line 3: the value 'inf' is no finite number"),
    "empty item": ("user,item\n1,2\n1,\n", "line 3: the item is empty"),
    "empty user": ("user,item\n1,2\n,5\n,6\n", r"line 3: the user is empty \(2 lines are bad\)"),
    "bad time": ("1,2,3,978300760\n1,2,3,978300761\n1,2,3,soon\n",
                 "line 3: timestamp 'soon' is not an epoch in seconds"),
    "ragged sequence": ("1 2\n1 3\n1 4 5\n", "line 3: expected user and item, found 3 fields"),
    "header alone": ("user,item\n", "holds no pair"),
    "after a blank line": ("1,2,3\n\n1,3\n4,5,6\n", "line 3: expected 3 fields"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("suffix", [".txt", ".gz"])
def test_a_bad_line_is_named(tmp_path: Path, name: str, suffix: str) -> None:
    text, reason = BAD[name]
    train, test = write(tmp_path / f"train{suffix}", text), write(tmp_path / "test.csv", "1,2,3\n")
    with pytest.raises(SourceError, match=reason) as caught:
        read_split([train], test)
    assert str(train) in str(caught.value)


def test_a_file_that_ends_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.gz"
    path.write_bytes(gzip.compress(b"1,2,3\n" * 1000)[:40])
    with pytest.raises(SourceError, match=r"broken\.gz cannot be read"):
        read_interactions(path)


@pytest.mark.parametrize(
    ("negatives", "reason"),
    [
        ("(10,11)\t100\n(8,9)\t11\n", r"line 2: user 8 of the negatives is not in .*test\.tsv"),
        ("(10,11)\t100\t55\n", "line 1: item 55 is neither in train nor in test"),
        ("(10,9)\t100\n", r"line 1: the pair \(10,9\) is not in .*test\.tsv"),
        ("(10,11)\t100\n", None),
    ],
)
def test_negatives_belong_to_the_split(tmp_path: Path, negatives: str, reason: str | None) -> None:
    train, test = (
        write(tmp_path / f"{part}.tsv", LAYOUTS["tab"](rows)) for part, rows in (("train", TRAIN), ("test", TEST))
    )
    path = write(tmp_path / "negatives.gz", negatives)
    if reason is None:
        assert read_split([train], test, path).negatives is not None
        return
    with pytest.raises(DataError, match=reason):
        read_split([train], test, path)


def test_a_test_file_that_is_the_train_file_is_refused(tmp_path: Path) -> None:
    train, test = (write(tmp_path / f"{part}.tsv", LAYOUTS["tab"](TRAIN)) for part in ("train", "test"))
    with pytest.raises(DataError, match="the same bytes"):
        read_split([train], test)


def test_one_file_keeps_the_latest_of_repeated_pairs(tmp_path: Path) -> None:
    path = write(tmp_path / "data.csv", "user,item,rating,timestamp\na,x,1,30\na,x,2,10\na,y,3,20\nb,x,4,5\nb,x,5,5\n")
    found = read_interactions(path)
    assert sorted(found.ratings.value.tolist()) == [1, 3, 5]  # of two at one instant, the larger value
    assert (found.n_repeated, found.file.n_rows) == (2, 5)
    assert found.file.layout.knows_order


def test_a_sequence_is_in_order_of_its_lines(tmp_path: Path) -> None:
    found = read_interactions(write(tmp_path / "data.txt", "1 5\n2 3\n1 4\n1 5\n"))
    last = found.ratings.take(found.ratings.timestamp_us.argsort())
    assert are_the_same([last], [[("2", "3"), ("1", "4"), ("1", "5")]])
    assert last.user.tolist() in ([0, 1, 1], [1, 0, 0])
    assert found.n_repeated == 1


def test_a_session_is_a_line_in_order(tmp_path: Path) -> None:
    found = read_interactions(write(tmp_path / "data.txt", "7 5 9\n7 3\n"), Reading(format="sessions"))
    assert (found.ratings.n_users, found.ratings.n_items) == (2, 4)
    in_order = found.ratings.take(np.lexsort((found.ratings.timestamp_us, found.ratings.user)))
    shorter, longer = sorted((in_order.item[in_order.user == user].tolist() for user in (0, 1)), key=len)
    assert (len(shorter), len(longer)) == (2, 3)
    assert shorter[0] == longer[0], "item 7 opens both"
    assert found.file.layout.knows_order


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=4).filter(
    lambda word: not set(word) & set("\",;|\t:()'") and word.strip() == word
)


@settings(max_examples=12)
@given(pairs=st.lists(st.tuples(WORDS, WORDS), min_size=2, max_size=12, unique=True))
def test_any_ids_survive(pairs: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("split")
    rows = "".join(f"{user},{item}\n" for user, item in pairs)
    train, test = (
        write(folder / "train.csv", "user,item\n" + rows),
        write(folder / "test.csv", "user,item\nsomebody,else\n"),
    )
    found = read_split([train], test).train
    for side, numbers in ((0, found.user), (1, found.item)):
        rows = Counter(Counter(pair[side] for pair in pairs).values())
        assert Counter(Counter(numbers.tolist()).values()) == rows, "one number per id, and one id per number"


def test_names_and_the_order_of_lines_change_no_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        (*pair, rng.integers(1, 6), rng.integers(20)) for pair in {tuple(rng.integers(0, 12, 2)) for _ in range(60)}
    ]
    texts = [f"user,item,rating,timestamp\n{chr(10).join(lines)}\n" for lines in (
        [f"u{user},{item},{value},{at}" for user, item, value, at in rows],
        [f"{(user * 7) % 12},x{(item * 5) % 12:02},{value},{at}" for user, item, value, at in rows][::-1],
    )]  # fmt: skip
    first, second = (read_interactions(write(tmp_path / "data.csv", text)).ratings for text in texts)
    for name in ("user", "item", "value", "timestamp_us"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_lines_may_say_what_came_first_in_an_instant(tmp_path: Path) -> None:
    path = write(tmp_path / "data.csv", "user,item,rating,timestamp\na,x,3,10\na,y,1,10\na,z,2,10\nb,x,4,9\n")
    found = read_interactions(path, lines_are_in_order=True).ratings
    order = np.lexsort((found.timestamp_us, found.user))
    assert [value for value in found.value[order].tolist() if value != 4] == [3, 1, 2]
    assert found.timestamp_us.max() == 10_000_002


def test_lines_need_room_before_the_next_instant(tmp_path: Path) -> None:
    path = write(
        tmp_path / "data.csv", "user,item,ts\na,x,1700000000000000\na,y,1700000000000000\na,z,1700000000000001\n"
    )
    with pytest.raises(DataError, match=r"line 2: more rows of one user and instant than there are microseconds"):
        read_interactions(path, lines_are_in_order=True)
    with pytest.raises(SettingError, match="has no times"):
        read_interactions(write(tmp_path / "plain.csv", "user,item\na,x\nb,x\n"), lines_are_in_order=True)


def test_sequences_of_several_files_go_on_in_the_order_given(tmp_path: Path) -> None:
    """A user's last item of the first file comes before the first of the second."""
    lines = {"a": ["1 10", "2 10", "1 11"], "b": ["1 12", "2 11"]}
    a, b = (write(tmp_path / f"{name}.txt", "\n".join(rows) + "\n") for name, rows in lines.items())
    test = write(tmp_path / "test.txt", "1 13\n2 12\n")
    found = read_split([a, b], test).train
    short, long = sorted((found.item[found.user == user].tolist() for user in range(2)), key=len)
    assert long[:2] == short, "10, then 11"
    assert all((np.diff(found.timestamp_us[found.user == user]) > 0).all() for user in range(2))


def test_files_of_train_must_go_together(tmp_path: Path) -> None:
    timed = write(tmp_path / "timed.csv", "user,item,timestamp\n1,10,2020-01-01\n2,11,2020-01-02\n")
    plain = write(tmp_path / "plain.csv", "user,item\n1,11\n2,10\n")
    test = write(tmp_path / "test.csv", "user,item\n1,12\n")
    with pytest.raises(DataError, match=r"timed.csv has times, and .*plain.csv has none: --train files must agree"):
        read_split([timed, plain], test)
