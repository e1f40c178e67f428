"""A client needs few packages, little room and little time, and no server's code."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.installation import python_with_client, site_packages
from tests.programs.services import ANSWER_SECONDS, running_worker
from tests.questions.test_query_service import running_queries

MAX_BYTES = 40_000_000
MAX_IMPORT_SECONDS = 0.25
"""Of the processor: what others do on this machine is not the client's."""
MOST_OF_ITS_PACKAGES = 2.3
"""On a machine that is slower than that: so many times what the packages alone take."""

PACKAGES = (
    "import msgspec, nats.aio.client, orjson, uuid_utils; "
    "from pydantic import BaseModel, Field, PlainValidator, WithJsonSchema, model_validator"
)
SERVICE = """
import asyncio, sys
from uuid import uuid4

from ledger import CommandRejected, Deposit, LedgerClient, LedgerError, OpenAccount, Withdraw
from ledger import sync

URL = sys.argv[1]
ACCOUNT = uuid4()
OPEN = OpenAccount(account_id=ACCOUNT, user_id=uuid4(), exchange="BINANCE", name="test",
                   account_type="CASH", environment="PAPER", base_currency="USDT")

async def service():
    async with await LedgerClient.connect(URL, source="test") as ledger:
        (await ledger.submit(OPEN)).raise_for_rejection()
        outcome = await ledger.submit(Deposit(account_id=ACCOUNT, asset="USDT", amount="100"))
        assert outcome.accepted, outcome
        assert (await ledger.queries.instruments(limit=1)).rows == []

asyncio.run(service())
with sync.LedgerClient.connect(URL, source="test") as ledger:
    try:
        ledger.submit(Withdraw(account_id=ACCOUNT, asset="USDT", amount=101)).raise_for_rejection()
    except LedgerError as error:
        assert isinstance(error, CommandRejected)
        print(error.code)
"""

TYPED = """
from decimal import Decimal
from uuid import uuid4

from ledger import Deposit, LedgerClient, LedgerError, Outcome, SubmitOrder
from ledger.sync import LedgerClient as WaitingClient

order = SubmitOrder(
    order_id=str(uuid4()), instrument="BINANCE:BTCUSDT", side="BUY", order_type="LIMIT",
    quantity="1", price=Decimal("20000.5"), fee_rate=0,
)
quantity: Decimal | None = order.quantity
reveal_type(order.side)

async def service(ledger: LedgerClient) -> Outcome:
    return await ledger.submit(Deposit(asset="USD", amount="100"), account_id=uuid4())

def waiting(ledger: WaitingClient) -> Decimal:
    try:
        ledger.submit(order, account_id=uuid4()).raise_for_rejection()
    except LedgerError:
        raise
    return ledger.queries.balances(uuid4()).rows[0].available

Deposit(asset="USD", amount=0.1)
Deposit(asset="USD", amout="1")
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return python_with_client(tmp_path_factory.mktemp("installed"))


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # From a directory of its own: nothing of this repository is to be found.
    return subprocess.run(
        [str(python), *arguments],
        cwd=python.parent,
        capture_output=True,
        text=True,
        timeout=4 * ANSWER_SECONDS,
    )


async def test_it_works_with_the_packages_of_a_client_alone(
    python: Path, database_url: str, nats_url: str
) -> None:
    async with running_worker(database_url, nats_url), running_queries(database_url, nats_url):
        done = await asyncio.to_thread(run, python, "-c", SERVICE, nats_url)
    assert (done.stderr, done.stdout) == ("", "INSUFFICIENT_FUNDS\n")


def test_it_takes_little_room(python: Path) -> None:
    run(python, "-c", "from ledger import LedgerClient")
    files = [file for file in site_packages(python).rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < MAX_BYTES


def test_it_is_there_at_once(python: Path) -> None:
    def seconds(imports: str) -> float:
        program = f"import time; begin = time.process_time(); {imports}"
        return float(run(python, "-c", f"{program}; print(time.process_time() - begin)").stdout)

    packages, client = [], []
    for _ in range(8):  # in turns, so that both meet what the machine does beside
        packages.append(
            seconds("import msgspec, nats.aio.client, orjson, pydantic.main, uuid_utils")
        )
        client.append(seconds("from ledger import Deposit, LedgerClient"))
    assert min(client) < max(MAX_IMPORT_SECONDS, MOST_OF_ITS_PACKAGES * min(packages))


def test_the_terminal_names_the_extra_that_it_needs(python: Path) -> None:
    done = run(python, "-m", "ledger", "up")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ledgerctl needs packages that are not installed: ")
    assert line.endswith("Run: pip install 'trading-ledger[server]'")


def test_a_type_checker_without_a_plugin_knows_what_may_be_given(
    python: Path, tmp_path: Path
) -> None:
    (tmp_path / "service.py").write_text(TYPED)
    checked = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary"),
            *("--python-executable", str(python), "--cache-dir", str(tmp_path / "cache")),
            "service.py",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
    )
    lines = checked.stdout.splitlines()
    assert len(lines) == 3, checked.stdout + checked.stderr
    assert 'Revealed type is "ledger.nouns.orders.events.Side"' in lines[0]
    assert 'Argument "amount" to "Deposit" has incompatible type "float"' in lines[1]
    assert 'Unexpected keyword argument "amout"' in lines[2]
