"""Messages about runs of mml: Slack, mail, commands."""
