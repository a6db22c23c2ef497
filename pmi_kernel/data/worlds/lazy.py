"""A world as large as its paragraphs need: what an entity is linked to has no more than a name."""

from pmi_kernel.data.worlds import vocab
from pmi_kernel.data.worlds.world import Entity, World, year_of


class LazyWorld(World):
    """A world with teachers and publishers, in which facts are drawn for `complete` entities only.

    Args:
        random: Gives every draw.
    """

    def town(self) -> Entity:
        """Return a town without facts."""
        return Entity("town", self._word(vocab.TOWN_ENDS))

    def complete(self, entity: Entity) -> Entity:
        """Draw what an entity's paragraph tells and is not drawn yet; return the entity."""
        if entity.kind == "town" and not entity.facts:
            self._fill_town(entity)
        elif entity.kind == "person":
            teacher = self.person()
            years = self._random.randint(20, 45)
            teacher.facts["birth_year"] = year_of(entity, "birth_year") - years
            entity.facts["teacher"] = teacher
        elif entity.kind == "work":
            founder = self.person()
            years = self._random.randint(61, 80)
            founder.facts["birth_year"] = year_of(entity, "year") - years
            entity.facts["publisher"] = self.company(founder=founder, is_publisher=True)
        return entity

    def like(self, entity: Entity) -> Entity:
        """Return another entity that resembles one: its surname, its form, its kind."""
        match entity.kind:
            case "person":
                other = self.person(surname=entity.name.split()[-1])
            case "work":
                other = self.work(author=self.person(), form=str(entity.facts["form"]))
            case "company":
                other = self.company(is_publisher=entity.facts["product"] in vocab.PUBLISHED)
            case _:
                other = self.town()
        return self.complete(other)
