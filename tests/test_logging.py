"""Logs tell nobody's secrets."""

import json
import subprocess
import sys

import pytest

from ledger.kernel.masking import masked

SECRETS = {
    "nats://user:SECRET@host:4222": "nats://***@host:4222",
    "nats://SECRET@host:4222": "nats://***@host:4222",
    "nats://u:SECRET@a,nats://u:SECRET@b": "nats://***@a,nats://***@b",
    "tls://u:SEC/RET@host": "tls://***@host",
    "nats://u:SEC@RET@host": "nats://***@host",
    "postgresql://ledger:SECRET@db/ledger": "postgresql://ledger:***@db/ledger",
    "postgres://me@/db?password=SECRET&host=x": "postgres://me@/db?password=***&host=x",
    "host=db password='SEC RET' dbname=ledger": "host=db password=*** dbname=ledger",
}


@pytest.mark.parametrize("text", SECRETS)
def test_a_text_is_shown_without_its_secrets(text: str) -> None:
    assert masked(text) == SECRETS[text]
    assert masked(f"it failed: {text}: again") == f"it failed: {SECRETS[text]}: again"


@pytest.mark.parametrize("text", ["http://host:80/x", "me@example.org", "a password is missing"])
def test_what_is_no_secret_stays(text: str) -> None:
    assert masked(text) == text


def test_no_log_line_tells_a_secret_whoever_writes_it_and_however() -> None:
    program = """
import logging, structlog
from ledger.operate.logging import configure
configure("test")
url = "nats://user:SECRET@host"
structlog.get_logger().info("connecting", url=url, all=[{"url": url}], error=ValueError(url))
logging.getLogger("library").warning("cannot reach %s", url)
try:
    raise OSError(url)
except OSError:
    structlog.get_logger().exception("failed")
    logging.getLogger("library").exception("failed")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    lines = done.stderr.decode().splitlines()
    assert [json.loads(line)["service"] for line in lines] == ["test"] * 4
    assert "SECRET" not in done.stderr.decode()
    assert done.stderr.decode().count("nats://***@host") >= 6


def test_what_services_import_is_silent_until_they_listen_and_json_in_ours() -> None:
    program = """
import logging, sys
from ledger.kernel.logger import EventLogger
log = EventLogger("ledger.bus.connection")
log.warning("nats_disconnected", url="unheard")
if sys.argv[1] == "ours":
    from ledger.operate.logging import configure
    configure("test")
else:
    logging.basicConfig(format="%(name)s %(message)s", level="INFO")
log.debug("nats_error", url="unheard")
log.info("nats_reconnected", url="nats://user:SECRET@host", connection="strategy-7")
"""

    def lines(whose: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", program, whose], capture_output=True, check=True, text=True
        ).stderr

    line = json.loads(lines("ours"))
    assert (line["event"], line["level"], line["service"]) == ("nats_reconnected", "info", "test")
    assert (line["url"], line["connection"]) == ("nats://***@host", "strategy-7")
    assert lines("theirs") == (
        "ledger.bus.connection nats_reconnected url='nats://***@host' connection='strategy-7'\n"
    )


def test_what_goes_wrong_again_and_again_is_told_once_with_how_often_it_was() -> None:
    program = """
import threading, structlog
from ledger.operate import logging
logging.QUIET_SECONDS = 0.2
logging.configure("test")
log = structlog.get_logger()
def outage():
    for _ in range(100):
        log.warning("database_away", error="refused", projection="orders")
thread = threading.Thread(target=outage)
thread.start()
thread.join()
log.warning("database_away", error="no route")
log.warning("failed", reason="x", command_id="1")
log.warning("failed", reason="x", command_id="2")
threading.Event().wait(0.3)
outage()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    lines = [json.loads(line) for line in done.stderr.decode().splitlines()]
    assert [(line["event"], line.get("error"), line.get("left_out")) for line in lines] == [
        ("database_away", "refused", None),
        ("database_away", "no route", None),
        ("failed", None, None),
        ("failed", None, None),
        ("database_away", "refused", 99),
    ]
    assert {line["service"] for line in lines} == {"test"}


def test_an_outage_names_each_read_model_that_it_concerns_once() -> None:
    program = """
import sys
from ledger.operate import logging
import structlog
now = 100.0
logging.time.monotonic = lambda: now
logging.configure("test")
log = structlog.get_logger()
for now in (100.0, 101.0, 103.0, 111.0, 112.0, 140.0):
    for name in ("orders", "balances", "fills"):
        log.warning("projection.interrupted", projection=name, error="the database is away")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    lines = [json.loads(line) for line in done.stderr.decode().splitlines()]
    assert [(line["projection"], line.get("left_out")) for line in lines] == [
        ("orders", None),
        ("balances", None),
        ("fills", None),
        ("orders", 6),
        ("orders", 5),
        ("balances", None),
        ("fills", None),
    ]
