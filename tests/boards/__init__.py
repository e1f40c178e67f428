"""The boards of Grafana as code: deploy/grafana/dashboards is made from here, and a test compares.

python -m tests.boards              writes them

board.py        what a board and a panel are, and how they look as Grafana's JSON
service.py, log.py, bus.py, postgresql.py, risk.py, venues.py, portfolio.py
                the seven boards
"""

from tests.boards.board import Board
from tests.boards.bus import BUS
from tests.boards.log import LOG
from tests.boards.portfolio import PORTFOLIO
from tests.boards.postgresql import POSTGRESQL
from tests.boards.risk import RISK
from tests.boards.service import SERVICE
from tests.boards.venues import VENUES

BOARDS: tuple[Board, ...] = (SERVICE, LOG, BUS, POSTGRESQL, RISK, VENUES, PORTFOLIO)
