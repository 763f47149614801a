"""The law: what a world is, how an example is drawn, which predictors are ideal."""

from plateaus.surface import described, exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    described(
        "laws",
        *("addition", "characters", "facts", "image_text", "in_context", "languages"),
        *("lego", "linear_regression", "sparse_parity", "teacher_student", "text", "words"),
    )
    | {"families.registry": ["family", "Family", "Sizes"]},
)
