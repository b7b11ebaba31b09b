"""The sweep: two scenarios, run again and again, each time with another fault at another message.

`make sweep` runs `python -m lab.sweep`; docs/sweep.md says what is claimed. Read `trial.py` first.
"""
