"""The words that fictional names are made of."""

FIRST_NAMES = """
    Agnes Albert Alice Arthur Clara Daniel Edith Edward Emma Felix Flora Frank George Grace
    Henry Ida Jacob James Laura Leon Lucy Martin Mary Nora Oscar Paul Peter Rose Ruth Simon
    Thomas Walter
""".split()
WOMEN = frozenset(
    "Agnes Alice Clara Edith Emma Flora Grace Ida Laura Lucy Mary Nora Rose Ruth".split()
)
STEMS = """
    Amber Birch Bramble Brindle Candle Cinder Clover Copper Dapple Ember Fennel Flint Garnet
    Ginger Hazel Heron Indigo Jasper Juniper Kestrel Lark Linden Marble Marrow Meadow Nettle
    Ochre Onyx Otter Pebble Pepper Pewter Plover Quartz Quill Raven Reed Saffron Sable Silver
    Sorrel Sparrow Tallow Tansy Thistle Thorn Timber Umber Velvet Walnut Willow Winter Yarrow
""".split()
SURNAME_ENDS = "worth well man shaw ley croft".split()
TOWN_ENDS = "gate barrow fell mere holm stead".split()
REGION_ENDS = "shire land mark".split()
RIVER_ENDS = "water brook stream".split()
COMPANY_ENDS = "Works Lines Instruments Foundry Textiles Laboratories".split()
ADJECTIVES = "Bitter Broken Crooked Distant Frozen Gilded Hollow Ivory Silent Velvet".split()
NOUNS = "Anchor Bell Compass Garden Harvest Lantern Meridian Orchard Saddle Window".split()
JOBS = "botanist baker judge violinist surgeon cartographer chemist journalist".split()
PRODUCTS = "clocks bicycles telescopes carpets pianos lamps engines gloves".split()
PUBLISHER_ENDS = "Press Editions House".split()
PUBLISHED = ["almanacs", "atlases", "calendars", "dictionaries", "songbooks", "school books"]
FORMS = {"novel": "written", "play": "written", "poem": "composed", "ballad": "composed"}
"""Forms of a work, and how each is said to be made."""
