"""The Check Point management API: one session, objects, groups, publish and install."""
