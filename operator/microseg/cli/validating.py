"""`microseg validate FILE`: parse, lint, and run the document's own tests. Exit 0 fit, 1 not."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml

from microseg.mapping import MappingError, lint, parse, run_tests

_KEY = "mapping.yaml"


def validate(file: Path) -> int:
    """Check one document and say everything that is wrong with it."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"microseg: {file} cannot be read: {error}\n")
        return 1
    try:
        mapping = parse(_document(text), str(file))
    except MappingError as error:
        for problem in error.problems:
            sys.stderr.write(f"{problem}\n")
        return 1
    for warning in lint(mapping):
        print(f"warning: {warning}")
    failures = run_tests(mapping)
    for failure in failures:
        sys.stderr.write(f"{failure}\n")
    if failures:
        return 1
    print(f"{mapping.name}: revision {mapping.digest}, {len(mapping.tests)} tests passed")
    return 0


def _document(text: str) -> str:
    """The document itself; out of the ConfigMap where the file is one."""
    if not re.search(r"^kind: *ConfigMap *$", text, re.MULTILINE):
        return text
    try:
        loaded = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return text
    data = loaded.get("data") if isinstance(loaded, dict) else None
    found = data.get(_KEY) if isinstance(data, dict) else None
    return found if isinstance(found, str) else text
