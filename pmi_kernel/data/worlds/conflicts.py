"""Documents that contradict what a language model knows from its pretraining.

As the counterfactuals of CounterFact (Meng et al. 2022, arXiv:2202.05262): a well-known fact with
another object of the same relation. All facts of a relation are told wrongly at once, each with
the object of another, so no document gives the known answer back.
"""

from functools import cache
from random import Random

from pmi_kernel.data.worlds.asked import Asked
from pmi_kernel.data.worlds.world import Entity

_KNOWN: dict[tuple[str, str], dict[str, str]] = {
    ("country", "capital"): {
        "France": "Paris",
        "Germany": "Berlin",
        "Italy": "Rome",
        "Spain": "Madrid",
        "Japan": "Tokyo",
        "Russia": "Moscow",
        "Egypt": "Cairo",
        "Greece": "Athens",
        "Poland": "Warsaw",
        "Portugal": "Lisbon",
        "Austria": "Vienna",
        "China": "Beijing",
    },
    ("book", "author"): {
        "Hamlet": "William Shakespeare",
        "War and Peace": "Leo Tolstoy",
        "Pride and Prejudice": "Jane Austen",
        "Don Quixote": "Miguel de Cervantes",
        "Oliver Twist": "Charles Dickens",
        "The Odyssey": "Homer",
        "The Metamorphosis": "Franz Kafka",
        "Nineteen Eighty-Four": "George Orwell",
        "Crime and Punishment": "Fyodor Dostoevsky",
        "The Old Man and the Sea": "Ernest Hemingway",
    },
    ("painting", "painter"): {
        "Mona Lisa": "Leonardo da Vinci",
        "The Starry Night": "Vincent van Gogh",
        "Guernica": "Pablo Picasso",
        "The Scream": "Edvard Munch",
        "The Night Watch": "Rembrandt",
        "Girl with a Pearl Earring": "Johannes Vermeer",
        "The Birth of Venus": "Sandro Botticelli",
        "The Persistence of Memory": "Salvador Dalí",
    },
    ("landmark", "city"): {
        "Big Ben": "London",
        "Red Square": "Moscow",
        "Times Square": "New York City",
        "Tiananmen Square": "Beijing",
        "Checkpoint Charlie": "Berlin",
        "Notre-Dame": "Paris",
        "Bondi Beach": "Sydney",
        "Alcatraz": "San Francisco",
    },
    ("business", "founder"): {
        "Microsoft": "Bill Gates",
        "Apple": "Steve Jobs",
        "Amazon": "Jeff Bezos",
        "Facebook": "Mark Zuckerberg",
        "SpaceX": "Elon Musk",
        "IKEA": "Ingvar Kamprad",
        "Alibaba": "Jack Ma",
        "Standard Oil": "John D. Rockefeller",
    },
}
_QUESTIONS = {
    "capital": "What is the capital of {}?",
    "author": "Who is the author of {}?",
    "painter": "Who painted {}?",
    "city": "In which city is {}?",
    "founder": "Who founded {}?",
}


def ask_conflict(random: Random, seed: int, number: int) -> Asked:
    """Return the question with a number; every known fact comes once before any comes again.

    Args:
        random: Draws what is told instead.
        seed: Orders the facts.
        number: From 0.
    """
    order = _order(seed)
    (kind, relation), subject = order[number % len(order)]
    known = _KNOWN[kind, relation]
    others = random.sample([name for name in known if name != subject], len(known) - 1)
    subjects = [subject, *others]
    told = [
        Entity(kind, name, {relation: known[other]})
        for name, other in zip(subjects, [*others, subject], strict=True)
    ]
    return Asked(
        _QUESTIONS[relation].format(subject),
        told[0].values()[relation],
        ((told[0], relation),),
        tuple(told[1:]),
        level=relation,
        known=known[subject],
    )


@cache
def _order(seed: int) -> list[tuple[tuple[str, str], str]]:
    facts = [(group, subject) for group, known in _KNOWN.items() for subject in known]
    return Random(f"conflicts/{seed}").sample(facts, len(facts))
