"""The audit trail: history asked, explained and proved. Typed functions, for notebooks as well.

Import what is needed from the modules of this package; `ledgerctl audit` is made of the same.
"""
