"""`python -m ledger` is `ledgerctl`."""

from ledger.cli.main import main

if __name__ == "__main__":
    main()
