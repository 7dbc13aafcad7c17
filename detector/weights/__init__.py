"""The weights that training starts from: ImageNet, Open Images, a checkpoint of somebody else, or your last model."""
