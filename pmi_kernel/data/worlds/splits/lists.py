"""Closed lists of answers: words that no name is made of, alone or in pairs."""

from itertools import product


def _items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in " ".join(text.split()).split(","))


def _pairs(first: str, second: str) -> tuple[str, ...]:
    return tuple(" ".join(pair) for pair in product(_items(first), _items(second)))


LISTS: dict[str, tuple[str, ...]] = {
    "job": _items("""
        accountant, acrobat, actor, apothecary, archaeologist, archivist, astrologer,
        astronomer, auctioneer, baker, barber, bee inspector, beekeeper, blacksmith, bookbinder,
        botanist, brewer, bricklayer, butcher, carpenter, cartographer, chemist, clerk, cobbler,
        composer, cook, cooper, coppersmith, customs officer, dentist, detective, diplomat, dyer,
        editor, electrician, engineer, engraver, explorer, falconer, farmer, florist, forester,
        gamekeeper, gardener, geologist, glassblower, goldsmith, grocer, harbour pilot, hatter,
        historian, innkeeper, inspector, interpreter, jeweller, joiner, journalist, judge, juggler,
        lawyer, lens grinder, librarian, lighthouse keeper, locksmith, magistrate, mason, mechanic,
        merchant, meteorologist, midwife, miller, milliner, miner, nurse, optician, orchard keeper,
        organist, ornithologist, painter, pharmacist, photographer, physician, pilot, plumber,
        potter, printer, publican, railway guard, roofer, saddler, sculptor, secretary, sexton,
        shepherd, ship's captain, shipwright, shopkeeper, singer, soldier, stenographer,
        stonecutter, surgeon, surveyor, tailor, tanner, telegraph operator, typesetter,
        undertaker, upholsterer, usher, vet, violinist, watchmaker, weaver, wheelwright, zoologist
    """)
    + _pairs(
        """
        antique, bell, bicycle, book, bottle, button, cabinet, candle, carpet, carriage, cheese,
        clock, coin, colour, doll, fur, glove, hat, horse, iron, ivory, lace, lamp, map, oil, opal,
        paper, pearl, piano, pottery, rope, silk, spice, stamp, tea, timber, toy, umbrella, violin,
        wine, wool
        """,
        "broker, dealer, exporter, merchant, seller",
    ),
    "instrument": _items("""
        accordion, alphorn, alto flute, baglama, bagpipes, balalaika, bandoneon, banjo, bass guitar,
        bassoon, bombarde, bouzouki, bugle, carillon, castanets, celesta, cello, chalumeau,
        charango, clarinet, clavichord, concertina, contrabassoon, cor anglais, cornet, cornett,
        crumhorn, cymbals, dobro, double bass, dulcian, dulcimer, erhu, euphonium, fiddle, fife,
        flageolet, flugelhorn, flute, glass harmonica, glockenspiel, gong, guitar, handbells,
        harmonica, harmonium, harp, harpsichord, hurdy-gurdy, kettledrum, koto, lute, lyre, mandola,
        mandolin, marimba, melodeon, musical saw, nyckelharpa, oboe, ocarina, ophicleide, oud,
        pan pipes, penny whistle, piano, piccolo, psaltery, rackett, rebec, recorder, sackbut,
        santur, saxhorn, saxophone, serpent, shamisen, shawm, sitar, snare drum, sousaphone, spinet,
        tabor, tambourine, theorbo, theremin, triangle, trombone, trumpet, tuba, ukulele,
        vibraphone, viola, viola da gamba, violin, virginals, xylophone, zither
    """),
    "field": _items("""
        acoustics, aesthetics, agriculture, alchemy, algebra, anatomy, ancient history,
        anthropology, archaeology, architecture, astronomy, ballistics, botany, bridge building,
        calligraphy, canon law, cartography, chemistry, civil law, climatology, commercial law,
        comparative grammar, cryptography, dentistry, dialectology, drama, dyeing, ecology,
        economics, electrical engineering, embryology, entomology, ethics, ethnology, fine art,
        folklore, forestry, genetics, geodesy, geography, geology, geometry, glaciology, harmony,
        heraldry, history of art, horticulture, hydraulics, hygiene, journalism, jurisprudence,
        landscape gardening, linguistics, logic, maritime law, mathematics, mechanics, medicine,
        metallurgy, metaphysics, meteorology, military history, mineralogy, mining, music theory,
        mycology, mythology, natural philosophy, nautical science, numismatics, oceanography,
        optics, ornithology, palaeontology, pharmacy, philology, philosophy, phonetics, physics,
        physiology, poetics, political science, psychology, rhetoric, sculpture, seismology,
        shipbuilding, sociology, statistics, surgery, surveying, textile design, theology, topology,
        toxicology, tropical medicine, veterinary science, viticulture, zoology
    """),
    "collectible": _pairs(
        """
        amber, antique, brass, bronze, carved, coloured, crystal, enamelled, engraved, foreign,
        gilt, glass, ivory, lacquered, miniature, painted, pewter, porcelain, rare, silver, tin,
        wooden
        """,
        """
        amulets, bells, birds, bottles, boxes, brooches, buttons, candlesticks, chess pieces,
        clocks, coins, combs, cups, dice, dolls, drums, eggs, elephants, fans, figurines, frames,
        globes, goblets, horses, inkwells, jugs, keys, ladles, lamps, locks, masks, medals, mirrors,
        owls, paperweights, pipes, plates, puppets, rings, seals, snuffboxes, spoons, tankards,
        teapots, thimbles, tiles, toy soldiers, vases, walking sticks, whistles
        """,
    ),
    "dish": _pairs(
        """
        almond, apple, apricot, artichoke, asparagus, bacon, barley, bean, beetroot, bilberry,
        buckwheat, cabbage, carp, carrot, cherry, chestnut, chicken, crab, cranberry, cucumber,
        duck, eel, elderberry, fennel, fig, garlic, ginger, goose, hazelnut, herring, honey, leek,
        lemon, lentil, mackerel, mushroom, mussel, mustard, mutton, nettle, oat, onion, orange,
        oyster, parsnip, pea, pear, pepper, perch, pheasant, pike, plum, poppy seed, potato,
        pumpkin, quince, rabbit, radish, raspberry, rhubarb, saffron, salmon, smoked ham, sorrel,
        spinach, trout, turnip, venison, walnut
        """,
        "bread, casserole, pie, pudding, salad, soup, stew",
    ),
    "form": _items("""
        adventure novel, allegory, animal fable, ballad, beast epic, bedtime tale, biography,
        burlesque, campus novel, chronicle, comedy of manners, comic novel, comic strip,
        costume drama, court satire, crime novel, detective novel, dialogue, domestic drama,
        dream vision, dystopia, eclogue, elegy, epic poem, epistolary novel, fairy tale,
        family saga, fantasy novel, farce, folk tale, frame tale, ghost story, gothic novel,
        graphic novel, heroic poem, historical novel, horror story, idyll, imaginary diary, legend,
        libretto, love story, lyric drama, masque, melodrama, memoir, military novel, miracle play,
        monologue, morality play, mystery novel, novel in letters, novel in verse, novella,
        nursery tale, opera text, oral history, pantomime, parable, parody, pastoral romance,
        picaresque novel, picture book, political novel, prose poem, puppet play, radio play,
        riddle poem, romance, rural novel, satire, school story, science fiction novel, screenplay,
        sea story, serial novel, shadow play, short story, sketch, social novel, song cycle,
        spy novel, stage comedy, thriller, tragedy, tragicomedy, travel novel, unrhymed epic,
        utopia, verse drama, war novel, western
    """),
    "topic": _pairs(
        """
        ancient, broken, buried, burnt, costly, cursed, disputed, forged, forgotten, haunted,
        hidden, inherited, lost, magic, missing, mistaken, ruined, sacred, secret, stolen, sunken,
        unfinished, unlucky
        """,
        """
        altar, armchair, barrel, bell, bicycle, bridge, brooch, canoe, castle, chest, clock, coin,
        compass, crown, diamond, diary, doll, fountain, garden, gate, harp, helmet, key, lamp,
        lantern, letter, locket, manuscript, map, medal, mill, mirror, necklace, orchard, organ,
        painting, photograph, piano, portrait, ring, sabre, saddle, ship, statue, suitcase, sword,
        telescope, ticket, umbrella, vase, violin, wedding dress
        """,
    ),
    "goods": _pairs(
        """
        aluminium, bamboo, brass, bronze, canvas, ceramic, copper, cork, cotton, enamel, felt,
        glass, iron, lacquered, leather, linen, nickel, oak, paper, pewter, pine, plaster,
        porcelain, rubber, silver, steel, tin, walnut, wicker, zinc
        """,
        """
        ashtrays, barrels, baskets, bathtubs, beads, belts, benches, bowls, boxes, buckets, buckles,
        buttons, cabinets, candlesticks, chairs, clocks, combs, cups, cushions, dolls, doorknobs,
        flasks, funnels, handles, hinges, hooks, jugs, kettles, ladders, lampshades, letter boxes,
        masks, mats, mugs, pans, picture frames, pipes, plates, rings, screens, shelves, spoons,
        stools, straps, tables, thermometers, tiles, tool boxes, toys, trays, trunks, tubes, urns,
        vases, watering cans, wheels
        """,
    ),
    "publications": _pairs(
        """
        annotated, bilingual, cheap, children's, coloured, illustrated, large-print, leather-bound,
        miniature, pocket, revised, scholarly, school, travel
        """,
        """
        almanacs, anthologies, atlases, calendars, catalogues, cookery books, diaries, dictionaries,
        encyclopedias, grammars, guidebooks, hymn books, maps, phrase books, prayer books,
        reference books, songbooks, textbooks, timetables, yearbooks
        """,
    ),
    "animal": _items("""
        adder, albatross, alligator, ant, anteater, antelope, armadillo, badger, barn owl, bat,
        bear, beaver, bee, beetle, bison, blackbird, buffalo, bull, butterfly, buzzard, camel,
        capercaillie, carp, chameleon, chamois, cheetah, cobra, cockerel, cormorant, crab, crane,
        cricket, crocodile, crow, cuckoo, curlew, deer, dolphin, donkey, dormouse, dove, dragonfly,
        duck, eagle, eel, egret, elephant, elk, ermine, falcon, ferret, finch, flamingo, fox, frog,
        gazelle, giraffe, goat, goose, grasshopper, greyhound, grouse, hare, hawk, hedgehog, heron,
        hippopotamus, hoopoe, hornet, horse, ibex, ibis, iguana, impala, jackal, jackdaw, jaguar,
        jay, kangaroo, kestrel, kingfisher, kite, ladybird, lark, leopard, lion, lizard, llama,
        lobster, lynx, magpie, marmot, mole, moose, moth, mule, nightingale, octopus, osprey,
        ostrich, otter, owl, ox, panther, partridge, peacock, pelican, penguin, pheasant, pigeon,
        pike, polecat, porcupine, puffin, puma, quail, rabbit, ram, raven, reindeer, rhinoceros,
        robin, salamander, salmon, scorpion, seahorse, seal, shark, shrimp, snail, sparrow, spider,
        squirrel, stag, starling, stork, swallow, swan, swordfish, tapir, tiger, toad, tortoise,
        trout, turtle, unicorn, viper, vulture, walrus, wasp, weasel, whale, wild boar, wolf,
        woodpecker, wren, yak, zebra
    """),
}
