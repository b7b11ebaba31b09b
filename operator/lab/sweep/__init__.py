"""The sweep: two lives of hosts, told again and again, each time with another thing going wrong at another message.

`make sweep` runs `python -m lab.sweep`; docs/sweep.md says what is claimed. Read `trial.py` first.
"""
