"""Why commands about instruments, and orders of them, are refused."""

from ledger.kernel.rejection import RejectionCode


class InstrumentRejection(RejectionCode):
    UNKNOWN_INSTRUMENT = "UNKNOWN_INSTRUMENT", "list it first (ListInstrument)"
    INSTRUMENT_ALREADY_LISTED = "INSTRUMENT_ALREADY_LISTED", "update it instead"
    INSTRUMENT_EXPIRED = "INSTRUMENT_EXPIRED", "trade one that runs on"
    INSTRUMENT_ASSETS_FIXED = "INSTRUMENT_ASSETS_FIXED", "list another name"
    INSTRUMENT_DELISTED = "INSTRUMENT_DELISTED", "trade another instrument"
    PRICE_OFF_TICK = "PRICE_OFF_TICK", "round it"
    QUANTITY_OFF_STEP = "QUANTITY_OFF_STEP", "round it"
    QUANTITY_TOO_SMALL = "QUANTITY_TOO_SMALL", "order more"
    QUANTITY_TOO_LARGE = "QUANTITY_TOO_LARGE", "order less"
