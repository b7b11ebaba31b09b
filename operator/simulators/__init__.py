"""Simulators of the three outside systems ("worlds"): Azure, Illumio PCE and Check Point, as HTTPS servers on loopback.

The demo, the benchmarks and the tests start them (`python -m simulators`, or single ones in their own process).
The product does not import this package, and this package knows the product only by its requests.
"""
