"""Three templates with the layers of their scenes (`scenes/<id>.svg`), from bottom to top, in Pillow.

Pixel art and colours are read from or copied out of the scene files. What is left out here is less
work for Pillow, not for the renderer: the characters on the lanterns and the blossoms' stamens.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

import layers
from layers import Pen, Point, circle, curve, paint, rectangle, rounded, soft, turned

SCENES = Path(__file__).parents[1] / "scenes"

GOLD = ([(0, "#fff2b8"), (0.5, "#f3bb3f"), (1, "#ffe493")], "diagonal")


# --- my_world: the photo built of cubes, a heart row and a tool bar -------------------------------

PIXELS = re.findall(r'<\?pixels[^>]*rows="([^"]+)" colours="([^"]+)"', (SCENES / "my_world.svg").read_text())


def my_world(photo: Image.Image, width: int, height: int) -> Image.Image:
    m, u = min(width, height), min(width, height) / 1000
    cell = max(10, round(m / 58))
    slot = min(width * 0.092, m * 0.088)
    px, bar = slot / 12, 9 * slot
    bx, by = width / 2 - bar / 2, height - slot * 1.42
    canvas = layers.cut(photo, width, height, 1.5)
    canvas = layers.stretch(canvas, 0.01)
    canvas = layers.grade(canvas, 0.05, 0.94, 1.05)
    canvas = layers.voxel(canvas, cell, 32, 1.15)
    canvas = layers.vignette(canvas, 0.35)
    back = (bx - px, by - px, bx + bar + px, by + slot + px)
    under = rectangle(back[0], back[1] + 6 * u, back[2] - back[0], back[3] - back[1])
    soft(canvas, back, "#000000", lambda pen: pen.fill(under), 12 * u, 0.6)
    # Everything from here on has level edges, which need no larger mask.
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((bx - px * 1.2, by - px * 1.2, bx + bar + px * 1.2, by + slot + px * 1.2), fill="#1a1a1a")
    for i in range(9):
        left, right, bottom = bx + i * slot, bx + (i + 1) * slot, by + slot
        draw.rectangle((left, by, right, bottom), fill="#8f8f8f")
        draw.line([(left, bottom), (left, by), (right, by)], fill="#3c3c3c", width=round(px * 1.6))
        draw.line([(left, bottom), (right, bottom), (right, by)], fill="#d6d6d6", width=round(px * 1.6))
        _pixels(draw, PIXELS[i], left + px * 2, by + px * 2, px)
    draw.rectangle((bx + 4 * slot, by, bx + 5 * slot, by + slot), outline="#ffffff", width=round(px * 1.4))
    for i in range(10):
        _pixels(draw, PIXELS[9], bx + i * px * 4.9, by - px * 8, px * 0.62)
        _pixels(draw, PIXELS[10], bx + bar - (i + 1) * px * 4.9, by - px * 8, px * 0.62)
    draw.rectangle((bx, by - px * 2.6, bx + bar, by - px * 1.1), fill="#16240f")
    draw.rectangle((bx, by - px * 2.6, bx + bar * 0.62, by - px * 1.1), fill="#8ff03c")
    return canvas


def _pixels(draw: ImageDraw.ImageDraw, art: tuple[str, str], x: float, y: float, size: float) -> None:
    colours = dict(word.split("#") for word in art[1].split())
    for row, line in enumerate(art[0].split("/")):
        for run in re.finditer(r"([a-z])\1*", line):
            box = (
                x + run.start() * size,
                y + row * size,
                x + run.end() * size - 1,
                y + (row + 1) * size - 0.5,
            )
            draw.rectangle(box, fill="#" + colours[run[1]])


# --- spring_festival_gradient_colors: a photo in reds behind three sheets of cut paper ------------

TONES = ["#4d0416", "#b0101f", "#ee4a26", "#ffa336", "#ffe08a", "#fff8df"]
SHEETS = [
    [(0, "#ef5a2c"), (0.6, "#fb9a3a"), (1, "#ffcb5c")],
    [(0, "#c71a24"), (0.6, "#ee5a2a"), (1, "#f98f35")],
    [(0, "#8f0a1c"), (0.55, "#c8161f"), (1, "#e8442a")],
]
LAMP = ([(0, "#ffb04a"), (0.5, "#f0402a"), (1, "#a50d1a")], "round")
Place = Callable[[list[Point]], list[Point]]
PLUMS = [
    ((62, -262), 66, "#ffe3d2", 30),
    ((70, -160), 92, "#ffd0c2", 40),
    ((40, -70), 122, "#fff0e2", 52),
    ((130, -110), 96, "#ffc2b0", 42),
    ((200, -98), 82, "#ffe3d2", 36),
    ((250, -56), 58, "#ffd0c2", 26),
    ((152, -196), 56, "#fff0e2", 26),
]
TWIGS = [
    curve((-10, 30), (60, -40), (90, -150), (60, -260)),
    curve((40, -70), (110, -110), (180, -110), (250, -60)),
    curve((62, -150), (90, -190), (130, -200), (150, -196)),
]


def spring_festival_gradient_colors(photo: Image.Image, width: int, height: int) -> Image.Image:
    m, u = min(width, height), min(width, height) / 1000
    b = m * 0.115
    canvas = Image.new("RGB", (width, height), "#ffffff")
    picture = layers.cut(photo, width - b * 1.9, height - b * 2.11, 1)
    canvas.paste(layers.duotone(picture, TONES), (round(b * 0.95), round(b * 1.16)))
    whole = (0, 0, width, height)
    for k, stops in enumerate(SHEETS):
        hole = _scallops(width, height, k, m)
        shadow = [(x + 5 * u, y + 12 * u) for x, y in hole]
        soft(
            canvas, whole, "#3a0210", lambda pen, hole=shadow: _sheet(pen, width, height, hole), 20 * u, 0.55
        )
        paint(canvas, whole, (stops, "down"), lambda pen, hole=hole: _sheet(pen, width, height, hole))
        paint(canvas, _bounds(hole, 4 * u), GOLD, lambda pen, hole=hole: pen.stroke(hole, 3.4 * u))
    canvas = layers.texture(canvas, PAPER)
    _frets(canvas, m)
    for side in (1, -1):
        _twigs(canvas, (0 if side > 0 else width, height), side * u, u)
        _lantern(canvas, m * 0.115 if side > 0 else width - m * 0.115, m * 0.00108)
    dice = random.Random(26)
    for _ in range(26):
        at = (b + dice.random() * (width - 2 * b), b + dice.random() * (height - 2 * b))
        radius = (1.5 + dice.random() * 3.4) * u
        dot = lambda pen, at=at, radius=radius: pen.fill(circle(at, radius))  # noqa: E731
        paint(canvas, _around(at, radius), "#fff0b8", dot, 0.3 + dice.random() * 0.5)
    return canvas


def _paper(side: int = 2048) -> Image.Image:
    """Soft grain; made once per process, as the renderer's textures are."""
    noise = np.random.default_rng(31).random((side, side, 1)).repeat(3, axis=2)
    grain = Image.fromarray((noise * 255).astype(np.uint8))
    return grain.point([128 + round((i - 128) * 0.045) for i in range(256)] * 3)


PAPER = _paper()


def _sheet(pen: Pen, width: int, height: int, hole: list[Point]) -> None:
    pen.fill(rectangle(-200, -200, width + 400, height + 400))
    pen.fill(hole, 0)


def _scallops(width: int, height: int, k: int, m: float) -> list[Point]:
    """The hole in a sheet: half rounds along the sides, a scoop in each corner."""
    inset, c = m * 0.115 * (1.22 - k * 0.34), m * 0.07
    unit = m * 0.088 * (1 + k * 0.3)
    across, down = (max(3, round((side - 2 * inset - 2 * c) / unit)) for side in (width, height))
    sx, sy = (width - 2 * inset - 2 * c) / across, (height - 2 * inset - 2 * c) / down
    left, top, right, bottom = inset, inset, width - inset, height - inset
    points: list[Point] = []
    for i in range(across):
        points += layers.arc((left + c + (i + 0.5) * sx, top), (sx / 2, sx * 0.42), 180, 0)
    points += layers.arc((right, top), (c, c), 180, 90)
    for i in range(down):
        points += layers.arc((right, top + c + (i + 0.5) * sy), (sy * 0.42, sy / 2), 270, 90)
    points += layers.arc((right, bottom), (c, c), 270, 180)
    for i in range(across):
        points += layers.arc((right - c - (i + 0.5) * sx, bottom), (sx / 2, sx * 0.42), 0, -180)
    points += layers.arc((left, bottom), (c, c), 0, -90)
    for i in range(down):
        points += layers.arc((left, bottom - c - (i + 0.5) * sy), (sy * 0.42, sy / 2), 90, -90)
    points += layers.arc((left, top), (c, c), 90, 0)
    return [*points, points[0]]


def _frets(canvas: Image.Image, m: float) -> None:
    """A line along the sheet's edge, and a key pattern in its corners: level, so no larger mask."""
    (width, height), e, f = canvas.size, m * 0.022, m * 0.052
    draw, wide = ImageDraw.Draw(canvas), round(m * 0.0034)
    for y in (e, height - e):
        draw.line([(e + f * 1.5, y), (width - e - f * 1.5, y)], fill="#f7cf6a", width=wide)
    for x in (e, width - e):
        draw.line([(x, e + f * 1.5), (x, height - e - f * 1.5)], fill="#f7cf6a", width=wide)
    keys = [
        [(15, 0), (15, 7), (7, 7), (7, 15), (0, 15), (0, 0), (11, 0)],
        [(0, 11), (0, 3.5)],
        [(3.5, 3.5), (11, 3.5)],
    ]
    for x, y, turn in ((e, e, 0), (width - e, e, 90), (e, height - e, 270), (width - e, height - e, 180)):
        for key in keys:
            placed = [(x + px * f / 10, y + py * f / 10) for px, py in key]
            draw.line(turned(placed, (x, y), turn), fill="#f7cf6a", width=wide)


def _twigs(canvas: Image.Image, corner: Point, across: float, u: float) -> None:
    def place(points: list[Point], shift: Point = (0, 0)) -> list[Point]:
        return [(corner[0] + (x + shift[0]) * across, corner[1] + (y + shift[1]) * u) for x, y in points]

    left = min(corner[0], corner[0] + 310 * across)
    box = (left, corner[1] - 320 * u, left + 310 * u, corner[1])

    def twigs(pen: Pen, shift: Point = (0, 0)) -> None:
        for twig in TWIGS:
            pen.stroke(place(twig, shift), 13 * u)

    def shades(pen: Pen) -> None:
        for at, _, _, radius in PLUMS:
            pen.fill(place(circle(at, radius), (3, 8)))

    soft(canvas, box, "#3a0210", lambda pen: twigs(pen, (4, 9)), 9 * u, 0.5)
    paint(canvas, box, "#5b1a12", twigs)
    soft(canvas, box, "#3a0210", shades, 9 * u, 0.5)
    for i, (at, size, colour, _) in enumerate(PLUMS):
        _plum(canvas, place, at, size / 100, i * 31, colour)


def _plum(canvas: Image.Image, place: Place, at: Point, size: float, turn: float, colour: str) -> None:
    def petals(pen: Pen) -> None:
        for k in range(5):
            away = turned([(at[0], at[1] - 25 * size)], at, turn + k * 72)[0]
            pen.fill(place(circle(away, 20 * size)))
        pen.fill(place(circle(at, 14 * size)))

    ends = place([(at[0] - 50 * size, at[1] - 50 * size), (at[0] + 50 * size, at[1] + 50 * size)])
    box = (min(x for x, _ in ends), ends[0][1], max(x for x, _ in ends), ends[1][1])
    paint(canvas, box, colour, petals)
    paint(canvas, box, "#d9283a", lambda pen: pen.fill(place(circle(at, 8 * size))))


def _lantern(canvas: Image.Image, x: float, s: float, drop: float = 92) -> None:
    def place(points: list[Point]) -> list[Point]:
        return [(x + px * s, py * s) for px, py in points]

    def box(left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
        return x + left * s, top * s, x + right * s, bottom * s

    def flat(colour: str, points: list[Point], bounds: tuple[float, float, float, float]) -> None:
        paint(canvas, bounds, colour, lambda pen: pen.fill(place(points)))

    shade = place(circle((6, drop + 76), 76, 62))
    soft(canvas, box(-76, drop, 90, drop + 140), "#3a0210", lambda pen: pen.fill(shade), 16 * s, 0.5)
    flat("#f7cf6a", rectangle(-2.5, 0, 5, drop), box(-4, 0, 4, drop))
    flat("#f7cf6a", rectangle(-3, drop + 130, 6, 46), box(-4, drop + 128, 4, drop + 178))
    tassel = [(-12, drop + 176), (12, drop + 176), (17, drop + 256), (-17, drop + 256)]
    flat("#e3342b", tassel, box(-18, drop + 175, 18, drop + 257))
    threads = [
        [(-6, drop + 180), (-6, drop + 254)],
        [(2, drop + 180), (2, drop + 254)],
        [(9, drop + 180), (12, drop + 254)],
    ]

    def hang(pen: Pen) -> None:
        for thread in threads:
            pen.stroke(place(thread), 2.5 * s)

    paint(canvas, box(-18, drop + 178, 18, drop + 256), "#ffb25a", hang)
    flat("#f7cf6a", rounded(-14, drop + 168, 28, 14, 5), box(-15, drop + 167, 15, drop + 183))
    body = place(circle((0, drop + 62), 76, 64))
    paint(canvas, box(-76, drop - 2, 76, drop + 126), LAMP, lambda pen: pen.fill(body))

    def ribs(pen: Pen) -> None:
        pen.stroke(place([(0, drop - 2), (0, drop + 126)]), 3.5 * s)
        for side in (-1, 1):
            rib = curve((38 * side, drop + 6), (66 * side, drop + 62), (38 * side, drop + 118))
            pen.stroke(place(rib), 3.5 * s)

    paint(canvas, box(-76, drop - 2, 76, drop + 126), "#ffc35e", ribs, 0.8)
    for top in (drop - 10, drop + 116):
        flat("#f7cf6a", rounded(-36, top, 72, 18, 6), box(-37, top - 1, 37, top + 19))


# --- acrylic_ornaments: a thick clear charm with a rainbow in its edges, before soft foil ---------

FOIL = ([(0, "#6fd0ef"), (0.35, "#9d8df2"), (0.7, "#ef8fc6"), (1, "#ffc48a")], "diagonal")
PRISM = (
    [
        (0, "#ff5fa2"),
        (0.17, "#ffb15f"),
        (0.34, "#fff36b"),
        (0.5, "#6dffb0"),
        (0.67, "#5fd0ff"),
        (0.84, "#8f7bff"),
        (1, "#ff6be0"),
    ],
    "diagonal",
)
METAL = ([(0, "#ffffff"), (0.4, "#aeb8c6"), (0.6, "#f2f5f9"), (1, "#76818f")], "diagonal")
STRIPES = ["#ffb8e0", "#b8f2ff", "#fff3a8", "#cdbcff", "#b9ffd9"]
TURN = 5


def acrylic_ornaments(photo: Image.Image, width: int, height: int) -> Image.Image:
    m, u = min(width, height), min(width, height) / 1000
    fit = min(max(width / height, 0.72), 1.2)
    ph = min(height * 0.58, width * 0.68 / fit)
    pw, cx, cy = ph * fit, width / 2, height / 2
    py, px = cy - ph / 2 + ph * 0.2, cx - pw / 2
    e, rr, tab = pw * 0.085, pw * 0.2, pw * 0.12
    ty = py - e - tab * 0.55
    canvas = layers.gradient((width, height), *FOIL)
    _stripes(canvas, m, 40 * u)
    dice = random.Random(14)
    for _ in range(math.ceil(width * height / (m * m) * 14)):
        _sparkle(canvas, (dice.random() * width, dice.random() * height), m * (0.02 + dice.random() * 0.05))

    def place(points: list[Point], shift: Point = (0, 0)) -> list[Point]:
        return turned([(x + shift[0], y + shift[1]) for x, y in points], (cx, cy), TURN)

    def fill(points: list[Point], colour: layers.Fill, opacity: float = 1) -> None:
        placed = place(points)
        paint(canvas, _bounds(placed), colour, lambda pen: pen.fill(placed), opacity)

    def stroke(points: list[Point], colour: layers.Fill, wide: float, opacity: float = 1) -> None:
        placed = place(points)
        paint(canvas, _bounds(placed, wide), colour, lambda pen: pen.stroke(placed, wide), opacity)

    slab = rounded(px - e, py - e, pw + 2 * e, ph + 2 * e, rr + e)
    eye = circle((cx, ty), tab)
    shade = [place(shape, (34 * u, 46 * u)) for shape in (slab, eye)]
    soft(
        canvas, _bounds(shade[0] + shade[1]), "#5a5f9a", lambda pen: [pen.fill(s) for s in shade], 36 * u, 0.5
    )
    glow = place(slab, (26 * u, 34 * u))
    soft(canvas, _bounds(glow, e), PRISM, lambda pen: pen.stroke(glow, e * 0.8), 22 * u, 0.35)

    hanger = [(cx - tab, py), *layers.arc((cx, ty), (tab, tab), 180, 360), (cx + tab, py)]
    fill(hanger, "#f2f9ff", 0.68)
    stroke([*hanger, hanger[0]], "#ffffff", 5 * u)
    back = [(x + 9 * u, y + 12 * u) for x, y in slab]
    fill(back, "#ffffff", 0.5)
    stroke(back, PRISM, 9 * u)
    fill(slab, "#f2f9ff", 0.68)
    stroke(slab, "#ffffff", 4 * u)
    inner = rounded(px - e + 7 * u, py - e + 7 * u, pw + 2 * e - 14 * u, ph + 2 * e - 14 * u, rr + e - 7 * u)
    stroke(inner, PRISM, 6 * u, 0.55)
    fill(rounded(px - e * 0.34, py - e * 0.34, pw + e * 0.68, ph + e * 0.68, rr + e * 0.3), "#ffffff")
    _photo(canvas, photo, (px, py, pw, ph), place(rounded(px, py, pw, ph, rr)), (cx, cy))
    corner = layers.arc((px + rr, py + rr), (rr, rr), 180, 270)
    fill([*corner, (px + pw * 0.62, py), (px, py + ph * 0.7)], "#ffffff", 0.32)
    band = [(px + pw * 0.76, py), (px + pw * 0.82, py), (px, py + ph * 0.93), (px, py + ph * 0.86)]
    fill(band, "#ffffff", 0.2)
    turn = curve(
        (px - e * 0.62, py + rr * 0.7), (px - e * 0.62, py - e * 0.62), (px + rr * 0.7, py - e * 0.62)
    )
    stroke([(px - e * 0.62, py + ph * 0.5), *turn, (px + pw * 0.4, py - e * 0.62)], "#ffffff", e * 0.2)
    stroke(
        [(px + pw + e * 0.6, py + ph * 0.55), (px + pw + e * 0.6, py + ph - rr * 0.8)], "#ffffff", e * 0.16
    )
    fill(circle((cx, ty), tab * 0.44), "#b49be8")
    stroke(circle((cx, ty), tab * 0.44), PRISM, 4 * u)

    ring = circle((cx, ty - tab * 1.05), tab * 1.05)
    shadow = place(ring, (9 * u, 13 * u))
    soft(canvas, _bounds(shadow, tab * 0.2), "#4a4f7a", lambda pen: pen.stroke(shadow, tab * 0.2), 8 * u, 0.4)
    size = tab * 0.9 / 100
    for k in range(8):
        at = (cx + math.sin(math.radians(k * 40)) * 5 * size, ty - tab * 1.9 - (40 + k * 62) * size)
        if at[1] > -50 * size:
            link = circle(at, (24 if k % 2 < 1 else 9) * size, 40 * size)
            stroke(link, "#5d6776", 15 * size)
            stroke(link, METAL, 11 * size)
    stroke(ring, "#6b7686", tab * 0.21)
    stroke(ring, METAL, tab * 0.16)
    return canvas


def _stripes(canvas: Image.Image, m: float, blur: float) -> None:
    """Soft coloured light; its colours and its mask are blurred small, side by side."""
    scale = 3 / blur
    size = tuple(math.ceil(side * scale) for side in canvas.size)
    colours, mask = Image.new("RGB", size, "#cfe0f8"), Image.new("L", size)
    draw, pen, run = ImageDraw.Draw(colours), Pen(mask, (0, 0), scale), canvas.height / 2
    for i in range(math.ceil(sum(canvas.size) / (m * 0.22))):
        left, right, top, bottom = (
            i * m * 0.24 - run,
            i * m * 0.24 - run + m * 0.1,
            -m * 0.1,
            canvas.height + m * 0.1,
        )
        stripe = [(left, top), (right, top), (right - run, bottom), (left - run, bottom)]
        draw.polygon([(x * scale, y * scale) for x, y in stripe], fill=STRIPES[i % 5])
        pen.fill(stripe)
    mask = mask.filter(ImageFilter.GaussianBlur(blur * scale / 2)).point([round(i * 0.4) for i in range(256)])
    bilinear = Image.Resampling.BILINEAR
    canvas.paste(colours.resize(canvas.size, bilinear), (0, 0), mask.resize(canvas.size, bilinear))


def _sparkle(canvas: Image.Image, at: Point, size: float) -> None:
    tips = [(0, -50), (50, 0), (0, 50), (-50, 0), (0, -50)]
    waists = [((6, -6), (6, -6)), ((6, 6), (6, 6)), ((-6, 6), (-6, 6)), ((-6, -6), (-6, -6))]
    points = [
        (at[0] + x * size / 100, at[1] + y * size / 100)
        for i in range(4)
        for x, y in curve(tips[i], waists[i][0], tips[i + 1])
    ]
    paint(canvas, _bounds(points), "#ffffff", lambda pen: pen.fill(points))


def _photo(
    canvas: Image.Image,
    photo: Image.Image,
    frame: tuple[float, float, float, float],
    outline: list[Point],
    centre: Point,
) -> None:
    """The photo in its frame, turned, behind a rounded mask."""
    picture = layers.cut(photo, frame[2], frame[3], 1.3)
    picture = layers.grade(layers.stretch(picture, 0.008), 0.02, 1.08, 1.22)
    picture = picture.rotate(-TURN, Image.Resampling.BILINEAR, expand=True)
    middle = turned([(frame[0] + frame[2] / 2, frame[1] + frame[3] / 2)], centre, TURN)[0]
    corner = (round(middle[0] - picture.width / 2), round(middle[1] - picture.height / 2))
    mask = Image.new("L", (picture.width * 2, picture.height * 2))
    Pen(mask, corner, 2).fill(outline)
    canvas.paste(picture, corner, mask.reduce(2))


def _around(at: Point, radius: float) -> tuple[float, float, float, float]:
    return at[0] - radius - 1, at[1] - radius - 1, at[0] + radius + 1, at[1] + radius + 1


def _bounds(points: list[Point], margin: float = 0) -> tuple[float, float, float, float]:
    across, down = [x for x, _ in points], [y for _, y in points]
    margin = margin / 2 + 1
    return min(across) - margin, min(down) - margin, max(across) + margin, max(down) + margin


LOOKS = {look.__name__: look for look in (my_world, spring_festival_gradient_colors, acrylic_ornaments)}
