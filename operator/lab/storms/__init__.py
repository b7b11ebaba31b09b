"""`make storms`: how long one new VM waits for its protection while much else goes on, compared with a calm fleet."""
