"""The trace on its way to another system: each block once, in the order of its chain, with its hash.

Whoever breaks in here cannot take back what has left. The receiving system can check the chains as
`access.audit.verify` does: every line names chain, block and hash. Source: OWASP ASVS 5.0.0 16.4.3.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from sammanhang.kernel.errors import Invalid

AT_ONCE = 1000

# after: the blocks of every chain that come after those that have left, some at a time
_AFTER = """
WITH been AS (
    SELECT key::bigint AS chain, value::bigint AS seq FROM jsonb_each_text(%s::jsonb)
)
SELECT b.chain, b.seq, b.hash, b.entries
  FROM audit.chain c LEFT JOIN been ON been.chain = c.chain
  CROSS JOIN LATERAL (
      SELECT * FROM audit.block
       WHERE chain = c.chain AND seq > coalesce(been.seq, 0) ORDER BY seq LIMIT %s
  ) AS b
 ORDER BY b.chain, b.seq LIMIT %s
"""

Places = dict[int, int]
"""By chain, the number of its last block that has left."""


def blocks_after(connection: psycopg.Connection[Any], places: Places) -> Iterator[bytes]:
    """The blocks that have not left yet as lines of JSON; `places` moves on with each taken.

    One line holds chain, seq, hash (hex) and entries. Of one chain the order holds; a block is never
    left out, for a chain is written by one session at a time, in order.
    """
    while True:
        been = json.dumps({str(chain): seq for chain, seq in places.items()})
        rows = connection.execute(_AFTER, (been, AT_ONCE, AT_ONCE)).fetchall()
        for chain, seq, hashed, entries in rows:
            lines = b",".join(entries.split(b"\n"))
            head = f'{{"chain":{chain},"seq":{seq},"hash":"{hashed.hex()}","entries":['.encode()
            yield head + lines + b"]}"
            places[chain] = seq
        if len(rows) < AT_ONCE:
            return


def places_in(file: Path) -> Places:
    """The places a file keeps; none when it is not there. Raises `Invalid` for a file that is none."""
    if not file.exists():
        return {}
    try:
        return {int(chain): int(seq) for chain, seq in json.loads(file.read_text("utf-8")).items()}
    except (ValueError, AttributeError, TypeError) as e:
        raise Invalid(f"{file} does not hold places in the trace: {e}.") from e


def keep(places: Places, file: Path) -> None:
    """Writes the places, whole or not at all; readable by its owner only."""
    fresh = file.with_name(f"{file.name}.new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        json.dump({str(chain): seq for chain, seq in places.items()}, out)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)
