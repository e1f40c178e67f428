"""Whether money is real: of an account, its orders and its trades."""

from enum import StrEnum


class Environment(StrEnum):
    LIVE = "LIVE"
    PAPER = "PAPER"
    BACKTEST = "BACKTEST"
