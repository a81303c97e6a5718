#!/usr/bin/env python3
"""Onetape beside its peers on the same generated quotes and the same strategy, by CPU seconds.

    cargo build --release -p onetape-benches
    python3 benches/peers/compare.py [--events 500000]

The quotes come from `onetape generate --scenario quotes` (through `onetape tail --json`), so every engine sees the same
ticks. Peers are used where this Python has them; an absent one is said to be absent. Install what you want compared:
`pip install nautilus_trader hftbacktest`.
"""
import argparse
import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
FAST, SLOW = 10, 20


def onetape(*args):
    command = ["cargo", "run", "--quiet", "--release", "--manifest-path", str(ROOT / "Cargo.toml"), "-p", "onetape", "--"]
    return subprocess.run(command + list(args), check=True, capture_output=True, text=True).stdout


def child_cpu_seconds(command):
    """CPU seconds of a child process, by the difference in what the system books for children."""
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure_onetape(day, events):
    """The binary's whole process: start, reading the tape, books, strategy, paper fills."""
    binary = str(ROOT / "target" / "release" / "onetape")
    figures = {}
    for name, flags in {"do-nothing": [], "EMA 10/20": ["--strategy", "ema_cross"]}.items():
        seconds = min(child_cpu_seconds([binary, "backtest", str(day), *flags]) for _ in range(5))
        figures[name] = events / seconds
    return figures


def read_quotes(day):
    for line in onetape("tail", str(day), "--all", "--kind", "quote", "--json").splitlines():
        yield json.loads(line)


def measure_nautilus(quotes):
    """NautilusTrader's BacktestEngine with its own EMA cross on the same quotes."""
    from decimal import Decimal

    from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
    from nautilus_trader.config import LoggingConfig
    from nautilus_trader.model.currencies import USDT
    from nautilus_trader.model.data import QuoteTick
    from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
    from nautilus_trader.model.identifiers import Venue
    from nautilus_trader.model.objects import Money, Price, Quantity
    from nautilus_trader.test_kit.providers import TestInstrumentProvider
    from nautilus_trader.trading.strategy import Strategy

    instrument = TestInstrumentProvider.btcusdt_binance()

    class Nothing(Strategy):
        def on_start(self):
            self.subscribe_quote_ticks(instrument.id)

        def on_quote_tick(self, tick):
            pass

    class EmaCross(Nothing):
        """The same rule as Onetape's `ema_cross`: long above, short below, one market order a change."""

        def on_start(self):
            super().on_start()
            self.seen, self.fast, self.slow, self.held = 0, 0.0, 0.0, 0

        def on_quote_tick(self, tick):
            mid = (tick.bid_price.as_double() + tick.ask_price.as_double()) / 2
            if self.seen == 0:
                self.fast = self.slow = mid
            else:
                self.fast += (mid - self.fast) * 2 / (FAST + 1)
                self.slow += (mid - self.slow) * 2 / (SLOW + 1)
            self.seen += 1
            target = (self.fast > self.slow) - (self.fast < self.slow)
            if self.seen < SLOW or target in (0, self.held):
                return
            side = OrderSide.BUY if target > self.held else OrderSide.SELL
            lots = abs(target - self.held)
            quantity = Quantity(Decimal("0.01") * lots, instrument.size_precision)
            self.submit_order(self.order_factory.market(instrument.id, side, quantity))
            self.held = target

    ticks = [
        QuoteTick(
            instrument.id,
            Price(float(q["bid_price"]), instrument.price_precision),
            Price(float(q["ask_price"]), instrument.price_precision),
            Quantity(float(q["bid_qty"]), instrument.size_precision),
            Quantity(float(q["ask_qty"]), instrument.size_precision),
            q["at_ns"],
            q["at_ns"],
        )
        for q in quotes
    ]
    figures = {}
    for name, strategy in {"do-nothing": Nothing, "EMA 10/20": EmaCross}.items():
        engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
        engine.add_venue(
            venue=Venue("BINANCE"), oms_type=OmsType.NETTING, account_type=AccountType.MARGIN, base_currency=None,
            starting_balances=[Money(100_000_000, USDT)],
        )
        engine.add_instrument(instrument)
        engine.add_data(ticks)
        engine.add_strategy(strategy())
        started = time.process_time()
        engine.run()
        figures[name] = len(ticks) / (time.process_time() - started)
        engine.dispose()
    return figures


def measure_hftbacktest(quotes):
    """hftbacktest fed each quote as the two depth rows that it needs, without a strategy; EMA is not its use."""
    import numpy as np
    from hftbacktest import BacktestAsset, HashMapMarketDepthBacktest
    from hftbacktest.types import BUY_EVENT, DEPTH_EVENT, EXCH_EVENT, LOCAL_EVENT, SELL_EVENT, event_dtype

    rows = np.zeros(2 * len(quotes), dtype=event_dtype)
    for place, q in enumerate(quotes):
        for offset, (side, price, qty) in enumerate(
            ((BUY_EVENT, q["bid_price"], q["bid_qty"]), (SELL_EVENT, q["ask_price"], q["ask_qty"]))
        ):
            row = rows[2 * place + offset]
            row["ev"] = DEPTH_EVENT | EXCH_EVENT | LOCAL_EVENT | side
            row["exch_ts"] = row["local_ts"] = q["at_ns"]
            row["px"], row["qty"] = float(price), float(qty)
    def run(rows):
        asset = (
            BacktestAsset().data([rows]).linear_asset(1.0).constant_order_latency(1_000_000, 1_000_000)
            .risk_adverse_queue_model().no_partial_fill_exchange().trading_value_fee_model(0.0002, 0.0005)
            .tick_size(0.01).lot_size(0.001)
        )
        backtest = HashMapMarketDepthBacktest([asset])
        started = time.process_time()
        while backtest.elapse(1_000_000_000) == 0:
            pass
        return time.process_time() - started

    run(rows[:1_000])  # numba compiles on first use; that is not what is compared
    return {"do-nothing": len(quotes) / run(rows)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=500_000)
    events = parser.parse_args().events
    with tempfile.TemporaryDirectory() as scratch:
        day = pathlib.Path(scratch) / "day"
        onetape("generate", "--journal", str(day), "--seed", "1", "--events", str(events), "--scenario", "quotes")
        results = {"Onetape": measure_onetape(day, events)}
        peers = {"NautilusTrader": ("nautilus_trader", measure_nautilus), "hftbacktest": ("hftbacktest", measure_hftbacktest)}
        quotes = None
        for name, (module, measure) in peers.items():
            if importlib.util.find_spec(module) is None:
                print(f"{name}: absent (pip install {module}); not compared")
                continue
            quotes = quotes or list(read_quotes(day))
            try:
                results[name] = measure(quotes)
            except Exception as error:  # a peer's API moves; that is a finding, not a reason to stop
                print(f"{name}: installed, but could not be run: {type(error).__name__}: {error}", file=sys.stderr)
    print(f"\n{'engine':<16}{'case':<14}{'events/CPU s':>16}{'Onetape is':>14}")
    for name, figures in results.items():
        for case, rate in figures.items():
            ratio = results["Onetape"][case] / rate
            print(f"{name:<16}{case:<14}{rate:>16,.0f}{ratio:>12.1f} x")


if __name__ == "__main__":
    main()
