"""Images on a grid: every data set carries the step that the exact noise needs.

An image here is float32 in [0, 1] and every value is a whole multiple of the data set's step:
1/16 for scikit-learn's digits, 1/255 for 8-bit images. Image files are read exactly or refused.
"""

from rslib.datasets.dataset import Dataset
from rslib.datasets.folders import SPLITS, class_names
from rslib.datasets.images import Reading, read_image
from rslib.datasets.named import DATASETS, load

__all__ = ["DATASETS", "SPLITS", "Dataset", "Reading", "class_names", "load", "read_image"]
