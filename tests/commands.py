"""Commands for tests, made as a service would: as JSON messages, through `parse`."""

from typing import Any
from uuid import UUID

import orjson
from uuid_utils.compat import uuid7

from ledger.kernel.command import Command, InvalidCommand
from ledger.write.parser import parse

USER = UUID("018f0000-0000-7000-8000-000000000001")
INSTRUMENT = "BINANCE:BTCUSDT"


def message(command_type: str, subject: UUID | str, **data: Any) -> dict[str, Any]:
    """A complete CloudEvents message."""
    return {
        "specversion": "1.0",
        "id": str(uuid7()),
        "source": "test",
        "type": command_type,
        "subject": str(subject),
        "data": {name: _plain(value) for name, value in data.items()},
    }


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value


def parsed(a_message: dict[str, Any]) -> Command | InvalidCommand:
    return parse(orjson.dumps(a_message))


def command(command_type: str, subject: UUID | str, **data: Any) -> Command:
    """A well-formed command."""
    read = parsed(message(command_type, subject, **data))
    assert isinstance(read, Command), read
    return read


def open_account(account_id: UUID, **changes: Any) -> Command:
    data = {
        "account_id": account_id,
        "user_id": USER,
        "exchange": "BINANCE",
        "name": "test",
        "account_type": "CASH",
        "environment": "PAPER",
        "base_currency": "USDT",
    }
    return command("OpenAccount", account_id, **(data | changes))


def list_instrument(**changes: Any) -> Command:
    data = {
        "instrument": INSTRUMENT,
        "base_asset": "BTC",
        "quote_asset": "USDT",
        "tick_size": "0.01",
        "step_size": "0.00001",
        "min_quantity": "0.00001",
        "max_quantity": "1000",
    }
    return command("ListInstrument", "instruments", **(data | changes))


def submit_order(account_id: UUID, order_id: UUID, **changes: Any) -> Command:
    data = {
        "order_id": order_id,
        "instrument": INSTRUMENT,
        "side": "BUY",
        "order_type": "LIMIT",
        "quantity": "0.5",
        "price": "100",
    }
    return command("SubmitOrder", account_id, **(data | changes))
