"""How large a mapping may be. Each number bounds memory and time; `parser` refuses what is beyond.

They are far above any estate we know of: a table of 2,000 synonyms is a list nobody can review.
"""

from __future__ import annotations

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_NODES = 30_000
MAX_PROBLEMS = 50

MAX_TABLES = 20  # a PCE's default limit of label dimensions
MAX_CASES = 200  # in one table
MAX_VALUES = 2_000  # synonyms in one table, and values in one oneOf
MAX_FROM_TAG = 20
MAX_GROUPS = 500
MAX_OVERRIDES = 500
MAX_TESTS = 500
MAX_LISTED = 200  # values in one part of a condition, and parts in one `tags`

MAX_LABEL_KEY = 64
MAX_LABEL_VALUE = 255
MAX_NAME = 50  # of the document: it becomes part of an object's name
MAX_TEXT = 256  # an Azure tag's value, and every other string
MAX_TAG_KEY = 512

MAX_CACHED = 65_536  # answers that an evaluator keeps before it forgets them all
