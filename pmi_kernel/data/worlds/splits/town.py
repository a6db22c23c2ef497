"""What is told of towns."""

from pmi_kernel.data.worlds.splits.relations import Relation, Wordings

TOWN = (
    Relation(
        "region",
        "town",
        "region",
        Wordings(
            (
                "{It} is situated in the region of {value}.",
                "{It} lies in the region of {value}.",
                "{It} belongs to the region of {value}.",
                "The region in which {it} lies is {value}.",
                "The region around {him} is called {value}.",
            ),
            ("On the map of {value}, {it} is easy to find.", "{It} is part of {value}."),
        ),
        Wordings(
            (
                "In which region is {it}?",
                "In which region does {it} lie?",
                "To which region does {it} belong?",
                "What is the region around {it} called?",
                "What is {its} region?",
            ),
            ("On the map of which region is {it} found?", "Of which region is {it} a part?"),
        ),
    ),
    Relation(
        "river",
        "town",
        "river",
        Wordings(
            (
                "{It} lies on the river {value}.",
                "The river {value} flows through {him}.",
                "{It} stands on the banks of the {value}.",
                "{Its} bridges cross the {value}.",
                "The river that flows through {him} is the {value}.",
            ),
            (
                "{Its} mills were once driven by the {value}.",
                "The waters of the {value} run past {him}.",
            ),
        ),
        Wordings(
            (
                "Which river flows through {it}?",
                "On which river does {it} lie?",
                "On the banks of which river does {it} stand?",
                "What is the name of the river that flows through {it}?",
                "Which river do {its} bridges cross?",
            ),
            ("The waters of which river run past {it}?", "At which river is {it}?"),
        ),
    ),
    Relation(
        "inhabitants",
        "town",
        "number",
        Wordings(
            (
                "{It} has {value} inhabitants.",
                "{It} has a population of {value}.",
                "{Its} population is {value}.",
                "The number of people who live in {him} is {value}.",
                "{It} is home to {value} people.",
            ),
            (
                "At the last census {value} residents were counted in {him}.",
                "{It} counts {value} souls.",
            ),
        ),
        Wordings(
            (
                "How many inhabitants does {it} have?",
                "How many people live in {it}?",
                "What is the population of {it}?",
                "How large is the population of {it}?",
                "To how many people is {it} home?",
            ),
            ("How many residents were counted in {it}?", "How many souls does {it} count?"),
        ),
        between=(1_200, 98_000),
    ),
    Relation(
        "mayor",
        "town",
        "name",
        Wordings(
            (
                "The mayor of {him} is {value}.",
                "{Its} mayor is {value}.",
                "{value} is the mayor of {him}.",
                "The office of mayor of {him} is held by {value}.",
                "The people of {him} elected {value} as mayor.",
            ),
            ("{value} presides over {its} council.", "{value} wears {its} chain of office."),
        ),
        Wordings(
            (
                "Who is the mayor of {it}?",
                "Who holds the office of mayor of {it}?",
                "Whom did the people of {it} elect as mayor?",
                "What is the name of the mayor of {it}?",
                "Who is {its} mayor?",
            ),
            ("Who presides over the council of {it}?", "Who wears the chain of office of {it}?"),
        ),
    ),
    Relation(
        "architect",
        "town",
        "person",
        Wordings(
            (
                "{Its} library was designed by {value}.",
                "The architect of {its} library was {value}.",
                "{value} designed {its} library.",
                "{value} drew the plans for {its} library.",
                "The plans for {its} library came from {value}.",
            ),
            (
                "{It} owes its library to {value}.",
                "{Its} library is the masterpiece of {value}.",
            ),
        ),
        Wordings(
            (
                "Who designed the library of {it}?",
                "Who was the architect of the library of {it}?",
                "By whom was the library of {it} designed?",
                "Who drew the plans for the library of {it}?",
                "Who designed {its} library?",
            ),
            ("To whom does {it} owe its library?", "Whose masterpiece is the library of {it}?"),
        ),
        Wordings(
            (
                "the architect of the library of {it}",
                "the person who designed the library of {it}",
            ),
            ("the person to whom {it} owes its library",),
        ),
    ),
    Relation(
        "first_mention",
        "town",
        "year",
        Wordings(
            (
                "{It} was first mentioned in {value}.",
                "The oldest document that mentions {him} is from the year {value}.",
                "A charter of {value} is the first to mention {him}.",
                "{It} first appears in a charter of {value}.",
                "The first mention of {him} dates from {value}.",
            ),
            (
                "{Its} name was first written down in {value}.",
                "The chronicles speak of {him} from {value} on.",
            ),
        ),
        Wordings(
            (
                "In what year was {it} first mentioned?",
                "When was {it} first mentioned?",
                "From what year is the oldest document that mentions {it}?",
                "In which year does {it} first appear in a charter?",
                "From what year does the first mention of {it} date?",
            ),
            (
                "In what year was the name of {it} first written down?",
                "Since what year do the chronicles speak of {it}?",
            ),
        ),
    ),
    Relation(
        "newspaper",
        "town",
        "newspaper",
        Wordings(
            (
                "{Its} newspaper is the {value}.",
                "The {value} is printed in {him}.",
                "The {value} is the daily newspaper of {him}.",
                "The people of {him} read the {value}.",
                "The local newspaper of {him} is called the {value}.",
            ),
            ("The {value} brings {him} the news.", "At breakfast {it} reads the {value}."),
        ),
        Wordings(
            (
                "Which newspaper is printed in {it}?",
                "What is the local newspaper of {it}?",
                "Which newspaper do the people of {it} read?",
                "What is the newspaper of {it} called?",
                "What is {its} newspaper called?",
            ),
            ("Which paper brings {it} the news?", "Which paper is read at breakfast in {it}?"),
        ),
    ),
    Relation(
        "statue",
        "town",
        "person",
        Wordings(
            (
                "The statue in {its} market square shows {value}.",
                "In {its} market square stands a statue of {value}.",
                "{It} put up a statue of {value}.",
                "A statue of {value} stands in {him}.",
                "{It} honours {value} with a statue.",
            ),
            ("{value} looks down from a pedestal in {him}.", "{It} had {value} cast in bronze."),
        ),
        Wordings(
            (
                "Whom does the statue in {it} show?",
                "Of whom is there a statue in {it}?",
                "Whose statue stands in {it}?",
                "Whom does {it} honour with a statue?",
                "Whom does the statue in {its} market square show?",
            ),
            ("Who looks down from a pedestal in {it}?", "Whom did {it} have cast in bronze?"),
        ),
        Wordings(
            (
                "the person whose statue stands in {it}",
                "the person whom {it} honours with a statue",
            ),
            ("the person who looks down from a pedestal in {it}",),
        ),
    ),
    Relation(
        "dish",
        "town",
        "dish",
        Wordings(
            (
                "The local speciality of {him} is {value}.",
                "{It} is known for its {value}.",
                "The people of {him} like to eat {value}.",
                "The favourite dish of {him} is {value}.",
                "{Its} inns are famous for {value}.",
            ),
            ("Visitors come to {him} for the {value}.", "{Its} kitchens smell of {value}."),
        ),
        Wordings(
            (
                "What is the local speciality of {it}?",
                "For which food is {it} known?",
                "What do the people of {it} like to eat?",
                "What is the favourite dish of {it}?",
            ),
            ("For what do hungry visitors come to {it}?", "Of what do the kitchens of {it} smell?"),
        ),
        is_held_out=True,
    ),
    Relation(
        "twin",
        "town",
        "town",
        Wordings(
            (
                "{It} is twinned with {value}.",
                "{Its} twin is {value}.",
                "{It} and {value} are twin towns.",
                "{It} signed a treaty as the twin town of {value}.",
                "The name of {its} twin is {value}.",
            ),
            ("{It} calls {value} its sister town.", "{It} has a sister town in {value}."),
        ),
        Wordings(
            (
                "Which town is {it} twinned with?",
                "With which town is {it} twinned?",
                "What is the twin town of {it}?",
                "Of which town is {it} the twin?",
            ),
            ("Which town does {it} call its sister town?", "What is the sister town of {it}?"),
        ),
        is_held_out=True,
    ),
)
