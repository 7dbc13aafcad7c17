"""Labels in other formats than PASCAL VOC -> the boxes of each photo, which become VOC XML: `reading.read`.

coco yolo pixels tables via labelme label_studio create_ml cvat
                                                            one reader each; docs/formats.md says what each takes
records                                                     TFRecords, which hold their photos
folder text sniffing                                        the files of a tree, by what they hold
labelled matching                                           what a reader gives; which photo a name means

They are our own, since the one library that solves beside our lock, globox 2.9.0 (MIT, alive: 27 releases from 2022 to
2026), is not faithful enough. Tried: it drops COCO's iscrowd, polygons without a bbox end in a KeyError, as do unknown
ids, an inverted box in an AssertionError and a photo listed twice in another, none with a file or a line; images must
have a size; YOLO's `data.yaml`, class names, splits and photos of mixed suffixes are left to the caller, and a polygon
of it is not told from a line with a score. What is taken must be taken whole here, and what is not must be named.
"""
