"""`python -m lab.generate` (`make docs`): writes docs/reference/ from the code, so that no page can differ from it."""
