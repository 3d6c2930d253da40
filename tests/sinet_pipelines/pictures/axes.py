"""What a chart draws, as numbers: its lines, its words."""

from matplotlib.figure import Figure

NO_LINE = ("", "None", "none", " ")


def drawn(monkeypatch, module, make):
    """The panels that a chart painted, its title and its note; nothing is turned into bytes."""
    kept = {}

    def keep(paint, *, title, note="", panels=1):
        kept.update(panels=Figure().subplots(1, panels, squeeze=False)[0], title=title, note=note)
        paint(kept["panels"])
        return b""

    with monkeypatch.context() as patch:
        patch.setattr(module, "picture", keep)
        make()
    return kept


def line(axes, label):
    """Both coordinates of the line with this label, as lists."""
    (found,) = [one for one in axes.lines if one.get_label() == label]
    return list(found.get_xdata()), list(found.get_ydata())


def texts(axes):
    """Words on the panel."""
    return [text.get_text() for text in axes.texts]
