"""The contract that services read is whole: every command with its fields, every code."""

import inspect
import re

import pytest

import ledger
from ledger import LedgerClient
from ledger.bus.queries import POSITION_OF, QUERY_PREFIX
from ledger.kernel.command import AccountCommandData, Command, CommandData, Outcome
from ledger.nouns import COMMAND_DATA, REJECTIONS
from ledger.nouns.orders.commands import OrderFactData
from ledger.write.parser import parse
from projections.questions.catalogue import questions
from tests.docs.pages import DOCS, blocks, table_rows

PAGE = DOCS / "services.md"


# --- commands ---------------------------------------------------------------------------


def documented_commands() -> dict[str, tuple[str, set[str]]]:
    """(kind, fields) by command; optional fields end with `?`."""
    return {
        cells[0].strip("`"): (cells[1], set(re.findall(r"`([^`]+)`", cells[2])))
        for cells in table_rows(PAGE, "Commands")
        if cells[0].startswith("`")
    }


def fields_of(model: type[CommandData]) -> set[str]:
    """The fields as the page has them: those that many commands share are told once."""
    shared = set(OrderFactData.model_fields if issubclass(model, OrderFactData) else {})
    subject = {"account_id"} if issubclass(model, AccountCommandData) else set()
    return {
        name if field.is_required() else f"{name}?"
        for name, field in model.model_fields.items()
        if name not in shared and (name not in subject or field.is_required())
    }


def test_the_page_has_every_command_and_no_other() -> None:
    assert set(documented_commands()) == set(COMMAND_DATA)


@pytest.mark.parametrize("name", COMMAND_DATA)
def test_the_page_has_every_field_of_a_command(name: str) -> None:
    assert documented_commands()[name][1] == fields_of(COMMAND_DATA[name])


def test_the_page_has_the_fields_that_all_facts_about_orders_share() -> None:
    text = PAGE.read_text(encoding="utf-8")
    sentence = re.search(r"^Each of these also takes (.*?)\.\n", text, re.MULTILINE | re.DOTALL)
    assert sentence is not None
    assert set(re.findall(r"`([^`]+)`", sentence[1])) == {
        name if field.is_required() else f"{name}?"
        for name, field in OrderFactData.model_fields.items()
    }


# --- examples ---------------------------------------------------------------------------


def test_the_examples_of_a_message_and_its_outcome_are_well_formed() -> None:
    message, outcome = (block.text for block in blocks(PAGE) if block.language == "json")
    command = parse(message.encode())
    assert isinstance(command, Command), command
    assert Outcome.from_json(outcome).command_id == command.id


# --- codes ------------------------------------------------------------------------------


def documented_codes() -> list[str]:
    return [cells[0].strip("`") for cells in table_rows(PAGE, "Codes")]


def test_the_page_has_every_code_and_no_other() -> None:
    assert set(documented_codes()) == set(REJECTIONS)


def test_each_code_is_explained_once_with_what_to_do() -> None:
    codes = documented_codes()
    assert len(codes) == len(set(codes))
    assert all(len(cells) == 3 and all(cells) for cells in table_rows(PAGE, "Codes"))


# --- questions --------------------------------------------------------------------------


def test_the_page_has_every_question_with_its_filters_and_no_other() -> None:
    told = {
        cells[0].strip("`"): tuple(set(re.findall(r"`(\w+)\??`", cell)) for cell in cells[1:3])
        for cells in table_rows(PAGE, "Queries")
        if cells[0].startswith("`ledger.query.")
    }
    del told[f"{QUERY_PREFIX}.{POSITION_OF}"]
    assert told == {
        f"{QUERY_PREFIX}.{name}": (
            ways := {path.by for path in question.paths if path.by is not None},
            set(question.filter_of) - ways,
        )
        for name, question in questions().items()
    }


# --- the client -------------------------------------------------------------------------


def _table(heading: str) -> list[list[str]]:
    """The rows of the one table of the section "From Python" whose first heading is this."""
    section = PAGE.read_text(encoding="utf-8").split("\n## From Python\n")[1].split("\n## ")[0]
    table = section.split(f"\n| {heading} |")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_page_has_every_exception_that_a_service_imports_and_what_to_do() -> None:
    told = {cells[0].strip("`") for cells in _table("exception") if all(cells)}
    exported = {name for name in ledger.HOMES if _is_exception(getattr(ledger, name))}
    assert told == exported - {"LedgerError"}


def _is_exception(member: object) -> bool:
    return isinstance(member, type) and issubclass(member, Exception)


def test_the_page_has_the_limits_of_the_client_as_they_are() -> None:
    for argument, methods, default, _ in _table("argument"):
        for method in re.findall(r"`(\w+)`", methods):
            signature = inspect.signature(getattr(LedgerClient, method))
            value = signature.parameters[argument.strip("`")].default
            assert float(default.removesuffix(" s")) == value, (method, argument)
