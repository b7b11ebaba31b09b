"""What the demo, the tests and the bench run the operator on: a real control plane, child processes, a stopwatch.

Not part of the product and not in its image; `microseg` and `simulators` import nothing from here.
"""
