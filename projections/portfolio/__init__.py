"""What accounts are worth over time, and what is told by it: one reckoning, many rows."""
