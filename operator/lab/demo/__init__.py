"""`make demo`: the whole job on one machine, as a story that ends with a verdict."""
