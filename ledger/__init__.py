"""The write side of the trading ledger: commands in, versioned events out."""
