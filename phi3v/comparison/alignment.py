"""Aligns an image with a similar one: translation, or translation, rotation and scale.

Knows pixel arrays only, no files. scikit-image takes half a second to import, so it is imported
where it is used. Legend: H, W height and width of the canvas that both images have.
"""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]  # (H, W, 3), 0 to 1
Mask = NDArray[np.bool_]  # (H, W)


def align(first: Pixels, second: Pixels, same_ratio: bool) -> tuple[Pixels, Mask, bool]:
    """Return the second image aligned with the first, its valid pixels, and if it was moved.

    Tries no transform, a translation, and a similarity transform from matched corners, in this
    order; a later one is used only if it is clearly better. A translation is tried only with
    `same_ratio`, if both images had one aspect ratio before they were fitted to the canvas.
    """
    everywhere = np.ones(first.shape[:2], bool)
    best, inside, moved = second, everywhere, False
    best_similarity = mean_similarity(first, second, everywhere)
    for estimate in (estimate_translation, estimate_transform):
        if best_similarity > 0.98 or (estimate is estimate_translation and not same_ratio):
            continue
        matrix = estimate(first, second)
        if matrix is None:
            continue
        aligned, mask = warp_image(second, matrix)
        if mask.mean() < 0.3:
            continue
        similarity = mean_similarity(first, aligned, mask)
        # a third closer to 1: else it is chance, or an object that moved in an image that did not
        if 1 - similarity < (1 - best_similarity) * 2 / 3:
            best, inside, moved, best_similarity = aligned, mask, True, similarity
    return best, inside, moved


def mean_similarity(first: Pixels, second: Pixels, inside: Mask) -> float:
    """Return the mean structural similarity of brightness where `inside`; 1 is equal."""
    return float(similarity_map(first, second)[inside].mean())


def similarity_map(first: Pixels, second: Pixels) -> NDArray[np.float32]:
    """Return the structural similarity of brightness at each pixel, (H, W); 1 is equal."""
    from skimage.color import rgb2gray
    from skimage.metrics import structural_similarity

    grey = rgb2gray(first), rgb2gray(second)
    _, similar = structural_similarity(*grey, data_range=1.0, full=True)
    return np.asarray(similar, np.float32)


def colour_similarity(first: Pixels, second: Pixels, inside: Mask) -> float:
    """Return the mean structural similarity of the RGB channels where `inside`; 1 is equal.

    In brightness alone, a red object that became blue can be almost equal.
    """
    from skimage.metrics import structural_similarity

    _, similar = structural_similarity(first, second, data_range=1.0, channel_axis=2, full=True)
    return float(np.asarray(similar)[inside].mean())


def estimate_translation(first: Pixels, second: Pixels) -> NDArray[np.float64] | None:
    """Return the best translation by phase correlation; None if it is zero or not finite.

    It is a 3 x 3 matrix from the first image's coordinates to the second's.
    """
    from skimage.registration import phase_cross_correlation

    shift, _, _ = phase_cross_correlation(
        first.mean(axis=2), second.mean(axis=2), upsample_factor=10
    )
    if not np.isfinite(shift).all() or not shift.any():
        return None
    return np.array([[1, 0, -shift[1]], [0, 1, -shift[0]], [0, 0, 1]], np.float64)


def estimate_transform(first: Pixels, second: Pixels) -> NDArray[np.float64] | None:
    """Return the rotation, scale and translation by matched corners; None if too few match.

    It is a 3 x 3 matrix from the first image's coordinates to the second's. ORB finds and describes
    the corners, RANSAC fits the similarity transform that most matches agree on.
    """
    from skimage.feature import ORB, match_descriptors
    from skimage.measure import ransac
    from skimage.transform import SimilarityTransform

    keypoints, descriptors = [], []
    for pixels in (first, second):
        detector = ORB(n_keypoints=500)
        try:
            detector.detect_and_extract(pixels.mean(axis=2))
        except (RuntimeError, IndexError, ValueError):  # no corners, or the image is too small
            return None
        keypoints.append(detector.keypoints[:, ::-1])
        descriptors.append(detector.descriptors)
    matches = match_descriptors(*descriptors, cross_check=True, max_ratio=0.9)
    if len(matches) < 12:
        return None
    model, inliers = ransac(
        (keypoints[0][matches[:, 0]], keypoints[1][matches[:, 1]]),
        SimilarityTransform,
        min_samples=3,
        residual_threshold=2,
        max_trials=500,
        rng=0,
    )
    if not model or inliers is None or inliers.sum() < 10:
        return None
    return np.asarray(model.params) if 0.3 < model.scale < 3 else None


def warp_image(pixels: Pixels, matrix: NDArray[np.float64]) -> tuple[Pixels, Mask]:
    """Return an image warped by a matrix from canvas to image coordinates, and its valid pixels.

    The mask excludes a margin of 4 pixels, because similarity is measured in windows.
    """
    from skimage.morphology import erosion, footprint_rectangle
    from skimage.transform import ProjectiveTransform, warp

    transform = ProjectiveTransform(matrix)
    moved = warp(pixels, transform, order=1, mode="edge")
    inside = warp(np.ones(pixels.shape[:2]), transform, order=0, cval=0) > 0.5
    return moved.astype(np.float32), erosion(inside, footprint_rectangle((9, 9)), mode="min")
