"""Well-known questions with short answers: what a model knows, and a memory must leave alone.

They are short enough for a small model. Two parts share no question: one is rehearsed while
something is trained, the other only asked, to see what was kept.
"""

from dataclasses import dataclass

_FACTS: tuple[tuple[str, str], ...] = (
    (
        "What is the capital of {}?",
        "France=Paris Germany=Berlin Italy=Rome Spain=Madrid Japan=Tokyo Russia=Moscow Egypt=Cairo "
        "Greece=Athens Poland=Warsaw Portugal=Lisbon Austria=Vienna China=Beijing Norway=Oslo "
        "Sweden=Stockholm Denmark=Copenhagen Finland=Helsinki Ireland=Dublin Hungary=Budapest "
        "Turkey=Ankara Iran=Tehran Iraq=Baghdad Cuba=Havana Canada=Ottawa Australia=Canberra "
        "Argentina=Buenos_Aires Chile=Santiago Peru=Lima Brazil=Brasilia Mexico=Mexico_City "
        "Kenya=Nairobi India=New_Delhi Thailand=Bangkok Vietnam=Hanoi Indonesia=Jakarta "
        "South_Korea=Seoul Ukraine=Kyiv Romania=Bucharest Bulgaria=Sofia Serbia=Belgrade "
        "Croatia=Zagreb Belgium=Brussels Netherlands=Amsterdam Switzerland=Bern Iceland=Reykjavik "
        "Scotland=Edinburgh Wales=Cardiff Colombia=Bogota Venezuela=Caracas Ecuador=Quito "
        "Bolivia=La_Paz Uruguay=Montevideo Philippines=Manila Nepal=Kathmandu "
        "Malaysia=Kuala_Lumpur Pakistan=Islamabad Afghanistan=Kabul Lebanon=Beirut "
        "Syria=Damascus Jordan=Amman Morocco=Rabat Tunisia=Tunis Algeria=Algiers Libya=Tripoli "
        "Ethiopia=Addis_Ababa",
    ),
    (
        "On which continent is {}?",
        "France=Europe Germany=Europe Italy=Europe Spain=Europe Japan=Asia China=Asia India=Asia "
        "Egypt=Africa Kenya=Africa Nigeria=Africa Brazil=South_America Argentina=South_America "
        "Canada=North_America Mexico=North_America Poland=Europe Thailand=Asia Morocco=Africa "
        "Peru=South_America Sweden=Europe Vietnam=Asia Ghana=Africa Chile=South_America",
    ),
    (
        "Which language is spoken in {}?",
        "France=French Germany=German Italy=Italian Spain=Spanish Japan=Japanese China=Chinese "
        "Russia=Russian Portugal=Portuguese Brazil=Portuguese Greece=Greek Poland=Polish "
        "Mexico=Spanish Sweden=Swedish Turkey=Turkish England=English Austria=German "
        "Argentina=Spanish Denmark=Danish Finland=Finnish Hungary=Hungarian Norway=Norwegian",
    ),
    (
        "What is the opposite of {}?",
        "hot=cold big=small up=down left=right day=night black=white good=bad fast=slow old=young "
        "open=closed high=low happy=sad rich=poor wet=dry hard=soft light=dark early=late "
        "strong=weak full=empty long=short in=out on=off true=false win=lose love=hate "
        "push=pull first=last north=south east=west loud=quiet clean=dirty begin=end near=far "
        "give=take life=death war=peace thick=thin deep=shallow wide=narrow heavy=light "
        "sweet=sour safe=dangerous top=bottom inside=outside buy=sell friend=enemy",
    ),
    (
        "What color is {}?",
        "grass=green snow=white blood=red coal=black the_sky=blue a_lemon=yellow milk=white "
        "a_ripe_tomato=red a_banana=yellow chocolate=brown a_frog=green an_orange=orange "
        "a_swan=white gold=yellow a_polar_bear=white a_cucumber=green ketchup=red a_crow=black",
    ),
    (
        "What is the plural of {}?",
        "child=children mouse=mice man=men woman=women foot=feet tooth=teeth goose=geese dog=dogs "
        "city=cities leaf=leaves knife=knives sheep=sheep person=people cat=cats baby=babies "
        "wolf=wolves box=boxes ox=oxen wife=wives house=houses",
    ),
    (
        "What is the past tense of {}?",
        "go=went eat=ate run=ran see=saw take=took give=gave write=wrote come=came buy=bought "
        "think=thought sing=sang drink=drank swim=swam begin=began know=knew fly=flew drive=drove "
        "speak=spoke break=broke find=found teach=taught catch=caught sleep=slept",
    ),
    (
        "What is {}?",
        "two_plus_two=four three_plus_four=seven five_plus_five=ten six_plus_three=nine "
        "one_plus_one=two ten_minus_five=five eight_minus_two=six two_times_three=six "
        "five_times_two=ten three_times_three=nine four_plus_four=eight nine_minus_one=eight "
        "ten_plus_ten=twenty two_times_four=eight seven_minus_three=four",
    ),
    (
        "Which month comes after {}?",
        "January=February February=March March=April April=May May=June June=July July=August "
        "August=September September=October October=November November=December December=January",
    ),
    (
        "Which day comes after {}?",
        "Monday=Tuesday Tuesday=Wednesday Wednesday=Thursday Thursday=Friday Friday=Saturday "
        "Saturday=Sunday Sunday=Monday",
    ),
    (
        "How many legs does {} have?",
        "a_dog=four a_spider=eight an_ant=six a_bird=two a_horse=four a_cat=four a_cow=four "
        "a_human=two a_bee=six a_chicken=two a_snake=none",
    ),
    (
        "What is a young {} called?",
        "dog=puppy cat=kitten cow=calf sheep=lamb horse=foal pig=piglet bear=cub lion=cub "
        "goat=kid duck=duckling frog=tadpole chicken=chick deer=fawn swan=cygnet kangaroo=joey",
    ),
    (
        "Which animal {}?",
        "barks=dog meows=cat moos=cow gives_us_wool=sheep makes_honey=bee spins_webs=spider "
        "lays_eggs_that_we_eat=chicken says_oink=pig has_a_trunk=elephant has_a_very_long_neck="
        "giraffe has_black_and_white_stripes=zebra hops_and_has_a_pouch=kangaroo roars=lion "
        "is_the_largest=blue_whale",
    ),
    (
        "What is the chemical symbol of {}?",
        "hydrogen=H oxygen=O carbon=C nitrogen=N gold=Au silver=Ag iron=Fe helium=He sodium=Na "
        "copper=Cu calcium=Ca lead=Pb zinc=Zn sulfur=S potassium=K",
    ),
    (
        "Who wrote {}?",
        "Hamlet=William_Shakespeare Romeo_and_Juliet=William_Shakespeare Oliver_Twist="
        "Charles_Dickens Pride_and_Prejudice=Jane_Austen War_and_Peace=Leo_Tolstoy "
        "Don_Quixote=Miguel_de_Cervantes The_Odyssey=Homer Moby_Dick=Herman_Melville "
        "Frankenstein=Mary_Shelley Dracula=Bram_Stoker Animal_Farm=George_Orwell "
        "The_Hobbit=J.R.R._Tolkien Macbeth=William_Shakespeare Faust=Goethe Ulysses=James_Joyce",
    ),
    (
        "Who painted {}?",
        "the_Mona_Lisa=Leonardo_da_Vinci The_Starry_Night=Vincent_van_Gogh Guernica=Pablo_Picasso "
        "The_Scream=Edvard_Munch The_Last_Supper=Leonardo_da_Vinci Water_Lilies=Claude_Monet",
    ),
    (
        "In which country is {}?",
        "Paris=France Rome=Italy Berlin=Germany Tokyo=Japan Sydney=Australia Toronto=Canada "
        "Madrid=Spain Moscow=Russia Mumbai=India Cairo=Egypt Athens=Greece Amsterdam=Netherlands "
        "Milan=Italy Barcelona=Spain Munich=Germany Shanghai=China Kyoto=Japan Naples=Italy "
        "Hamburg=Germany Marseille=France Manchester=England Chicago=the_United_States "
        "the_Eiffel_Tower=France the_Colosseum=Italy the_Taj_Mahal=India Big_Ben=England",
    ),
    (
        "What do you use to {}?",
        "cut_paper=scissors write_on_paper=pen sweep_the_floor=broom open_a_lock=key tell_the_time="
        "clock drive_a_nail=hammer brush_your_teeth=toothbrush eat_soup=spoon see_the_stars="
        "telescope measure_temperature=thermometer make_a_phone_call=phone dry_yourself=towel",
    ),
    (
        "What is {} made from?",
        "bread=flour cheese=milk wine=grapes paper=wood glass=sand butter=milk leather=animal_skin "
        "chocolate=cocoa_beans beer=barley ice=water raisins=grapes a_candle=wax",
    ),
)
"""Question, and what is asked about with the answer; `_` stands for a blank."""


@dataclass(frozen=True, slots=True)
class Known:
    """A well-known question.

    Attributes:
        question: Its text.
        answer: The usual short answer.
    """

    question: str
    answer: str


def well_known(*, is_rehearsed: bool) -> tuple[Known, ...]:
    """Return one part of the well-known questions, those of each kind in turn.

    Args:
        is_rehearsed: The larger part, two of three, which training may rehearse; else the other.
    """
    kinds = [
        [Known(asked.format(_text(subject)), _text(answer)) for subject, answer in _pairs(facts)]
        for asked, facts in _FACTS
    ]
    longest = max(map(len, kinds))
    return tuple(
        kind[place]
        for place in range(longest)
        if (place % 3 != 2) == is_rehearsed
        for kind in kinds
        if place < len(kind)
    )


def _pairs(facts: str) -> list[tuple[str, str]]:
    found = []
    for word in facts.split():
        subject, _, answer = word.partition("=")
        found.append((subject, answer))
    return found


def _text(word: str) -> str:
    return word.replace("_", " ")
