"""A user sees their own rows of every read model and nobody else's, whichever way they look, and
whichever build is live."""

from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors, sql

from ledger.operate import roles
from ledger.operate.plugins import migrate_all
from projections.engine.builds.candidate import Limits
from projections.engine.builds.rebuild import rebuild
from projections.engine.projection import Projection
from projections.registry import all_projections
from projections.settings import ProjectionSettings
from tests.conftest import TEMPLATE
from tests.databases import temporary_database
from tests.projections.everything import append_everything
from tests.projections.log import Log, account_opened, deposited
from tests.projections.workers import caught_up, running
from tests.roles.acting import acting_as, login_of

PROJECTIONS = all_projections(ProjectionSettings())
NO_USERS = {"limits", "limit_history"}
"""Public tables of which no user sees a row: limits are of everybody who is in their scope, and
each asks the ledger for what is left of their own (`limit-use`)."""
OF_USERS = [
    (projection, table.name)
    for projection in PROJECTIONS
    for table in projection.public_tables
    if not table.shared and table.name not in NO_USERS
]
"""Every other public table whose rows are somebody's."""
LIMITS = Limits(batch_positions=200, rows_in_memory=1_000)

every_table = pytest.mark.parametrize(
    ("projection", "table"), OF_USERS, ids=[table for _, table in OF_USERS]
)


@pytest.fixture(scope="module")
def url(postgres_url: str) -> Iterator[str]:
    """A database in which several users have rows everywhere."""
    with temporary_database(postgres_url, template=TEMPLATE) as database_url:
        append_everything(database_url)
        with running(database_url, PROJECTIONS):
            caught_up(database_url)
        yield database_url


@pytest.fixture(scope="module")
def swapped_url(postgres_url: str, url: str) -> Iterator[str]:
    """A copy of it in which an operator, no superuser, has rebuilt every read model."""
    name = urlsplit(url).path.removeprefix("/")
    with temporary_database(postgres_url, template=name) as database_url:
        migrate_all(database_url)  # a copied database lacks the rights on databases
        with login_of(database_url, "ledger_operator") as operator:
            for projection in PROJECTIONS:
                rebuild(roles.at_terminal(operator), projection, LIMITS)
        yield database_url


@pytest.fixture(params=["url", "swapped_url"], ids=["first build", "after a swap"])
def either_url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    return found


def users(database_url: str, relation: str) -> dict[UUID | None, int]:
    """How many rows each user has, as somebody sees it who sees everything; rows that are nobody's
    are left out."""
    with psycopg.connect(database_url) as connection:
        return dict(
            connection.execute(
                sql.SQL(
                    "SELECT user_id, count(*) FROM {} WHERE user_id IS NOT NULL GROUP BY 1"
                ).format(sql.Identifier("public", relation))
            ).fetchall()
        )


def seen(database_url: str, user_id: UUID | None, relation: sql.Composable) -> set[UUID | None]:
    with acting_as(database_url, "ledger_user", user_id) as connection:
        query = sql.SQL("SELECT DISTINCT user_id FROM {}").format(relation)
        return {found for (found,) in connection.execute(query)}


@every_table
def test_a_user_sees_all_their_rows_and_none_of_anybody_else(
    either_url: str, projection: Projection, table: str
) -> None:
    rows_of = users(either_url, table)
    assert len(rows_of) >= 2, "the test needs rows of two users"
    for user_id, rows in rows_of.items():
        assert user_id is not None
        with acting_as(either_url, "ledger_user", user_id) as connection:
            found = connection.execute(f"SELECT user_id FROM {table}".encode()).fetchall()
        assert found == [(user_id,)] * rows


@pytest.mark.parametrize("table", sorted(NO_USERS))
def test_what_is_no_user_s_shows_users_nothing(either_url: str, table: str) -> None:
    with psycopg.connect(either_url) as connection:
        rows = connection.execute(f"SELECT FROM {table}".encode()).rowcount
        users = [user for (user,) in connection.execute("SELECT DISTINCT user_id FROM accounts")]
    assert rows, "the test needs rows"
    for user_id in users:
        with acting_as(either_url, "ledger_user", user_id) as connection:
            assert connection.execute(f"SELECT FROM {table}".encode()).fetchall() == []


@every_table
def test_nobody_is_nobody(either_url: str, projection: Projection, table: str) -> None:
    relation = sql.Identifier("public", table)
    assert seen(either_url, None, relation) == set()
    assert seen(either_url, uuid4(), relation) == set()
    with acting_as(either_url, "ledger_user") as connection:
        connection.execute("SET app.current_user_id = ''")
        assert connection.execute(f"SELECT FROM {table}".encode()).fetchall() == []
        connection.execute("SET app.current_user_id = 'everybody'")
        with pytest.raises(errors.InvalidTextRepresentation):
            connection.execute(f"SELECT FROM {table}".encode())


@every_table
def test_the_tables_behind_the_views_show_no_more(
    either_url: str, projection: Projection, table: str
) -> None:
    user_id = next(iter(users(either_url, table)))
    with psycopg.connect(either_url) as connection:
        schemas = [
            name
            for (name,) in connection.execute(
                "SELECT nspname FROM pg_namespace WHERE nspname ~ %s",
                [f"^{projection.name}_[0-9]+$"],
            )
        ]
    assert schemas
    for schema in schemas:
        assert seen(either_url, user_id, sql.Identifier(schema, table)) == {user_id}


@every_table
def test_views_and_functions_of_a_superuser_upon_them_show_no_more(
    either_url: str, projection: Projection, table: str
) -> None:
    user_id = next(iter(users(either_url, table)))
    with psycopg.connect(either_url, autocommit=True) as connection:
        connection.execute(
            f"""CREATE OR REPLACE VIEW public.upon_{table} AS SELECT * FROM {table};
                CREATE OR REPLACE VIEW public.twice_upon_{table} AS SELECT * FROM upon_{table};
                CREATE OR REPLACE FUNCTION public.of_{table}() RETURNS SETOF {table}
                    LANGUAGE sql STABLE AS 'SELECT * FROM {table}';
                GRANT SELECT ON upon_{table}, twice_upon_{table} TO ledger_user""".encode()
        )
    for relation in (f"upon_{table}", f"twice_upon_{table}"):
        assert seen(either_url, user_id, sql.Identifier("public", relation)) == {user_id}
    assert seen(either_url, user_id, sql.SQL(f"of_{table}()")) == {user_id}


@every_table
def test_a_function_in_a_condition_is_shown_no_row_of_somebody_else(
    either_url: str, projection: Projection, table: str
) -> None:
    user_id = next(iter(users(either_url, table)))
    with psycopg.connect(either_url, autocommit=True) as connection:  # as a BI tool's might be
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("GRANT TEMPORARY ON DATABASE {} TO ledger_user").format(name))
    with acting_as(either_url, "ledger_user", user_id) as connection:
        heard: list[str] = []
        connection.add_notice_handler(lambda notice: heard.append(notice.message_primary or ""))
        # So cheap that the planner would call it first if it might.
        connection.execute(
            """CREATE FUNCTION pg_temp.peek(seen uuid) RETURNS boolean COST 0.0001
               LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE '%', seen; RETURN true; END$$"""
        )
        connection.execute(f"SELECT FROM {table} WHERE pg_temp.peek(user_id)".encode())
    assert set(heard) == {str(user_id)}


def test_everybody_sees_what_belongs_to_nobody(either_url: str) -> None:
    with acting_as(either_url, "ledger_user") as connection:
        assert connection.execute("SELECT FROM symbols").fetchall()


def test_what_is_private_to_a_projection_is_closed_to_users(either_url: str) -> None:
    private = {
        table.name for projection in PROJECTIONS for table in projection.tables if table.private
    }
    with acting_as(either_url, "ledger_user") as connection:
        readable = {
            name
            for (name,) in connection.execute(
                """SELECT relname FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace
                   WHERE relkind IN ('r', 'v', 'm', 'f', 'p') AND relpersistence <> 't'
                       AND nspname NOT IN ('pg_catalog', 'information_schema')
                       AND has_schema_privilege(n.oid, 'USAGE')
                       AND has_table_privilege(pg_class.oid, 'SELECT')"""
            )
        }
    assert private
    public = {table.name for projection in PROJECTIONS for table in projection.public_tables}
    upon = {name for name in readable if name.startswith(("upon_", "twice_upon_"))}
    assert readable - upon == public


def test_auditors_and_operators_see_the_rows_of_all(either_url: str) -> None:
    for role in ("ledger_auditor", "ledger_operator"):
        for _, table in OF_USERS:
            counted = f"SELECT count(*) FROM {table}".encode()
            with acting_as(either_url, role) as connection, psycopg.connect(either_url) as owner:
                found = connection.execute(counted).fetchone()
                assert found == owner.execute(counted).fetchone()


def test_workers_fold_on_what_an_operator_has_rebuilt(swapped_url: str) -> None:
    with psycopg.connect(swapped_url, autocommit=True) as connection:
        generations = connection.execute("SELECT DISTINCT generation FROM event_projections")
        assert generations.fetchall() == [(2,)]
        log = Log(connection)
        account_id = uuid4()
        log.append(account_id, account_opened(), deposited("USDT", "5"))
    with (
        login_of(swapped_url, "ledger_projector") as worker,
        running(roles.as_role(worker, roles.PROJECTOR, "a test"), PROJECTIONS),
    ):
        caught_up(swapped_url)
    with acting_as(swapped_url, "ledger_auditor") as connection:
        found = connection.execute(
            "SELECT total FROM balances WHERE account_id = %s", [account_id]
        ).fetchall()
    assert found == [(5,)]


def test_a_read_model_of_an_older_version_is_closed_by_the_next_migration(
    database_url: str,
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            """ALTER TABLE orders_1.orders DISABLE ROW LEVEL SECURITY;
               ALTER TABLE orders_1.orders OWNER TO ledger_projector;
               ALTER SCHEMA orders_1 OWNER TO ledger_projector"""
        )
        migrate_all(database_url)
        assert connection.execute(
            """SELECT relrowsecurity, relowner::regrole::text FROM pg_class
               WHERE oid = 'orders_1.orders'::regclass"""
        ).fetchone() == (True, "ledger")


def test_one_users_rows_among_many_are_found_by_an_index(database_url: str) -> None:
    """Measured at a million rows: docs/decisions/0012-row-level-security-on-tables.md."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            """INSERT INTO balances_1.balances
               SELECT gen_random_uuid(), md5((i / 20)::text)::uuid, 'main', 'USDT', 1, 1, 0,
                      now(), i
               FROM generate_series(1, 50000) AS i;
               ANALYZE balances_1.balances"""
        )
    user_id = UUID(hex="cfcd208495d565ef66e7dff9f98764da")
    with acting_as(database_url, "ledger_user", user_id) as connection:
        plan = "\n".join(
            line for (line,) in connection.execute("EXPLAIN (ANALYZE) SELECT * FROM balances")
        )
        found = connection.execute("SELECT count(*) FROM balances").fetchone()
    assert found == (19,)
    assert "balances_user" in plan
    assert "Seq Scan" not in plan
