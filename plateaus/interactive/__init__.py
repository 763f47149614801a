"""Python, as short as the commands: load a preset, change it, run it, look at what there is.

>>> import plateaus, tempfile
>>> tiny = plateaus.load("sparse_parity.py:zipf").replace(
...     task_dimension=8, task_relevant_bits=2, task_dataset_size=1000, model_width=8, batch=8,
...     steps=200, eval_every=50, log_every=50, eval_points=64,
... )  # fmt: skip
>>> tiny = tiny.sweep(data_zipf_exponent=[0, 1.5])
>>> result = tiny.run(seeds=2, progress=False, folder=tempfile.mkdtemp())
>>> dict(result.data.sizes)["seed"], result.table["data_zipf_exponent"].tolist()
(2, [0.0, 1.5])
>>> result.data.plateaus.plain.test_loss.sel(data_zipf_exponent=1.5, eval_step=200).shape
(2,)
>>> figure = result.plot()  # Matplotlib's, to restyle
>>> figure.axes[0].set_title("mine").get_text(), len(plateaus.open(result.folder).runs)
('mine', 4)
>>> both = plateaus.open(result.folder, result.folder)  # or as many as there are
>>> len(both.table), len(both.plot().axes)
(4, 2)

A field's dots are underscores wherever Python wants an identifier: `replace(task_dimension=8)`,
`table.query("data_zipf_exponent == 0")`, and `data.plateaus.plain.sel(data_zipf_exponent=0)` of the
arrays of any results.nc, once this room is imported.
"""

from plateaus.surface import exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    {
        "experiment": ["load", "Experiment"],
        "result": ["Result", "Figures"],
        "several": ["open", "Several"],
        "refusals": ["Refused"],
    },
)
