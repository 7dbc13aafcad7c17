"""What makes a training survive: the work directory, its mirror on a bucket, and the lease of who trains."""
