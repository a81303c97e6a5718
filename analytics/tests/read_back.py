"""Reads an export with Python polars and prints, as JSON, what the Rust test compares with the engine's own figures.

Every sum is taken twice: by polars over the Decimal column and by Python's decimal module over the values.
"""

import decimal
import json
import pathlib
import sys

import polars as pl

decimal.getcontext().prec = 80
decimal.getcontext().traps[decimal.Inexact] = True

UNIT = decimal.Decimal(10) ** -18
EXACT = pl.Decimal(38, 18)
TIME = pl.Datetime("ns", "UTC")
COMMON = {"sequence": pl.UInt64, "at": TIME, "derived": pl.Boolean, "ends_step": pl.Boolean, "cause": pl.UInt64}


def total(column: pl.Series) -> str:
    """The column's sum, exact; both ways of summing must agree."""
    assert column.dtype == EXACT, (column.name, column.dtype)
    by_python = sum(column.drop_nulls().to_list(), decimal.Decimal(0))
    by_polars = column.sum() or decimal.Decimal(0)
    assert by_python == by_polars, (column.name, by_python, by_polars)
    return plain(by_python)


def plain(value: decimal.Decimal) -> str:
    """Decimal text without trailing zeros, as the engine prints money."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def main(out: pathlib.Path) -> None:
    tables = {path.stem: pl.read_parquet(path) for path in sorted(out.glob("*.parquet"))}
    for name, table in tables.items():
        for column, dtype in COMMON.items():
            assert table.schema[column] == dtype, (name, column, table.schema[column])
        assert table["sequence"].is_sorted() and table["at"].is_sorted(), name
        for column in table.columns:
            if table.schema[column] == pl.Float64:
                raise AssertionError(f"{name}.{column} is a float")

    # The side and the strategy of a fill are its order's.
    orders = tables["order_decided"].select("strategy", "side", order="sequence")
    fills = tables["execution_report"].filter(pl.col("fill_id").is_not_null()).join(orders, on="order", how="left")
    assert fills["strategy"].null_count() == 0, "every fill has its order in the export"

    # Price times quantity by Python's own arithmetic is the exported notional.
    for price, qty, notional in fills.select("fill_price", "fill_qty", "fill_notional").iter_rows():
        assert (price * qty).quantize(UNIT) == notional, (price, qty, notional)

    def sums(by: list[str], signed: bool) -> list[dict]:
        rows = []
        for key, group in sorted(fills.partition_by(by, as_dict=True).items()):
            row = dict(zip(by, key))
            if signed:
                buys = group.filter(pl.col("side") == "buy")["fill_qty"]
                sells = group.filter(pl.col("side") == "sell")["fill_qty"]
                row["qty"] = plain(decimal.Decimal(total(buys)) - decimal.Decimal(total(sells)))
                row["fills"] = group.height
            else:
                row["turnover"] = total(group["fill_notional"])
                row["fees"] = total(group["fill_fee"])
            rows.append(row)
        return rows

    print(
        json.dumps(
            {
                "polars": pl.__version__,
                "rows": {name: table.height for name, table in tables.items()},
                "results": sums(["strategy"], signed=False),
                "positions": sums(["strategy", "instrument"], signed=True),
                "fill_qty": total(fills["fill_qty"]),
                "gates": dict(sorted(tables["order_denied"].group_by("gate").len().iter_rows())),
            }
        )
    )


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
