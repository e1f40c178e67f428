"""Every exception that leaves this project is a LedgerError."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest

import ledger
import projections
from ledger.kernel.errors import LedgerError

STANDS_ALONE = "ledger.audit.prove.check_proof"
"""Handed to auditors as one file, which imports nothing of ours."""


def _modules() -> Iterator[str]:
    for package in (ledger, projections):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.rpartition(".")[2] != "__main__" and module.name != STANDS_ALONE:
                yield module.name


@pytest.mark.parametrize("name", list(_modules()))
def test_public_exceptions_of_a_module_have_one_base(name: str) -> None:
    module = importlib.import_module(name)
    own = [
        member
        for member in vars(module).values()
        if inspect.isclass(member)
        and issubclass(member, Exception)
        and member.__module__ == name
        and not member.__name__.startswith("_")
    ]

    assert [error for error in own if not issubclass(error, LedgerError)] == []
