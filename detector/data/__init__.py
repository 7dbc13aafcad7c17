"""What a dataset is to the stages: boxes, label map, CSV tables, TFRecords."""
