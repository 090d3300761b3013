"""Planning, running and resuming schedules of atomic steps."""
