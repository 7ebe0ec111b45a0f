"""A Bayesian linear model of the reward on the levels of every dimension and of pairs of dimensions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Prior(NamedTuple):
    sharing: float = 0.0
    noise: float = 0.01
    near: float = 0.6
    far: float = 0.0

    @property
    def single(self):
        return 1.0 - self.near - self.far


def level_kernel(layout, sharing):
    k = np.zeros((layout.count, layout.count))
    for d, n in enumerate(layout.sizes):
        D = np.abs(np.arange(n)[:, None] - np.arange(n))
        if not layout.axes[d].ordered or sharing == 0:
            b = np.eye(n)
        elif sharing < 1:
            b = sharing**D
        else:
            b = 0.98 * np.exp(-0.5 * (D * sharing / max(n - 1, 1)) ** 2) + 0.02 * np.eye(n)
        o = layout.offsets[d]
        k[o : o + n, o : o + n] = b
    return k


def bases(layout, kernel, rows, columns):
    """(3, rows, columns): single, near, far."""
    R = rows + layout.offsets[:-1]
    C = columns + layout.offsets[:-1]
    V = len(layout.sizes)
    total = np.zeros((len(R), len(C)))
    square = np.zeros_like(total)
    near = np.zeros_like(total)
    G = []
    for d in range(V):
        g = kernel[R[:, d]][:, C[:, d]]
        G.append(g)
        total += g
        square += g * g
    pairs = (total * total - square) / 2
    if layout.near.sum() == V * (V - 1) // 2:
        near = pairs
    else:
        for i in range(V):
            js = np.flatnonzero(layout.near[i])
            if len(js):
                near += G[i] * sum(G[j] for j in js)
    n1, n2, n3 = counts(layout)
    return np.stack([total / n1, near / n2, (pairs - near) / n3])


def counts(layout):
    V = len(layout.sizes)
    near = int(layout.near.sum())
    return V, max(near, 1), max(V * (V - 1) // 2 - near, 1)


CONSTANT = 0.1


def combine(b, p):
    return CONSTANT + p.single * b[0] + p.near * b[1] + p.far * b[2]


def log_evidence(K, y, noise):
    n = len(y)
    K = K + noise * np.eye(n)
    C = np.linalg.cholesky(K)
    a = np.linalg.solve(C, y)
    s2 = (a @ a) / n
    return -0.5 * n * np.log(s2 + 1e-12) - np.log(np.diag(C)).sum()


SHARINGS = (0.0, 0.6, 0.9, 1.0, 2.0, 4.0)
NOISES = (1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)
SPLITS = ((0.0, 0.0), (0.3, 0.0), (0.6, 0.0), (0.85, 0.0))
FAR = ((0.2, 0.1), (0.4, 0.2), (0.5, 0.35))
MOST = 300


def fit_prior(layout, X, y, start=Prior(), opt={}):
    if len(X) > MOST:
        order = np.argsort(-y, kind="stable")
        keep = np.sort(
            np.concatenate(
                [
                    order[: MOST // 2],
                    order[MOST // 2 :: max(1, (len(X) - MOST // 2) // (MOST // 2))][: MOST // 2],
                ]
            )
        )
        X, y = X[keep], y[keep]
    sh = opt.get("sharings", SHARINGS if any(a.ordered for a in layout.axes) else (0.0,))
    noises = opt.get("noises", NOISES)
    sp = opt.get("splits", SPLITS)
    if layout.near.sum() < len(layout.sizes) * (len(layout.sizes) - 1) // 2:
        sp = sp + opt.get("far", FAR)
    best, bs = start, {}

    def score(p):
        if p.sharing not in bs:
            bs[p.sharing] = bases(layout, level_kernel(layout, p.sharing), X, X)
        return log_evidence(combine(bs[p.sharing], p), y, p.noise)

    cache = {}

    def get(p):
        if p not in cache:
            cache[p] = score(p)
        return cache[p]

    for _ in range(2):
        best = max((best._replace(sharing=s) for s in sh), key=get)
        best = max((best._replace(near=a, far=b) for a, b in sp), key=get)
        best = max((best._replace(noise=s) for s in noises), key=get)
    return best


class Model:
    def __init__(self, layout, prior, X):
        self.layout, self.prior = layout, prior
        self.kernel = level_kernel(layout, prior.sharing)
        V = len(layout.sizes)
        n = len(X)
        self.n = n
        cap = 2 * n + 16
        self.X = np.zeros((cap, V), np.int64)
        self.A = np.zeros((cap, layout.count))
        self.T = np.zeros((cap, cap))
        self.X[:n] = X
        self.A[:n] = self.columns(X)
        K = combine(bases(layout, self.kernel, X, X), prior) + prior.noise * np.eye(n)
        C = np.linalg.cholesky(K)
        self.T[:n, :n] = np.linalg.inv(C)
        self.n1, self.n2, self.n3 = counts(layout)
        near = layout.near[layout.dimension_of][:, layout.dimension_of]
        far = np.triu(~layout.near, 1)[layout.dimension_of][:, layout.dimension_of]
        self.pair_variance = near * prior.near / self.n2 + far * prior.far / self.n3
        # square root of kernel
        w, v = np.linalg.eigh(self.kernel)
        self.root = v * np.sqrt(np.maximum(w, 0))

    def columns(self, X):
        return self.kernel[X + self.layout.offsets[:-1]].sum(axis=1)

    def extend(self, x):
        n = self.n
        if n + 1 > len(self.T):
            for name in ("X", "A"):
                old = getattr(self, name)
                new = np.zeros((2 * n, old.shape[1]), old.dtype)
                new[:n] = old[:n]
                setattr(self, name, new)
            T = np.zeros((2 * n, 2 * n))
            T[:n, :n] = self.T[:n, :n]
            self.T = T
        x = x[None]
        k = combine(bases(self.layout, self.kernel, self.X[:n], x), self.prior)[:, 0]
        kk = combine(bases(self.layout, self.kernel, x, x), self.prior)[0, 0] + self.prior.noise
        T = self.T[:n, :n]
        l = T @ k
        d = np.sqrt(max(kk - l @ l, 1e-10))
        self.T[n, :n] = -(l @ T) / d
        self.T[n, n] = 1 / d
        self.X[n] = x[0]
        self.A[n] = self.columns(x)[0]
        self.n += 1

    def draw(self, y, rng, temper=1.0):
        n, lay, p = self.n, self.layout, self.prior
        X, A, T = self.X[:n], self.A[:n], self.T[:n, :n]
        a = T @ y
        s = np.sqrt((a @ a) / n) * temper
        c = np.sqrt(CONSTANT) * rng.standard_normal()
        u = np.sqrt(p.single / self.n1) * (self.root @ rng.standard_normal(lay.count))
        Z = rng.standard_normal((lay.count, lay.count))
        W = np.sqrt(self.pair_variance) * (self.root @ Z @ self.root.T)
        H = X + lay.offsets[:-1]
        f = c + u[H].sum(1)
        onehot = np.zeros((n, lay.count))
        onehot[np.arange(n)[:, None], H] = 1
        f += ((onehot @ W) * onehot).sum(1)
        r = y - s * (f + np.sqrt(p.noise) * rng.standard_normal(n))
        alpha = T.T @ (T @ r)
        u = s * u + p.single / self.n1 * (A.T @ alpha)
        W = s * W + self.pair_variance * (A.T @ (alpha[:, None] * A))
        return u, W + W.T
