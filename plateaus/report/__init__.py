"""Reports: statistics, tables, figures and sinks over labelled results; imports no jax."""

from plateaus.surface import exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    {
        "store": ["load"],
        "kept_files": ["from_csv"],
        "statistics": ["summarise", "Row"],
        "survival": [
            *("survival_curve", "median_time", "restricted_mean", "logrank_p", "holm"),
            *("mean_interval", "bootstrap_interval", "Interval"),
        ],
        "figures": ["plateau", "learning_curves"],
        "table": ["show", "csv_text"],
    },
)
