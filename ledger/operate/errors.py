"""What a person is told when a command fails: one line that names the cause and the remedy."""

import re

from ledger.kernel.errors import LedgerError


def explain(error: Exception) -> str:
    """One line for the error. What nobody foresaw is named too, with the way to its traceback."""
    return one_line(_explanation(error))


def one_line(text: str) -> str:
    """A message that others broke into lines, without the breaks."""
    return re.sub(r"\s*\n\s*", " ", text).strip()


def _explanation(error: Exception) -> str:
    import psycopg

    if isinstance(error, psycopg.errors.LockNotAvailable):
        return (
            f"others hold in a transaction what this needs: {error.diag.message_primary}. Look who "
            "it is (pg_stat_activity, pg_locks), and try again."
        )
    if isinstance(error, psycopg.OperationalError):
        return (
            f"the database does not answer: {error}. "
            "Check that the server runs and that LEDGER_DATABASE_URL points to it."
        )
    if isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None:
        return f"LEDGER_DATABASE_URL is not a connection URL: {error}. Correct it."
    if isinstance(error, psycopg.errors.UndefinedTable):
        return f"the database lacks a table: {error.diag.message_primary}. Run: ledgerctl migrate"
    if isinstance(error, psycopg.errors.UndefinedFunction):
        return (
            f"the database lacks a function: {error.diag.message_primary}. Run: ledgerctl migrate"
        )
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return (
            f"the database refuses: {error.diag.message_primary}. "
            "Use a database role that may do this (sql/roles)."
        )
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return (
            f"the database takes no changes: {error.diag.message_primary}. It is a standby, or was "
            "set to read only. Point LEDGER_DATABASE_URL to the primary (with several hosts: "
            "target_session_attrs=read-write)."
        )
    if isinstance(error, psycopg.DataError | UnicodeError):
        return f"a value that was given cannot be stored or compared: {error}. Correct it."
    module = type(error).__module__.partition(".")[0]
    if module == "nats" or isinstance(error, ConnectionError | TimeoutError):
        return (
            f"NATS does not answer: {str(error) or type(error).__name__}. "
            "Check that the server runs with JetStream and that LEDGER_NATS_URL points to it."
        )
    if isinstance(error, LedgerError):
        return str(error)  # ours say what to do
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror or error}{where}. Check that the path is right and yours."
    return (
        f"{type(error).__name__}: {error}. This is a mistake of ledgerctl; LEDGER_DEBUG=1 shows "
        "where it is made."
    )
