"""What commands share: flags and exit codes, number formats, commands that run commands."""
