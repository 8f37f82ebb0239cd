from __future__ import annotations

import errno
import os
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photographs import NAIROBI, photograph
from PIL import ExifTags, Image

from speciesnet.constants import Classification
from speciesnet.errors import InputError, OutputError
from speciesnet.export import xmp
from speciesnet.export.xmp import (
    Keywords,
    keyword_tasks,
    keywords_of_label,
    with_keywords,
    write_keywords,
)
from speciesnet.files.moved_photographs import Photographs
from speciesnet.records import Record

try:
    import pyexiv2
except (ImportError, OSError) as error:
    pytest.skip(f'pyexiv2 is missing ({error}): the extra "xmp"', allow_module_level=True)

FOX = "u;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
DEER = "u;mammalia;cetartiodactyla;cervidae;odocoileus;virginianus;white-tailed deer"
TAXA = "SpeciesNet|Mammalia|Carnivora|Canidae|Vulpes"
LISTS = {
    "subject": "{http://purl.org/dc/elements/1.1/}subject",
    "hierarchy": "{http://ns.adobe.com/lightroom/1.0/}hierarchicalSubject",
    "tags": "{http://www.digikam.org/ns/1.0/}TagsList",
}
LABEL = "{http://ns.adobe.com/xap/1.0/}Label"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
OURS = ("Xmp.dc.subject", "Xmp.lr.hierarchicalSubject", "Xmp.digiKam.TagsList", "Xmp.xmp.Label")

PACKET = """\
<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="%s">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"
    xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
    xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
    xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
    xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
    xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
    xmlns:darktable="http://darktable.sf.net/" xmlns:digiKam="http://www.digikam.org/ns/1.0/"
    xmlns:acdsee="http://ns.acdsee.com/iptc/1.0/" xmlns:mine="http://example.org/mine/"
    xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"
    xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#"
    xmlns:MicrosoftPhoto="http://ns.microsoft.com/photo/1.0/"
    %s>
%s
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""
LIGHTROOM = PACKET % (
    "Adobe XMP Core 7.0-c000 1.000000, 0000/00/00-00:00:00",
    'xmp:Rating="4" xmp:Label="Red" xmp:CreateDate="2024-05-01T06:30:00.12" exif:FNumber="28/10"'
    ' photoshop:SidecarForExtension="NEF" crs:Version="15.0" crs:HasSettings="True"',
    """
   <dc:subject><rdf:Bag><rdf:li>Kenya</rdf:li><rdf:li>lion</rdf:li></rdf:Bag></dc:subject>
   <lr:hierarchicalSubject><rdf:Bag><rdf:li>Places|Kenya</rdf:li><rdf:li>lion</rdf:li></rdf:Bag></lr:hierarchicalSubject>
   <dc:title><rdf:Alt><rdf:li xml:lang="x-default">A &lt;lion&gt; &amp; me</rdf:li></rdf:Alt></dc:title>
   <dc:creator><rdf:Seq><rdf:li>Jané Doe</rdf:li></rdf:Seq></dc:creator>
   <xmpMM:History><rdf:Seq>
     <rdf:li stEvt:action="saved" stEvt:when="2024-05-01T06:30:00+03:00" stEvt:changed="/"/>
     <rdf:li rdf:parseType="Resource"><stEvt:action>derived</stEvt:action></rdf:li>
   </rdf:Seq></xmpMM:History>
   <crs:ToneCurve><rdf:Seq><rdf:li>0, 0</rdf:li><rdf:li>255, 255</rdf:li></rdf:Seq></crs:ToneCurve>
   <crs:MaskGroupBasedCorrections><rdf:Seq><rdf:li>
     <rdf:Description crs:What="Correction" crs:CorrectionAmount="1">
      <crs:CorrectionMasks><rdf:Seq>
       <rdf:li crs:What="Mask/Image" crs:MaskActive="true" crs:Dabs="a b"/>
      </rdf:Seq></crs:CorrectionMasks>
     </rdf:Description></rdf:li></rdf:Seq></crs:MaskGroupBasedCorrections>
""",
)
DARKTABLE = PACKET % (
    "XMP Core 4.4.0-Exiv2",
    'exif:DateTimeOriginal="2024:05:01 06:30:00.123" xmp:Rating="-1" xmpMM:DerivedFrom="IMG.CR2"'
    ' darktable:xmp_version="5" darktable:history_end="2" darktable:iop_order_version="4"'
    ' darktable:import_timestamp="63850300000000000" mine:own="a&quot;b"',
    """
   <darktable:masks_history><rdf:Seq>
     <rdf:li darktable:mask_num="1" darktable:mask_id="1690" darktable:mask_points="gz02eJw7"/>
   </rdf:Seq></darktable:masks_history>
   <darktable:history><rdf:Seq>
     <rdf:li darktable:num="0" darktable:operation="rawprepare" darktable:enabled="1"
       darktable:params="5c00000036000000" darktable:multi_name="" darktable:multi_priority="0"/>
     <rdf:li darktable:num="1" darktable:operation="exposure" darktable:enabled="1"
       darktable:params="gz12eJxjYGBg" darktable:multi_name="my preset" darktable:multi_priority="0"/>
   </rdf:Seq></darktable:history>
   <dc:subject><rdf:Seq><rdf:li>darktable|exported|nef</rdf:li></rdf:Seq></dc:subject>
   <lr:hierarchicalSubject><rdf:Seq><rdf:li>darktable|exported|nef</rdf:li></rdf:Seq></lr:hierarchicalSubject>
   <darktable:colorlabels><rdf:Seq><rdf:li>0</rdf:li><rdf:li>2</rdf:li></rdf:Seq></darktable:colorlabels>
""",
)
DIGIKAM = PACKET % (
    "XMP Core 4.4.0-Exiv2",
    'digiKam:PickLabel="0" digiKam:ColorLabel="3" xmp:Label="Yellow" tiff:Orientation="1"'
    ' acdsee:categories="&lt;Categories&gt;&lt;Category Assigned=&quot;1&quot;&gt;a&lt;/Category&gt;'
    '&lt;/Categories&gt;" exif:GPSLatitude="1,17.4S" exif:GPSLongitude="36,49.2E"',
    """
   <digiKam:TagsList><rdf:Seq><rdf:li>People/Zoë</rdf:li><rdf:li>animal</rdf:li></rdf:Seq></digiKam:TagsList>
   <lr:hierarchicalSubject><rdf:Bag><rdf:li>People|Zoë</rdf:li><rdf:li>animal</rdf:li></rdf:Bag></lr:hierarchicalSubject>
   <dc:subject><rdf:Bag><rdf:li>Zoë</rdf:li><rdf:li>animal</rdf:li></rdf:Bag></dc:subject>
   <MicrosoftPhoto:LastKeywordXMP><rdf:Bag><rdf:li>People/Zoë</rdf:li></rdf:Bag></MicrosoftPhoto:LastKeywordXMP>
   <digiKam:CaptionsAuthorNames><rdf:Alt>
     <rdf:li xml:lang="x-default">me</rdf:li><rdf:li xml:lang="de-DE">ich</rdf:li>
   </rdf:Alt></digiKam:CaptionsAuthorNames>
   <mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:RegionList><rdf:Bag>
     <rdf:li><rdf:Description mwg-rs:Name="Zoë" mwg-rs:Type="Face">
       <mwg-rs:Area stArea:x="0.5" stArea:y="0.5" stArea:unit="normalized"/></rdf:Description></rdf:li>
   </rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>
""",
)


def record(file: str | Path, label: str = FOX, score: float = 0.8) -> Record:
    return {"filepath": str(file), "prediction": label, "prediction_score": score}


def write(records: list[Record], root: Path | None = None, **options: Any):
    where = Photographs(None if root is None else str(root))
    return write_keywords(keyword_tasks(records, options.pop("min_score", 0.0)), where, **options)


def parsed(packet: bytes | str) -> dict[str, Any]:
    """The lists and the label, by an ordinary XML parser."""
    if isinstance(packet, bytes):
        packet = packet.decode()
    root = ET.fromstring(packet.strip().encode())
    found: dict[str, Any] = {
        name: [item.text for item in element.iter(f"{RDF}li")]
        for name, tag in LISTS.items()
        for element in root.iter(tag)
    }
    for description in root.iter(f"{RDF}Description"):
        if label := description.get(LABEL, description.findtext(LABEL)):
            found["label"] = label
    return found


def properties(packet: str) -> dict[str, Any]:
    """Everything that exiv2 reads, except what this program may change."""
    with pyexiv2.ImageData(packet.encode()) as sidecar:
        return {key: value for key, value in sidecar.read_xmp().items() if key not in OURS}


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return Path(photograph(tmp_path / "survey" / "cam1" / "a.jpg"))


@pytest.mark.parametrize(
    ("label", "flat", "first", "name"),
    [
        (FOX, ["Red fox", "Vulpes vulpes", "animal"], f"{TAXA}|Red fox", "Red fox"),
        ("u;mammalia;carnivora;canidae;vulpes;;fox", ["Fox", "Vulpes", "animal"], f"{TAXA}|Fox", "Fox"),
        (Classification.HUMAN.value, ["Human", "Homo sapiens", "human"],
         "SpeciesNet|Mammalia|Primates|Hominidae|Homo|Human", "Human"),
        (Classification.VEHICLE.value, ["vehicle"], "SpeciesNet|vehicle", "vehicle"),
        (Classification.BLANK.value, ["blank"], "SpeciesNet|blank", "blank"),
        (Classification.ANIMAL.value, ["animal"], "SpeciesNet|animal", "animal"),
        ("u;;;;;;a|b/c\\d\x00e\ud800", ["a-b-c-d-e-", "animal"], "SpeciesNet|a-b-c-d-e-", "a-b-c-d-e-"),
    ],
)  # fmt: skip
def test_keywords_of_a_label(label: str, flat: list[str], first: str, name: str) -> None:
    found = keywords_of_label(label)
    assert (found.flat, found.joined("|")[0], found.label) == (flat, first, name)


def test_images_without_an_answer_get_no_keywords(picture: Path) -> None:
    records: list[Record] = [
        {"filepath": str(picture), "failures": ["CLASSIFIER"]},
        {"filepath": str(picture), "detections": []},
        record(picture, Classification.UNKNOWN.value),
    ]
    assert [task.keywords for task in keyword_tasks(records)] == [None] * 3
    assert write(records).without_answer == 3
    assert len(list(picture.parent.iterdir())) == 1
    whole_image: Record = {"filepath": "a", "classifications": {"classes": [FOX], "scores": [0.9]}}
    without_place = record(picture, FOX)
    without_place["failures"] = ["GEOLOCATION"]
    found = keyword_tasks([whole_image, without_place])
    assert [task.keywords for task in found] == [keywords_of_label(FOX)] * 2
    with pytest.raises(InputError, match=r"record of a.jpg is malformed"):
        keyword_tasks([{"filepath": "a.jpg", "prediction": FOX}])


def test_people_and_vehicles_are_keywords_whatever_the_answer(picture: Path) -> None:
    boxes: Any = [
        {"category": category, "label": label, "conf": conf, "bbox": [0.1, 0.2, 0.3, 0.4]}
        for category, label, conf in (
            ("1", "animal", 0.9),
            ("2", "human", 0.5),
            ("3", "vehicle", 0.1),
        )
    ]
    fox = record(picture, FOX) | {"detections": boxes}
    drive = fox | {"detections": [boxes[1], boxes[2] | {"conf": 0.2}]}
    found: list[Any] = [
        fox,
        drive,
        {"filepath": str(picture), "detections": boxes},
        fox | {"prediction_score": 0.1},
        record(picture, Classification.HUMAN.value),
        record(picture, Classification.UNKNOWN.value) | {"detections": boxes},
        {"filepath": str(picture), "detections": boxes, "failures": ["CLASSIFIER"]},
    ]
    tasks = keyword_tasks(found, min_score=0.5)
    assert [one.keywords and one.keywords.flat for one in tasks] == [
        ["Red fox", "Vulpes vulpes", "animal", "person"],
        ["Red fox", "Vulpes vulpes", "animal", "person", "vehicle"],
        ["person"],
        ["person"],
        ["Human", "Homo sapiens", "human", "person"],
        ["person"],
        None,
    ]
    assert tasks[0].keywords is not None
    assert tasks[0].keywords.label == "Red fox"


def test_sidecar_is_readable_and_written_once(picture: Path) -> None:
    photo = picture.read_bytes()
    assert write([record(picture)]).done == 1
    sidecar = picture.with_name("a.jpg.xmp")
    assert parsed(sidecar.read_bytes()) == {
        "subject": ["Red fox", "Vulpes vulpes", "animal"],
        "hierarchy": [f"{TAXA}|Red fox", f"{TAXA}|Vulpes vulpes", "SpeciesNet|animal"],
        "tags": [
            "SpeciesNet/Mammalia/Carnivora/Canidae/Vulpes/Red fox",
            "SpeciesNet/Mammalia/Carnivora/Canidae/Vulpes/Vulpes vulpes",
            "SpeciesNet/animal",
        ],
        "label": "Red fox",
    }
    for name, kind in zip(LISTS.values(), ("Bag", "Bag", "Seq"), strict=True):
        assert [child.tag for list_ in ET.parse(sidecar).iter(name) for child in list_] == [
            RDF + kind
        ]
    before = sidecar.stat()
    again = write([record(picture)])
    assert (again.done, again.unchanged) == (0, 1)
    assert (sidecar.stat().st_ino, sidecar.stat().st_mtime_ns) == (
        before.st_ino,
        before.st_mtime_ns,
    )
    assert picture.read_bytes() == photo
    assert sorted(path.name for path in picture.parent.iterdir()) == ["a.jpg", "a.jpg.xmp"]


def test_another_answer_replaces_the_earlier_one(picture: Path) -> None:
    sidecar = picture.with_name("a.jpg.xmp")
    write([record(picture)])
    write([record(picture, DEER)])
    found = parsed(sidecar.read_bytes())
    assert set(found["subject"]) == {"animal", "White-tailed deer", "Odocoileus virginianus"}
    assert not [path for name in ("hierarchy", "tags") for path in found[name] if "ulpes" in path]
    assert found["label"] == "White-tailed deer"
    assert write([record(picture)], min_score=0.9).done == 1
    assert not sidecar.exists()  # nobody else wrote anything into it
    assert write([record(picture)], min_score=0.9).unchanged == 1


@pytest.mark.parametrize("packet", [LIGHTROOM, DARKTABLE, DIGIKAM], ids=["lr", "dt", "digikam"])
def test_sidecars_of_other_programs_keep_their_content(packet: str, picture: Path) -> None:
    sidecar = picture.with_name("a.jpg.xmp")
    sidecar.write_text(packet, encoding="utf-8")
    before, theirs = parsed(packet), properties(packet)
    assert len(theirs) > 15
    assert write([record(picture)]).done == 1
    written = sidecar.read_text(encoding="utf-8")
    assert properties(written) == theirs
    found = parsed(written)
    for name, ours in parsed(with_keywords(None, keywords_of_label(FOX)) or "").items():
        if name == "label":
            assert found["label"] == before.get("label", "Red fox")
        else:
            assert found[name][: len(before.get(name, []))] == before.get(name, [])
            assert set(found[name]) == {*before.get(name, []), *ours}
    assert write([record(picture)]).unchanged == 1
    assert write([record(picture)], min_score=0.9).done == 1
    written = sidecar.read_text(encoding="utf-8")
    assert properties(written) == theirs
    assert parsed(written) == before


def test_equal_keyword_of_another_program_is_kept(picture: Path) -> None:
    sidecar = picture.with_name("a.jpg.xmp")
    bag = "<dc:subject><rdf:Bag><rdf:li>animal</rdf:li><rdf:li>type=Bag</rdf:li></rdf:Bag></dc:subject>"
    sidecar.write_text(PACKET % ("", "", bag), encoding="utf-8")
    write([record(picture)])
    write([record(picture, DEER)])
    assert "animal" in parsed(sidecar.read_bytes())["hierarchy"]
    write([record(picture)], min_score=0.9)
    assert parsed(sidecar.read_bytes())["subject"] == ["animal", "type=Bag"]


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "not XML",
        LIGHTROOM[: len(LIGHTROOM) // 2],
        "<?xml version='1.0'?><html/>",
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'/>",
        LIGHTROOM.replace("<x:xmpmeta", '<!DOCTYPE x [<!ENTITY a "b">]>\n<x:xmpmeta', 1),
        LIGHTROOM.replace(
            "<x:xmpmeta",
            '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
            '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;">]>'
            "\n<x:xmpmeta",
            1,
        ).replace("Kenya", "&d;"),
        LIGHTROOM.replace(
            "<x:xmpmeta", '<!DOCTYPE x [<!ENTITY a SYSTEM "/etc/passwd">]>\n<x:xmpmeta', 1
        ).replace("Kenya", "&a;"),
        PACKET % ("", 'lr:hierarchicalSubject="plain"', ""),
        LIGHTROOM.encode("utf-16").decode("latin-1"),
        "\xff\xfe" + LIGHTROOM,
    ],
)
def test_damaged_sidecars_are_skipped(damaged: str, picture: Path) -> None:
    sidecar = picture.with_name("a.jpg.xmp")
    sidecar.write_bytes(damaged.encode("latin-1", "xmlcharrefreplace"))
    before = sidecar.read_bytes()
    result = write([record(picture)])
    ((name, reason),) = result.skipped
    assert name == str(sidecar)
    assert reason
    assert "\n" not in reason
    assert sidecar.read_bytes() == before
    assert len(list(picture.parent.iterdir())) == 2


def test_dry_run_reports_and_changes_nothing(picture: Path) -> None:
    reported: list[Any] = []
    for embed in (False, True):
        before = picture.read_bytes()
        result = write(
            [record(picture)], dry_run=True, embed=embed, report=lambda *x: reported.append(x)
        )
        assert result.done == 1
        assert picture.read_bytes() == before
        assert len(list(picture.parent.iterdir())) == 1
    keywords = keywords_of_label(FOX)
    assert reported == [(picture.with_name("a.jpg.xmp"), keywords), (picture, keywords)]


def test_names_of_sidecars(picture: Path) -> None:
    other = Path(photograph(picture.with_name("a.png")))
    write([record(picture)], naming="base")
    assert picture.with_name("a.xmp").exists()
    result = write([record(picture), record(other)], naming="base")
    assert result.skipped[0][1] == "it is the sidecar of a.jpg; use --naming full"
    assert write([record(picture), record(other)]).done == 2


def test_sidecars_in_a_folder_of_their_own(picture: Path, tmp_path: Path) -> None:
    second = Path(photograph(tmp_path / "survey" / "cam2" / "a.jpg"))
    out = tmp_path / "out"
    assert write([record(picture), record(second)], out=out).done == 2
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*")) == [
        "cam1/a.jpg.xmp",
        "cam2/a.jpg.xmp",
    ]
    assert len(list((tmp_path / "survey").rglob("*.*"))) == 2


def test_photographs_that_moved_or_are_missing(picture: Path, tmp_path: Path) -> None:
    old = "D:\\survey\\cam1\\a.jpg"
    result = write([record(old), record("D:\\survey\\cam1\\gone.jpg")], root=tmp_path / "survey")
    assert (result.done, result.missing) == (1, 1)
    assert picture.with_name("a.jpg.xmp").exists()
    with pytest.raises(InputError, match=r"The only photograph, .* with --image_root"):
        write([record(old)])


@pytest.mark.parametrize("text", ["<b>&\"'", "Elch 🦌", "ü" * 300, "]]>", "  a  b "])
def test_strange_words_are_read_back_as_they_are(text: str) -> None:
    keywords = keywords_of_label(f"u;;;;;;{text}")
    word = " ".join(text.split())
    packet = with_keywords(None, keywords)
    assert packet is not None
    found = parsed(packet)
    assert found["subject"] == [word, "animal"]
    assert found["label"] == word
    assert with_keywords(packet, keywords) is None
    assert with_keywords(packet, Keywords()) == ""


@pytest.mark.skipif(os.name == "nt", reason="Windows takes no such names")
def test_strange_file_names(picture: Path) -> None:
    for name in ("Elch 🦌 é.jpg", '"quo\'ted".jpg', "line\nbreak.jpg", "CON.jpg", "-.jpg"):
        file = picture.with_name(name)
        file.write_bytes(picture.read_bytes())
        assert write([record(file)]).done == write([record(file)], embed=True).done == 1
        assert parsed(file.with_name(f"{name}.xmp").read_bytes())["label"] == "Red fox"


def xmp_of(file: Path) -> dict[str, Any]:
    """What Pillow finds in a photograph, by an ordinary XML parser."""
    with Image.open(file) as image:
        packet: Any = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
        packet = packet or getattr(image, "tag_v2", {}).get(700)
    return parsed(packet) if packet else {}


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
def test_embedded_keywords_keep_pixels_dates_and_permissions(ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"a.{ending}"
    pixels = np.random.default_rng(1).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Reconyx"
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(NAIROBI)
    Image.fromarray(pixels).save(file, exif=exif)
    if os.name != "nt":
        file.chmod(0o640)
    os.utime(file, ns=(1_600_000_000_000_000_000, 1_600_000_000_000_000_000))

    def content() -> tuple[Any, ...]:
        with Image.open(file) as image:
            gps = dict(image.getexif().get_ifd(ExifTags.IFD.GPSInfo))
            return np.asarray(image).tolist(), image.getexif()[ExifTags.Base.Make], gps

    before, stat = content(), file.stat()
    assert write([record(file)], embed=True).done == 1
    assert xmp_of(file)["subject"] == ["Red fox", "Vulpes vulpes", "animal"]
    assert content() == before
    assert (file.stat().st_mtime_ns, file.stat().st_mode) == (stat.st_mtime_ns, stat.st_mode)
    assert write([record(file)], embed=True).unchanged == 1
    assert write([record(file)], embed=True, min_score=0.9).done == 1
    assert xmp_of(file) == {}
    assert content() == before
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_xmp_in_a_photograph_keeps_all_that_is_not_ours(picture: Path) -> None:
    with pyexiv2.ImageData(picture.read_bytes()) as image:
        image.modify_raw_xmp(DIGIKAM)
        theirs = {key: value for key, value in image.read_xmp().items() if key not in OURS}
        picture.write_bytes(image.get_bytes())
    assert write([record(picture)], embed=True).done == 1
    with pyexiv2.ImageData(picture.read_bytes()) as image:
        found = image.read_xmp()
    assert {key: value for key, value in found.items() if key not in OURS} == theirs
    assert found["Xmp.xmp.Label"] == "Yellow"
    assert found["Xmp.dc.subject"] == ["Zoë", "animal", "Red fox", "Vulpes vulpes"]


@pytest.mark.parametrize("damaged", [b"", b"not a photograph", b"GIF89a"])
def test_photographs_without_room_for_keywords_are_skipped(damaged: bytes, tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(damaged)
    assert len(write([record(file)], embed=True).skipped) == 1
    assert file.read_bytes() == damaged


def coded_pixels(jpeg: bytes) -> bytes:
    """Everything after what programs write about a picture."""
    position = 2
    while 0xE0 <= jpeg[position + 1] <= 0xEF or jpeg[position + 1] == 0xFE:
        position += 2 + int.from_bytes(jpeg[position + 2 : position + 4], "big")
    return jpeg[position:]


def test_real_photographs_keep_what_their_cameras_wrote(shared: Path, tmp_path: Path) -> None:
    for source in sorted((shared / "images").rglob("*.jpg")):
        file = tmp_path / source.name
        file.write_bytes(source.read_bytes())
        result = write([record(file)], embed=True)
        if result.skipped:
            assert file.read_bytes() == source.read_bytes()
            continue
        with Image.open(source) as old, Image.open(file) as new:
            assert dict(new.getexif()) == dict(old.getexif())
            for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
                assert dict(new.getexif().get_ifd(ifd)) == dict(old.getexif().get_ifd(ifd))
        assert coded_pixels(file.read_bytes()) == coded_pixels(source.read_bytes())


def test_packets_too_large_for_a_photograph_are_skipped(picture: Path) -> None:
    before = picture.read_bytes()
    long = record(
        picture, f"u;;;;;;{'x' * 40_000}"
    )  # a JPEG file takes 64 KB, and each word occurs three times
    ((_, reason),) = write([long], embed=True).skipped
    assert "XMP" in reason
    assert picture.read_bytes() == before


@pytest.mark.parametrize("embed", [False, True])
def test_full_disk_ends_the_run_and_leaves_files_whole(
    picture: Path, monkeypatch: pytest.MonkeyPatch, embed: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = picture.read_bytes()
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OutputError, match=r"cannot be written \(No space left on device\)"):
        write([record(picture)], embed=embed)
    assert picture.read_bytes() == before
    assert len(list(picture.parent.iterdir())) == 1


def test_missing_pyexiv2_is_reported(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    xmp._pyexiv2.cache_clear()
    monkeypatch.setitem(sys.modules, "pyexiv2", None)
    with pytest.raises(InputError, match=r'pip install "speciesnet\[xmp\]"'):
        write([record(picture)])
    assert len(list(picture.parent.iterdir())) == 1


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_embedded_keywords_start_with_those_in_iptc(picture: Path, encoding: str) -> None:
    values: dict[str, Any] = {"Iptc.Application2.Keywords": ["Zoë", "animal"]}
    if encoding == "utf-8":
        values["Iptc.Envelope.CharacterSet"] = "\x1b%G"
    with pyexiv2.Image(str(picture)) as image:
        image.modify_iptc(values, encoding)
    assert write([record(picture)], embed=True).done == 1
    with pyexiv2.Image(str(picture)) as image:
        assert parsed(image.read_raw_xmp())["subject"] == [
            "Zoë",
            "animal",
            "Red fox",
            "Vulpes vulpes",
        ]
        assert image.read_iptc(encoding)["Iptc.Application2.Keywords"] == ["Zoë", "animal"]
    assert write([record(picture)], embed=True).unchanged == 1
    assert write([record(picture, DEER)], embed=True).done == 1
    with pyexiv2.Image(str(picture)) as image:
        subject = parsed(image.read_raw_xmp())["subject"]
    assert subject == ["Zoë", "animal", "White-tailed deer", "Odocoileus virginianus"]


def test_iptc_is_left_alone_if_xmp_has_keywords(picture: Path) -> None:
    with pyexiv2.Image(str(picture)) as image:
        image.modify_iptc({"Iptc.Application2.Keywords": ["old"]})
        image.modify_xmp({"Xmp.dc.subject": ["Kenya"]})
    assert write([record(picture)], embed=True).done == 1
    with pyexiv2.Image(str(picture)) as image:
        subject = parsed(image.read_raw_xmp())["subject"]
    assert subject == ["Kenya", "Red fox", "Vulpes vulpes", "animal"]
