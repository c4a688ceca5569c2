"""What the doctor finds in a source before a run does: bad days and rows, lone far days, catalogue, joins."""

from pathlib import Path

import pytest

from recsys_pipeline.adapters.intake.missing_history import MissingFile, MissingHistory
from recsys_pipeline.adapters.sources.files import FilesSource
from recsys_pipeline.adapters.sources.files_config import FilesConfig
from recsys_pipeline.commands.diagnosis.source import check_rows

START_S = 1_767_225_600
COLUMNS = {"user_id": "user", "item_id": "item", "timestamp": "at"}


def found_in(root: Path, events: list[str], items: list[str] | None = None) -> list[tuple[str, str]]:
    """State and words of each finding."""
    (root / "events.csv").write_text("\n".join(["user,item,at", *events]) + "\n")
    document: dict = {"name": "shop", "root": root, "interactions": {
        "path": "events.csv", "header": True, "time_unit": "s", "event": "buy", "values": {"buy": 1.0},
        "columns": COLUMNS,
    }}  # fmt: skip
    if items is not None:
        (root / "items.csv").write_text("\n".join(["id;price", *items]) + "\n")
        columns = {"item_id": "id", "price": "price"}
        document["items"] = {"path": "items.csv", "header": True, "separator": ";", "columns": columns}
    source = FilesSource(FilesConfig.model_validate(document))
    return [(finding.state, finding.what) for finding in check_rows(source)]


def events(count: int = 120, item: str = "10{}") -> list[str]:
    return [f"u{number % 9},{item.format(number % 9)},{START_S + number * 3600}" for number in range(count)]


ITEMS = [f"10{number};1.5" for number in range(9)]


def test_a_sound_source_has_nothing_to_tell(tmp_path: Path) -> None:
    assert found_in(tmp_path, events(), ITEMS) == []


def test_a_lone_far_row_is_told(tmp_path: Path) -> None:
    far, put_aside = found_in(tmp_path, [*events(), "u1,101,5"], ITEMS)
    assert far[0] == put_aside[0] == "warning"
    assert "1 rows of 1970-01-01 lie months away from all others" in far[1]
    assert "row 122 of events.csv" in put_aside[1]


def test_a_bad_day_is_wrong(tmp_path: Path) -> None:
    rows = [text.replace("u", "") if 24 <= number < 48 else text for number, text in enumerate(events())]
    rows = [f",{text.split(',', 1)[1]}" if 24 <= number < 48 else text for number, text in enumerate(rows)]
    ((state, what),) = found_in(tmp_path, rows, ITEMS)
    assert state == "wrong"
    assert what.startswith("2026-01-02 cannot be used: 24 of 24 rows break the contract")


def test_half_a_catalogue_with_another_decimal_sign_is_wrong(tmp_path: Path) -> None:
    items = [text.replace(".", ",") if number % 2 else text for number, text in enumerate(ITEMS)]
    ((state, what),) = found_in(tmp_path, events(), items)
    assert (state, "items: 4 of 9 rows break the contract" in what, "price '1,5' is not a number" in what) == (
        "wrong", True, True
    )  # fmt: skip


@pytest.mark.parametrize("written", [" 10{} ", "10{}.0"])
def test_blanks_and_floats_around_ids_join(tmp_path: Path, written: str) -> None:
    assert found_in(tmp_path, events(item=written), ITEMS) == []


def test_ids_that_are_written_otherwise_are_wrong(tmp_path: Path) -> None:
    ((state, what),) = found_in(tmp_path, events(item="P-10{}"), [f"p{text}" for text in ITEMS])
    assert state == "wrong"
    assert "none of 9 item ids of the interactions" in what
    assert "'P-100', 'P-101', 'P-102' against 'p100', 'p101', 'p102'" in what


def test_a_history_with_gaps_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recsys_pipeline.commands.diagnosis import source as source_findings
    from recsys_pipeline.settings import Settings

    MissingFile(tmp_path, "simulator-tiny").write(
        MissingHistory("2026-03-03", {"2026-03-01": "broken", "2026-03-02": "broken"}, [], 4, 3, 6)
    )
    monkeypatch.setattr(source_findings, "open_source", lambda _: type("Named", (), {"name": "simulator-tiny"}))
    (finding,) = source_findings.check_history(Settings.model_validate({"home": tmp_path}))
    assert (finding.state, finding.what[:33]) == ("wrong", "2 of 3 days up to 2026-03-03 are ")
