"""Whether the server does its work: it answers, and its database does."""

import psycopg
import structlog
from fastapi import Request
from fastapi.responses import PlainTextResponse
from psycopg_pool import PoolTimeout

from ledger.web.application import Web

_log = structlog.get_logger(__name__)


def is_ready(request: Request) -> PlainTextResponse:
    """Asked from outside, by address."""
    web: Web = request.app.state.web
    try:
        with web.database.keeping() as connection:
            connection.execute("SELECT FROM public.log_standing(NULL)")
    except (psycopg.Error, PoolTimeout) as error:
        _log.warning("not_ready", error=str(error).strip())
        return PlainTextResponse("not ready: see the log\n", 503)
    return PlainTextResponse("ready\n")
