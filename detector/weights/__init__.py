"""What training starts from: ImageNet and Open Images weights."""
