"""A question as SQL: the public view, a condition for each filter, the order of the path.

Names come from declarations in code, values are parameters. Only public names are read: views that
survive a rebuild.
"""

from typing import Any, NamedTuple

from projections.questions import paging
from projections.questions.question import Asked, Question


class SqlStatement(NamedTuple):
    """SQL and its parameters."""

    text: str
    parameters: dict[str, Any]


def relation(question: Question[Any]) -> str:
    """What the rows are selected from."""
    if question.made_by:
        return f"({question.made_by}) AS made"
    return f'public."{question.table.name}"'


def statement(
    question: Question[Any], asked: Asked, *, limit: int | None = None, after: object = None
) -> SqlStatement:
    """The query for what was asked, behind the place of a token. Raises InvalidQuestion."""
    path = question.path(asked)
    conditions, parameters = [], {**dict.fromkeys(question.within), **asked, "limit": limit}
    for name, value in asked.items():
        one = question.filter_of[name]
        test = f"= ANY(%({name})s)" if isinstance(value, list) else f"{one.compared} %({name})s"
        conditions.append(f'"{one.column}" {test}')
    if after is not None:
        values = paging.place(question, path, after)
        names = [f"after_{number}" for number in range(len(values))]
        parameters |= zip(names, values, strict=True)
        columns = ", ".join(f'"{column}"' for column in path.order)
        given = ", ".join(f"%({name})s" for name in names)
        conditions.append(f"({columns}) {'<' if path.descending else '>'} ({given})")
    direction = " DESC" if path.descending else ""
    order = ", ".join(f'"{column}"{direction}' for column in path.order)
    where = " AND ".join(conditions) or "true"
    return SqlStatement(
        f"SELECT * FROM {relation(question)} WHERE {where} ORDER BY {order} LIMIT %(limit)s",
        parameters,
    )
