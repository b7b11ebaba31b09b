"""What the engine writes to the cluster: hosts' statuses, the Estate's status and Events; and the feed of records."""
