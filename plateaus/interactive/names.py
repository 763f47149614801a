"""Names of fields where Python wants an identifier: each dot is an underscore.

`data.zipf_exponent` is `data_zipf_exponent` as a keyword, as a column of a table, and in
`dataset.plateaus.plain`.
"""

from __future__ import annotations

from collections.abc import Iterable

import xarray as xr

SECTIONS = ("task", "data", "model", "optim")


def plain(name: str) -> str:
    """Return a name as an identifier.

    >>> plain("data.zipf_exponent")
    'data_zipf_exponent'
    """
    return name.replace(".", "_")


def dotted(name: str, fields: Iterable[str]) -> str:
    """Return the field that an identifier stands for; a name that stands for none stays as it is.

    A field that is not among `fields`, as those of another model are, has its dot behind the
    section.

    >>> dotted("data_zipf_exponent", ["data.zipf_exponent"]), dotted("eval_every", ["eval_every"])
    ('data.zipf_exponent', 'eval_every')
    >>> dotted("model_heads", []), dotted("log_every", [])
    ('model.heads', 'log_every')
    """
    by_plain = {plain(field): field for field in fields}
    section, _, rest = name.partition("_")
    if name not in by_plain and rest and section in SECTIONS:
        return f"{section}.{rest}"
    return by_plain.get(name, name)


@xr.register_dataset_accessor("plateaus")
class Names:
    """The names of results, as `dataset.plateaus`.

    >>> found = xr.Dataset({"loss": ("data.subset", [0.5, 0.2])}, {"data.subset": [0.1, 1.0]})
    >>> found.plateaus.plain.sel(data_subset=1).loss.item()
    0.2
    """

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    @property
    def plain(self) -> xr.Dataset:
        """The same results with an underscore for each dot in a name."""
        names = {*map(str, self._dataset.variables), *map(str, self._dataset.dims)}
        return self._dataset.rename({name: plain(name) for name in names if "." in name})
