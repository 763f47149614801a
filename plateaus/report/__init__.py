"""Reports: statistics, tables, figures and sinks over labelled results; imports no jax."""

from plateaus.surface import exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    {
        "store": ["load"],
        "kept_files": ["from_csv"],
        "statistics": ["summarise", "Row"],
        "survival": [
            *("survival_curve", "median_time", "restricted_mean", "holm"),
            *("mean_interval", "bootstrap_interval", "Interval"),
        ],
        "paired": ["compared", "of_ratios", "sign_flip_p", "Comparison"],
        "unpaired": ["logrank_p"],
        "figures": ["plateau", "learning_curves"],
        "table": ["show"],
        "csv_columns": ["csv_text"],
        "choosing": ["Rule"],
    },
)
