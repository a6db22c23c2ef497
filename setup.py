"""What pyproject.toml cannot say: which files from beside the packages a wheel has.

`pmi_kernel.core.places` finds them there, and in a source tree where they are.
"""

from setuptools import find_namespace_packages, setup

_RESOURCES = {
    "data/checkpoints": "*-*/**/*",
    "data/sample": "*.json",
    "notebooks": "*.ipynb",
    "runs/example": "*.json*",
    "runs/example_study": "**/*.json*",
}


def _packed(folder: str) -> str:
    return f"pmi_kernel._resources.{folder.replace('/', '.')}"


setup(
    packages=[
        *find_namespace_packages(include=["pmi_kernel*", "widgets*"]),
        *map(_packed, _RESOURCES),
    ],
    package_dir={_packed(folder): folder for folder in _RESOURCES},
    package_data={
        "pmi_kernel": [
            "reports/pages/static/*",
            "reports/pages/templates/*.html",
            "studies/gpu_check/*.html",
        ],
        "widgets": ["static/*", "nbconvert/pmi/*"],
    }
    | {_packed(folder): [pattern] for folder, pattern in _RESOURCES.items()},
)
