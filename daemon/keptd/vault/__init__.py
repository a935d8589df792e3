"""The room of secrets: names and values sealed under a password (`keys` says how)."""
