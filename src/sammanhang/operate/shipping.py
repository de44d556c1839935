"""`sammanhang audit follow`: the trace to another system, block by block, as it grows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import BinaryIO

import psycopg

from sammanhang.access.audit_shipping import blocks_after, keep, places_in

PAUSE_SECONDS = 1.0


def ship(dsn: str, places_file: Path, out: BinaryIO, *, once: bool = False) -> int:
    """Writes every block that has not left yet; returns how many when `once`, else goes on.

    The places are kept after the blocks are written: broken off in between, some leave twice (the
    receiver knows them by chain and block), never none.
    """
    places = places_in(places_file)
    count = 0
    with psycopg.connect(dsn, autocommit=True, options="-c role=sammanhang_reader") as connection:
        while True:
            before = count
            for line in blocks_after(connection, places):
                out.write(line + b"\n")
                count += 1
            if count > before:
                out.flush()
                keep(places, places_file)
            if once:
                return count
            time.sleep(PAUSE_SECONDS)
