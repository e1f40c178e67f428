"""The outside world in: what venues say, in the ledger's words.

    tickers    what instruments are worth, by ccxt

ccxt is not installed with the ledger: `pip install 'trading-ledger[venues]'`.
"""
