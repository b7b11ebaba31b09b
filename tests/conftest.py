"""For every test: one hypothesis profile. Worlds and control planes have their own conftest.py beside their tests."""

from hypothesis import settings

settings.register_profile("house", deadline=None, print_blob=True)  # two shared cores are no stopwatch
settings.load_profile("house")
