"""What `make doctor` looks at: one module for the machine, the repository, the training and the remote each."""
