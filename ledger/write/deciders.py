"""What decides: the handler of every command type, and what the events of every stream come to.

Derived from what the nouns register in their `decider.py`. Who sends commands and reads events has
no use for it and does not load it.
"""

from importlib import import_module
from importlib.util import find_spec

from ledger.kernel.noun import Aggregate, Decider, HandledCommand, Noun
from ledger.nouns import NOUNS


def _decider(noun: Noun) -> Decider:
    """Of a noun; nothing for one whose events are appended by operators. What it decides is what
    the noun says that there is."""
    module = f"ledger.nouns.{noun.name}.decider"
    decider = import_module(module).DECIDER if find_spec(module) is not None else Decider()
    assert isinstance(decider, Decider), noun.name
    handled = {command.data for command in decider.commands}
    assert handled == {*noun.commands}, f"{noun.name}: {handled ^ {*noun.commands}}"
    assert decider.aggregate is None or decider.aggregate.stream_type == noun.stream_type, noun.name
    return decider


DECIDERS: tuple[Decider, ...] = tuple(map(_decider, NOUNS))
COMMANDS: dict[str, HandledCommand] = {
    command.name: command for decider in DECIDERS for command in decider.commands
}
AGGREGATES: dict[str, Aggregate[object]] = {
    decider.aggregate.stream_type: decider.aggregate
    for decider in DECIDERS
    if decider.aggregate is not None
}
