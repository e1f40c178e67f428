"""Reckons refusals by limits again, from exported events: `python recompute_refusals.py FILE`.

FILE has events as JSON lines (`ledgerctl audit events --format jsonl`, `ledgerctl audit export`).
Of each with a risk decision, every limit that failed is measured anew from the numbers that the
event carries, with nothing but the standard library; what comes out must be what the event says,
and beyond the limit. Exit 1 if something differs.
"""

import json
import sys
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal
from pathlib import Path
from typing import Any

_WIDE = Context(prec=250, rounding=ROUND_HALF_EVEN)
_PLACES = Decimal(1).scaleb(-18)
ZERO = Decimal(0)
RELATIVE = {"RATIO", "%"}


def quotient(total: Decimal, parts: Decimal) -> Decimal:
    """Rounded half to even to 18 places, as all quotients of the ledger are."""
    return _WIDE.quantize(_WIDE.divide(total, parts), _PLACES)


def number(found: dict[str, Any], name: str, otherwise: str = "0") -> Decimal:
    return Decimal(found.get(name, otherwise))


class Decision:
    """One decision about an order: its terms as the event has them, and what was looked at."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.inputs: dict[str, Any] = data["risk"].get("inputs", {})
        self.prices = {
            one["instrument"]: Decimal(one["price"]) for one in self.inputs.get("prices", ())
        }
        self.rates = {
            (one["asset"], one["currency"]): one.get("path", ())
            for one in self.inputs.get("rates", ())
        }

    # --- money ----------------------------------------------------------------------------

    def worth(self, amount: Decimal, asset: str, currency: str) -> Decimal:
        if asset == currency or not amount:
            return amount
        divisor = Decimal(1)
        for step in self.rates[asset, currency]:
            if step.startswith("-"):
                divisor *= self.prices[step[1:]]
            else:
                amount *= self.prices[step]
        return amount if divisor == 1 else quotient(amount, divisor)

    def equity(self, sub_account: str | None) -> tuple[Decimal, str]:
        found = next(
            one for one in self.inputs["equities"] if one.get("sub_account") == sub_account
        )
        currency = found["currency"]
        total = sum(
            (
                self.worth(Decimal(one["total"]), one["asset"], currency)
                for one in found.get("balances", ())
            ),
            ZERO,
        )
        for one in found.get("contracts", ()):
            total += self.worth(Decimal(one["unrealized"]), one["asset"], currency)
        assert total == Decimal(found["equity"]), "the parts of the equity are not its sum"
        return total, currency

    def relative(self, verdict: dict[str, Any], amount: Decimal, asset: str) -> Decimal:
        unit = verdict["unit"]
        if unit not in RELATIVE:
            return self.worth(amount, asset, unit)
        equity, currency = self.equity(strategy_of(verdict))
        return in_unit(quotient(self.worth(amount, asset, currency), equity), unit)

    # --- positions ------------------------------------------------------------------------

    def exposures(self, verdict: dict[str, Any], instrument: str | None) -> Iterator[Any]:
        strategy, of = strategy_of(verdict), instrument or instrument_of(verdict)
        for one in self.inputs.get("exposures", ()):
            if strategy in (None, one["sub_account"]) and of in (None, one["instrument"]):
                yield one

    def sides(self, one: dict[str, Any]) -> tuple[Decimal, Decimal]:
        """What may be long and short of a position at worst, as quantities."""
        quantity = number(one, "position")
        buys, sells = self.ordered(one, "buy"), self.ordered(one, "sell")
        if "held" not in one:
            return max(quantity + buys, ZERO), max(sells - quantity, ZERO)
        free = max(number(one, "held") - number(one, "sold_elsewhere"), ZERO)
        return max(quantity + buys, ZERO), max(sells - free, ZERO) + max(-quantity, ZERO)

    def ordered(self, one: dict[str, Any], side: str) -> Decimal:
        total = number(one, f"{side}_quantity") + number(one, f"{side}_at_market")
        budget = number(one, f"{side}_budget")
        return total + (quotient(budget, self.prices[one["instrument"]]) if budget else ZERO)

    def values(self, one: dict[str, Any]) -> tuple[Decimal, Decimal]:
        quantity = number(one, "position")
        if "held" in one:
            free = max(number(one, "held") - number(one, "sold_elsewhere"), ZERO)
        else:
            free = max(quantity, ZERO)
        long, short = self.sides(one)
        return (
            self.side_value(one, "buy", max(quantity, ZERO), max(-quantity, ZERO))
            if long
            else ZERO,
            self.side_value(one, "sell", max(-quantity, ZERO), free) if short else ZERO,
        )

    def side_value(self, one: dict[str, Any], side: str, own: Decimal, closes: Decimal) -> Decimal:
        total = self.at_mark(one, own)
        ordered = self.ordered(one, side)
        if ordered <= closes:
            return total
        priced, value = number(one, f"{side}_quantity"), number(one, f"{side}_value")
        if priced and (side == "sell" or one.get("inverse")):
            value = max(value, self.at_mark(one, priced))
        value += number(one, f"{side}_budget")
        value += self.at_mark(one, number(one, f"{side}_at_market"))
        opens = ordered - closes
        return total + (value if opens >= ordered else quotient(value * opens, ordered))

    def at_mark(self, one: dict[str, Any], quantity: Decimal) -> Decimal:
        if not quantity:
            return ZERO
        size = quantity * number(one, "contract_size", "1")
        mark = self.prices[one["instrument"]]
        return abs(quotient(size, mark) if one.get("inverse") else size * mark)

    # --- the measures ---------------------------------------------------------------------

    def measured(self, verdict: dict[str, Any]) -> Decimal:
        return Decimal(getattr(self, verdict["measure"].lower())(verdict))

    def order_value(self) -> tuple[Decimal, str]:
        value, asset = number(self.inputs, "order_value"), self.inputs["order_asset"]
        if "order_quantity" in self.inputs and "quote_quantity" not in self.data:
            quantity, price = number(self.inputs, "order_quantity"), self.inputs["order_price"]
            size = quantity * number(self.inputs, "contract_size", "1")
            price = Decimal(price)
            reckoned = quotient(size, price) if self.inputs.get("inverse") else size * price
            assert abs(reckoned) == value, "the value of the order is not quantity x price"
        return value, asset

    def max_order_quantity(self, _: dict[str, Any]) -> Decimal:
        if "order_quantity" in self.inputs:
            return number(self.inputs, "order_quantity")
        return quotient(number(self.data, "quote_quantity"), self.prices[self.instrument])

    @property
    def instrument(self) -> str:
        """Of the order; a change of one does not say it, and looks at no other."""
        named = self.data.get("instrument")
        return str(named) if named else str(self.inputs["instrument"])

    def max_order_notional(self, verdict: dict[str, Any]) -> Decimal:
        return self.relative(verdict, *self.order_value())

    def price_band(self, verdict: dict[str, Any]) -> Decimal:
        mark = self.prices[self.instrument]
        named = [Decimal(one) for one in self.inputs.get("order_prices", ())]
        farthest = max((abs(price - mark) for price in named), default=ZERO)
        return in_unit(quotient(farthest, mark), verdict["unit"])

    def count(self, verdict: dict[str, Any]) -> Decimal:
        wanted = (verdict["measure"], verdict["unit"], named_in(verdict))
        windows = (verdict.get("window"), "1s") if "window" not in verdict else (verdict["window"],)
        for one in self.inputs["counts"]:
            same = (one["measure"], one["unit"], one.get("reference")) == wanted
            if same and (one.get("window") in windows or "window" not in one):
                return Decimal(one["count"])
        raise LookupError(f"nothing was counted for {wanted}")

    def max_open_orders(self, verdict: dict[str, Any]) -> Decimal:
        return self.count(verdict)

    def order_rate(self, verdict: dict[str, Any]) -> Decimal:
        return self.count(verdict) + (0 if self.is_change else 1)

    def duplicate_order(self, verdict: dict[str, Any]) -> Decimal:
        return self.count(verdict) + 1

    def message_rate(self, verdict: dict[str, Any]) -> Decimal:
        return self.count(verdict) + 1

    def notional_rate(self, verdict: dict[str, Any]) -> Decimal:
        more = ZERO if self.is_change else self.max_order_notional(verdict)
        return self.count(verdict) + more

    def self_match(self, _: dict[str, Any]) -> Decimal:
        total = ZERO
        for one in self.inputs["matches"]:
            best, at = Decimal(one["best"]), Decimal(one["at"])
            reaches = best <= at if one["side"] == "SELL" else best >= at
            assert reaches, "an order is counted that is out of reach"
            total += Decimal(one["orders"])
        return total

    def price_walk(self, verdict: dict[str, Any]) -> Decimal:
        wanted = (strategy_of(verdict), verdict.get("window", "1s"))
        for one in self.inputs["walks"]:
            if (one.get("reference"), one["window"]) != wanted:
                continue
            at, last = Decimal(one["at"]), Decimal(one.get("last", one["at"]))
            more = max(at - last if one["side"] == "BUY" else last - at, ZERO)
            walked = Decimal(one["walked"]) + more
            return in_unit(quotient(walked, self.prices[one["instrument"]]), verdict["unit"])
        raise LookupError(f"no walk of {wanted}")

    @property
    def is_change(self) -> bool:
        return "side" not in self.data

    def max_position(self, verdict: dict[str, Any]) -> Decimal:
        found = list(self.exposures(verdict, self.instrument))
        if verdict["unit"] == "UNITS":
            sides = [self.sides(one) for one in found]
            return max(sum((s[0] for s in sides), ZERO), sum((s[1] for s in sides), ZERO))
        values = [self.values(one) for one in found]
        larger = max(sum((v[0] for v in values), ZERO), sum((v[1] for v in values), ZERO))
        return self.relative(verdict, larger, found[0]["asset"])

    def max_exposure(self, verdict: dict[str, Any]) -> Decimal:
        unit = verdict["unit"]
        if verdict["scope"] != "ACCOUNT" and unit not in RELATIVE:
            return self.in_scope(verdict)
        equity, currency = (ZERO, unit)
        if unit in RELATIVE:
            equity, currency = self.equity(strategy_of(verdict))
        total = ZERO
        for one in self.exposures(verdict, None):
            total += self.worth(max(self.values(one)), one["asset"], currency)
        return in_unit(quotient(total, equity), unit) if unit in RELATIVE else total

    max_leverage = max_exposure

    def in_scope(self, verdict: dict[str, Any]) -> Decimal:
        total = ZERO
        for one in self.inputs["scopes"]:
            if (one["scope"], one.get("reference")) == (verdict["scope"], verdict.get("reference")):
                value = self.at_mark(one, Decimal(one["quantity"]))
                total += self.worth(value, one["asset"], verdict["unit"])
        return total

    def loss(self, verdict: dict[str, Any], baseline: str) -> Decimal:
        found = next(one for one in self.inputs["baselines"] if one["of"] == baseline)
        equity, currency = self.equity(None)
        at, flows = Decimal(found["equity"]), Decimal(found["flows"])
        told = sum(
            (
                self.worth(Decimal(one["total"]), one["asset"], currency)
                for one in found.get("flows_of", ())
            ),
            ZERO,
        )
        assert told == flows, "what came in is not the sum of its parts"
        lost = at + flows - equity
        if verdict["unit"] not in RELATIVE:
            return self.worth(lost, currency, verdict["unit"])
        if at <= 0:
            base = flows
        else:
            base = min(at, at + flows) if at + flows > 0 else at
        return in_unit(quotient(lost, base), verdict["unit"])

    def max_daily_loss(self, verdict: dict[str, Any]) -> Decimal:
        return self.loss(verdict, verdict.get("window", "DAILY"))

    def max_drawdown(self, verdict: dict[str, Any]) -> Decimal:
        return self.loss(verdict, "PEAK")

    def min_equity(self, verdict: dict[str, Any]) -> Decimal:
        equity, currency = self.equity(None)
        return self.worth(equity, currency, verdict["unit"])

    def risk_per_trade(self, verdict: dict[str, Any]) -> Decimal:
        value, asset = self.order_value()
        if "stop_loss" in self.inputs and "order_quantity" in self.inputs:
            size = number(self.inputs, "order_quantity") * number(self.inputs, "contract_size", "1")
            stop = number(self.inputs, "stop_loss")
            at_stop = quotient(size, stop) if self.inputs.get("inverse") else size * stop
            value = abs(value - abs(at_stop))
        return self.relative(verdict, value, asset)

    def told(self, verdict: dict[str, Any]) -> Decimal:
        found = next(one for one in self.inputs["measures"] if one["measure"] == verdict["measure"])
        value, unit = Decimal(found["value"]), verdict["unit"]
        if found["unit"] != "RATIO":
            return self.relative(verdict, value, found["unit"])
        if unit in RELATIVE:
            return in_unit(value, unit)
        equity, currency = self.equity(None)
        return self.worth(value * equity, currency, unit)

    max_var_95 = max_correlation = told


def in_unit(ratio: Decimal, unit: str) -> Decimal:
    return ratio * 100 if unit == "%" else ratio


def named_in(verdict: dict[str, Any]) -> str | None:
    return strategy_of(verdict) or instrument_of(verdict)


def strategy_of(verdict: dict[str, Any]) -> str | None:
    return verdict.get("reference") if verdict["scope"] == "STRATEGY" else None


def instrument_of(verdict: dict[str, Any]) -> str | None:
    return verdict.get("reference") if verdict["scope"] == "INSTRUMENT" else None


def is_beyond(verdict: dict[str, Any], at: Decimal) -> bool:
    """Whether the limit does not hold at this."""
    measure, value = verdict["measure"], Decimal(verdict["value"])
    if measure == "MIN_EQUITY":
        return at < value
    if measure in ("MAX_DAILY_LOSS", "MAX_DRAWDOWN") and at > 0:
        return at >= value or "tripped_at" in verdict
    return at > value or "tripped_at" in verdict


def differences(data: dict[str, Any]) -> Iterator[str]:
    """What of a refusal does not come out as its event says; nothing where it is right."""
    risk = data.get("risk")
    if not risk:
        return
    decision = Decision(data)
    for verdict in risk.get("failed", ()):
        if verdict.get("missing"):
            continue  # it says what it could not know
        at, said = decision.measured(verdict), Decimal(verdict["after"])
        if at != said:
            yield f"{verdict['measure']} is {at}, and the event says {said}"
        elif not is_beyond(verdict, at):
            yield f"{verdict['measure']} {at} is not beyond {verdict['value']}"


def main() -> int:
    refusals, wrong = 0, 0
    with Path(sys.argv[1]).open(encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line)
            data = event.get("data", event.get("event_data", event))
            if isinstance(data, dict) and data.get("risk", {}).get("failed"):
                refusals += 1
                for difference in differences(data):
                    wrong += 1
                    print(f"position {event.get('position')}: {difference}")
    print(f"{refusals} refusals reckoned again, {wrong} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
