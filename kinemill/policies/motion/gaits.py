"""A family of gaits from cyclic clips: cycle length, phase of each row, principal components.

A gait is a curve of joint angles over its phase φ. The clips are aligned in phase, and each clip e
gets a Fourier series, q(φ) = F(φ) C_e. Principal components of the series give the family
q(φ) = F(φ) (C + Σ_r z_r D_r). A clip is a latent vector z with unit variance in each direction. A
ridge regression predicts z from a command.

Symbols: n rows, J joints, E clips, P rows of a cycle, K harmonics, F = 2 K + 1 terms, R directions,
M numbers of a command, φ phase in rad, z latent vector.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.policies.motion.cycles import STILL, cycle_of, fourier

Floats = NDArray[np.floating]

_PHASES = 256  # candidate shifts for the alignment of clips


@dataclass(frozen=True)
class Gaits:
    """A family of gaits, from clips of one robot.

    Attributes:
        cycle: P, rows.
        mean: (F, J) Fourier series of the mean gait, rad.
        directions: (R, F, J) change of the series per unit of each latent, rad.
        rest: (J,) root mean square residual of the clips' series, rad.
        latents: (E, R) z of the clips.
        phases: (E,) φ of each clip's first row, rad.
        regression: (M + 1, R): predicts z from a command (M,) and a 1.
    """

    cycle: float
    mean: Floats
    directions: Floats
    rest: Floats
    latents: Floats
    phases: Floats
    regression: Floats

    def widened(self, directions: int) -> "Gaits":
        """Return the same family with zero directions appended, R = `directions`."""
        more = directions - len(self.directions)
        return replace(
            self,
            directions=np.pad(self.directions, ((0, more), (0, 0), (0, 0))),
            latents=np.pad(self.latents, ((0, 0), (0, more))),
            regression=np.pad(self.regression, ((0, 0), (0, more))),
        )


def fit_gaits(
    clips: Sequence[Floats],
    commands: Sequence[Floats],
    harmonics: int,
    max_directions: int,
    cycle: float = 0,
) -> Gaits:
    """Fit a family of gaits to clips.

    Args:
        clips: joint angles (n, J) each, rad; mirrored copies make the family richer.
        commands: (M,) of each clip, scaled to a standard deviation near 1.
        harmonics: upper bound of K; a cycle of P rows holds at most 0.45 P.
        max_directions: upper bound of R.
        cycle: P, rows; 0: estimated from the clips.

    Raises:
        BadInput: The clips have no common cycle, or are shorter than two cycles.
    """
    cycle = cycle or cycle_of([clip[:, clip.std(axis=0) > STILL] for clip in clips])
    if min(len(clip) for clip in clips) < 2.0 * cycle:
        length = f"{min(len(clip) for clip in clips)} rows, and a cycle takes {cycle:.1f}"
        raise BadInput("a training clip", f"has {length}", expected="two cycles at least")
    orders = max(1, min(harmonics, int(0.45 * cycle)))
    phases = _aligned(clips, cycle, orders)
    series = list[Floats]()
    rest = list[Floats]()
    for clip, first in zip(clips, phases, strict=True):
        terms = fourier(first + 2.0 * np.pi * np.arange(len(clip)) / cycle, orders)
        coefficients = np.linalg.lstsq(terms, clip, rcond=None)[0]
        series.append(coefficients)
        rest.append(np.square(clip - terms @ coefficients).mean(axis=0))
    stacked = np.stack(series)
    mean, latents, directions = _components(stacked, max_directions)
    return Gaits(
        cycle=cycle,
        mean=mean,
        directions=directions,
        rest=np.sqrt(np.mean(rest, axis=0)),
        latents=latents,
        phases=phases,
        regression=_regress(np.stack(list(commands)), latents),
    )


def _components(series: Floats, max_directions: int) -> tuple[Floats, Floats, Floats]:
    """Return the mean series, latents (E, R) of unit variance, and directions (R, F, J)."""
    mean = series.mean(axis=0)
    off = (series - mean).reshape(len(series), -1)
    left_vectors, sizes, right_vectors = np.linalg.svd(off, full_matrices=False)
    rank = int(np.count_nonzero(sizes > 1e-3 * max(float(sizes[0]), 1e-9)))
    rank = min(rank, max_directions, len(series) - 1)
    std = sizes[:rank] / np.sqrt(len(series))
    directions = (right_vectors[:rank] * std[:, None]).reshape(rank, *mean.shape)
    return mean, left_vectors[:, :rank] * np.sqrt(len(series)), directions


def _regress(commands: Floats, latents: Floats) -> Floats:
    """Return the ridge regression (M + 1, R) from commands to latents; the labels are rough."""
    rows = np.concatenate([commands, np.ones((len(commands), 1))], axis=1)
    weight = np.eye(rows.shape[1])
    weight[-1, -1] = 1e-6
    return np.linalg.solve(rows.T @ rows + weight, rows.T @ latents)


def _aligned(clips: Sequence[Floats], cycle: float, orders: int) -> Floats:
    """Return φ of each clip's first row (E,), rad, that aligns its waves with the mean.

    A mirrored clip starts half a cycle later; the alignment finds that shift too.
    """
    waves = np.stack([_waves(clip, cycle, orders) for clip in clips])  # (E, K, J) complex
    of_order = -1j * np.arange(1, orders + 1)
    phases = np.zeros(len(clips))
    shifts = 2.0 * np.pi * np.arange(_PHASES) / _PHASES
    shifted = np.exp(shifts[:, None] * of_order)  # (256, K)
    reference = waves[0]
    for _ in range(3):
        for index, wave in enumerate(waves):
            fit = np.einsum("sk,kj,kj->s", shifted, wave, reference.conj()).real
            phases[index] = _peak(fit)
        reference = (waves * np.exp(phases[:, None] * of_order)[:, :, None]).mean(axis=0)
    return np.asarray((phases - phases[0]) % (2.0 * np.pi), np.float64)


def _waves(clip: Floats, cycle: float, orders: int) -> NDArray[np.complex128]:
    """Return a_k - i b_k of a clip's series, (K, J); a start δ later multiplies by e^{ikδ}."""
    terms = fourier(2.0 * np.pi * np.arange(len(clip)) / cycle, orders)
    series = np.linalg.lstsq(terms, clip, rcond=None)[0][1:].reshape(orders, 2, -1)
    return series[:, 0] - 1j * series[:, 1]


def _peak(values: Floats) -> float:
    """Return the phase, rad, of the largest of values (256,) of a cycle; a parabola refines it."""
    at = int(np.argmax(values))
    previous = values[at - 1]
    peak = values[at]
    following = values[(at + 1) % len(values)]
    bend = previous - 2.0 * peak + following
    part = 0.5 * (previous - following) / bend if bend < 0.0 else 0.0
    return float((at + part) * 2.0 * np.pi / len(values))
