# ruff: noqa: E501  (label lines stay whole)
"""Labels, taxonomy and ranges of the demo's species.

The ranges are common knowledge (the countries and states in which a species is established, wild or
introduced), simplified to whole countries and states.
"""

from __future__ import annotations

import json
from pathlib import Path

import pycountry

BLANK = "f1856211-cfb7-4a5b-9158-c0f72fd09ee6;;;;;;blank"
ANIMAL = "1f689929-883d-4dae-958c-3d57ab5b6c16;;;;;;animal"
HUMAN = "990ae9dd-7a59-4344-afcb-1b7b21368000;mammalia;primates;hominidae;homo;sapiens;human"
VEHICLE = "e2895ed5-780b-48f6-8a11-9e27cb594511;;;;;;vehicle"
UNKNOWN = "f2efdae9-efb8-48fb-8a91-eccf79ab4ffb" + ";no cv result" * 6

SPECIES = (
    "5c7ce479-8a45-40b3-ae21-7c97dfae22f5;mammalia;cetartiodactyla;cervidae;odocoileus;virginianus;white-tailed deer",
    "d372cda5-a8ca-4b7b-97ed-4e4fab9c9b4b;mammalia;cetartiodactyla;suidae;sus;scrofa;wild boar",
    "436ddfdd-bc43-44c3-a25d-34671d3430a0;mammalia;carnivora;ursidae;ursus;americanus;american black bear",
    "ac0e8ba7-7261-4d17-8645-11ed3d02165a;mammalia;carnivora;canidae;vulpes;vulpes;red fox",
    "b57debc1-dff2-48d3-a400-f2b5021e71b0;mammalia;carnivora;procyonidae;procyon;lotor;northern raccoon",
    "9282b7e4-f3b0-4ef3-9741-cae7f7bd346a;mammalia;carnivora;mephitidae;mephitis;mephitis;striped skunk",
    "94d8284e-6193-43b5-b80c-9029cf951675;aves;galliformes;phasianidae;meleagris;gallopavo;wild turkey",
    "dd39bbd5-077c-482e-9d33-bd176116c870;mammalia;perissodactyla;equidae;equus;quagga;plains zebra",
    "55631055-3e0e-4b7a-9612-dedebe9f78b0;mammalia;proboscidea;elephantidae;loxodonta;africana;african elephant",
    "2dca052b-dff5-4cc9-8072-1282c5713286;mammalia;cetartiodactyla;giraffidae;giraffa;camelopardalis;giraffe",
)
# Line number = class index of the classifier.
LABEL_LINES = (BLANK, HUMAN, VEHICLE, *SPECIES)

ANCESTORS = (
    "b1352069-a39c-4a84-a949-60044271c0c1;aves;;;;;bird",
    "837e12c2-f30c-4875-afeb-32d51938f139;aves;galliformes;;;;galliformes order",
    "4eae4c62-e867-465a-a1f3-536791efa6c4;aves;galliformes;phasianidae;;;phasianidae family",
    "c5de71c5-1b03-409f-a79e-aba281310236;aves;galliformes;phasianidae;meleagris;;meleagris species",
    "f2d233e3-80e3-433d-9687-e29ecc7a467a;mammalia;;;;;mammal",
    "eeeb5d26-2a47-4d01-a3de-10b33ec0aee4;mammalia;carnivora;;;;carnivorous mammal",
    "3184697f-51ad-4608-9a28-9edb5500159c;mammalia;carnivora;canidae;;;canine family",
    "78761f5e-64a3-46eb-b4f1-c966cc1ce630;mammalia;carnivora;canidae;vulpes;;vulpes species",
    "85f6436b-bcc1-4581-9589-2bb4d48491b7;mammalia;carnivora;mephitidae;;;skunk family",
    "9cdb7b1d-47cc-46e9-88ea-f49c8f3f23c2;mammalia;carnivora;mephitidae;mephitis;;mephitis species",
    "bd335502-4199-4eff-8e5e-471d7fabf3eb;mammalia;carnivora;procyonidae;;;coati family",
    "c85670f4-0b2b-48c1-a35f-dddf8ff929f2;mammalia;carnivora;procyonidae;procyon;;procyon species",
    "ec1a70f4-41c0-4aba-9150-292fb2b7a324;mammalia;carnivora;ursidae;;;bear family",
    "5a0f5e3f-c634-4b86-910a-b105cb526a24;mammalia;carnivora;ursidae;ursus;;ursus species",
    "797b2c80-4b99-45ec-b73f-5fd62bbb93a8;mammalia;cetartiodactyla;;;;cetartiodactyla order",
    "627c919c-29bc-439b-acde-62b3cd31f8a8;mammalia;cetartiodactyla;cervidae;;;cervidae family",
    "b52529fa-320f-41e8-97ec-fa41ce26c86a;mammalia;cetartiodactyla;cervidae;odocoileus;;odocoileus species",
    "b26bef75-99b7-47c9-8ece-d01a458999d1;mammalia;cetartiodactyla;giraffidae;;;giraffidae family",
    "b28d74f9-945f-47e9-b03e-6843a2724593;mammalia;cetartiodactyla;giraffidae;giraffa;;giraffa species",
    "ac6a6bc6-a5f8-4a9f-9596-f34fb1f01ccf;mammalia;cetartiodactyla;suidae;;;suidae family",
    "a0c46acc-fd6a-45b2-9f11-b701129b2633;mammalia;cetartiodactyla;suidae;sus;;sus species",
    "2543e3c2-bdd1-41a6-9bd0-014e3733b0d8;mammalia;perissodactyla;;;;perissodactyla order",
    "1d31187b-4161-43cd-9f2e-48b4fb4fb49c;mammalia;perissodactyla;equidae;;;equidae family",
    "9d29c3e7-3233-4e2d-9926-ae21c8675c52;mammalia;perissodactyla;equidae;equus;;equus species",
    "efb57acb-d246-5769-9b9e-0b6faf73f763;mammalia;proboscidea;;;;proboscidea order",
    "f8946e7e-b4d2-533c-ad29-ed694bf95664;mammalia;proboscidea;elephantidae;;;elephantidae family",
    "e6de27ad-58c6-5f5b-9a07-ce117d01a0e8;mammalia;proboscidea;elephantidae;loxodonta;;loxodonta species",
)
TAXONOMY_LINES = (BLANK, ANIMAL, HUMAN, VEHICLE, UNKNOWN, *ANCESTORS, *SPECIES)

_CONTIGUOUS = [
    "AL",
    "AR",
    "AZ",
    "CA",
    "CO",
    "CT",
    "DC",
    "DE",
    "FL",
    "GA",
    "IA",
    "ID",
    "IL",
    "IN",
    "KS",
    "KY",
    "LA",
    "MA",
    "MD",
    "ME",
    "MI",
    "MN",
    "MO",
    "MS",
    "MT",
    "NC",
    "ND",
    "NE",
    "NH",
    "NJ",
    "NM",
    "NV",
    "NY",
    "OH",
    "OK",
    "OR",
    "PA",
    "RI",
    "SC",
    "SD",
    "TN",
    "TX",
    "UT",
    "VA",
    "VT",
    "WA",
    "WI",
    "WV",
    "WY",
]


def _without(*states: str) -> list[str]:
    return [state for state in _CONTIGUOUS if state not in states]


def _whole(countries: str) -> dict[str, list[str]]:
    return {country: [] for country in countries.split()}


_PALEARCTIC = (
    "ALB AND ARM AUT AZE BEL BGR BIH BLR CHE CHN CZE DEU DNK DZA EGY ESP EST FIN FRA GBR GEO GRC HRV HUN IND IRN IRQ "
    "ISR ITA JPN KAZ KGZ KOR LIE LTU LUX LVA MAR MDA MKD MNE MNG NLD NOR NPL PAK POL PRK PRT ROU RUS SRB SVK SVN SWE "
    "SYR TJK TKM TUN TUR UKR UZB"
)
_RANGES: dict[str, dict[str, dict[str, list[str]]]] = {
    "white-tailed deer": {
        "allow": {"USA": _without("CA", "NV", "UT")}
        | _whole("CAN MEX BLZ GTM SLV HND NIC CRI PAN COL VEN ECU PER BOL BRA GUY SUR GUF CUB FIN CZE NZL"),
    },
    "wild boar": {
        "allow": {
            "USA": ["AL", "AR", "AZ", "CA", "FL", "GA", "HI", "KY", "LA", "MO", "MS", "NC", "NH", "NM", "NV", "OH", "OK", "OR", "SC", "TN", "TX", "VA", "WV"],
        }
        | _whole(_PALEARCTIC + " AFG BGD BTN IDN KHM LAO LKA MMR MYS SGP THA TWN VNM CAN ARG AUS BRA CHL NZL PNG URY"),
    },
    "american black bear": {
        "allow": {
            "USA": ["AK", "AL", "AR", "AZ", "CA", "CO", "CT", "FL", "GA", "ID", "KY", "LA", "MA", "MD", "ME", "MI", "MN", "MO", "MS", "MT", "NC", "NH", "NJ", "NM", "NV", "NY", "OH", "OK", "OR", "PA", "RI", "SC", "TN", "TX", "UT", "VA", "VT", "WA", "WI", "WV", "WY"],
        }
        | _whole("CAN MEX"),
    },
    "red fox": {
        "allow": _whole(_PALEARCTIC + " AFG AUS BGD BTN CAN IRL JOR KWT LBN LBY MMR OMN PSE SAU USA VNM"),
        "block": {"USA": ["HI"]},
    },
    "northern raccoon": {
        "allow": {"USA": _CONTIGUOUS}
        | _whole("CAN MEX BLZ GTM SLV HND NIC CRI PAN AUT AZE BEL BLR CHE CZE DEU DNK ESP FRA GEO HUN IRN ITA JPN LUX "
                 "NLD POL RUS SVK UKR UZB"),
    },
    "striped skunk": {"allow": {"USA": _CONTIGUOUS} | _whole("CAN MEX")},
    "wild turkey": {"allow": {"USA": [*_CONTIGUOUS, "HI"]} | _whole("CAN MEX NZL")},
    "plains zebra": {"allow": _whole("AGO BWA COD ETH KEN MOZ MWI NAM RWA SOM SSD SWZ TZA UGA ZAF ZMB ZWE")},
    "african elephant": {
        "allow": _whole("AGO BEN BFA BWA CAF CMR COD ERI ETH GHA KEN MLI MOZ MWI NAM NER NGA RWA SEN SOM SSD SWZ TCD TGO "
                        "TZA UGA ZAF ZMB ZWE"),
    },
    "giraffe": {"allow": _whole("AGO BWA CAF CMR COD ETH KEN MOZ NAM NER RWA SOM SSD SWZ TCD TZA UGA ZAF ZMB ZWE")},
}  # fmt: skip


def common_name(label: str) -> str:
    """The last part of a label line."""
    return label.rsplit(";", 1)[-1]


LABELS = tuple(common_name(line) for line in LABEL_LINES)


def geofence() -> dict[str, dict[str, dict[str, list[str]]]]:
    """The rules of the package: ``class;order;family;genus;species`` to allowed and blocked places.

    As in the published list, the rules name every country in ISO 3166-1: mammals and birds are
    everywhere.
    """
    everywhere = {country.alpha_3: [] for country in pycountry.countries}
    classes = {line.split(";")[1] for line in SPECIES}
    return {
        f"{name};;;;": {"allow": dict(sorted(everywhere.items()))} for name in sorted(classes)
    } | {
        ";".join(line.split(";")[1:6]): {
            rule: dict(sorted(places.items()))
            for rule, places in _RANGES[common_name(line)].items()
        }
        for line in SPECIES
    }


def write_package_texts(folder: Path) -> None:
    """Writes the model package except the two networks and the model card."""
    folder.mkdir(parents=True, exist_ok=True)
    info = {
        "version": "demo-1",
        "type": "always_crop",
        "classifier": "classifier.keras",
        "classifier_labels": "labels.txt",
        "detector": "detector.pt",
        "taxonomy": "taxonomy.txt",
        "geofence": "geofence.json",
    }
    rules = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in geofence().items())
    texts = {
        "info.json": json.dumps(info, indent=2) + "\n",
        "labels.txt": "\n".join(LABEL_LINES) + "\n",
        "taxonomy.txt": "\n".join(TAXONOMY_LINES) + "\n",
        "geofence.json": "{\n" + rules + "\n}\n",
    }
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode())
