"""What is told of people."""

from pmi_kernel.data.worlds.splits.relations import Relation, Wordings

PERSON = (
    Relation(
        "job",
        "person",
        "job",
        Wordings(
            (
                "{It} was {a} by profession.",
                "{It} earned a living as {a}.",
                "By trade {it} was {a}.",
                "{Its} profession was that of {a}.",
                "For many years {it} worked as {a}.",
            ),
            ("In the census {it} is entered as {a}.", "{It} made a career as {a}."),
        ),
        Wordings(
            (
                "What was the profession of {it}?",
                "What did {it} do for a living?",
                "Which profession did {it} have?",
                "As what did {it} earn a living?",
                "What was {its} profession?",
            ),
            ("What kind of work did {it} do?", "In what capacity was {it} employed?"),
        ),
    ),
    Relation(
        "birth_date",
        "person",
        "date",
        Wordings(
            (
                "{It} was born on {value}.",
                "{Its} date of birth was {value}.",
                "On {value} {it} came into the world.",
                "{It} first saw the light of day on {value}.",
                "The parish register gives {its} birth as {value}.",
            ),
            ("{Its} life began on {value}.", "{Its} birth certificate bears the date {value}."),
        ),
        Wordings(
            (
                "When was {it} born?",
                "On what date was {it} born?",
                "On which day did {it} come into the world?",
                "What was the date of birth of {it}?",
                "What was {its} date of birth?",
            ),
            (
                "On which day did the life of {it} begin?",
                "Which date stands on the birth certificate of {it}?",
            ),
        ),
    ),
    Relation(
        "born_in",
        "person",
        "town",
        Wordings(
            (
                "{It} was born in {value}.",
                "{It} came from {value}, a native of the place.",
                "{Its} birthplace was {value}.",
                "{value} is the town where {it} was born.",
                "The town in which {it} was born is {value}.",
            ),
            ("{It} hailed from {value}.", "{It} began life in {value}."),
        ),
        Wordings(
            (
                "In which town was {it} born?",
                "Where was {it} born?",
                "Which town was the birthplace of {it}?",
                "Which town did {it} come from?",
                "What was {its} birthplace?",
            ),
            ("From which town did {it} hail?", "In which town did {it} begin life?"),
        ),
        Wordings(
            ("the town where {it} was born", "the birthplace of {it}"),
            ("the native town of {it}",),
        ),
    ),
    Relation(
        "teacher",
        "person",
        "person",
        Wordings(
            (
                "{It} was taught by {value}.",
                "{Its} teacher was {value}.",
                "{value} taught {him} for years.",
                "{It} was a pupil of {value}.",
                "{It} learned everything from {value}.",
            ),
            ("{Its} schooling was in the hands of {value}.", "It was {value} who trained {him}."),
        ),
        Wordings(
            (
                "Who was the teacher of {it}?",
                "Who taught {it}?",
                "By whom was {it} taught?",
                "Whose pupil was {it}?",
                "Who was {its} teacher?",
            ),
            ("Who trained {it}?", "In whose hands was the schooling of {it}?"),
        ),
        Wordings(
            ("the teacher of {it}", "the person who taught {it}"),
            ("the person who trained {it}",),
        ),
        between=(-45, -20),
    ),
    Relation(
        "employer",
        "person",
        "company",
        Wordings(
            (
                "{It} worked for {value}.",
                "{It} was employed by {value}.",
                "{value} employed {him} for many years.",
                "{Its} employer was {value}.",
                "{It} had a post at {value}.",
            ),
            ("{It} was on the payroll of {value}.", "{value} paid {its} wages."),
        ),
        Wordings(
            (
                "Which company did {it} work for?",
                "By which company was {it} employed?",
                "Which company was the employer of {it}?",
                "At which company did {it} have a post?",
                "Which company employed {it}?",
            ),
            ("On the payroll of which company was {it}?", "Which company paid the wages of {it}?"),
        ),
        Wordings(
            ("the company that employed {it}", "the employer of {it}"),
            ("the company that paid the wages of {it}",),
        ),
        between=(-40, 20),
    ),
    Relation(
        "spouse",
        "person",
        "person",
        Wordings(
            (
                "{It} was married to {value}.",
                "{It} married {value}.",
                "{Its} wedding to {value} was a quiet one.",
                "{It} took {value} in marriage.",
                "{It} and {value} were a married couple.",
            ),
            ("{It} exchanged rings with {value}.", "{It} walked down the aisle with {value}."),
        ),
        Wordings(
            (
                "Who was {it} married to?",
                "Whom did {it} marry?",
                "To whom was {it} married?",
                "Who was the spouse of {it}?",
                "What was the name of {its} spouse?",
            ),
            ("With whom did {it} exchange rings?", "Who walked down the aisle with {it}?"),
        ),
        Wordings(
            ("the spouse of {it}", "the person whom {it} married"),
            ("the person who exchanged rings with {it}",),
        ),
        between=(-8, 8),
    ),
    Relation(
        "instrument",
        "person",
        "instrument",
        Wordings(
            (
                "{It} played the {value}.",
                "{Its} instrument was the {value}.",
                "{It} was able to play the {value}.",
                "{It} was a fine player of the {value}.",
                "When there was a feast, {it} took up the {value}.",
            ),
            (
                "{It} practised the {value} every morning.",
                "The sound of the {value} often came from {its} window.",
            ),
        ),
        Wordings(
            (
                "Which instrument did {it} play?",
                "What instrument was played by {it}?",
                "Which instrument was {it} able to play?",
                "What was the instrument of {it}?",
                "What was {its} instrument?",
            ),
            ("Which instrument did {it} practise?", "On which instrument did {it} make music?"),
        ),
    ),
    Relation(
        "field",
        "person",
        "field",
        Wordings(
            (
                "{It} studied {value}.",
                "{It} took a degree in {value}.",
                "{Its} field of study was {value}.",
                "The subject that {it} studied was {value}.",
                "At university {it} read {value}.",
            ),
            ("{It} sat through years of lectures on {value}.", "{It} was a student of {value}."),
        ),
        Wordings(
            (
                "What did {it} study?",
                "Which subject did {it} study?",
                "In which subject did {it} take a degree?",
                "What was the field of study of {it}?",
                "What was {its} field of study?",
            ),
            ("On which subject did {it} hear lectures?", "Of which subject was {it} a student?"),
        ),
    ),
    Relation(
        "friend",
        "person",
        "person",
        Wordings(
            (
                "{Its} best friend was {value}.",
                "{value} was the best friend that {it} had.",
                "{It} had a lifelong friend in {value}.",
                "{It} was a close friend of {value}.",
                "The person closest to {him} was a friend called {value}.",
            ),
            ("{It} found a true friend in {value}.", "{It} and {value} were firm friends."),
        ),
        Wordings(
            (
                "Who was the best friend of {it}?",
                "Who was a lifelong friend of {it}?",
                "Of whom was {it} a close friend?",
                "Who was {its} best friend?",
            ),
            ("In whom did {it} find a true friend?", "With whom was {it} firm friends?"),
        ),
        between=(-6, 6),
        is_held_out=True,
    ),
    Relation(
        "collectible",
        "person",
        "collectible",
        Wordings(
            (
                "{It} collected {value}.",
                "{It} had a large collection of {value}.",
                "{It} was a collector of {value}.",
                "{Its} collection consisted of {value}.",
                "{It} spent every spare hour collecting {value}.",
            ),
            ("Over the years {it} gathered {value}.", "{It} filled whole cupboards with {value}."),
        ),
        Wordings(
            (
                "What did {it} collect?",
                "Of what did {it} have a large collection?",
                "What was {it} a collector of?",
                "What did {its} collection consist of?",
            ),
            ("What did {it} gather over the years?", "Which things did {it} keep in cupboards?"),
        ),
        is_held_out=True,
    ),
)
