"""What people labelled: reading PASCAL VOC and folders, splitting, and making examples of it."""
