"""The pages of the console: one file each, with a router."""

from fastapi import APIRouter

ROUTERS: tuple[APIRouter, ...] = ()
"""Of all pages."""
