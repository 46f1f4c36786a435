"""What a layer is made of, written as one writes it with Pillow and numpy: crop, filters, shapes, shadows.

Each function does what the renderer's counterpart of the same name does. Where Pillow has a ready-made
operation it is used; numpy does the rest a whole plane at a time.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps, PngImagePlugin

Point = tuple[float, float]
Stops = Sequence[tuple[float, str]]


def read(photo: bytes) -> Image.Image:
    """Decodes a photo: upright, red, green and blue."""
    image = Image.open(io.BytesIO(photo))
    return ImageOps.exif_transpose(image).convert("RGB")


def write(image: Image.Image, title: str) -> bytes:
    """Encodes a PNG with its text chunks, as fast as Pillow does it."""
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Software", "Pillow")
    texts.add_text("Title", title)
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1, pnginfo=texts)
    return file.getvalue()


# --- The crop -------------------------------------------------------------------------------------


def crop(photo: Image.Image, aspect: float, zoom: float) -> tuple[float, float, float, float]:
    """The window round the subject, (left, top, right, bottom) in photo pixels."""
    columns, rows = (max(1, round(side / max(photo.size) * 64)) for side in photo.size)
    weights = _saliency(photo, columns, rows)
    cell = (photo.width / columns, photo.height / rows)
    total = weights.sum()
    for step in range(11):
        box = _window(weights, photo.size, cell, aspect, zoom + (1 - zoom) * step / 10)
        left, top, right, bottom = (round(edge / cell[i % 2]) for i, edge in enumerate(box))
        if weights[top:bottom, left:right].sum() >= total * 0.7:
            break
    return box


def cut(photo: Image.Image, width: float, height: float, zoom: float) -> Image.Image:
    """The photo's window at the size of its frame."""
    box = crop(photo, width / height, zoom)
    return photo.resize((round(width), round(height)), Image.Resampling.BICUBIC, box=box)


def _saliency(photo: Image.Image, columns: int, rows: int) -> np.ndarray:
    stride = max(photo.size) // 384
    if stride >= 2:
        sparse = (photo.width // stride, photo.height // stride)
        photo = photo.resize(sparse, Image.Resampling.NEAREST)
    small = photo.resize((columns, rows), Image.Resampling.BOX)
    rgb = np.asarray(small, dtype=np.float32)
    luma = rgb @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    padded = np.pad(luma, 1, mode="edge")
    across, down = padded[1:-1, 2:] - padded[1:-1, :-2], padded[2:, 1:-1] - padded[:-2, 1:-1]
    edges = np.minimum(np.hypot(across, down), 120)
    frame = np.ones(luma.shape, dtype=bool)
    frame[2:-2, 2:-2] = False
    unlike = np.abs(rgb - rgb[frame].mean(axis=0)).sum(axis=2)
    cb, cr = 0.564 * (rgb[..., 2] - luma), 0.713 * (rgb[..., 0] - luma)
    skin = np.clip(1 - ((cb + 18) / 20) ** 4, 0, None) * np.clip(1 - ((cr - 22) / 17) ** 4, 0, None)
    skin *= np.clip((luma - 35) / 40, 0, 1)
    x = np.arange(columns) / columns - 0.5
    y = np.arange(rows)[:, None] / rows - 0.45
    centre = np.maximum(1 - 1.6 * (x * x + y * y), 0.2)
    features = np.minimum(_spread(edges) / 24, 1)
    return _spread(centre * (edges * 0.35 + unlike * 0.06 + skin * 46 * (0.15 + features))) ** 2 / 40


def _spread(plane: np.ndarray, radius: int = 2) -> np.ndarray:
    for _ in range(2):
        places = np.arange(len(plane))
        low, high = np.maximum(places - radius, 0), np.minimum(places + radius + 1, len(plane))
        sums = np.vstack([np.zeros((1, plane.shape[1])), plane.cumsum(axis=0)])
        plane = ((sums[high] - sums[low]) / (high - low)[:, None]).T
    return plane


def _window(
    weights: np.ndarray, size: tuple[int, int], cell: Point, aspect: float, zoom: float
) -> tuple[float, float, float, float]:
    rows_in_all, columns_in_all = weights.shape
    fitting = min(size[0], size[1] * aspect)
    width, height = fitting / zoom, fitting / aspect / zoom
    columns = min(max(round(width / cell[0]), 1), columns_in_all)
    rows = min(max(round(height / cell[1]), 1), rows_in_all)
    windows = np.lib.stride_tricks.sliding_window_view
    sums = windows(weights, columns, axis=1) @ _bump(columns, 0.5)
    scores = windows(sums, rows, axis=0) @ _bump(rows, 0.44)
    top, left = np.unravel_index(scores.argmax(), scores.shape)
    line = sums[:, left]
    clear = line[top : top + rows].mean() * 0.12
    highest = max(top - math.ceil(rows / 8), 0)
    top = next((row for row in range(top, highest - 1, -1) if line[row] < clear), highest)
    x = min(left * cell[0], size[0] - width)
    y = min(top * cell[1], size[1] - height)
    return x, y, x + width, y + height


def _bump(count: int, middle: float) -> np.ndarray:
    at = (np.arange(count) + 0.5) / count - middle
    return np.maximum(1 - 2.6 * at * at, 0.2)


# --- Filters --------------------------------------------------------------------------------------


def luma_range(image: Image.Image, share: float) -> tuple[int, int]:
    """Brightness below and above which lies this share of the pixels."""
    sums = np.cumsum(image.convert("L").histogram())
    wanted = int(sums[-1] * share)
    return int(np.searchsorted(sums, wanted, "right")), int(np.searchsorted(sums, sums[-1] - wanted, "left"))


def stretch(image: Image.Image, share: float) -> Image.Image:
    low, high = luma_range(image, share)
    low, high = min(low, 48), max(high, 200)
    return image.point([_byte((i - low) * 255 / (high - low)) for i in range(256)] * 3)


def grade(image: Image.Image, brightness: float, contrast: float, saturation: float) -> Image.Image:
    image = ImageEnhance.Color(image).enhance(saturation)
    return image.point([_byte((i - 128) * contrast + 128 + brightness * 255) for i in range(256)] * 3)


def duotone(image: Image.Image, colours: Sequence[str]) -> Image.Image:
    grey = image.convert("L")
    low, high = luma_range(image, 0.015)
    places = np.clip((np.arange(256) - low) / max(high - low, 40), 0, 1) * (len(colours) - 1)
    ramp = _ramp([(float(i), colour) for i, colour in enumerate(colours)], places)
    return Image.merge("RGB", [grey.point(list(curve)) for curve in ramp.T])


def voxel(image: Image.Image, cell: int, colours: int, saturation: float) -> Image.Image:
    """Bevelled cubes seen from above, in few colours; brighter cubes shade their neighbours."""
    columns, rows = (math.ceil(side / cell) for side in image.size)
    small = image.resize((columns, rows), Image.Resampling.BILINEAR)
    small = small.quantize(colours, method=Image.Quantize.MAXCOVERAGE, kmeans=6).convert("RGB")
    small = ImageEnhance.Color(small).enhance(saturation)
    change = _cube_light(np.asarray(small.convert("L"), dtype=np.int16), cell)
    size = (columns * cell, rows * cell)
    planes = []
    for plane in small.resize(size, Image.Resampling.NEAREST).split():
        value = np.asarray(plane).astype(np.int16)
        # Half of the sum, or the product would not fit into sixteen bits.
        value += (change * ((value + 90) >> 1)) >> 7
        planes.append(Image.fromarray(np.clip(value, 0, 255, out=value).astype(np.uint8)))
    return Image.merge("RGB", planes).crop((0, 0, *image.size))


def _cube_light(luma: np.ndarray, cell: int) -> np.ndarray:
    inside = np.arange(cell)
    lit = np.minimum.outer(inside, inside)
    dark = lit[::-1, ::-1]
    edge = max(cell // 9, 1)
    bevel = np.select([dark == 0, (lit < edge) & (lit <= dark), dark < edge], [-58, 50, -44], 0)
    rows, columns = luma.shape
    change = np.tile(bevel.astype(np.int16), (rows, columns))
    patch = inside * 4 // cell
    down = (np.arange(rows)[:, None] * 4 + patch).ravel()
    across = (np.arange(columns)[:, None] * 4 + patch).ravel()
    speckle = np.random.default_rng(9).integers(-13, 14, (rows * 4, columns * 4), dtype=np.int16)
    change += speckle[down][:, across]
    reach = [np.diff(luma, axis=axis, prepend=luma.take([0], axis)) for axis in (1, 0)]
    left, above = (np.clip((-step - 14) * cell // 130, 0, cell * 2 // 3).astype(np.int16) for step in reach)
    whole = [np.repeat(np.repeat(side, cell, axis=0), cell, axis=1) for side in (left, above)]
    at = np.tile(inside.astype(np.int16), max(rows, columns))
    shaded = (at[: columns * cell] < whole[0]) | (at[: rows * cell, None] < whole[1])
    change -= shaded * np.int16(46)
    return change


def vignette(image: Image.Image, amount: float) -> Image.Image:
    squares = [((np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1) ** 2 for side in image.size]
    away = np.add.outer(squares[1], squares[0]) * 0.5
    fade = Image.fromarray((away * away * (amount * 255)).astype(np.uint8))
    image.paste((0, 0, 0), (0, 0, *image.size), fade)
    return image


# --- Colours --------------------------------------------------------------------------------------


def gradient(size: tuple[int, int], stops: Stops, kind: str) -> Image.Image:
    """A gradient over a box: `down`, `diagonal` or `round`."""
    width, height = size
    x = (np.arange(width, dtype=np.float32) + 0.5) / width
    y = (np.arange(height, dtype=np.float32) + 0.5) / height
    if kind == "down":
        return Image.fromarray(_ramp(stops, y)[:, None, :]).resize(size, Image.Resampling.NEAREST)
    if kind == "diagonal":
        place = np.add.outer(y * 127.5, x * 127.5).astype(np.uint8)
    else:
        place = np.sqrt(np.add.outer((y - 0.5) ** 2, (x - 0.5) ** 2)) * (255 / 0.6)
        place = np.minimum(place, 255).astype(np.uint8)
    image = Image.fromarray(place)
    image.putpalette(_ramp(stops, np.arange(256) / 255).tobytes())
    return image.convert("RGB")


def _ramp(stops: Stops, places: np.ndarray) -> np.ndarray:
    offsets = [offset for offset, _ in stops]
    colours = np.array([list(bytes.fromhex(colour[1:])) for _, colour in stops])
    return np.stack([np.interp(places, offsets, channel) for channel in colours.T], axis=1).astype(np.uint8)


def _byte(value: float) -> int:
    return int(min(max(value, 0), 255))


# --- Shapes ---------------------------------------------------------------------------------------


class Pen:
    """Draws shapes given in the picture's coordinates onto a mask of any scale."""

    def __init__(self, mask: Image.Image, origin: Point, scale: float) -> None:
        self._draw = ImageDraw.Draw(mask)
        self._origin, self._scale = origin, scale

    def fill(self, points: Sequence[Point], value: int = 255) -> None:
        self._draw.polygon(self._placed(points), fill=value)

    def stroke(self, points: Sequence[Point], width: float, value: int = 255) -> None:
        wide = max(round(width * self._scale), 1)
        # Pillow rounds the joints in Python, point by point: only where they would show.
        joint = "curve" if wide > 12 else None
        self._draw.line(self._placed(points), fill=value, width=wide, joint=joint)

    def _placed(self, points: Sequence[Point]) -> list[Point]:
        (left, top), scale = self._origin, self._scale
        return [((x - left) * scale, (y - top) * scale) for x, y in points]


Drawing = Callable[[Pen], None]
Fill = str | tuple[Stops, str]


def paint(
    canvas: Image.Image,
    box: tuple[float, float, float, float],
    fill: Fill,
    drawing: Drawing,
    opacity: float = 1,
) -> None:
    """Fills what is drawn, which lies in the box; twice the size and halved, so that edges are smooth."""
    left, top, right, bottom = _within(canvas, box)
    mask = Image.new("L", ((right - left) * 2, (bottom - top) * 2))
    drawing(Pen(mask, (left, top), 2))
    _lay(canvas, (left, top), mask.reduce(2), fill, opacity)


def soft(
    canvas: Image.Image,
    box: tuple[float, float, float, float],
    fill: Fill,
    drawing: Drawing,
    blur: float,
    opacity: float,
) -> None:
    """The same, blurred: small, since the eye cannot tell."""
    margin = blur * 2.5
    box = (box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin)
    left, top, right, bottom = _within(canvas, box, margin)
    factor = min(max(blur / 3, 1), 32)
    size = (right - left, bottom - top)
    small = Image.new("L", (math.ceil(size[0] / factor), math.ceil(size[1] / factor)))
    drawing(Pen(small, (left, top), 1 / factor))
    small = small.filter(ImageFilter.GaussianBlur(blur / factor / 2))
    mask = small.resize(size, Image.Resampling.BILINEAR)
    _lay(canvas, (left, top), mask, fill, opacity)


def _within(
    canvas: Image.Image, box: tuple[float, float, float, float], margin: float = 0
) -> tuple[int, int, int, int]:
    return (
        math.floor(max(box[0], -margin)),
        math.floor(max(box[1], -margin)),
        math.ceil(min(box[2], canvas.width + margin)),
        math.ceil(min(box[3], canvas.height + margin)),
    )


def _lay(canvas: Image.Image, corner: tuple[int, int], mask: Image.Image, fill: Fill, opacity: float) -> None:
    if opacity < 1:
        mask = mask.point([round(i * opacity) for i in range(256)])
    colour = fill if isinstance(fill, str) else gradient(mask.size, *fill)
    canvas.paste(colour, (*corner, corner[0] + mask.width, corner[1] + mask.height), mask)


def texture(canvas: Image.Image, tile: Image.Image) -> Image.Image:
    """Lays brightness changes (128 is none) over a picture."""
    return ImageChops.add(canvas, tile, 1, -128)


def arc(centre: Point, radii: Point, start: float, end: float, steps: int = 12) -> list[Point]:
    """Points on an ellipse, angles in degrees, clockwise from the right."""
    angles = [math.radians(start + (end - start) * i / steps) for i in range(steps + 1)]
    return [(centre[0] + radii[0] * math.cos(a), centre[1] + radii[1] * math.sin(a)) for a in angles]


def circle(centre: Point, radius: float, other: float | None = None) -> list[Point]:
    return arc(centre, (radius, radius if other is None else other), 0, 360, 48)


def rectangle(x: float, y: float, width: float, height: float) -> list[Point]:
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y)]


def rounded(x: float, y: float, width: float, height: float, radius: float) -> list[Point]:
    right, bottom = x + width - radius, y + height - radius
    corners = [
        (right, y + radius, -90),
        (right, bottom, 0),
        (x + radius, bottom, 90),
        (x + radius, y + radius, 180),
    ]
    points = [p for cx, cy, a in corners for p in arc((cx, cy), (radius, radius), a, a + 90)]
    return [*points, points[0]]


def curve(*controls: Point, steps: int = 16) -> list[Point]:
    """Points on a Bézier curve of any degree."""
    points = []
    for i in range(steps + 1):
        t, row = i / steps, list(controls)
        while len(row) > 1:
            row = [(a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t) for a, b in pairwise(row)]
        points.append(row[0])
    return points


def turned(points: Sequence[Point], centre: Point, degrees: float) -> list[Point]:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    cx, cy = centre
    return [(cx + (x - cx) * cos - (y - cy) * sin, cy + (x - cx) * sin + (y - cy) * cos) for x, y in points]
