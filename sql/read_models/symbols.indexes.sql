CREATE INDEX symbols_exchange ON symbols (exchange, symbol);
