"""Writes deploy/grafana/dashboards."""

from pathlib import Path

from tests.boards import BOARDS
from tests.boards.board import written

DIRECTORY = Path(__file__).parent.parent.parent / "deploy" / "grafana" / "dashboards"

if __name__ == "__main__":
    for path in DIRECTORY.glob("*.json"):
        path.unlink()
    for board in BOARDS:
        (DIRECTORY / f"{board.uid}.json").write_text(written(board), encoding="utf-8")
