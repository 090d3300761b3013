"""What plugin authors begin with and check their work by."""
