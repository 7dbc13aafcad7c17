"""DVC and its remote: settings, transfers, experiments, git."""
