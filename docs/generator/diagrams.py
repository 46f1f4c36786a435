"""The state diagrams of the page "How it works", drawn as SVG: `diagram` gives one by its name. `blocks.py`
uses it.

A diagram is a list of boxes in columns and rows, and of arrows between their sides. Colours are those of the
page, so the pictures fit the dark scheme too. A test looks each name of a state up in the source.
"""

import html

ROW, HEIGHT = 92, 44

# Columns: where they begin, and how wide their boxes are.
RUN = {
    "title": "The states of a run, from its submission to its outcome",
    "width": 780,
    "columns": [(8, 160), (270, 170), (600, 170)],
    "rows": 6.5,
    # name: (column, row, words, whether a run ends there)
    "boxes": {
        "Intend": (1, 0, "Intend", False),
        "Unaffordable": (2, 0, "Unaffordable", False),
        "Ready": (1, 1, "Ready", False),
        "Out": (1, 2, "Out: the submission", False),
        "Holding": (0, 2, "Holding", False),
        "Due": (1, 3.6, "Due", False),
        "Look": (1, 5, "Out: a look", False),
        "attach": (0, 3.6, "attach: a task's id", False),
        "Refused": (2, 1.5, "Refused", True),
        "Unknown": (2, 2.3, "Unknown", True),
        "Detached": (2, 3.1, "Detached", True),
        "StillRunning": (2, 3.9, "StillRunning", True),
        "Completed": (2, 4.6, "Completed", True),
        "Failed": (2, 5.2, "Failed", True),
        "Broken": (2, 5.8, "Broken", True),
    },
    "arrows": [
        ("Intend", "b", "Ready", "t", "the intent is durable"),
        ("Intend", "r", "Unaffordable", "l", "no budget yet", "both"),
        ("Ready", "b", "Out", "t", "POST"),
        ("Out", "l", "Holding", "r", "no task"),
        ("Holding", "t", "Intend", "l", "after a pause"),
        ("Out", "r", "Refused", "l", "refused"),
        ("Out", "r", "Unknown", "l", "lost"),
        ("Out", "b", "Due", "t", "the task's id is durable"),
        ("attach", "r", "Due", "l", ""),
        ("Due", "b", "Look", "t", "GET"),
        ("Due", "r", "Detached", "l", "let go"),
        ("Look", "r", "StillRunning", "l", "time is up"),
        ("Look", "r", "Completed", "l", "a picture"),
        ("Look", "r", "Failed", "l", ""),
        ("Look", "r", "Broken", "l", "401, 403, 404"),
        ("Look", "l", "Due", "l", "running, or in trouble"),
    ],
}
BATCH = {
    "title": "Where a run is while a batch drives many",
    "width": 780,
    "columns": [(8, 160), (300, 190), (610, 160)],
    "rows": 2.6,
    "boxes": {
        "WantRuns": (1, 0, "WantRuns(n)", False),
        "ready": (1, 1, "ready to be asked", False),
        "Done": (0, 0, "Done", True),
        "submit": (0, 2, "queue to submit", False),
        "asleep": (2, 1, "asleep", False),
        "look": (2, 2, "queue to look", False),
        "Send": (1, 2, "Send: a call is out", False),
    },
    "arrows": [
        ("WantRuns", "b", "ready", "t", "a run is added"),
        ("ready", "l", "Done", "b", ""),
        ("ready", "l", "submit", "t", "to submit"),
        ("ready", "r", "asleep", "l", "a timer", "both"),
        ("asleep", "b", "look", "t", "a look is due"),
        ("submit", "r", "Send", "l", "in its width"),
        ("look", "l", "Send", "r", "at its rate"),
        ("Send", "t", "ready", "b", "the answer"),
    ],
}
JOB = {
    "title": "The steps of a job, from the photo to the file",
    "width": 780,
    "columns": [(8, 150), (290, 190), (610, 160)],
    "rows": 7.6,
    "boxes": {
        "WantJobs": (1, 0, "WantJobs(n)", False),
        "Open": (1, 1, "Open: its row", False),
        "Upload": (1, 2, "Upload: the photo", False),
        "Begin": (1, 3, "Begin: a run", False),
        "Record": (1, 4, "Record, Send, Notify", False),
        "Settle": (1, 5, "Settle: the verdict", False),
        "Fetch": (1, 6, "Fetch: the pictures", False),
        "Done": (1, 7, "Done", True),
        "Kept": (2, 1, "Kept, Recorded", True),
        "Refused": (2, 2, "Refused, NotReady", True),
        "Failed": (2, 5, "Failed", True),
        "NotFetched": (2, 6, "NotFetched", True),
        "Renewing": (0, 4, "Renewing", False),
    },
    "arrows": [
        ("WantJobs", "b", "Open", "t", "a job"),
        ("Open", "b", "Upload", "t", "nothing is paid yet"),
        ("Open", "r", "Kept", "l", "known"),
        ("Upload", "r", "Refused", "l", "unusable"),
        ("Upload", "b", "Begin", "t", "a URL"),
        ("Begin", "b", "Record", "t", "money is reserved"),
        ("Record", "b", "Settle", "t", "it ended"),
        ("Settle", "r", "Failed", "l", "no picture"),
        ("Settle", "b", "Fetch", "t", "completed"),
        ("Fetch", "r", "NotFetched", "l", "not saved"),
        ("Fetch", "b", "Done", "t", "saved"),
        ("Settle", "l", "Renewing", "b", "failed: paid anew"),
        ("Renewing", "t", "Open", "l", ""),
    ],
}
DIAGRAMS = {"run": RUN, "batch": BATCH, "job": JOB}


def diagram(name):
    """A diagram as SVG within a page."""
    spec = DIAGRAMS[name]
    height = int(spec["rows"] * ROW)
    size = f'viewBox="0 0 {spec["width"]} {height}" width="{spec["width"]}" height="{height}"'
    marker = f'<marker id="head-{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"'
    # It scrolls on a narrow screen, also by the keys.
    parts = [
        '<div class="diagram" tabindex="0">',
        f'<svg {size} role="img" aria-label="{html.escape(spec["title"])}">',
        f'<defs>{marker} orient="auto-start-reverse"><path d="M0 0 8 4 0 8z"/></marker></defs>',
    ]
    for arrow in spec["arrows"]:
        parts.append(drawn_arrow(spec, name, *arrow))
    for column, row, words, is_end in spec["boxes"].values():
        x, width = spec["columns"][column]
        y = row * ROW + 4
        kind = ' class="end"' if is_end else ""
        parts.append(f'<rect{kind} x="{x}" y="{y:g}" width="{width}" height="{HEIGHT}" rx="8"/>')
        parts.append(
            f'<text x="{x + width / 2:g}" y="{y + HEIGHT / 2 + 5:g}" class="name">{html.escape(words)}</text>'
        )
    return "".join(parts) + "</svg></div>\n"


def side(spec, box, where):
    """The middle of a box's side."""
    column, row, _, _ = spec["boxes"][box]
    x, width = spec["columns"][column]
    y = row * ROW + 4
    return {
        "l": (x, y + HEIGHT / 2),
        "r": (x + width, y + HEIGHT / 2),
        "t": (x + width / 2, y),
        "b": (x + width / 2, y + HEIGHT),
    }[where]


def drawn_arrow(spec, name, start, leaving, end, arriving, words, heads="one"):
    """An arrow of straight lines with its words."""
    (x, y), (to_x, to_y) = side(spec, start, leaving), side(spec, end, arriving)
    if leaving == arriving == "l":
        # Back to a box above, around the left.
        points = [(x, y), (x - 44, y), (x - 44, to_y + 10), (to_x, to_y + 10)]
        label, anchor = (x - 50, (y + to_y) / 2 + 14), "end"
    elif leaving in "lr" and arriving in "lr":
        middle = to_x - 28 if leaving == "r" else to_x + 28
        points = [(x, y), (middle, y), (middle, to_y), (to_x, to_y)]
        label, anchor = ((middle - 8, to_y - 7), "end") if y != to_y else (((x + to_x) / 2, y - 7), "middle")
    elif leaving in "tb" and arriving in "tb":
        points = [(x, y), (to_x, to_y)]
        label, anchor = (x + 8, (y + to_y) / 2 + 5), "start"
    else:
        points = [(x, y), (to_x, y), (to_x, to_y)] if leaving in "lr" else [(x, y), (x, to_y), (to_x, to_y)]
        label, anchor = ((to_x + x) / 2, y - 7) if leaving in "lr" else (x + 8, (y + to_y) / 2 + 5), "middle"
        if leaving not in "lr":
            anchor = "start"
    path = " ".join(f"{px:g},{py:g}" for px, py in points)
    text = (
        f'<text x="{label[0]:g}" y="{label[1]:g}" text-anchor="{anchor}">{html.escape(words)}</text>'
        if words
        else ""
    )
    begin = f'marker-start="url(#head-{name})" ' if heads == "both" else ""
    return f'<polyline points="{path}" {begin}marker-end="url(#head-{name})"/>{text}'
