"""Where vectors of mixed prompts lie, between those of single tasks: positions, LDA and PCA.

`single` [K, n, W] holds n vectors of each of K tasks, `mixed` [S, n, W] those of S mixtures.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
METHODS = ("lda", "pca")
LEAST = 1e-9  # eigenvalue of a covariance that has an inverse, of its largest


def shrunk(sample: Floats) -> Floats:
    r"""Return the covariance $(1 - s) S + s \mu I$ of a sample [n, W], $\mu = \mathrm{tr} S / W$.

    s is Ledoit and Wolf's estimate of what loses least, after each coordinate has been scaled to
    variance 1: with fewer vectors than coordinates S alone has no inverse, and separates anything.

    Source: Ledoit and Wolf 2004, section 3; scikit-learn's LDA with shrinkage="auto".

    >>> shrunk(np.array([[1.0], [-1.0]])).tolist()
    [[1.0]]
    """
    centred = sample - sample.mean(axis=0)
    scale = centred.std(axis=0)
    scale[scale <= 10 * np.finfo(float).eps * np.abs(sample).max(axis=0)] = 1.0
    x = centred / scale
    n, width = x.shape
    s = x.T @ x / n
    mean = np.trace(s) / width
    spread = np.sum(s**2) - width * mean**2  # |S - mu I|^2
    noise = (np.sum((x**2).T @ x**2) / n - np.sum(s**2)) / n
    weight = min(max(noise, 0.0), spread) / spread if spread > 0 else 0.0
    return scale[:, None] * ((1 - weight) * s + weight * mean * np.eye(width)) * scale[None, :]


def within(single: Floats) -> Floats:
    """Return the mean of the tasks' shrunk covariances, [W, W]."""
    return np.mean([shrunk(sample) for sample in single], axis=0)


def separable(single: Floats) -> bool:
    """Whether the vectors differ within tasks, in every direction, and between: else no axes.

    Of two vectors a task, or hardly any that differ, the covariance is not shrunk: it has no
    inverse, and tasks no distance.
    """
    means = single.mean(axis=1)
    least = 1e-6 * np.abs(single).max()
    inside = np.abs(single - means[:, None]).max()
    if not (np.isfinite(single).all() and min(np.ptp(means, axis=0).max(), inside) > least):
        return False
    covariance = within(single)
    scale = np.sqrt(np.diag(covariance))
    if not scale.min() > 0:
        return False
    spectrum = np.linalg.eigvalsh(covariance / np.outer(scale, scale))
    return bool(spectrum[0] > LEAST * spectrum[-1])


def positions(single: Floats, vectors: Floats) -> Floats:
    r"""Return the shares $c$ [.., K], adding up to 1, of the tasks' means that are nearest.

    $\sum_k c_k m_k$ is nearest to a vector [.., W] in the metric of the inverse covariance within
    tasks. For two tasks $c_1 = w^T (x - m_0) / w^T (m_1 - m_0)$ with LDA's axis
    $w = \Sigma^{-1} (m_1 - m_0)$: 0 at the mean of the first task, 1 at that of the second.

    >>> around = np.array([[-1.0, 0], [1, 0], [0, -1], [0, 1]])
    >>> line = np.stack([around, around + np.array([10, 0])])
    >>> positions(line, np.array([2.5, 7.0])).round(6).tolist()
    [0.75, 0.25]
    """
    means = single.mean(axis=1)
    apart = means[1:] - means[0]
    turned = np.linalg.solve(within(single), apart.T)  # [W, K - 1]
    others = (vectors - means[0]) @ turned @ np.linalg.pinv(apart @ turned)
    return np.concatenate([1 - others.sum(axis=-1, keepdims=True), others], axis=-1)


def plane(single: Floats, vectors: Floats, method: str) -> tuple[Floats, Floats]:
    """Return single [K, n, 2] and other vectors [S, n, 2] in a plane fitted on the single tasks.

    "pca": the first two principal components. "lda": the first two axes of linear discriminant
    analysis. Of two tasks there is one, and the second is the first principal component of what it
    leaves: of vectors less their position on the line of the two means, where both means are one.

    Raises ImportError without scikit-learn, ValueError for another method.

    Source: paper 5, geometry of task vectors.
    """
    if method not in METHODS:
        raise ValueError(f"method = {method!r}: must be one of {', '.join(METHODS)}")
    tasks, n, width = single.shape
    fitted = single.reshape(tasks * n, width)
    both = np.concatenate([fitted, vectors.reshape(-1, width)])
    if method == "pca":
        flat = _scikit("decomposition").PCA(2, svd_solver="full").fit(fitted).transform(both)
    else:
        solver = "lsqr" if tasks == 2 else "eigen"  # "svd" cannot shrink
        lda = _scikit("discriminant_analysis").LinearDiscriminantAnalysis(
            solver=solver, shrinkage="auto"
        )
        lda.fit(fitted, np.repeat(np.arange(tasks), n))
        if tasks == 2:
            axis = lda.coef_[0] / np.linalg.norm(lda.coef_[0])
            apart = single[1].mean(axis=0) - single[0].mean(axis=0)
            rest = both - np.outer(both @ axis, apart / (apart @ axis))
            pca = _scikit("decomposition").PCA(1, svd_solver="full").fit(rest[: len(fitted)])
            flat = np.stack([both @ axis, pca.transform(rest)[:, 0]], axis=1)
        else:
            flat = lda.transform(both)[:, :2]
    # signs of axes mean nothing: the first task is left of the second
    if flat[:n, 0].mean() > flat[n : 2 * n, 0].mean():
        flat = flat * np.array([[-1.0, 1.0]])
    return flat[: len(fitted)].reshape(tasks, n, 2), flat[len(fitted) :].reshape(-1, n, 2)


def _scikit(module: str) -> Any:
    """Return a module of scikit-learn, which is imported only to be used."""
    try:
        return importlib.import_module(f"sklearn.{module}")
    except ImportError as error:
        raise ImportError("needs scikit-learn: pip install 'plateaus[sklearn]'") from error
