"""`Template`: the thirty templates of the service as an enum; `templates` lists and searches them;
`UnlistedTemplate`: the id of one that is not among them. Programs give one to ``run``, ``submit`` or
`Job`, and `_request.plain_request` reads it.
"""

from enum import Enum

__all__ = ["Template", "TemplateList", "UnlistedTemplate", "templates"]


class Template(str, Enum):
    """One of the thirty looks; each is the ``str`` of its id.

    Attributes:
        title: the title on the service's page.
        group: the family of looks it belongs to.

    >>> Template.GLASS_BALL.title
    'Glass Ball'
    >>> Template("glass_ball") is Template.GLASS_BALL
    True
    """

    def __new__(cls, id, title, group):
        template = str.__new__(cls, id)
        # The value is the id alone, so that `Template("glass_ball")` finds the member.
        template._value_ = id
        template.title = title
        template.group = group
        return template

    def __str__(self):
        # Enum's own text is `Template.GLASS_BALL`.
        return self._value_

    @staticmethod
    def unlisted(id):
        """A template the catalogue does not list, for the day the service adds one.

        >>> Template.unlisted("moon_base")
        UnlistedTemplate('moon_base')
        """
        if not isinstance(id, str):
            raise TypeError(f"id is {id!r}: give the text of a template's id")
        return UnlistedTemplate(id)

    @classmethod
    def _missing_(cls, value):
        import difflib

        ids = [template.value for template in cls]
        near = difflib.get_close_matches(str(value), ids, n=1)
        advice = f"did you mean {near[0]!r}?" if near else "templates() lists them"
        raise ValueError(f"{value!r} is not the id of a template: {advice}")

    FELT_3D_POLAROID = ("felt_3d_polaroid", "Felt 3D Polaroid Style", "toys")
    MY_WORLD = ("my_world", "Pixel World Style", "pixel")
    MY_WORLD_UNIVERSAL = ("my_world_universal", "Pixel World - Universal Version", "pixel")
    PLASTIC_BUBBLE_FIGURE = ("plastic_bubble_figure", "Plastic Bubble Figure", "toys")
    PLASTIC_BUBBLE_FIGURE_CARTOON_TEXT = (
        "plastic_bubble_figure_cartoon_text",
        "Plastic Bubble Figure - Cartoon Text Version",
        "toys",
    )
    FURRY_DREAM_DOLL = ("furry_dream_doll", "Furry Dream Doll", "toys")
    MICRO_LANDSCAPE_MINI_WORLD = (
        "micro_landscape_mini_world",
        "Mini World Doll Style",
        "miniature",
    )
    MICRO_LANDSCAPE_MINI_WORLD_PROFESSIONAL = (
        "micro_landscape_mini_world_professional",
        "Micro Landscape Mini World - Professional Version",
        "miniature",
    )
    ACRYLIC_ORNAMENTS = ("acrylic_ornaments", "Acrylic Ornaments", "accessories")
    FELT_KEYCHAIN = ("felt_keychain", "Felt Keychain", "accessories")
    LOFI_PIXEL_CHARACTER_MINI_CARD = (
        "lofi_pixel_character_mini_card",
        "Lofi Pixel Character Mini Card",
        "pixel",
    )
    ANGEL_FIGURINE = ("angel_figurine", "Angel Figurine", "toys")
    LYING_IN_FLUFFY_BELLY = ("lying_in_fluffy_belly", "Lying in Fluffy Belly", "toys")
    GLASS_BALL = ("glass_ball", "Glass Ball", "miniature")
    EARPHONE_CASE_STYLE = ("earphone_case_style", "Earphone Case Style", "accessories")
    ELECTRONIC_PET_EGG_STYLE = (
        "electronic_pet_egg_style",
        "Electronic Pet Egg Style",
        "accessories",
    )
    PATCHWORK_COLLAGE_STYLE = ("patchwork_collage_style", "Patchwork Collage Style", "accessories")
    CLAW_MACHINE_STYLE = ("claw_machine_style", "Claw Machine Style", "toys")
    CAR_MINIATURE_ORNAMENTS = ("car_miniature_ornaments", "Car Miniature Ornaments", "accessories")
    MID_AUTUMN_FESTIVAL_NEW_CHINESE_STYLE = (
        "Mid-Autumn_Festival_new_chinese_style",
        "Mid-Autumn Festival - New Chinese Style",
        "festival",
    )
    MID_AUTUMN_FESTIVAL_INDIVIDUAL = (
        "Mid-Autumn_Festival_individual",
        "Mid-Autumn Festival Individual",
        "festival",
    )
    CHRISTMAS_GREEN_BACKGROUND = (
        "Christmas_green_background",
        "Christmas Green Background",
        "festival",
    )
    CHRISTMAS_TREE = ("Christmas_tree", "Christmas Tree", "festival")
    SPRING_FESTIVAL_RED_WALL = (
        "Spring_Festival_traditional_Chinese_architecture",
        "Spring Festival Red Wall",
        "festival",
    )
    BIRTHDAY_PHOTO_GORGEOUS = ("birthday_photo_gorgeous", "Birthday Photo Gorgeous", "occasions")
    BIRTHDAY_PHOTO_RED = ("birthday_photo_red", "Birthday Photo Red", "occasions")
    BIRTHDAY_PHOTO_PARTY = ("birthday_photo_party", "Birthday Photo Party", "occasions")
    GRADUATION_PHOTO = ("graduation_photo", "Graduation Photo", "occasions")
    SPRING_FESTIVAL_TRADITIONAL_ARCHITECTURE = (
        "spring_festival_traditional_architecture",
        "Spring Festival Traditional Architecture",
        "festival",
    )
    SPRING_FESTIVAL_GRADIENT_COLORS = (
        "spring_festival_gradient_colors",
        "Spring Festival Gradient Colors",
        "festival",
    )


class UnlistedTemplate(str):
    """The id of a template that the catalogue does not list, made on purpose."""

    __slots__ = ()

    def __repr__(self):
        return f"UnlistedTemplate({str(self)!r})"


class TemplateList(list):
    """Templates that show themselves as a table in a notebook."""

    def _repr_html_(self):
        from . import _display

        return _display.templates(self)


def templates(query=""):
    """The templates whose id, title or group contain every word of `query`, without regard to case.

    >>> [template.title for template in templates("spring wall")]
    ['Spring Festival Red Wall']
    """
    if not isinstance(query, str):
        raise TypeError(f"query is {query!r}: give words as text")
    words = query.lower().split()
    return TemplateList(
        template
        for template in Template
        if all(word in f"{template.value} {template.title} {template.group}".lower() for word in words)
    )
