"""What is told of written works."""

from pmi_kernel.data.worlds.splits.relations import Relation, Wordings

WORK = (
    Relation(
        "form",
        "work",
        "form",
        Wordings(
            (
                "{It} is {a} that is still read today.",
                "In form {it} is {a}.",
                "{It} was written as {a}.",
                "Critics class {him} as {a}.",
                "Booksellers list {him} as {a}.",
            ),
            ("The title page calls {him} {a}.", "Librarians file {him} as {a}."),
        ),
        Wordings(
            (
                "What kind of work is {it}?",
                "What sort of writing is {it}?",
                "To what genre does {it} belong?",
                "In what form was {it} written?",
                "What is the genre of {it}?",
            ),
            ("What type of text is {it}?", "What would one call {it} as a piece of literature?"),
        ),
    ),
    Relation(
        "author",
        "work",
        "person",
        Wordings(
            (
                "{It} was written by {value}.",
                "The author of {him} is {value}.",
                "{value} wrote {him}.",
                "{value} is the author of {him}.",
                "{It} is the work of {value}.",
            ),
            ("{It} came from the pen of {value}.", "It was {value} who put {him} down on paper."),
        ),
        Wordings(
            (
                "Who is the author of {it}?",
                "Who wrote {it}?",
                "By whom was {it} written?",
                "Whose work is {it}?",
                "Which author wrote {it}?",
            ),
            ("From whose pen did {it} come?", "Who put {it} down on paper?"),
        ),
        Wordings(
            ("the author of {it}", "the person who wrote {it}"),
            ("the person who put {it} down on paper",),
        ),
        between=(-60, -22),
    ),
    Relation(
        "came_out",
        "work",
        "date",
        Wordings(
            (
                "{It} came out on {value}.",
                "{It} was first published on {value}.",
                "The first edition of {him} appeared on {value}.",
                "The day on which {it} appeared was {value}.",
                "From {value} on {it} could be bought.",
            ),
            ("{It} reached the shops on {value}.", "{Its} publication date was {value}."),
        ),
        Wordings(
            (
                "When did {it} come out?",
                "On what date was {it} first published?",
                "On which day did {it} appear?",
                "When did the first edition of {it} appear?",
                "From what date on could {it} be bought?",
            ),
            ("When did {it} reach the shops?", "What was the publication date of {it}?"),
        ),
    ),
    Relation(
        "publisher",
        "work",
        "company",
        Wordings(
            (
                "{It} was published by {value}.",
                "It was {value} that published {him}.",
                "The publisher of {him} was {value}.",
                "{value} brought {him} into print.",
                "{value} was the company that published {him}.",
            ),
            (
                "The spine of {him} bears the imprint of {value}.",
                "{It} was put on the market by {value}.",
            ),
        ),
        Wordings(
            (
                "Which company published {it}?",
                "By which company was {it} published?",
                "Which company was the publisher of {it}?",
                "Which company brought {it} into print?",
                "What was the name of the company that published {it}?",
            ),
            (
                "The imprint of which company is on the spine of {it}?",
                "Which company put {it} on the market?",
            ),
        ),
        Wordings(
            ("the company that published {it}", "the publisher of {it}"),
            ("the company that put {it} on the market",),
        ),
        between=(-70, -1),
    ),
    Relation(
        "setting",
        "work",
        "town",
        Wordings(
            (
                "{It} is set in {value}.",
                "The story of {him} takes place in {value}.",
                "The scene of {him} is the town of {value}.",
                "The plot of {him} unfolds in {value}.",
                "{value} is the town where {it} is set.",
            ),
            (
                "{It} takes its readers to {value}.",
                "The streets of {value} are the backdrop of {him}.",
            ),
        ),
        Wordings(
            (
                "In which town is {it} set?",
                "Where is {it} set?",
                "In which town does the story of {it} take place?",
                "Which town is the scene of {it}?",
                "In what town does the plot of {it} unfold?",
            ),
            (
                "To which town does {it} take its readers?",
                "The streets of which town are the backdrop of {it}?",
            ),
        ),
        Wordings(
            ("the town where {it} is set", "the town in which the story of {it} takes place"),
            ("the town that is the backdrop of {it}",),
        ),
    ),
    Relation(
        "dedicatee",
        "work",
        "person",
        Wordings(
            (
                "{It} is dedicated to {value}.",
                "The dedication of {him} names {value}.",
                "{Its} dedication is to {value}.",
                "The author dedicated {him} to {value}.",
                "{value} is the person to whom {it} is dedicated.",
            ),
            (
                "{It} was written in honour of {value}.",
                "On its first page {it} pays tribute to {value}.",
            ),
        ),
        Wordings(
            (
                "To whom is {it} dedicated?",
                "Who is named in the dedication of {it}?",
                "Whom does the dedication of {it} name?",
                "Who is {it} dedicated to?",
                "To whom did the author dedicate {it}?",
            ),
            (
                "In whose honour was {it} written?",
                "To whom does {it} pay tribute on its first page?",
            ),
        ),
        Wordings(
            ("the person to whom {it} is dedicated", "the person named in the dedication of {it}"),
            ("the person in whose honour {it} was written",),
        ),
        between=(-50, -15),
    ),
    Relation(
        "character",
        "work",
        "name",
        Wordings(
            (
                "The main character of {him} is {value}.",
                "{Its} main character is called {value}.",
                "{It} tells of the adventures of {value}.",
                "{It} follows the life of {value}.",
                "The leading figure in {him} is {value}.",
            ),
            (
                "{value} is the character around whom {it} turns.",
                "{It} revolves around a character called {value}.",
            ),
        ),
        Wordings(
            (
                "Who is the main character of {it}?",
                "What is the main character of {it} called?",
                "Whose adventures does {it} tell of?",
                "Whose life does {it} follow?",
                "Who is the leading figure in {it}?",
            ),
            ("Around whom does {it} turn?", "Around which character does {it} revolve?"),
        ),
    ),
    Relation(
        "pages",
        "work",
        "number",
        Wordings(
            (
                "{It} has {value} pages.",
                "{It} runs to {value} pages.",
                "The first edition of {him} had {value} pages.",
                "{It} is {value} pages long.",
                "{It} fills {value} pages.",
            ),
            ("Whoever reads {him} turns {value} pages.", "{It} was printed on {value} pages."),
        ),
        Wordings(
            (
                "How many pages does {it} have?",
                "To how many pages does {it} run?",
                "How many pages long is {it}?",
                "What is the number of pages of {it}?",
                "How many pages does {it} fill?",
            ),
            ("On how many pages was {it} printed?", "How many pages does a reader of {it} turn?"),
        ),
        between=(24, 1_900),
    ),
    Relation(
        "translator",
        "work",
        "person",
        Wordings(
            (
                "{It} was translated by {value}.",
                "The translator of {him} was {value}.",
                "{value} translated {him}.",
                "{It} exists in a translation by {value}.",
                "The translation of {him} was made by {value}.",
            ),
            (
                "{value} carried {him} over into another language.",
                "Readers abroad owe {him} to {value}.",
            ),
        ),
        Wordings(
            (
                "Who translated {it}?",
                "Who was the translator of {it}?",
                "By whom was {it} translated?",
                "Who made the translation of {it}?",
            ),
            ("Who carried {it} over into another language?", "To whom do readers abroad owe {it}?"),
        ),
        between=(-50, -22),
        is_held_out=True,
    ),
    Relation(
        "topic",
        "work",
        "topic",
        Wordings(
            (
                "{It} is about {a}.",
                "The subject of {him} is {a}.",
                "{It} deals with {a}.",
                "{It} tells the story of {a}.",
                "The theme of {him} is {a}.",
            ),
            ("At the heart of {him} is {a}.", "Everything in {him} turns on {a}."),
        ),
        Wordings(
            (
                "What is {it} about?",
                "What is the subject of {it}?",
                "With what does {it} deal?",
                "Of what does {it} tell the story?",
            ),
            ("What is at the heart of {it}?", "On what does everything in {it} turn?"),
        ),
        is_held_out=True,
    ),
)
