"""Contracts: what every plugin, scheduler and architecture has to do, as tests to subclass in one line.

``mml_core.testing`` exports them; ``docs/testing.md`` shows how they are used.
"""
