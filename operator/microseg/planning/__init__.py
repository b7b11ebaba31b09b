"""Pure: from facts to verdicts, from verdicts to a plan and a status. No clock, no I/O; the reconciler calls it."""
