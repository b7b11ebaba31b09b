"""The environment that the image gives to what runs in it, and the lab to its operator."""

from __future__ import annotations

_MALLOC = {"arena_max": 2, "tcache_count": 0, "trim_threshold": 1 << 17, "mmap_threshold": 1 << 17}
"""How glibc keeps memory for an operator of 40 threads
(https://www.gnu.org/software/libc/manual/html_node/Memory-Allocation-Tunables.html); other C libraries ignore it.

Each thread would have its own heap, up to 16 on two cores, of which nine tenths were free after a thousand hosts: 37
MiB. Threads of Python take turns, so two are enough. Each thread would also keep up to 230 KiB of what it freed: 4 MiB
after ten minutes, and more every hour (docs/scale.md). The thresholds are glibc's own at its start; set, they no longer
rise with the largest answer that was freed, after which it would let go of less and less.
"""
IMAGE_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "GLIBC_TUNABLES": ":".join(f"glibc.malloc.{name}={value}" for name, value in _MALLOC.items()),
}
