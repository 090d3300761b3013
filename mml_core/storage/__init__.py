"""Durable files: atomic writes, links, leases and hashes; a leaf that knows nothing of mml."""
