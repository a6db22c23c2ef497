"""What the names of the splits' worlds are made of: syllables, first names, words of titles."""

ONSETS = """
    B Bl Br C Ch Cl Cr D Dr F Fl Fr G Gl Gr H J K Kl Kr L M N P Pl Pr R S Sc Sh Sl Sn St Str T Th
    Tr V W Z
""".split()
VOWELS = "aeiou"
DIPHTHONGS = ("ai", "au", "ea", "ei", "ou")
"""Before a single consonant alone."""
CLUSTERS = """
    b br d dr g gr l ld lk ll lm lv m mb mm n ndr ng nk nn nt nz p r rb rd rg rk rl rm rn rr rt
    rv rz s sk ss st str t th tr tt v z
""".split()
"""Between a vowel and another one."""
CODAS = "d l ld m n nt r rd rn s st t".split()
"""Between a vowel and a consonant."""
MIDDLES = "al an ar as el en er et id il im in ir ol on or ul un ur".split()
"""A further syllable, before any ending."""

WOMEN = """
    Ada Agatha Agnes Alice Alma Amelia Anna Astrid Audrey Barbara Beatrice Bella Berta Blanche
    Bridget Camilla Caroline Cecilia Charlotte Clara Claudia Constance Cora Daisy Daphne Delia
    Diana Dora Dorothea Edith Elena Eliza Ella Elsa Emily Erika Esther Eva Fanny Felicity Fiona
    Flora Frances Frida Gerda Gloria Grace Greta Gudrun Hanna Harriet Helena Henrietta Hilda Ida
    Ingrid Irene Iris Isabel Ivy Jane Jenny Josephine Judith Julia Karin Katharina Kirsten Laura
    Lavinia Leonora Lilian Linda Lisa Louisa Lucy Lydia Mabel Magda Margaret Martha Mathilda Maud
    Mildred Minna Miriam Monica Myra Nadia Nancy Natalie Nell Nora Olga Olive Ottilie Paula
    Penelope Philippa Phoebe Rachel Rebecca Regina Rhoda Rosa Ruth Sabina Sarah Selma Sibyl Sofia
    Stella Susan Sylvia Tabitha Tamara Tessa Theresa Tilda Ursula Valerie Vera Victoria Viola
    Vivian Wanda Wilma Winifred Yvonne Zelda Zita
""".split()
MEN = """
    Aaron Adam Alban Albert Alfred Ambrose Andrew Anton Archibald Arnold Arthur August Barnaby
    Basil Benedict Bernard Bertram Boris Bruno Caleb Casper Cedric Charles Clarence Clement Conrad
    Cuthbert Cyril Daniel David Dennis Donald Edgar Edmund Edward Emil Erik Ernest Eugene Felix
    Ferdinand Fergus Francis Frank Frederick Gabriel George Gerald Gideon Gilbert Godfrey Gregory
    Gustav Harold Hector Henry Herbert Horace Hubert Hugo Humphrey Igor Isaac Ivan Jacob James
    Jasper Jerome Joachim John Jonas Julian Karl Kaspar Konstantin Lambert Laurence Leo Leopold
    Lewis Lothar Ludwig Magnus Malcolm Martin Matthew Maurice Max Miles Mortimer Moses Nathan
    Neville Nicholas Norman Octavian Olaf Oscar Osmund Oswald Otto Owen Pascal Patrick Paul Percy
    Peter Philip Quentin Ralph Raymond Reginald Rudolf Rufus Rupert Samuel Sebastian Sigmund Silas
    Simon Stanley Stephen Theodor Thomas Tobias Ulrich Valentin Victor Vincent Waldemar Walter
    Wilfred William Wolfgang Xaver Yuri
""".split()
WOMEN_ENDS = ("a", "ia", "ina", "ella", "ena", "issa", "etta", "enna", "ora", "inda", "elle", "ira")
MEN_ENDS = ("o", "us", "ard", "an", "or", "ik", "ald", "ian", "en", "is", "un", "ander", "in")

ENDS = {
    "surname": """
        ado ak ander ano anian ard ari aud auer eau eck ell enko er escu ett ev ez ian iani idis
        ier ing ini off oux ov ovic ow usz
        berg by croft dahl field ford gren land lund man mann quist sen shaw sky son stein ton
        vik ward well wick wood worth
    """,
    "town": """
        ach ana ania ano ara au ava eck ento ica illo ingen itz ona ovo ow ulle
        bach berg borg bridge burg bury by castle combe dale dorf fell ford gate grad ham haven
        hausen holm hurst mere minster mouth pol port stadt stead sund thorpe ton vik ville wick
    """,
    "region": """
        adia andia ania ardy avia enia eria esia ica imark inia oland onia ovia une
        dal gau land mark sey shire
    """,
    "river": "a ach ana ava e en enne er ia is on onne ow ula une der ga ne ra sel ter va wy",
    "company": "ado ander ant ax ec ell ent ex ica ini ion is o or ova um dale ford mann son well",
    "newspaper": "ach ana en er ica in ona ovo berg borough bridge burg bury dale ford gate ton",
}
"""Endings by kind of name."""

COMPANY_ENDS = """
    Associates Bottlers Brothers Castings Ceramics Collective Company Concern Cooperative Crafts
    Engineering Enterprises Factory Forge Foundry Goods Group Guild Holdings Industries Instruments
    Ironworks Laboratories Lines Machines Makers Manufacturing Materials Mechanics Metals Mills
    Motors Optics Partners Products Sons Supplies Systems Textiles Tools Traders Union Works
    Workshops
""".split()
PUBLISHER_ENDS = """
    Archive Binders Books Bookshop Chapbooks Classics Editions Folio House Imprint Letters Library
    Pages Paperbacks Press Printers Publications Publishing Quarto Readers Typesetters Volumes
""".split()
NEWSPAPER_ENDS = """
    Advertiser Argus Bulletin Chronicle Courier Daily Dispatch Echo Examiner Express Gazette
    Guardian Herald Inquirer Journal Leader Ledger Mail Mercury Messenger Mirror Monitor News
    Observer Post Record Reporter Sentinel Standard Star Sun Telegraph Times Tribune Voice Weekly
""".split()
ADJECTIVES = """
    Absent Ancient Angry Ashen Autumn Bashful Bitter Blazing Blind Bold Borrowed Bottomless Brazen
    Bright Broken Burning Buried Careful Cautious Cheerful Clever Cloudy Cold Copper Cracked
    Crimson Crooked Crowded Crystal Cunning Curious Dancing Dark Deaf Deserted Distant Divided
    Doubtful Dreaming Drifting Drowned Dusty Eager Early Eastern Empty Enchanted Endless Evening
    Eternal Faded Faithful Falling False Fearless Feathered Final Flooded Foggy Foreign Forgotten
    Fragile Freezing Frosty Frozen Furious Gentle Ghostly Gilded Glass Gloomy Golden Graceful Green
    Grieving Guilty Happy Haunted Heavy Hidden Hollow Honest Humble Hungry Idle Impatient Infinite
    Inner Innocent Invisible Iron Ivory Jealous Jewelled Joyful Kindly Lame Lasting Laughing Lazy
    Leaden Little Lonely Lost Loyal Lucky Marble Merry Midnight Mighty Missing Modest Moonlit
    Moving Muffled Narrow Nameless Nervous Noble Northern Obedient Orphaned Outer Painted Pale
    Patient Peaceful Perfect Pious Plain Polished Proud Purple Quarrelling Quiet Quick Radiant
    Rainy Rebel Reckless Red Restless Returning Rising Roaming Rotten Royal Ruined Rusty Sacred
    Scarlet Scattered Second Secret Severe Shallow Shattered Silent Silver Sinking Sleeping Slender
    Smiling Solemn Southern Speechless Stolen Stormy Stubborn Sudden Summer Sunken Swift Tangled
    Tattered Tender Thirsty Thorny Timid Tired Torn Trembling Troubled Twisted Uneasy Upright
    Vacant Vagrant Vanished Velvet Violet Wandering Waning Weary Western White Wicked Wild Willing
    Winged Winter Wise Withered Wooden Wounded Yellow Youthful
""".split()
NOUNS = """
    Abbey Acorn Acrobat Admiral Alley Almond Anchor Angel Apprentice Archer Armour Arrow Avenue
    Balcony Ballroom Banner Barge Basket Beacon Beehive Beggar Bell Bishop Blanket Boat Bonfire
    Bottle Bough Bracelet Bride Bridle Brother Bucket Butterfly Cabin Candle Captain Caravan
    Carriage Cathedral Cavern Cellar Chalice Chamber Chapel Chariot Chimney Cloak Clock Cloud
    Coast Comet Compass Corridor Cottage Countess Cradle Crossing Crown Curtain Dagger Daughter
    Desert Diamond Doll Door Dragon Duchess Duel Dwarf Eagle Eclipse Emperor Engine Envelope Exile
    Falcon Farewell Father Feast Ferry Festival Fiddle Fisherman Flame Flute Forest Fortress
    Fountain Fox Funeral Gallery Garden Garland Gate General Giant Glacier Glove Goblet Goddess
    Goose Grave Guest Guitar Hammer Harbour Harp Harvest Hawk Heart Hedge Helmet Hermit Hill Horse
    Hotel Hunter Inheritance Inn Island Jester Jewel Journey Judge Key King Kitchen Kite Knight
    Labyrinth Ladder Lagoon Lake Lamp Lantern Letter Lighthouse Lion Lock Lodger Lover Magician
    Mansion Map Market Mask Meadow Merchant Meridian Mill Miner Miracle Moon Mother Mountain
    Musician Needle Nephew Nest Night Nurse Oak Oath Ocean Orchard Orphan Oven Owl Palace Parade
    Parrot Passage Path Peacock Pearl Pendulum Pilgrim Pillar Pilot Pirate Planet Plough Poet
    Portrait Postman Prince Prison Promise Prophet Puppet Quarry Queen Raft Raven Regiment
    Rider Ring Riot Road Rocket Roof Rope Rose Sabre Saddle Sailor Saint Saddler School
    Scissors Sculptor Servant Shadow Shepherd Ship Shore Siege Sister Soldier Song Spider Spring
    Stable Staircase Statue Steeple Storm Stranger Stream Student Summit Sword Tailor Teacher
    Temple Theatre Thief Thistle Thread Throne Tide Tower Traveller Treasure Tree Trumpet Tunnel
    Twin Umbrella Uncle Valley Veil Verdict Vessel Village Violin Vision Visitor Volcano Voyage
    Wagon Wall Wanderer Watchman Waterfall Wave Wedding Whale Wheel Widow Willow Wind Window Witch
    Witness Wolf Woodcutter Wreck Wren Yard Year Zeppelin
""".split()
UNSEEMLY = tuple(
    """
    anal arse bast bitc boob cock cocai coc coon crap cum cun damn dic dik dumb fag fat fart fuc fuk
    gay gook hell heil hit homo jap jew kik kill klan kkk lesb mord nazi naz neg nig nud paki pen
    pis piss poo porn pric pus rap scum sex shag shit slav slut spas spic stal stup suck tit tran
    tur turd vag wank whor
""".split()
)
"""No made-up word begins with these."""
