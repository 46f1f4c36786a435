"""`Template`: the thirty templates of the service as an enum; `templates` lists and searches them;
`UnlistedTemplate`: the id of one that is not among them. Programs give one to ``run``, ``submit`` or
`Job`, and `_request.plain_request` reads it.
"""

from enum import Enum
from typing import Literal

__all__ = ["Template", "TemplateList", "UnlistedTemplate", "templates"]

# Where a checker knows `LiteralString`, a text that is written out and no id of the catalogue is reported.
# mypy takes it for `str`, and takes this for true.
MYPY = False

TemplateId = Literal[
    "felt_3d_polaroid",
    "my_world",
    "my_world_universal",
    "plastic_bubble_figure",
    "plastic_bubble_figure_cartoon_text",
    "furry_dream_doll",
    "micro_landscape_mini_world",
    "micro_landscape_mini_world_professional",
    "acrylic_ornaments",
    "felt_keychain",
    "lofi_pixel_character_mini_card",
    "angel_figurine",
    "lying_in_fluffy_belly",
    "glass_ball",
    "earphone_case_style",
    "electronic_pet_egg_style",
    "patchwork_collage_style",
    "claw_machine_style",
    "car_miniature_ornaments",
    "Mid-Autumn_Festival_new_chinese_style",
    "Mid-Autumn_Festival_individual",
    "Christmas_green_background",
    "Christmas_tree",
    "Spring_Festival_traditional_Chinese_architecture",
    "birthday_photo_gorgeous",
    "birthday_photo_red",
    "birthday_photo_party",
    "graduation_photo",
    "spring_festival_traditional_architecture",
    "spring_festival_gradient_colors",
]

Group = Literal["accessories", "festival", "miniature", "occasions", "pixel", "toys"]

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

    # `str.title` is a method, which the attribute hides.
    title: str  # type: ignore[assignment]  # pyright: ignore
    group: Group
    FELT_3D_POLAROID = "felt_3d_polaroid"
    MY_WORLD = "my_world"
    MY_WORLD_UNIVERSAL = "my_world_universal"
    PLASTIC_BUBBLE_FIGURE = "plastic_bubble_figure"
    PLASTIC_BUBBLE_FIGURE_CARTOON_TEXT = "plastic_bubble_figure_cartoon_text"
    FURRY_DREAM_DOLL = "furry_dream_doll"
    MICRO_LANDSCAPE_MINI_WORLD = "micro_landscape_mini_world"
    MICRO_LANDSCAPE_MINI_WORLD_PROFESSIONAL = "micro_landscape_mini_world_professional"
    ACRYLIC_ORNAMENTS = "acrylic_ornaments"
    FELT_KEYCHAIN = "felt_keychain"
    LOFI_PIXEL_CHARACTER_MINI_CARD = "lofi_pixel_character_mini_card"
    ANGEL_FIGURINE = "angel_figurine"
    LYING_IN_FLUFFY_BELLY = "lying_in_fluffy_belly"
    GLASS_BALL = "glass_ball"
    EARPHONE_CASE_STYLE = "earphone_case_style"
    ELECTRONIC_PET_EGG_STYLE = "electronic_pet_egg_style"
    PATCHWORK_COLLAGE_STYLE = "patchwork_collage_style"
    CLAW_MACHINE_STYLE = "claw_machine_style"
    CAR_MINIATURE_ORNAMENTS = "car_miniature_ornaments"
    MID_AUTUMN_FESTIVAL_NEW_CHINESE_STYLE = "Mid-Autumn_Festival_new_chinese_style"
    MID_AUTUMN_FESTIVAL_INDIVIDUAL = "Mid-Autumn_Festival_individual"
    CHRISTMAS_GREEN_BACKGROUND = "Christmas_green_background"
    CHRISTMAS_TREE = "Christmas_tree"
    SPRING_FESTIVAL_RED_WALL = "Spring_Festival_traditional_Chinese_architecture"
    BIRTHDAY_PHOTO_GORGEOUS = "birthday_photo_gorgeous"
    BIRTHDAY_PHOTO_RED = "birthday_photo_red"
    BIRTHDAY_PHOTO_PARTY = "birthday_photo_party"
    GRADUATION_PHOTO = "graduation_photo"
    SPRING_FESTIVAL_TRADITIONAL_ARCHITECTURE = "spring_festival_traditional_architecture"
    SPRING_FESTIVAL_GRADIENT_COLORS = "spring_festival_gradient_colors"
    @staticmethod
    def unlisted(id: str) -> UnlistedTemplate:
        """A template the catalogue does not list, for the day the service adds one.

        >>> Template.unlisted("moon_base")
        UnlistedTemplate('moon_base')
        """

class UnlistedTemplate(str):
    """The id of a template that the catalogue does not list, made on purpose."""

class TemplateList(list[Template]):
    """Templates that show themselves as a table in a notebook."""

def templates(query: str = "") -> list[Template]:
    """The templates whose id, title or group contain every word of `query`, without regard to case.

    >>> [template.title for template in templates("spring wall")]
    ['Spring Festival Red Wall']
    """
