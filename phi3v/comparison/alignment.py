"""Aligns an image with a similar one: translation, crop, or translation, rotation and scale.

Knows pixel arrays only, no files. A transform is found in small images and refined in the large
ones. scikit-image takes half a second to import, so it is imported where it is used. Legend: H, W
height and width of the first image's canvas; matrices are 3 x 3 and map its coordinates to the
second's.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Pixels = NDArray[np.float32]  # (H, W, 3), 0 to 1
Grey = NDArray[np.float32]  # (H, W), 0 to 1
Mask = NDArray[np.bool_]  # (H, W)
Matrix = NDArray[np.floating]

SEARCH_SIDE: Final = 512  # of the small images in which transforms are found
CORNER_SIDE: Final = 800  # small print has corners only in large images
CROP_SIDE: Final = 256
LEAST_CROP_MATCH: Final = 0.8
LEAST_OVERLAP: Final = 0.3  # of the smaller image
LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)
REFINED_POINTS: Final = 60_000
REFINEMENTS: Final = 12
LEAST_SLOPE: Final = 0.01  # of brightness per pixel; flat areas say nothing of a shift
SNAP: Final = 0.12  # pixels: a shift this close to whole pixels is one by whole pixels


@dataclass(frozen=True)
class Aligned:
    """The second image as it lies on the first: its pixels, which of them are its own, and how.

    matrix is None where it was only scaled to the first one's size; it leads to an image of `size`,
    (W, H).
    """

    pixels: Pixels
    inside: Mask
    matrix: Matrix | None
    size: tuple[int, int] = (1, 1)


def to_grey(pixels: Pixels) -> Grey:
    """Return the brightness of pixels."""
    return pixels @ LUMA


def to_pixels(image: Image.Image) -> Pixels:
    """Return an image as an array (H, W, 3) from 0 to 1."""
    return np.asarray(image.convert("RGB"), np.float32) / np.float32(255)


def align(
    first: Pixels, limited: Pixels, second: Image.Image, scaled: Image.Image, same_ratio: bool
) -> Aligned:
    """Return the second image aligned with the first.

    `scaled` is the second image at the first one's size, `second` at the scale of its own pixels;
    `limited` is the first with the detail that it would have at the second's size.
    Tries no transform, a crop, a translation, and a similarity transform from matched corners; a
    later one is used only if it is clearly better.
    """
    plain = to_pixels(scaled)
    everywhere = np.ones(first.shape[:2], bool)
    best = Aligned(plain, everywhere, None)
    grey = to_grey(first)
    best_similarity = mean_similarity(to_grey(limited), to_grey(plain), everywhere)
    if best_similarity > 0.98:
        return best
    own = to_pixels(second)
    tried = [(estimate_crop, own)] if own.shape != plain.shape else []
    tried += [(estimate_translation, plain)] if same_ratio else []
    tried.append((estimate_similarity, own))
    for estimate, pixels in tried:
        other = to_grey(pixels)
        matrix = estimate(grey, other)
        if matrix is None:
            continue
        matrix = refine(grey, other, matrix)
        aligned, mask = warp_image(pixels, matrix, grey.shape)
        if mask.sum() < LEAST_OVERLAP * min(mask.size, other.size / scale_of(matrix) ** 2):
            continue
        similarity = mean_similarity(grey, to_grey(aligned), mask)
        # a third closer to 1: else it is chance, or an object that moved in an image that did not
        if 1 - similarity < (1 - best_similarity) * 2 / 3:
            best, best_similarity = Aligned(aligned, mask, matrix, other.shape[::-1]), similarity
            if similarity > 0.95:
                break
    return best


def scale_of(matrix: Matrix) -> float:
    """Return by how much a similarity transform enlarges."""
    return float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))


def mean_similarity(first: Grey, second: Grey, inside: Mask) -> float:
    """Return the mean structural similarity where `inside`; 1 is equal."""
    return float(similarity_map(first, second)[inside].mean()) if inside.any() else 0.0


def similarity_map(first: Grey, second: Grey) -> Grey:
    """Return the structural similarity at each pixel, (H, W); 1 is equal.

    Windows of 7 x 7 and the constants of Wang et al., "Image quality assessment" (2004).
    """
    mean_1, mean_2 = (ndimage.uniform_filter(grey, 7) for grey in (first, second))
    squares = ndimage.uniform_filter(first * first, 7) + ndimage.uniform_filter(second * second, 7)
    product = ndimage.uniform_filter(first * second, 7) - mean_1 * mean_2
    variances = squares - mean_1 * mean_1 - mean_2 * mean_2
    top = (2 * mean_1 * mean_2 + 1e-4) * (2 * product + 9e-4)
    return top / ((mean_1 * mean_1 + mean_2 * mean_2 + 1e-4) * (variances + 9e-4))


def shrink(grey: Grey, side: int) -> tuple[Grey, float]:
    """Return an image limited to a longer side, and its scale."""
    scale = min(1.0, side / max(grey.shape))
    height, width = (max(1, round(length * scale)) for length in grey.shape)
    small = Image.fromarray(grey).resize((width, height), Image.Resampling.BOX)
    return np.array(small, np.float32), scale  # a copy: ORB wants to write


def rescale(matrix: Matrix, first: float, second: float) -> Matrix:
    """Return a matrix between small images as one between the large ones, given their scales."""
    large = np.diag([1 / second, 1 / second, 1]) @ matrix @ np.diag([first, first, 1])
    return large / large[2, 2]


def estimate_translation(first: Grey, second: Grey) -> Matrix | None:
    """Return the best translation by phase correlation; None if it is zero or not finite."""
    from skimage.registration import phase_cross_correlation

    small, scale = shrink(first, SEARCH_SIDE)
    shift, _, _ = phase_cross_correlation(small, shrink(second, SEARCH_SIDE)[0], upsample_factor=10)
    if not np.isfinite(shift).all() or not shift.any():
        return None
    return rescale(np.array([[1, 0, -shift[1]], [0, 1, -shift[0]], [0, 0, 1.0]]), scale, scale)


def estimate_crop(first: Grey, second: Grey) -> Matrix | None:
    """Return where the second image lies in the first at the same scale; None if it does not."""
    from skimage.feature import match_template

    small, scale = shrink(first, CROP_SIDE)
    height, width = (max(1, round(length * scale)) for length in second.shape)
    part = Image.fromarray(second).resize((width, height), Image.Resampling.BOX)
    template = np.asarray(part, np.float32)
    if height > small.shape[0] or width > small.shape[1] or min(height, width) < 8:
        return None
    if template.std() < 0.01:
        return None
    match = match_template(small, template)
    top, left = np.unravel_index(np.argmax(match), match.shape)
    if not match[top, left] > LEAST_CROP_MATCH:
        return None
    return np.array([[1, 0, -left / scale], [0, 1, -top / scale], [0, 0, 1.0]])


def estimate_similarity(first: Grey, second: Grey) -> Matrix | None:
    """Return the rotation, scale and translation by matched corners; None if too few match.

    ORB finds and describes the corners, RANSAC fits the similarity transform that most matches
    agree on.
    """
    from skimage.feature import ORB, match_descriptors
    from skimage.measure import ransac
    from skimage.transform import SimilarityTransform

    keypoints, descriptors, scales = [], [], []
    for grey in (first, second):
        small, scale = shrink(grey, CORNER_SIDE)
        detector = ORB(n_keypoints=500)
        try:
            detector.detect_and_extract(small)
        except (RuntimeError, IndexError, ValueError):  # no corners, or the image is too small
            return None
        keypoints.append(detector.keypoints[:, ::-1])
        descriptors.append(detector.descriptors)
        scales.append(scale)
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
    matrix = rescale(np.asarray(model.params), *scales)
    return matrix if 0.2 < scale_of(matrix) < 5 else None


def refine(first: Grey, second: Grey, matrix: Matrix) -> Matrix:
    """Return a similarity transform improved to a fraction of a pixel.

    Gauss and Newton's steps on blurred brightness, where both images have pixels; places that
    differ most are left out of each step.
    """
    blurred, other = (ndimage.gaussian_filter(grey, 1.5) for grey in (first, second))
    slope_y, slope_x = np.gradient(other)
    step = max(1, round((first.size / REFINED_POINTS) ** 0.5))
    rows, columns = np.mgrid[0 : first.shape[0] : step, 0 : first.shape[1] : step]
    points = np.stack([columns.ravel(), rows.ravel()]).astype(np.float64)
    target = blurred[rows, columns].ravel()
    steep = np.hypot(*np.gradient(blurred))[rows, columns].ravel() > LEAST_SLOPE
    points, target = points[:, steep], target[steep]
    refined = matrix.copy()
    for _ in range(REFINEMENTS):
        x, y = refined[:2, :2] @ points + refined[:2, 2:]
        there = (x >= 1) & (y >= 1) & (x < second.shape[1] - 2) & (y < second.shape[0] - 2)
        if there.sum() < 100:
            return matrix
        at = [y[there], x[there]]
        values, along_x, along_y = (
            ndimage.map_coordinates(grey, at, order=1) for grey in (other, slope_x, slope_y)
        )
        error = target[there] - values
        kept = np.abs(error) <= max(0.02, 4 * float(np.median(np.abs(error))))
        px, py = points[0, there], points[1, there]
        columns_ = [along_x * px + along_y * py, along_y * px - along_x * py, along_x, along_y]
        system = np.stack(columns_, axis=1)[kept]
        change = np.linalg.lstsq(system.T @ system, system.T @ error[kept], rcond=None)[0]
        a, b, tx, ty = change
        refined = refined + np.array([[a, -b, tx], [b, a, ty], [0, 0, 0]])
        if abs(tx) + abs(ty) + (abs(a) + abs(b)) * max(first.shape) < 0.01:
            break
    corner = np.array([first.shape[1], first.shape[0], 1.0])
    if not np.isfinite(refined).all() or np.abs((refined - matrix) @ corner).max() > 24:
        return matrix
    return snap(refined, max(first.shape))


def snap(matrix: Matrix, side: int) -> Matrix:
    """Return a translation by whole pixels if a matrix is nearly one: it does not blur."""
    shift = np.round(matrix[:2, 2])
    whole = np.eye(3)
    whole[:2, 2] = shift
    corners = np.array([[0, 0, 1], [side, 0, 1], [0, side, 1], [side, side, 1.0]]).T
    return whole if np.abs(((matrix - whole) @ corners)[:2]).max() < 4 * SNAP else matrix


def warp_image(pixels: Pixels, matrix: Matrix, shape: tuple[int, int]) -> tuple[Pixels, Mask]:
    """Return an image warped onto a canvas (H, W), and which pixels there are its own.

    A margin of 4 pixels is not: similarity is measured in windows.
    """
    image = Image.fromarray((pixels.clip(0, 1) * 255).round().astype(np.uint8))
    whole = Image.new("L", image.size, 255)
    corners = count_from_corners(matrix)
    moved = warp(image, corners, shape[::-1])
    there = warp(whole, corners, shape[::-1], Image.Resampling.NEAREST)
    inside = ndimage.minimum_filter(np.asarray(there), size=9, mode="nearest") > 0
    return to_pixels(moved), inside


def count_from_corners(matrix: Matrix) -> Matrix:
    """Return a matrix between centres of pixels as one between their corners, as Pillow counts."""
    corner = np.eye(3)
    corner[:2, 2] = 0.5
    return corner @ matrix @ np.linalg.inv(corner)


def warp(
    image: Image.Image,
    matrix: Matrix,
    size: tuple[int, int],
    resampling: Image.Resampling = Image.Resampling.BICUBIC,
) -> Image.Image:
    """Return an image warped onto a canvas (W, H) by a matrix between corners; 0 outside of it."""
    data = tuple(matrix[:2].ravel())
    return image.transform(size, Image.Transform.AFFINE, data, resampling)
