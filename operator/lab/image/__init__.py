"""`make image`: the container image, built from Debian packages and pinned wheels, without a registry or a daemon."""
