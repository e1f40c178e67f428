"""What row-level security costs a user's reads, among a million rows of others.

    python -m benchmarks.row_security --json

Fills `balances` (20 rows per user) and `orders` (1,000 per user). Then each question is asked as
`ledger_user`, and by a superuser with the policy's condition written by hand, in turns.
"""

import time
from typing import Any
from uuid import UUID

import psycopg

from benchmarks.harness import migrated_database, quiet, report, take_turns
from projections.install import install

ROWS = 1_000_000
TURNS = 20
ASKED_PER_TURN = 20
USER = UUID("9e3669d1-9b67-5bd5-84f4-4673deec4a7a")
OF_USER = f"user_id = '{USER}'"

_FILL = """
    INSERT INTO balances_1.balances
    SELECT md5('a' || i / 5)::uuid,
        CASE i / 20 WHEN 7 THEN %(user)s ELSE md5('u' || i / 20)::uuid END,
        'main', 'A' || i %% 5, 1, 1, 0, now(), i
    FROM generate_series(1, %(rows)s) AS i"""
_FILL_ORDERS = """
    INSERT INTO orders_1.orders
    SELECT gen_random_uuid(),
        CASE i %% 1000 WHEN 7 THEN %(user)s ELSE md5('u' || i %% 1000)::uuid END,
        md5('a' || i %% 4000)::uuid, NULL, 'main', NULL, NULL, 'BINANCE:BTCUSDT', 'BUY', NULL,
        'LIMIT', 1, NULL, false, 1, NULL, 0, 0, NULL, 1, 0, 0, 0, NULL, NULL, 'NEW', 'GTC', false,
        false, NULL, 'LEDGER', NULL, NULL, NULL, false, false, now() - make_interval(secs => i),
        now(), NULL, NULL, i
    FROM generate_series(1, %(rows)s) AS i"""

QUESTIONS = {
    "balances": "SELECT * FROM balances WHERE {}",
    "balances of an account": "SELECT * FROM balances WHERE {} AND account_id = md5('a30')::uuid",
    "newest orders": "SELECT * FROM orders WHERE {} ORDER BY created_at DESC LIMIT 50",
    "open orders": "SELECT * FROM orders WHERE {} AND account_id = md5('a7')::uuid"
    " AND instrument = 'BINANCE:BTCUSDT' AND status IN ('PENDING', 'NEW', 'PARTIALLY_FILLED')"
    " LIMIT 50",
}


def measure(database_url: str) -> dict[str, Any]:
    figures: dict[str, Any] = {"rows": ROWS}
    with (
        psycopg.connect(database_url, autocommit=True) as by_hand,
        psycopg.connect(database_url, autocommit=True) as user,
    ):
        for statement in (_FILL, _FILL_ORDERS):
            by_hand.execute(statement, {"user": USER, "rows": ROWS})
        by_hand.execute("VACUUM ANALYZE")
        user.execute("SELECT set_config('app.current_user_id', %s, false)", [str(USER)])
        user.execute("SET ROLE ledger_user")
        for name, question in QUESTIONS.items():
            guarded, written = question.format("true"), question.format(OF_USER)
            answer = user.execute(guarded.encode()).fetchall()
            assert answer
            assert len(answer) == len(by_hand.execute(written.encode()).fetchall())
            ours, theirs = take_turns(
                TURNS,
                lambda q=guarded: _per_second(user, q),  # type: ignore[misc]
                lambda q=written: _per_second(by_hand, q),  # type: ignore[misc]
            )
            figures[f"{name}: rows"] = len(answer)
            figures[f"{name}: ms with the policy"] = 1_000 / ours
            figures[f"{name}: ms by hand"] = 1_000 / theirs
            figures[f"{name}: ratio"] = ours / theirs
    return figures


def _per_second(connection: psycopg.Connection[Any], question: str) -> float:
    started = time.perf_counter()
    for _ in range(ASKED_PER_TURN):
        connection.execute(question.encode()).fetchall()
    return ASKED_PER_TURN / (time.perf_counter() - started)


def main() -> None:
    quiet()
    with migrated_database() as database_url:
        install(database_url)
        report("row_security", measure(database_url))


if __name__ == "__main__":
    main()
