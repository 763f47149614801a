"""Countries and words, the inputs of task sets in text.

Countries with one undisputed capital, on one continent, all in plain ASCII (the lists that paper 5
used are not in its text). Words of everyday English whose first and last letters differ.
"""

from __future__ import annotations

_CAPITALS = {
    "Africa": """
        Algeria/Algiers Angola/Luanda Botswana/Gaborone Ethiopia/Addis_Ababa Gabon/Libreville
        Ghana/Accra Guinea/Conakry Kenya/Nairobi Liberia/Monrovia Libya/Tripoli
        Madagascar/Antananarivo Malawi/Lilongwe Mali/Bamako Mauritania/Nouakchott Morocco/Rabat
        Mozambique/Maputo Namibia/Windhoek Niger/Niamey Nigeria/Abuja Rwanda/Kigali Senegal/Dakar
        Somalia/Mogadishu Sudan/Khartoum Tunisia/Tunis Uganda/Kampala Zambia/Lusaka
        Zimbabwe/Harare""",
    "Asia": """
        Afghanistan/Kabul Bangladesh/Dhaka Bhutan/Thimphu Cambodia/Phnom_Penh China/Beijing
        India/New_Delhi Iran/Tehran Iraq/Baghdad Japan/Tokyo Jordan/Amman Laos/Vientiane
        Lebanon/Beirut Nepal/Kathmandu Oman/Muscat Pakistan/Islamabad Philippines/Manila Qatar/Doha
        Saudi_Arabia/Riyadh South_Korea/Seoul Syria/Damascus Tajikistan/Dushanbe Thailand/Bangkok
        Uzbekistan/Tashkent Vietnam/Hanoi""",
    "Europe": """
        Albania/Tirana Austria/Vienna Belgium/Brussels Bulgaria/Sofia Croatia/Zagreb Czechia/Prague
        Denmark/Copenhagen Estonia/Tallinn Finland/Helsinki France/Paris Germany/Berlin
        Greece/Athens Hungary/Budapest Iceland/Reykjavik Ireland/Dublin Italy/Rome Latvia/Riga
        Lithuania/Vilnius Malta/Valletta Norway/Oslo Poland/Warsaw Portugal/Lisbon
        Romania/Bucharest Serbia/Belgrade Slovakia/Bratislava Slovenia/Ljubljana Spain/Madrid
        Sweden/Stockholm United_Kingdom/London""",
    "North America": """
        Bahamas/Nassau Barbados/Bridgetown Canada/Ottawa Cuba/Havana
        Dominican_Republic/Santo_Domingo Honduras/Tegucigalpa Jamaica/Kingston Nicaragua/Managua""",
    "South America": """
        Argentina/Buenos_Aires Brazil/Brasilia Chile/Santiago Ecuador/Quito Guyana/Georgetown
        Peru/Lima Suriname/Paramaribo Uruguay/Montevideo Venezuela/Caracas""",
    "Oceania": "Australia/Canberra Fiji/Suva New_Zealand/Wellington Samoa/Apia Vanuatu/Port_Vila",
}

CAPITAL: dict[str, str] = {}  # of a country
CONTINENT: dict[str, str] = {}
for _continent, _pairs in _CAPITALS.items():
    for _pair in _pairs.split():
        _country, _capital = _pair.replace("_", " ").split("/")
        CAPITAL[_country], CONTINENT[_country] = _capital, _continent

_WORDS = """
    animal answer apple arrow autumn baker banana basket beach bench bicycle bird blanket boat book
    bottle branch bread bridge brother butter button cable camera candle carpet castle chair cheese
    cherry chicken child circle city clock cloud coffee corner cotton country cousin daughter desk
    dinner doctor dolphin door dragon dream evening family farmer feather field finger fire
    floor flower forest friend garden ghost glass glove gold grape hammer harbor heart helmet honey
    horse hotel house island jacket journey jungle kettle king kitchen knife ladder lake lamp leaf
    lemon letter library light lion machine market meadow melon metal milk minute mirror monkey
    month morning mother mountain mouse music needle night number ocean office orange painter paper
    pencil pepper piano picture pillow planet pocket potato prince queen rabbit radio rain ribbon
    road rocket room salt school shadow sheep shirt silver sister smile snow soldier song spider
    spoon spring stone storm story street sugar summer table teacher thunder tiger tower train
    uncle valley village violin wagon wall water week wheel wife winter wizard wood yard zebra
"""
WORDS = tuple(_WORDS.split())
