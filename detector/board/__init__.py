"""What TensorBoard shows of a training: curves and pictures, in logs/. No output of DVC, and so no dep of a stage."""
