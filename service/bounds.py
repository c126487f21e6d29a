"""How large a number may be, whether a setting, a request or the command line gives it."""

from typing import Final

MOST_DOCUMENTS: Final = 100_000  # in one checkpoint
MOST_WORKERS: Final = 64  # each is a process, and threads that wait for it
MOST_LISTED: Final = 1000  # on one page
MOST_HITS: Final = 1000  # of one search
MOST_CHARACTERS: Final = 100_000  # of one question
MOST_ID: Final = (1 << 63) - 1  # what a column of the ledger holds
CURSOR: Final = "[0-9]{1,18}"
