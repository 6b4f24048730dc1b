"""What cyclic clips have in common: the length of a cycle, the phase of each row, how they differ.

A gait is a curve of joint angles over its phase φ. Every clip e gets a Fourier series of its own,
q(φ) = F(φ) C_e, at phases that start where it fits the other clips best; the clips' series then
differ from their mean along few directions (principal components), q(φ) = F(φ) (C + Σ_r z_r D_r). A
clip is a point z in that space, unit variance in each direction, and a command is a guess of it.

Symbols: n rows, J joints, E clips, P rows of a cycle, K harmonics, F = 2 K + 1 terms, R directions,
M numbers of a command, φ phase in rad, z place among the gaits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.validate.cycles import STILL, cycle_of, fourier

Floats = NDArray[np.floating]

_PHASES = 256  # among which clips are laid over one another


@dataclass(frozen=True)
class Gaits:
    """A family of gaits, from clips of one robot.

    Attributes:
        cycle: P, rows.
        mean: (F, J) Fourier series of the mean gait, rad.
        directions: (R, F, J) what a step of 1 along each direction adds, rad.
        rest: (J,) root mean square of what the clips' series leave over, rad.
        places: (E, R) z of the clips.
        phases: (E,) φ of each clip's first row, rad.
        guess: (M + 1, R): z expected for a command (M,) and a 1.
    """

    cycle: float
    mean: Floats
    directions: Floats
    rest: Floats
    places: Floats
    phases: Floats
    guess: Floats

    def widened(self, directions: int) -> "Gaits":
        """Return the same family with directions added that lead nowhere."""
        more = directions - len(self.directions)
        return replace(
            self,
            directions=np.pad(self.directions, ((0, more), (0, 0), (0, 0))),
            places=np.pad(self.places, ((0, 0), (0, more))),
            guess=np.pad(self.guess, ((0, 0), (0, more))),
        )


def fit_gaits(
    clips: Sequence[Floats], commands: Sequence[Floats], harmonics: int, most: int, cycle: float = 0
) -> Gaits:
    """Find the gaits that clips are of.

    Args:
        clips: joint angles (n, J) each, rad; mirrored ones among them make the family richer.
        commands: (M,) of each clip, scaled to a spread near 1.
        harmonics: K at most; as many as a cycle of P rows can hold.
        most: R at most.
        cycle: P, rows; 0: found from the clips.

    Raises:
        BadInput: the clips repeat nothing, or are shorter than two cycles.
    """
    moving = [clip[:, clip.std(axis=0) > STILL] for clip in clips]
    cycle = cycle or cycle_of(moving)
    if min(len(clip) for clip in clips) < 2.0 * cycle:
        found = f"{min(len(clip) for clip in clips)} rows, and a cycle takes {cycle:.1f}"
        raise BadInput("a training clip", f"has {found}", expected="two cycles at least")
    orders = max(1, min(harmonics, int(0.45 * cycle)))
    phases = _aligned(clips, cycle, orders)
    series, rest = list[Floats](), list[Floats]()
    for clip, first in zip(clips, phases, strict=True):
        terms = fourier(first + 2.0 * np.pi * np.arange(len(clip)) / cycle, orders)
        own = np.linalg.lstsq(terms, clip, rcond=None)[0]
        series.append(own)
        rest.append(np.square(clip - terms @ own).mean(axis=0))
    stacked = np.stack(series)
    mean, places, directions = _components(stacked, most)
    known = np.stack(list(commands))
    return Gaits(
        cycle=cycle,
        mean=mean,
        directions=directions,
        rest=np.sqrt(np.mean(rest, axis=0)),
        places=places,
        phases=phases,
        guess=_guess(known, places),
    )


def _components(series: Floats, most: int) -> tuple[Floats, Floats, Floats]:
    """Return the mean series, places (E, R) of unit variance, and directions (R, F, J)."""
    mean = series.mean(axis=0)
    off = (series - mean).reshape(len(series), -1)
    left, sizes, right = np.linalg.svd(off, full_matrices=False)
    kept = int(np.count_nonzero(sizes > 1e-3 * max(float(sizes[0]), 1e-9)))
    kept = min(kept, most, len(series) - 1)
    spread = sizes[:kept] / np.sqrt(len(series))
    directions = (right[:kept] * spread[:, None]).reshape(kept, *mean.shape)
    return mean, left[:, :kept] * np.sqrt(len(series)), directions


def _guess(commands: Floats, places: Floats) -> Floats:
    """Return z expected for a command: ridge regression, as the clips' labels are rough."""
    rows = np.concatenate([commands, np.ones((len(commands), 1))], axis=1)
    weight = np.eye(rows.shape[1])
    weight[-1, -1] = 1e-6
    return np.linalg.solve(rows.T @ rows + weight, rows.T @ places)


def _aligned(clips: Sequence[Floats], cycle: float, orders: int) -> Floats:
    """Return φ of each clip's first row (E,): each clip's waves lie over the mean of the others'.

    A mirrored clip comes out half a cycle later by itself.
    """
    waves = np.stack([_waves(clip, cycle, orders) for clip in clips])  # (E, K, J) complex
    of_order = -1j * np.arange(1, orders + 1)
    phases, shifts = np.zeros(len(clips)), 2.0 * np.pi * np.arange(_PHASES) / _PHASES
    shifted = np.exp(shifts[:, None] * of_order)  # (256, K)
    reference = waves[0]
    for _ in range(3):
        for place, own in enumerate(waves):
            fit = np.einsum("sk,kj,kj->s", shifted, own, reference.conj()).real
            phases[place] = _peak(fit)
        reference = (waves * np.exp(phases[:, None] * of_order)[:, :, None]).mean(axis=0)
    return np.asarray((phases - phases[0]) % (2.0 * np.pi), np.float64)


def _waves(clip: Floats, cycle: float, orders: int) -> NDArray[np.complex128]:
    """Return a_k - i b_k of a clip's series, (K, J): turned by e^{ikδ} when it starts δ later."""
    terms = fourier(2.0 * np.pi * np.arange(len(clip)) / cycle, orders)
    series = np.linalg.lstsq(terms, clip, rcond=None)[0][1:].reshape(orders, 2, -1)
    return series[:, 0] - 1j * series[:, 1]


def _peak(values: Floats) -> float:
    """Return at which phase values (256,) over a turn are largest, rad, between their places."""
    at = int(np.argmax(values))
    before, here, after = values[at - 1], values[at], values[(at + 1) % len(values)]
    bend = before - 2.0 * here + after
    part = 0.5 * (before - after) / bend if bend < 0.0 else 0.0
    return float((at + part) * 2.0 * np.pi / len(values))
