"""HTTPS to one system: TLS, one request at most once, and safe access to JSON, and the token bucket."""
