"""The outside worlds: Azure, Illumio PCE and Check Point as HTTPS servers on loopback.

The demo, the bench and the tests start them (`python -m simulators`, or the pieces in one process).
Nothing of the product imports this package; it knows the product only by the wire.
"""
