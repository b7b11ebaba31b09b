"""What the demo, the tests and the benchmarks run the operator on: a real control plane, child processes, oracles.

Not part of the product and not in its image; `microseg` and `simulators` import nothing from here.
"""
