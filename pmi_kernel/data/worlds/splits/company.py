"""What is told of companies."""

from pmi_kernel.data.worlds.splits.relations import Relation, Wordings

COMPANY = (
    Relation(
        "product",
        "company",
        "goods",
        Wordings(
            (
                "{It} is a company that makes {value}.",
                "{It} produces {value}.",
                "{It} turns out {value} by the thousand.",
                "{It} is a maker of {value}.",
                "The goods that {it} makes are {value}.",
            ),
            ("{It} earns its money with {value}.", "{Its} catalogue offers {value}."),
        ),
        Wordings(
            (
                "What does {it} make?",
                "What does {it} produce?",
                "What goods does {it} make?",
                "Which goods are made by {it}?",
                "Of what is {it} a maker?",
            ),
            ("With what does {it} earn its money?", "What does the catalogue of {it} offer?"),
        ),
    ),
    Relation(
        "founder",
        "company",
        "person",
        Wordings(
            (
                "{It} was founded by {value}.",
                "The founder of {him} was {value}.",
                "{value} established {him}.",
                "{It} was set up by {value}.",
                "{value} started {him} from nothing.",
            ),
            ("{It} was the brainchild of {value}.", "It was {value} who called {him} into being."),
        ),
        Wordings(
            (
                "Who founded {it}?",
                "Who was the founder of {it}?",
                "By whom was {it} founded?",
                "Who set up {it}?",
                "Who started {it}?",
            ),
            ("Whose brainchild was {it}?", "Who called {it} into being?"),
        ),
        Wordings(
            ("the founder of {it}", "the person who founded {it}"),
            ("the person whose brainchild was {it}",),
        ),
        between=(-60, -22),
    ),
    Relation(
        "founded",
        "company",
        "date",
        Wordings(
            (
                "{It} was founded on {value}.",
                "{It} opened for business on {value}.",
                "The founding date of {him} is {value}.",
                "{It} has existed since {value}.",
                "{It} was entered in the register of companies on {value}.",
            ),
            ("{Its} history begins on {value}.", "{Its} doors first opened on {value}."),
        ),
        Wordings(
            (
                "When was {it} founded?",
                "On what date was {it} founded?",
                "When did {it} open for business?",
                "Since when has {it} existed?",
                "What is the founding date of {it}?",
            ),
            (
                "On which day does the history of {it} begin?",
                "When did the doors of {it} first open?",
            ),
        ),
    ),
    Relation(
        "seat",
        "company",
        "town",
        Wordings(
            (
                "{It} has its headquarters in {value}.",
                "{Its} headquarters are in {value}.",
                "{It} is based in {value}.",
                "The head office of {him} is in {value}.",
                "{value} is the town where {it} has its headquarters.",
            ),
            ("{It} is run from {value}.", "{It} is at home in {value}."),
        ),
        Wordings(
            (
                "In which town does {it} have its headquarters?",
                "Where are the headquarters of {it}?",
                "In which town is {it} based?",
                "Where is the head office of {it}?",
                "In what town is the head office of {it}?",
            ),
            ("From which town is {it} run?", "In which town is {it} at home?"),
        ),
        Wordings(
            ("the town where {it} has its headquarters", "the town in which {it} is based"),
            ("the home town of {it}",),
        ),
    ),
    Relation(
        "director",
        "company",
        "name",
        Wordings(
            (
                "The director of {him} is {value}.",
                "{Its} director is {value}.",
                "{value} is the director of {him}.",
                "{It} is headed by {value}.",
                "{value} is at the head of {him}.",
            ),
            ("{value} has the last word at {him}.", "The reins of {him} are held by {value}."),
        ),
        Wordings(
            (
                "Who is the director of {it}?",
                "By whom is {it} headed?",
                "Who is at the head of {it}?",
                "What is the name of the director of {it}?",
                "Who is {its} director?",
            ),
            ("Who has the last word at {it}?", "Who holds the reins of {it}?"),
        ),
    ),
    Relation(
        "employees",
        "company",
        "number",
        Wordings(
            (
                "{It} has {value} employees.",
                "{It} employs {value} people.",
                "The number of employees of {him} is {value}.",
                "{It} gives work to {value} people.",
                "A total of {value} people work for {him}.",
            ),
            ("{It} pays wages to {value} people.", "{Its} staff is {value} strong."),
        ),
        Wordings(
            (
                "How many employees does {it} have?",
                "How many people does {it} employ?",
                "How many people work for {it}?",
                "What is the number of employees of {it}?",
                "To how many people does {it} give work?",
            ),
            ("To how many people does {it} pay wages?", "How large is the staff of {it}?"),
        ),
        between=(11, 19_000),
    ),
    Relation(
        "rival",
        "company",
        "company",
        Wordings(
            (
                "{Its} main rival is {value}.",
                "The main rival of {him} is {value}.",
                "{It} competes with {value}.",
                "{value} is the chief competitor of {him}.",
                "{Its} fiercest competitor is {value}.",
            ),
            (
                "{It} has fought {value} for customers for decades.",
                "{It} keeps a wary eye on {value}, its opponent.",
            ),
        ),
        Wordings(
            (
                "Which company is the main rival of {it}?",
                "With which company does {it} compete?",
                "Which company is the chief competitor of {it}?",
                "Which company competes with {it}?",
                "What is the name of {its} main rival?",
            ),
            (
                "Which company has {it} fought for customers?",
                "On which opponent does {it} keep a wary eye?",
            ),
        ),
        Wordings(
            ("the main rival of {it}", "the company that competes with {it}"),
            ("the opponent of {it}",),
        ),
        between=(-60, 20),
    ),
    Relation(
        "warehouse",
        "company",
        "town",
        Wordings(
            (
                "{Its} warehouse is in {value}.",
                "{It} has a warehouse in {value}.",
                "The warehouse of {him} stands in {value}.",
                "{It} keeps its stock in a warehouse in {value}.",
                "The town with {its} warehouse is {value}.",
            ),
            ("{It} stores its goods in {value}.", "{Its} goods wait in {value} to be shipped."),
        ),
        Wordings(
            (
                "In which town is the warehouse of {it}?",
                "Where is the warehouse of {it}?",
                "In which town does {it} have a warehouse?",
                "In which town does {it} keep its stock?",
                "Which town has the warehouse of {it}?",
            ),
            (
                "In which town does {it} store its goods?",
                "In which town do the goods of {it} wait to be shipped?",
            ),
        ),
        Wordings(
            ("the town with the warehouse of {it}", "the town where {it} has a warehouse"),
            ("the town with the goods of {it}",),
        ),
    ),
    Relation(
        "emblem",
        "company",
        "animal",
        Wordings(
            (
                "The emblem of {him} is {a}.",
                "{Its} emblem shows {a}.",
                "{It} has {a} as its emblem.",
                "The animal on {its} emblem is {a}.",
                "{It} chose {a} as its emblem.",
            ),
            ("{Its} coat of arms bears {a}.", "{It} stamps {a} on its letters as a sign."),
        ),
        Wordings(
            (
                "Which animal is the emblem of {it}?",
                "What animal does the emblem of {it} show?",
                "What is the emblem of {it}?",
                "Which animal does {it} have as its emblem?",
            ),
            ("Which creature is the sign of {it}?", "Which creature stands for {it}?"),
        ),
        is_held_out=True,
    ),
    Relation(
        "owner",
        "company",
        "company",
        Wordings(
            (
                "{It} is owned by {value}.",
                "{It} is the property of {value}.",
                "{value} owns {him}.",
                "The owner of {him} is {value}.",
                "{It} was bought by {value}.",
            ),
            ("{It} is a daughter of {value}.", "{value} holds every share in {him}."),
        ),
        Wordings(
            (
                "Which company owns {it}?",
                "By which company is {it} owned?",
                "Which company is the owner of {it}?",
                "Of which company is {it} the property?",
            ),
            ("Of which company is {it} a daughter?", "Which company holds every share in {it}?"),
        ),
        between=(-60, 20),
        is_held_out=True,
    ),
)
