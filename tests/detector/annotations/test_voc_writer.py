"""The VOC XML that we write; our reader takes it back."""

from detector.annotations import voc
from detector.annotations.voc_writer import LabelledBox, voc_xml


def test_every_byte() -> None:
    dog = LabelledBox("dog", (0, 20, 320, 380), truncated=True)
    xml = voc_xml("a.jpg", (320, 400), [dog], folder="train", database="Passo sample")
    assert xml == (
        b"<annotation>\n\t<folder>train</folder>\n\t<filename>a.jpg</filename>\n"
        b"\t<source>\n\t\t<database>Passo sample</database>\n\t</source>\n"
        b"\t<size>\n\t\t<width>320</width>\n\t\t<height>400</height>\n\t\t<depth>3</depth>\n\t</size>\n"
        b"\t<segmented>0</segmented>\n"
        b"\t<object>\n\t\t<name>dog</name>\n\t\t<pose>Unspecified</pose>\n\t\t<truncated>1</truncated>\n"
        b"\t\t<difficult>0</difficult>\n\t\t<bndbox>\n\t\t\t<xmin>0</xmin>\n\t\t\t<ymin>20</ymin>\n"
        b"\t\t\t<xmax>320</xmax>\n\t\t\t<ymax>380</ymax>\n\t\t</bndbox>\n\t</object>\n</annotation>\n"
    )


def test_the_reader_reads_it() -> None:
    """Names that XML must escape, numbers as text, and an image without objects."""
    xml = voc_xml("a & b.jpg", (64, 48), [LabelledBox("c<d", ("1.5", "2", "3", "4.25"))], folder="test")
    annotation, problems = voc.parse(xml, ("c<d",))
    assert annotation is not None and problems == []
    assert (annotation.filename, annotation.size) == ("a & b.jpg", (64, 48))
    assert [(one.name, one.box) for one in annotation.objects] == [("c<d", (1.5, 2, 3, 4.25))]
    assert voc.parse(voc_xml("a.jpg", (9, 9), [], folder="test"), ()) == (voc.Annotation("a.jpg", (9, 9), ()), [])
