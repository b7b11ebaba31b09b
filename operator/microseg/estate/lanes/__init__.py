"""The lanes: each talks to one outside system, observes it in bulk and carries out the plan's actions in batches.

They do not wait for one another: a system that is down for a day holds up only its own stage.
"""
