"""The pages of the console: one file each, with a router.

frame       what every page has: who looks, as of when, how far log, seals and read models are
shown       values: exact in the element, readable on the screen
tables      rows of a question as a table; each number leads to its why
why         why a number is what it is, down to the events; why_links says from where, why_pages how
seal_check  whether the events that a page shows are those that were sealed
timeline    the story of an order, drawn
live        that the log has moved, and what a page shows of it then

and a page of what people do: home, positions, orders, log, projections …
"""

from fastapi import APIRouter

from ledger.web.pages import (
    access,
    act,
    alerts,
    audit,
    calendar,
    chart,
    commands,
    controls,
    differences,
    home,
    integrity,
    live,
    log,
    notices,
    orders,
    overview,
    performance,
    positions,
    preferences,
    projections,
    questions,
    risk,
    search,
    settings,
    users,
    why_pages,
)

ROUTERS: tuple[APIRouter, ...] = (
    home.router,
    live.router,
    positions.router,
    orders.router,
    chart.router,
    performance.router,
    calendar.router,
    risk.router,
    alerts.router,
    act.router,
    overview.router,
    log.router,
    projections.router,
    commands.router,
    integrity.router,
    audit.router,
    differences.router,
    controls.router,
    access.router,
    users.router,
    settings.router,
    search.router,
    questions.router,
    why_pages.router,
    preferences.router,
    notices.router,
)
"""Of all pages."""
