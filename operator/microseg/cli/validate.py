"""`microseg validate FILE`: parse, lint, and run the document's own tests. Needs no cluster. Exit 0 fit, 1 not."""

from __future__ import annotations

from pathlib import Path

from microseg.cli import documents
from microseg.cli.output import Lines, Report, show
from microseg.mapping import MappingDocument, MappingError, Problem, lint, parse, run_tests


def validate(file: Path, output: str, *, strict: bool = False) -> int:
    """Check one document and show everything that is wrong with it. `strict`: warnings are errors."""
    document = documents.read(file)
    try:
        mapping = parse(document.text, document.source)
    except MappingError as error:
        problems = [str(each) for each in document.placed(error.problems)]
        show(_report(None, problems, [], []), output)
        return 1
    findings = document.placed(lint(mapping))
    problems = [str(each) for each in findings if isinstance(each, Problem)]
    warnings = [str(each) for each in findings if not isinstance(each, Problem)]
    failures = [str(each) for each in document.placed(run_tests(mapping))]
    show(_report(mapping, problems, warnings, failures), output)
    return 1 if problems or failures or (strict and warnings) else 0


def _report(mapping: MappingDocument | None, problems: list[str], warnings: list[str], failures: list[str]) -> Report:
    wrong = [*problems, *failures]
    lines = []
    if mapping is not None and not wrong:
        tests = len(mapping.tests)
        passed = f"{tests} test{'s' if tests != 1 else ''} passed" if tests else "it has no tests: write some"
        lines = [f"{mapping.name}: fit to be accepted as revision {mapping.shown}; {passed}"]
    elif mapping is not None:
        lines = [f"{mapping.name}: not fit to be accepted"]
    data = {
        "fit": not wrong,
        "mapping": mapping.name if mapping else None,
        "revision": mapping.digest if mapping else None,
        "tests": len(mapping.tests) if mapping else 0,
        "problems": problems,
        "failures": failures,
        "warnings": warnings,
    }
    return Report(data, (Lines("", wrong, loud=True), Lines("", warnings), Lines("", lines)))
