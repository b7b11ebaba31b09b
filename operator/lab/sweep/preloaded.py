"""What a sweep's points find imported: the product too, with its waits shortened. See `lab.forked`."""

import importlib

from lab.sweep.shortened_waits import shorten_waits

shorten_waits()
importlib.import_module("microseg.handlers.lifecycle")  # only now: it keeps the numbers that it finds
