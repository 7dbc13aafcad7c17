"""What `make doctor` checks: a module each for data, machine, repository, training, settings and remote."""
