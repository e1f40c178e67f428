"""Exports: verified without the ledger, and books that Beancount agrees with."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import psycopg
import pyarrow.parquet
import pytest

from ledger.audit.export import beancount, files
from ledger.audit.export.export import export
from ledger.audit.export.files import CannotExport, Format
from ledger.audit.export.reader import UnreadableExport
from ledger.audit.export.verify import verify_export
from ledger.audit.prove import seals
from ledger.audit.prove.keys import UnusableKey, load_private, load_public, new_key
from ledger.audit.prove.trust import TrustedKey
from ledger.audit.prove.verdict import Finding
from ledger.kernel import money
from ledger.nouns.accounts import events as account_events
from tests.audit import history
from tests.projections import log as logs

TRUSTED = history.TRUSTED
FORMATS: tuple[Format, ...] = ("jsonl", "csv", "parquet")


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def sealed(connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """Forty sealed events in blocks of eight, and three more."""
    history.append(connection, 40)
    history.seal(connection)
    history.append(connection, 3)
    return connection


def first(directory: Path) -> Finding:
    found = verify_export(directory, trusted=TRUSTED).first
    assert found is not None
    return found


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_range_is_verified_from_the_file_alone(
    sealed: psycopg.Connection[Any], tmp_path: Path, file_format: Format
) -> None:
    for begin, end in ((1, 43), (1, 40), (5, 21), (9, 16), (12, 13), (42, 43)):
        directory = tmp_path / f"{begin}-{end}"
        manifest = export(sealed, directory, file_format, first=begin, last=end)
        assert manifest["events"] == end - begin + 1
        assert manifest["unsealed_events"] == max(end - max(begin - 1, 40), 0)
        verdict = verify_export(directory, trusted=TRUSTED)
        assert verdict.findings == ()
        assert verdict.events == manifest["events"] - manifest["unsealed_events"]


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_changed_file_is_told_with_the_first_bad_position(
    sealed: psycopg.Connection[Any], tmp_path: Path, file_format: Format
) -> None:
    """The forger also puts the file's hash right in the manifest."""
    sealed.execute("SET session_replication_role = replica")
    export(sealed, tmp_path / "true", file_format, first=3, last=30)
    sealed.execute("UPDATE event_store SET user_id = gen_random_uuid() WHERE position = 20")
    export(sealed, tmp_path / "false", file_format, first=3, last=30)
    name = f"events.{file_format}"
    shutil.copy(tmp_path / "false" / name, tmp_path / "true" / name)
    found = first(tmp_path / "true")
    assert (found.position, found.tampering) == (3, "changed")
    assert "is not the file of the manifest" in found.message
    found = first(tmp_path / "false")
    assert (found.position, found.tampering) == (17, "changed")
    assert "17-24" in found.message


def test_removed_doubled_and_cut_off_lines_are_told(
    sealed: psycopg.Connection[Any], tmp_path: Path
) -> None:
    export(sealed, tmp_path / "out", "jsonl")
    file = tmp_path / "out" / "events.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    for changed, position, tampering in (
        (lines[:10] + lines[11:], 11, "removed"),
        (lines[:10] + lines[9:], 11, "inserted"),
        (lines[:30], 31, "truncated"),
    ):
        file.write_bytes(b"".join(changed))
        found = [one for one in verify_export(tmp_path / "out").findings if one.position > 1]
        assert [(one.position, one.tampering) for one in found] == [(position, tampering)]


def test_seals_in_the_manifest_are_checked(sealed: psycopg.Connection[Any], tmp_path: Path) -> None:
    export(sealed, tmp_path / "out", "jsonl", first=9)
    assert (
        verify_export(tmp_path / "out", trusted=[TrustedKey(b"\x01" * 32)]).findings[0].position
        == 9
    )
    assert first_with_head(sealed, tmp_path / "out") is None
    manifest = tmp_path / "out" / "manifest.json"
    document = orjson.loads(manifest.read_bytes())
    del document["blocks"][1]
    manifest.write_bytes(orjson.dumps(document))
    assert not verify_export(tmp_path / "out", trusted=TRUSTED).holds


def first_with_head(connection: psycopg.Connection[Any], directory: Path) -> Finding | None:
    head = seals.head(connection)
    assert head is not None
    return verify_export(directory, trusted=TRUSTED, kept=[head]).first


def test_parquet_has_typed_columns(sealed: psycopg.Connection[Any], tmp_path: Path) -> None:
    export(sealed, tmp_path / "out", "parquet")
    table = pyarrow.parquet.read_table(tmp_path / "out" / "events.parquet")
    row = table.to_pylist()[1]
    assert row["position"] == 2
    assert row["occurred_at"].isoformat() == "2026-03-01T12:00:00.250000+00:00"
    assert orjson.loads(row["event_data"])["amount"] == "12.50"


def test_long_events_do_not_wait_in_memory_for_many_others(
    sealed: psycopg.Connection[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "BYTES_AT_ONCE", 10 * len(history.DATA))
    export(sealed, tmp_path / "export", "parquet", first=1, last=40)
    groups = pyarrow.parquet.ParquetFile(tmp_path / "export" / "events.parquet").num_row_groups
    assert groups > 4
    assert verify_export(tmp_path / "export", trusted=TRUSTED).findings == ()


def test_what_cannot_be_exported_says_what_to_do(
    sealed: psycopg.Connection[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CannotExport, match="no events from position 50"):
        export(sealed, tmp_path / "none", "csv", first=50)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(CannotExport, match="is not empty"):
        export(sealed, tmp_path / "full", "csv")
    with pytest.raises(UnreadableExport, match="no whole export"):
        verify_export(tmp_path / "full")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(CannotExport, match=r"trading-ledger\[parquet\]"):
        export(sealed, tmp_path / "arrow", "parquet")


# --- Beancount -------------------------------------------------------------------------------


@pytest.fixture
def books(database_url: str, connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """Deposits, trades and a fee, in assets and sub-accounts that Beancount cannot name."""
    with logs.opened_log(database_url) as log:
        log.account(logs.account_opened(), logs.deposited("USDT", "1000.10"))
        log.account(logs.deposited("1INCH", "0.000000000000000001"), logs.deposited("usdt.e", "5"))
        log.order(logs.submitted())
        log.account(
            logs.settled("2", "100.05", fee="0.2"),
            logs.trade_voided("1", "100.05"),
        )
        other = UUID(int=logs.ACCOUNT.int + 1)
        log.append(other, logs.account_opened(), logs.deposited("USDT", "7"))
    history.seal(connection)
    return connection


def bean_check(file: Path) -> str:
    checked = subprocess.run(
        [Path(sys.executable).parent / "bean-check", file],
        capture_output=True,
        text=True,
        check=False,
    )
    return checked.stdout + checked.stderr + ("" if checked.returncode == 0 else "failed")


def test_beancount_agrees_with_every_balance(
    books: psycopg.Connection[Any], tmp_path: Path
) -> None:
    file = tmp_path / "none"
    for begin in (1, 4, 6):
        directory = tmp_path / str(begin)
        export(books, directory, "beancount", first=begin)
        file = directory / "ledger.beancount"
        assert bean_check(file) == ""
        assert (
            f"balance Assets:{str(logs.ACCOUNT).upper()}:Main  899.85 ~ 0 USDT" in file.read_text()
        )
        assert 'asset: "1INCH"' in file.read_text()
        assert verify_export(directory, trusted=TRUSTED).findings == ()
    # Its check is one that can fail.
    file.write_text(file.read_text().replace("Main  899.85 ~ 0 USDT", "Main  899.86 ~ 0 USDT"))
    assert "Balance failed" in bean_check(file)


def test_the_asserted_balances_are_those_of_the_read_model(
    books: psycopg.Connection[Any], tmp_path: Path
) -> None:
    export(books, tmp_path / "out", "beancount")
    totals: dict[tuple[str, str], Decimal] = {}
    rows = books.execute(
        """SELECT stream_id::text, posting->>'book', posting->>'asset',
               sum((posting->>'amount')::numeric)
           FROM event_store, jsonb_array_elements(event_data->'postings') AS posting
           GROUP BY 1, 2, 3"""
    )
    for account, book, asset, total in rows:
        key = beancount.account((account, book, asset)), beancount.commodity(asset)
        totals[key] = total
    asserted = {
        (words[2], words[-1]): Decimal(words[3])
        for line in (tmp_path / "out" / "ledger.beancount").read_text().splitlines()
        if (words := line.split())[1:2] == ["balance"]
    }
    assert asserted == totals


def test_beancount_agrees_where_amounts_have_more_digits_than_it_reckons_with(
    database_url: str, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    many = "12345678901234567890.123456789012345678"
    with logs.opened_log(database_url) as log:
        log.account(logs.account_opened(), logs.deposited("USDT", many), logs.deposited("A", "0.1"))
        log.account(*(logs.deposited("USDT", f"0.00000{n}123456789012") for n in range(9)))
        log.order(logs.submitted())
        log.account(logs.settled("2.000000000000000001", "12345678.123456789", fee="0.2"))
        log.account(logs.deposited("USDT", "0.000000000000000001"))
    history.seal(connection)
    for begin in (1, 8):
        directory = tmp_path / str(begin)
        export(connection, directory, "beancount", first=begin)
        assert bean_check(directory / "ledger.beancount") == ""
        assert verify_export(directory, trusted=TRUSTED).findings == ()
        text = (directory / "ledger.beancount").read_text()
        assert "rounded_to_places: 7" in text
    assert "  0.1 A\n" in (tmp_path / "1" / "ledger.beancount").read_text()


def test_what_rounding_leaves_of_a_transaction_is_posted_too(tmp_path: Path) -> None:
    large, half = "98765432109876543210", "0.000000000000000005"
    legs = (("main", f"-{large}.00000000000000001"), ("a", f"{large}{half[1:]}"), ("b", half))
    event = {
        "position": 1,
        "id": "e",
        "stream_id": str(logs.ACCOUNT),
        "stream_type": "account",
        "event_type": "account.rebalanced",
        "occurred_at": "2026-03-01T12:00:00Z",
        "event_data": {
            "postings": [{"book": book, "asset": "A", "amount": amount} for book, amount in legs]
        },
    }
    before = {"a": "0.0000004", "b": "0.0000004", "external": "-0.0000008"}
    opening = {(str(logs.ACCOUNT), name, "A"): Decimal(amount) for name, amount in before.items()}
    with money.exact():
        rounded = beancount.places([event], opening)
        text = "".join(beancount.render([event], opening, rounded))
    assert rounded == {"A": 6}
    assert f"  {beancount.account((str(logs.ACCOUNT), 'rounding:', 'A'))}  0.000001 A" in text
    (tmp_path / "ledger.beancount").write_text(text)
    assert bean_check(tmp_path / "ledger.beancount") == ""


def test_every_book_and_any_name_of_an_asset_is_one_that_beancount_takes(tmp_path: Path) -> None:
    others = [
        account_events.venue_book("BINANCE"),
        account_events.fees_book("BINANCE"),
        account_events.rounding_book("BINANCE"),
        account_events.transit_book("a transfer: of $1"),
        *(account_events.flow_book(kind, "BINANCE") for kind in account_events.CashFlowKind),
    ]
    legs = [
        (book, asset, amount)
        for asset in ("$WIF", "币安人生", "=A1", "stETH+", "BTC")
        for other in others
        for book, amount in (("main", "1"), (other, "-1"))
    ]
    postings = [{"book": book, "asset": asset, "amount": amount} for book, asset, amount in legs]
    event = {
        "position": 1,
        "id": "e",
        "stream_id": str(logs.ACCOUNT),
        "stream_type": "account",
        "event_type": "account.rebalanced",
        "occurred_at": "2026-03-01T12:00:00Z",
        "event_data": {"postings": postings},
    }
    with money.exact():
        text = "".join(beancount.render([event], {}))
    (tmp_path / "ledger.beancount").write_text(text)
    assert bean_check(tmp_path / "ledger.beancount") == ""
    for book in others:
        assert ":S-" not in beancount.account(("a", book, "BTC")), book


def test_a_changed_beancount_file_is_told_even_with_its_hash_put_right(
    books: psycopg.Connection[Any], tmp_path: Path
) -> None:
    manifest = export(books, tmp_path / "out", "beancount")
    file = tmp_path / "out" / "ledger.beancount"
    before = manifest["files"][1]["sha256"]
    file.write_text(file.read_text().replace("1000.10", "1000.20"))
    assert not verify_export(tmp_path / "out").holds
    text = (tmp_path / "out" / "manifest.json").read_text()
    after = subprocess.run(["sha256sum", file], capture_output=True, text=True, check=True)
    (tmp_path / "out" / "manifest.json").write_text(text.replace(before, after.stdout.split()[0]))
    assert "does not say what the events say" in first(tmp_path / "out").message


def test_no_two_names_become_one() -> None:
    names = ["main", "Main", "S-main", "a.b", "a-b", "a-2eb", "external", "venue:X", "V-X"]
    names += ["fees:X", "income:x", "transit:X", "rounding:X", "rounding:", "T-X", "I-x"]
    accounts = {beancount.account(("a", name, "BTC")) for name in names}
    assert len(accounts) == len(names)
    assets = ["BTC", "btc", "X-BTC", "1INCH", "X-1INCH", "A.B", "A-2EB"]
    assert len({beancount.commodity(asset) for asset in assets}) == len(assets)
    assert beancount.commodity("BTC") == "BTC"
    with money.exact():
        assert list(beancount.render([], {}))


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    public = new_key(tmp_path / "key.pem")
    assert load_private(tmp_path / "key.pem").public_key().public_bytes_raw() == public
    assert load_public(str(tmp_path / "key.pem.pub")) == load_public(public.hex()) == public
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    with pytest.raises(UnusableKey, match="is there already"):
        new_key(tmp_path / "key.pem")
    with pytest.raises(UnusableKey, match="no private key"):
        load_private(tmp_path / "key.pem.pub")
    with pytest.raises(UnusableKey, match="neither"):
        load_public("nothing")
