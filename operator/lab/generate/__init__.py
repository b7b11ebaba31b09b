"""`python -m lab.generate` (`make docs`): docs/reference/ from the code, so that no page can tell something else."""
