"""One picture moved onto another that shows nearly the same: shifted, turned, scaled.

Knows pixels only. scikit-image takes half a second to import, so it is imported where it is used.
Legend: H, W height and width of the canvas on which both pictures lie.
"""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]  # (H, W, 3), 0 to 1
Mask = NDArray[np.bool_]  # (H, W)


def align(first: Pixels, second: Pixels, same_ratio: bool) -> tuple[Pixels, Mask, bool]:
    """The second picture moved onto the first, where it has pixels, and whether it was moved.

    Tried in turn: as it is, shifted, and turned, scaled and shifted by matching corners; the
    simplest that is about as similar as the best is taken.
    """
    everywhere = np.ones(first.shape[:2], bool)
    best, inside, moved = second, everywhere, False
    reached = rate(first, second, everywhere)
    for transform in (find_shift, find_motion):
        if reached > 0.98 or (transform is find_shift and not same_ratio):
            continue
        matrix = transform(first, second)
        if matrix is None:
            continue
        aligned, mask = move(second, matrix)
        if mask.mean() < 0.3:
            continue
        rated = rate(first, aligned, mask)
        # a third nearer to equal: else it is chance, or a moved object in an unmoved picture
        if 1 - rated < (1 - reached) * 2 / 3:
            best, inside, moved, reached = aligned, mask, True, rated
    return best, inside, moved


def rate(first: Pixels, second: Pixels, inside: Mask) -> float:
    """The mean structural similarity of the part where both have pixels."""
    return float(similarity_map(first, second)[inside].mean())


def similarity_map(first: Pixels, second: Pixels) -> NDArray[np.float32]:
    """Structural similarity of the brightness at each place (H, W), 1 is equal."""
    from skimage.color import rgb2gray
    from skimage.metrics import structural_similarity

    grey = rgb2gray(first), rgb2gray(second)
    _, similar = structural_similarity(*grey, data_range=1.0, full=True)
    return np.asarray(similar, np.float32)


def colour_similarity(first: Pixels, second: Pixels, inside: Mask) -> float:
    """Mean structural similarity of red, green and blue where `inside`, 1 is equal.

    In brightness alone a red thing that became blue can be as good as equal.
    """
    from skimage.metrics import structural_similarity

    _, similar = structural_similarity(first, second, data_range=1.0, channel_axis=2, full=True)
    return float(np.asarray(similar)[inside].mean())


def find_shift(first: Pixels, second: Pixels) -> NDArray[np.float64] | None:
    """The shift, as a 3 x 3 matrix from first's places to second's, that fits best."""
    from skimage.registration import phase_cross_correlation

    shift, _, _ = phase_cross_correlation(
        first.mean(axis=2), second.mean(axis=2), upsample_factor=10
    )
    if not np.isfinite(shift).all() or not shift.any():
        return None
    return np.array([[1, 0, -shift[1]], [0, 1, -shift[0]], [0, 0, 1]], np.float64)


def find_motion(first: Pixels, second: Pixels) -> NDArray[np.float64] | None:
    """Turn, scale and shift, as a 3 x 3 matrix from first's places to second's; None without one.

    Corners are matched by ORB, and RANSAC keeps the motion that most of them agree on.
    """
    from skimage.feature import ORB, match_descriptors
    from skimage.measure import ransac
    from skimage.transform import SimilarityTransform

    places, descriptors = [], []
    for pixels in (first, second):
        finder = ORB(n_keypoints=500)
        try:
            finder.detect_and_extract(pixels.mean(axis=2))
        except (RuntimeError, IndexError, ValueError):  # no corners at all, or too small a picture
            return None
        places.append(finder.keypoints[:, ::-1])
        descriptors.append(finder.descriptors)
    matches = match_descriptors(*descriptors, cross_check=True, max_ratio=0.9)
    if len(matches) < 12:
        return None
    model, inliers = ransac(
        (places[0][matches[:, 0]], places[1][matches[:, 1]]),
        SimilarityTransform,
        min_samples=3,
        residual_threshold=2,
        max_trials=500,
        rng=0,
    )
    if not model or inliers is None or inliers.sum() < 10:
        return None
    return np.asarray(model.params) if 0.3 < model.scale < 3 else None


def move(pixels: Pixels, matrix: NDArray[np.float64]) -> tuple[Pixels, Mask]:
    """A picture seen through a matrix from the canvas's places to its own, and where it has any.

    A few pixels at its edge do not count: similarity is measured in windows around each place.
    """
    from skimage.morphology import erosion, footprint_rectangle
    from skimage.transform import ProjectiveTransform, warp

    transform = ProjectiveTransform(matrix)
    moved = warp(pixels, transform, order=1, mode="edge")
    inside = warp(np.ones(pixels.shape[:2]), transform, order=0, cval=0) > 0.5
    return moved.astype(np.float32), erosion(inside, footprint_rectangle((9, 9)), mode="min")
