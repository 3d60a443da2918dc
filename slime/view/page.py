"""The page: sliders, pictures and curves, drawn by bokeh from looks."""

import html
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from bokeh.layouts import column, row
from bokeh.models import Button, Div, Select, Slider, Toggle

from slime.errors import SlimeError
from slime.plots.pictures import error_norm, gray_limits
from slime.view.drawings import Curves, Picture, is_error
from slime.view.looks import Look
from slime.view.subject import Subject

PICTURES_PX = 1160  # all pictures side by side
LARGEST_PX = 560  # the longer side of one
MS_A_FRAME = 200  # while it plays
MS_TO_GATHER = 30  # moves that come meanwhile are drawn as one
TABLE = "border-collapse:collapse;font:13px sans-serif"
CELL = "padding:2px 10px 2px 0;text-align:left"


class Page:
    """All that is on the page; `root` is its layout, which bokeh keeps in step with the browser."""

    def __init__(self, subject: Subject):
        self.subject = subject
        names = [str(film.movie.name) for film in subject.films]
        self.film = Select(title="movie", value="0", options=list(_numbered(names)))
        self.channel = Select(title="channel", value="0", options=[], name="channel")
        self.frame = Slider(start=0, end=1, value=0, step=1, title=subject.frame_title, width=700)
        self.lead = Slider(start=1, end=2, value=1, step=1, title="lead", visible=subject.has_leads)
        self.play = Toggle(label="play", width=70)
        self.refit = Button(label="contrast of what is shown", width=190)
        self.told, self.table, self.measured = Div(name="told"), Div(name="table"), Div(width=760)
        self.pictures: dict[str, Picture] = {}
        self.shown = row(children=[])
        self.spectra = Curves("S(k): power by wave number", ("", "power"), log=True)
        self.errors = Curves("error by lead", ("lead", "RMSE, movie units"))
        self._fitted: tuple[str, str] | None = None
        self._moving = False
        self._choose_film()
        self._redraw()
        self.root = column(
            Div(text=f"<h2 style='margin:4px 0'>{html.escape(subject.title)}</h2>", width=1000),
            row(*([self.film] if len(names) > 1 else []), self.channel, self.lead),
            row(self.frame, self.play, self.refit),
            self.told,
            self.shown,
            row(self.table, self.spectra.plot, *([self.errors.plot] if subject.has_leads else [])),
            self.measured,
        )
        self._listen()

    def _listen(self) -> None:
        self.film.on_change("value", self._film_chosen)
        for control in (self.channel, self.frame, self.lead):
            control.on_change("value", self._moved)
        self.refit.on_click(lambda: self._redraw(refit=True))
        self.play.on_change("active", self._played)
        self._ticking: Any = None

    def _film_chosen(self, attr: str, old: Any, new: Any) -> None:
        self._choose_film()
        self._redraw()

    def _moved(self, attr: str, old: Any, new: Any) -> None:
        """Draw soon: a slider that is dragged moves faster than large frames are drawn."""
        document = self.root.document
        if document is None:
            self._redraw()
        elif not self._moving:
            self._moving = True
            document.add_timeout_callback(self._gathered, MS_TO_GATHER)

    def _gathered(self) -> None:
        self._moving = False
        self._redraw()

    def _choose_film(self) -> None:
        """Fit the controls to the movie that was chosen."""
        number = int(self.film.value)
        first, last = self.subject.frames(number)
        at = min(max(self.subject.first_at(number), first), last)
        # bokeh refuses a range that the value is outside of, or without a width
        self.frame.update(start=min(first, last - 1), end=last, value=at, disabled=first == last)
        self.channel.options = list(_numbered(self.subject.channels(number)))
        self.channel.value = "0"
        self._fitted = None

    def _played(self, attr: str, old: Any, new: Any) -> None:
        document = self.root.document
        if self.play.active and document is not None:
            self._ticking = document.add_periodic_callback(self._next, MS_A_FRAME)
        elif self._ticking is not None and document is not None:
            document.remove_periodic_callback(self._ticking)
            self._ticking = None

    def _next(self) -> None:
        """One lead on, or one frame on; from the last to the first."""
        moved = self.lead if self.subject.has_leads else self.frame
        moved.value = moved.start if moved.value >= moved.end else moved.value + 1

    def _redraw(self, *, refit: bool = False) -> None:
        number, channel = int(self.film.value), int(self.channel.value)
        try:
            n_leads = self.subject.n_leads(number, int(self.frame.value))
            if n_leads:
                lead = min(int(self.lead.value), n_leads)
                self.lead.update(end=max(n_leads, 2), value=lead, disabled=n_leads == 1)
            look, text = self.subject.look(
                number, int(self.frame.value), int(self.lead.value), channel
            )
        except SlimeError as error:
            self.told.text = f"<b style='color:#b00'>{html.escape(str(error))}</b>"
            self.shown.visible = False
            return
        self.shown.visible = True
        self.told.text = html.escape(text)
        self._draw(look, refit=refit or self._fitted != (self.film.value, self.channel.value))
        self._fitted = self.film.value, self.channel.value
        self.measured.text = _table(self.subject.measured(number, channel))

    def _draw(self, look: Look, *, refit: bool) -> None:
        shapes = {picture.shape for picture in look.pictures.values()}
        if list(self.pictures) != list(look.pictures) or shapes != {self._shape()}:
            pixel_um = self.subject.pixel_um(int(self.film.value))
            self.spectra.plot.xaxis.axis_label = f"cycles a {'µm' if pixel_um else 'px'}"
            self.pictures = _empty(look, pixel_um)
            for one in self.pictures.values():
                one.share(next(iter(self.pictures.values())))
            self.shown.children = [one.plot for one in self.pictures.values()]
        if refit:
            self._fit(look)
        notes = [one.show(look.pictures[title]) for title, one in self.pictures.items()]
        if notes[0]:
            self.told.text += f" ({notes[0]})"
        if not all(np.isfinite(picture).all() for picture in look.pictures.values()):
            self.told.text += "; ochre pixels do not count"
        if look.width > 1:
            of = f"means of {look.width} x {look.width} pixels"
            self.told.text += f"; lengths, regions and S(k) are those of {of}"
        self.table.text = _table(
            [["", *look.columns], *([n.name, *n.values] for n in look.numbers)]
        )
        self.spectra.show({n: (s.k_per_um, s.power) for n, s in look.spectra.items()})
        by_lead = {n: (np.arange(1, len(e) + 1), e) for n, e in look.errors.items()}
        self.errors.show(by_lead, at=int(self.lead.value) if by_lead else None)

    def _shape(self) -> tuple[int, ...]:
        return next((one.shape for one in self.pictures.values()), ())

    def _fit(self, look: Look) -> None:
        """Black and white from the first picture; red and blue alike for all errors."""
        frames = [p for title, p in look.pictures.items() if not is_error(title)]
        errors = [p for title, p in look.pictures.items() if is_error(title)]
        grays = gray_limits(np.stack(frames[:1]))
        signed = error_norm(np.stack(errors)) if errors else None
        for title, one in self.pictures.items():
            low, high = (signed.vmin, signed.vmax) if signed and is_error(title) else grays
            one.mapper.update(low=low, high=high)


def _empty(look: Look, pixel_um: float | None) -> dict[str, Picture]:
    """Pictures beside each other; those with the same colours share the bar of the last."""
    titles = list(look.pictures)
    last = {is_error(title): title for title in titles}
    return {
        title: Picture(
            title,
            look.pictures[title].shape,
            pixel_um,
            min(PICTURES_PX // len(titles), LARGEST_PX),
            first=title == titles[0],
            coloured=title in last.values(),
        )
        for title in titles
    }


def make_page(subject_of: Callable[[], Subject]) -> Callable[[Any], None]:
    """What bokeh calls for each window of a browser that opens the page."""

    def fill(document: Any) -> None:
        subject = subject_of()
        document.title = f"slime: {subject.title}"
        document.add_root(Page(subject).root)

    return fill


def _numbered(names: Sequence[str]) -> list[tuple[str, str]]:
    return [(str(i), name) for i, name in enumerate(names)]


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as HTML, the first of them in bold; nothing where there is none."""
    lines = [
        "".join(f"<{tag} style='{CELL}'>{html.escape(cell)}</{tag}>" for cell in cells)
        for tag, cells in zip(["th", *["td"] * len(rows)], rows, strict=False)
    ]
    return (
        f"<table style='{TABLE}'>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
        if rows
        else ""
    )
