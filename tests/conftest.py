"""For every test: one hypothesis profile. Worlds and control planes have their own conftest.py beside their tests."""

from hypothesis import settings

# Two shared cores are no stopwatch. Half of the usual number of examples: the everyday suite has five minutes.
settings.register_profile("house", deadline=None, print_blob=True, max_examples=50)
settings.load_profile("house")
