"""The labelling loop: which photos to label first, the labels to start from, and which labels may be wrong."""
