"""Programs that run in place of the decoder of pictures, or do a part of what it does."""

import sys

from cloudnotes.pictures import renditions

# What the child runs, without its last line: that it decodes what it reads.
IMPORTED = renditions.PROGRAM.rstrip().rpartition("\n")[0]


def command(code):
    return (sys.executable, "-I", "-c", code)


def dies_of(number):
    return f"import os; os.kill(os.getpid(), {int(number)})"


def has_too_little_memory(mebibytes):
    """Return the decoder with only so much memory beside what it has when it begins."""
    return f"""{IMPORTED}
import resource
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
decoder.MAX_MEMORY_BYTES = used + {mebibytes} * 2**20
sys.exit(decoder.main())
"""
