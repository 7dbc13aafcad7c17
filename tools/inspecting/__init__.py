"""What `make inspect` shows of a dataset: its content, boxes against anchors, findings, and their pictures."""
