"""`make demo`: the whole job on one machine, as a scenario that ends with a verdict."""
