"""`make bench`: how fast a fleet gets protected beside what the outside allows, and what an idle operator costs."""
