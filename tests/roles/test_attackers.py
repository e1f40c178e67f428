"""Logins that want more than they have: what they plant, hold and set, while others work."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors, sql

from ledger.cli.audit.verify import CONSISTENT_ONLY
from ledger.operate import roles
from ledger.operate.plugins import migrate_all
from ledger.operate.schema_rights import ForeignObjects
from projections.engine.access.takeover import ForeignCode
from projections.registry import all_projections
from projections.settings import ProjectionSettings
from tests.cli.running import run
from tests.projections.everything import append_everything
from tests.projections.workers import caught_up, running
from tests.roles.acting import ADVISORY_LOCKS, ROLES, login_of
from tests.roles.ledgerctl import NOT_RUN, arguments_of, commands

with_each_role = pytest.mark.parametrize("role", ROLES)

_TO_SUPERUSER = """
    AS $$ BEGIN
        IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
            EXECUTE 'ALTER ROLE {attacker} SUPERUSER';
        END IF;
        RETURN {result};
    END $$ LANGUAGE plpgsql"""
# Functions that our statements call, with argument types that fit their calls better than those of
# PostgreSQL's own: (arguments, returns, result).
_OVERLOADS = {
    "pg_has_role": [
        ("name, regrole, text", "boolean", "pg_catalog.pg_has_role($1, $2::oid, $3)"),
        ("text, text, text", "boolean", "true"),
        ("name, text, text", "boolean", "true"),
    ],
    "to_regclass": [("text", "regclass", "pg_catalog.to_regclass($1)")],
    "coalesce_position": [("bigint", "bigint", "$1")],
    "hashtext": [("text", "integer", "1")],
    "pg_notify": [("text, text", "void", "NULL")],
    "format": [("text, name", "text", "$1"), ("text, text", "text", "$1")],
    "max": [("bigint", "bigint", "$1")],
    "replace": [("text, text, text", "text", "$1")],
    "greatest_of": [("timestamptz, timestamptz", "timestamptz", "$1")],
}


@pytest.fixture
def guarded_url(database_url: str) -> str:
    """A database with something in every read model, that was migrated under its own name: rights
    on databases are not copied with them."""
    migrate_all(database_url)
    append_everything(database_url)
    with running(database_url, all_projections(ProjectionSettings())):
        caught_up(database_url)
    return database_url


@pytest.fixture
def owned_url(database_url: str) -> str:
    migrate_all(database_url)
    return database_url


def attempts(connection: psycopg.Connection[Any], attacker: str) -> Iterator[sql.Composed]:
    """Everything that could be planted, wherever names might be looked up."""
    schemas = [
        name
        for (name,) in connection.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_toast'"
        ).fetchall()
    ]
    relations = connection.execute(
        """SELECT nspname, relname, relkind FROM pg_class
           JOIN pg_namespace AS n ON n.oid = relnamespace
           WHERE relkind IN ('r', 'v') AND nspname !~ '^(pg_|information_schema)'"""
    ).fetchall()
    for schema in schemas:
        place = sql.Identifier(schema)
        for name, signatures in _OVERLOADS.items():
            for arguments, returns, result in signatures:
                yield sql.SQL("CREATE FUNCTION {}.{}({}) RETURNS {} " + _TO_SUPERUSER).format(
                    place,
                    sql.Identifier(name),
                    sql.SQL(arguments),
                    sql.SQL(returns),
                    attacker=sql.SQL(attacker),
                    result=sql.SQL(result),
                )
        for statement in (
            "CREATE TABLE {}.pg_roles (rolname name, rolsuper boolean)",
            "CREATE VIEW {}.pg_stat_activity AS SELECT 1 AS pid",
            "CREATE DOMAIN {}.text AS pg_catalog.text",
            "CREATE TYPE {}.uuid AS ENUM ('x')",
            "CREATE OPERATOR {}.= (FUNCTION = pg_catalog.texteq, LEFTARG = text, RIGHTARG = name)",
            "ALTER SCHEMA {} RENAME TO mine",
        ):
            yield sql.SQL(statement).format(place)
    for schema, name, kind in relations:
        relation = sql.Identifier(schema, name)
        for statement in (
            "CREATE OR REPLACE VIEW {} AS SELECT 1",
            "CREATE TRIGGER planted BEFORE INSERT ON {} EXECUTE FUNCTION "
            "suppress_redundant_updates_trigger()",
            "CREATE RULE planted AS ON INSERT TO {} DO ALSO SELECT 1",
            "CREATE POLICY planted ON {} USING (query_to_xml('SELECT 1', true, true, '') IS NULL)",
            "ALTER TABLE {} ADD COLUMN planted text DEFAULT query_to_xml('', true, true, '')::text",
            "ALTER TABLE {} DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE {} OWNER TO CURRENT_USER",
            "CREATE INDEX ON {} ((1))",
            "DROP TABLE {} CASCADE" if kind == "r" else "DROP VIEW {} CASCADE",
        ):
            yield sql.SQL(statement).format(relation)
    for statement in (
        "CREATE SCHEMA ledger",  # "$user" of the superuser's search path
        "CREATE SCHEMA AUTHORIZATION CURRENT_USER",
        "CREATE CAST (text AS regrole) WITH INOUT AS IMPLICIT",
        "CREATE EVENT TRIGGER planted ON ddl_command_end EXECUTE FUNCTION pg_sleep()",
        "ALTER DATABASE {} SET search_path = pg_temp",
        "ALTER ROLE ledger_operator SET search_path = pg_temp",
        "GRANT pg_write_all_data TO CURRENT_USER",
        "SET SESSION AUTHORIZATION ledger",
        "SET ROLE ledger",
        "SET session_replication_role = replica",
    ):
        yield sql.SQL(statement).format(sql.Identifier(connection.info.dbname))


def planted(login: str, url: str) -> list[str]:
    """What of it succeeded."""
    with psycopg.connect(url, autocommit=True) as owner, psycopg.connect(login) as attacker:
        name = attacker.info.user
        done = []
        for statement in attempts(owner, name):
            try:
                with attacker.transaction():
                    attacker.execute(statement)
            except psycopg.Error:
                continue
            done.append(statement.as_string())
        return done


def owners(url: str) -> set[str]:
    """Of whatever is not PostgreSQL's own; but for the marks, which only operators touch."""
    with psycopg.connect(url) as connection:
        return {
            name
            for (name,) in connection.execute(
                """WITH places AS (SELECT oid, nspowner FROM pg_namespace
                                   WHERE nspname !~ '^(pg_|information_schema|generation_marks)')
                   SELECT pg_get_userbyid(relowner) FROM pg_class, places
                       WHERE relnamespace = places.oid
                   UNION SELECT pg_get_userbyid(proowner) FROM pg_proc, places
                       WHERE pronamespace = places.oid
                   UNION SELECT pg_get_userbyid(typowner) FROM pg_type, places
                       WHERE typnamespace = places.oid
                   UNION SELECT pg_get_userbyid(nspowner) FROM places"""
            )
        } - {"pg_database_owner"}


@with_each_role
def test_no_role_can_make_or_change_what_others_run(owned_url: str, role: str) -> None:
    with login_of(owned_url, role) as login:
        may_have_temporary = role in ("ledger_projector", "ledger_operator")
        found = planted(login, owned_url)
        assert [one for one in found if '"pg_temp' not in one or not may_have_temporary] == []
    assert owners(owned_url) == {"ledger"}


def test_a_login_without_a_role_cannot_even_connect(owned_url: str) -> None:
    with login_of(owned_url) as login, pytest.raises(psycopg.OperationalError, match="CONNECT"):
        psycopg.connect(login)


def test_the_function_that_made_an_operator_superuser_cannot_be_made(owned_url: str) -> None:
    with (
        login_of(owned_url, "ledger_operator") as login,
        psycopg.connect(login, autocommit=True) as operator,
    ):
        for arguments, returns, result in _OVERLOADS["pg_has_role"]:
            with pytest.raises(errors.InsufficientPrivilege):
                operator.execute(
                    sql.SQL(
                        "CREATE FUNCTION public.pg_has_role({}) RETURNS {} " + _TO_SUPERUSER
                    ).format(
                        sql.SQL(arguments),
                        sql.SQL(returns),
                        attacker=sql.Identifier(operator.info.user),
                        result=sql.SQL(result),
                    )
                )


def test_where_somebody_planted_it_before_a_migration_refuses_it_and_does_not_run_it(
    owned_url: str,
) -> None:
    with login_of(owned_url, "ledger_operator") as login:
        attacker = psycopg.conninfo.conninfo_to_dict(login)["user"]
        with psycopg.connect(owned_url, autocommit=True) as owner:
            owner.execute("GRANT CREATE ON SCHEMA public TO ledger_operator")
        with psycopg.connect(login, autocommit=True) as operator:
            for arguments, returns, result in _OVERLOADS["pg_has_role"]:
                operator.execute(
                    sql.SQL(
                        "CREATE FUNCTION public.pg_has_role({}) RETURNS {} " + _TO_SUPERUSER
                    ).format(
                        sql.SQL(arguments),
                        sql.SQL(returns),
                        attacker=sql.Identifier(str(attacker)),
                        result=sql.SQL(result),
                    )
                )
        roles.stepping_down(owned_url)
        roles.at_terminal(owned_url)
        roles.as_role(owned_url, roles.WRITER, "a test")
        with pytest.raises(ForeignObjects, match=r"pg_has_role\(name,regrole,text\) of login_"):
            migrate_all(owned_url)
        with psycopg.connect(owned_url) as owner:
            assert owner.execute(
                "SELECT rolsuper, has_schema_privilege(rolname, 'public', 'CREATE') "
                "FROM pg_roles WHERE rolname = %s",
                [attacker],
            ).fetchone() == (False, False)


def test_a_view_with_a_function_of_an_operators_is_written_anew(owned_url: str) -> None:
    """As older versions let them: operators owned the views."""
    with login_of(owned_url, "ledger_operator") as login:
        with psycopg.connect(owned_url, autocommit=True) as owner:
            owner.execute(
                """ALTER VIEW balances OWNER TO ledger_operator;
                   CREATE SCHEMA of_operators AUTHORIZATION ledger_operator;
                   GRANT CREATE ON SCHEMA public TO ledger_operator;
                   GRANT SELECT ON ALL TABLES IN SCHEMA balances_1 TO ledger_operator"""
            )
        with psycopg.connect(login, autocommit=True) as operator:
            operator.execute(
                """SET ROLE ledger_operator;
                   CREATE FUNCTION of_operators.peek() RETURNS boolean LANGUAGE plpgsql
                       AS $$BEGIN RAISE EXCEPTION 'run by %', current_user; END$$;
                   CREATE OR REPLACE VIEW balances AS
                       SELECT * FROM balances_1.balances WHERE of_operators.peek()"""
            )
        migrate_all(owned_url)
        with psycopg.connect(owned_url) as owner:
            assert owner.execute("SELECT FROM balances").fetchall() == []
            owner.execute("DROP SCHEMA of_operators CASCADE")
            owner.execute("SELECT FROM balances")
    assert owners(owned_url) == {"ledger"}


def test_another_view_of_operators_is_refused_by_name(owned_url: str) -> None:
    with psycopg.connect(owned_url, autocommit=True) as owner:
        owner.execute("CREATE VIEW rich AS SELECT 1; ALTER VIEW rich OWNER TO ledger_operator")
        with pytest.raises(ForeignCode, match=r"operators own public\.rich"):
            migrate_all(owned_url)
        owner.execute("ALTER VIEW rich OWNER TO ledger")
        assert migrate_all(owned_url) == []


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE POLICY mine ON balances_1.balances USING (length(asset) > 0)",
        "CREATE RULE mine AS ON INSERT TO balances_1.balances DO ALSO SELECT 1",
        "CREATE FUNCTION balances_1.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE balances_1.balances ALTER total SET DEFAULT length('x')",
        "ALTER TABLE balances_1.balances ADD CHECK (length(asset) > 0)",
        "CREATE INDEX ON balances_1.balances (length(asset))",
    ],
)
def test_what_an_owner_of_older_versions_put_into_a_table_is_refused_by_name(
    owned_url: str, statement: str
) -> None:
    with psycopg.connect(owned_url, autocommit=True) as owner:
        owner.execute(
            """ALTER SCHEMA balances_1 OWNER TO ledger_projector;
               ALTER TABLE balances_1.balances OWNER TO ledger_projector;
               GRANT ledger_projector TO ledger; SET ROLE ledger_projector"""
        )
        owner.execute(statement.encode())
    with pytest.raises(ForeignCode, match=r"balances.*Then run: ledgerctl migrate"):
        migrate_all(owned_url)


# --- while an administrator works -------------------------------------------------------


def test_every_command_of_ledgerctl_is_run_here_or_says_why_not() -> None:
    assert set(commands()) == set(arguments_of(uuid4(), uuid4())) | set(NOT_RUN)


async def test_no_right_is_gained_while_a_superuser_runs_every_command(
    guarded_url: str, nats_url: str, tmp_path: Path
) -> None:
    """By any of three, who have all planted what they can, and hold every lock that they can."""
    with psycopg.connect(guarded_url) as connection:
        found: Any = connection.execute(
            "SELECT id, stream_id FROM event_store WHERE event_type = 'account.opened' LIMIT 1"
        ).fetchone()
    with ExitStack() as stack:
        attackers: dict[str, psycopg.Connection[Any]] = {}
        for role in ("ledger_operator", "ledger_projector", "ledger_auditor"):
            login = stack.enter_context(login_of(guarded_url, role))
            planted(login, guarded_url)
            holding = stack.enter_context(psycopg.connect(login, autocommit=True))
            for statement in () if attackers else ADVISORY_LOCKS:  # only one can hold them
                holding.execute(statement.encode())
            attackers[role] = holding
        for words, rest in arguments_of(*found).items():
            finished = await run(
                *words.split(),
                *rest,
                cwd=tmp_path,
                LEDGER_DATABASE_URL=guarded_url,
                LEDGER_NATS_URL=nats_url,
            )
            assert "Traceback" not in finished.stderr, words
            assert finished.exit_code in (0, 1, CONSISTENT_ONLY), (words, finished.stderr)
        with psycopg.connect(guarded_url) as connection:
            for role, holding in attackers.items():
                attacker = [holding.info.user]
                assert connection.execute(
                    "SELECT rolsuper OR rolcreaterole OR rolbypassrls FROM pg_roles "
                    "WHERE rolname = %s",
                    attacker,
                ).fetchone() == (False,)
                assert connection.execute(
                    "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = %s::regrole",
                    attacker,
                ).fetchall() == [(role,)]
    assert owners(guarded_url) == {"ledger"}
