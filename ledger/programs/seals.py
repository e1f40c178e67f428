"""`ledgerctl serve seals`: the sealer, and each new head published on NATS.

Heads go to `ledger.seals`, where the stream LEDGER_SEALS keeps them (`bus/seal_stream.py`). Whoever
reads them there, or keeps them elsewhere (`ledgerctl audit witness`), has the means to notice when
history, seals included, is cut off or made anew.
"""

import threading

import structlog

from ledger.audit.prove.sealer import Sealer, options_of
from ledger.audit.prove.seals import Seal
from ledger.operate.roles import SEALER
from ledger.programs.head_publisher import HeadPublisher
from ledger.programs.readiness import followed
from ledger.programs.registry import Places, Program

_log = structlog.get_logger(__name__)


def _serve(places: Places, stop: threading.Event) -> None:
    """Seals until `stop` is set. Raises UnusableKey."""
    settings = places.settings
    options = options_of(settings)
    if options.key is None:
        _log.warning(
            "seals.unsigned",
            reason="LEDGER_SEAL_KEY_FILE is not set: whoever can write to the database can seal "
            "another history, and only a head kept outside shows it. Make a key: ledgerctl audit "
            "seal --new-key FILE",
        )

    def publish(seal: Seal | None) -> None:
        publisher.publish(seal)

    sealer = Sealer(places.database_url, options, stop=stop, on_head=publish)
    publisher = HeadPublisher(settings, on_kept=sealer.remember)
    with publisher:
        # Whoever altered history and removed its seals would have it sealed with our key.
        publisher.wait_until_told(stop)
        sealer.run()
    _log.info("seals.stopped")


def _ready(places: Places) -> bool:
    patience = places.settings.seal_block_age_seconds
    return followed(places, ["seals"], patience_seconds=patience)


PROGRAM = Program(
    name="seals",
    summary="seals the log, publishes the heads of the seals",
    role=SEALER,
    bus=False,  # where there is none, the heads stay in the database
    ready=_ready,
    run=_serve,
    port=9468,
)
