"""How facts are told: for each kind of entity its sentences, in order, in two styles.

`{it}` is the entity, `{It}` the same at a sentence's start, `{its}` and `{Its}` the possessive;
other fields are values of facts.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence that an entity's paragraph has where the entity has the facts.

    Attributes:
        relations: What it tells; none where it only says what the entity is.
        named: Wordings that name the entity and use the words of the questions.
        paraphrased: Wordings that share fewer words with the questions.
    """

    relations: tuple[str, ...]
    named: tuple[str, ...]
    paraphrased: tuple[str, ...]


SENTENCES: dict[str, tuple[Sentence, ...]] = {
    "town": (
        Sentence(
            ("region",),
            ("{it} is a town in the region of {region}.", "{it} is a town in {region}."),
            (
                "{It} is a small town of {region}.",
                "{It} is a market town that belongs to {region}.",
            ),
        ),
        Sentence(
            ("river",),
            ("The river {river} flows through {it}.", "{it} lies on the river {river}."),
            (
                "{It} stands on the banks of the {river}.",
                "{Its} bridges cross the {river}.",
                "{Its} mills were once driven by the {river}.",
            ),
        ),
        Sentence(
            ("inhabitants",),
            ("{it} has {inhabitants} inhabitants.",),
            (
                "{inhabitants} people live there.",
                "At the last census {inhabitants} residents were counted.",
                "{Its} population is {inhabitants}.",
            ),
        ),
        Sentence(
            ("mayor",),
            ("The mayor of {it} is {mayor}.", "{mayor} is the mayor of {it}."),
            (
                "{Its} council is headed by {mayor}.",
                "{mayor} runs the town hall.",
                "The highest office there is held by {mayor}.",
            ),
        ),
        Sentence(
            ("mayor_before",),
            ("From {from} the mayor of {it} was {mayor_before}.",),
            (
                "In {from} {mayor_before} was elected to head {its} council.",
                "{mayor_before} moved into {its} town hall in {from}.",
            ),
        ),
        Sentence(
            ("mayor_now",),
            ("Since {since} the mayor of {it} has been {mayor_now}.",),
            (
                "{Its} council has been headed by {mayor_now} from {since} to this day.",
                "{mayor_now} took over {its} town hall in {since} and runs it still.",
            ),
        ),
    ),
    "person": (
        Sentence(
            ("job",),
            ("{it} was a {job} by profession.", "The profession of {it} was {job}."),
            ("{It} earned a living as a {job}.", "{It} worked as a {job} all through life."),
        ),
        Sentence(
            ("born_in",),
            ("{it} was born in the town of {born_in}.", "{it} was born in {born_in}."),
            (
                "{It} first saw the light of day in {born_in}.",
                "{It} came from {born_in}, a native of the place.",
                "{Its} birthplace was {born_in}.",
            ),
        ),
        Sentence(
            ("birth_year",),
            ("{it} was born in the year {birth_year}.",),
            (
                "{It} came into the world in {birth_year}.",
                "{Its} life began in {birth_year}.",
                "The parish book gives {its} birth as {birth_year}.",
            ),
        ),
        Sentence(
            ("teacher",),
            ("The teacher of {it} was {teacher}.", "{teacher} was the teacher of {it}."),
            (
                "{It} learned everything from {teacher}.",
                "{It} was a pupil of {teacher}.",
                "{Its} schooling was in the hands of {teacher}.",
            ),
        ),
    ),
    "work": (
        Sentence(
            ("form", "author"),
            (
                "{it} is a {form} {verb} by {author}.",
                "{it} is a {form}, and its author is {author}.",
            ),
            (
                "{It} is a {form} from the pen of {author}.",
                "{author} wrote the {form} called {it}.",
                "{It} is the {form} that made {author} famous.",
            ),
        ),
        Sentence(
            ("year",),
            (
                "{it} came out in {year}.",
                "{it} was first shown to the public in {year}.",
            ),
            (
                "{It} first appeared in {year}.",
                "Readers first held {it} in their hands in {year}.",
                "{It} dates from {year}.",
            ),
        ),
        Sentence(
            ("publisher",),
            ("{it} was published by {publisher}.", "{publisher} published {it}."),
            (
                "{publisher} brought {it} into the shops.",
                "{It} was put into print by {publisher}.",
                "The first edition bears the imprint of {publisher}.",
            ),
        ),
        Sentence(
            ("publisher_before",),
            ("From {from} {it} was published by {publisher_before}.",),
            (
                "In {from} {publisher_before} put {it} into print.",
                "{publisher_before} bought the rights to {it} in {from}.",
            ),
        ),
        Sentence(
            ("publisher_now",),
            ("Since {since} {it} has been published by {publisher_now}.",),
            (
                "{Its} rights went to {publisher_now} in {since} and are there still.",
                "{publisher_now} has brought out {it} from {since} to this day.",
            ),
        ),
    ),
    "company": (
        Sentence(
            ("product",),
            ("{it} is a company that makes {product}.",),
            (
                "{It} is a firm known for its {product}.",
                "{It} turns out {product} by the thousand.",
            ),
        ),
        Sentence(
            ("founder",),
            ("{it} was founded by {founder}.", "{founder} founded {it}."),
            (
                "{It} was set up by {founder}.",
                "{founder} started {it} from nothing.",
                "{founder} built {it} up in a rented shed.",
            ),
        ),
        Sentence(
            ("founded",),
            ("{it} was founded in the year {founded}.",),
            (
                "{Its} history goes back to {founded}.",
                "{It} opened for business in {founded}.",
                "{It} has existed since {founded}.",
            ),
        ),
        Sentence(
            ("seat",),
            ("{it} has its headquarters in {seat}.",),
            (
                "{Its} main office is in {seat}.",
                "{It} is run from {seat}.",
                "{It} is based in {seat}.",
            ),
        ),
        Sentence(
            ("seat_before",),
            ("From {from} {it} had its headquarters in {seat_before}.",),
            (
                "In {from} {its} main office was opened in {seat_before}.",
                "{Its} business was run out of {seat_before} from {from}.",
            ),
        ),
        Sentence(
            ("seat_now",),
            ("Since {since} {it} has had its headquarters in {seat_now}.",),
            (
                "{Its} main office was moved to {seat_now} in {since} and is there still.",
                "From {since} to this day {it} has been run from {seat_now}.",
            ),
        ),
        Sentence(
            ("director_before",),
            ("From {from} the director of {it} was {director_before}.",),
            (
                "In {from} {director_before} was put in charge of {it}.",
                "{director_before} took {its} top post in {from}.",
            ),
        ),
        Sentence(
            ("director_now",),
            ("Since {since} the director of {it} has been {director_now}.",),
            (
                "{director_now} has been in charge of {it} from {since} to this day.",
                "{Its} top post went to {director_now} in {since}, who holds it still.",
            ),
        ),
    ),
    "country": (
        Sentence(
            (),
            ("{it} is a country that many people visit.",),
            ("{It} is a country with many visitors.", "{It} is a country on every map."),
        ),
        Sentence(
            ("capital",),
            ("The capital of {it} is {capital}.", "{capital} is the capital of {it}."),
            (
                "{Its} parliament and ministries are in {capital}.",
                "{It} is governed from {capital}.",
                "The seat of {its} government is {capital}.",
            ),
        ),
    ),
    "book": (
        Sentence(
            (),
            ("{it} is a work that is read in many schools.",),
            ("{It} is a classic of literature.", "{It} is found in most libraries."),
        ),
        Sentence(
            ("author",),
            ("The author of {it} is {author}.", "{it} was written by {author}."),
            (
                "{It} came from the pen of {author}.",
                "{author} wrote {it}.",
                "{It} is what made {author} famous.",
            ),
        ),
    ),
    "painting": (
        Sentence(
            (),
            ("{it} is a picture that many people know.",),
            ("{It} is a famous picture.", "{It} hangs as a print in many homes."),
        ),
        Sentence(
            ("painter",),
            ("{it} was painted by {painter}.", "{painter} painted {it}."),
            (
                "{It} came from the brush of {painter}.",
                "{painter} worked on {it} for months.",
                "{It} is the best known canvas by {painter}.",
            ),
        ),
    ),
    "landmark": (
        Sentence(
            (),
            ("{it} is a sight that many people know.",),
            ("{It} is a famous sight.", "{It} is on many postcards."),
        ),
        Sentence(
            ("city",),
            ("{it} is in the city of {city}.", "{it} is in {city}."),
            (
                "Whoever travels to {city} goes to see {it}.",
                "{It} draws crowds to {city}.",
                "{It} belongs to {city} like nothing else.",
            ),
        ),
    ),
    "business": (
        Sentence(
            (),
            ("{it} is a company that many people know.",),
            ("{It} is a household name.", "{It} is a company with many customers."),
        ),
        Sentence(
            ("founder",),
            ("{it} was founded by {founder}.", "{founder} founded {it}."),
            (
                "{It} was set up by {founder}.",
                "{founder} started {it} from nothing.",
                "{It} began as an idea of {founder}.",
            ),
        ),
    ),
}
