#!/usr/bin/env python3
"""Writes data/assets/parquet-forms/: one small table as pandas, pyarrow, Spark and DuckDB write it, in the forms that differ.

    python3 -m venv /tmp/formsenv && /tmp/formsenv/bin/pip install pandas pyarrow duckdb
    /tmp/formsenv/bin/python scripts/parquet_forms.py [--out data/assets/parquet-forms]

All hold the architectures and the latencies (milliseconds) of ROWS, to the digits that their types have.
"""

import argparse
import pathlib
from decimal import Decimal

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = [
    ("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|", 3.0),
    ("|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|", 2.0),
    ("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|", 1.0),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("data/assets/parquet-forms"))
    out = parser.parse_args().out
    frame = pd.DataFrame(ROWS, columns=["arch_str", "latency_ms"])
    texts, values = frame.arch_str, frame.latency_ms
    frame.assign(arch_str=texts.astype("category")).to_parquet(out / "category.parquet")
    frame[::-1].to_parquet(out / "index.parquet")
    for kind in ("int8", "int16", "uint8", "uint16", "uint32", "int64", "float32"):
        frame.assign(latency_ms=values.astype(kind)).to_parquet(out / f"{kind}.parquet")
    more = frame.assign(when=pd.Timestamp("2026-01-01"), day=pd.Timestamp("2026-01-01").date(), many=[[1, 2]] * 3)
    more.to_parquet(out / "more.parquet")
    for codec in ("gzip", "zstd", "lz4", "brotli"):
        frame.to_parquet(out / f"{codec}.parquet", compression=codec)
    pq.write_table(pa.table({"arch_str": pa.array([t.encode() for t in texts], pa.binary()), "latency_ms": values}), out / "binary.parquet")
    pq.write_table(pa.table({"arch_str": pa.array(texts, pa.large_string()), "latency_ms": values}), out / "large.parquet")
    pages = {"data_page_version": "2.0", "use_dictionary": False}
    encodings = {"latency_ms": "BYTE_STREAM_SPLIT", "arch_str": "DELTA_LENGTH_BYTE_ARRAY"}
    pq.write_table(pa.Table.from_pandas(frame), out / "v2.parquet", version="2.6", column_encoding=encodings, **pages)
    decimals = pa.array([Decimal(f"{value:.4f}") for value in values], pa.decimal128(10, 4))
    pq.write_table(pa.table({"arch_str": texts, "latency_ms": decimals}), out / "decimal.parquet", store_decimal_as_integer=True)
    spark = out / "spark.parquet"
    spark.mkdir(exist_ok=True)
    for part, rows in enumerate((frame[:2], frame[2:])):
        table = pa.Table.from_pandas(rows, preserve_index=False)
        pq.write_table(table, spark / f"part-{part:05}-c000.snappy.parquet", compression="snappy")
    (spark / "_SUCCESS").touch()
    connection = duckdb.connect()
    connection.register("frame", frame)
    connection.execute(f"copy (select arch_str, latency_ms::decimal(9,3) latency_ms from frame) to '{out}/duckdb.parquet' (format parquet)")
    hive = f"'{out}/hive' (format parquet, partition_by (device), overwrite_or_ignore)"
    connection.execute(f"copy (select *, case when latency_ms > 2 then 'a' else 'b' end as device from frame) to {hive}")


if __name__ == "__main__":
    main()
