"""The configuration of the embedded database: fit for a small machine, safe for its data."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

HBA = """\
# Written by Sammanhang at each start. The socket's folder is open to one account (and root) only,
# and nothing listens on the network.
local all all trust
local replication all trust
"""

_MB = 1024 * 1024
_GB = 1024 * _MB


def shared_buffers_mb(memory: int) -> int:
    """An eighth of the memory, at least 512 MB, at most 2 GB, and never above a quarter of it."""
    wanted = min(2 * _GB, max(512 * _MB, memory // 8))
    return max(32, min(wanted, memory // 4) // _MB)


def configuration(cluster: Path, socket_folder: Path, *, durable: bool) -> str:
    """The text of postgresql.conf; `local.conf` beside it may override any line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    small_disk = shutil.disk_usage(cluster.parent).free < 20 * _GB
    on = "on" if durable else "off"
    shared = shared_buffers_mb(memory) if durable else min(128, shared_buffers_mb(memory))
    sockets = str(socket_folder).replace("'", "''")
    return f"""\
# Written by Sammanhang at each start; put your own lines in local.conf beside this file.
listen_addresses = ''
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
max_connections = 200

shared_buffers = {shared}MB
effective_cache_size = {max(256, memory // 2 // _MB)}MB
work_mem = 16MB
maintenance_work_mem = {256 if memory > 8 * _GB else 64}MB
random_page_cost = 1.1

fsync = {on}
full_page_writes = {on}
synchronous_commit = {on}
wal_compression = pglz
wal_buffers = 16MB
max_wal_size = {"1GB" if small_disk or not durable else "4GB"}
min_wal_size = 256MB
checkpoint_timeout = 15min

# Two cores: one question to one core, and no compilation for questions that take a millisecond.
jit = off
max_parallel_workers_per_gather = 0
max_parallel_maintenance_workers = 2

autovacuum_naptime = 10s
autovacuum_vacuum_cost_limit = 2000

timezone = 'UTC'
datestyle = 'ISO, YMD'
lc_messages = 'C'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
log_checkpoints = off
include_if_exists = 'local.conf'
"""
