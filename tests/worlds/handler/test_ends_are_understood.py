"""What the operator makes of the handler's own words, as the real one says them (`stories.py` proves that it does)."""

from __future__ import annotations

import pytest

from microseg.scripts.azure_handler import explain_end, known_words, never_began
from simulators.azure.handler import ENDS

SENTENCES = {
    "no-inodes": "no space left on device on the VM (handler code -100)",
    "disk-full": "no space left on device on the VM (handler code -203)",
    "no-certificate": "the certificate that protects the parameters is missing on the VM (handler code -202)",
    "no-exec": "the VM does not allow to run a script in the folder of Azure's agent: permission denied "
    "(exit code 126)",
    "no-interpreter": "the VM lacks the script's interpreter, /bin/bash (exit code 127)",
    "arguments-too-long": "argument list too long",
}


@pytest.mark.parametrize("why", ENDS)
def test_each_end_of_the_handler_proves_that_the_script_did_not_begin_and_says_why(why: str) -> None:
    end = ENDS[why]
    words = known_words(end.failure, end.stderr)
    assert never_began("Failed", end.exit_code, words, windows=False)
    assert explain_end(end.exit_code, words) == SENTENCES[why]
