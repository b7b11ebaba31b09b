"""The mapping: tags of a VM to Illumio labels and Check Point groups. Pure: no I/O, no clock, no logging.

`parse` makes a Mapping from YAML or says what is wrong with it; `evaluate` answers for one host; `explain` says why;
`lint` and `run_tests` judge a mapping before it is accepted; `json_schema` is for editors. Planning, the stages and
the command line call these; nothing here knows who calls.
"""

from .document import (
    Answer,
    Group,
    GroupAnswer,
    Keep,
    LabelAnswer,
    LabelTable,
    LintWarning,
    MappingDocument,
    MappingError,
    Miss,
    OnMiss,
    Override,
    Place,
    Problem,
    Remove,
    Subject,
    Value,
    When,
)
from .document_tests import TestFailure, run_tests
from .evaluator import OVERRIDE, Evaluator, evaluate, override_ends, tags_read
from .explanation import explain
from .lint import lint
from .parser import parse
from .schema import json_schema

__all__ = [
    "OVERRIDE",
    "Answer",
    "Evaluator",
    "Group",
    "GroupAnswer",
    "Keep",
    "LabelAnswer",
    "LabelTable",
    "LintWarning",
    "MappingDocument",
    "MappingError",
    "Miss",
    "OnMiss",
    "Override",
    "Place",
    "Problem",
    "Remove",
    "Subject",
    "TestFailure",
    "Value",
    "When",
    "evaluate",
    "explain",
    "json_schema",
    "lint",
    "override_ends",
    "parse",
    "run_tests",
    "tags_read",
]
