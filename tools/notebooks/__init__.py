"""What notebooks need besides `make`: a terminal for each command, places to keep a training, the model as a zip."""
