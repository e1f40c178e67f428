"""The application: API, sign-in and pages, behind the guard."""

import importlib.metadata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from ledger.web import api, problems, sign_in
from ledger.web.application import Web
from ledger.web.guard import Guard
from ledger.web.page import STATIC
from ledger.web.pages import ROUTERS
from ledger.web.readiness import is_ready
from ledger.web.settings import READY


def application(web: Web) -> FastAPI:
    """Serves what `web` has, for as long as it runs."""

    @asynccontextmanager
    async def open_for_the_time(_: FastAPI) -> AsyncIterator[None]:
        await web.open()
        try:
            yield
        finally:
            await web.close()

    app = FastAPI(
        title="Trading ledger",
        version=importlib.metadata.version("trading-ledger"),
        openapi_url="/api/openapi.json",
        docs_url=None,  # its pages are code of another host
        redoc_url=None,
        lifespan=open_for_the_time,
        redirect_slashes=False,
    )
    app.state.web = web
    problems.install(app)
    app.add_middleware(Guard, settings=web.settings)
    app.include_router(sign_in.router)
    app.include_router(api.router())
    for router in ROUTERS:
        app.include_router(router, include_in_schema=False)
    app.add_api_route(READY, is_ready, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC, check_dir=False), name="static")
    return app
